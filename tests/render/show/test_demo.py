"""The shipped demo: a clip that plays, and a line of labels for each of its frames."""

import gzip
import json

import av
import pytest

from perception.core.errors import OutputError
from perception.render.show import demo
from perception.render.show.demo import write_demo
from tests.render.factories import RENDERER, FakeDrive, drive_config


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Where the cache goes."""
    monkeypatch.chdir(tmp_path)


def make(folder, frames=5):
    return write_demo(drive_config(frames), folder, processes=1, renderer=RENDERER)


def test_the_clip_has_the_frames_of_the_drive_at_its_rate(tmp_path):
    summary = make(tmp_path / "out")
    with av.open(summary["clip"]) as container:
        frames = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 10
    assert len(frames) == summary["frames"] == 5
    drive = FakeDrive(drive_config(5))
    for index, frame in enumerate(frames):
        assert abs(frame.astype(int) - drive.render(index).image).mean() < 12


def test_each_frame_has_its_line_of_labels_behind_the_one_of_the_drive(tmp_path):
    summary = make(tmp_path / "out")
    with gzip.open(summary["labels"], "rt") as file:
        first, *lines = [json.loads(line) for line in file]
    assert first["drive"]["frames"] == len(lines) == 5
    assert first["drive"]["camera"]["width_px"] == 96
    assert [line["frame"] for line in lines] == list(range(5))
    want = FakeDrive(drive_config(5)).render(3).labels
    assert [tuple(o["box_xyxy"]) for o in lines[3]["objects"]] == [o.box_xyxy for o in want.objects]
    assert lines[3]["time_s"] == pytest.approx(0.3)
    assert len(lines[3]["camera_from_world"]) == 4


def test_made_again_it_is_the_same_to_the_byte(tmp_path):
    one, other = (make(tmp_path / name) for name in ("one", "other"))
    for key in ("clip", "labels"):
        with open(one[key], "rb") as a, open(other[key], "rb") as b:  # noqa: PTH123
            assert a.read() == b.read()


def test_quality_gives_way_until_the_clip_fits(tmp_path, monkeypatch):
    best = make(tmp_path / "best")
    monkeypatch.setattr(demo, "MAX_BYTES", best["clip_bytes"] - 1)
    smaller = make(tmp_path / "smaller")
    assert best["crf"] == demo.CRFS[0] < smaller["crf"]
    assert smaller["clip_bytes"] < best["clip_bytes"]


def test_what_can_never_fit_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "MAX_BYTES", 10)
    with pytest.raises(OutputError, match="does not fit into 10 bytes"):
        make(tmp_path / "out")
