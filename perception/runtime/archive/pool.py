"""Calls spread over processes of this machine, which all end with this one. Knows nothing of recordings."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from perception.core.errors import RunError
from perception.core.process import without_interrupts

T = TypeVar("T")


def map_in_processes(
    function: Callable[[str], T], items: Sequence[str], processes: int
) -> Generator[T, None, None]:
    """Call a function, which can be pickled, once for each item; results come as they are ready.

    Ending the iteration ends the processes at once; so does the end of this process, also by a kill.

    Raises:
        RunError: a process ended before its work was done.
        Exception: what the function raises.
    """
    # spawned, not forked: this process may have threads
    context = multiprocessing.get_context("spawn")
    held, sender = context.Pipe(duplex=False)
    with (
        ProcessPoolExecutor(
            processes, mp_context=context, initializer=_end_with, initargs=(held,)
        ) as pool,
        sender,
    ):
        try:
            with without_interrupts():
                futures = [pool.submit(function, item) for item in items]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process was killed; what is finished is kept, and the same command goes on; "
                "out of memory? Then ask for fewer --workers"
            ) from error


def _end_with(held: Connection) -> None:
    """Begin a worker: it ends when nobody holds the other end any more."""

    def watch() -> None:
        wait([held])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
