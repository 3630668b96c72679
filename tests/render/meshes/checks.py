"""Slow, plain checks of meshes."""

import itertools

import numpy as np


def faces_of(mesh):
    """The corners of each face without the repeated last ones."""
    for row in mesh.faces:
        corners = [row[0], *(b for a, b in itertools.pairwise(row) if a != b)]
        yield mesh.vertices_m[corners]


def check_faces(mesh, name=""):
    """Every face is plane within 1e-6 m and convex, and its first three corners say where it looks."""
    assert np.isfinite(mesh.vertices_m).all()
    assert mesh.faces.shape[1] <= 8
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices_m)
    assert (mesh.colours >= 0).all()
    assert (mesh.colours <= 1).all()
    for index, points in enumerate(faces_of(mesh)):
        where = f"{name} face {index}: {points.tolist()}"
        assert len(points) >= 3, where
        first = np.cross(points[1] - points[0], points[2] - points[0])
        assert np.linalg.norm(first) > 1e-7, where
        normal = first / np.linalg.norm(first)
        assert np.abs((points - points[0]) @ normal).max() < 1e-6, where
        edges = np.roll(points, -1, axis=0) - points
        turns = np.cross(edges, np.roll(edges, -1, axis=0)) @ normal
        assert turns.min() > -1e-9, where


def winding(mesh, points):
    """How often the mesh goes around each point: 1 inside a closed solid, 0 outside (van Oosterom and Strackee, 1983)."""
    triangles = np.concatenate(
        [np.stack([p[[0, k, k + 1]] for k in range(1, len(p) - 1)]) for p in faces_of(mesh)]
    )
    a, b, c = (triangles[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    above = (a * np.cross(b, c)).sum(axis=2)
    below = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
    return (2 * np.arctan2(above, below)).sum(axis=1) / (4 * np.pi)


def looks_outwards(mesh, depth_m):
    """Share of faces (by number) behind which, at a depth, the solid is."""
    behind = []
    for points in faces_of(mesh):
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        behind.append(points.mean(axis=0) - depth_m * normal / np.linalg.norm(normal))
    return winding(mesh, np.array(behind)) > 0.4
