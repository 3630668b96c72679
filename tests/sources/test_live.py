"""Live sources over a real connection: an MJPEG camera that is lost, damaged, frozen, and changes its size."""

import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import av
import cv2
import numpy as np
import pytest

from perception.core.errors import ConfigError, InputError
from perception.sources import LiveOptions, open_source
from perception.sources.base import Picture, Source
from perception.sources.gstreamer import full_pipeline
from perception.sources.reconnect import FROZEN_S, ReconnectingSource
from perception.sources.video import StreamOptions
from tests.doubles import numbered
from tests.sources.mjpeg_server import MjpegServer


@pytest.fixture
def camera():
    server = MjpegServer()
    yield server
    server.stop()


@pytest.fixture
def quick(monkeypatch):
    """Pauses between two attempts that a test can wait for."""
    monkeypatch.setattr("perception.sources.reconnect.FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr("perception.sources.reconnect.LONGEST_PAUSE_S", 0.1)


def number(frame):
    return numbered.read(frame.image)[0]


def read(source, count):
    return list(islice(source, count))


def test_an_mjpeg_camera_is_live_and_its_pictures_come_in_order(camera):
    with open_source(camera.address) as source:
        assert (source.live, source.size_wh) == (True, numbered.SIZE_WH)
        frames = read(source, 10)
    first = number(frames[0])
    assert [number(frame) for frame in frames] == list(range(first, first + 10))
    assert dict(source.events) == {"reconnects": 0, "frozen": 0, "resized": 0, "damaged": 0}


def test_a_lost_camera_is_waited_for_and_its_frames_are_numbered_on(camera, quick, caplog):
    with open_source(camera.address) as source:
        frames = iter(source)
        before = [next(frames) for _ in range(5)]
        camera.stop()
        threading.Timer(0.5, camera.start).start()
        after = [next(frames) for _ in range(5)]
        assert [f.frame_id for f in (*before, *after)] == list(range(10))
        assert source.events["reconnects"] == 1
    assert "lost" in caplog.text
    assert "back after" in caplog.text


@pytest.mark.parametrize("patience_s", [0.0, 0.4])
def test_a_camera_that_does_not_come_back_is_an_error_after_its_frames(camera, quick, patience_s):
    with open_source(camera.address, options=LiveOptions(patience_s=patience_s)) as source:
        frames = iter(source)
        next(frames)
        camera.stop()
        with pytest.raises(
            InputError, match=r"lost and not back within .* results so far are kept"
        ):
            for _ in frames:
                pass
    camera.start()


def test_a_wrong_address_is_an_error_at_once():
    began_s = time.monotonic()
    with pytest.raises(InputError, match="cannot be opened as video"):
        open_source("http://127.0.0.1:9/")
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="half a frame"),
        pytest.param(lambda _data: b"\x00garbage\xff" * 40, id="garbage"),
        pytest.param(lambda _data: b"", id="nothing"),
    ],
)
def test_damaged_pictures_are_skipped_and_good_ones_follow(camera, quick, damage):
    with open_source(camera.address) as source:
        frames = iter(source)
        next(frames)
        camera.damage = damage
        time.sleep(0.5)
        camera.damage = None
        good = camera.number
        later = list(islice(frames, 30))
        assert max(number(frame) for frame in later) > good
        assert all(numbered.is_whole(frame.image) for frame in later)
        assert source.events["damaged"] + source.events["reconnects"] > 0


def test_a_frozen_camera_is_noticed_and_so_is_its_end(camera, caplog):
    with open_source(camera.address) as source:
        frames = iter(source)
        next(frames)
        camera.frozen = True
        until = time.monotonic() + FROZEN_S + 0.5
        while time.monotonic() < until:
            next(frames)
        assert source.events["frozen"] == 1
        assert "frozen: the same picture" in caplog.text
        camera.frozen = False
        read(frames, 5)
    assert "change again" in caplog.text


def test_a_camera_may_change_its_size(camera, quick):
    with open_source(camera.address) as source:
        frames = iter(source)
        assert next(frames).size_wh == numbered.SIZE_WH
        camera.size_wh = (288, 96)
        sizes = [frame.size_wh for frame in islice(frames, 20)]
        assert sizes[-1] == source.size_wh == (288, 96)
        assert source.events["resized"] == 1


def test_stopping_ends_the_wait_for_a_lost_camera(camera):
    with open_source(camera.address) as source:
        frames = iter(source)
        next(frames)
        camera.stop()
        threading.Timer(0.3, source.stop).start()
        began_s = time.monotonic()
        for _ in frames:
            pass
        assert time.monotonic() - began_s < 3
    camera.start()


class OnceBroken(Source):
    """Fails in its first life, ends in the second; both count a damaged packet."""

    def __init__(self, life):
        super().__init__("broken")
        self.live, self.endless, self.fps, self.size_wh = True, True, 30.0, (8, 8)
        self.life = life

    @property
    def events(self):
        return {"damaged": 1}

    def _pictures(self):
        yield Picture(np.full((8, 8, 3), self.life, np.uint8), time.monotonic_ns(), 5.0)
        if self.life == 0:
            raise InputError("the cable is out")


def test_what_a_source_counted_is_not_lost_with_it(quick):
    lives = iter([OnceBroken(1), OnceBroken(2)])
    source = ReconnectingSource(OnceBroken(0), lambda: next(lives), patience_s=1.0)
    frames = read(source, 3)
    assert [frame.image[0, 0, 0] for frame in frames] == [0, 1, 2]
    first = frames[0]
    for frame in frames[1:]:  # each life begins its stamps anew; ours go on by the time that passed
        passed_s = (frame.captured_ns - first.captured_ns) / 1e9
        assert frame.stream_s == pytest.approx(5.0 + passed_s)
    assert dict(source.events) == {"reconnects": 2, "frozen": 0, "resized": 0, "damaged": 3}


def test_a_recording_behind_an_address_ends(make_video, tmp_path):
    """Though nothing tells its length."""
    with av.open(str(make_video())) as made:
        images = [frame.to_ndarray(format="bgr24") for frame in made.decode(video=0)]
    content = b"".join(cv2.imencode(".jpg", image)[1].tobytes() for image in images)
    (tmp_path / "drive.mjpeg").write_bytes(content)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with open_source(f"http://127.0.0.1:{server.server_port}/drive.mjpeg") as source:
            assert len(read(source, 50)) == len(images)
        server.shutdown()


@pytest.fixture
def delayed_video(tmp_path):
    """60 frames in an order of coding that is not that of the pictures."""
    path = tmp_path / "delayed.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"bf": "3", "preset": "veryfast"}
        for index in range(60):
            image = np.full((48, 64, 3), 2 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path


def test_a_file_that_is_still_written_is_followed_to_its_end(delayed_video, tmp_path, monkeypatch):
    for name in (
        "OPEN_TIMEOUT_S",
        "READ_TIMEOUT_S",
    ):  # a short file is opened only when no more comes
        monkeypatch.setattr(f"perception.sources.video.{name}", 1.0)
    content = delayed_video.read_bytes()
    growing = tmp_path / "growing.ts"
    cut = len(content) // 2
    growing.write_bytes(content[:cut])

    def write_on():
        time.sleep(0.5)
        with growing.open("ab") as file:
            file.write(content[cut:])

    threading.Thread(target=write_on, daemon=True).start()
    options = LiveOptions(stream=StreamOptions(follow=True))
    with open_source(str(growing), options=options) as source:
        assert len(list(source)) == 60


@pytest.mark.parametrize(
    ("spec", "stream"),
    [
        pytest.param("http://127.0.0.1:9/", StreamOptions(follow=True), id="follow"),
        pytest.param("http://127.0.0.1:9/", StreamOptions(transport="udp"), id="transport"),
    ],
)
def test_an_option_that_means_nothing_to_a_source_is_a_usage_error(spec, stream):
    with pytest.raises(ConfigError, match=r"is for .* got"):
        open_source(spec, options=LiveOptions(stream=stream))


def test_an_unknown_transport_is_a_usage_error():
    with pytest.raises(ConfigError, match=r"transport 'sctp': expected one of \['tcp', 'udp'\]"):
        StreamOptions(transport="sctp")


@pytest.mark.skipif(
    cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV has GStreamer"
)
def test_gstreamer_without_opencvs_support_tells_where_it_is_to_be_had():
    with pytest.raises(ConfigError, match="built without GStreamer; use the system's"):
        open_source("gst:videotestsrc")


def test_a_pipeline_gets_a_sink_that_keeps_the_newest_picture():
    assert full_pipeline("nvarguscamerasrc").endswith("appsink drop=true max-buffers=1 sync=false")
    assert full_pipeline("a ! appsink") == "a ! appsink"
