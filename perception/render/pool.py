"""Frames rendered and written by several processes. Knows nothing of what a drive folder holds besides frames."""

import multiprocessing
import signal
from collections.abc import Generator, Sequence
from contextlib import closing
from importlib import import_module
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Protocol

import cv2

from perception.core.errors import PerceptionError, RunError
from perception.core.process import usable_cores, without_interrupts
from perception.render.config import DriveConfig
from perception.render.disk import write_frame
from perception.render.records import RenderedFrame

RENDERER = (
    "perception.render.drive:Drive"  # imported where frames are made; readers need none of it
)
END_S = 5.0  # for a process that was told to end

Job = tuple[DriveConfig, Path, int]  # one frame of a drive in a folder


class Renderer(Protocol):
    """What makes the frames of a drive: `perception.render.drive.Drive`."""

    def __init__(self, config: DriveConfig) -> None: ...

    def render(self, index: int) -> RenderedFrame:
        """Frame `index`, in any order."""
        ...


def load_renderer(name: str) -> type[Renderer]:
    """The class of ``module:class``."""
    module, attribute = name.split(":")
    found: type[Renderer] = getattr(import_module(module), attribute)
    return found


def render_jobs(
    jobs: Sequence[Job], renderer: str = RENDERER, processes: int = 0
) -> Generator[Job, None, None]:
    """Render and write frames; each is handed out once it is on disk. Ending the iteration ends the processes.

    Args:
        jobs: frames of one drive one after another, in their order: then a process gets consecutive ones.
        renderer: ``module:class``.
        processes: 0 takes every core; 1 renders in this one.

    Raises:
        OutputError: a frame cannot be written.
        RunError: a process ended before its work was done.
    """
    count = min(processes or usable_cores(), len(jobs))
    return _render(jobs, renderer) if count <= 1 else _render_apart(jobs, renderer, count)


def _render(jobs: Sequence[Job], name: str) -> Generator[Job, None, None]:
    held: tuple[DriveConfig, Renderer] | None = None
    for job in jobs:
        config, folder, index = job
        if held is None or held[0] != config:
            held = config, load_renderer(name)(config)
        write_frame(folder, held[1].render(index))
        yield job


def _render_apart(jobs: Sequence[Job], renderer: str, count: int) -> Generator[Job, None, None]:
    # spawned, not forked: this process may have threads
    context = multiprocessing.get_context("spawn")
    cuts = [len(jobs) * k // count for k in range(count + 1)]
    workers: dict[Connection, SpawnProcess] = {}
    try:
        for begin, end in pairwise(cuts):
            receiver, sender = context.Pipe(duplex=False)
            part = tuple(jobs[begin:end])
            worker = context.Process(target=_work, args=(part, renderer, sender), daemon=True)
            with without_interrupts():
                worker.start()
            sender.close()  # the worker has its own: its end is then seen here
            workers[receiver] = worker
        yield from _gather(dict(workers))
    finally:
        # files are written atomically: a process can be ended at any moment
        for worker in workers.values():
            worker.terminate()
        for receiver, worker in workers.items():
            worker.join(END_S)
            receiver.close()


def _gather(workers: dict[Connection, SpawnProcess]) -> Generator[Job, None, None]:
    while workers:
        for ready in wait(list(workers)):
            receiver = next(one for one in workers if one is ready)
            try:
                told: Job | PerceptionError = receiver.recv()
            except EOFError:
                worker = workers.pop(receiver)
                worker.join(END_S)
                if worker.exitcode:
                    raise RunError(
                        f"a rendering process ended with code {worker.exitcode}; its frames so far are kept, and the "
                        "same call goes on. Where it said nothing itself: out of memory? Then ask for fewer processes. A script without "
                        "'if __name__ == \"__main__\":'? Then add it, or ask for 1 process"
                    ) from None
                continue
            if isinstance(told, PerceptionError):
                raise told
            yield told


def _work(jobs: Sequence[Job], renderer: str, sender: Connection) -> None:
    """What a process does: its share of the frames, each told when it is on disk."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the parent gets the same Ctrl-C, and ends this process
    cv2.setNumThreads(1)  # the processes are the parallelism
    with closing(sender):
        try:
            for job in _render(jobs, renderer):
                sender.send(job)
        except PerceptionError as error:
            sender.send(error)
        except BrokenPipeError:
            return  # nobody is there any more
