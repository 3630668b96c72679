"""Facts about the machine are read from what the system tells, and are empty where it tells nothing."""

import ctypes
import os

import pytest

from perception.backends import cpu
from perception.backends.cpu import cpu_name
from perception.core.process import usable_cores
from perception.runtime import machine

X86 = """processor\t: 0
model name\t: Some CPU 9000 @ 3.0GHz
flags\t\t: fpu sse4_2 avx2 fma avx512f avx512_bf16 amx_tile

processor\t: 1
model name\t: Some CPU 9000 @ 3.0GHz
flags\t\t: fpu
"""
ARM = """processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd asimdhp asimddp i8mm bf16
CPU implementer\t: 0x41
"""


class FakeNvml:
    """The few NVML calls that are made, with one GPU."""

    def __init__(self, init_code=0, count=1):
        self.init_code, self.count, self.open = init_code, count, False

    def nvmlInit_v2(self):  # noqa: N802 (the library's names)
        self.open = not self.init_code
        return self.init_code

    def nvmlShutdown(self):  # noqa: N802
        self.open = False
        return 0

    def nvmlSystemGetDriverVersion(self, buffer, _size):  # noqa: N802
        buffer.value = b"580.1"
        return 0

    def nvmlDeviceGetCount_v2(self, count):  # noqa: N802
        ctypes.cast(count, ctypes.POINTER(ctypes.c_uint))[0] = self.count
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, _index, _handle):  # noqa: N802
        return 0

    def nvmlDeviceGetName(self, _handle, buffer, _size):  # noqa: N802
        buffer.value = b"Fake GPU"
        return 0

    def nvmlDeviceGetCudaComputeCapability(self, _handle, major, minor):  # noqa: N802
        ctypes.cast(major, ctypes.POINTER(ctypes.c_int))[0] = 8
        ctypes.cast(minor, ctypes.POINTER(ctypes.c_int))[0] = 7
        return 0

    def nvmlDeviceGetMemoryInfo(self, _handle, memory):  # noqa: N802
        ctypes.cast(memory, ctypes.POINTER(ctypes.c_ulonglong))[0] = 8 * 2**30
        return 0


def _file(folder, text):
    path = folder / "file"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "features"),
    [
        pytest.param(X86, ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile"), id="x86-64"),
        pytest.param(ARM, ("asimd", "asimdhp", "asimddp", "bf16", "i8mm"), id="aarch64"),
        pytest.param("nothing: known\n", (), id="unknown"),
    ],
)
def test_cpu_features_are_those_that_the_kernel_names(tmp_path, text, features):
    assert machine.cpu_features(_file(tmp_path, text)) == features


def test_the_processor_has_the_name_that_the_kernel_gives_it(tmp_path):
    assert cpu_name(_file(tmp_path, X86)) == "Some CPU 9000 @ 3.0GHz"


def test_a_processor_without_name_is_called_by_its_architecture(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu.platform, "processor", lambda: "")
    monkeypatch.setattr(cpu.platform, "machine", lambda: "aarch64")
    assert cpu_name(_file(tmp_path, ARM)) == "aarch64"


def test_without_the_system_files_nothing_is_known(tmp_path):
    absent = tmp_path / "absent"
    assert machine.cpu_features(absent) == ()
    assert machine.memory_gib(absent) is None
    assert machine.read_text(absent) == ""


def test_memory_is_told_in_gib(tmp_path):
    path = _file(tmp_path, "MemTotal:  16777216 kB\nMemFree: 1 kB\nMemAvailable:  8388608 kB\n")
    assert machine.memory_gib(path) == (16.0, 8.0)


@pytest.mark.parametrize("has_affinity", [True, False])
def test_there_is_at_least_one_usable_core(monkeypatch, has_affinity):
    if not has_affinity:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() >= 1


def test_a_machine_without_driver_has_no_gpu():
    def refuse(name):
        raise OSError(f"{name}: cannot open shared object file")

    gpus = machine.nvidia_gpus(refuse)
    assert (gpus.driver, gpus.devices) == ("", ())
    assert gpus.problem == "no NVIDIA driver"


def test_a_gpu_is_described_as_nvml_does():
    nvml = FakeNvml()
    gpus = machine.nvidia_gpus(lambda _: nvml)
    assert gpus == machine.Gpus("580.1", (machine.Gpu("Fake GPU", (8, 7), 8.0),))
    assert not nvml.open


@pytest.mark.parametrize(
    ("nvml", "problem"),
    [
        pytest.param(FakeNvml(init_code=9), "does not answer (NVML code 9)", id="driver not loaded"),
        pytest.param(FakeNvml(count=0), "sees no GPU", id="no device"),
    ],
)  # fmt: skip
def test_a_driver_without_a_usable_gpu_says_why(nvml, problem):
    gpus = machine.nvidia_gpus(lambda _: nvml)
    assert gpus.devices == ()
    assert problem in gpus.problem
