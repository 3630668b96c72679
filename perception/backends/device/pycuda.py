"""The GPU by pycuda: what one has on Jetson. There are no wheels of it; it is compiled when it is installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, ParamSpec, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from perception.backends.device.base import (
    Device,
    DeviceError,
    Event,
    Memory,
    Pinned,
    Stream,
    check_bytes,
)
from perception.core.errors import ConfigError

try:
    import pycuda.driver as cuda
except ModuleNotFoundError:
    raise  # the registry says how to install it
except (
    ImportError
) as error:  # the package is there, but the driver's library is not, or is too old for it
    raise ConfigError(
        f"pycuda cannot be imported: {error}; install the NVIDIA driver, or compile pycuda for the one that is there"
    ) from error

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: not behind the default stream

P = ParamSpec("P")
T = TypeVar("T")


def _checked(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return call(*args, **kwargs)
    except cuda.Error as error:
        raise DeviceError(f"CUDA, by pycuda: {error}") from error


class PyCudaMemory(Memory):
    """See `Memory`."""

    def __init__(self, nbytes: int) -> None:
        self._allocation = _checked(cuda.mem_alloc, nbytes)
        self.address = int(self._allocation)
        self.nbytes = nbytes

    def close(self) -> None:
        """Free it; a second call does nothing."""
        if self._allocation is not None:
            _checked(self._allocation.free)
            self._allocation = None


class PyCudaPinned(Pinned):
    """See `Pinned`."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.array: NDArray[Any] = _checked(cuda.pagelocked_zeros, shape, np.dtype(dtype))

    def close(self) -> None:
        """Free it; a second call does nothing."""
        if "array" in self.__dict__:
            allocation: Any = self.array.base
            _checked(allocation.free)
            del self.array


class PyCudaEvent(Event):
    """See `Event`."""

    def __init__(self) -> None:
        self.raw: Any = _checked(cuda.Event)

    def synchronize(self) -> None:
        """Return when it has passed."""
        _checked(self.raw.synchronize)

    def elapsed_ms(self, earlier: Event) -> float:
        """Time from an earlier event to this one, ms."""
        return float(_checked(earlier.raw.time_till, self.raw))

    def close(self) -> None:
        """Let it go; pycuda destroys it with its last reference."""
        self.raw = None


class PyCudaStream(Stream):
    """See `Stream`."""

    def __init__(self) -> None:
        self._stream: Any = _checked(cuda.Stream, NON_BLOCKING)
        self.handle = int(self._stream.handle)

    def upload(self, target: Memory, source: NDArray[Any]) -> None:
        """Queue a copy to the device."""
        check_bytes(target.nbytes, source.nbytes)
        _checked(cuda.memcpy_htod_async, target.address, source, self._stream)

    def download(self, target: NDArray[Any], source: Memory) -> None:
        """Queue a copy from the device."""
        check_bytes(target.nbytes, source.nbytes)
        _checked(cuda.memcpy_dtoh_async, target, source.address, self._stream)

    def record(self, event: Event) -> None:
        """Queue an event."""
        _checked(event.raw.record, self._stream)

    def wait(self, event: Event) -> None:
        """Let what is queued from now on start after an event."""
        _checked(self._stream.wait_for_event, event.raw)

    def synchronize(self) -> None:
        """Return when everything that was queued is done."""
        _checked(self._stream.synchronize)

    def close(self) -> None:
        """Let it go; pycuda destroys it with its last reference."""
        self._stream = None


@cache
def _primary(index: int) -> tuple[Any, Any]:
    """A GPU and its primary context, retained once and kept to the end of the process.

    pycuda 2026.1 leaves a primary context that it detaches on the thread's stack, so that it would stay current.
    """
    device = _checked(cuda.Device, index)
    return device, _checked(device.retain_primary_context)


class PyCudaDevice(Device):
    """See `Device`; the primary context is kept to the end of the process.

    Args:
        index: of the GPU.
    """

    name: ClassVar[str] = "pycuda"
    memory_type, pinned_type = PyCudaMemory, PyCudaPinned
    stream_type, event_type = PyCudaStream, PyCudaEvent

    def __init__(self, index: int = 0) -> None:
        _checked(cuda.init)
        device, self._context = _primary(index)
        self.gpu = str(device.name())
        self.capability = "{}.{}".format(*device.compute_capability())

    @contextmanager
    def current(self) -> Iterator[None]:
        """Within: the primary context is current for this thread."""
        _checked(self._context.push)
        try:
            yield
        finally:
            _checked(cuda.Context.pop)

    def free_bytes(self) -> tuple[int, int]:
        """Free memory of the device, and all of it."""
        free, total = _checked(cuda.mem_get_info)
        return int(free), int(total)
