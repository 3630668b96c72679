"""From the class map to the outline of the road."""

import cv2
import numpy as np

from perception.core.types import Float32, UInt8

MIN_AREA_SHARE = (
    0.001  # of the map: smaller pieces are specks of the class map, not road to drive on
)
TOLERANCE_PX = (
    1.0  # how far the outline may leave the border pixels, which makes it about five times shorter
)


def road_outline(
    class_map: UInt8, road_class: int, scale_xy: tuple[float, float] = (1.0, 1.0)
) -> tuple[Float32, ...]:
    """Polygons around the road, through the centres of its border pixels, largest first.

    Only outer borders: what lies inside the road without being road, a car for example, is in the class map.

    Args:
        class_map: ``uint8[H, W]``.
        road_class: index of the road in it.
        scale_xy: map px per px of the result, for x and y.

    Returns:
        Polygons ``float32[P, 2]`` with P >= 3, x and y in px.
    """
    if not class_map.size:
        return ()
    road = (class_map == road_class).view(np.uint8)
    contours, _ = cv2.findContours(road, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    least = max(1.0, MIN_AREA_SHARE * class_map.size)
    sized = [(cv2.contourArea(c), c) for c in contours if len(c) > 2]
    kept = sorted((pair for pair in sized if pair[0] >= least), key=lambda pair: -pair[0])
    shapes = (cv2.approxPolyDP(c, TOLERANCE_PX, closed=True) for _, c in kept)
    scale = np.array(scale_xy, np.float32)
    return tuple(
        ((shape.reshape(-1, 2) + np.float32(0.5)) / scale).astype(np.float32)
        for shape in shapes
        if len(shape) > 2
    )
