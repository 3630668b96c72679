import math

import numpy as np
import pytest

from perception.render.meshes.solids import Look, Solid, bounds_lwh, joined, linear, rigid, turns
from perception.render.records import CityId, Material
from tests.render.meshes.checks import check_faces, looks_outwards, winding

GREY = Look((0.2, 0.3, 0.4), Material.MATT, CityId.POLE)


def ring(z, radius, count=6):
    return [(radius * c, radius * s, z) for c, s in turns(count)]


def loft():
    solid = Solid()
    solid.loft([ring(0.0, 1.0), ring(1.0, 0.5), ring(1.5, 0.7)], GREY)
    return solid.build()


def box():
    solid = Solid()
    solid.box((-1.0, -2.0, 0.0), (1.0, 2.0, 3.0), GREY)
    return solid.build()


def tube():
    solid = Solid()
    solid.tube(((0.0, 0.0, 0.0), (1.0, 2.0, 3.0)), (0.3, 0.1), 10, GREY)
    return solid.build()


@pytest.mark.parametrize("build", [loft, box, tube])
def test_solids_are_closed_and_look_outwards(build):
    mesh = build()
    check_faces(mesh)
    assert looks_outwards(mesh, 0.01).all()
    around = np.array([[5.0, 0, 0], [0, 5.0, 1], [0, 0, 9.0]])
    np.testing.assert_allclose(winding(mesh, around), 0, atol=1e-12)


def test_what_is_not_plane_becomes_triangles_that_bulge():
    solid = Solid()
    corners = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.3), (1.0, 1.0, 0.0), (0.0, 1.0, 0.3)]
    solid.face(corners, GREY)
    mesh = solid.build()
    check_faces(mesh)
    assert len(mesh.faces) == 2
    shared = set(mesh.faces[0]) & set(mesh.faces[1])
    np.testing.assert_allclose(mesh.vertices_m[sorted(shared)][:, 2], 0.3)


def test_corners_that_coincide_are_one_and_faces_without_area_are_none():
    solid = Solid()
    solid.face([(0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], GREY)
    solid.face([(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (2.0, 0.0, 0.0)], GREY)
    assert solid.build().faces.tolist() == [[0, 1, 2]]


def test_a_wide_disc_is_split_so_that_no_face_has_more_than_eight_corners():
    solid = Solid()
    solid.disc(ring(0.0, 1.0, 13), GREY)
    mesh = solid.build()
    check_faces(mesh)
    assert len(mesh.faces) == 2


def test_a_decal_lies_before_its_face_and_its_pair_is_the_mirror_image():
    solid = Solid()
    solid.decal_pair([(1.0, 2.0, 0.0), (0.0, 2.0, 0.0), (0.0, 2.0, 1.0)], GREY, 0.01)
    mesh = solid.build()
    assert sorted(set(mesh.vertices_m[:, 1].tolist())) == [-2.01, 2.01]
    check_faces(mesh)


def test_faces_of_a_box_can_be_left_out_or_differ():
    red = GREY._replace(colour=(0.0, 0.0, 0.9))
    solid = Solid()
    solid.box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), GREY, {"-z": None, "+x": red})
    mesh = solid.build()
    assert len(mesh.faces) == 5
    assert int((mesh.colours[:, 2] > 0.8).sum()) == 1


def test_joined_keeps_every_face():
    mesh = joined([box(), tube()])
    check_faces(mesh)
    assert len(mesh.faces) == len(box().faces) + len(tube().faces)
    assert bounds_lwh(box()) == (2.0, 4.0, 3.0)


def test_a_rigid_mesh_is_built_once_a_detail():
    built = []
    mesh = rigid(lambda detail: built.append(detail) or box())
    assert mesh(0.0, 2) is mesh(1.0, 2)
    mesh(0.0, 0)
    assert built == [2, 0]


def test_colours_are_linear_light_in_bgr():
    assert linear(0xFF0000) == (0.0, 0.0, 1.0)
    assert math.isclose(linear(0x808080)[1], 0.2158605, rel_tol=1e-6)
