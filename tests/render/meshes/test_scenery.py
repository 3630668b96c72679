import numpy as np
import pytest

from perception.render.meshes import scenery
from perception.render.records import CityId, Material
from perception.render.world.chance import Chance
from tests.render.meshes.checks import check_faces, faces_of, looks_outwards

ABOUT_A_POST = {
    "sign",
    "direction sign",
    "traffic light",
    "traffic light arm",
    "lamp",
    "lamp top",
    "pole",
    "wires",
    "bus stop",
}
CASES = {
    "broadleaf": lambda c: scenery.build_tree(c, 9.0, "broadleaf"),
    "conifer": lambda c: scenery.build_tree(c, 11.0, "conifer"),
    "poplar": lambda c: scenery.build_tree(c, 12.0, "poplar"),
    "bush": lambda c: scenery.build_bush(c, 1.3),
    "hedge": lambda c: scenery.build_hedge(c, 8.0, 1.5),
    "town": lambda c: scenery.build_building(c, 14.0, 10.0, 12.0, "town"),
    "house": lambda c: scenery.build_building(c, 11.0, 9.0, 7.5, "house"),
    "hall": lambda c: scenery.build_building(c, 30.0, 18.0, 7.0, "hall"),
    "fence": lambda c: scenery.build_fence(c, 6.0, 1.2),
    "rail": lambda c: scenery.build_guard_rail(c, 8.0),
    "bin": scenery.build_bin,
    "bus stop": scenery.build_bus_stop,
    "post": scenery.build_post,
    "pole": lambda c: scenery.build_pole(c, 1.0),
    "wires": lambda c: scenery.build_pole(c, 8.0),
    "lamp": lambda c: scenery.build_lamp(c, 8.0),
    "lamp top": lambda c: scenery.build_lamp(c, 4.5, 0.0),
    "sign": scenery.build_sign,
    "direction sign": lambda c: scenery.build_sign(c, "direction"),
    "traffic light": lambda c: scenery.build_traffic_light(c, "red"),
    "traffic light arm": lambda c: scenery.build_traffic_light(c, "green", 4.0),
}
MOST_FACES = 165


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_faces_are_plane_convex_and_few(name, seed):
    size, mesh = CASES[name](Chance(seed, name))
    counts = []
    for detail in (0, 1, 2):
        built = mesh(0.0, detail)
        check_faces(built, f"{name} {detail}")
        assert mesh(1.0, detail) is built
        counts.append(len(built.faces))
    assert counts == sorted(counts)
    assert counts[2] <= MOST_FACES
    low, high = built.vertices_m.min(axis=0), built.vertices_m.max(axis=0)
    np.testing.assert_allclose(low[2], 0, atol=0.01)
    if name not in ABOUT_A_POST:
        np.testing.assert_allclose(high - low, size, atol=0.01)
        np.testing.assert_allclose((low + high)[:2] / 2, 0, atol=0.01)
    half = np.array(size[:2]) / 2 + 0.01
    assert (np.maximum(-low[:2], high[:2]) <= half).all()
    assert abs(high[2] - size[2]) < 0.01


@pytest.mark.parametrize("name", CASES)
def test_the_same_chance_gives_the_same_mesh_in_any_order(name):
    (_, one), (_, two) = CASES[name](Chance(5, name)), CASES[name](Chance(5, name))
    one(0.0, 0)
    np.testing.assert_array_equal(one(0.0, 2).vertices_m, two(0.0, 2).vertices_m)
    np.testing.assert_array_equal(one(0.0, 2).colours, two(0.0, 2).colours)


@pytest.mark.parametrize(
    "name", ["town", "house", "hall", "bush", "hedge", "poplar", "bin", "lamp", "wires", "pole"]
)
def test_faces_look_outwards(name):
    depth_m = 0.1 if name in {"town", "house", "hall"} else 0.02
    _, mesh = CASES[name](Chance(0, name))
    assert looks_outwards(mesh(0.0, 2), depth_m).mean() > 0.85


@pytest.mark.parametrize("kind", [*scenery.SIGNS, "direction"])
def test_signs_face_who_drives_towards_them(kind):
    _, build = scenery.build_sign(Chance(1), kind)
    mesh = build(0.0, 2)
    shown = [
        np.cross(points[1] - points[0], points[2] - points[0])
        for points, material in zip(faces_of(mesh), mesh.materials, strict=True)
        if material == Material.SIGN
    ]
    assert len(shown) >= 2
    assert all(normal[0] < 0 and abs(normal[1]) + abs(normal[2]) < 1e-9 for normal in shown)


def test_thin_plates_have_two_sides():
    _, build = scenery.build_sign(Chance(1), "parking")
    mesh = build(0.0, 2)
    across = [np.cross(p[1] - p[0], p[2] - p[0])[0] for p in faces_of(mesh)]
    plates = mesh.class_ids == CityId.TRAFFIC_SIGN
    assert (np.array(across)[plates] > 1e-3).any()


def test_one_light_is_lit():
    colours = {}
    for state in ("red", "amber", "green"):
        mesh = scenery.build_traffic_light(Chance(1), state)[1](0.0, 2)
        lit = mesh.colours[mesh.materials == Material.SIGN]
        assert len(lit) == 1
        colours[state] = lit[0]
    assert colours["red"][2] > 0.8 > colours["red"][1]
    assert colours["green"][1] > 0.5 > colours["green"][2]


def test_lamps_shine_downwards():
    mesh = scenery.build_lamp(Chance(1), 8.0)[1](0.0, 0)
    assert (mesh.materials == Material.STREET_LAMP).any()
