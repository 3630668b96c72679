"""The rigid parts of a person in the axes of their bones: z along the bone, x forward. Lengths are shares of the stature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from perception.core.types import Float64
from perception.render.meshes.solids import Look, Point, Solid, joined, turns
from perception.render.records import Mesh

BONES = (  # from, to: the z axis of a part points along its bone
    ("pelvis", "neck"), ("neck", "head"),
    ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"), ("right_hip", "right_knee"),
    ("left_knee", "left_ankle"), ("right_knee", "right_ankle"),
    ("left_ankle", "left_toe"), ("right_ankle", "right_toe"),
    ("pelvis", "seat"),
)  # fmt: skip
TORSO, HEAD, ARMS, FOREARMS, THIGHS, SHANKS, FEET, SEAT = (
    0,
    1,
    (2, 3),
    (4, 5),
    (6, 7),
    (8, 9),
    (10, 11),
    12,
)
Joints = Mapping[str, Point]


@dataclass(frozen=True, slots=True)
class Dress:
    """What a person looks like.

    Attributes:
        stature: height without shoes and hair, m.
        girth: 1 is usual.
        upper, lower, skin, hair, shoes, bag, hat: looks.
        sleeves, legs: whether they are long.
        coat, skirt: whether the person wears one.
        carries: ``none``, ``backpack`` or ``handbag``.
        covered: ``hair``, ``long hair``, ``cap``, ``hat`` or ``helmet``.
    """

    stature: float
    girth: float
    upper: Look
    lower: Look
    skin: Look
    hair: Look
    shoes: Look
    bag: Look
    hat: Look
    sleeves: bool
    legs: bool
    coat: bool
    skirt: bool
    carries: str
    covered: str


Ring = tuple[
    float, float, float, float
]  # place along the bone, half depth, half width, shift forward; shares of the stature


def _octagon(depth: float, width: float) -> list[tuple[float, float]]:
    """A rectangle without its corners, which are cut at 45 degrees."""
    cut = 0.55 * min(depth, width)
    a, b = depth - cut, width - cut
    return [
        (depth, -b),
        (depth, b),
        (a, width),
        (-a, width),
        (-depth, b),
        (-depth, -b),
        (-a, -width),
        (a, -width),
    ]


class _Part:
    """A part of the body in the making."""

    def __init__(self, bone: int, scale: float) -> None:
        self.bone, self.scale, self.solid = bone, scale, Solid()

    def rings(self, rings: Sequence[Ring], count: int) -> list[list[Point]]:
        """Outlines about the bone; faces between two of them are plane where the count is 4 or 8, or the shapes are similar."""
        scale = self.scale
        if count == 8:
            return [
                [((x + dx) * scale, dy * scale, z * scale) for dx, dy in _octagon(depth, width)]
                for z, depth, width, x in rings
            ]
        steps = turns(count, 0.5 if count % 2 == 0 else 0.0)
        if count == 4:
            steps = [(0.87, 0.87), (-0.87, 0.87), (-0.87, -0.87), (0.87, -0.87)]
        return [
            [((x + c * depth) * scale, s * width * scale, z * scale) for c, s in steps]
            for z, depth, width, x in rings
        ]

    def limb(self, rings: Sequence[Ring], count: int, look: Look, *, closed: bool = True) -> None:
        """Add a skin about the bone."""
        self.solid.loft(self.rings(rings, count), look, (closed, closed))

    def box(self, low: Point, high: Point, look: Look) -> None:
        """Add a box, corners in shares of the stature."""
        first, last = (
            (p[0] * self.scale, p[1] * self.scale, p[2] * self.scale) for p in (low, high)
        )
        self.solid.box(first, last, look)


def assemble(dress: Dress, detail: int) -> tuple[Mesh, Float64]:
    """All parts in the axes of their bones, and the bone of each vertex."""
    parts = [_torso(dress, detail), _head(dress, detail)]
    if dress.coat or dress.skirt:
        parts.append(_hem(dress, detail))
    for bones, build in ((ARMS, _arm), (FOREARMS, _forearm), (THIGHS, _thigh), (SHANKS, _shank)):
        parts += [build(dress, detail, bone) for bone in bones]
    if detail:
        parts += [_foot(dress, bone) for bone in FEET]
    meshes = [part.solid.build() for part in parts]
    owners = [
        np.full(len(m.vertices_m), part.bone, np.float64)
        for m, part in zip(meshes, parts, strict=True)
    ]
    return joined(meshes), np.concatenate(owners)


def _torso(dress: Dress, detail: int) -> _Part:
    part, wide = _Part(TORSO, dress.stature), dress.girth * (1.08 if dress.coat else 1.0)
    hips: Ring = (0.01, 0.068 * wide, 0.096 * wide, 0.0)
    seat: Ring = (-0.06, 0.056 * wide, 0.084 * wide, 0.0)
    waist: Ring = (0.10, 0.058 * wide, 0.086 * wide, 0.0)
    chest: Ring = (0.225, 0.066 * wide, 0.106 * wide, 0.0)
    shoulders: Ring = (0.29, 0.046 * wide, 0.094 * wide, 0.0)
    neck: Ring = (0.328, 0.032, 0.042, 0.0)
    below = dress.upper if dress.coat else dress.lower
    if detail == 2:
        rings = part.rings((seat, hips, waist, chest, shoulders, neck), 8)
    else:
        rings = part.rings((seat, hips, shoulders, neck) if detail else (seat, hips, neck), 4)
        if not detail:
            rings[-1] = [(x * 1.5, y * 1.8, z) for x, y, z in rings[-1]]
    part.solid.loft(rings[:2], below, (True, False))
    part.solid.loft(rings[1:], dress.upper, (False, True))
    if dress.carries == "backpack":
        part.box((-0.155, -0.075, 0.08), (-0.055, 0.075, 0.28), dress.bag)
    elif dress.carries == "handbag":
        part.box((-0.07, 0.115, -0.06), (0.07, 0.155, 0.045), dress.bag)
        if detail == 2:
            part.box((-0.008, 0.112, 0.045), (0.008, 0.122, 0.25), dress.bag)
    return part


def _head(dress: Dress, detail: int) -> _Part:
    size = 1.0 + 0.35 * max(0.0, 1.5 - dress.stature)
    part = _Part(HEAD, dress.stature)
    count = 8 if detail == 2 else 4

    def ring(z: float, depth: float, width: float, x: float = 0.0) -> Ring:
        return (z * size, depth * size, width * size, x)

    covering = dress.hair if dress.covered in {"hair", "long hair"} else dress.hat
    skull = part.rings(
        [
            ring(0.03, 0.038, 0.03, 0.008),
            ring(0.062, 0.053, 0.041, 0.004),
            ring(0.105, 0.06, 0.047),
        ],
        count,
    )
    if not detail:
        skull = [skull[0], skull[2]]
    for low, high in pairwise(skull):
        for index, last in enumerate((count - 1, *range(count - 1))):
            ahead = low[index][0] + low[last][0] > -0.01
            look = dress.skin if ahead else dress.hair
            part.solid.face([low[last], low[index], high[index], high[last]], look)
    part.solid.face(skull[0][::-1], dress.skin)
    bulge = 1.12 if dress.covered == "helmet" else 1.04
    top = [
        ring(0.105, 0.06 * bulge, 0.047 * bulge),
        ring(0.143 * bulge**0.5, 0.04 * bulge, 0.032 * bulge, -0.002),
    ]
    part.solid.loft(part.rings(top, count), covering, (False, True))
    if detail == 2:
        part.limb(
            [(-0.02, 0.027, 0.027, 0.0), (0.045, 0.027, 0.027, 0.0)], 4, dress.skin, closed=False
        )
    if dress.covered == "hat":
        part.limb([ring(0.108, 0.092, 0.08), ring(0.114, 0.088, 0.076)], count, covering)
    elif dress.covered == "cap" and detail:
        part.box(
            (0.045 * size, -0.035 * size, 0.104 * size),
            (0.105 * size, 0.035 * size, 0.112 * size),
            covering,
        )
    elif dress.covered == "long hair":
        part.box(
            (-0.068 * size, -0.045 * size, -0.01),
            (-0.02 * size, 0.045 * size, 0.11 * size),
            dress.hair,
        )
    return part


def _hem(dress: Dress, detail: int) -> _Part:
    """The part of a coat or skirt below the hips."""
    part, wide = _Part(SEAT, dress.stature), dress.girth
    count = 8 if detail == 2 else 4
    if dress.coat:
        rings: list[Ring] = [
            (-0.03, 0.074 * wide, 0.106 * wide, 0.0),
            (0.2, 0.115 * wide, 0.118 * wide, 0.0),
        ]
        part.limb(rings, count, dress.upper)
    else:
        part.limb(
            [(0.0, 0.07 * wide, 0.1 * wide, 0.0), (0.21, 0.115 * wide, 0.122 * wide, 0.0)],
            count,
            dress.lower,
        )
    return part


def _sides(detail: int) -> int:
    return {2: 6, 1: 4, 0: 3}[detail]


def _arm(dress: Dress, detail: int, bone: int) -> _Part:
    part, wide = _Part(bone, dress.stature), dress.girth * (1.12 if dress.sleeves else 1.0)
    rings: list[Ring] = [
        (-0.016, 0.026 * wide, 0.026 * wide, 0.0),
        (0.19, 0.028 * wide, 0.028 * wide, 0.0),
    ]
    part.limb(rings, min(_sides(detail), 5), dress.upper, closed=detail == 2)
    return part


def _forearm(dress: Dress, detail: int, bone: int) -> _Part:
    part, wide = _Part(bone, dress.stature), dress.girth * (1.12 if dress.sleeves else 1.0)
    rings: list[Ring] = [
        (-0.015, 0.028 * wide, 0.028 * wide, 0.0),
        (0.158, 0.021 * wide, 0.021 * wide, 0.0),
    ]
    part.limb(
        rings,
        min(_sides(detail), 5),
        dress.upper if dress.sleeves else dress.skin,
        closed=detail == 2,
    )
    if detail:
        hand: list[Ring] = [(0.145, 0.022, 0.015, 0.0), (0.235, 0.022, 0.012, 0.006)]
        outlines = part.rings(hand, 4)
        part.solid.loft(outlines, dress.skin, (False, True))
    return part


def _thigh(dress: Dress, detail: int, bone: int) -> _Part:
    part, wide = _Part(bone, dress.stature), dress.girth
    rings: list[Ring] = [
        (-0.025, 0.056 * wide, 0.05 * wide, 0.0),
        (0.262, 0.042 * wide, 0.0375 * wide, 0.0),
    ]
    part.limb(rings, _sides(detail), dress.skin if dress.skirt else dress.lower, closed=detail == 2)
    return part


def _shank(dress: Dress, detail: int, bone: int) -> _Part:
    part, wide = _Part(bone, dress.stature), dress.girth * (1.12 if dress.legs else 0.95)
    rings: list[Ring] = [
        (-0.02, 0.041 * wide, 0.039 * wide, -0.002),
        (0.25, 0.0273 * wide, 0.026 * wide, 0.0),
    ]
    if detail == 0:
        rings[-1] = (0.28, 0.028 * wide, 0.028 * wide, 0.0)
    part.limb(rings, _sides(detail), dress.lower if dress.legs else dress.skin, closed=detail > 0)
    return part


def _foot(dress: Dress, bone: int) -> _Part:
    """A shoe: z is forward, x up."""
    part, scale = _Part(bone, dress.stature), dress.stature
    rings = []
    for z, top, half in ((-0.045, 0.0, 0.027), (0.12, -0.028, 0.027)):
        ring = [(-0.05, half), (-0.05, -half), (top, -half), (top, half)]
        rings.append([(x * scale, y * scale, z * scale) for x, y in ring])
    part.solid.loft([ring[::-1] for ring in rings], dress.shoes)
    return part
