"""Cyclists: a bicycle, and a rider whose feet go round with the pedals."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perception.core.types import Float64
from perception.render.meshes.parts.body import Joints
from perception.render.meshes.parts.figure import Figure
from perception.render.meshes.people import chosen, draw_dress
from perception.render.meshes.solids import Look, MeshOf, Point, Solid, joined, linear, turns
from perception.render.records import CityId, Material, Mesh
from perception.render.world.chance import Chance

FRAMES = {
    "black": 0x1C1D20, "blue": 0x24518F, "red": 0xA32428, "white": 0xDDDDD8, "green": 0x2F6B45, "silver": 0xA5A9AC,
    "orange": 0xC8641E,
}  # fmt: skip
WHEEL_M, AXLE_M = 0.34, 0.53  # radius; distance of each axle from the middle
CRANK_M = 0.17
PEDALS = (-0.06, 0.29)  # x and z of the axle of the pedals
PEDAL_Y_M = 0.11
GRIP = (0.34, 0.25, 1.03)  # the left hand's place


@dataclass(frozen=True, slots=True)
class _Bicycle:
    """Looks of a bicycle, and the height of its saddle."""

    frame: Look
    tyre: Look
    metal: Look
    saddle_m: float


def draw_cyclist(chance: Chance) -> tuple[dict[str, str], MeshOf, Callable[[float], Float64]]:
    """What can be told of a cyclist, the mesh and the key points."""
    attributes, dress = draw_dress(chance, CityId.RIDER, riding=True)
    word = chance.choice(tuple(FRAMES), (5.0, 3.0, 2.5, 2.0, 1.5, 2.0, 0.8))
    stature = dress.stature
    bicycle = _Bicycle(
        Look(linear(FRAMES[word]), Material.PAINT, CityId.BICYCLE),
        Look(linear(0x1B1B1C), Material.MATT, CityId.BICYCLE),
        Look(linear(0x8C8F92), Material.MATT, CityId.BICYCLE),
        0.94 + 0.5 * (stature - 1.72),
    )
    figure, lean = Figure(dress), chance.uniform(0.42, 0.72)
    built: dict[int, tuple[Mesh, Float64]] = {}

    def mesh(phase_rad: float, detail: int) -> Mesh:
        if detail not in built:
            built[detail] = _build(bicycle, detail)
        rider = figure.mesh(_pose(stature, bicycle.saddle_m, lean, phase_rad), detail)
        return joined([_turned(*built[detail], phase_rad), rider])

    def key_points(phase_rad: float) -> Float64:
        return chosen(_pose(stature, bicycle.saddle_m, lean, phase_rad))

    return {**attributes, "bicycle": word}, mesh, key_points


def _crank(phase_rad: float) -> float:
    """Angle of the left pedal, from ahead downwards; below phase 0 it stands level."""
    return max(phase_rad, 0.0)


def _pose(stature: float, saddle_m: float, lean: float, phase_rad: float) -> Joints:
    """Where the rider's joints are."""
    h = stature
    joints: dict[str, Point] = {}
    pelvis = (-0.24, 0.0, saddle_m + 0.065 * h)
    back = (math.sin(lean), math.cos(lean))

    def up(length: float, y: float) -> Point:
        return (pelvis[0] + back[0] * length * h, y, pelvis[2] + back[1] * length * h)

    joints["pelvis"], joints["neck"] = pelvis, up(0.315, 0.0)
    neck = joints["neck"]
    joints["head"] = (neck[0] + 0.045 * h, 0.0, neck[2] + 0.074 * h)
    joints["seat"] = (pelvis[0], 0.0, pelvis[2] - 0.03 * h)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder = up(0.278, sign * 0.112 * h)
        wrist = (GRIP[0] - 0.06, sign * GRIP[1], GRIP[2] + 0.05)
        joints[f"{side}_shoulder"] = shoulder
        joints[f"{side}_elbow"], joints[f"{side}_wrist"] = _bent(
            shoulder, wrist, (0.172 * h, 0.15 * h), forward=-1.0
        )
        angle = _crank(phase_rad) + (0.0 if sign > 0 else math.pi)
        pedal_x, pedal_z = (
            PEDALS[0] + CRANK_M * math.cos(angle),
            PEDALS[1] - CRANK_M * math.sin(angle),
        )
        hip = (pelvis[0] + 0.01, sign * 0.055 * h, pelvis[2] - 0.02)
        ankle = (pedal_x - 0.05 * h, sign * PEDAL_Y_M, pedal_z + 0.062 * h)
        joints[f"{side}_hip"] = hip
        knee, ankle = _bent(hip, ankle, (0.245 * h, 0.235 * h), forward=1.0)
        joints[f"{side}_knee"], joints[f"{side}_ankle"] = knee, ankle
        joints[f"{side}_toe"] = (ankle[0] + 0.098 * h, ankle[1], ankle[2] - 0.02 * h)
    return joints


def _bent(
    start: Point, end: Point, lengths: tuple[float, float], forward: float
) -> tuple[Point, Point]:
    """Middle and end of a limb of two bones that goes to a point, or towards it where that is too far.

    Args:
        start: where the limb begins.
        end: where it should end.
        lengths: of its bones.
        forward: 1 where the middle joint points forward and up, -1 where backward and down.
    """
    first, second = lengths
    dx, dy, dz = (q - p for p, q in zip(start, end, strict=True))
    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
    used = min(distance, 0.995 * (first + second))
    dx, dy, dz = dx / distance, dy / distance, dz / distance
    along = (first * first - second * second + used * used) / (2.0 * used)
    off = math.sqrt(max(0.0, first * first - along * along))
    flat = math.sqrt(dx * dx + dz * dz)
    nx, nz = -dz / flat * forward, dx / flat * forward  # across the limb, without a sideways part
    middle = (
        start[0] + dx * along + nx * off,
        start[1] + dy * along,
        start[2] + dz * along + nz * off,
    )
    return middle, (start[0] + dx * used, start[1] + dy * used, start[2] + dz * used)


def _build(bicycle: _Bicycle, detail: int) -> tuple[Mesh, Float64]:
    """The bicycle at phase 0, and which vertices turn: 0 none, 1 and 2 the wheels, 3 the cranks."""
    still, rear, front, cranks = Solid(), Solid(), Solid(), Solid()
    _frame(still, bicycle, detail)
    for solid, x in ((rear, -AXLE_M), (front, AXLE_M)):
        _wheel(solid, x, bicycle, detail)
    if detail:
        for sign in (1.0, -1.0):
            end = (PEDALS[0] + sign * CRANK_M, sign * PEDAL_Y_M * 0.7, PEDALS[1])
            start = (PEDALS[0], sign * PEDAL_Y_M * 0.5, PEDALS[1])
            cranks.tube((start, end), (0.013, 0.013), 3, bicycle.metal)
            y0, y1 = sorted((sign * PEDAL_Y_M * 0.6, sign * PEDAL_Y_M * 1.4))
            cranks.box(
                (end[0] - 0.04, y0, end[2] - 0.012),
                (end[0] + 0.04, y1, end[2] + 0.012),
                bicycle.tyre,
            )
    parts = [solid.build() for solid in (still, rear, front, cranks) if len(solid)]
    turning = [np.full(len(part.vertices_m), index, np.float64) for index, part in enumerate(parts)]
    return joined(parts), np.concatenate(turning)


def _frame(solid: Solid, bicycle: _Bicycle, detail: int) -> None:
    pedals, head, seat = (
        (PEDALS[0], 0.0, PEDALS[1]),
        (0.33, 0.0, 0.86),
        (-0.2, 0.0, bicycle.saddle_m - 0.08),
    )
    foot, rear, front = (0.37, 0.0, 0.66), (-AXLE_M, 0.0, WHEEL_M), (AXLE_M, 0.0, WHEEL_M)
    top = (-0.185, 0.0, 0.8)
    tubes = [(pedals, seat), (pedals, foot), (head, front), (top, rear), (top, head)]
    if detail:
        tubes += [(pedals, rear)]
    sides = 4 if detail == 2 else 3
    for one, other in tubes:
        solid.tube((one, other), (0.02, 0.02), sides, bicycle.frame, closed=False)
    stem = (GRIP[0] - 0.06, 0.0, GRIP[2] + 0.01)
    solid.tube((head, stem), (0.018, 0.018), 3, bicycle.metal, closed=False)
    solid.tube(
        ((stem[0], -0.3, stem[2]), (stem[0], 0.3, stem[2])),
        (0.018, 0.018),
        3,
        bicycle.tyre,
        closed=detail > 0,
    )
    z = bicycle.saddle_m
    solid.box((-0.34, -0.07, z - 0.06), (-0.08, 0.07, z), bicycle.tyre)
    if detail == 2:
        solid.box(
            (-0.62, -0.006, 0.72),
            (-0.56, 0.006, 0.76),
            Look(linear(0x8C1414), Material.TAIL_LAMP, CityId.BICYCLE),
        )
        solid.box(
            (0.36, -0.03, 0.9),
            (0.41, 0.03, 0.96),
            Look(linear(0xDFE3E6), Material.HEAD_LAMP, CityId.BICYCLE),
        )
        for low, high in ((-0.62, -0.22), (-0.62, -0.57)):
            solid.box((low, -0.05, 0.70), (high, 0.05, 0.715), bicycle.metal)


def _wheel(solid: Solid, x: float, bicycle: _Bicycle, detail: int) -> None:
    """A tyre of triangular section with two spokes; a flat ring in detail 0."""
    count = {2: 12, 1: 9, 0: 6}[detail]
    outer = [(x + WHEEL_M * s, 0.0, WHEEL_M - WHEEL_M * c) for c, s in turns(count)]
    inner = WHEEL_M - 0.05
    left = [(x + inner * s, 0.02, WHEEL_M - inner * c) for c, s in turns(count)]
    right = [(px, -y, z) for px, y, z in left]
    for index in range(count):
        solid.face(
            [left[index - 1], outer[index - 1], outer[index], left[index]][::-1], bicycle.tyre
        )
        solid.face([right[index - 1], outer[index - 1], outer[index], right[index]], bicycle.tyre)
        if detail == 2:
            solid.face(
                [left[index], right[index], right[index - 1], left[index - 1]][::-1], bicycle.metal
            )
    if detail == 2:
        hub = (x, 0.0, WHEEL_M)
        for index in range(0, count, 2):
            solid.tube(
                (hub, (left[index][0], 0.0, left[index][2])),
                (0.006, 0.006),
                3,
                bicycle.metal,
                closed=False,
            )


def _turned(mesh: Mesh, turning: Float64, phase_rad: float) -> Mesh:
    """The bicycle with its wheels and cranks turned forward."""
    angle = _crank(phase_rad)
    wheels = angle * 2.1
    places = mesh.vertices_m.copy()
    for index, centre, turn in (
        (1.0, (-AXLE_M, WHEEL_M), wheels), (2.0, (AXLE_M, WHEEL_M), wheels), (3.0, PEDALS, angle),
    ):  # fmt: skip
        which = turning == index
        x, z = mesh.vertices_m[which, 0] - centre[0], mesh.vertices_m[which, 2] - centre[1]
        cosine, sine = math.cos(turn), math.sin(turn)
        places[which, 0] = centre[0] + cosine * x + sine * z
        places[which, 2] = centre[1] + cosine * z - sine * x
    return Mesh(places, mesh.faces, mesh.colours, mesh.materials, mesh.class_ids)
