"""The errors a user can meet, each with the exit code it ends the command line with.

A message is one line: what is wrong, what was expected, what was found, and the way out. `assert` is for our own mistakes only.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ExitCode(IntEnum):
    """Process exit codes, the same for every subcommand."""

    DONE = 0
    FAILED = 1  # failed while running
    USAGE = 2  # wrong usage or configuration
    INPUT = 3  # the input is unusable
    ENGINE = 4  # the engine was refused
    INTERRUPTED = 130


class PerceptionError(Exception):
    """Base of every error that is shown to the user as one line."""

    exit_code: ExitCode = ExitCode.FAILED


class ConfigError(PerceptionError):
    """Wrong usage or configuration: unknown preset, unknown key, wrong type."""

    exit_code = ExitCode.USAGE


class InputError(PerceptionError):
    """An input cannot be used: missing, unreadable, or of another shape than promised."""

    exit_code = ExitCode.INPUT


class EngineError(PerceptionError):
    """An engine is refused: damaged, of another version, or without the promised tensors."""

    exit_code = ExitCode.ENGINE


class OutputError(PerceptionError):
    """A result cannot be written: folder not writable, disk full, encoder failed."""


class RunError(PerceptionError):
    """Something failed while running that is none of the above."""


def check_array(
    name: str,
    array: NDArray[Any],
    dtype: type[np.generic],
    shape: Sequence[int | None],
) -> None:
    """Raise `ValueError` unless `array` has the given dtype and shape (`None` = any length)."""
    want = "[" + ", ".join("*" if n is None else str(n) for n in shape) + "]"
    fits = array.ndim == len(shape) and all(
        n is None or n == got for n, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        got = f"{array.dtype}{list(array.shape)}"
        raise ValueError(f"{name}: expected {np.dtype(dtype)}{want}, got {got}")
