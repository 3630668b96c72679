"""The contract of a backend: an opened engine of one fixed size that turns a uint8 frame into the graph's outputs."""

from abc import abstractmethod
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.backends.cpu import int8_sums_overflow
from perception.core.geometry import Letterbox
from perception.core.manifest import GRAPH_INPUT, Engine, TensorSpec
from perception.core.process import Closing

Tensors = dict[str, NDArray[Any]]


class Backend(Closing):
    """One opened engine.

    Attributes:
        name: registry name.
        device: what it runs on, for reports.
        precision: ``"fp32"``, ``"fp16"``, ``"bf16"`` or ``"int8"``, what was asked for and is in force.
        inputs, outputs: names, dtypes and shapes, every axis fixed.
        fit: of whole frames, which it does itself; ``None``: it takes frames that were fitted to `size_wh`.
        device_ms: what a GPU spent on the last frame, by its own clock: ``upload``, ``compute``, ``download``; empty on CPUs.
    """

    name: ClassVar[str]
    device: str
    precision: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    fit: Letterbox | None = None
    device_ms: Mapping[str, float] = MappingProxyType({})

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of what the network sees, px; its results are in these."""
        if self.fit is not None:
            return self.fit.model_wh
        _, height, width, _ = self.inputs[GRAPH_INPUT].shape
        return width, height

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Tensors:
        """Run the graph; it has finished when this returns. Outputs may be overwritten by the next call.

        Raises:
            ValueError: a feed of the wrong name, dtype or shape.
        """
        check_feeds(self.inputs, feeds)
        return self._infer(feeds)

    @classmethod
    def default_precision(cls, engine: Engine) -> str:
        """What is run where no precision is asked for: on CPUs the manifest's choice, but float32 where INT8 would be slow or wrong."""
        chosen = engine.manifest.cpu_precision
        return "fp32" if chosen == "int8" and int8_sums_overflow() else chosen

    @classmethod
    def probe(cls) -> str:
        """The version of what it runs on; raise `PerceptionError` where it cannot run on this machine."""
        return version(cls.name)

    @abstractmethod
    def _infer(self, feeds: Mapping[str, NDArray[Any]]) -> Tensors:
        """Run the graph on feeds that were checked."""

    @abstractmethod
    def close(self) -> None:
        """Free what the engine holds; a second call does nothing."""


def check_feeds(inputs: Mapping[str, TensorSpec], feeds: Mapping[str, NDArray[Any]]) -> None:
    """Raise `ValueError` unless the feeds are exactly what the engine takes."""
    if set(feeds) != set(inputs):
        raise ValueError(f"feeds: expected {sorted(inputs)}, got {sorted(feeds)}")
    for name, spec in inputs.items():
        feed = feeds[name]
        if feed.dtype != np.dtype(spec.dtype) or feed.shape != spec.shape:
            raise ValueError(
                f"feed {name!r}: expected {spec.dtype}{list(spec.shape)}, got {feed.dtype}{list(feed.shape)}"
            )
