"""An engine for frames of any size, where a backend takes one."""

from perception.backends import open_backend
from perception.backends.base import Backend, Tensors
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.process import Closing
from perception.core.types import UInt8


class SizedBackends(Closing):
    """One engine, opened once for each size of input that comes.

    Args:
        name: of the backend.
        engine: checked engine folder.
        precision: of the backend; empty: see `perception.backends.default_precision`.
        threads: of the inference; ``None`` is every core.
    """

    def __init__(
        self, name: str, engine: Engine, precision: str = "", threads: int | None = None
    ) -> None:
        self.engine = engine
        self._name = name
        self._precision = precision
        self._threads = threads
        self._opened: dict[tuple[int, int], Backend] = {}

    def infer(self, feed: UInt8) -> Tensors:
        """Run the graph on ``uint8[1, H, W, 3]``; the next call may overwrite the outputs.

        Raises:
            ConfigError: the backend is unknown, or does not have the precision.
            EngineError: the engine does not open for this size.
        """
        size_wh = feed.shape[2], feed.shape[1]
        if size_wh not in self._opened:
            self._opened[size_wh] = open_backend(
                self._name, self.engine, size_wh, precision=self._precision, threads=self._threads
            )
        return self._opened[size_wh].infer({GRAPH_INPUT: feed})

    def devices(self) -> list[str]:
        """What it ran on so far, sorted."""
        return sorted({backend.device for backend in self._opened.values()})

    def close(self) -> None:
        """Close what was opened; a later call opens it again."""
        while self._opened:
            self._opened.popitem()[1].close()
