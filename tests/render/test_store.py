"""What was rendered is read again; a drive goes on where it stopped; what cannot be used is one line."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.core.errors import ConfigError, InputError, OutputError, RunError
from perception.render.disk import (
    KINDS,
    depth_from_file,
    depth_to_file,
    flow_from_file,
    flow_to_file,
    path_of,
    read_frame,
    write_frame,
)
from perception.render.store import (
    DRIVE_FILE,
    FORMAT,
    config_hash,
    is_clear,
    labels_hash,
    list_drives,
    read_drive,
    write_drive,
    write_drives,
)
from tests.render.factories import RENDERER, FakeDrive, drive_config, make_object, make_rendered

ROOT = Path(__file__).parents[2]


def write(config, folder, **options):
    return write_drive(config, folder, **{"processes": 1, "renderer": RENDERER} | options)


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """Four frames on disk."""
    return write(drive_config(4), tmp_path_factory.mktemp("drives") / "one")


# --- there and back --------------------------------------------------------------------------------------------------------


def test_labels_come_back_from_disk_as_they_were(drive):
    for index in range(drive.frames):
        before, after = FakeDrive(drive.config).render(index), read_frame(drive.folder, index)
        one, other = before.labels, after.labels
        assert after.index == index
        np.testing.assert_array_equal(one.class_ids, other.class_ids)
        np.testing.assert_array_equal(one.instances, other.instances)
        np.testing.assert_array_equal(one.lanes, other.lanes)
        np.testing.assert_allclose(one.depth_m, other.depth_m, atol=1 / 512)
        np.testing.assert_allclose(one.flow_px, other.flow_px, atol=1 / 127)  # NaN where NaN was
        np.testing.assert_array_equal(one.camera_from_world, other.camera_from_world)
        assert (one.ego, one.time_s) == (other.ego, other.time_s)
        assert len(one.objects) == len(other.objects) > 0
        for mine, found in zip(one.objects, other.objects, strict=True):
            if mine.key_points is not None:
                np.testing.assert_array_equal(mine.key_points, found.key_points)
            told = [repr(replace(label, key_points=None)) for label in (mine, found)]
            assert told[0] == told[1]
        assert np.abs(before.image.astype(int) - after.image).mean() < 6  # JPEG


def test_the_hash_of_labels_is_the_same_after_the_way_over_the_disk(drive):
    for index in range(drive.frames):
        rendered = FakeDrive(drive.config).render(index)
        assert labels_hash(read_frame(drive.folder, index).labels) == labels_hash(rendered.labels)


def test_the_hash_tells_every_label_apart():
    labels = make_rendered(1).labels
    known = {labels_hash(labels)}
    for name in ("class_ids", "instances", "lanes", "depth_m", "flow_px"):
        changed = getattr(labels, name).copy()
        changed[3, 4] += 1
        known.add(labels_hash(replace(labels, **{name: changed})))
    first, *rest = labels.objects
    moved = replace(first, centre_m=(first.centre_m[0] + 0.1, *first.centre_m[1:]))
    known.add(labels_hash(replace(labels, objects=(moved, *rest))))
    known.add(labels_hash(replace(labels, objects=tuple(rest))))
    faster = replace(first, speed_mps=first.speed_mps + 0.1)
    known.add(labels_hash(replace(labels, objects=(faster, *rest))))
    known.add(labels_hash(replace(labels, camera_from_world=labels.camera_from_world + 1e-3)))
    known.add(labels_hash(replace(labels, ego=replace(labels.ego, x_m=labels.ego.x_m + 0.01))))
    known.add(labels_hash(replace(labels, time_s=labels.time_s + 0.01)))
    assert len(known) == 12


def test_depth_has_a_value_for_nothing_and_none_for_too_far():
    depth = np.array([[0, 0.0001, 1.5, 255.9, 256.5, 4000]], np.float32)
    steps = depth_to_file(depth)
    assert steps.tolist() == [[0, 1, 384, 65510, 0, 0]]
    np.testing.assert_allclose(depth_from_file(steps)[0, 2:4], depth[0, 2:4], atol=1 / 512)


def test_flow_is_coded_as_kitti_codes_it():
    flow = np.array([[[1.5, -2.0], [np.nan, 0], [600, 0], [-512, 511]]], np.float32)
    coded = flow_to_file(flow)
    # OpenCV's order: blue (valid), green (v), red (u)
    assert coded[0, 0].tolist() == [1, 32768 - 128, 32768 + 96]
    assert coded[0, :, 0].tolist() == [1, 0, 0, 1]
    back = flow_from_file(coded)
    np.testing.assert_array_equal(back[0, [0, 3]], flow[0, [0, 3]])
    assert np.isnan(back[0, 1:3]).all()


def test_files_have_the_types_that_the_layout_promises(drive):
    want = {
        "class": (np.uint8, 2), "lane": (np.uint8, 2), "instance": (np.uint16, 2), "depth": (np.uint16, 2),
        "flow": (np.uint16, 3), "rgb": (np.uint8, 3),
    }  # fmt: skip
    for kind, (dtype, axes) in want.items():
        pixels = cv2.imread(str(path_of(drive.folder, kind, 2)), cv2.IMREAD_UNCHANGED)
        assert (pixels.dtype, pixels.ndim) == (dtype, axes), kind
    table = json.loads((drive.folder / DRIVE_FILE).read_text())
    assert (table["fps"], table["frames"], table["size_wh"]) == (10.0, 4, [96, 64])
    assert table["class_names"]["7"] == "road"
    assert table["config_sha256"] == config_hash(drive.config)


def test_a_drive_tells_its_configuration_and_camera(drive):
    found = read_drive(drive.folder)
    assert found == drive
    assert found.config == drive_config(4)
    assert found.camera.size_wh == (96, 64)
    assert found.missing == []


def test_objects_that_are_hardly_seen_are_not_clear():
    maps = (
        np.zeros((64, 96), np.uint8),
        np.zeros((64, 96), np.uint16),
        np.zeros((64, 96), np.float32),
    )
    label = replace(make_object(np.random.default_rng(0), 1, maps), pixels=30, occluded=0.85)
    assert is_clear(label)
    assert not is_clear(replace(label, pixels=29))
    assert not is_clear(replace(label, occluded=0.86))


# --- writing ---------------------------------------------------------------------------------------------------------------


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_processes_write_the_same_files_as_one(drive, tmp_path):
    seen = []
    write(drive.config, tmp_path / "two", processes=2, progress=lambda *told: seen.append(told))
    assert files_of(tmp_path / "two") == files_of(drive.folder)
    assert seen == [(n, 4) for n in range(5)]


def test_a_drive_goes_on_where_it_stopped_and_leaves_alone_what_is_there(tmp_path):
    config = drive_config(4)
    write(config, tmp_path)
    before = files_of(tmp_path)
    path_of(tmp_path, "objects", 2).unlink()  # as if it was stopped in the middle of frame 2
    path_of(tmp_path, "flow", 2).unlink()
    assert read_drive(tmp_path).missing == [2]
    kept = path_of(tmp_path, "objects", 1).stat().st_mtime_ns
    seen = []
    write(config, tmp_path, progress=lambda *told: seen.append(told))
    assert seen == [(3, 4), (4, 4)]
    assert files_of(tmp_path) == before
    assert path_of(tmp_path, "objects", 1).stat().st_mtime_ns == kept


def test_several_drives_share_the_processes(tmp_path):
    drives = [(drive_config(3, seed=seed), tmp_path / str(seed)) for seed in range(3)]
    stored = write_drives(drives, processes=2, renderer=RENDERER)
    assert [d.missing for d in stored] == [[], [], []]
    assert [d.config.seed for d in list_drives(tmp_path)] == [0, 1, 2]


def test_a_folder_with_another_drive_is_refused_with_what_differs(drive):
    with pytest.raises(ConfigError, match=r"another drive \(differs in \['config.seed'\]\)"):
        write(drive_config(4, seed=5), drive.folder)


def test_numbers_of_another_type_are_the_same_configuration(drive):
    assert config_hash(drive_config(4, fps=10)) == config_hash(drive_config(4, fps=10.0))
    assert config_hash(drive_config(4, seed=1)) != config_hash(drive_config(4))


@pytest.mark.parametrize("place", ["/proc/none/drive", "{tmp}/file/drive"])
def test_a_folder_that_cannot_be_written_is_one_line(place, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write(drive_config(1), Path(place.format(tmp=tmp_path)))
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path):
    frame = make_rendered()
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
    try:
        with pytest.raises(
            OutputError, match=r"rgb/000000\.jpg: cannot be written: File too large"
        ):
            write_frame(tmp_path, frame)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert files_of(tmp_path) == {}


def test_what_a_process_cannot_write_is_told_by_the_one_that_asked(tmp_path):
    config = drive_config(4)
    (tmp_path / "depth").write_text("in the way")
    with pytest.raises(OutputError, match="depth/00000"):
        write(config, tmp_path, processes=2)


def test_a_process_that_dies_is_one_line_and_its_frames_are_kept(tmp_path):
    with pytest.raises(RunError, match="ended with code 9; its frames so far are kept") as caught:
        write(drive_config(6), tmp_path, processes=2, renderer=RENDERER.replace("Fake", "Dying"))
    assert "\n" not in str(caught.value)
    assert {0, 1} & set(read_drive(tmp_path).missing) == set()


SCRIPT = """
import signal
from pathlib import Path
from perception.render.store import write_drive
from tests.render.factories import drive_config

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    write_drive(drive_config(300), Path("drive"), processes=2, renderer="tests.render.factories:SlowDrive",
                progress=lambda *told: print(*told, flush=True))
"""


@pytest.fixture
def long_render(tmp_path):
    """A process that has two others render 300 slow frames, for half a minute, stopped by a signal to those that are named after the second."""

    def stop(number, send):
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        with subprocess.Popen(
            [sys.executable, script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        ) as process:  # fmt: skip
            for line in process.stdout:
                if line.startswith("2 "):
                    break
            send(process.pid, number)
            began_s = time.monotonic()
            _, errors = process.communicate(timeout=20)  # the pipe closes once all have ended
        assert time.monotonic() - began_s < 12  # much less than what was left to render
        return errors

    return stop


def check_whole(folder):
    drive = read_drive(folder)
    done = sorted(set(range(300)) - set(drive.missing))
    assert 2 <= len(done) < 300
    for index in done:
        read_frame(drive.folder, index)


def test_an_interrupt_ends_all_processes_and_keeps_whole_frames(long_render, tmp_path):
    errors = long_render(signal.SIGINT, os.killpg)
    assert errors.count("Traceback") == 1  # of the script itself; the processes say nothing
    assert errors.rstrip().endswith("KeyboardInterrupt")
    check_whole(tmp_path / "drive")
    assert [p for p in tmp_path.rglob("*") if p.name.startswith(".0")] == []


def test_processes_end_soon_after_the_one_that_asked_was_killed(long_render, tmp_path):
    assert long_render(signal.SIGKILL, os.kill).count("Traceback") == 0
    check_whole(tmp_path / "drive")


# --- unusable --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_one_line(kind, tmp_path):
    write_frame(tmp_path, make_rendered())
    path_of(tmp_path, kind, 0).unlink()
    with pytest.raises(
        InputError, match=f"{kind}/000000.*: cannot be read: No such file"
    ) as caught:
        read_frame(tmp_path, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_file_is_one_line(kind, share, tmp_path):
    write_frame(tmp_path, make_rendered())
    path = path_of(tmp_path, kind, 0)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=f"{kind}/000000.*: damaged") as caught:
        read_frame(tmp_path, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda t: t.pop("ego"), "damaged: KeyError", id="key"),
        pytest.param(lambda t: t["objects"][0].pop("kind"), "damaged: TypeError", id="object"),
        pytest.param(lambda t: t["objects"][0].update(box_xyxy=[1]), "damaged: ValueError", id="box"),
        pytest.param(lambda t: t.update(camera_from_world=[[1]]), "damaged: ValueError", id="pose"),
    ],
)  # fmt: skip
def test_objects_of_another_form_are_one_line(spoil, words, tmp_path):
    write_frame(tmp_path, make_rendered())
    path = path_of(tmp_path, "objects", 0)
    table = json.loads(path.read_text())
    spoil(table)
    path.write_text(json.dumps(table))
    with pytest.raises(InputError, match=words):
        read_frame(tmp_path, 0)


def test_maps_of_another_size_than_the_picture_are_one_line(tmp_path):
    write_frame(tmp_path, make_rendered())
    cv2.imwrite(str(path_of(tmp_path, "class", 0)), np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match=r"class/000000.png: expected uint8 of shape \[64, 96\]"):
        read_frame(tmp_path, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(None, "expected the folder of a synthetic drive", id="missing"),
        pytest.param("{", "damaged", id="no JSON"),
        pytest.param("[]", "expected a table", id="no table"),
        pytest.param('{"format": 99}', f"of format 99; this software reads {FORMAT}", id="format"),
        pytest.param(f'{{"format": {FORMAT}}}', "damaged", id="empty"),
        pytest.param(
            f'{{"format": {FORMAT}, "config": {{"sed": 1}}, "camera": {{}}}}',
            "mean 'seed'",
            id="key",
        ),
    ],
)
def test_a_drive_that_cannot_be_read_is_one_line(text, words, tmp_path):
    if text is not None:
        (tmp_path / DRIVE_FILE).write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_drive(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_drives_tells_how_to_make_some(tmp_path):
    with pytest.raises(InputError, match="perception render --out"):
        list_drives(tmp_path)
