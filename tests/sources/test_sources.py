"""Sources: each keeps the contract, bad input is one clear error, and frames before it are kept."""

import threading
import time
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from perception.core.errors import ConfigError, InputError
from perception.sources import DEMO_CLIP, SOURCES, LiveOptions, open_source, source_kind
from perception.sources.base import Picture, Source
from perception.sources.paced import PacedSource


@pytest.fixture
def folder(tmp_path):
    """Five pictures, written in another order than their names, among other files."""
    for index in (3, 1, 0, 4, 2):
        cv2.imwrite(str(tmp_path / f"{index:03}.png"), np.full((48, 64, 3), 40 + index, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


@pytest.fixture(params=["video", "video-ts", "images", "paced", "stream"])
def source_spec(request, video, make_video, folder):
    """What opens each kind of source; cameras are not to be had here."""
    return {
        "video": lambda: (str(video), {}),
        "video-ts": lambda: (str(make_video(suffix=".ts")), {}),
        "images": lambda: (str(folder), {}),
        "paced": lambda: (str(video), {"live": True, "fps": 500.0}),
        "stream": lambda: (str(video), {"class": "stream"}),
    }[request.param]()


def open_spec(source_spec):
    spec, options = source_spec
    if "class" in options:  # an address cannot be reached here; its class also opens a file
        return SOURCES[options["class"]](spec)
    return open_source(spec, **options)


def grey(frame):
    return round(float(frame.image.mean()))


def test_a_source_numbers_frames_from_0_and_all_have_its_size(source_spec):
    with open_spec(source_spec) as source:
        frames = list(source)
        assert [f.frame_id for f in frames] == list(range(source.length or 12))
        assert {f.size_wh for f in frames} == {source.size_wh} == {(64, 48)}
        times = [f.captured_ns for f in frames]
        assert times == sorted(times)


def test_a_stopped_source_ends_and_can_be_closed_twice(source_spec):
    source = open_spec(source_spec)
    frames = iter(source)
    next(frames)
    source.stop()
    assert list(frames) == []
    source.close()
    source.close()


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        pytest.param("camera:0", "camera", id="camera"),
        pytest.param("rtsp://10.0.0.2/front", "stream", id="rtsp"),
        pytest.param("http://10.0.0.2/front", "stream", id="http"),
        pytest.param("https://10.0.0.2/front", "stream", id="https"),
        pytest.param(str(Path(__file__).parent), "images", id="folder"),
        pytest.param("drive.mp4", "video", id="file"),
    ],
)
def test_the_spec_tells_the_kind_of_source(spec, kind):
    assert source_kind(spec) == kind


def test_demo_is_the_clip_that_the_project_ships():
    with open_source("demo") as source:
        assert Path(source.name) == DEMO_CLIP
        assert (source.size_wh, source.fps, source.length) == ((1248, 384), 10.0, 200)
        assert DEMO_CLIP.stat().st_size < 6_000_000


def test_a_video_gives_its_frames_in_bgr_with_their_times(video):
    with open_source(str(video)) as source:
        assert (source.live, source.fps, source.length) == (False, 10.0, 12)
        frames = list(source)
    assert [f.stream_s for f in frames] == pytest.approx([i / 10 for i in range(12)])
    assert [grey(f) for f in frames] == pytest.approx([20 + 2 * i for i in range(12)], abs=5)


def test_colours_keep_their_order_through_a_video(tmp_path, make_scene):
    from perception.sinks.video import VideoWriter  # noqa: PLC0415

    blue = np.zeros((48, 64, 3), np.uint8)
    blue[..., 0] = 200
    writer = VideoWriter(tmp_path / "blue.mp4", (64, 48), 10.0)
    writer.write(blue)
    writer.close()
    with open_source(str(tmp_path / "blue.mp4")) as source:
        np.testing.assert_allclose(next(iter(source)).image.mean((0, 1)), (200, 0, 0), atol=6)


def test_a_fractional_rate_is_kept(make_video):
    path = make_video(frames=3, rate=Fraction(30000, 1001))
    with open_source(str(path)) as source:
        assert source.fps == pytest.approx(30000 / 1001, abs=1e-9)


def test_pictures_of_a_folder_come_in_the_order_of_their_names(folder):
    with open_source(str(folder)) as source:
        assert (source.live, source.fps, source.length) == (False, None, 5)
        assert [grey(f) for f in source] == [40, 41, 42, 43, 44]


# --- bad input ---------------------------------------------------------------------------------------------------------


def cut(path, target, share):
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path, video: path / "none.mp4", "no such file", id="missing"),
        pytest.param(
            lambda path, video: _write(path / "a.mp4", b""), "cannot be opened as video", id="empty"
        ),
        pytest.param(
            lambda path, video: _write(path / "a.mp4", b"\x00garbage" * 99),
            "cannot be opened",
            id="garbage",
        ),
        pytest.param(
            lambda path, video: cut(video, path / "a.mp4", 0.02),
            "no video in it|cannot be opened as video",
            id="no-index",
        ),
        pytest.param(
            lambda path, video: _folder(path / "empty"), "no pictures there", id="empty-folder"
        ),
        pytest.param(
            lambda path, video: _folder(path / "bad", b"no png"), "not a picture", id="bad-picture"
        ),
        pytest.param(
            lambda path, video: _folder(path / "bad", b""), "not a picture", id="empty-picture"
        ),
        pytest.param(lambda path, video: "camera:97", "no such camera", id="no-camera"),
        pytest.param(
            lambda path, video: "rtsp://127.0.0.1:9/x", "cannot be opened", id="no-stream"
        ),
        pytest.param(lambda path, video: "", "expected a path", id="empty-word"),
    ],
)
def test_an_unusable_input_is_refused_in_one_line(tmp_path, video, make, message):
    with pytest.raises(InputError, match=message) as caught:
        open_source(str(make(tmp_path, video)))
    assert "\n" not in str(caught.value)


def _write(path, data):
    path.write_bytes(data)
    return path


def _folder(path, picture=None):
    path.mkdir()
    if picture is not None:
        (path / "a.png").write_bytes(picture)
    return path


def read_until_error(source):
    """Frames before the error, and the error."""
    frames = []
    with source, pytest.raises(InputError) as caught:
        frames.extend(source)  # keeps what came before the error
    return frames, str(caught.value)


def test_a_truncated_video_gives_its_frames_and_then_an_error(make_video, tmp_path):
    whole = make_video(frames=60)
    frames, message = read_until_error(open_source(str(cut(whole, tmp_path / "cut.mp4", 0.8))))
    assert 10 < len(frames) < 60
    assert [f.frame_id for f in frames] == list(range(len(frames)))
    assert "of 60 frames" in message or "cannot be decoded" in message or "stopped" in message


def test_a_video_cut_between_two_frames_is_truncated_too(video, tmp_path):
    with av.open(str(video)) as container:
        cut_at = [p.pos for p in container.demux(video=0) if p.size][7]
    data = video.read_bytes()[:cut_at]
    frames, message = read_until_error(open_source(str(_write(tmp_path / "cut.mp4", data))))
    assert len(frames) == 7
    assert "the file ends after 7 of 12 frames" in message


def test_damage_in_the_middle_of_a_video_is_an_error_after_the_frames_before_it(video, tmp_path):
    data = bytearray(video.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 400] = b"\xff" * 400
    frames, message = read_until_error(open_source(str(_write(tmp_path / "bad.mp4", data))))
    assert 0 < len(frames) < 12
    assert "damaged" in message or "decoded" in message


def test_a_new_frame_size_in_mid_stream_names_frame_expected_and_got(make_video, tmp_path):
    parts = [make_video(frames=6, size_wh=s, suffix=".ts") for s in ((64, 48), (96, 48))]
    both = _write(tmp_path / "both.ts", b"".join(p.read_bytes() for p in parts))
    frames, message = read_until_error(open_source(str(both)))
    assert len(frames) >= 5
    assert f"frame {len(frames)} " in message
    assert "expected 64x48, got 96x48" in message


def test_pictures_of_two_sizes_are_an_error_at_the_second(folder):
    cv2.imwrite(str(folder / "002.png"), np.zeros((32, 32, 3), np.uint8))
    frames, message = read_until_error(open_source(str(folder)))
    assert len(frames) == 2
    assert "frame 2 has another size than those before: expected 64x48, got 32x32" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"live": True}, "has no frame rate", id="folder-live"),
        pytest.param({"live": True, "fps": -1.0}, "more than 0", id="negative-rate"),
    ],
)
def test_what_cannot_be_played_as_asked_is_a_usage_error(folder, options, message):
    with pytest.raises(ConfigError, match=message):
        open_source(str(folder), **options)


def test_a_camera_without_a_number_is_a_usage_error():
    with pytest.raises(ConfigError, match="expected camera:N"):
        open_source("camera:front")


# --- pacing ------------------------------------------------------------------------------------------------------------


class Stamped(Source):
    """Frames at the given times, ready at once."""

    def __init__(self, times_s, fps=100.0):
        super().__init__("stamped")
        self.live, self.fps, self.size_wh = False, fps, (64, 48)
        self.length = len(times_s)
        self._times_s = times_s

    def _pictures(self):
        for stream_s in self._times_s:
            yield Picture(np.zeros((48, 64, 3), np.uint8), time.monotonic_ns(), stream_s)


def test_a_paced_recording_comes_at_its_own_time_stamps_and_says_when_it_was_due():
    times_s = [1.0, 1.02, 1.05, 1.06]
    with PacedSource(Stamped(times_s)) as source:
        assert source.live
        frames = [(f, time.monotonic_ns()) for f in source]
    first_ns = frames[0][0].captured_ns
    due_s = [(f.captured_ns - first_ns) / 1e9 for f, _ in frames]
    assert due_s == pytest.approx([t - 1.0 for t in times_s], abs=1e-6)
    assert all(came_ns >= f.captured_ns for f, came_ns in frames)


def test_a_given_rate_replaces_the_time_stamps():
    with PacedSource(Stamped([0.0, 9.0, 99.0]), fps=200.0) as source:
        due_ns = [f.captured_ns for f in source]
    assert np.diff(due_ns).tolist() == [5_000_000, 5_000_000]


def test_a_late_reader_gets_the_frame_at_once_with_the_time_it_was_due():
    with PacedSource(Stamped([0.0, 0.01, 0.02])) as source:
        frames = iter(source)
        next(frames)
        time.sleep(0.05)
        began_ns = time.monotonic_ns()
        late = list(frames)
        assert time.monotonic_ns() - began_ns < 20_000_000
    assert all(f.captured_ns < began_ns for f in late)


def test_stopping_ends_the_wait_for_a_frame_that_is_due_much_later():
    with PacedSource(Stamped([0.0, 60.0])) as source:
        threading.Timer(0.05, source.stop).start()
        began_s = time.monotonic()
        assert len(list(islice(source, 2))) == 1
        assert time.monotonic() - began_s < 1.0


# --- cameras, by a stand-in for the driver --------------------------------------------------------------------------------


class FakeCapture:
    """Three frames, then nothing."""

    left = 3

    def __init__(self, _number):
        self.left = type(self).left

    def set(self, _key, _value):
        return True

    def get(self, _key):
        return 30.0

    def grab(self):
        self.left -= 1
        return self.left >= 0

    def retrieve(self):
        return True, np.zeros((48, 64, 3), np.uint8)

    def read(self):
        return (True, np.zeros((48, 64, 3), np.uint8)) if self.grab() else (False, None)

    def release(self):
        self.left = 0


@pytest.fixture
def fake_camera(monkeypatch):
    monkeypatch.setattr("perception.sources.camera._check_device", lambda *_: None)
    monkeypatch.setattr("perception.sources.camera.cv2.VideoCapture", FakeCapture)


def test_a_camera_that_stops_is_an_error_after_its_frames(fake_camera):
    source = open_source("camera:0", options=LiveOptions(patience_s=0))
    assert (source.live, source.fps, source.size_wh) == (True, 30.0, (64, 48))
    frames, message = read_until_error(source)
    assert [f.frame_id for f in frames] == [0, 1]
    assert "stopped after 2 frames" in message


def test_a_camera_that_delivers_nothing_is_refused(fake_camera, monkeypatch):
    monkeypatch.setattr(FakeCapture, "left", 0)
    with pytest.raises(InputError, match="delivers no frame"):
        open_source("camera:0")


def test_lossless_is_refused_for_a_live_source(fake_camera):
    with pytest.raises(ConfigError, match="leave out --lossless"):
        open_source("camera:0", live=False)
