"""People who walk: what they wear, and where their joints are at each phase of the gait."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from perception.core.labels import KEY_POINTS
from perception.core.types import Float64
from perception.render.meshes.parts.body import Dress, Joints
from perception.render.meshes.parts.figure import Figure
from perception.render.meshes.solids import Look, MeshOf, Point, linear, tinted
from perception.render.records import CityId, Material, Mesh
from perception.render.world.chance import Chance

CLOTHES = {
    "black": 0x1E1F22, "grey": 0x5A5D61, "white": 0xDAD8D2, "blue": 0x2F4A7C, "navy": 0x1C2740, "red": 0x9C2A2C,
    "green": 0x3F5B3E, "brown": 0x5E4630, "beige": 0xB5A283, "yellow": 0xD0A52E, "pink": 0xC07A8C, "denim": 0x3B4F6E,
}  # fmt: skip
UPPER_COLOURS = {
    "black": 5.0, "grey": 4.0, "navy": 3.0, "blue": 3.0, "white": 3.0, "red": 2.0, "green": 2.0, "brown": 1.5,
    "beige": 2.0, "yellow": 1.0, "pink": 1.0,
}  # fmt: skip
LOWER_COLOURS = {"black": 5.0, "denim": 6.0, "grey": 3.0, "beige": 2.0, "brown": 1.0, "navy": 2.0}
SKINS = (0xE8BE9F, 0xD9A582, 0xC68E68, 0x9A6645, 0x6B4430, 0x4A2F22)
HAIRS = {"black": 0x17130F, "brown": 0x402B1B, "blond": 0xA98550, "grey": 0x8D8A86, "red": 0x7A3B1D}


def draw_dress(chance: Chance, class_id: CityId, *, riding: bool) -> tuple[dict[str, str], Dress]:
    """What can be told of a person's clothes, and the clothes.

    Args:
        chance: of this person.
        class_id: of all faces.
        riding: whether on a bicycle: no long coats, helmets instead of hats.
    """

    def look(rgb: int, material: Material = Material.CLOTH) -> Look:
        return Look(tinted(linear(rgb), chance.uniform(0.8, 1.15)), material, class_id)

    top = chance.choice(("jacket", "shirt", "coat"), (5.0, 4.0, 0.0 if riding else 3.0))
    bottom = chance.choice(("trousers", "skirt", "shorts"), (9.0, 0.0 if riding else 2.0, 1.5))
    above = chance.choice(tuple(UPPER_COLOURS), tuple(UPPER_COLOURS.values()))
    below = chance.choice(tuple(LOWER_COLOURS), tuple(LOWER_COLOURS.values()))
    bag = chance.choice(("none", "backpack", "handbag"), (5.0, 2.5, 0.0 if riding else 2.0))
    hair = chance.choice(tuple(HAIRS), (4.0, 5.0, 2.0, 2.0, 0.7))
    usual = (0.0, 0.0, 4.0, 3.0, 6.0) if riding else (2.0, 0.9, 5.0, 3.5, 0.0)
    covered = chance.choice(("cap", "hat", "hair", "long hair", "helmet"), usual)
    child = not riding and chance.flag(0.1)
    if child and hair == "grey":
        hair = "brown"
    skin = linear(chance.choice(SKINS, (4.0, 4.0, 3.0, 2.0, 2.0, 1.0)))
    bare = Look(skin, Material.SKIN, class_id)
    dress = Dress(
        stature=chance.uniform(1.12, 1.45)
        if child
        else min(1.95, max(1.5, chance.normal(1.71, 0.09))),
        girth=chance.uniform(0.92, 1.16),
        upper=look(CLOTHES[above]),
        lower=look(CLOTHES[below]),
        skin=bare,
        hair=look(HAIRS[hair], Material.MATT),
        shoes=look(chance.choice((0x1A1918, 0x3A2A1E, 0xC8C6C0, 0x55585C))),
        bag=look(chance.choice((0x1F2024, 0x6E4A2C, 0x7B2430, 0x2F4468, 0x7A7F55))),
        hat=look(chance.choice((0x23252B, 0x7C2226, 0x8A8578, 0x2B3F66, 0xE4E4E0))),
        sleeves=top != "shirt" or chance.flag(0.3),
        legs=bottom == "trousers",
        coat=top == "coat",
        skirt=bottom == "skirt",
        carries=bag,
        covered=covered,
    )
    told = covered if covered in {"cap", "hat", "helmet"} else f"{hair} {covered}"
    attributes = {
        "upper": f"{above} {top}", "lower": f"{below} {bottom}", "bag": bag, "head": told,
        "age": "child" if child else "adult",
    }  # fmt: skip
    return attributes, dress


def draw_person(chance: Chance) -> tuple[dict[str, str], MeshOf, Callable[[float], Float64]]:
    """What can be told of a person, the mesh and the key points."""
    attributes, dress = draw_dress(chance, CityId.PERSON, riding=False)
    swing = chance.uniform(0.85, 1.1)
    figure = Figure(dress)

    def pose(phase_rad: float) -> Joints:
        return _walk(dress, swing, phase_rad)

    @cache
    def middle() -> Point:
        return figure.middle(pose(0.0))

    def mesh(phase_rad: float, detail: int) -> Mesh:
        return figure.mesh(_shifted(pose(phase_rad), middle()), detail)

    def key_points(phase_rad: float) -> Float64:
        return chosen(_shifted(pose(phase_rad), middle()))

    return attributes, mesh, key_points


def chosen(joints: Joints) -> Float64:
    """``float64[14, 3]``: the key points."""
    return np.array([joints[name] for name in KEY_POINTS], np.float64)


def _shifted(joints: Joints, middle: Point) -> Joints:
    return {name: (x - middle[0], y - middle[1], z) for name, (x, y, z) in joints.items()}


def _walk(dress: Dress, swing: float, phase_rad: float) -> Joints:
    """Where the joints are at a phase; the left foot swings forward around phase 0; below 0 both feet are side by side."""
    h, width = dress.stature, 0.5 * dress.girth + 0.5
    moving = phase_rad >= 0
    stride = 0.43 * swing if moving else 0.0
    joints: dict[str, Point] = {}
    soles = []
    for side, sign, turn in (("left", 1.0, phase_rad), ("right", -1.0, phase_rad + math.pi)):
        wave = math.sin(turn)
        lifted = max(0.0, math.cos(turn + 0.45)) if moving else 0.0
        thigh = stride * wave + 0.04 + 0.28 * lifted * lifted
        shank = thigh - 0.07 - 0.78 * lifted * lifted
        foot = 1.5 + (0.38 * wave**3 - 0.3 * lifted**3 if moving else 0.0)
        arm = -0.75 * stride * wave - 0.02
        bent = arm + 0.22 + (0.16 * max(0.0, -wave) if moving else 0.0)
        hip = (0.0, sign * 0.052 * h * width, 0.52 * h)
        joints[f"{side}_hip"] = hip
        joints[f"{side}_knee"] = reach(hip, 0.245 * h, thigh)
        joints[f"{side}_ankle"] = reach(joints[f"{side}_knee"], 0.235 * h, shank)
        ankle = joints[f"{side}_ankle"]
        joints[f"{side}_toe"] = reach(ankle, 0.1 * h, foot)
        ahead = -math.cos(foot) * h  # how much the foot rises along its length
        soles.append(ankle[2] - 0.05 * h * math.sin(foot) + min(-0.045 * ahead, 0.12 * ahead))
        shoulder = (0.012 * h, sign * 0.112 * h * width, 0.808 * h)
        joints[f"{side}_shoulder"] = shoulder
        joints[f"{side}_elbow"] = reach(shoulder, 0.172 * h, arm, sign * 0.16)
        joints[f"{side}_wrist"] = reach(joints[f"{side}_elbow"], 0.15 * h, bent, sign * 0.02)
    joints["pelvis"] = (0.0, 0.0, 0.53 * h)
    joints["seat"] = (0.0, 0.0, 0.5 * h)
    joints["neck"] = (0.015 * h, 0.0, 0.845 * h)
    joints["head"] = (0.028 * h, 0.0, 0.93 * h)
    drop = min(soles)
    return {name: (x, y, z - drop) for name, (x, y, z) in joints.items()}


def reach(start: Point, length: float, angle: float, spread: float = 0.0) -> Point:
    """The end of a bone that hangs down, swung forward by ``angle`` and aside (to the left) by ``spread``, rad."""
    down = math.cos(angle) * math.cos(spread) * length
    aside = math.sin(spread) * length
    return (
        start[0] + math.sin(angle) * math.cos(spread) * length,
        start[1] + aside,
        start[2] - down,
    )
