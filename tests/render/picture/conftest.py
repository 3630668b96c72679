"""A small scene: a house, a car-like box, a tree-like box and a lamp beside an otherwise empty road."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from perception.render.config import CameraConfig, DriveConfig
from perception.render.labels import build_labels, surfaces
from perception.render.picture.light import build_light
from perception.render.picture.place import find_ground
from perception.render.picture.polygons import Placed
from perception.render.picture.raster import draw
from perception.render.picture.shade import PictureInputs
from perception.render.picture.view import build_camera, build_view
from perception.render.records import (
    CityId,
    FrameLabels,
    Material,
    Mesh,
    Snapshot,
    State,
    Thing,
)
from perception.render.world.road import Road

SIZE_WH = (312, 96)
CORNERS = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (0, 1)]
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (1, 5, 7, 3), (0, 2, 6, 4)]


def box(key, kind, size, material, class_id, colour=(0.4, 0.5, 0.6)):
    half = np.array([size[0] / 2, size[1] / 2, size[2]])
    mesh = Mesh(
        vertices_m=np.array(CORNERS, np.float64) * half,
        faces=np.array(SIDES, np.int32),
        colours=np.tile(np.array([colour], np.float32), (6, 1)),
        materials=np.full(6, material, np.uint8),
        class_ids=np.full(6, class_id, np.uint8),
    )
    return Thing(key, kind, 0, {}, size, lambda phase, detail: mesh)


@dataclass(frozen=True)
class Scene:
    inputs: PictureInputs
    labels: FrameLabels


def things(road: Road, along: float) -> list[Placed]:
    placed = []

    def put(thing, ahead, lateral, speed=0.0):
        x, y = road.place(along + ahead, lateral)
        state = State(x, y, road.heading(along + ahead), speed)
        placed.append((thing, state, state))

    edge = road.edge_m(along)
    put(box(1, "building", (12, 8, 9), Material.FACADE, CityId.BUILDING), 22, edge + 8)
    put(
        box(2, "car", (4.5, 1.8, 1.5), Material.PAINT, CityId.CAR),
        14,
        road.lane_lateral_m(0, True),
        8,
    )
    put(
        box(3, "tree", (3, 3, 6), Material.FOLIAGE, CityId.VEGETATION, (0.05, 0.2, 0.08)),
        17,
        -edge - 3,
    )
    put(box(4, "lamp", (0.3, 0.3, 7), Material.STREET_LAMP, CityId.POLE), 26, -edge - 1)
    put(box(5, "person", (0.5, 0.5, 1.8), Material.CLOTH, CityId.PERSON), 11, -edge - 1)
    put(
        box(6, "car", (4.5, 1.8, 1.5), Material.TAIL_LAMP, CityId.CAR),
        30,
        road.lane_lateral_m(0, False),
        8,
    )
    put(box(7, "sign", (0.1, 0.7, 2.0), Material.SIGN, CityId.TRAFFIC_SIGN), 20, -edge - 2)
    put(
        box(8, "car", (4.5, 1.8, 1.5), Material.GLASS, CityId.CAR),
        45,
        road.lane_lateral_m(0, False),
        8,
    )
    return placed


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    def make(index=0, along=20.0, empty=False, size_wh=SIZE_WH, **changes):
        config = DriveConfig(camera=CameraConfig(size_wh=size_wh), **{"place": "town", **changes})
        road = Road(config)
        placed = [] if empty else things(road, along)
        x, y = road.place(along, road.lane_lateral_m(0, False))
        ego = State(x, y, road.heading(along), 10.0)
        camera = build_camera(config.camera)
        views = build_view(camera, ego), build_view(camera, State(x + 1, y, ego.yaw_rad, 10.0))
        raster, faces = draw(placed, *views)
        ground = find_ground(views[0], road, raster)
        time_s = index / config.fps
        snapshot = Snapshot(time_s, ego, tuple((thing, now) for thing, now, _ in placed))
        class_ids, lanes = surfaces(road, raster, faces, ground)
        inputs = PictureInputs(
            view=views[0], snapshot=snapshot, things=placed, road=road, raster=raster, faces=faces,
            ground=ground, class_ids=class_ids, lanes=lanes,
            light=build_light(config, time_s), config=config, index=index,
        )  # fmt: skip
        return Scene(inputs, build_labels(inputs, views[1]))

    return make
