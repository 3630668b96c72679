"""Which files are recordings, and when a folder of results is there."""

import pytest

from perception.core.errors import ConfigError, InputError, OutputError
from perception.runtime.archive.folder import OutLock, find_recordings, finish, unfinished


@pytest.fixture
def tree(tmp_path):
    """Empty files in folders of folders."""
    for name in ("in/b/c.MKV", "in/a=1.mp4", "in/.d.mp4", "in/.e/f.mp4", "in/g.txt", "in/out/h/overlay.mp4"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "in" / "folder.mp4").mkdir()
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_recordings_are_video_files_that_are_neither_hidden_nor_results(tree):
    assert find_recordings(tree / "in", tree / "in" / "out") == ["a=1.mp4", "b/c.MKV"]
    assert len(find_recordings(tree / "in", tree / "out")) == 3


@pytest.mark.parametrize(
    ("source", "out", "error", "message"),
    [
        pytest.param("in/b", "in", ConfigError, "holds the recordings", id="out-around"),
        pytest.param("in", "in", ConfigError, "holds the recordings", id="out-the-same"),
        pytest.param("none", "out", InputError, "no such folder", id="no-folder"),
        pytest.param("empty", "out", InputError, r"no recordings there.*\*\.mp4", id="empty"),
    ],
)
def test_what_cannot_be_searched_is_one_clear_error(tree, source, out, error, message):
    with pytest.raises(error, match=message) as caught:
        find_recordings(tree / source, tree / out)
    assert "\n" not in str(caught.value)


def test_a_folder_is_there_once_it_is_whole(tmp_path):
    place = tmp_path / "a" / "b.mp4"
    with OutLock(tmp_path), unfinished(tmp_path) as folder:
        (folder / "results.jsonl").write_text("1")
        assert not place.parent.exists()
        finish(folder, place, {})
    assert sorted(path.name for path in place.iterdir()) == ["results.jsonl", "summary.json"]
    assert [path.name for path in (tmp_path / ".partial").iterdir()] == ["lock"]
    assert place.stat().st_mode == place.parent.stat().st_mode  # not for this user alone


def test_a_finished_folder_is_never_replaced(tmp_path):
    for text in ("first", "second"):
        with OutLock(tmp_path), unfinished(tmp_path) as folder:
            (folder / "results.jsonl").write_text(text)
            if text == "first":
                finish(folder, tmp_path / "a.mp4", {})
                continue
            with pytest.raises(OutputError, match="not empty"):
                finish(folder, tmp_path / "a.mp4", {})
    assert (tmp_path / "a.mp4" / "results.jsonl").read_text() == "first"


def test_nobody_tidies_up_while_another_is_at_work(tmp_path):
    with OutLock(tmp_path) as worker, OutLock(tmp_path) as command:
        worker.share()
        command.share()
        with unfinished(tmp_path) as folder:
            command.tidy_up()
            assert folder.is_dir()
