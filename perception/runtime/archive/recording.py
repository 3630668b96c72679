"""One recording of an archive: from the file to its finished folder. The same wherever it runs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perception.core.errors import ConfigError, InputError
from perception.core.manifest import MANIFEST_FILE, load_engine, sha256
from perception.runtime.archive.folder import ORIGIN, OutLock, finish, unfinished
from perception.runtime.opening import RunConfig
from perception.runtime.run import open_run

RESULTS_FILE = "results.jsonl"
OVERLAY_FILE = "overlay.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveConfig:
    """Which recordings, how, and where results go.

    Attributes:
        source: folder of recordings, searched with the folders in it.
        out: folder of results.
        run: how each is run; its source, sinks and threads are set for each.
        overlay: also write overlay.mp4.
        workers: recordings at the same time, at least 1; they divide the threads of `run` among them.
        ray: address of a Ray cluster, or ``"local"`` for one on this machine; empty: processes of this machine.
        again: do again what was made from another file, by another engine, or with other settings.
    """

    source: Path
    out: Path
    run: RunConfig
    overlay: bool = False
    workers: int = 1
    ray: str = ""
    again: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"workers: expected at least 1, got {self.workers}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a recording: its frames, or why it cannot be used."""

    recording: str
    frames: int
    failed: str = ""


def settings(config: ArchiveConfig) -> dict[str, Any]:
    """What the results of every recording depend on.

    Raises:
        EngineError: the engine is refused.
    """
    run = config.run
    # the manifest names the hashes of the engine's graphs and the thresholds
    manifest = load_engine(run.engine).folder / MANIFEST_FILE
    return {
        "manifest_sha256": sha256(manifest),
        "backend": run.backend,
        "precision": run.precision,
        "size": run.size,
        "overlay": config.overlay,
    }


def origin(recording: Path, fixed: dict[str, Any]) -> dict[str, Any]:
    """What the results of one recording depend on: the file, and the `settings`.

    Raises:
        InputError: it is gone.
    """
    try:
        found = recording.stat()
    except OSError as error:
        raise InputError(f"{recording}: cannot be read: {error.strerror}") from error
    return {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns, **fixed}


def process_recording(config: ArchiveConfig, recording: str) -> Outcome:
    """Run the loop over one recording, and leave its finished folder behind, or nothing.

    Raises:
        PerceptionError: what would also keep the other recordings from being done.
    """
    path = config.source / recording
    with OutLock(config.out) as lock:
        lock.share()
        try:
            made_from = origin(path, settings(config))
            with unfinished(config.out) as folder:
                sinks = [f"jsonl={folder / RESULTS_FILE}"]
                if config.overlay:
                    sinks.append(f"overlay={folder / OVERLAY_FILE}")
                with open_run(replace(config.run, source=str(path), sinks=tuple(sinks))) as opened:
                    frames = opened.pipeline.run().finished
                    summary = opened.summary()
                finish(folder, config.out / recording, {**summary, ORIGIN: made_from})
        except InputError as error:
            return Outcome(recording, 0, str(error))
    return Outcome(recording, frames)
