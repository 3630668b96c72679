"""What stands beside the road; signatures are final, meshes are still boxes.

Every builder gives (size_lwh_m, mesh). x along the road, y across. What has a face (signs, traffic lights) looks at -x: who comes
driving along +x sees it. Arms of lamps and traffic lights reach to +y, over the road when it is on the left. The origin of posts, lamps and lights is
the foot of the post. Buildings: the middle; the fronts look at +y and -y.
"""
from perception.render.meshes.solids import Look, Shape, Solid, linear, rigid
from perception.render.records import CityId, Material, Mesh
from perception.render.world.chance import Chance


def _box(l: float, w: float, h: float, cls: CityId) -> Shape:
    def build(detail: int) -> Mesh:
        s = Solid()
        s.box((-l/2, -w/2, 0), (l/2, w/2, h), Look(linear(0x809080), Material.MATT, cls))
        return s.build()
    return (l, w, h), rigid(build)


def build_tree(chance: Chance, height_m: float, kind: str = "") -> Shape:
    """kind: broadleaf, conifer, poplar or empty for any."""
    return _box(height_m * .6, height_m * .6, height_m, CityId.VEGETATION)
def build_bush(chance: Chance, height_m: float) -> Shape:
    return _box(height_m * 1.3, height_m * 1.3, height_m, CityId.VEGETATION)
def build_hedge(chance: Chance, length_m: float, height_m: float) -> Shape:
    return _box(length_m, 0.8, height_m, CityId.VEGETATION)
def build_building(chance: Chance, length_m: float, depth_m: float, height_m: float, style: str = "town") -> Shape:
    """style: town (flat or pitched roof, shops), house (gable roof), hall (flat, long)."""
    return _box(length_m, depth_m, height_m, CityId.BUILDING)
def build_fence(chance: Chance, length_m: float, height_m: float) -> Shape:
    return _box(length_m, 0.1, height_m, CityId.FENCE)
def build_guard_rail(chance: Chance, length_m: float) -> Shape:
    return _box(length_m, 0.2, 0.75, CityId.FENCE)
def build_lamp(chance: Chance, height_m: float, reach_m: float = 1.6) -> Shape:
    return _box(0.2, 0.2, height_m, CityId.POLE)
def build_pole(chance: Chance, height_m: float) -> Shape:
    return _box(0.2, 0.2, height_m, CityId.POLE)
def build_post(chance: Chance) -> Shape:
    """Delineator post of country roads, 1 m."""
    return _box(0.12, 0.12, 1.0, CityId.POLE)
def build_sign(chance: Chance, kind: str = "") -> Shape:
    """kind: warning (triangle), limit (round), yield, stop, priority, parking, crossing, direction, or empty for any."""
    return _box(0.2, 0.7, 2.7, CityId.TRAFFIC_SIGN)
def build_traffic_light(chance: Chance, state: str = "red", reach_m: float = 0.0) -> Shape:
    """state: red, amber, green; reach_m > 0 has an arm over the road with a second head."""
    return _box(0.3, 0.4, 3.4, CityId.TRAFFIC_LIGHT)
def build_bin(chance: Chance) -> Shape:
    return _box(0.6, 0.6, 1.1, CityId.POLE)
def build_bus_stop(chance: Chance) -> Shape:
    """A shelter, open to -y, with the stop's sign."""
    return _box(4.0, 1.5, 2.5, CityId.BUILDING)
