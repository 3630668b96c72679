"""How much of each pixel is paint, road and pavement: the hard facts of the road, taken at several places of the pixels at edges."""

from dataclasses import dataclass

import cv2
import numpy as np

from perception.core.types import Float32, Int64
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.records import CityId, Marking

# places within a pixel, px from its centre (down, right)
SAMPLES = tuple(
    (-0.375 + 0.25 * i, -0.25 + 0.5 * ((i + j) % 2) + 0.125 * (j - 0.5))
    for i in range(4)
    for j in range(2)
)


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """Shares of pixels in [0, 1], ``float32[h, W]`` each, of the rows from the first that has ground.

    Attributes:
        paint: covered by markings.
        road, walk: of carriageway and pavement; the rest is earth and grass.
    """

    paint: Float32
    road: Float32
    walk: Float32


def find_cover(inputs: PictureInputs, top: int) -> Cover:
    """Cover of the rows from `top` on, with soft edges."""
    class_ids, lanes = inputs.class_ids[top:], inputs.lanes[top:]
    seen = inputs.ground.seen[top:]
    code = np.where(seen, class_ids * np.uint8(8) + lanes, 0).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    uneven = cv2.dilate(code, kernel) != cv2.erode(code, kernel)
    paint = (lanes != Marking.NONE).astype(np.float32)
    road = (class_ids == CityId.ROAD).astype(np.float32)
    walk = (class_ids == CityId.SIDEWALK).astype(np.float32)
    rows, columns = np.nonzero(uneven & seen)
    if rows.size:
        shares = _take_samples(inputs, rows + top, columns)
        paint[rows, columns], road[rows, columns], walk[rows, columns] = shares
    return Cover(paint, road, walk)


def _take_samples(
    inputs: PictureInputs, rows: Int64, columns: Int64
) -> tuple[Float32, Float32, Float32]:
    """Shares of paint, road and pavement ``float32[N]`` of pixels, from a few places in each."""
    ground, seen = inputs.ground, inputs.ground.seen
    steps = []
    for field in (ground.along_m, ground.lateral_m):
        here = field[rows, columns]
        slopes = []
        for down, right in ((1, 0), (0, 1)):
            ahead = _neighbour(field, seen, (rows + down, columns + right), here)
            behind = _neighbour(field, seen, (rows - down, columns - right), here)
            change = (ahead - behind) * np.float32(0.5)
            single = np.where(ahead != here, ahead - here, here - behind)
            both = (ahead != here) & (behind != here)
            slopes.append(np.where(both, change, single))
        steps.append((here, *slopes))
    places = [
        [here + np.float32(dy) * down + np.float32(dx) * right for dy, dx in SAMPLES]
        for here, down, right in steps
    ]
    along, lateral = (np.stack(part).astype(np.float32) for part in places)
    surface = inputs.road.surface(along, lateral)
    tarmac = surface == CityId.ROAD
    painted = (inputs.road.marking(along, lateral) != Marking.NONE) & tarmac
    paint, road, walk = (
        part.mean(axis=0, dtype=np.float32)
        for part in (painted, tarmac, surface == CityId.SIDEWALK)
    )
    return paint, road, walk


def _neighbour(
    field: Float32,
    seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    place: tuple[Int64, Int64],
    here: Float32,
) -> Float32:
    """The field beside, or `here` where no ground is seen there."""
    height, width = field.shape
    rows = np.clip(place[0], 0, height - 1)
    columns = np.clip(place[1], 0, width - 1)
    value: Float32 = np.where(seen[rows, columns], field[rows, columns], here)
    return value
