"""The loop's watch of the mounting on the bench's drives: does it warn of a camera that stands as its file says, and how far may one turn unnoticed?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from perception.calibration.mounting.look import open_look
from perception.core.camera import Camera
from perception.core.types import Float64
from perception.render.store import StoredDrive
from perception.sources import open_source
from perception.stages.ground.locator import whole_vehicles
from perception.stages.ground.mounting import MountingWatch
from perception.stages.ground.plane import RoadPlane

TURNS_DEG = np.arange(0.25, 5.001, 0.25)  # up and down, in rising order


def watch_drive(stored: StoredDrive, engine: str) -> dict[str, Any]:
    """What the watch says of a drive.

    Returns:
        ``"offset_deg"``: of the camera as it is, ``None`` with too few vehicles: then the watch says nothing; ``"vehicles"``: behind it; ``"false"``:
        whether it warns all the same; ``"up_deg"`` and ``"down_deg"``: the least of `TURNS_DEG` by which the camera turns until it warns, ``None`` where
        none does.
    """
    with (
        open_source(f"synthetic:{stored.folder}", live=False) as source,
        open_look(engine, "", "", stored.camera) as (look, _, vehicle_class),
    ):
        boxes = [whole_vehicles(look(frame), vehicle_class) for frame in source]
    still = turned_watch(boxes, stored.camera, 0.0)
    told = still.summary()
    return {
        "offset_deg": told["horizon_offset_deg"],
        "vehicles": told["vehicles"],
        "false": still.warnings > 0,
        "up_deg": least_turn_deg(boxes, stored.camera, 1),
        "down_deg": least_turn_deg(boxes, stored.camera, -1),
    }


def turned_watch(boxes: Sequence[Float64], camera: Camera, turn_deg: float) -> MountingWatch:
    """The watch after a drive whose camera is turned up by so much against its file.

    Args:
        boxes: of each frame, ``float64[K, 4]``: vehicles, px.
        camera: that took them.
        turn_deg: what the file does not know; negative: down.
    """
    watch = MountingWatch("bench", log=False)
    plane = RoadPlane(replace(camera, pitch_deg=camera.pitch_deg - turn_deg))
    for found in boxes:
        watch.look(found, plane)
    return watch


def least_turn_deg(boxes: Sequence[Float64], camera: Camera, sign: int) -> float | None:
    """The least of `TURNS_DEG`, up (`sign` 1) or down (-1), that the watch warns of."""
    for turn_deg in TURNS_DEG.tolist():
        if turned_watch(boxes, camera, sign * turn_deg).warnings:
            return float(turn_deg)
    return None


def watch_summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the drives on which the watch says anything: false warnings, and the range of the turns from which it warns, deg."""
    told = [row for row in rows if row["offset_deg"] is not None]
    turns = [row[way] for row in told for way in ("up_deg", "down_deg")]
    known = [turn for turn in turns if turn is not None]
    return {
        "n": len(told),
        "false_warnings": sum(row["false"] for row in told),
        "largest_offset_deg": max((abs(row["offset_deg"]) for row in told), default=None),
        "warns_from_deg": [min(known), max(known)] if known else None,
        "never_warned": len(turns) - len(known),
    }
