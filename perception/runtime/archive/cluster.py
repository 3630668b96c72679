"""Recordings spread over a Ray cluster by Ray Data. Its nodes need this package, and the same paths of recordings, results and engine."""

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import ray
import ray.data

from perception.core import errors
from perception.core.errors import PerceptionError, RunError
from perception.runtime.archive.recording import Outcome

LOCAL = "local"  # instead of an address: a cluster on this machine, which ends with this process

Row = dict[str, Any]  # of plain values: what Ray Data hands on


def map_with_ray(
    function: Callable[[str], Outcome], items: Sequence[str], workers: int, address: str
) -> Generator[Outcome, None, None]:
    """Call a function once for each item, up to `workers` at the same time; outcomes come as they are ready.

    Args:
        function: can be pickled.
        items: what it is called with.
        workers: tasks at the same time; of a local cluster, also its CPUs.
        address: of the cluster, as Ray takes it, or `LOCAL`.

    Raises:
        RunError: there is no cluster, or it failed.
        PerceptionError: what the function raises.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        ray.init(
            address=address,
            num_cpus=workers if address == LOCAL else None,
            include_dashboard=False if address == LOCAL else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except Exception as error:  # what fails at its start, Ray raises bare
        raise RunError(f"--ray {address}: no cluster: {_first_line(error)}") from error
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items(
            [{"item": item} for item in items], override_num_blocks=len(items)
        )
        done = rows.map(partial(_call, function), compute=ray.data.TaskPoolStrategy(size=workers))
        for row in done.iter_rows():
            yield _outcome(row)
    except ray.exceptions.RayError as error:
        raise RunError(f"--ray {address}: {_first_line(error)}") from error
    finally:
        ray.shutdown()


def _call(function: Callable[[str], Outcome], row: Row) -> Row:
    try:
        return {"error": "", **asdict(function(row["item"]))}
    except PerceptionError as error:
        return {"error": type(error).__name__, **asdict(Outcome(row["item"], 0, str(error)))}


def _outcome(row: Row) -> Outcome:
    error = row.pop("error")
    if error:
        raise getattr(errors, error)(row["failed"])
    return Outcome(**row)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
