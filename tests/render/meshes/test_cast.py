import time

import numpy as np
import pytest

from perception.render.meshes.cast import build_cast
from perception.render.meshes.vehicles import VEHICLE_KINDS
from perception.render.records import CityId
from tests.render.meshes.checks import check_faces, looks_outwards, winding

CAST = build_cast(3)
PHASES = (-1.0, 0.0, 0.7, 1.6, 2.4, 3.2, 4.1, 5.0, 5.9)
FACES = {"car": (40, 80, 195), "truck": (60, 90, 180), "bus": (70, 80, 160)}
FACES |= {"person": (70, 105, 195), "cyclist": (110, 190, 375)}
CLASSES = {
    "car": {CityId.CAR}, "truck": {CityId.TRUCK}, "bus": {CityId.BUS}, "person": {CityId.PERSON},
    "cyclist": {CityId.RIDER, CityId.BICYCLE},
}  # fmt: skip


def one_of_each():
    found = {}
    for member in (*CAST.vehicles, *CAST.people[:6], *CAST.cyclists[:4]):
        name = member.attributes.get("kind", f"{member.kind} {member.identity}")
        found.setdefault(name, member)
    return [pytest.param(member, id=name) for name, member in found.items()]


def test_identities_are_unique_from_one_on():
    members = [*CAST.vehicles, *CAST.people, *CAST.cyclists]
    assert sorted(member.identity for member in members) == list(range(1, len(members) + 1))
    assert {member.attributes["kind"] for member in CAST.vehicles} == set(VEHICLE_KINDS)


def test_nothing_is_built_before_it_is_asked_for():
    start = time.process_time()
    build_cast(4)
    assert time.process_time() - start < 0.5


def test_the_cast_is_that_of_its_seed():
    again, other = build_cast(3), build_cast(4)
    for index in (0, 7, 31):
        one, two = CAST.vehicles[index], again.vehicles[index]
        assert one.attributes == two.attributes
        np.testing.assert_array_equal(one.mesh(0, 2).vertices_m, two.mesh(0, 2).vertices_m)
        one, two = CAST.people[index], again.people[index]
        np.testing.assert_array_equal(one.mesh(1.0, 2).vertices_m, two.mesh(1.0, 2).vertices_m)
    assert [m.attributes for m in CAST.people] != [m.attributes for m in other.people]


@pytest.mark.parametrize("member", one_of_each())
def test_faces_are_plane_convex_and_few(member):
    for detail in (0, 1, 2):
        mesh = member.mesh(0.9, detail)
        check_faces(mesh, f"detail {detail}")
        assert len(mesh.faces) <= FACES[member.kind][detail]
        assert {CityId(value) for value in mesh.class_ids.tolist()} == CLASSES[member.kind]


@pytest.mark.parametrize("member", one_of_each())
def test_faces_look_outwards(member):
    if member.key_points is None:
        depth_m, allowed = 0.04, 0.02  # mirrors and bars are thinner than that
    else:
        depth_m, allowed = 0.003, 0.15
    outwards = looks_outwards(member.mesh(0.0, 2), depth_m)
    assert (~outwards).mean() <= allowed


@pytest.mark.parametrize("member", one_of_each())
def test_the_size_is_that_of_the_box_around_the_mesh(member):
    places = member.mesh(0.0, 2).vertices_m
    low, high = places.min(axis=0), places.max(axis=0)
    np.testing.assert_allclose(high - low, member.size_lwh_m, atol=1e-9)
    np.testing.assert_allclose((low + high)[:2] / 2, 0, atol=0.01)
    assert abs(low[2]) < 0.01
    for detail in (0, 1):
        other = member.mesh(0.0, detail).vertices_m
        assert (other.max(axis=0) < high + 0.06).all()
        assert (other.min(axis=0) > low - 0.06).all()


@pytest.mark.parametrize("member", [*CAST.people[:10], *CAST.cyclists[:5]])
def test_key_points_are_inside_at_every_phase(member):
    for detail in (0, 1, 2):
        for phase in PHASES:
            inside = winding(member.mesh(phase, detail), member.key_points(phase))
            assert inside.min() > 0.5, (detail, phase, int(inside.argmin()))


@pytest.mark.parametrize("member", [*CAST.people[:3], *CAST.cyclists[:2]])
def test_a_gait_has_the_same_faces_at_every_phase_and_comes_round(member):
    for detail in (0, 1, 2):
        first = member.mesh(0.0, detail)
        for phase in PHASES:
            mesh = member.mesh(phase, detail)
            np.testing.assert_array_equal(mesh.faces, first.faces)
            assert mesh.vertices_m[:, 2].min() > -0.02
    turn = member.mesh(1.0 + 2 * np.pi, 2).vertices_m[-150:] - member.mesh(1.0, 2).vertices_m[-150:]
    assert np.abs(turn).max() < 1e-9
    assert np.abs(member.mesh(1.3, 2).vertices_m - member.mesh(1.0, 2).vertices_m).max() > 0.02


@pytest.mark.parametrize("phase", [0.0, 1.0, np.pi / 2, 3.0])
def test_left_is_left_and_opposite_limbs_swing(phase):
    points = CAST.people[0].key_points(phase)
    assert (points[2::2, 1] > points[3::2, 1]).all()
    forward = points[10:14:2, 0] - points[11:15:2, 0]
    if np.sin(phase) > 0.5:
        assert (forward > 0.05).all()
        assert points[6, 0] < points[7, 0]


def test_front_is_ahead():
    for member in CAST.vehicles[:12]:
        mesh = member.mesh(0.0, 2)
        for material, sign in ((5, 1.0), (6, -1.0)):  # head lamps, tail lamps
            faces = mesh.faces[mesh.materials == material]
            assert len(faces) >= 2
            assert (sign * mesh.vertices_m[faces.ravel(), 0]).min() > 0.3 * member.size_lwh_m[0]
