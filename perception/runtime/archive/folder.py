"""The folders of an archive: which recordings there are, where their results lie, and who may work there.

The results of ``DIR/a/b.mp4`` are the folder ``OUT/a/b.mp4``. It is made inside ``OUT/.partial`` and moved to its place in one step: a folder
that is there is whole, and is the only record that its recording is done. Knows nothing of how results are made.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from perception.core.errors import ConfigError, InputError, OutputError
from perception.core.process import Closing
from perception.sources.video import FILE_SUFFIXES

PARTIAL_DIR = ".partial"
LOCK_FILE = "lock"
SUMMARY_FILE = "summary.json"
ORIGIN = "origin"  # key of the summary: what the results were made from, and how
# a killed command's processes end within milliseconds; a machine that is short of time or memory takes longer
LOCK_WAIT_S, LOCK_POLL_S = 3.0, 0.05


def find_recordings(source: Path, out: Path) -> list[str]:
    """Paths of the video files below `source`, relative to it, sorted; hidden ones and what lies in `out` are left out.

    Raises:
        ConfigError: `source` lies in `out`.
        InputError: there is no such folder, or no recording in it.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; expected one with recordings")
    inside, results = source.resolve(), out.resolve()
    if inside.is_relative_to(results):
        raise ConfigError(f"{out}: holds the recordings of {source}; expected a folder of its own")
    found = [
        path.relative_to(inside)
        for path in inside.rglob("*")
        if path.suffix.lower() in FILE_SUFFIXES
        and not path.is_relative_to(results)
        and path.is_file()
    ]
    names = sorted(
        path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)
    )
    if not names:
        raise InputError(
            f"{source}: no recordings there; expected files named *{', *'.join(FILE_SUFFIXES)}"
        )
    return names


class OutLock(Closing):
    """A process's hold on a folder of results; the system gives it back when the process ends, however it ends.

    A command first holds the folder alone, to tidy up; then it and its workers share it. So nobody tidies up while a process of
    another command, even a killed one, still works there.

    Args:
        out: the folder; made where there is none.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        with _written(out):
            (out / PARTIAL_DIR).mkdir(parents=True, exist_ok=True)
            self._file = (out / PARTIAL_DIR / LOCK_FILE).open("ab")

    def hold_alone(self) -> None:
        """Wait a little for processes of a killed command to end.

        Raises:
            OutputError: another command works there.
        """
        deadline_s = time.monotonic() + LOCK_WAIT_S
        while not self._take(fcntl.LOCK_EX):
            if time.monotonic() > deadline_s:
                raise self._taken()
            time.sleep(LOCK_POLL_S)

    def share(self) -> None:
        """Let others share it.

        Raises:
            OutputError: another command holds it alone.
        """
        if not self._take(fcntl.LOCK_SH):
            raise self._taken()

    def tidy_up(self) -> None:
        """Remove what is unfinished, unless another process may still be at it."""
        if self._take(fcntl.LOCK_EX):
            with _written(self._out):
                for left in (self._out / PARTIAL_DIR).iterdir():
                    if left.is_dir():
                        shutil.rmtree(left)

    def close(self) -> None:
        """Give it back."""
        self._file.close()

    def _take(self, kind: int) -> bool:
        try:
            with _written(self._out):
                fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except OutputError as error:
            if isinstance(error.__cause__, BlockingIOError):
                return False
            raise
        return True

    def _taken(self) -> OutputError:
        return OutputError(
            f"{self._out}: another archive command works there; wait for its end, or name another --out"
        )


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """A new folder for results, removed at the end unless it was `finish`-ed.

    Raises:
        OutputError: it cannot be made.
    """
    with _written(out):
        # a folder in it, because the outer one is for this user alone
        beside = TemporaryDirectory(dir=out / PARTIAL_DIR, ignore_cleanup_errors=True)
        folder = Path(beside.name) / "results"
        folder.mkdir()
    with beside:
        yield folder


def finish(folder: Path, place: Path, summary: Mapping[str, Any]) -> None:
    """Add the summary, and move the folder to its place, once all of it is on the disk.

    Raises:
        OutputError: the disk is full, or something else is there.
    """
    with _written(place):
        (folder / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(
                    file.fileno()
                )  # a power cut must not leave an empty file in a whole folder
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(place)


def discard(place: Path, out: Path) -> None:
    """Take a finished folder from its place in one step; `OutLock.tidy_up` removes it."""
    with _written(place):
        place.rename(Path(mkdtemp(dir=out / PARTIAL_DIR)) / "discarded")


def read_origin(place: Path) -> dict[str, Any] | None:
    """What a finished folder was made from and how; ``None`` where there is none, empty where its summary was damaged."""
    try:
        origin = json.loads((place / SUMMARY_FILE).read_text(encoding="utf-8"))[ORIGIN]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"{place / SUMMARY_FILE}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        return {}
    return origin if isinstance(origin, dict) else {}


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}; what is finished is kept, and the same command goes on"
        ) from error
