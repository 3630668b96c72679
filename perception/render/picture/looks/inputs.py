"""What the shading of one picture starts from."""

from collections.abc import Sequence
from dataclasses import dataclass

from perception.core.types import UInt8
from perception.render.config import DriveConfig
from perception.render.picture.light import Light
from perception.render.picture.polygons import Placed
from perception.render.picture.view import View
from perception.render.records import Faces, Ground, Raster, Snapshot
from perception.render.world.road import Road


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PictureInputs:
    """Everything that the colours of one picture depend on.

    Attributes:
        view: of the picture; its size is that of all arrays here.
        snapshot: the world now.
        things: as they were rasterised; `Faces.things` counts in this sequence.
        road: of the drive.
        raster, faces, ground: what was seen.
        class_ids: ``uint8[H, W]`` of `CityId`, from the labels.
        lanes: ``uint8[H, W]`` of `Marking`, from the labels.
        light: now.
        config: of the drive.
        index: of the frame in the drive.
    """

    view: View
    snapshot: Snapshot
    things: Sequence[Placed]
    road: Road
    raster: Raster
    faces: Faces
    ground: Ground
    class_ids: UInt8
    lanes: UInt8
    light: Light
    config: DriveConfig
    index: int
