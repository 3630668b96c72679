"""The command ``perception archive`` as a user meets it: killed, gone on with, refused. Real video, tiny engine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

from perception.core.errors import ConfigError, ExitCode, OutputError
from perception.runtime.archive import folder
from perception.runtime.archive.archive import archive
from perception.runtime.archive.folder import OutLock
from perception.runtime.archive.recording import ArchiveConfig
from perception.runtime.opening import RunConfig

NAMES = ("a.mp4", "b/a.mp4", "b/c.MKV", "h.mp4")
FRAMES = (8, 11, 14, 17)
TIMES = ("captured_ns", "finished_ns", "age_ms")  # of a line: what differs from run to run


@pytest.fixture(scope="module")
def clips(make_video):
    """Clips of different lengths, in the order of the names."""
    return [make_video(frames=frames) for frames in FRAMES]


@pytest.fixture
def recordings(clips, tmp_path):
    """A folder of folders of recordings, and of what is none."""
    folder = tmp_path / "in"
    for name, clip in zip(NAMES, clips, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(clip, folder / name)  # with its time
    (folder / "notes.txt").write_text("no recording")
    return folder


@pytest.fixture
def add_longer(recordings, make_video):
    """Add recordings that take long enough to be killed in."""

    def add(count):
        longer = make_video(frames=110, size_wh=(480, 360))
        for index in range(count):
            shutil.copy(longer, recordings / f"longer{index:02d}.mp4")

    return add


@pytest.fixture
def config(recordings, tiny_engine, tmp_path):
    """What the command asks for, for calls within this process; keywords change it."""

    def build(engine=tiny_engine, **changes):
        run = RunConfig(source="", engine=str(engine.folder), threads=1)
        return ArchiveConfig(
            **{"source": recordings, "out": tmp_path / "out", "run": run, **changes}
        )

    return build


def call(config):
    return archive(config, lambda done, total: None)


@pytest.fixture(scope="module")
def finished_once(clips, tiny_engine, tmp_path_factory):
    """A folder of results of the recordings as they are at first."""
    folder = tmp_path_factory.mktemp("archive")
    for name, clip in zip(NAMES, clips, strict=True):
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(clip, folder / "in" / name)
    run = RunConfig(source="", engine=str(tiny_engine.folder))
    call(ArchiveConfig(source=folder / "in", out=folder / "out", run=run))
    return folder / "out"


@pytest.fixture
def finished(finished_once, tmp_path):
    """The folder of results, to change it."""
    shutil.copytree(finished_once, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def command(recordings, tiny_engine, tmp_path):
    """The words of the command; more may follow."""

    def words(*more, out=tmp_path / "out", engine=tiny_engine):
        return [
            sys.executable, "-m", "perception", "archive", str(recordings), "--out", str(out),
            "--engine", str(engine.folder), "--threads", "1", *map(str, more),
        ]  # fmt: skip

    return words


def ended(words, code=ExitCode.DONE):
    """The closing object and stderr of a command that ends with a code."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == code, done.stderr
    closing = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    return closing, done.stderr


def stamps(out):
    """Finished recording -> when it was."""
    return {
        path.parent.relative_to(out).as_posix(): path.stat().st_mtime_ns
        for pattern in ("*/summary.json", "b/*/summary.json")
        for path in out.glob(pattern)
    }


def results(out):
    """Finished recording -> what was found in each of its frames."""
    found = {name: (out / name / "results.jsonl").read_text().splitlines() for name in stamps(out)}
    return {
        name: [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]
        for name, lines in found.items()
    }


def counts(closing):
    return tuple(closing[key] for key in ("recordings", "done", "skipped", "frames"))


def left_over(out):
    return [path.name for path in (out / ".partial").iterdir() if path.name != "lock"]


def test_every_recording_is_done_once_and_then_skipped(command, recordings, tmp_path):
    out = tmp_path / "out"
    closing, told = ended(command("--workers", 2, "--overlay"))
    assert told == ""
    assert counts(closing) == (4, 4, 0, sum(FRAMES))
    assert closing["failed"] == {}
    assert closing["archive"] == str(recordings)
    found = results(out)
    assert {name: len(found[name]) for name in found} == dict(zip(NAMES, FRAMES, strict=True))
    files = {path.name for path in (out / "b" / "c.MKV").iterdir()}
    assert files == {"results.jsonl", "overlay.mp4", "summary.json"}
    assert left_over(out) == []
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.is_file()}
    closing, _ = ended(command("--overlay"))
    assert counts(closing) == (4, 0, 4, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_corrupt_recording_is_reported_left_out_and_tried_again(
    command, config, recordings, tmp_path
):
    whole = (recordings / "b" / "a.mp4").read_bytes()
    (recordings / "b" / "a.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    (recordings / "h.mp4").write_bytes(b"no video")
    closing, told = ended(command(), ExitCode.INPUT)
    assert counts(closing) == (4, 2, 0, FRAMES[0] + FRAMES[2])
    assert sorted(closing["failed"]) == ["b/a.mp4", "h.mp4"]
    for name, message in closing["failed"].items():
        assert f"WARNING: {name} is left out: {message}\n" in told
        assert not (tmp_path / "out" / name).exists()
    (recordings / "b" / "a.mp4").write_bytes(whole)
    closing = call(config())
    assert counts(closing) == (4, 1, 2, FRAMES[1])
    assert list(closing["failed"]) == ["h.mp4"]


def changed(path):
    os.utime(path, ns=(0, 0))


def longer(path):
    found = path.stat()
    path.write_bytes(path.read_bytes() + b"more")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "changes", "key", "others"),
    [
        pytest.param(changed, {}, "mtime_ns", 1, id="time"),
        pytest.param(longer, {}, "bytes", 1, id="length"),
        pytest.param(None, {"overlay": True}, "overlay", 4, id="setting"),
    ],
)
def test_results_of_something_else_are_refused(
    config, recordings, finished, change, changes, key, others
):
    if change:
        change(recordings / "h.mp4")
    with pytest.raises(ConfigError) as caught:
        call(config(**changes))
    assert str(caught.value).startswith(f"{finished}: {others} of 4 results are of another")
    assert f"in {key}); " in str(caught.value)
    assert "--again" in str(caught.value)
    assert sorted(results(finished)) == sorted(NAMES)


@pytest.mark.usefixtures("finished")
def test_results_of_another_engine_are_refused(config, make_engine):
    with pytest.raises(ConfigError, match=r"4 of 4 results .* in manifest_sha256\); "):
        call(config(make_engine(score_threshold=0.7)))


def test_results_of_something_else_are_replaced_where_that_is_asked_for(
    config, recordings, finished
):
    (finished / "a.mp4" / "summary.json").write_text("{}")  # damaged: of nobody knows what
    changed(recordings / "h.mp4")
    assert counts(call(config(again=True))) == (4, 2, 2, FRAMES[0] + FRAMES[3])
    assert counts(call(config())) == (4, 0, 4, 0)
    assert left_over(finished) == []


def test_two_commands_do_not_share_a_folder(config, finished, monkeypatch):
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.1)
    with OutLock(finished) as lock:
        lock.share()  # as a worker of a command does
        with pytest.raises(OutputError, match="another archive command works there"):
            call(config())
    assert counts(call(config())) == (4, 0, 4, 0)


def test_what_a_killed_command_left_is_removed(config, finished):
    (finished / ".partial" / "tmp0" / "results").mkdir(parents=True)
    (finished / ".partial" / "tmp0" / "results" / "results.jsonl").write_text("half")
    assert counts(call(config())) == (4, 0, 4, 0)
    assert left_over(finished) == []


def test_a_folder_that_cannot_be_written_is_one_error(command):
    _, told = ended(command(out="/proc/none"), ExitCode.FAILED)
    assert told.startswith("error: /proc/none: cannot be written")
    assert told.count("\n") == 1


def test_what_cannot_be_put_in_its_place_stops_all_and_keeps_what_is_finished(config, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b").write_text("in the way")  # where a folder must be
    with pytest.raises(OutputError, match=r"b/a.mp4: cannot be written: File exists"):
        call(config())
    assert list(results(tmp_path / "out")) == ["a.mp4"]
    assert left_over(tmp_path / "out") == []


# --- ended in the middle ------------------------------------------------------------------------------------------------


def begin(words):
    """Start a command, in a session of its own, so that only it gets the signal."""
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(count, out, process):
    """Until so many recordings are finished, or the command has ended."""
    deadline_s = time.monotonic() + 30
    while len(stamps(out)) < count and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("send", "number"),
    [
        pytest.param(os.killpg, signal.SIGINT, id="Ctrl-C"),
        pytest.param(os.kill, signal.SIGTERM, id="terminated"),
    ],
)
def test_a_signal_ends_it_and_keeps_what_is_finished(command, add_longer, tmp_path, send, number):
    add_longer(60)  # a minute of work: it is over long before
    process = begin(command("--workers", 2))
    wait_for(3, tmp_path / "out", process)
    send(process.pid, number)
    out, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (ExitCode.INTERRUPTED, "")
    closing = json.loads(out.splitlines()[-1])
    assert closing["interrupted"]
    assert 0 < closing["done"] <= len(results(tmp_path / "out")) < 64
    assert left_over(tmp_path / "out") == []


def kill_and_go_on(words, out, kills):
    """Kill the command at random moments, then let it end; tells how many recordings were finished at each kill."""
    undisturbed = out.with_name("undisturbed")
    ended([str(undisturbed) if word == str(out) else word for word in words])
    generator = np.random.default_rng(0)
    finished = [{}]
    for _ in range(kills):
        process = begin(words)
        # while it starts, or when it has finished one or two more; a delay alone would mean other moments on a busy machine
        wait_for(len(finished[-1]) + generator.integers(3), out, process)
        time.sleep(generator.uniform(0, 1))
        process.kill()
        told = process.communicate(timeout=30)  # its workers hold the pipes: they have ended too
        assert process.returncode in {-signal.SIGKILL, ExitCode.DONE}, told
        finished.append(stamps(out))
        sys.stderr.write(f"killed: {len(finished[-1])} finished\n")
    closing, _ = ended(words)
    finished.append(stamps(out))
    for before, after in pairwise(finished):
        assert before.items() <= after.items()  # none lost, none done again
    assert (closing["skipped"], closing["failed"]) == (len(finished[-2]), {})
    assert closing["done"] + closing["skipped"] == closing["recordings"] == len(finished[-1])
    assert results(out) == results(undisturbed)
    assert left_over(out) == []
    return [len(one) for one in finished]


def test_a_killed_command_goes_on_to_what_an_undisturbed_one_gives(command, add_longer, tmp_path):
    add_longer(4)
    kill_and_go_on(command("--workers", 2), tmp_path / "out", kills=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("more", [(), ("--ray", "local")], ids=["processes", "Ray"])
def test_killed_20_times_at_random_it_loses_and_doubles_nothing(
    command, add_longer, tmp_path, more
):
    if more:
        pytest.importorskip("ray", reason="needs pip install 'perception[ray]'")
    add_longer(96)
    finished = kill_and_go_on(command("--workers", 2, *more), tmp_path / "out", kills=20)
    assert len(set(finished)) > 5  # the kills were in the middle
