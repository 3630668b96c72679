"""The GPU's memory, streams and events behind one face, by name. To add a binding: a file with a `Device`, and a line here."""

from importlib.util import find_spec

from perception.backends.device.base import Device
from perception.core.errors import ConfigError
from perception.core.registry import Registry

# name -> callable(index: int) -> Device; the first that is installed is taken
DEVICES = Registry(
    "CUDA binding",
    {
        "pycuda": "perception.backends.device.pycuda:PyCudaDevice",
        "cuda": "perception.backends.device.cuda:CudaDevice",
    },
    extras={"pycuda": "pycuda", "cuda": "tensorrt"},
)
PACKAGES = {"pycuda": "pycuda", "cuda": "cuda.bindings"}


def open_device(name: str = "", index: int = 0) -> Device:
    """Retain the primary context of a GPU.

    Args:
        name: of the binding, in `DEVICES`; empty: pycuda where it is installed, else cuda.bindings.
        index: of the GPU.

    Raises:
        ConfigError: unknown binding, or none is installed.
        DeviceError: there is no driver, or no such GPU.
    """
    chosen = name or next((n for n, package in PACKAGES.items() if _installed(package)), "")
    if not chosen:
        raise ConfigError(
            "the tensorrt backend needs pycuda or cuda.bindings; install one with: "
            "pip install 'perception[tensorrt]', or on Jetson: pip install pycuda"
        )
    device: Device = DEVICES[chosen](index)
    return device


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the parent package
        return False
