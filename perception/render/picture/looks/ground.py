"""The ground: asphalt, pavement, grass and paint, in the light that reaches them. Works on the rows of the picture below the horizon."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from perception.core.types import Float32, UInt8
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.picture.looks.lamps import lamp_light
from perception.render.picture.looks.markings import Cover, find_cover
from perception.render.picture.looks.shadows import contact, sun_share
from perception.render.picture.looks.textures import coarse_atlas, dither, fine_atlas, unpack
from perception.render.world.chance import Chance
from perception.render.world.road import Road

PROFILE_M = 0.02  # step of what changes across the road only
PROFILE_REACH_M = 16.0
PAINT_BGR = (0.66, 0.72, 0.72)
SLAB_BGR = (0.235, 0.262, 0.285)
STONE_BGR = (0.30, 0.325, 0.345)  # of the kerb
GRAVEL_BGR = (0.155, 0.195, 0.225)
KERB_M = 0.16
# grass from dark to dry, and bare earth at the end
GRASS_BGR = (
    (0.018, 0.052, 0.030),
    (0.026, 0.088, 0.050),
    (0.042, 0.128, 0.086),
    (0.070, 0.155, 0.125),
    (0.085, 0.135, 0.145),
)
WIDER = 0.137  # a third scale: the coarse texture again, so many times larger


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The ground of a picture.

    Attributes:
        top: first row that has ground; the arrays begin there.
        light: ``float32[h, W, 3]``: what comes from each pixel.
        wet: ``float32[h, W]`` in [0, 1]: how much of a mirror it is; rain only, else zeros.
    """

    top: int
    light: Float32
    wet: Float32 | None


@dataclass(frozen=True, slots=True, eq=False)
class _Grain:
    """Textures at the pixels, ``uint8[h, W, 4]`` each."""

    fine: UInt8
    coarse: UInt8
    wide: UInt8


def paint_ground(inputs: PictureInputs) -> Layers | None:
    """Light that comes from the ground, wherever there may be some; ``None`` in a picture without."""
    rows = np.flatnonzero(inputs.ground.seen.any(axis=1))
    if not rows.size:
        return None
    top = int(rows[0])
    ground = inputs.ground
    along, lateral = ground.along_m[top:], ground.lateral_m[top:]
    depth = np.maximum(ground.depth_m[top:], np.float32(1.0))
    grain = _sample(inputs, along, lateral, depth)
    cover = find_cover(inputs, top)
    tone = _Tone(inputs.config.seed, inputs.road)
    rain = inputs.config.weather.rain
    planes = _albedo(grain, cover, (along, lateral, depth), tone)
    if rain > 0:
        damp = 1 - np.float32(0.45 * min(rain * 2.5, 1.0)) * (cover.road + cover.walk)
        planes = [plane * damp for plane in planes]
    light = _lit(planes, inputs, top)
    wet = _wetness(grain, cover, rain) if rain > 0 else None
    return Layers(top, light, wet)


def _sample(inputs: PictureInputs, along: Float32, lateral: Float32, depth: Float32) -> _Grain:
    height_m = max(float(inputs.view.centre_m[2]), 0.3)
    octave = np.log2(depth) * np.float32(2)
    octave += dither(*depth.shape) - np.float32(np.log2(inputs.view.focal_px[1] * height_m) + 0.5)
    fine = fine_atlas().sample(along, lateral, octave)
    coarse = coarse_atlas().sample(along, lateral, octave)
    shift = np.float32(np.log2(WIDER))
    wide = coarse_atlas().sample(
        along * np.float32(WIDER), lateral * np.float32(WIDER) + np.float32(9), octave + shift
    )
    return _Grain(fine, coarse, wide)


class _Tone:
    """What this drive's surfaces have of their own, and what changes across its road.

    Args:
        seed: of the drive.
        road: of the drive.
    """

    def __init__(self, seed: int, road: Road) -> None:
        chance = Chance(seed, "ground tone")
        self.asphalt = chance.uniform(0.085, 0.17)
        self.tint = chance.uniform(-0.04, 0.05)
        self.wear = chance.uniform(0.15, 0.75)
        self.cracks = chance.uniform(0.1, 0.6)
        self.tracks = chance.uniform(0.05, 0.17)
        self.season = chance.uniform(-26.0, 30.0)
        self.road = road
        self.profile = _profile(road.lane_width_m, road.lanes, self.tracks)


@cache
def _profile(lane_width_m: float, lanes: int, tracks: float) -> Float32:
    """Darker where tyres run, lighter between, dust outside of the lanes; ``float32[N]`` factor by lateral."""
    lateral = np.arange(-PROFILE_REACH_M, PROFILE_REACH_M, PROFILE_M, dtype=np.float32)
    inside = np.abs(lateral) < lanes * lane_width_m
    place = np.mod(lateral, lane_width_m) - lane_width_m / 2
    wheel = np.exp(-np.square((np.abs(place) - 0.76) / 0.30))
    oil = np.exp(-np.square(place / 0.28))
    factor = np.where(inside, 1 - tracks * wheel - 0.45 * tracks * oil, 1.06)
    smooth = cv2.GaussianBlur(factor.astype(np.float32)[None], (0, 0), sigmaX=6)
    profile: Float32 = np.asarray(smooth, np.float32)[0]
    return profile


def _albedo(
    grain: _Grain, cover: Cover, place: tuple[Float32, Float32, Float32], tone: _Tone
) -> list[Float32]:
    """Share of the light given back, three ``float32[h, W]``: blue, green, red."""
    along, lateral, depth = place
    steps = np.clip((lateral + PROFILE_REACH_M) * (1 / PROFILE_M), 0, len(tone.profile) - 1)
    asphalt = tone.profile[steps.astype(np.int32)] * np.float32(tone.asphalt)
    asphalt *= unpack(grain.fine, 0, 0.85)
    asphalt *= unpack(grain.coarse, 0, 0.62)
    asphalt *= unpack(grain.wide, 0, 0.42)
    asphalt *= _crack_factor(grain.coarse, tone.cracks)
    slabs = unpack(grain.fine, 2, 0.62) * unpack(grain.coarse, 3, 0.30)
    grass = _grass(grain, tone.season)
    detail = unpack(grain.fine, 1, 0.95)
    kerb, gutter, gravel = _edges(along, lateral, depth, grain, tone)
    asphalt *= gutter
    paint = cover.paint * _paint_wear(grain, tone.wear)
    town_road, kerb = cover.road, kerb * cover.walk
    gravel *= 1 - cover.road - cover.walk
    plain = cover.walk - kerb
    earth = 1 - cover.road - cover.walk - gravel
    np.maximum(earth, 0, out=earth)
    planes = []
    for k, tint in enumerate((1 + tone.tint, 1.0, 1 - tone.tint)):
        plane = asphalt * town_road * np.float32(tint)
        plane += slabs * (plain * np.float32(SLAB_BGR[k]) + kerb * np.float32(STONE_BGR[k]))
        plane += detail * (grass[..., k] * earth + gravel * np.float32(GRAVEL_BGR[k]))
        plane += (np.float32(PAINT_BGR[k]) - plane) * paint
        planes.append(plane)
    return planes


def _crack_factor(coarse: UInt8, strength: float) -> Float32:
    table = (1 - np.arange(256, dtype=np.float32) * np.float32(strength / 255)).astype(np.float32)
    return np.asarray(cv2.LUT(coarse[..., 2], table), np.float32)


def _grass(grain: _Grain, season: float) -> Float32:
    """``float32[h, W, 3]``: colours between green and dry, by two scales of noise."""
    mixed = cv2.addWeighted(grain.coarse[..., 1], 0.55, grain.wide[..., 1], 0.55, season - 13)
    return _grass_table()[np.asarray(mixed, np.uint8)]


@cache
def _grass_table() -> Float32:
    stops = np.array(GRASS_BGR, np.float32)
    where = np.linspace(0, 255, len(stops))
    channels = [np.interp(np.arange(256), where, stops[:, k]) for k in range(3)]
    return np.stack(channels, axis=1).astype(np.float32)


def _paint_wear(grain: _Grain, wear: float) -> Float32:
    """How much of the paint is left, in [0.25, 1]."""
    spots = unpack(grain.fine, 3, 1.0) + unpack(grain.coarse, 3, 1.0)
    left = np.float32(1.35 - 0.5 * wear) - (spots - np.float32(1.3)) * np.float32(wear * 0.9)
    return np.clip(left, 0.25, 0.97, out=left)


def _edges(
    along: Float32, lateral: Float32, depth: Float32, grain: _Grain, tone: _Tone
) -> tuple[Float32, Float32, Float32]:
    """Shares of kerb stones, a factor for dirt along the edge of the road, and shares of gravel beside it."""
    road = tone.road
    edge = road.edge_m(along)
    beyond = np.abs(lateral) - edge
    softness = 1 / np.maximum(depth * np.float32(0.0016), np.float32(0.004))
    kerb = np.clip((np.float32(KERB_M) - beyond) * softness + np.float32(0.5), 0, 1)
    dirt = np.clip(1 - np.abs(beyond + np.float32(0.12)) * np.float32(5), 0, 1)
    gutter = 1 - dirt * np.float32(0.33)
    ragged = (unpack(grain.coarse, 3, 1.0) - 1) * np.float32(0.8) + (
        unpack(grain.fine, 3, 1.0) - 1
    ) * np.float32(0.5)
    gravel = np.clip((np.float32(0.75) - beyond + ragged) * np.float32(2.2), 0, 1)
    return kerb, gutter, gravel


def _lit(planes: list[Float32], inputs: PictureInputs, top: int) -> Float32:
    """Multiply with the light of sun, sky and lamps."""
    light = inputs.light
    sun = sun_share(inputs, top)
    sun *= np.float32(max(float(light.sun_direction[2]), 0.0))
    open_sky = contact(inputs, top)
    lamps = lamp_light(inputs, top)
    result = []
    for k, plane in enumerate(planes):
        arriving = sun * light.sun[k]
        arriving += open_sky * light.sky_ambient[k]
        if lamps is not None:
            arriving += lamps[..., k]
        arriving *= plane
        result.append(arriving)
    return np.asarray(cv2.merge(result), np.float32)


def _wetness(grain: _Grain, cover: Cover, rain: float) -> Float32:
    """Puddles and wet film: 1 is still water."""
    low = unpack(grain.wide, 3, 1.4) + unpack(grain.coarse, 3, 1.2)
    film: Float32 = np.clip((low - np.float32(1.6)) * np.float32(0.8), 0, 0.55) + np.float32(0.35)
    film *= np.float32(min(rain * 1.6, 1.0)) * (cover.road + np.float32(0.6) * cover.walk)
    film *= 1 - np.float32(0.3) * cover.paint
    return film
