"""Files that are there whole or not at all."""

import os
import re
from pathlib import Path

from perception.core.errors import ConfigError, OutputError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all; make its folder where there is none.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror}; what was written before it is kept"
        ) from error


def check_names(*paths: Path) -> None:
    """Raise `ConfigError` where two outputs have one name: the second would replace the first."""
    whole = [path.absolute() for path in paths]
    for path in whole:
        if whole.count(path) > 1:
            raise ConfigError(
                f"{path}: named for two outputs, of which the second would replace the first; expected another name for one of them"
            )


def check_writable(*paths: Path) -> None:
    """Raise `OutputError` now where a file could not be written later, before the work that it is for; makes the folders."""
    for path in paths:
        trial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise OutputError(f"{path}: cannot be written: it is a folder; name a file")
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written: {error.strerror}; nothing was done yet"
            ) from error


def safe_name(text: str) -> str:
    """The text as a part of a file's name: what is neither letter, digit, ``_``, ``.`` nor ``-`` becomes ``_``."""
    return re.sub(r"[^\w.-]", "_", text)
