"""Files that an SDK writes, which tells nobody when that fails."""

from pathlib import Path

from perception.core.errors import OutputError


class SdkFile:
    """A file that keeps its first failure for `check`, and lets the SDK, which cannot handle it, go on writing into nothing.

    Args:
        path: of the file; it is replaced.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failure: OSError | None = None
        self._told = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def check(self) -> None:
        """Tell of the failure, once.

        Raises:
            OutputError: something could not be written since the file was made.
        """
        if self._failure is None or self._told:
            return
        self._told = True
        raise OutputError(
            f"{self._path}: writing stopped: {self._failure.strerror}; what was written before can be recovered"
        ) from self._failure

    def write(self, data: bytes) -> int:
        """Write all of it, or nothing once something failed."""
        left = memoryview(data)
        try:
            while left and self._failure is None:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._failure = error
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; on what cannot be moved in, such as a pipe, a failure like any other."""
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            self._failure = self._failure or error
            return 0

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()
