"""How much the view has changed between two frames, from tiny grey pictures."""

import cv2
import numpy as np

from perception.core.types import Float32, UInt8

TINY_WH = (64, 36)
SAMPLED_PX = 256  # of the width: so many columns are enough for the tiny picture, and cost a tenth of a millisecond


def tiny_grey(image: UInt8) -> Float32:
    """``uint8[H, W, 3]`` -> ``float32[36, 64]``, grey levels about their mean: a change of exposure alone is none of the view."""
    step = max(1, image.shape[1] // SAMPLED_PX)
    sampled = np.ascontiguousarray(image[::step, ::step])
    grey = cv2.cvtColor(sampled, cv2.COLOR_BGR2GRAY)
    tiny = cv2.resize(grey, TINY_WH, interpolation=cv2.INTER_AREA).astype(np.float32)
    centred: Float32 = tiny - tiny.mean()
    return centred


def view_change(first: Float32, second: Float32) -> float:
    """Mean difference of two pictures of `tiny_grey`, in grey levels, 0 to 255."""
    return float(np.abs(first - second).mean())
