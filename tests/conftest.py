"""Fixtures that several folders share: tiny videos, tiny engines, frames, scenes. Nothing here needs torch."""

import os
from pathlib import Path

# before torch is imported: its threads spin while they wait for each other, which on a busy machine takes minutes
os.environ.setdefault("OMP_NUM_THREADS", "1")
# where the labelled data lies beside a checkout; only tests marked `data` read it
os.environ.setdefault("PERCEPTION_DATA", str(Path(__file__).parents[2] / "shared" / "data"))

import time
from fractions import Fraction

import av
import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import settings

from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.core.manifest import (
    ONNX_FILE,
    EngineManifest,
    TensorSpec,
    load_engine,
    sha256,
    write_manifest,
)
from perception.core.types import Detections, Frame, FreeDistance, Ground, Scene

settings.register_profile("ci", derandomize=True, max_examples=200, deadline=None)
settings.register_profile("default", derandomize=True, max_examples=40, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# The class of a pixel is its blue value; the first box moves right by the green value of the first pixel.
TINY_GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[batch, height, width, 3] frame) => (
  float[batch, 4, 4] boxes_xyxy, float[batch, 4] scores, int32[batch, 4] class_ids, uint8[batch, height, width] class_map
) <
  float[1, 4, 4] base = {8, 4, 24, 20,  4, 8, 30, 30,  0, 0, 9, 9,  1, 1, 3, 3},
  float[1, 4, 4] moves = {1, 0, 1, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0},
  float[1, 4] base_scores = {0.9, 0.6, 0.3, 0.0},
  int32[1, 4] base_ids = {0, 1, 2, 0},
  int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] last = {3}, int64[2] tail = {2, 3},
  int64[3] origin = {0, 0, 1}, int64[3] beyond = {1, 1, 2}, int64[3] axes = {1, 2, 3}, float nothing = {0}
> {
  blue = Slice(frame, zero, one, last)
  class_map = Squeeze(blue, last)
  green = Slice(frame, origin, beyond, axes)
  green_row = Squeeze(green, last)
  offset = Cast<to = 1>(green_row)
  shift = Mul(offset, moves)
  boxes_xyxy = Add(base, shift)
  offset_row = Squeeze(offset, two)
  none = Mul(offset_row, nothing)
  scores = Add(base_scores, none)
  none_id = Cast<to = 6>(none)
  class_ids = Add(base_ids, none_id)
}
"""


@pytest.fixture(scope="session")
def make_engine(tmp_path_factory):
    """Make an engine folder around a tiny graph; `rename` (old, new) changes its text, keywords its manifest."""

    def make(rename=("", ""), **changes):
        folder = tmp_path_factory.mktemp("engines") / "tiny"
        folder.mkdir()
        model = onnx.parser.parse_model(TINY_GRAPH.replace(*rename) if rename[0] else TINY_GRAPH)
        onnx.checker.check_model(model)
        onnx.save(model, folder / ONNX_FILE)
        fields = {
            "name": "tiny",
            "inputs": {"frame": TensorSpec("uint8", (-1, -1, -1, 3))},
            "outputs": {
                "boxes_xyxy": TensorSpec("float32", (-1, 4, 4)),
                "scores": TensorSpec("float32", (-1, 4)),
                "class_ids": TensorSpec("int32", (-1, 4)),
                "class_map": TensorSpec("uint8", (-1, -1, -1)),
            },
            "box_classes": BOX_CLASSES,
            "map_classes": MAP_CLASSES,
            "mask_form": "none",
            "mask_threshold": 0.4,
            "score_threshold": 0.5,
            "max_pixels": 1 << 20,
            "onnx_sha256": sha256(folder / ONNX_FILE),
            "weights_sha256": "",
            "task": "cascade",
            "trained_on": (),
            "versions": {},
            "created": "2025-01-01",
        }
        write_manifest(folder, EngineManifest(**{**fields, **changes}))
        return load_engine(folder)

    return make


@pytest.fixture(scope="session")
def tiny_engine(make_engine):
    """An engine that sees classes in the blue channel, and always two boxes above its threshold."""
    return make_engine()


def picture(index, size_wh=(64, 48)):
    """A grey picture that gets lighter with its index."""
    return np.full((size_wh[1], size_wh[0], 3), 20 + 2 * index, np.uint8)


@pytest.fixture(scope="session")
def make_video(tmp_path_factory):
    """Encode a video of plain pictures; index i has the grey 20 + 2 i."""

    def make(frames=12, size_wh=(64, 48), rate=Fraction(10), suffix=".mp4", codec="libx264"):
        path = tmp_path_factory.mktemp("videos") / f"drive{suffix}"
        options = {"movflags": "+faststart"} if suffix == ".mp4" else {}
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height = size_wh
            stream.pix_fmt = "yuv420p"
            stream.codec_context.gop_size = 6
            if codec == "libx264":
                # every frame is coded at once, so that a cut in the file is a cut in the frames
                stream.options = {"preset": "ultrafast", "crf": "10", "tune": "zerolatency"}
            for index in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(index, size_wh), format="bgr24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


@pytest.fixture(scope="session")
def video(make_video):
    """Twelve frames of 64x48 at 10 a second."""
    return make_video()


@pytest.fixture
def make_frame():
    """A frame of one colour, captured now."""

    def make(frame_id=0, size_wh=(64, 48), stream_s=None, value=50):
        image = np.full((size_wh[1], size_wh[0], 3), value, np.uint8)
        return Frame(image, frame_id, time.monotonic_ns(), stream_s)

    return make


@pytest.fixture
def make_scene(make_frame):
    """A scene with one vehicle, and road in its lower half."""

    def make(frame_id=0, size_wh=(64, 48), stream_s=None):
        width, height = size_wh
        class_map = np.zeros((height, width), np.uint8)
        class_map[height // 2 :] = MAP_CLASSES.index("road")
        found = Detections(
            np.array([[0, 0, width / 2, height / 2]], np.float32),
            np.array([0.75], np.float32),
            np.array([0], np.int64),
        )
        corners = [[0, height / 2], [width, height / 2], [width, height], [0, height]]
        outline = (np.array(corners, np.float32),)
        frame = make_frame(frame_id, size_wh, stream_s)
        return Scene(frame, found, class_map, outline, time.monotonic_ns())

    return make


@pytest.fixture
def ground():
    """The one vehicle of `make_scene` 23.4 m ahead and 1.5 m to the left, on a road of 8 m that is free for 21 m."""
    road = np.array([[-4, 6], [4, 6], [4, 55], [-4, 55]], np.float32)
    free = FreeDistance(21.25, (19.0, 24.0), 2.5, "box")
    feet, interval = np.array([[-1.5, 23.4]]), np.array([[20.0, 28.0]])
    return Ground(feet, interval, ("",), np.array([1.8]), (road,), 55.0, free)
