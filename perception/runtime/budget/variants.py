"""The variants of an engine, opened: each size twice, with the class map and with boxes alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from math import ceil

import numpy as np

from perception.backends import CPU_BACKENDS, open_backend
from perception.backends.base import Backend
from perception.core.errors import ConfigError
from perception.core.geometry import SIZE_MULTIPLE, fit_letterbox
from perception.core.manifest import GRAPH_OUTPUTS, Engine
from perception.core.process import Closing
from perception.core.types import Frame
from perception.runtime.budget.cut import boxes_engine
from perception.runtime.budget.policy import Variant

# of the sides; pixels, and so times, in steps of about 0.7
SCALES = (1.0, 0.85, 0.75, 0.625, 0.5, 0.375, 0.3)
CALIBRATION_ROUNDS = 8  # of every variant, after one to warm up
NS_PER_MS = 1e6


def check_budget(budget_ms: float, backend: str, engine: Engine, sources: int = 1) -> None:
    """Raise `ConfigError` unless a budget makes sense with this backend, this engine and so many sources."""
    if sources > 1:
        raise ConfigError(f"--budget-ms: expected one source, got {sources}")
    if not budget_ms > 0:
        raise ConfigError(f"--budget-ms: expected more than 0, got {budget_ms:g}")
    if backend not in CPU_BACKENDS:
        raise ConfigError(
            f"--budget-ms: expected a backend of {list(CPU_BACKENDS)}, got {backend!r}; those for GPUs would compile an engine for each size and set of heads"
        )
    if missing := set(GRAPH_OUTPUTS) - set(engine.manifest.outputs):
        raise ConfigError(
            f"--budget-ms: expected an engine that finds boxes and a class map, got {engine.manifest.name!r} without {sorted(missing)}"
        )


class Variants(Closing):
    """Opened backends by variant.

    Args:
        engine: checked engine folder, with boxes and class map.
        whole: the engine opened at its largest size, on a CPU; stays open. The others are opened like it.
        frame_wh: size of the frames, px.
        threads: of the inference; ``None`` is every core.

    Attributes:
        sizes: of the engine input, px, the largest first.

    Raises:
        EngineError: the engine does not open, or cannot be cut.
        OutputError: the cache cannot be written.
    """

    def __init__(
        self,
        engine: Engine,
        whole: Backend,
        frame_wh: tuple[int, int],
        threads: int | None = None,
    ) -> None:
        self.sizes = variant_sizes(frame_wh, whole.size_wh)
        boxes = boxes_engine(engine)
        self._opened: dict[Variant, Backend] = {Variant(self.sizes[0], with_map=True): whole}
        with ExitStack() as stack:
            for size_wh, (with_map, graph) in product(self.sizes, ((True, engine), (False, boxes))):
                variant = Variant(size_wh, with_map)
                if variant not in self._opened:
                    self._opened[variant] = stack.enter_context(
                        open_backend(
                            whole.name, graph, size_wh, precision=whole.precision, threads=threads
                        )
                    )
            self._stack = stack.pop_all()

    def __getitem__(self, variant: Variant) -> Backend:
        return self._opened[variant]

    def __iter__(self) -> Iterator[Variant]:
        """Every variant, sizes descending, with the map before without."""
        return iter(self._opened)

    def calibrate(self, work: Callable[[Variant], object]) -> dict[Variant, list[float]]:
        """Time `work` with every variant in turn, `CALIBRATION_ROUNDS` times; ms."""
        spent_ms: dict[Variant, list[float]] = {variant: [] for variant in self._opened}
        for done in range(-1, CALIBRATION_ROUNDS):
            for variant, times in spent_ms.items():
                began_ns = time.monotonic_ns()
                work(variant)
                if done >= 0:
                    times.append((time.monotonic_ns() - began_ns) / NS_PER_MS)
        return spent_ms

    def close(self) -> None:
        """Close them all."""
        self._stack.close()


def variant_sizes(
    frame_wh: tuple[int, int], largest_wh: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """Engine sizes for frames of one size, px, the largest first: multiples of 32 in which the frame fills all but the rounding.

    Args:
        frame_wh: size of the frames, px.
        largest_wh: engine size at full scale, px.
    """
    content_wh = fit_letterbox(frame_wh, largest_wh).content_wh
    sizes = [largest_wh]
    for scale in SCALES[1:]:
        width, height = (SIZE_MULTIPLE * ceil(round(n * scale) / SIZE_MULTIPLE) for n in content_wh)
        if width * height < sizes[-1][0] * sizes[-1][1]:
            sizes.append((width, height))
    return tuple(sizes)


def grey_frame(frame_wh: tuple[int, int]) -> Frame:
    """A frame of noise for calibrations: what is in a picture hardly changes what it takes."""
    width, height = frame_wh
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Frame(image, 0, time.monotonic_ns())
