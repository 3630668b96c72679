"""Where lane lines and road borders meet: the vanishing point of one picture, from straight segments."""

import numpy as np

from perception.core.types import Float64

NEAR_DEG = 1.0  # between a segment's plane and the point that it supports
LEAST_SEGMENTS = 4
LEAST_SPREAD_DEG = 25.0  # between the directions of the segments: of parallel ones in the picture the point is far off
LARGEST_DEG = 20.0  # of pitch and yaw: other families of lines meet elsewhere
TRIES = 150
LEAST_SLOPE_DEG = 8.0  # against level: stop lines, shadows and kerbs across


def vanishing_point(
    starts: Float64, ends: Float64, random: np.random.Generator
) -> tuple[Float64, int] | None:
    """The direction in which most of the segments' length meets, and how many segments agree.

    Args:
        starts: ``float64[N, 3]`` rays with z = 1.
        ends: of the same segments.
        random: draws the pairs.

    Returns:
        ``float64[3]`` of length 1 with z > 0, and a count; ``None`` where too few agree or they are too parallel.
    """
    steep = _slopes_deg(starts, ends)
    used = (np.abs(steep) > LEAST_SLOPE_DEG) & np.isfinite(steep)
    starts, ends, steep = starts[used], ends[used], steep[used]
    if len(starts) < LEAST_SEGMENTS:
        return None
    planes = np.cross(starts, ends)
    length = np.linalg.norm(planes, axis=1)
    planes = planes / length[:, None]
    point = _best_pair(planes, length, random)
    if point is None:
        return None
    for _ in range(4):
        agreed = np.abs(planes @ point) < np.sin(np.radians(NEAR_DEG))
        if agreed.sum() < LEAST_SEGMENTS or np.ptp(steep[agreed] % 180) < LEAST_SPREAD_DEG:
            return None
        weighted = planes[agreed] * length[agreed, None]
        point = np.linalg.svd(weighted)[2][-1]
        point = point * np.sign(point[2])
    return point, int(agreed.sum())


def _slopes_deg(starts: Float64, ends: Float64) -> Float64:
    """Angle of each segment in (-90, 90]."""
    along = ends[:, :2] - starts[:, :2]
    return (np.degrees(np.arctan2(along[:, 1], along[:, 0])) + 90) % 180 - 90


def _best_pair(planes: Float64, length: Float64, random: np.random.Generator) -> Float64 | None:
    first, second = random.integers(0, len(planes), (2, TRIES))
    points = np.cross(planes[first], planes[second])
    size = np.linalg.norm(points, axis=1)
    points = points[size > 1e-6] / size[size > 1e-6, None]
    points = points * np.sign(points[:, 2:])
    limit = np.tan(np.radians(LARGEST_DEG))
    points = points[(np.abs(points[:, :2]) < limit * points[:, 2:]).all(axis=1)]
    if not len(points):
        return None
    agreed = np.abs(points @ planes.T) < np.sin(np.radians(NEAR_DEG))
    return np.asarray(points[(agreed * length).sum(axis=1).argmax()], np.float64)
