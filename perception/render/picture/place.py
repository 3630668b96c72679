"""Where the rays of pixels meet the ground."""

import numpy as np

from perception.render.picture.view import View
from perception.render.records import Ground, Raster
from perception.render.world.road import Road

RANGE_M = 900.0  # the ground ends there; the rest up to the horizon is less than two rows of pixels


def find_ground(view: View, road: Road, raster: Raster) -> Ground:
    """The ground that pixels see, and its place on the road.

    Args:
        view: of the picture.
        road: of the drive.
        raster: of the things, which may stand before the ground.
    """
    height, width = raster.face.shape
    down = view.rays[..., 2]
    top = int(np.argmax((down < 0).any(axis=1))) if (down < 0).any() else height
    part = np.s_[top:]
    depth = np.zeros((height, width), np.float32)
    along, lateral = np.zeros_like(depth), np.zeros_like(depth)
    seen = np.zeros((height, width), np.bool_)
    centre = view.centre_m.astype(np.float32)
    with np.errstate(divide="ignore"):
        reach = centre[2] / -down[part]
    near = (down[part] < 0) & (reach < RANGE_M)
    depth[part] = np.where(near, reach, 0)
    inverse_depth = raster.inverse_depth[part]
    seen[part] = near & (inverse_depth * depth[part] < 1)
    x_m = centre[0] + depth[part] * view.rays[part][..., 0]
    y_m = centre[1] + depth[part] * view.rays[part][..., 1]
    along[part], lateral[part] = road.locate(x_m, y_m)
    return Ground(seen=seen, depth_m=depth, along_m=along, lateral_m=lateral)
