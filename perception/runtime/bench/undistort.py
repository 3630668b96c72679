"""What it costs to undo a lens in the fit: against the fit alone, and against undistorting the whole frame before it."""

from functools import partial
from typing import Any

import cv2
import numpy as np

from perception.core.camera import Camera, Undistorter
from perception.core.errors import ConfigError
from perception.core.geometry import fit_letterbox, map_to_frame, shrink_sizes
from perception.core.types import UInt8
from perception.runtime.bench.compare import Comparison, compare
from perception.stages.preprocess import fit_image

USUAL = Camera(  # a dashcam of 58 degrees, of barrel distortion; only for the bench
    width_px=1280,
    height_px=720,
    fx_px=1150.0,
    fy_px=1150.0,
    cx_px=660.0,
    cy_px=370.0,
    distortion=(-0.24, 0.0, 0.0, 0.0, 0.0),
)


def bench_undistort(
    camera: Camera, frame_wh: tuple[int, int], model_wh: tuple[int, int], pairs: int
) -> dict[str, Any]:
    """Time the fit of a random frame with and without the lens, in turn, on one core, as the loop does it.

    Args:
        camera: with distortion.
        frame_wh: size of the frames, px, of the camera's shape.
        model_wh: size of the engine's input, px.
        pairs: how many of each.

    Returns:
        ``resamplings``: how many each way takes; ``over_plain`` and ``over_separate``: the time of one remap as a share of that of the fit alone and of
        undistorting first, with 95 % intervals; ``map_over_plain``: the same of the class map's way back, against enlarging it.

    Raises:
        ConfigError: no pair is asked for, or the lens does not bend.
        InputError: the frames are of another shape than the camera's.
    """
    if pairs < 1 or not any(camera.distortion):
        raise ConfigError(
            f"bench undistort: expected a lens that bends and at least 1 pair, got {camera.distortion} and {pairs}"
        )
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (frame_wh[1], frame_wh[0], 3), np.uint8)
    straight, bent = fit_letterbox(frame_wh, model_wh), Undistorter(camera).fit(frame_wh, model_wh)
    first = _whole_frame(camera.scaled(frame_wh))
    width, height = straight.content_wh
    content = rng.integers(0, 11, (height, width), np.uint8)
    folded, plain = partial(fit_image, frame, bent), partial(fit_image, frame, straight)

    def separately() -> UInt8:
        return fit_image(first(frame), straight)

    fits = len(shrink_sizes(frame_wh, straight.content_wh))
    return {
        "frame_wh": list(frame_wh),
        "size_wh": list(model_wh),
        "lens": camera.lens,
        "distortion": list(camera.distortion),
        "unseen_share": bent.unseen_share,
        "opencv": cv2.__version__,
        "resamplings": {
            "plain": fits,
            "undistorted": len(shrink_sizes(frame_wh, bent.source_wh)) + 1,
            "separately": fits + 1,
        },
        "over_plain": _ratio(compare(folded, plain, pairs)),
        "over_separate": _ratio(compare(folded, separately, pairs)),
        "map_over_plain": _ratio(
            compare(
                partial(bent.bend_map, content), partial(map_to_frame, content, frame_wh), pairs
            )
        ),
    }


def _whole_frame(camera: Camera) -> "partial[Any]":
    """What undistorts a frame at its own size: the usual step of its own, against which folding it in is judged."""
    tables = Undistorter(camera).fit(camera.size_wh, camera.size_wh)
    return partial(fit_image, box=tables)


def _ratio(found: Comparison) -> dict[str, float]:
    return {
        "n": found.n,
        "first_ms": found.first_ms,
        "second_ms": found.second_ms,
        "ratio": 1 + found.share,
        "low": 1 + found.share_low,
        "high": 1 + found.share_high,
    }
