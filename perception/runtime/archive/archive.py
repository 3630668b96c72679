"""The whole of an archive: what is left to do, who does it, and what became of it."""

import logging
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from perception.core.errors import ConfigError
from perception.core.manifest import load_engine
from perception.core.process import usable_cores
from perception.runtime.archive import POOLS
from perception.runtime.archive.folder import OutLock, discard, find_recordings, read_origin
from perception.runtime.archive.recording import (
    ArchiveConfig,
    Outcome,
    origin,
    process_recording,
    settings,
)

logger = logging.getLogger(__name__)


def archive(config: ArchiveConfig, tell: Callable[[int, int], None]) -> dict[str, Any]:
    """Run the loop over every recording that has no finished folder yet.

    A recording that cannot be used is reported and left out; the next call tries it again.

    Args:
        config: which, how and where to.
        tell: is told how many recordings were worked on, of how many.

    Returns:
        The closing JSON object: ``"failed"`` has recording -> message; ``"frames"`` are those of this call.

    Raises:
        PerceptionError: what keeps all recordings from being done; finished ones stay.
    """
    recordings = find_recordings(config.source, config.out)
    summary: dict[str, Any] = {
        "archive": str(config.source), "out": str(config.out), "recordings": len(recordings), "done": 0, "skipped": 0,
        "failed": {}, "frames": 0, "interrupted": False,
    }  # fmt: skip
    with OutLock(config.out) as lock, _terminable():
        lock.hold_alone()
        lock.tidy_up()
        left = _left_to_do(config, recordings)
        lock.tidy_up()  # what was discarded
        lock.share()
        summary["skipped"] = len(recordings) - len(left)
        try:
            with closing(_outcomes(config, left)) as outcomes:
                for count, outcome in enumerate(outcomes, 1):
                    _note(outcome, summary)
                    tell(count, len(left))
        except KeyboardInterrupt:
            summary["interrupted"] = True
        finally:
            lock.tidy_up()
    return summary


def _left_to_do(config: ArchiveConfig, recordings: Sequence[str]) -> list[str]:
    """Recordings without a finished folder; other folders than asked for are discarded, or refused."""
    fixed = settings(config)
    left: list[str] = []
    others: dict[str, str] = {}
    for recording in recordings:
        made_from = read_origin(config.out / recording)
        wanted = origin(config.source / recording, fixed)
        if made_from != wanted:
            left.append(recording)
        if made_from is not None and made_from != wanted:
            others[recording] = next(k for k in wanted if made_from.get(k) != wanted[k])
    if others and not config.again:
        first, key = next(iter(others.items()))
        raise ConfigError(
            f"{config.out}: {len(others)} of {len(recordings)} results are of another file, engine or setting than asked for "
            f"(the first: {first}, in {key}); ask for the same, name another --out, or do them again with --again"
        )
    for recording in others:
        discard(config.out / recording, config.out)
    return left


def _outcomes(config: ArchiveConfig, left: Sequence[str]) -> Generator[Outcome, None, None]:
    workers = min(config.workers, len(left))
    if not workers:
        return
    threads = max(1, (config.run.threads or usable_cores()) // workers)
    # whole paths: on a cluster the current folder is another one
    engine = str(load_engine(config.run.engine).folder.resolve())
    config = replace(
        config,
        source=config.source.resolve(),
        out=config.out.resolve(),
        run=replace(config.run, engine=engine, threads=threads),
    )
    work = partial(process_recording, config)
    if config.ray:
        yield from POOLS["ray"](work, left, workers, config.ray)
    else:
        yield from POOLS["processes"](work, left, workers)


def _note(outcome: Outcome, summary: dict[str, Any]) -> None:
    if outcome.failed:
        logger.warning("%s is left out: %s", outcome.recording, outcome.failed)
        summary["failed"][outcome.recording] = outcome.failed
    else:
        summary["done"] += 1
        summary["frames"] += outcome.frames


@contextmanager
def _terminable() -> Iterator[None]:
    """Within: Ctrl-C and SIGTERM raise `KeyboardInterrupt`, also where this process was started with Ctrl-C ignored, as in the background."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
