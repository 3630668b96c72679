"""The files of one frame of a drive on disk. `perception.render.store` tells the layout; here is how each file is coded.

Every file is written beside its place and then moved there, so a file that is there is whole. Reading trusts nothing.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.core.errors import InputError
from perception.core.files import write_atomically
from perception.core.labels import KEY_POINTS
from perception.core.types import Float32, UInt8
from perception.render.records import (
    FrameLabels,
    ObjectLabel,
    RenderedFrame,
    State,
)

T = TypeVar("T")
UInt16 = NDArray[np.uint16]

PICTURE, OBJECTS = "rgb", "objects"
# folder -> how its files end
KINDS = {
    PICTURE: ".jpg", "class": ".png", "instance": ".png", "depth": ".png", "lane": ".png", "flow": ".png",
    OBJECTS: ".json",
}  # fmt: skip
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95)
# Level 1 takes a third of the time of OpenCV's default and gives files a tenth larger; one filter instead of a search for the
# best, which OpenCV 4.10 cannot choose yet, takes half of that.
PNG: tuple[int, ...] = (cv2.IMWRITE_PNG_COMPRESSION, 1)
if hasattr(cv2, "IMWRITE_PNG_FILTER"):
    PNG += (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH)
DEPTH_STEPS = 256  # of a metre, as KITTI's depth files; 0 is "none"
FLOW_STEPS, FLOW_ZERO = 64, 1 << 15  # of a pixel, as KITTI's flow files
LARGEST = 0xFFFF


def path_of(folder: Path, kind: str, index: int) -> Path:
    """Where a file of one frame lies; `kind` is one of `KINDS`."""
    return folder / kind / f"{index:06d}{KINDS[kind]}"


def is_complete(folder: Path, index: int) -> bool:
    """Whether the frame is there: its objects are written last."""
    return path_of(folder, OBJECTS, index).is_file()


def depth_to_file(depth_m: Float32) -> UInt16:
    """``float32[H, W]``, m -> ``uint16[H, W]``, 1/256 m; 0 for the sky and for what is farther than a file can tell."""
    steps = np.rint(depth_m * np.float32(DEPTH_STEPS))
    steps[(depth_m > 0) & (steps < 1)] = 1
    steps[steps > LARGEST] = 0
    return np.asarray(steps, np.uint16)


def depth_from_file(steps: UInt16) -> Float32:
    """The inverse of `depth_to_file`, to 1/512 m."""
    depth_m: Float32 = steps.astype(np.float32) / np.float32(DEPTH_STEPS)
    return depth_m


def flow_to_file(flow_px: Float32) -> UInt16:
    """``float32[H, W, 2]``, px -> ``uint16[H, W, 3]``: OpenCV's order of KITTI's channels: whether valid, v, u."""
    right, down = (
        np.rint(flow_px[..., axis] * np.float32(FLOW_STEPS) + np.float32(FLOW_ZERO))
        for axis in range(2)
    )
    # comparisons with NaN are false
    valid = (right >= 0) & (right <= LARGEST) & (down >= 0) & (down <= LARGEST)
    coded = np.empty((*valid.shape, 3), np.uint16)
    coded[..., 0] = valid
    coded[..., 1] = np.where(valid, down, 0)
    coded[..., 2] = np.where(valid, right, 0)
    return coded


def flow_from_file(coded: UInt16) -> Float32:
    """The inverse of `flow_to_file`, to 1/128 px; NaN where it is not valid."""
    flow = (coded[..., :0:-1].astype(np.float32) - np.float32(FLOW_ZERO)) / np.float32(FLOW_STEPS)
    flow[coded[..., 0] == 0] = np.nan
    return np.ascontiguousarray(flow)


def write_frame(folder: Path, frame: RenderedFrame) -> None:
    """Write all files of a frame; the one that marks it as complete comes last.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    labels = frame.labels
    pictures: Mapping[str, NDArray[Any]] = {
        PICTURE: frame.image,
        "class": labels.class_ids,
        "instance": labels.instances,
        "depth": depth_to_file(labels.depth_m),
        "lane": labels.lanes,
        "flow": flow_to_file(labels.flow_px),
    }
    for kind, pixels in pictures.items():
        ending = KINDS[kind]
        _, coded = cv2.imencode(ending, pixels, JPEG if ending == ".jpg" else PNG)
        write_atomically(path_of(folder, kind, frame.index), coded.tobytes())
    text = json.dumps(frame_table(labels), separators=(",", ":"))
    write_atomically(path_of(folder, OBJECTS, frame.index), f"{text}\n".encode())


def frame_table(labels: FrameLabels) -> dict[str, Any]:
    """What is known of a frame but its maps, as plain values; the keys are those of the records."""
    return {
        "time_s": labels.time_s,
        "camera_from_world": labels.camera_from_world.tolist(),
        "ego": asdict(labels.ego),
        "objects": [_object_table(label) for label in labels.objects],
    }


def _object_table(label: ObjectLabel) -> dict[str, Any]:
    table = {field.name: getattr(label, field.name) for field in fields(label)}
    table["key_points"] = None if label.key_points is None else label.key_points.tolist()
    table["attributes"] = dict(label.attributes)
    return table


def read_frame(folder: Path, index: int) -> RenderedFrame:
    """Read a frame as it was rendered, but for the losses of JPEG and the steps of depth and flow.

    Raises:
        InputError: a file of it is missing or damaged, or they are not of one size.
    """
    image = read_picture(folder, index)
    shape = image.shape[:2]
    facts = read_facts(folder, index)
    labels = FrameLabels(
        class_ids=read_map(folder, "class", index, shape),
        instances=read_instances(folder, index, shape),
        depth_m=read_depth(folder, index, shape),
        lanes=read_map(folder, "lane", index, shape),
        flow_px=flow_from_file(_read(folder, "flow", index, np.uint16, (*shape, 3))),
        objects=_parse(folder, index, lambda: read_objects(facts)),
        camera_from_world=_parse(folder, index, lambda: _pose(facts)),
        ego=_parse(folder, index, lambda: State(**facts["ego"])),
        time_s=_parse(folder, index, lambda: float(facts["time_s"])),
    )
    return RenderedFrame(index, image, labels)


def read_picture(folder: Path, index: int) -> UInt8:
    """The picture alone, ``uint8[H, W, 3]``, BGR."""
    image: UInt8 = _read(folder, PICTURE, index, np.uint8, (None, None, 3))
    return image


def read_map(folder: Path, kind: str, index: int, shape: tuple[int, ...]) -> UInt8:
    """``uint8[H, W]``: the class map or the lanes of a picture of that shape."""
    found: UInt8 = _read(folder, kind, index, np.uint8, shape)
    return found


def read_depth(folder: Path, index: int, shape: tuple[int, ...]) -> Float32:
    """``float32[H, W]``, m; 0 for the sky and beyond 256 m."""
    return depth_from_file(_read(folder, "depth", index, np.uint16, shape))


def read_instances(folder: Path, index: int, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """``uint16[H, W]``: identity, 0 where there is none."""
    return _read(folder, "instance", index, np.uint16, shape)


def read_labels(folder: Path, index: int) -> tuple[ObjectLabel, ...]:
    """The objects of a frame alone."""
    facts = read_facts(folder, index)
    return _parse(folder, index, lambda: read_objects(facts))


def read_facts(folder: Path, index: int) -> dict[str, Any]:
    """What `frame_table` made."""
    path = path_of(folder, OBJECTS, index)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: damaged: {error}; delete it, and render again") from error
    if not isinstance(facts, dict):
        raise InputError(f"{path}: damaged: expected a table; delete it, and render again")
    return facts


def read_objects(facts: Mapping[str, Any]) -> tuple[ObjectLabel, ...]:
    """The objects of `frame_table`; `KeyError`, `TypeError` or `ValueError` where something is amiss."""
    return tuple(_object(table) for table in facts["objects"])


def _object(table: Mapping[str, Any]) -> ObjectLabel:
    points = table["key_points"]
    amodal = table["amodal_xyxy"]
    x1, y1, x2, y2 = table["box_xyxy"]
    length, width, height = table["size_lwh_m"]
    x_m, y_m, z_m = table["centre_m"]
    return ObjectLabel(
        **{
            **table,
            "box_xyxy": (x1, y1, x2, y2),
            "amodal_xyxy": None if amodal is None else (amodal[0], amodal[1], amodal[2], amodal[3]),
            "size_lwh_m": (length, width, height),
            "centre_m": (x_m, y_m, z_m),
            "key_points": None
            if points is None
            else np.array(points, np.float32).reshape(len(KEY_POINTS), 3),
        }
    )


def _pose(facts: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.array(facts["camera_from_world"], np.float64).reshape(4, 4)


def _parse(folder: Path, index: int, make: Callable[[], T]) -> T:
    try:
        return make()
    except (KeyError, TypeError, ValueError, IndexError) as error:
        path = path_of(folder, OBJECTS, index)
        raise InputError(f"{path}: damaged: {error!r}; delete it, and render again") from error


def _read(
    folder: Path, kind: str, index: int, dtype: type[np.generic], shape: tuple[int | None, ...]
) -> NDArray[Any]:
    path = path_of(folder, kind, index)
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    flags = cv2.IMREAD_COLOR if kind == PICTURE else cv2.IMREAD_UNCHANGED
    try:
        # from memory: from a file, OpenCV fills what is missing of a JPEG with grey and says nothing
        found = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        found = None
    if found is None:
        raise InputError(f"{path}: damaged; delete it and the frame's objects, and render again")
    fits = len(found.shape) == len(shape) and all(
        want in {None, got} for want, got in zip(shape, found.shape, strict=True)
    )
    if found.dtype != dtype or not fits:
        raise InputError(
            f"{path}: expected {np.dtype(dtype)} of shape {list(shape)}, got {found.dtype} of {list(found.shape)}"
        )
    return found
