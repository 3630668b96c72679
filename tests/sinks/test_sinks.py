"""Every sink keeps one contract; what cannot be written is one clear error, and what was written stays."""

import json
import resource
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest

from perception.core.errors import ConfigError, OutputError, PerceptionError
from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.core.types import Seen, Truth
from perception.sinks import SINKS, open_sink, open_sinks
from perception.sinks.base import Sink, SinkContext, SinkGroup
from perception.sinks.overlay import Caption, build_style, draw_scene
from perception.sinks.video import VideoWriter

CONTEXT = SinkContext(BOX_CLASSES, MAP_CLASSES, 10.0)
FILE_SINKS = {"jsonl": "results.jsonl", "mcap": "results.mcap", "overlay": "overlay.mp4"}
if find_spec("rerun") is not None:  # it needs NumPy 2
    FILE_SINKS["rerun"] = "results.rrd"
FULL = "/dev/full"  # a device on which every write finds the disk full


@pytest.fixture
def no_window(monkeypatch):
    """A screen that shows nothing."""
    monkeypatch.setenv("DISPLAY", ":stand-in")
    for name in ("namedWindow", "imshow", "waitKey", "destroyWindow"):
        monkeypatch.setattr(f"perception.sinks.window.cv2.{name}", lambda *_: 0)


@pytest.fixture(params=sorted({*SINKS} - {"rerun"} | {*FILE_SINKS}))
def sink_spec(request, tmp_path, no_window):
    name = request.param
    return f"{name}={tmp_path / 'new' / FILE_SINKS[name]}" if name in FILE_SINKS else name


def frames_of(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


# --- the contract of all -------------------------------------------------------------------------------------------------


def test_a_sink_takes_scenes_and_is_closed_twice_without_harm(sink_spec, make_scene):
    with open_sink(sink_spec, CONTEXT) as sink:
        for index in range(3):
            sink.write(make_scene(index, stream_s=index / 10))
    sink.close()


def test_a_sink_that_got_nothing_closes_cleanly(sink_spec):
    open_sink(sink_spec, CONTEXT).close()


@pytest.mark.parametrize("name", ["jsonl", "overlay"])
def test_what_a_file_sink_got_is_in_the_file(name, tmp_path, make_scene):
    path = tmp_path / FILE_SINKS[name]
    with open_sink(f"{name}={path}", CONTEXT) as sink:
        for index in range(5):
            sink.write(make_scene(index, stream_s=index / 10))
    count = len(path.read_text().splitlines()) if name == "jsonl" else len(frames_of(path))
    assert count == 5


@pytest.mark.parametrize("name", FILE_SINKS)
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(lambda folder: folder, id="a-folder"),
        pytest.param(lambda folder: folder / "file" / "out", id="under-a-file"),
        pytest.param(lambda folder: Path("/proc/none/out"), id="not-writable"),
    ],
)
def test_a_file_that_cannot_be_made_is_an_error_at_once(name, place, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        open_sink(f"{name}={place(tmp_path)}", CONTEXT)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path(FULL).exists(), reason="needs the device /dev/full of Linux")
@pytest.mark.parametrize("name", FILE_SINKS)
def test_a_full_disk_is_an_error_in_one_line(name, make_scene):
    sink = open_sink(f"{name}={FULL}", CONTEXT)
    with pytest.raises(OutputError, match="stopped: No space left") as caught:
        fill(sink, make_scene)
    assert "\n" not in str(caught.value)
    sink.close()  # without a second error


def test_a_line_that_did_not_fit_leaves_no_half_behind(tmp_path, make_scene):
    path = tmp_path / "a.jsonl"
    sink = open_sink(f"jsonl={path}", CONTEXT)
    sink.write(make_scene(0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, resource.RLIM_INFINITY))
    try:
        with pytest.raises(OutputError, match="File too large"):
            sink.write(make_scene(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sink.close()
    assert [json.loads(line)["frame_id"] for line in path.read_text().splitlines()] == [0]


def fill(sink, make_scene):
    for index in range(400):
        sink.write(make_scene(index))
    sink.close()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param("jsonl", "expected jsonl=PATH", id="no-path"),
        pytest.param("overlay=", "expected overlay=PATH", id="empty-path"),
        pytest.param("jsnl=a", "did you mean 'jsonl'", id="misspelt"),
        pytest.param("window=a.mp4", "expected no path", id="window-with-path"),
    ],
)
def test_a_wrong_spec_is_a_usage_error(spec, message, no_window):
    with pytest.raises(ConfigError, match=message):
        open_sink(spec, CONTEXT)


def test_a_window_without_a_screen_is_a_usage_error(monkeypatch):
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("perception.sinks.window.sys.platform", "linux")
    with pytest.raises(ConfigError, match=r"no screen here.*use overlay=FILE\.mp4"):
        open_sink("window", CONTEXT)


# --- JSON lines ----------------------------------------------------------------------------------------------------------


def test_a_line_holds_the_result_with_units_in_its_keys(tmp_path, make_scene):
    scene = make_scene(7, stream_s=0.7)
    with open_sink(f"jsonl={tmp_path / 'a.jsonl'}", CONTEXT) as sink:
        sink.write(scene)
    record = json.loads((tmp_path / "a.jsonl").read_text())
    age_ms = record.pop("age_ms")
    assert 0 <= age_ms < 10_000
    assert record == {
        "camera": 0,
        "frame_id": 7,
        "stream_s": 0.7,
        "captured_ns": scene.frame.captured_ns,
        "finished_ns": scene.finished_ns,
        "size_wh_px": [64, 48],
        "boxes": [{"xyxy_px": [0.0, 0.0, 32.0, 24.0], "class": "vehicle", "score": 0.75}],
        "road_outline_px": [[[0.0, 24.0], [64.0, 24.0], [64.0, 48.0], [0.0, 48.0]]],
    }


def test_lines_are_in_the_file_before_it_is_closed(tmp_path, make_scene):
    path = tmp_path / "a.jsonl"
    sink = open_sink(f"jsonl={path}", CONTEXT)
    for index in range(3):
        sink.write(make_scene(index))
        assert len(path.read_text().splitlines()) == index + 1
    sink.close()


# --- video ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size_wh", "stored_wh"),
    [
        pytest.param((64, 48), (64, 48), id="even"),
        pytest.param((65, 48), (66, 48), id="odd-width"),
        pytest.param((64, 49), (64, 50), id="odd-height"),
        pytest.param((33, 17), (34, 18), id="both-odd"),
        pytest.param((1, 1), (2, 2), id="smallest"),
    ],
)
def test_odd_sizes_are_padded_to_even_ones(tmp_path, size_wh, stored_wh):
    writer = VideoWriter(tmp_path / "a.mp4", size_wh, 10.0)
    for _ in range(3):
        writer.write(np.full((size_wh[1], size_wh[0], 3), 128, np.uint8))
    writer.close()
    frames = frames_of(tmp_path / "a.mp4")
    assert [(f.width, f.height) for f in frames] == [stored_wh] * 3
    assert abs(float(frames[0].to_ndarray(format="bgr24").mean()) - 128) < 6


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        pytest.param(30000 / 1001, Fraction(30000, 1001), id="ntsc"),
        pytest.param(24000 / 1001, Fraction(24000, 1001), id="film"),
        pytest.param(25.0, Fraction(25), id="pal"),
        pytest.param(12.5, Fraction(25, 2), id="half"),
    ],
)
def test_fractional_rates_are_kept(tmp_path, fps, rate):
    writer = VideoWriter(tmp_path / "a.mp4", (64, 48), fps)
    for index in range(30):
        writer.write(np.zeros((48, 64, 3), np.uint8), 5.0 + index / fps)
    writer.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == rate
    assert frames_of(tmp_path / "a.mp4")[-1].time == pytest.approx(29 / fps)


@pytest.mark.parametrize("fps", [pytest.param(10.0, id="rate"), pytest.param(None, id="no-rate")])
def test_dropped_frames_leave_their_gap_in_time(tmp_path, make_scene, fps):
    path = tmp_path / "a.mp4"
    with open_sink(f"overlay={path}", SinkContext(BOX_CLASSES, MAP_CLASSES, fps)) as sink:
        for stream_s in (1.0, 1.1, 1.7):
            sink.write(make_scene(stream_s=stream_s))
    assert [f.time for f in frames_of(path)] == pytest.approx([0.0, 0.1, 0.7], abs=0.002)


def test_time_stamps_that_stand_still_or_go_back_do_not_stop_the_video(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", (64, 48), 10.0)
    for stream_s in (0.0, 0.0, 0.5, 0.2):
        writer.write(np.zeros((48, 64, 3), np.uint8), stream_s)
    writer.close()
    times = [f.time for f in frames_of(tmp_path / "a.mp4")]
    assert times == pytest.approx([0.0, 0.1, 0.5, 0.6])


def test_a_pyav_without_the_encoder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("perception.sinks.video.av.codec.codecs_available", {"mpeg4"})
    with pytest.raises(OutputError, match="no encoder 'libx264'; install PyAV from PyPI"):
        VideoWriter(tmp_path / "a.mp4", (64, 48), 10.0)


def test_what_was_encoded_before_a_kill_can_be_played(tmp_path):
    path = tmp_path / "a.mp4"
    code = f"""
import os
from pathlib import Path
import numpy as np
from perception.sinks.video import VideoWriter
writer = VideoWriter(Path({str(path)!r}), (96, 64), 10.0)
rng = np.random.default_rng(0)
for _ in range(130):
    writer.write(rng.integers(0, 256, (64, 96, 3), np.uint8))
os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 9
    with av.open(str(path)) as container:
        assert sum(1 for _ in playable(container)) > 40


def playable(container):
    try:
        yield from container.decode(video=0)
    except av.FFmpegError:
        return  # the fragment that was being written


# --- drawing -------------------------------------------------------------------------------------------------------------


def test_drawing_tints_the_road_marks_the_box_and_leaves_the_frame_alone(make_scene):
    scene = make_scene(size_wh=(320, 240))
    before = scene.frame.image.copy()
    canvas = draw_scene(scene, build_style(BOX_CLASSES, MAP_CLASSES), "caption")
    np.testing.assert_array_equal(scene.frame.image, before)
    assert canvas.shape == before.shape
    assert (canvas[200, 200] != before[200, 200]).any()  # road
    assert (canvas[60, 250] == before[60, 250]).all()  # sky is not tinted
    assert (canvas[100, 160] != before[100, 160]).any()  # right side of the box


def test_the_truth_is_drawn_as_white_corners_and_its_sides_stay_free(make_scene):
    scene = make_scene(size_wh=(320, 240))
    truth = Truth(np.array([[200, 20, 300, 120]], np.float32), np.array([0], np.int64))
    style = build_style(BOX_CLASSES, MAP_CLASSES)
    plain = draw_scene(scene, style)
    canvas = draw_scene(replace(scene, frame=replace(scene.frame, truth=truth)), style)
    for x, y in ((200, 20), (300, 20), (200, 120), (300, 120), (210, 20), (300, 110)):
        assert canvas[y, x].tolist() == [255, 255, 255]
    for x, y in ((250, 20), (200, 70), (250, 120), (300, 70), (250, 70)):
        assert canvas[y, x].tolist() == plain[y, x].tolist()


@pytest.mark.parametrize(
    "size_wh",
    [pytest.param((1, 1), id="1x1"), pytest.param((7, 3), id="tiny"), pytest.param((1921, 1081), id="odd-hd")],
)  # fmt: skip
def test_any_frame_size_can_be_drawn(make_scene, size_wh):
    canvas = draw_scene(make_scene(size_wh=size_wh), build_style(BOX_CLASSES, MAP_CLASSES), "text")
    assert canvas.shape == (size_wh[1], size_wh[0], 3)


def test_the_caption_tells_age_and_rate(make_scene):
    caption = Caption()
    scene = make_scene(3)
    first_ns = scene.frame.captured_ns + 20_000_000
    assert caption.text(scene, first_ns) == "frame 3  age 20 ms  - fps"
    assert caption.text(scene, first_ns + 50_000_000) == "frame 3  age 70 ms  20.0 fps"


def test_the_caption_tells_the_age_of_a_map_that_has_its_own(make_scene):
    scene = make_scene(3)
    captured_ns = scene.frame.captured_ns
    scene = replace(scene, map_seen=Seen(1, captured_ns - 66_000_000))
    text = Caption().text(scene, captured_ns + 20_000_000)
    assert text == "frame 3  age 20 ms  - fps  map 86 ms"


# --- several sinks -------------------------------------------------------------------------------------------------------


class Recorder(Sink):
    """Keeps what it gets; fails when told to."""

    def __init__(self, fails=()):
        self.fails = fails
        self.written = []
        self.closed = 0

    def write(self, scene):
        if "write" in self.fails:
            raise OutputError("write failed")
        self.written.append(scene.frame.frame_id)

    def close(self):
        self.closed += 1
        if "close" in self.fails:
            raise OutputError("close failed")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_sink_that_fails_does_not_take_the_scene_from_the_others(make_scene, at):
    sinks = [Recorder(("write",) if i == at else ()) for i in range(3)]
    with pytest.raises(OutputError, match="write failed"):
        SinkGroup(sinks).write(make_scene(4))
    assert [s.written for i, s in enumerate(sinks) if i != at] == [[4], [4]]


def test_all_are_closed_even_if_several_fail_and_the_first_is_told(caplog):
    sinks = [Recorder(("close",)), Recorder(("close",)), Recorder()]
    with pytest.raises(OutputError, match="close failed"):
        SinkGroup(sinks).close()
    assert [s.closed for s in sinks] == [1, 1, 1]
    assert "another sink failed too" in caplog.text


def test_where_one_cannot_be_made_those_before_it_are_closed(tmp_path, monkeypatch):
    made = []

    class Known(Recorder):
        def __init__(self, *_):
            super().__init__()
            made.append(self)

    monkeypatch.setattr("perception.sinks.jsonl.JsonlSink", Known)
    with pytest.raises(PerceptionError):
        open_sinks([f"jsonl={tmp_path / 'a'}", "overlay=/proc/none/a.mp4"], CONTEXT)
    assert [s.closed for s in made] == [1]
