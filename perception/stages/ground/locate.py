"""What was seen in a frame, on the road: the feet of the boxes, the road's outline, and how far the road ahead is free. Pure functions.

Knows nothing of lanes: the free distance is that of a corridor straight ahead of the vehicle, whatever the road does.
"""

import numpy as np

from perception.core.camera import UNSEEN, GroundGrid, resample
from perception.core.errors import ConfigError
from perception.core.geometry import subdivide
from perception.core.types import Float32, Float64, FreeDistance, Ground, Scene, UInt8
from perception.stages.ground.plane import RoadPlane

CORRIDOR_M = 2.5  # width: a car of 1.9 m with mirrors, and 0.3 m on each side
CELL_M = 0.25  # of the corridor
BLOCKED_SHARE = 0.2  # of the cells of a row that are not road: less are specks of the class map
BORDER_PX = 1.5  # a foot so near to the frame's lower border may be cut by it
SIDE_PX = 16.0  # longest side of an outline where the lens bends it
BORDER, HORIZON = "foot cut by the lower border of the frame", "foot at or above the horizon"


class Corridor:
    """The cells of the corridor ahead, and where in the frame they lie.

    Args:
        plane: of the camera, at the size of the frames.

    Attributes:
        points_px: ``float32[rows, columns, 2]`` as `Camera.grid_pixels` gives them, nearest row first.
        z_m: ``float64[rows]``: of the nearer edge of each row, ascending; rows that the frame does not show in whole are left out.
    """

    def __init__(self, plane: RoadPlane) -> None:
        camera = plane.camera
        half = CORRIDOR_M / 2
        near_m = camera.forward_m + CELL_M
        rows = max(1, int((plane.farthest_m - near_m) / CELL_M))
        grid = GroundGrid(-half, half, near_m, near_m + rows * CELL_M, CELL_M)
        points = camera.grid_pixels(grid)[::-1]
        seen = ((points >= 0) & (points < np.array(camera.size_wh))).all(axis=(1, 2))
        self.points_px: Float32 = np.ascontiguousarray(points[seen])
        self.z_m: Float64 = np.asarray(near_m + CELL_M * np.arange(rows), np.float64)[seen]

    @property
    def seen(self) -> bool:
        """Whether the camera shows any of it; one that looks aside does not, and tells nothing of what is ahead."""
        return len(self.z_m) > 0

    def free(self, class_map: UInt8, road_class: int) -> tuple[float, str]:
        """How far the road reaches without a gap, z in m, and what is there: ``"not road"`` or ``"view"``; only where it is `seen`."""
        found = resample(class_map, self.points_px, linear=False, border=UNSEEN)
        blocked = np.flatnonzero((found != road_class).mean(axis=1) > BLOCKED_SHARE)
        if len(blocked):
            return float(self.z_m[blocked[0]]), "not road"
        return float(self.z_m[-1]) + CELL_M, "view"


def locate(scene: Scene, plane: RoadPlane, corridor: Corridor, road_class: int | None) -> Ground:
    """Put a scene on the road.

    Args:
        scene: in the pixels of its frame, as the lens gives them.
        plane: of the camera at the size of the frame.
        corridor: of the same plane.
        road_class: index of the road in the class map; ``None``: the engine knows no road.

    Raises:
        ConfigError: the frame is of another size than the camera.
    """
    if scene.frame.size_wh != plane.camera.size_wh:
        raise ConfigError(
            f"ground: expected frames of {plane.camera.size_wh}, got {scene.frame.size_wh}; scale the camera first"
        )
    boxes = scene.detections.boxes_xyxy.astype(np.float64)
    feet, intervals, widths, unknown = locate_boxes(boxes, plane)
    road = tuple(road_polygon(outline, plane) for outline in scene.road_outline)
    free = None
    if road_class is not None and corridor.seen:
        free = free_distance(scene.class_map, road_class, plane, corridor, feet, widths)
    polygons = tuple(polygon for polygon in road if len(polygon) > 2)
    return Ground(feet, intervals, unknown, widths, polygons, plane.farthest_m, free)


def locate_boxes(
    boxes_xyxy: Float64, plane: RoadPlane
) -> tuple[Float64, Float64, Float64, tuple[str, ...]]:
    """Where boxes stand.

    Args:
        boxes_xyxy: ``[K, 4]``, px of the frame.
        plane: of the camera.

    Returns:
        `Ground.feet_xz_m`, `Ground.intervals_m`, `Ground.widths_m` and `Ground.unknown`.
    """
    x1, y1, x2, y2 = boxes_xyxy.T
    foot_px = np.stack([(x1 + x2) / 2, y2], axis=-1)
    feet = plane.points(foot_px)
    intervals = plane.intervals(foot_px, plane.sigmas.foot_sigma_px(y2 - y1))
    left, right = (plane.points(np.stack([x, y2], axis=-1))[:, 0] for x in (x1, x2))
    cut = y2 >= plane.camera.height_px - BORDER_PX
    lost = np.isnan(feet[:, 1])
    feet[cut], intervals[cut | lost] = np.nan, np.nan
    widths = np.where(cut | lost, np.nan, right - left)
    reasons = np.where(cut, BORDER, np.where(lost, HORIZON, ""))
    return feet, intervals, widths, tuple(reasons.tolist())


def road_polygon(outline_px: Float32, plane: RoadPlane) -> Float32:
    """The part of an outline that lies no farther than `RoadPlane.farthest_m`, on the road.

    Args:
        outline_px: ``float32[P, 2]``, px of the frame as the lens gives it.
        plane: of the camera.

    Returns:
        ``float32[Q, 2]`` (x, z) in m; empty where nothing of it is so near.
    """
    outline = outline_px.astype(np.float64)
    if plane.camera.distortion:
        outline = subdivide(outline, SIDE_PX)
    straight = plane.camera.undistorted(outline)
    straight = straight[~np.isnan(straight).any(axis=1)]
    if not len(straight):
        return np.zeros((0, 2), np.float32)
    # z <= farthest is linear in homogeneous pixels, and what is above the horizon is on its other side
    _, z_row, scale_row = plane.camera.ground_from_image
    side = plane.farthest_m * scale_row - z_row
    clipped = _clip(straight, straight @ side[:2] + side[2])
    metres = plane.camera.ground_points(clipped)
    return np.asarray(metres[~np.isnan(metres).any(axis=1)], np.float32)


def free_distance(
    class_map: UInt8,
    road_class: int,
    plane: RoadPlane,
    corridor: Corridor,
    feet_xz_m: Float64,
    widths_m: Float64,
) -> FreeDistance:
    """How far the corridor straight ahead is road, up to the nearest foot of a box that reaches into it.

    Args:
        class_map: ``uint8[H, W]``, of the frame.
        road_class: index of the road in it.
        plane: of the camera.
        corridor: of the same plane.
        feet_xz_m: of the boxes, as in `Ground`.
        widths_m: of the boxes, as there.
    """
    free_m, ended_by = corridor.free(class_map, road_class)
    with np.errstate(invalid="ignore"):  # unknown feet are in no corridor
        inside = np.abs(feet_xz_m[:, 0]) - widths_m / 2 < CORRIDOR_M / 2
        nearer = inside & (feet_xz_m[:, 1] < free_m)
    if nearer.any():
        free_m, ended_by = float(feet_xz_m[nearer, 1].min()), "box"
    end_px = plane.camera.image_points(np.array([[0.0, free_m]]))
    sigma_px = np.array([plane.sigmas.foot_px])
    low_m, high_m = plane.intervals(plane.camera.distorted(end_px), sigma_px)[0].tolist()
    # nothing was in the way: the road may go on for ever
    high_m = float("inf") if ended_by == "view" else high_m
    return FreeDistance(free_m, (low_m, high_m), CORRIDOR_M, ended_by)


def _clip(polygon: Float64, inside: Float64) -> Float64:
    """The part of a polygon where a function that is linear in its corners, ``[P]``, is positive (Sutherland and Hodgman, 1974, one side)."""
    kept: list[Float64] = []
    for (here, value), (there, other) in zip(
        zip(polygon, inside.tolist(), strict=True),
        zip(np.roll(polygon, -1, axis=0), np.roll(inside, -1).tolist(), strict=True),
        strict=True,
    ):
        if value > 0:
            kept.append(here)
        if (value > 0) != (other > 0):
            kept.append(here + (there - here) * (value / (value - other)))
    return np.array(kept).reshape(-1, 2)
