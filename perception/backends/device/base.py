"""The contract of a CUDA binding: what the TensorRT runner needs of a GPU, and no more.

Everything belongs to the primary context of the device, which torch and TensorRT use too: contexts of one's own get in their way. A
`Device` keeps it retained; it is made current for a thread by `with device.current():`, around every call of the members below.
"""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from numpy.typing import DTypeLike, NDArray

from perception.core.errors import PerceptionError
from perception.core.process import Closing


class DeviceError(PerceptionError):
    """The GPU or its driver refused something: absent, out of memory, a lost device."""


class Memory(Closing):
    """Bytes on the device.

    Attributes:
        address: of the first byte, as TensorRT takes it.
        nbytes: how many.
    """

    address: int
    nbytes: int

    @abstractmethod
    def __init__(self, nbytes: int) -> None: ...


class Pinned(Closing):
    """Memory of the host that the device can copy to and from while other work goes on.

    Attributes:
        array: a view of it; not to be used after `close`.
    """

    array: NDArray[Any]

    @abstractmethod
    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None: ...


class Event(Closing):
    """A point in a stream.

    Attributes:
        raw: the binding's own event.
    """

    raw: Any

    @abstractmethod
    def synchronize(self) -> None:
        """Return when it has passed."""

    @abstractmethod
    def elapsed_ms(self, earlier: "Event") -> float:
        """Time from an earlier event to this one, ms; both must have passed."""


class Graph(Closing):
    """Work that was recorded from a stream once and is queued again as a whole: one call of the driver in place of one for each kernel."""

    @abstractmethod
    def launch(self, stream: "Stream") -> None:
        """Queue it in a stream."""


class Stream(Closing):
    """A queue of work that the device does in order.

    Attributes:
        handle: as TensorRT takes it.
        captures: whether the binding has `capture`.
    """

    captures: ClassVar[bool] = False
    handle: int

    def capture(self, queue: Callable[[], None]) -> Graph:  # noqa: ARG002 (of those that can)
        """Record what `queue` queues in this stream, without doing it. Memory that it names must live as long as the graph.

        Raises:
            DeviceError: the driver refuses to record it, or the binding has no graphs.
        """
        raise DeviceError(f"{type(self).__name__} records no graphs; use cuda.bindings")

    @abstractmethod
    def upload(self, target: Memory, source: NDArray[Any]) -> None:
        """Queue a copy to the device; both must have the same number of bytes."""

    @abstractmethod
    def download(self, target: NDArray[Any], source: Memory) -> None:
        """Queue a copy from the device; both must have the same number of bytes."""

    @abstractmethod
    def record(self, event: Event) -> None:
        """Queue an event."""

    @abstractmethod
    def wait(self, event: Event) -> None:
        """Let what is queued from now on start after an event, of another stream too."""

    @abstractmethod
    def synchronize(self) -> None:
        """Return when everything that was queued is done."""


class Device(Closing):
    """One GPU.

    Attributes:
        name: of the binding, for reports.
        gpu: name of the GPU.
        capability: its compute capability, ``"8.6"``.
        memory_type, pinned_type, stream_type, event_type: of the binding.
    """

    name: ClassVar[str]
    memory_type: ClassVar[type[Memory]]
    pinned_type: ClassVar[type[Pinned]]
    stream_type: ClassVar[type[Stream]]
    event_type: ClassVar[type[Event]]
    gpu: str
    capability: str

    @abstractmethod
    def current(self) -> AbstractContextManager[None]:
        """Within: the device's context is current for this thread."""

    @abstractmethod
    def free_bytes(self) -> tuple[int, int]:
        """Memory of the device that is free, and all of it."""

    def allocate(self, nbytes: int) -> Memory:
        """Memory on the device.

        Raises:
            DeviceError: there is not as much left.
        """
        return self.memory_type(nbytes)

    def pin(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        """Pinned memory of the host for an array."""
        return self.pinned_type(shape, dtype)

    def stream(self) -> Stream:
        """A new stream."""
        return self.stream_type()

    def event(self) -> Event:
        """A new event."""
        return self.event_type()

    def close(self) -> None:
        """Nothing is given back: the context is kept to the end of the process, for what else of it may live on."""


def check_bytes(target: int, source: int) -> None:
    """Raise `ValueError` for a copy between memories of different length."""
    if target != source:
        raise ValueError(f"copy: expected {target} bytes, got {source}")
