"""Boxes moved from the time of the picture to the time at which they are used.

Source: Li, Wang, Ramanan, "Towards Streaming Perception", 2020, arXiv 2005.10420, section 3.2: what is compared with the world is the world of now.
Differs from it: the velocities are those of the tracker's filters.
"""

import numpy as np

from perception.core.types import Detections, Scene, Tracks


def forecast(scene: Scene, ahead_s: float) -> Detections:
    """Where the boxes of a scene should be `ahead_s` seconds after its picture was taken.

    Every edge moves at its own constant speed, so that what comes nearer grows. Boxes without a track stay, boxes that have left the frame
    are dropped.

    Args:
        scene: with tracks.
        ahead_s: 0 or more; for a result in use, its age.

    Raises:
        ValueError: the scene has no tracks, or `ahead_s` is negative.
    """
    if scene.tracks is None:
        raise ValueError(
            "forecast: expected a scene with tracks, got one without; open the stream with a tracker"
        )
    return move(scene.detections, scene.tracks, ahead_s, scene.frame.size_wh)


def move(
    detections: Detections, tracks: Tracks, ahead_s: float, size_wh: tuple[int, int]
) -> Detections:
    """The same of boxes alone; `size_wh` is that of their frame, px."""
    if ahead_s < 0:
        raise ValueError(f"forecast: expected ahead_s of 0 or more, got {ahead_s}")
    limit = np.array((*size_wh, *size_wh), np.float32)
    moved = detections.boxes_xyxy + tracks.velocities_xyxy * np.float32(ahead_s)
    moved = moved.clip(0, limit)
    seen = (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])
    return Detections(moved[seen], detections.scores[seen], detections.class_ids[seen])
