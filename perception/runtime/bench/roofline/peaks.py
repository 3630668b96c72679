"""What the machine can do at most, as ONNX Runtime reaches it: float32 operations and bytes a second.

Sources:
    Operations: a product of large square matrices, by the library's own kernel. Bytes: McCalpin, "Memory Bandwidth and Machine Balance in
    Current High Performance Computers", 1995: ``add`` of STREAM, c = a + b; three arrays are counted, and not that a cache may read the
    lines of c before it writes them.
"""

import time
from dataclasses import dataclass

import numpy as np
import onnxruntime

from perception.backends.onnxruntime import session_options
from perception.runtime.bench.roofline.wire import one_node_model

SIDE = 512  # of the matrices: some ms, as the nodes that it is the roof of
STREAM_MIB = 128  # of each array: three are larger than the caches of any processor that cars or desktops have
SECONDS = 4.0  # of each, before and after: of many short repeats some meet no other load
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Peaks:
    """The two roofs: ``flops_per_s`` and ``bytes_per_s``."""

    flops_per_s: float
    bytes_per_s: float

    @property
    def ridge(self) -> float:
        """Operations a byte from which on arithmetic is the limit."""
        return self.flops_per_s / self.bytes_per_s

    def roof(self, intensity: float) -> float:
        """Operations a second that can be reached at operations a byte."""
        return min(self.flops_per_s, intensity * self.bytes_per_s)

    def best_s(self, flops: float, moved_bytes: float) -> float:
        """Seconds that work and traffic take at least, the smaller hidden behind the larger."""
        return max(flops / self.flops_per_s, moved_bytes / self.bytes_per_s)

    def best_of(self, other: "Peaks") -> "Peaks":
        """The higher of each."""
        return Peaks(
            max(self.flops_per_s, other.flops_per_s), max(self.bytes_per_s, other.bytes_per_s)
        )


def measure_peaks(
    threads: int, side: int = SIDE, stream_mib: int = STREAM_MIB, seconds: float = SECONDS
) -> Peaks:
    """The best of many repeats of each, with the options of a backend's session.

    Args:
        threads: of the session.
        side: rows and columns of the matrices.
        stream_mib: of each array.
        seconds: that each is repeated.
    """
    multiply_s = _best_s("MatMul", (side, side), threads, seconds)
    count = stream_mib * 2**20 // FLOAT_BYTES
    add_s = _best_s("Add", (count,), threads, seconds)
    return Peaks(2 * side**3 / multiply_s, 3 * count * FLOAT_BYTES / add_s)


def _best_s(op: str, shape: tuple[int, ...], threads: int, seconds: float) -> float:
    options = session_options((1, 1), threads)
    session = onnxruntime.InferenceSession(
        one_node_model(op), options, providers=["CPUExecutionProvider"]
    )
    # bound: a call without would copy its result, which is not what is measured
    binding = session.io_binding()
    for name in ("a", "b", "c"):
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ones(shape, np.float32))
        bind = binding.bind_ortvalue_output if name == "c" else binding.bind_ortvalue_input
        bind(name, value)
    session.run_with_iobinding(binding)
    spent_ns: list[int] = []
    deadline_s = time.monotonic() + seconds
    while not spent_ns or time.monotonic() < deadline_s:
        began_ns = time.monotonic_ns()
        session.run_with_iobinding(binding)
        spent_ns.append(time.monotonic_ns() - began_ns)
    return min(spent_ns) / 1e9
