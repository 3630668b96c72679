"""A Rerun recording, read and checked by Rerun itself."""

import subprocess
import sys
from dataclasses import replace

import pytest

from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.sinks import open_sink
from perception.sinks.base import SinkContext

pytest.importorskip("rerun", reason="it needs NumPy 2")
CONTEXT = SinkContext(BOX_CLASSES, MAP_CLASSES, 10.0)
FRAMES = 3


def rerun(*arguments):
    """What Rerun's own command prints of a recording."""
    command = [sys.executable, "-m", "rerun", "rrd", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture
def recording(tmp_path, make_scene):
    path = tmp_path / "results.rrd"
    with open_sink(f"rerun={path}", CONTEXT) as sink:
        for index in range(FRAMES):
            sink.write(make_scene(10 + index, stream_s=5 + index / 10))
    return path


def test_rerun_verifies_what_was_written(recording):
    checked = rerun("verify", recording)
    assert checked.returncode == 0, checked.stderr
    assert "1 file verified without error" in checked.stdout + checked.stderr


def test_every_entity_has_every_frame_on_both_timelines(recording):
    printed = rerun("print", "-vvv", recording).stdout
    for entity in ("image", "classes", "boxes", "road", "age_ms"):
        assert f"/camera/{entity}" in printed
    for value in ("road", "vehicle 0.75", "image/jpeg"):
        assert value in printed, value


def test_each_camera_has_entities_of_its_own(tmp_path, make_scene):
    path = tmp_path / "results.rrd"
    with open_sink(f"rerun={path}", replace(CONTEXT, cameras=2)) as sink:
        for camera in (0, 1):
            scene = make_scene(0)
            sink.write(replace(scene, frame=replace(scene.frame, camera=camera)))
    printed = rerun("print", "-vvv", path).stdout
    assert "/camera_0/image" in printed
    assert "/camera_1/boxes" in printed


def test_metres_are_seen_from_above_and_as_a_curve(tmp_path, make_scene, ground):
    path = tmp_path / "metres.rrd"
    with open_sink(f"rerun={path}", CONTEXT) as sink:
        sink.write(replace(make_scene(), ground=ground))
    printed = rerun("print", "-vvv", path).stdout
    for entity in ("ground/road", "ground/boxes", "free_distance_m"):
        assert f"/camera/{entity}" in printed
    # ahead is up in the viewer, whose y points down
    for value in ("21.25", "[-1.5, -23.4]", "[4.0, -55.0]"):
        assert value in printed, value
