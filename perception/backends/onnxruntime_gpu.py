"""ONNX Runtime on an NVIDIA GPU: a second way, for whoever has it installed. The first is a plan (`perception.backends.tensorrt`).

Float32 only. Its TensorRT providers would make half precision by a switch for the whole graph, box decoding included, which moves boxes
by up to a pixel (engines/EXPERIMENTS.md, section 20); in a plan the parts that need float32 keep it.
"""

from typing import ClassVar

import onnxruntime

from perception.backends.onnxruntime import OnnxRuntimeBackend
from perception.core.errors import ConfigError
from perception.core.manifest import Engine


class OnnxRuntimeCudaBackend(OnnxRuntimeBackend):
    """An engine opened by ONNX Runtime's CUDA provider."""

    name: ClassVar[str] = "onnxruntime_cuda"
    provider: ClassVar[str] = "CUDAExecutionProvider"
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    install: ClassVar[str] = "onnxruntime-gpu in place of onnxruntime"

    @classmethod
    def default_precision(cls, engine: Engine) -> str:  # noqa: ARG003 (of every backend)
        """Float32."""
        return "fp32"

    @classmethod
    def device_name(cls) -> str:
        """The provider; raise `ConfigError` where this ONNX Runtime was built without it."""
        known = onnxruntime.get_available_providers()
        if cls.provider not in known:
            raise ConfigError(
                f"backend {cls.name!r}: ONNX Runtime {onnxruntime.__version__} is built without {cls.provider}, it has {known}; "
                f"install {cls.install}"
            )
        return f"{cls.provider} of ONNX Runtime {onnxruntime.__version__}"

    @classmethod
    def probe(cls) -> str:
        """The provider."""
        return cls.device_name()


class OnnxRuntimeTensorRTBackend(OnnxRuntimeCudaBackend):
    """An engine opened by ONNX Runtime's TensorRT provider, which compiles it when it is opened."""

    name: ClassVar[str] = "onnxruntime_tensorrt"
    provider: ClassVar[str] = "TensorrtExecutionProvider"
    install: ClassVar[str] = "onnxruntime-gpu in place of onnxruntime, and TensorRT"


class OnnxRuntimeRtxBackend(OnnxRuntimeCudaBackend):
    """An engine opened by ONNX Runtime's provider for TensorRT-RTX, which compiles it when it is opened."""

    name: ClassVar[str] = "onnxruntime_rtx"
    provider: ClassVar[str] = "NvTensorRTRTXExecutionProvider"
    install: ClassVar[str] = "an ONNX Runtime that is built with TensorRT-RTX"
