"""From what was seen to pitch, yaw and height: each cue with its uncertainty, then joined."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import hypot

import numpy as np

from perception.calibration.mounting.combine import Estimate, Joined, estimate, join
from perception.calibration.mounting.cues.height import (
    CAR_WIDTH_M,
    CAR_WIDTH_SIGMA_M,
    height_per_metre,
    heights_from_boxes,
)
from perception.calibration.mounting.observe import Seen
from perception.core.camera import Camera
from perception.core.camera.rotation import rotation_matrix
from perception.core.errors import InputError
from perception.core.types import Float64

LEAST_PAIRS = 20  # straight ones: 2 s
LEAST_LINES = 15
LEAST_BOXES = 5
# what no cue sees of itself, chosen on the tuning seeds of `perception.calibration.mounting.drives`, deg: mean pitch of the vehicle under way
# against the road, and edges that are nearly but not quite parallel to it
SYSTEMATIC_DEG = {
    "motion": (0.10, 0.25),
    "lines": (0.10, 0.40),
}  # pitch and yaw; bends ahead turn the lines' yaw
SPEED_SYSTEMATIC = 0.02  # of the speed, as GPS and wheels give it
FLOW_SYSTEMATIC = 0.02  # of the height: crossfall of the road, and points that are not quite on it
BOX_SYSTEMATIC = 0.08  # of the height: where a detector sets feet and sides of a box

Speed = Callable[[float], float]  # time in s -> m/s


@dataclass(frozen=True, slots=True)
class Mounting:
    """What a drive tells of a mounting.

    Attributes:
        pitch: deg.
        yaw: deg, of the camera against the direction of travel.
        height: m, or ``None`` where neither speed nor cars gave one.
        pairs: straight pairs of frames that were used.
        boxes: cars from behind that were used.
    """

    pitch: Joined
    yaw: Joined
    height: Joined | None
    pairs: int
    boxes: int

    @property
    def disagree(self) -> tuple[str, ...]:
        """What to tell of cues that do not fit together."""
        height = () if self.height is None else self.height.disagree
        return (*self.pitch.disagree, *self.yaw.disagree, *height)

    def camera(self, camera: Camera) -> Camera:
        """The camera with this mounting; roll stays, and height where there is none."""
        pitch = self.pitch.estimate
        found = replace(
            camera,
            pitch_deg=round(pitch.value, 4),
            pitch_sigma_deg=round(pitch.sigma, 4),
            yaw_deg=round(self.yaw.estimate.value, 4),
        )
        if self.height is None:
            return found
        height = self.height.estimate
        return replace(
            found, height_m=round(height.value, 4), height_sigma_m=round(height.sigma, 4)
        )


def estimate_mounting(seen: Seen, camera: Camera, speed: Speed | None) -> Mounting:
    """Join what was seen.

    Args:
        seen: of one drive.
        camera: at the size of the frames; its roll is taken as it is.
        speed: of the vehicle, ``None`` where unknown.

    Raises:
        InputError: too few straight pairs; says what was wrong with the others.
    """
    if len(seen.motions) < LEAST_PAIRS:
        raise InputError(_refusal(seen))
    random = np.random.default_rng(0)
    cues: tuple[dict[str, Estimate], dict[str, Estimate]] = ({}, {})
    for name, rows, least in (
        ("motion", seen.motions, LEAST_PAIRS),
        ("lines", seen.lines, LEAST_LINES),
    ):
        table = np.array(rows, np.float64).reshape(-1, 3)
        for column, found in enumerate(cues):
            one = estimate(table[:, column + 1], table[:, 0], random)
            if one is not None and len(table) >= least:
                found[name] = one.widened(SYSTEMATIC_DEG[name][column])
    pitch, yaw = join(cues[0], "pitch", "deg"), join(cues[1], "yaw", "deg")
    if pitch is None or yaw is None:
        raise InputError(_refusal(seen))
    heights, boxes = _heights(seen, camera, pitch.estimate, speed, random)
    return Mounting(pitch, yaw, join(heights, "height", "m"), len(seen.motions), boxes)


def _heights(
    seen: Seen, camera: Camera, pitch: Estimate, speed: Speed | None, random: np.random.Generator
) -> tuple[dict[str, Estimate], int]:
    """Each height cue, and how many boxes were used; each is made at the pitch and one sigma beside it to carry its error on."""

    def boxes(pitch_deg: float) -> tuple[Float64, Float64]:
        return _box_heights(seen, camera, pitch_deg)

    found: dict[str, Estimate] = {}
    values, times = boxes(pitch.value)
    if len(values) >= LEAST_BOXES:
        one = estimate(values, times, random)
        if one is not None:
            common = hypot(CAR_WIDTH_SIGMA_M / CAR_WIDTH_M, BOX_SYSTEMATIC) * one.value
            slope = _change(boxes, pitch)
            found["cars"] = one.widened(hypot(common, slope))
    if speed is not None:

        def flow(pitch_deg: float) -> tuple[Float64, Float64]:
            return _flow_heights(seen, camera, pitch_deg, speed)

        flown, flown_s = flow(pitch.value)
        one = estimate(flown, flown_s, random) if len(flown) >= LEAST_PAIRS else None
        if one is not None:
            common = hypot(SPEED_SYSTEMATIC, FLOW_SYSTEMATIC) * one.value
            found["speed"] = one.widened(hypot(common, _change(flow, pitch)))
    return found, len(values)


def _change(heights: Callable[[float], tuple[Float64, Float64]], pitch: Estimate) -> float:
    """Half of what two sigma of pitch do to the height, m."""
    low, high = (heights(pitch.value + sign * pitch.sigma)[0] for sign in (-1, 1))
    return (
        abs(float(np.median(high)) - float(np.median(low))) / 2 if len(low) and len(high) else 0.0
    )


def _down(camera: Camera, pitch_deg: float) -> Float64:
    """The road's normal in camera axes; yaw does not change it."""
    return np.asarray(rotation_matrix(0, pitch_deg, camera.roll_deg)[1], np.float64)


def _box_heights(seen: Seen, camera: Camera, pitch_deg: float) -> tuple[Float64, Float64]:
    normal = _down(camera, pitch_deg)
    parts = [
        heights_from_boxes(one.boxes_xyxy, one.edges, normal, camera.size_wh) for one in seen.boxes
    ]
    times = [np.full(len(part), one.time_s) for part, one in zip(parts, seen.boxes, strict=True)]
    return np.concatenate([np.empty(0), *parts]), np.concatenate([np.empty(0), *times])


def _flow_heights(
    seen: Seen, camera: Camera, pitch_deg: float, speed: Speed
) -> tuple[Float64, Float64]:
    normal = _down(camera, pitch_deg)
    rows = []
    for one in seen.road:
        way_m = speed(one.time_s + one.step_s / 2) * one.step_s
        ratio = height_per_metre(
            one.before, one.after, one.motion.rotation, one.motion.direction, normal
        )
        if ratio is not None and way_m > 0:
            rows.append((ratio * way_m, one.time_s))
    table = np.array(rows, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _refusal(seen: Seen) -> str:
    """One line: what is missing, what there was instead, and the way out."""
    found = f"expected at least {LEAST_PAIRS} pairs of frames over 3 s of straight driving, got {len(seen.motions)} from {seen.frames} frames"
    if seen.refused.total() <= len(seen.motions):
        return f"mounting: {found}; give a longer recording"
    reason, count = seen.refused.most_common(1)[0]
    way_out = {
        "standing": "the vehicle stands most of the time: give a stretch where it drives",
        "turning": "it turns most of the time: give a straight road",
        "too few points to follow": "the pictures hold too little to follow: give one by day, sharp and with a clear lens",
    }.get(reason, "give a straight drive by day, faster than walking, without a car close ahead")
    return f"mounting: {found}; {count} pairs: {reason}; {way_out}"
