"""Height above the road from what has a known size or a known way: cars seen from behind, and road points at a known speed.

Both take the direction of the road's normal, that is pitch and roll, as known; what its error does to the height is the caller's part.
"""

import numpy as np

from perception.core.types import Float64

# passenger cars without mirrors; the spread is also taken as common to all of one recording, which may hold one car only
CAR_WIDTH_M, CAR_WIDTH_SIGMA_M = 1.80, 0.15
CAR_LENGTH_M = 4.3  # for the part of the side that a car beside the lane shows
ASPECTS = (
    0.95,
    1.6,
)  # width over height of a box: slimmer are lorries and what is half hidden, wider are side views
LEAST_WIDTH_PX = 24.0
LARGEST_SIDE = 0.5  # of the width: how much of the box may be the car's side
EDGE_PX = 3.0  # a box this near the frame's edge is cut off
NEAREST_RAD, FARTHEST_RAD = 0.5, 0.03  # a road point's angle below the horizon
LEAST_POINTS = 12
LEAST_MOVED = 0.004  # by how much a point must move beyond the turn, in rays' units


def heights_from_boxes(
    boxes_xyxy: Float64, edges: Float64, normal: Float64, size_wh: tuple[int, int]
) -> Float64:
    """Height that each box of a car from behind implies, ``float64[M]``, m; boxes that cannot be such a view are left out.

    A car beside the lane shows its side: with inner edge a, outer edge b (rays, x right of the direction of travel) and depth Z of its
    back, ``b Z = X + W`` and ``a (Z + L) = X``, so ``Z = (W + a L) / (b - a)``.

    Args:
        boxes_xyxy: ``float64[K, 4]``, px.
        edges: ``float64[K, 3, 3]``: rays to the foot of the left edge, of the right edge, and of the middle, with z = 1.
        normal: ``float64[3]``: down, in camera axes.
        size_wh: of the frame, px.
    """
    width, height = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).T
    aspect = width / np.maximum(height, 1e-9)
    inside = (boxes_xyxy[:, 0] > EDGE_PX) & (boxes_xyxy[:, 2] < size_wh[0] - EDGE_PX)
    inside &= boxes_xyxy[:, 3] < size_wh[1] - EDGE_PX
    left, right = edges[:, 0, 0], edges[:, 1, 0]
    inner = np.maximum(np.maximum(left, -right), 0.0)
    below = edges[:, 2] @ normal
    good = inside & (width >= LEAST_WIDTH_PX) & (aspect > ASPECTS[0]) & (aspect < ASPECTS[1])
    good &= inner * CAR_LENGTH_M < LARGEST_SIDE * CAR_WIDTH_M
    good &= below > FARTHEST_RAD
    depth_m = (CAR_WIDTH_M + inner[good] * CAR_LENGTH_M) / (right - left)[good]
    return np.asarray(depth_m * below[good], np.float64)


def height_per_metre(
    before: Float64, after: Float64, rotation: Float64, direction: Float64, normal: Float64
) -> float | None:
    """Height of the camera over the way it travelled, from points on the road; ``None`` with too few of them.

    A road point lies at ``X = p h / (n p)``; after the motion it is seen along ``R (X - s d)``. The part of the flow that the turn does not explain,
    taken along its direction, gives h / s for each point; the median counts.

    Args:
        before: ``float64[N, 3]`` rays with z = 1, of road points.
        after: the same points in the other picture.
        rotation: ``float64[3, 3]`` after from before.
        direction: ``float64[3]``, of travel, of length 1.
        normal: ``float64[3]``: down, in the axes of the first picture.
    """
    below = before @ normal
    seen = (below > FARTHEST_RAD) & (below < NEAREST_RAD)
    before, below = before[seen], below[seen]
    unturned = after[seen] @ rotation  # rays of the second picture in the axes of the first
    # unturned x (p k / (n p) - d) = 0, with k = h / s
    of_k = np.cross(unturned, before) / below[:, None]
    fixed = np.cross(unturned, direction)
    scale = (of_k**2).sum(axis=1)
    moved = np.sqrt(scale) * below
    used = moved > LEAST_MOVED
    if used.sum() < LEAST_POINTS:
        return None
    ratios = (of_k * fixed).sum(axis=1)[used] / scale[used]
    ratios = ratios[ratios > 0]
    return float(np.median(ratios)) if len(ratios) >= LEAST_POINTS else None
