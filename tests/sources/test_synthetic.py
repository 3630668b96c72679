"""A rendered drive as a source: a recording that brings its truth, or a camera that never ends."""

import logging
import time
from itertools import islice

import numpy as np
import pytest

from perception.core.errors import ConfigError, InputError
from perception.core.types import Truth
from perception.render.disk import path_of, read_frame
from perception.render.store import is_clear, read_drive, write_drive
from perception.sources import open_source, source_kind
from perception.sources.synthetic import SyntheticSource, build_truth
from tests.render.factories import RENDERER, drive_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four frames at 50 a second."""
    folder = tmp_path_factory.mktemp("drive")
    write_drive(drive_config(40, fps=50.0, duration_s=0.08), folder, processes=1, renderer=RENDERER)
    return folder


@pytest.mark.parametrize(
    ("spec", "kind"),
    [("synthetic", "synthetic"), ("synthetic:a/b", "synthetic"), ("synthetic.mp4", "video")],
)
def test_the_spec_tells_a_synthetic_source(spec, kind):
    assert source_kind(spec) == kind


def test_a_drive_asked_for_without_loss_is_a_recording_with_its_truth(folder):
    with open_source(f"synthetic:{folder}", live=False) as source:
        assert (source.live, source.fps, source.length, source.size_wh) == (False, 50, 4, (96, 64))
        frames = list(source)
    assert [f.frame_id for f in frames] == [0, 1, 2, 3]
    assert [f.stream_s for f in frames] == pytest.approx([0, 0.02, 0.04, 0.06])
    for index, frame in enumerate(frames):
        rendered = read_frame(folder, index)
        np.testing.assert_array_equal(frame.image, rendered.image)
        clear = [label for label in rendered.labels.objects if is_clear(label)]
        assert frame.truth.boxes_xyxy.tolist() == [list(map(float, o.box_xyxy)) for o in clear]
        assert len(clear) > 0


def test_else_it_is_a_live_source_that_begins_again_at_its_rate(folder):
    with open_source(f"synthetic:{folder}") as source:
        assert (source.live, source.fps, source.length) == (True, 50, None)
        frames = list(islice(source, 10))
    assert [f.frame_id for f in frames] == list(range(10))
    np.testing.assert_array_equal(frames[1].image, frames[9].image)
    assert frames[1].truth.boxes_xyxy.tolist() == frames[9].truth.boxes_xyxy.tolist()
    due_s = [(f.captured_ns - frames[0].captured_ns) / 1e9 for f in frames]
    assert due_s == pytest.approx([k / 50 for k in range(10)], abs=1e-6)
    assert np.diff([f.stream_s for f in frames]) == pytest.approx([0.02] * 9)


def test_another_rate_can_be_asked_for(folder):
    with open_source(f"synthetic:{folder}", fps=200.0) as source:
        assert source.fps == 200
        due_ns = [f.captured_ns for f in islice(source, 6)]
    assert np.diff(due_ns).tolist() == [5_000_000] * 5


def test_stopping_ends_a_loop(folder):
    with open_source(f"synthetic:{folder}") as source:
        frames = iter(source)
        next(frames)
        source.stop()
        began_s = time.monotonic()
        assert list(frames) == []
        assert time.monotonic() - began_s < 1


def test_the_default_drive_is_rendered_once_and_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    config = drive_config(5)
    with caplog.at_level(logging.INFO):
        with SyntheticSource("synthetic", config=config, renderer=RENDERER) as source:
            assert source.length == 5
            assert len(list(source)) == 5
        assert "rendering a drive of 5 frames once" in caplog.text
        (kept,) = (tmp_path / "runs" / "cache").glob("synthetic-*")
        assert read_drive(kept).missing == []
        caplog.clear()
        with SyntheticSource("synthetic", config=config, renderer="no:such") as source:
            assert source.length == 5
    assert caplog.text == ""


def test_a_drive_that_is_not_complete_is_refused(tmp_path):
    write_drive(drive_config(3), tmp_path, processes=1, renderer=RENDERER)
    path_of(tmp_path, "objects", 1).unlink()
    with pytest.raises(InputError, match="1 of 3 frames are missing"):
        open_source(f"synthetic:{tmp_path}")


def test_no_drive_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="expected the folder of a synthetic drive"):
        open_source(f"synthetic:{tmp_path / 'none'}")


def test_a_damaged_picture_is_an_error_after_the_frames_before_it(tmp_path):
    write_drive(drive_config(3), tmp_path, processes=1, renderer=RENDERER)
    path_of(tmp_path, "rgb", 2).write_bytes(b"no picture")
    frames = []
    with (
        open_source(f"synthetic:{tmp_path}", live=False) as source,
        pytest.raises(InputError, match=r"rgb/000002\.jpg: damaged"),
    ):
        frames.extend(source)
    assert len(frames) == 2


def test_a_rate_below_zero_is_a_usage_error(folder):
    with pytest.raises(ConfigError, match="more than 0"):
        open_source(f"synthetic:{folder}", fps=-1.0)


def test_a_frame_without_objects_has_an_empty_truth():
    truth = build_truth(())
    assert isinstance(truth, Truth)
    assert truth.boxes_xyxy.shape == (0, 4)
