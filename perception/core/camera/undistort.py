"""A lens undone on the way into the engine, and done again to what comes out: tables that are made once for a camera and two sizes.

The engine sees the view that a pinhole of the same focal length, principal point and frame size would give. Of a frame that is bent inwards (barrel) this
leaves out the corners; where the view reaches beyond the frame (pincushion) it is padding. Boxes, outlines and class map are given in the pixels of
the frame as the camera took it; what the view leaves out has the class `UNSEEN`.
"""

import threading
from dataclasses import dataclass

import cv2
import numpy as np

from perception.core.camera import lens
from perception.core.camera.ground import OUTSIDE_PX
from perception.core.camera.model import Camera
from perception.core.errors import ConfigError, InputError
from perception.core.geometry import (
    PADDING_VALUE,
    Letterbox,
    fit_letterbox,
    shrink_sizes,
    subdivide,
)
from perception.core.types import Bool, Float32, Float64, Int16, UInt8, UInt16

UNSEEN = 255  # in a class map: the engine saw nothing there
BORDER_POINTS = 16  # of each side of a box: between them a lens bends by hundredths of a pixel
NO_PARTS = np.empty(0, np.uint16)  # of whole pixels
PARTS = 32  # of the pixels of a frame, undistorted one after the other
STEP_PX = 24.0  # between the points of an outline before it is bent, for the same reason


@dataclass(frozen=True, slots=True, eq=False)
class Undistortion(Letterbox):
    """The record of a fit through a lens.

    Attributes:
        camera: of the frames, at their size.
        source_wh: what a frame is first shrunk to, by halves, where the engine's input is less than half of it; else the frame's size.
        places: where each pixel of the engine's input lies in that, as `cv2.remap` takes it: ``int16[H, W, 2]`` whole pixels, and
            ``uint16[H, W]`` with the parts between them, to a 32nd.
        back: ``int16[h, w, 2]``: the pixel of the content that each pixel of the frame is seen in; -1 where in none.
        hollow: ``bool[ch, cw]``: where the content is padding, as the frame ends there; ``None`` where nowhere.
    """

    camera: Camera
    source_wh: tuple[int, int]
    places: tuple[Int16, UInt16]
    back: Int16
    hollow: Bool | None

    def remap(self, source: UInt8) -> UInt8:
        """``uint8[h, w, 3]`` of `source_wh` -> the engine's input ``uint8[H, W, 3]``: undistorted, shrunk and padded in one step."""
        padding = (PADDING_VALUE,) * 3
        fitted = cv2.remap(source, *self.places, cv2.INTER_LINEAR, borderValue=padding)
        return np.asarray(fitted, np.uint8)

    def bend_boxes(self, boxes_xyxy: Float32) -> Float32:
        """``float32[K, 4]`` in px of the view -> the boxes in px of the frame that just hold what is in them, cut at its edges."""
        share = np.linspace(0.0, 1.0, BORDER_POINTS)
        ends, along = np.zeros_like(share), share
        x = np.concatenate([along, along, ends, ends + 1])
        y = np.concatenate([ends, ends + 1, along, along])
        low, high = boxes_xyxy[:, None, :2].astype(np.float64), boxes_xyxy[:, None, 2:]
        border = low + np.stack([x, y], axis=-1) * (high - low)
        bent = self.camera.distorted(border.reshape(-1, 2)).reshape(border.shape)
        bent = np.clip(bent, 0, self.frame_wh)
        hulls = np.concatenate([bent.min(axis=1), bent.max(axis=1)], axis=1)
        return hulls.astype(np.float32)

    def bend_outline(self, polygon: Float32) -> Float32:
        """``float32[P, 2]`` in px of the view -> ``float32[Q, 2]`` in px of the frame; Q is larger: what was straight is bent."""
        points = self.camera.distorted(subdivide(polygon.astype(np.float64), STEP_PX))
        return np.clip(points, 0, self.frame_wh).astype(np.float32)

    def seen(self, content: UInt8) -> UInt8:
        """A class map ``uint8[ch, cw]`` of the content, `UNSEEN` where that is padding; itself where nothing is."""
        if self.hollow is None:
            return content
        return np.where(self.hollow, np.uint8(UNSEEN), content)

    def bend_map(self, content: UInt8) -> UInt8:
        """A class map ``uint8[ch, cw]`` of the content -> ``uint8[h, w]`` of the frame: each pixel takes the class at its own centre."""
        constant = cv2.BORDER_CONSTANT
        bent = cv2.remap(
            content, self.back, NO_PARTS, cv2.INTER_NEAREST, borderMode=constant, borderValue=UNSEEN
        )
        return np.asarray(bent, np.uint8)

    @property
    def unseen_share(self) -> float:
        """Share of the frame's pixels that the view leaves out, in [0, 1]."""
        return float((self.back[..., 0] < 0).mean())


class Undistorter:
    """Fits frames of one camera into engine inputs through its lens; may be shared by threads.

    Args:
        camera: with distortion.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._made: dict[tuple[tuple[int, int], tuple[int, int]], Undistortion] = {}
        self._lock = threading.Lock()

    def fit(self, frame_wh: tuple[int, int], model_wh: tuple[int, int]) -> Undistortion:
        """The tables for frames and engine inputs of these sizes, made at the first call.

        Raises:
            InputError: the frames have another shape than those that the camera was calibrated with.
        """
        with self._lock:
            if (frame_wh, model_wh) not in self._made:
                try:
                    camera = self.camera.scaled(frame_wh)
                except ConfigError as error:
                    raise InputError(str(error)) from error
                self._made[frame_wh, model_wh] = _make(camera, model_wh)
            return self._made[frame_wh, model_wh]


def build_undistorter(camera: Camera) -> Undistorter | None:
    """What undoes the lens of a camera; ``None`` where it does not bend."""
    return Undistorter(camera) if any(camera.distortion) else None


def _make(camera: Camera, model_wh: tuple[int, int]) -> Undistortion:
    box = fit_letterbox(camera.size_wh, model_wh)
    source_wh = ([camera.size_wh, *shrink_sizes(camera.size_wh, box.content_wh)[:-1]])[-1]
    bent = camera.distorted(_centres(box.content_wh) / box.scale_xy)
    inside = ((bent >= 0) & (bent <= camera.size_wh)).all(axis=-1) & _unfolded(camera, box)
    source = bent * np.divide(source_wh, camera.size_wh) - 0.5  # OpenCV counts from pixel centres
    source = np.clip(source, 0, np.subtract(source_wh, 1))
    width, height = box.content_wh
    table = np.full((model_wh[1], model_wh[0], 2), OUTSIDE_PX, np.float32)
    table[:height, :width] = np.where(inside[..., None], source, OUTSIDE_PX)
    x_px, y_px = (np.ascontiguousarray(table[..., axis]) for axis in (0, 1))
    whole, parts = cv2.convertMaps(x_px, y_px, cv2.CV_16SC2)
    return Undistortion(
        camera.size_wh,
        box.content_wh,
        model_wh,
        camera,
        source_wh,
        (np.asarray(whole, np.int16), np.asarray(parts, np.uint16)),
        _back(camera, box, inside),
        None if inside.all() else ~inside,
    )


def _back(camera: Camera, box: Letterbox, inside: Bool) -> Int16:
    """As `Undistortion.back`."""
    pixels = _centres(camera.size_wh).reshape(-1, 2)
    straight = np.full_like(pixels, np.nan)
    # the inverse takes as many rounds as the hardest point needs, and that lies far from the axis
    for part in np.array_split(np.argsort(_radius(camera, pixels)), PARTS):
        straight[part] = camera.undistorted(pixels[part]) * box.scale_xy
    limit = np.array(box.content_wh, np.float64)
    seen = np.all((straight >= 0) & (straight < limit), axis=-1)
    pixel = np.where(seen[:, None], straight, 0.0).astype(np.int16)
    seen &= inside[pixel[:, 1], pixel[:, 0]]
    pixel[~seen] = -1
    width, height = camera.size_wh
    return pixel.reshape(height, width, 2)


def _centres(size_wh: tuple[int, int]) -> Float64:
    """``float64[h, w, 2]``: the centres of pixels."""
    width, height = size_wh
    grid = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack(grid, axis=-1)


def _unfolded(camera: Camera, box: Letterbox) -> Bool:
    """``bool[ch, cw]``: where the view is nearer to the optical axis than the place at which the lens formula turns back."""
    radius = _radius(camera, _centres(box.content_wh) / box.scale_xy)
    return np.asarray(radius < lens.reach(camera.lens, camera.distortion, float(radius.max())))


def _radius(camera: Camera, points_px: Float64) -> Float64:
    """``float64[...]``: how far from the axis the rays of ``[..., 2]`` px are, at depth 1."""
    rays = points_px - (camera.cx_px + 0.5, camera.cy_px + 0.5)
    return np.hypot(rays[..., 0] / camera.fx_px, rays[..., 1] / camera.fy_px)
