"""What the parts of the renderer hand to each other.

Axes, right-handed, metres. World: x forward along the road at the start, y left, z up, the ground is z = 0. A mesh: x forward, y left,
z up, origin on the ground under its middle. Camera: x right, y down, z along the optical axis.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from perception.core.errors import check_array
from perception.core.types import Float32, Float64, UInt8

Int32 = NDArray[np.int32]


class CityId(IntEnum):
    """Cityscapes label ids of what is rendered (Cordts et al., 2016, arXiv 1604.01685)."""

    ROAD = 7
    SIDEWALK = 8
    BUILDING = 11
    FENCE = 13
    POLE = 17
    TRAFFIC_LIGHT = 19
    TRAFFIC_SIGN = 20
    VEGETATION = 21
    TERRAIN = 22
    SKY = 23
    PERSON = 24
    RIDER = 25
    CAR = 26
    TRUCK = 27
    BUS = 28
    MOTORCYCLE = 32
    BICYCLE = 33


class Material(IntEnum):
    """How a face takes light."""

    MATT = 0
    PAINT = 1  # glossy car paint
    GLASS = 2  # dark, mirrors the sky
    FOLIAGE = 3
    FACADE = 4  # a wall with windows, drawn from the place on it
    HEAD_LAMP = 5  # shines at dusk
    TAIL_LAMP = 6  # shines red at dusk, brighter when braking
    STREET_LAMP = 7  # shines at dusk
    SIGN = 8  # reflects head lamps
    SKIN = 9
    CLOTH = 10


class Marking(IntEnum):
    """What is painted on the road, as it stands in the lane map; 0 is nothing."""

    NONE = 0
    EDGE = 1  # solid, along the edge of the road
    LANE = 2  # dashed, between lanes of one direction
    CENTRE = 3  # between the directions, dashed
    CENTRE_SOLID = 4  # between the directions, solid
    STOP = 5  # across the lane, before a junction
    CROSSING = 6  # zebra stripe


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Convex plane polygons.

    Attributes:
        vertices_m: ``float64[V, 3]``.
        faces: ``int32[F, M]``: vertices of each, counter-clockwise seen from outside; short ones repeat their last.
        colours: ``float32[F, 3]``, BGR, share of the light that is given back, in [0, 1].
        materials: ``uint8[F]`` of `Material`.
        class_ids: ``uint8[F]`` of `CityId`.
    """

    vertices_m: Float64
    faces: Int32
    colours: Float32
    materials: UInt8
    class_ids: UInt8

    def __post_init__(self) -> None:
        count = len(self.faces)
        check_array("Mesh.vertices_m", self.vertices_m, np.float64, (None, 3))
        check_array("Mesh.faces", self.faces, np.int32, (None, None))
        check_array("Mesh.colours", self.colours, np.float32, (count, 3))
        check_array("Mesh.materials", self.materials, np.uint8, (count,))
        check_array("Mesh.class_ids", self.class_ids, np.uint8, (count,))


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """Something that stands or moves in the world.

    Attributes:
        key: unique within the drive.
        kind: ``"car"``, ``"truck"``, ``"bus"``, ``"person"``, ``"cyclist"``; of scenery ``"tree"``, ``"building"`` and so on.
        identity: of vehicles, people and cyclists, from 1 on, the same wherever the cast is the same; 0 for scenery.
        attributes: what can be told of it: kind, colour, clothing.
        size_lwh_m: length, width, height of the box around it.
        mesh: (phase in rad, detail) -> mesh. Detail 2 is near, 1 is middle, 0 is far; a rigid thing ignores the phase. Meshes
            of one detail have the same faces at every phase.
        key_points: phase in rad -> ``float64[14, 3]`` in the mesh's axes, by `perception.core.labels.KEY_POINTS`; ``None`` for what is no person.
    """

    key: int
    kind: str
    identity: int
    attributes: Mapping[str, str]
    size_lwh_m: tuple[float, float, float]
    mesh: Callable[[float, int], Mesh]
    key_points: Callable[[float], Float64] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Where a thing is.

    Attributes:
        x_m, y_m: world.
        yaw_rad: of its x axis, from world x to the left.
        speed_mps: along its x axis.
        phase_rad: of its gait, for people and cyclists.
        braking: whether its brake lamps shine.
        parked: whether nobody drives it: all of its lamps are out.
    """

    x_m: float
    y_m: float
    yaw_rad: float
    speed_mps: float = 0.0
    phase_rad: float = 0.0
    braking: bool = False
    parked: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The world at one moment.

    Attributes:
        time_s: since the start of the drive.
        ego: the vehicle with the camera; it is not drawn.
        things: everything near enough to be seen, with its state; identities occur once.
    """

    time_s: float
    ego: State
    things: tuple[tuple[Thing, State], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """All faces of one picture; row 0 stands for "no face". Rows are what `Raster.face` refers to.

    Attributes:
        things: ``int32[F]``: index into the picture's things, -1 in row 0.
        colours: ``float32[F, 3]``.
        materials, class_ids: ``uint8[F]``.
        normals: ``float32[F, 3]``, world, of length 1, outwards.
        next_from_now: ``float32[F, 3, 4]``: takes a point of the face in the camera's axes to where it is in the camera's axes of the
            next frame; row 0 is for what stands still in the world.
        braking, parked: ``bool[F]``.
    """

    things: Int32
    colours: Float32
    materials: UInt8
    class_ids: UInt8
    normals: Float32
    next_from_now: Float32
    braking: NDArray[np.bool_]
    parked: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """What each pixel sees, of the things; ground and sky come after.

    Attributes:
        face: ``int32[H, W]``, row in `Faces`; 0 where no thing is.
        inverse_depth: ``float32[H, W]``, 1/m along the optical axis; 0 where no thing is.
        bounds_xyxy: thing index -> px that hold all of its pixels, for things that have any.
        solo_pixels: thing index -> pixels that it would have if nothing stood before it.
    """

    face: Int32
    inverse_depth: Float32
    bounds_xyxy: Mapping[int, tuple[int, int, int, int]]
    solo_pixels: Mapping[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Where the rays of pixels meet the ground; arrays of the whole picture, valid where `seen`.

    Attributes:
        seen: ``bool[H, W]``: the ray meets the ground nearer than any thing, within the range that is drawn.
        depth_m: ``float32[H, W]`` along the optical axis.
        along_m, lateral_m: ``float32[H, W]``: place on the road, see `perception.render.world.road`.
    """

    seen: NDArray[np.bool_]
    depth_m: Float32
    along_m: Float32
    lateral_m: Float32


@dataclass(frozen=True, slots=True, eq=False)
class ObjectLabel:
    """One vehicle, person or cyclist of one frame, if at least one of its pixels is seen.

    Attributes:
        identity: see `Thing`.
        kind: see `Thing`.
        box_xyxy: visible: the tight hull of its pixels, px.
        amodal_xyxy: hull of the whole of it, also behind others and outside of the frame, px; ``None`` where part of it is behind
            the camera.
        pixels: that are seen.
        occluded: share of its pixels that others hide, in [0, 1]; of the pinhole's picture where there is a lens.
        truncated: share of `amodal_xyxy` outside the frame, in [0, 1]; 1 where part of it is behind the camera.
        size_lwh_m: see `Thing`.
        centre_m: ``(x, y, z)`` of the middle of the bottom of its 3D box, camera axes.
        yaw_rad: KITTI's ``rotation_y``: about the camera's y axis, 0 where its front points along the camera's x.
        speed_mps: over the ground.
        key_points: ``float32[14, 3]``: x, y in px, and 1 where seen, else 0; ``None`` for what is no person.
        attributes: see `Thing`.
    """

    identity: int
    kind: str
    box_xyxy: tuple[int, int, int, int]
    amodal_xyxy: tuple[float, float, float, float] | None
    pixels: int
    occluded: float
    truncated: float
    size_lwh_m: tuple[float, float, float]
    centre_m: tuple[float, float, float]
    yaw_rad: float
    speed_mps: float
    key_points: Float32 | None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class FrameLabels:
    """Everything known of one frame.

    Attributes:
        class_ids: ``uint8[H, W]`` of `CityId`.
        instances: ``uint16[H, W]``: identity, 0 where there is none.
        depth_m: ``float32[H, W]`` along the optical axis; 0 for the sky.
        lanes: ``uint8[H, W]`` of `Marking`.
        flow_px: ``float32[H, W, 2]``: from a pixel's centre to where that point is in the next frame; NaN where it is behind the camera.
        objects: nearest first.
        camera_from_world: ``float64[4, 4]``.
        ego: state of the vehicle.
        time_s: since the start of the drive.
    """

    class_ids: UInt8
    instances: NDArray[np.uint16]
    depth_m: Float32
    lanes: UInt8
    flow_px: Float32
    objects: tuple[ObjectLabel, ...]
    camera_from_world: Float64
    ego: State
    time_s: float


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFrame:
    """One picture and its labels.

    Attributes:
        index: in the drive, from 0.
        image: ``uint8[H, W, 3]``, BGR.
        labels: of the same pixels.
    """

    index: int
    image: UInt8
    labels: FrameLabels
