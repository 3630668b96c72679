"""Lamps at night: beams of head lamps, pools under street lamps, on the ground and on things."""

from dataclasses import dataclass
from math import cos, sin

import cv2
import numpy as np

from perception.core.types import Float32
from perception.render.picture.light import BEAM_BGR, LAMP_BGR
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.picture.view import transform, world_from_mesh
from perception.render.records import Material

OFF = 0.02  # below this share lamps light nothing that could be seen
STREET_LAMPS = 12  # so many of the nearest light the ground
THING_LAMPS = 5  # and things
CARS = 6  # and so many cars
STREET_POWER = 0.85  # light below a lamp 1 m above the ground, if it were so
BEAM_POWER = 0.13  # of the ego's beam, on a surface that faces it, 10 m ahead
COARSE = 4  # soft light is worked out for one pixel in so many, along each side


@dataclass(frozen=True, slots=True)
class _Beam:
    """A pair of head lamps: place, direction and power."""

    x_m: float
    y_m: float
    yaw_rad: float
    power: float


def lamp_light(inputs: PictureInputs, top: int) -> Float32 | None:
    """Light of lamps on the ground, ``float32[h, W, 3]`` of the rows from `top` on; ``None`` while they are off."""
    if inputs.light.lamps < OFF:
        return None
    rows = slice(top + COARSE // 2, None, COARSE)
    columns = slice(COARSE // 2, None, COARSE)
    height, width = inputs.ground.depth_m[top:].shape
    rays = inputs.view.rays[rows, columns]
    with np.errstate(divide="ignore"):
        depth = np.float32(inputs.view.centre_m[2]) / np.maximum(-rays[..., 2], np.float32(1e-4))
    centre = inputs.view.centre_m.astype(np.float32)
    x_m, y_m = centre[0] + rays[..., 0] * depth, centre[1] + rays[..., 1] * depth
    beams = np.zeros_like(x_m)
    for beam in _beams(inputs):
        ahead, left = _turned(x_m - np.float32(beam.x_m), y_m - np.float32(beam.y_m), beam.yaw_rad)
        beams += _on_ground(ahead, left) * np.float32(beam.power)
    pools = np.zeros_like(x_m)
    for x, y, z in _street_lamps(inputs):
        square = np.square(x_m - np.float32(x)) + np.square(y_m - np.float32(y)) + np.float32(z * z)
        pools += np.float32(STREET_POWER * z) / (square * np.sqrt(square)) * np.float32(z * 0.9)
    light = beams[..., None] * np.array(BEAM_BGR, np.float32)
    light += pools[..., None] * np.array(LAMP_BGR, np.float32)
    light *= np.float32(inputs.light.lamps)
    grown = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown, np.float32)


def lamp_light_on_things(
    inputs: PictureInputs, points_m: Float32, normals: Float32
) -> Float32 | None:
    """Light of lamps on surfaces, ``float32[N, 3]``; ``None`` while they are off.

    Args:
        inputs: of the picture.
        points_m: ``float32[N, 3]``, world.
        normals: ``float32[N, 3]``, world.
    """
    if inputs.light.lamps < OFF:
        return None
    x_m, y_m, z_m = np.ascontiguousarray(points_m.T)
    normal_x, normal_y, normal_z = np.ascontiguousarray(normals.T)
    total = np.zeros((len(points_m), 3), np.float32)
    ego = ego_beam(inputs)
    ahead, left = _turned(x_m - np.float32(ego.x_m), y_m - np.float32(ego.y_m), ego.yaw_rad)
    facing = -(normal_x * np.float32(cos(ego.yaw_rad)) + normal_y * np.float32(sin(ego.yaw_rad)))
    facing = np.clip(facing * np.float32(0.85) + np.float32(0.15), 0.02, 1)
    above = np.clip((z_m - np.float32(0.75)) / (np.float32(0.25) + ahead * np.float32(0.03)), 0, 1)
    beam = _fan(ahead, left) * facing * (1 - np.float32(0.93) * above)
    beam *= np.float32(BEAM_POWER * 110) / (np.float32(60) + np.square(ahead))
    total += beam[:, None] * np.array(BEAM_BGR, np.float32)
    pools = np.zeros_like(x_m)
    for x, y, z in _street_lamps(inputs)[:THING_LAMPS]:
        dx, dy, dz = np.float32(x) - x_m, np.float32(y) - y_m, np.float32(z) - z_m
        square = dx * dx + dy * dy + dz * dz + np.float32(0.5)
        root = np.sqrt(square)
        facing = (normal_x * dx + normal_y * dy + normal_z * dz) / root
        down = np.clip(dz / root + np.float32(0.05), 0, 1)
        pools += np.maximum(facing * np.float32(0.8) + np.float32(0.2), 0) * down / square
    total += (pools * np.float32(STREET_POWER * 2.4))[:, None] * np.array(LAMP_BGR, np.float32)
    total *= np.float32(inputs.light.lamps)
    return total


def ego_beam(inputs: PictureInputs) -> _Beam:
    """The ego's own head lamps, at its front."""
    ego = inputs.snapshot.ego
    x, y = ego.x_m + 1.2 * cos(ego.yaw_rad), ego.y_m + 1.2 * sin(ego.yaw_rad)
    return _Beam(x, y, ego.yaw_rad, BEAM_POWER)


def _beams(inputs: PictureInputs) -> list[_Beam]:
    """Head lamps that light the ground: the ego's, and those of the nearest cars."""
    ego = inputs.snapshot.ego
    found = []
    for thing, now, _ in inputs.things:
        distance = abs(now.x_m - ego.x_m) + abs(now.y_m - ego.y_m)
        if thing.kind in {"car", "truck", "bus"} and not now.parked and distance < 90:
            reach = thing.size_lwh_m[0] / 2
            x, y = now.x_m + reach * cos(now.yaw_rad), now.y_m + reach * sin(now.yaw_rad)
            found.append((distance, _Beam(x, y, now.yaw_rad, BEAM_POWER * 0.6)))
    found.sort(key=lambda pair: pair[0])
    return [ego_beam(inputs), *(beam for _, beam in found[:CARS])]


def _street_lamps(inputs: PictureInputs) -> list[tuple[float, float, float]]:
    """Places of the nearest street lamps, from the faces that shine."""
    ego = inputs.snapshot.ego
    found = []
    for thing, now, _ in inputs.things:
        distance = abs(now.x_m - ego.x_m) + abs(now.y_m - ego.y_m)
        if thing.kind not in {"lamp", "street_lamp"} or distance > 110:
            continue
        mesh = thing.mesh(0.0, 2)
        shining = mesh.faces[mesh.materials == Material.STREET_LAMP]
        if shining.size:
            middle = mesh.vertices_m[shining.reshape(-1)].mean(axis=0, keepdims=True)
            x, y, z = transform(world_from_mesh(now), middle)[0].tolist()
            found.append((distance, (x, y, max(z, 2.0))))
    found.sort(key=lambda pair: pair[0])
    return [place for _, place in found[:STREET_LAMPS]]


def _turned(dx: Float32, dy: Float32, yaw_rad: float) -> tuple[Float32, Float32]:
    c, s = np.float32(cos(yaw_rad)), np.float32(sin(yaw_rad))
    return dx * c + dy * s, dy * c - dx * s


def _fan(ahead: Float32, left: Float32) -> Float32:
    """Share of a beam by direction: wide near, and more of it to the right, as right-hand traffic has it."""
    ratio = (left + np.float32(0.03) * ahead) / (
        np.float32(1.3) + np.float32(0.30) * np.maximum(ahead, 0)
    )
    fan: Float32 = np.exp(-np.square(ratio)) * np.clip(ahead * np.float32(0.6), 0, 1)
    return fan


def _on_ground(ahead: Float32, left: Float32) -> Float32:
    """Low beam on the road, 1 where it is brightest."""
    far = np.clip(ahead * np.float32(1 / 30), 0, 8)
    lit: Float32 = (
        _fan(ahead, left) * np.clip((ahead - 1) * np.float32(0.14), 0, 1) / (1 + far * far)
    )
    return lit
