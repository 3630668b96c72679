"""Buildings; their windows are not meshes, they are drawn on the walls."""

from perception.render.meshes.solids import Look, Shape, Solid, linear, mixed, rigid, tinted
from perception.render.records import CityId, Material, Mesh
from perception.render.world.chance import Chance

WALLS = (
    0xC9BFA8, 0xD8D0BE, 0xB9A88C, 0xA8654A, 0x8E5140, 0x9C9A94, 0xC2B8B0, 0xD9C49A, 0xB7B9B4, 0xCFA98A, 0x9AA6A8, 0xE2DED4,
)  # fmt: skip
TILES = (0x7A4334, 0x8A4B38, 0x5B4A44, 0x4A4B4F, 0x6B3B30, 0x3E4145)
CLADDING = (0xA9ADB0, 0xC5C8C9, 0x8798A3, 0xB8B3A6, 0x7C8489)
SHOPS = (0x8C2A2A, 0x2B4F7A, 0x2F5D43, 0xC09A36, 0x3A3B3F, 0x7A3B62)


def build_building(
    chance: Chance, length_m: float, depth_m: float, height_m: float, style: str = "town"
) -> Shape:
    """A building; fronts look at +y and -y.

    Args:
        chance: of this building.
        length_m: along the road.
        depth_m: across.
        height_m: of all, with the roof.
        style: ``town`` (shops below, flat or pitched roof), ``house`` (pitched roof) or ``hall`` (flat, metal).
    """
    size, key = (length_m, depth_m, height_m), chance.integer(2**31)

    def build(detail: int) -> Mesh:
        return _Building(Chance(key, "building"), size, style).build(detail)

    return size, rigid(build)


class _Building:
    """Builds one building inside its box; walls stand a little inside, for eaves and plinth."""

    def __init__(self, chance: Chance, size_lwh_m: tuple[float, float, float], style: str) -> None:
        def look(rgb: int, material: Material = Material.MATT) -> Look:
            return Look(tinted(linear(rgb), chance.uniform(0.85, 1.1)), material, CityId.BUILDING)

        self.size, self.style, self.chance = size_lwh_m, style, chance
        self.wall = look(chance.choice(CLADDING if style == "hall" else WALLS), Material.FACADE)
        self.plain = self.wall._replace(material=Material.MATT)
        self.plinth = self.wall._replace(
            colour=mixed(tinted(self.wall.colour, 0.55), linear(0x6A6864), 0.4),
            material=Material.MATT,
        )
        self.tiles, self.trim = (
            look(chance.choice(TILES)),
            look(chance.choice((0xD8D5CC, 0x8A8782, 0x5B5A58))),
        )
        self.shop, self.glass = look(chance.choice(SHOPS)), look(0x232A2E, Material.GLASS)
        self.pitched = style == "house" or (style == "town" and chance.flag(0.55))
        self.hipped = self.pitched and style == "house" and chance.flag(0.3)
        self.shops = style == "town" and chance.flag(0.6)
        self.solid = Solid()

    def build(self, detail: int) -> Mesh:
        """The mesh of one detail."""
        self.solid = Solid()
        length, depth, height = self.size
        inset = 0.35 if self.pitched else 0.12
        x, y = length / 2 - (inset if self.style == "house" else 0.02), depth / 2 - inset
        rise = (
            min(0.42 * height, depth * (0.34 if self.style == "house" else 0.26))
            if self.pitched
            else 0.35
        )
        eaves, base = height - rise, 0.3 if self.style == "hall" else 0.55
        ends: dict[str, Look | None] = {"-z": None, "+z": None}
        self.solid.box((-x, -y, 0.0), (x, y, base), self.plinth, {"-z": None})
        self.solid.box((-x + 0.03, -y + 0.05, base), (x - 0.03, y - 0.05, eaves), self.wall, ends)
        if self.pitched:
            self._roof(eaves, (length / 2, depth / 2))
        else:
            self.solid.box(
                (-length / 2, -depth / 2, eaves), (length / 2, depth / 2, height), self.trim
            )
        if detail:
            self._fronts(detail, x, y - 0.05)
        return self.solid.build()

    def _roof(self, eaves: float, half: tuple[float, float]) -> None:
        solid, (x, y), top = self.solid, half, self.size[2]
        ridge = max(0.0, x - y) if self.hipped else x
        low = [(-x, -y, eaves), (x, -y, eaves), (x, y, eaves), (-x, y, eaves)]
        solid.face([low[0], low[1], (ridge, 0.0, top), (-ridge, 0.0, top)], self.tiles)
        solid.face([low[2], low[3], (-ridge, 0.0, top), (ridge, 0.0, top)], self.tiles)
        ends = self.tiles if self.hipped else self.plain
        solid.face([low[1], low[2], (ridge, 0.0, top)], ends)
        solid.face([low[3], low[0], (-ridge, 0.0, top)], ends)
        solid.face(low[::-1], self.trim)

    def _fronts(self, detail: int, x: float, y: float) -> None:
        """Shops, doors, gates; a chimney, what stands on flat roofs."""
        solid, chance = self.solid, Chance(self.chance.integer(2**31), "fronts")
        length, depth, height = self.size
        if self.pitched and (self.style == "house" or detail == 2):
            at, side = chance.uniform(-0.3, 0.3) * length, 0.12 * depth
            low = height - 1.3 if self.style == "house" else height - 1.6
            solid.box(
                (at - 0.3, side - 0.28, low),
                (at + 0.3, side + 0.28, height - 0.02),
                self.plinth,
                {"-z": None},
            )
        count = max(1, min(5 if detail == 2 else 2, int(length / 4.2)))
        for index in range(count):
            middle = -x + 2 * x * (index + 0.5) / count
            if self.shops:
                self._opening((middle, 0.86 * x / count), (0.45, 2.75), y, self.glass)
            elif self.style == "hall" and index % 2 == 0:
                self._opening((middle, min(1.9, 0.7 * x / count)), (0.0, 3.6), y, self.trim)
            elif index == count // 2:
                self._opening((middle, 0.55), (0.0, 2.15), y, self.shop)
        if self.shops and height > 4.5:
            self._opening((0.0, 0.97 * x), (2.9, 3.45), y, self.shop)

    def _opening(
        self, span: tuple[float, float], heights: tuple[float, float], y: float, look: Look
    ) -> None:
        """Something flat on both fronts, before wall and plinth."""
        (middle, half), (low, high) = span, heights
        a, b = middle - half, middle + half
        self.solid.decal([(b, y, low), (a, y, low), (a, y, high), (b, y, high)], look, 0.065)
        self.solid.decal([(a, -y, low), (b, -y, low), (b, -y, high), (a, -y, high)], look, 0.065)
