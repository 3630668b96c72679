"""Facts about the machine: processor, memory, GPU. Reads what the system tells; starts no program and needs no package.

Knows nothing of engines. A fact that the system does not tell is empty or ``None``, never a guess.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
BOARD = Path("/proc/device-tree/model")  # Jetson and other boards write their name here
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")

# what inference on the CPU gains from, as the kernel names it: x86-64 first, then aarch64
CPU_FEATURES = (
    "avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16",
    "amx_int8", "asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve",
)  # fmt: skip

_NAME_BYTES = 96  # NVML_DEVICE_NAME_V2_BUFFER_SIZE
_DRIVER_BYTES = 80  # NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU, as NVML describes it.

    Attributes:
        name: product name.
        compute: compute capability, ``(8, 7)`` on a Jetson Orin.
        memory_gib: memory in GiB; 0 where NVML does not tell (the memory of a Jetson is the machine's).
    """

    name: str
    compute: tuple[int, int]
    memory_gib: float


@dataclass(frozen=True, slots=True)
class Gpus:
    """What NVML tells of the driver and its GPUs; `problem` is empty where it could be asked."""

    driver: str = ""
    devices: tuple[Gpu, ...] = ()
    problem: str = ""


def read_text(path: Path) -> str:
    """Text of a system file, empty where there is none to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def cpu_features(cpuinfo: Path = CPUINFO) -> tuple[str, ...]:
    """Those of `CPU_FEATURES` that the first processor has, in their order."""
    for line in read_text(cpuinfo).splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in {"flags", "features"}:
            present = set(value.split())
            return tuple(name for name in CPU_FEATURES if name in present)
    return ()


def memory_gib(meminfo: Path = MEMINFO) -> tuple[float, float] | None:
    """Total and available memory in GiB."""
    sizes = {}
    for line in read_text(meminfo).splitlines():
        key, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdigit():
            sizes[key] = int(number[0]) / 2**20  # the kernel counts in KiB
    if "MemTotal" not in sizes:
        return None
    return sizes["MemTotal"], sizes.get("MemAvailable", 0.0)


def nvidia_gpus(open_library: Callable[[str], ctypes.CDLL] = ctypes.CDLL) -> Gpus:
    """Ask NVML, which comes with the driver, for the driver's version and the GPUs."""
    try:
        nvml = open_library("libnvidia-ml.so.1")
    except OSError:
        return Gpus(problem="no NVIDIA driver")
    code = nvml.nvmlInit_v2()
    if code:
        return Gpus(problem=f"the NVIDIA driver does not answer (NVML code {code})")
    try:
        version = ctypes.create_string_buffer(_DRIVER_BYTES)
        nvml.nvmlSystemGetDriverVersion(version, _DRIVER_BYTES)
        count = ctypes.c_uint()
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        devices = tuple(_gpu(nvml, index) for index in range(count.value))
        problem = "" if devices else "the NVIDIA driver is there, but sees no GPU"
        return Gpus(version.value.decode(), devices, problem)
    finally:
        nvml.nvmlShutdown()


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def _gpu(nvml: ctypes.CDLL, index: int) -> Gpu:
    handle = ctypes.c_void_p()
    nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    nvml.nvmlDeviceGetName(handle, name, _NAME_BYTES)
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvml.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor))
    memory = _Memory()
    nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
    return Gpu(name.value.decode(), (major.value, minor.value), memory.total / 2**30)
