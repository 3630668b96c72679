"""The GPU by cuda.bindings: wheels for every platform, and what torch brings along on CUDA."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from math import prod
from typing import Any, ClassVar

import numpy as np
from cuda.bindings import driver
from numpy.typing import DTypeLike, NDArray

from perception.backends.device.base import (
    Device,
    DeviceError,
    Event,
    Graph,
    Memory,
    Pinned,
    Stream,
    check_bytes,
)


def _checked(call: Callable[..., tuple[Any, ...]], *args: Any) -> Any:  # noqa: ANN401 (what the driver takes and gives)
    """What a call gives, without its status; raise `DeviceError` for a status that is no success, and where the driver lacks it."""
    try:
        status, *values = call(*args)
    except RuntimeError as error:  # its own class for a library or function that is not there
        raise DeviceError(
            f"CUDA, by cuda.bindings: {error}; install a driver of CUDA 12.9 or later"
        ) from error
    if status != driver.CUresult.CUDA_SUCCESS:
        _, text = driver.cuGetErrorString(status)
        reason = text.decode() if text else status.name
        raise DeviceError(f"CUDA, by cuda.bindings: {status.name}: {reason}")
    return values[0] if len(values) == 1 else tuple(values)


class CudaMemory(Memory):
    """See `Memory`."""

    def __init__(self, nbytes: int) -> None:
        self.address = int(_checked(driver.cuMemAlloc, nbytes))
        self.nbytes = nbytes

    def close(self) -> None:
        """Free it; a second call does nothing."""
        if self.address:
            _checked(driver.cuMemFree, self.address)
            self.address = 0


class CudaPinned(Pinned):
    """See `Pinned`."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        nbytes = prod(shape) * np.dtype(dtype).itemsize
        self._address = int(_checked(driver.cuMemHostAlloc, max(nbytes, 1), 0))
        buffer = memoryview((ctypes.c_uint8 * nbytes).from_address(self._address))
        self.array: NDArray[Any] = np.frombuffer(buffer, np.uint8).view(dtype).reshape(shape)
        self.array[...] = 0

    def close(self) -> None:
        """Free it; a second call does nothing."""
        if self._address:
            del self.array
            _checked(driver.cuMemFreeHost, self._address)
            self._address = 0


class CudaEvent(Event):
    """See `Event`."""

    def __init__(self) -> None:
        self.raw: Any = _checked(driver.cuEventCreate, 0)

    def synchronize(self) -> None:
        """Return when it has passed."""
        _checked(driver.cuEventSynchronize, self.raw)

    def elapsed_ms(self, earlier: Event) -> float:
        """Time from an earlier event to this one, ms."""
        return float(_checked(driver.cuEventElapsedTime, earlier.raw, self.raw))

    def close(self) -> None:
        """Destroy it; a second call does nothing."""
        if self.raw is not None:
            _checked(driver.cuEventDestroy, self.raw)
            self.raw = None


class CudaGraph(Graph):
    """See `Graph`."""

    def __init__(self, recorded: Any) -> None:  # noqa: ANN401 (the binding's own graph)
        try:
            self._graph: Any = _checked(driver.cuGraphInstantiate, recorded, 0)
        finally:  # what is launched is a copy
            _checked(driver.cuGraphDestroy, recorded)

    def launch(self, stream: Stream) -> None:
        """Queue it in a stream."""
        _checked(driver.cuGraphLaunch, self._graph, stream.handle)

    def close(self) -> None:
        """Destroy it; a second call does nothing."""
        if self._graph is not None:
            _checked(driver.cuGraphExecDestroy, self._graph)
            self._graph = None


class CudaStream(Stream):
    """See `Stream`."""

    captures: ClassVar[bool] = True

    def __init__(self) -> None:
        self._stream: Any = _checked(
            driver.cuStreamCreate, driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        )
        self.handle = int(self._stream)

    def upload(self, target: Memory, source: NDArray[Any]) -> None:
        """Queue a copy to the device."""
        check_bytes(target.nbytes, source.nbytes)
        address = source.ctypes.data
        _checked(driver.cuMemcpyHtoDAsync, target.address, address, source.nbytes, self._stream)

    def download(self, target: NDArray[Any], source: Memory) -> None:
        """Queue a copy from the device."""
        check_bytes(target.nbytes, source.nbytes)
        address = target.ctypes.data
        _checked(driver.cuMemcpyDtoHAsync, address, source.address, source.nbytes, self._stream)

    def record(self, event: Event) -> None:
        """Queue an event."""
        _checked(driver.cuEventRecord, event.raw, self._stream)

    def wait(self, event: Event) -> None:
        """Let what is queued from now on start after an event."""
        _checked(driver.cuStreamWaitEvent, self._stream, event.raw, 0)

    def synchronize(self) -> None:
        """Return when everything that was queued is done."""
        _checked(driver.cuStreamSynchronize, self._stream)

    def capture(self, queue: Callable[[], None]) -> CudaGraph:
        """Record what `queue` queues in this stream, without doing it."""
        # other threads may allocate meanwhile
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        _checked(driver.cuStreamBeginCapture, self._stream, mode)
        try:
            queue()
        except BaseException:
            # the first error is the one to tell
            status, recorded = driver.cuStreamEndCapture(self._stream)
            if status == driver.CUresult.CUDA_SUCCESS:
                driver.cuGraphDestroy(recorded)
            raise
        return CudaGraph(_checked(driver.cuStreamEndCapture, self._stream))

    def close(self) -> None:
        """Destroy it; a second call does nothing."""
        if self._stream is not None:
            _checked(driver.cuStreamDestroy, self._stream)
            self._stream = None


@cache
def _primary(index: int) -> tuple[Any, Any]:
    """A GPU and its primary context, retained once and kept to the end of the process: released to zero, it would be torn down.

    TensorRT's own objects and caches live in it, and may be freed later than the last `Device` is closed.
    """
    device = _checked(driver.cuDeviceGet, index)
    return device, _checked(driver.cuDevicePrimaryCtxRetain, device)


class CudaDevice(Device):
    """See `Device`; the primary context is kept to the end of the process.

    Args:
        index: of the GPU.
    """

    name: ClassVar[str] = "cuda.bindings"
    memory_type, pinned_type = CudaMemory, CudaPinned
    stream_type, event_type = CudaStream, CudaEvent

    def __init__(self, index: int = 0) -> None:
        _checked(driver.cuInit, 0)
        self._device, self._context = _primary(index)
        self.gpu = _checked(driver.cuDeviceGetName, 128, self._device).decode().strip("\0")
        attributes = driver.CUdevice_attribute
        major, minor = (
            _checked(driver.cuDeviceGetAttribute, attribute, self._device)
            for attribute in (
                attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
            )
        )
        self.capability = f"{major}.{minor}"

    @contextmanager
    def current(self) -> Iterator[None]:
        """Within: the primary context is current for this thread."""
        _checked(driver.cuCtxPushCurrent, self._context)
        try:
            yield
        finally:
            _checked(driver.cuCtxPopCurrent)

    def free_bytes(self) -> tuple[int, int]:
        """Free memory of the device, and all of it."""
        free, total = _checked(driver.cuMemGetInfo)
        return int(free), int(total)
