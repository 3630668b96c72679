"""What bends the picture after it is drawn: the lens, and a shutter that reads row by row. Labels bend with it.

Both take the picture of a pinhole with a global shutter and look each pixel up in it, colours between pixels, labels at the
nearest. What the bent picture sees at edges that moved apart is what stands beside, so there labels follow the picture, not the world.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from perception.core.camera import Camera, lens
from perception.core.errors import ConfigError
from perception.core.types import Bool, Float32, Float64, UInt8
from perception.render.labels import share_outside, tight_hull
from perception.render.records import FrameLabels, ObjectLabel, RenderedFrame

MARGIN_PX = 2


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """A bending of the picture.

    Attributes:
        source_px: ``float32[H, W, 2]``: where each pixel's centre of the new picture lies in the old, continuous px.
        forward: points ``float64[N, 2]`` of the old picture, and how far each moves until the next frame, if known -> where they
            are in the new, continuous px; NaN where the lens does not reach.
    """

    source_px: Float32
    forward: Callable[[Float64, Float64 | None], Float64]


def lens_warp(camera: Camera) -> tuple[Camera, Warp | None]:
    """A pinhole that sees all that the camera sees, and the bending from its picture to the camera's.

    Returns:
        The camera itself and ``None`` where it has no distortion.

    Raises:
        ConfigError: the lens's formula does not reach the corners: it turns back before.
    """
    if not any(camera.distortion):
        return camera, None
    width, height = camera.size_wh
    focal = np.array([camera.fx_px, camera.fy_px])
    u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    middle = np.array([camera.cx_px, camera.cy_px]) + 0.5
    centres = np.stack((u, v), axis=-1) + 0.5
    plane = lens.straighten(camera.lens, camera.distortion, (centres - middle) / focal)
    if np.isnan(plane).any():
        raise ConfigError(
            f"camera: distortion {list(camera.distortion)}: does not reach the corners of the frame; is the calibration of this size?"
        )
    low = np.floor(plane.min(axis=(0, 1)) * focal) - MARGIN_PX
    high = np.ceil(plane.max(axis=(0, 1)) * focal) + MARGIN_PX
    inner = replace(
        camera,
        width_px=int(high[0] - low[0]),
        height_px=int(high[1] - low[1]),
        cx_px=float(-low[0] - 0.5),
        cy_px=float(-low[1] - 0.5),
        distortion=(),
    )
    reach = 1.5 * float(np.sqrt((plane**2).sum(axis=-1)).max())

    def forward(points_px: Float64, motion_px: Float64 | None) -> Float64:
        del motion_px
        straight = (points_px + low) / focal
        # far outside of the picture the polynomial turns back into it
        straight[(straight**2).sum(axis=-1) > reach**2] = np.nan
        bent: Float64 = lens.bend(camera.lens, camera.distortion, straight) * focal + middle
        return bent

    return inner, Warp((plane * focal - low).astype(np.float32), forward)


def shutter_warp(flow_px: Float32, readout: float) -> Warp:
    """A rolling shutter whose middle row is of the frame's moment.

    Args:
        flow_px: ``float32[H, W, 2]``: motion until the next frame; NaN counts as none.
        readout: from the first to the last row, in frame intervals.
    """
    height, width = flow_px.shape[:2]
    motion = np.nan_to_num(flow_px)
    when = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5) * np.float32(readout)
    u, v = np.meshgrid(
        np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5
    )
    here = np.stack((u, v), axis=-1)
    source = here - motion * when[:, None, None]

    def forward(points_px: Float64, motion_px: Float64 | None) -> Float64:
        inside = np.nan_to_num(points_px)
        columns = np.clip(inside[:, 0], 0, width - 1).astype(int)
        rows = np.clip(inside[:, 1], 0, height - 1).astype(int)
        own = motion[rows, columns] if motion_px is None else motion_px
        moved: Float64 = points_px + own * when[rows, None]
        return moved

    return Warp(source.astype(np.float32), forward)


def warp_frame(frame: RenderedFrame, warp: Warp) -> RenderedFrame:
    """Picture and labels, bent."""
    source_x, source_y = warp.source_px[..., 0], warp.source_px[..., 1]
    image = cv2.remap(
        frame.image,
        source_x - np.float32(0.5),
        source_y - np.float32(0.5),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    bent: UInt8 = np.asarray(image, np.uint8)
    return RenderedFrame(frame.index, bent, _warp_labels(frame.labels, warp))


def _warp_labels(labels: FrameLabels, warp: Warp) -> FrameLabels:
    height, width = labels.depth_m.shape
    columns = np.clip(np.floor(warp.source_px[..., 0]), 0, width - 1).astype(np.int64)
    rows = np.clip(np.floor(warp.source_px[..., 1]), 0, height - 1).astype(np.int64)
    instances = labels.instances[rows, columns]
    ends = warp.source_px + labels.flow_px[rows, columns]
    motion = labels.flow_px[rows, columns].reshape(-1, 2).astype(np.float64)
    there = warp.forward(ends.reshape(-1, 2).astype(np.float64), motion)
    here = warp.forward(warp.source_px.reshape(-1, 2).astype(np.float64), motion)
    return replace(
        labels,
        class_ids=labels.class_ids[rows, columns],
        instances=instances,
        depth_m=labels.depth_m[rows, columns],
        lanes=labels.lanes[rows, columns],
        flow_px=(there - here).reshape(ends.shape).astype(np.float32),
        objects=tuple(
            moved
            for label in labels.objects
            if (moved := _warp_object(label, instances == label.identity, warp)) is not None
        ),
    )


def _warp_object(label: ObjectLabel, mask: Bool, warp: Warp) -> ObjectLabel | None:
    """The label of what is left of an object in the bent picture, ``None`` if nothing is."""
    if not mask.any():
        return None
    amodal, truncated = label.amodal_xyxy, label.truncated
    if amodal is not None:
        x1, y1, x2, y2 = amodal
        ways = np.linspace(0, 1, 5)
        across, down = x1 + (x2 - x1) * ways, y1 + (y2 - y1) * ways
        ends = np.ones(5)
        edge = np.concatenate(
            [np.stack((across, y * ends), 1) for y in (y1, y2)]
            + [np.stack((x * ends, down), 1) for x in (x1, x2)]
        )
        moved = warp.forward(edge, None)
        amodal, truncated = None, 1.0
        if np.isfinite(moved).all():
            amodal = (*moved.min(axis=0).tolist(), *moved.max(axis=0).tolist())
            truncated = share_outside(amodal, (mask.shape[1], mask.shape[0]))
    points = label.key_points
    if points is not None:
        points = points.copy()
        moved = warp.forward(points[:, :2].astype(np.float64), None)
        lost = (points == 0).all(axis=1) | ~np.isfinite(moved).all(axis=1)
        points[:, :2] = np.where(lost[:, None], 0, moved)
        points[lost, 2] = 0
        columns = np.floor(points[:, 0]).astype(int)
        rows = np.floor(points[:, 1]).astype(int)
        inside = (columns >= 0) & (columns < mask.shape[1]) & (rows >= 0) & (rows < mask.shape[0])
        own = np.zeros(len(points), np.bool_)
        own[inside] = mask[rows[inside], columns[inside]]
        points[:, 2] *= own
    pixels = int(np.count_nonzero(mask))
    return replace(
        label,
        box_xyxy=tight_hull(mask),
        amodal_xyxy=amodal,
        truncated=truncated,
        pixels=pixels,
        key_points=points,
    )
