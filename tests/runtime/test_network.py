"""The loop behind a real camera on the network, slower than the camera: the newest frame wins, and every other one is counted."""

import socket
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.backends import DEFAULT_BACKEND
from perception.core.manifest import DEFAULT_ENGINE, load_engine
from perception.runtime.opening import RunConfig, open_for
from perception.runtime.pipeline import Pipeline
from perception.sources import open_source
from tests.doubles import numbered
from tests.process import resident_bytes
from tests.runtime.loop import FakeBackend
from tests.sources.mjpeg_server import MjpegServer

FPS = 30
INTERVAL_MS = 1000 / FPS
SETTLING = 5  # results at the start that are not looked at
SERVER = Path(numbered.__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"  # which has GStreamer's bindings


@pytest.fixture(params=["mjpeg", pytest.param("rtsp", marks=pytest.mark.gstreamer)])
def address(request):
    if request.param == "mjpeg":
        server = MjpegServer(fps=FPS)
        yield server.address
        server.stop()
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [SYSTEM_PYTHON, str(SERVER), str(port), str(FPS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.kill()


def run_against(address, backend, manifest, seconds):
    """Age in ms of each result by the clock in its picture, the report, and memory in bytes over the run."""
    ages, memory, last = [], [], None
    until = time.monotonic() + seconds
    with open_source(address) as source, Pipeline(source, backend, manifest) as pipeline:
        for scene in pipeline.scenes():
            ages.append(numbered.age_ms(scene.frame.image))
            memory.append(resident_bytes())
            number, frame_id = numbered.read(scene.frame.image)[0], scene.frame.frame_id
            if (
                last is not None
            ):  # what our count says was dropped is what the camera sent in between
                assert (number - last[0]) % numbered.WRAP == frame_id - last[1]
            last = (number, frame_id)
            if time.monotonic() > until:
                break
        sent = last[1] + 1
        assert pipeline.report.finished + pipeline.report.dropped == sent
        assert dict(source.events) == {"reconnects": 0, "frozen": 0, "resized": 0, "damaged": 0}
    return np.array(ages[SETTLING:]), pipeline.report, np.array(memory[SETTLING:])


def test_a_loop_that_is_slower_than_its_camera_counts_every_picture_that_it_drops(address):
    """How old its results are is for `make soak`: here other tests run beside it."""
    backend = FakeBackend(work_s=3.3 / FPS)
    ages, report, _ = run_against(address, backend, load_engine(DEFAULT_ENGINE).manifest, 6)
    assert report.dropped > report.finished > 0
    assert len(ages) == report.finished - SETTLING


@pytest.mark.slow
def test_our_reader_is_no_later_than_opencvs(address):
    """Age of 200 pictures as they come out of the reader, which does nothing else."""

    def by_opencv():
        camera = cv2.VideoCapture(address)
        while True:
            yield camera.read()[1]

    with open_source(address) as source:
        ours = [numbered.age_ms(frame.image) for frame in islice(source, 200)]
    theirs = [numbered.age_ms(image) for image in islice(by_opencv(), 200)]
    figures = [float(np.median(ages[50:])) for ages in (ours, theirs)]
    sys.stderr.write(
        f"\n{address}: age at the reader, p50: {figures[0]:.0f} ms, OpenCV's {figures[1]:.0f} ms\n"
    )
    assert figures[0] <= figures[1] + 5


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_ten_minutes_behind_a_camera(address, monkeypatch):
    monkeypatch.setattr("perception.core.timing.KEPT", 1000)  # full before memory is looked at
    engine = load_engine(DEFAULT_ENGINE)
    config = RunConfig(source=address, size="1248x384", backend=DEFAULT_BACKEND)
    with open_source(address) as source, open_for(source, engine, config) as backend:
        source.close()
        ages, report, memory = run_against(address, backend, engine.manifest, 600)
    infer = report.stages_ms()["infer"]
    thirds = [float(np.percentile(part, 99)) for part in np.array_split(ages, 3)]
    settled = memory[len(memory) // 3 :]
    mib_a_minute = np.polyfit(np.linspace(0, 400 / 60, len(settled)), settled / 2**20, 1)[0]
    sys.stderr.write(
        f"\n{address}: {report.finished} results, {report.dropped} dropped, inference p50 {infer.p50:.0f} p99 {infer.p99:.0f} ms, "
        f"age p50 {np.median(ages):.0f} p99 by third {[round(t) for t in thirds]} ms, memory {mib_a_minute:+.2f} MiB a minute\n"
    )
    assert np.percentile(ages, 99) < INTERVAL_MS + 2 * infer.p99
    assert thirds[-1] - thirds[0] < INTERVAL_MS
    assert mib_a_minute < 1
