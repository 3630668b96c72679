"""NVIDIA's two compilers behind one face: TensorRT (10.3 and later) and TensorRT-RTX. Every difference stands here, with the version.

Strongly typed networks only: precision stands in the ONNX file. Members are looked up by name, never by number: between 8.6, 10 and 11
`TF32`, `STRIP_PLAN`, `VERSION_COMPATIBLE` and `STRONGLY_TYPED` all got other numbers.
"""

import logging
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from perception.backends.plan import PRODUCTS
from perception.core.errors import ConfigError

DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT32": "int32",
    "UINT8": "uint8",
}  # theirs -> NumPy's
logger = logging.getLogger(__name__)

OLDEST = (10, 3)  # of TensorRT: JetPack 6.1; 8.x has no strongly typed networks
INSTALL = {
    "tensorrt": "pip install tensorrt (on Jetson it comes with JetPack)",
    "tensorrt_rtx": "pip install 'perception[rtx]'",
}


@dataclass(frozen=True, slots=True)
class Product:
    """One compiler.

    Attributes:
        name: of `PRODUCTS`.
        trt: its Python module.
    """

    name: str
    trt: Any = field(repr=False)

    @property
    def version(self) -> str:
        """Its full version, ``"10.3.0"``."""
        return str(self.trt.__version__)

    @property
    def needs_gpu(self) -> bool:
        """Whether it compiles only on the GPU that shall run the plan: TensorRT times kernels there, TensorRT-RTX does not."""
        return self.name == "tensorrt"

    def member(self, enum: str, name: str, option: str) -> Any:  # noqa: ANN401 (of an untyped module)
        """A member of an enum; `option` is what the user asked for.

        Raises:
            ConfigError: this version lacks it.
        """
        members = getattr(getattr(self.trt, enum, None), "__members__", {})
        if name not in members:
            raise ConfigError(f"{option}: {self.name} {self.version} has no {enum}.{name}")
        return members[name]

    def problem(self) -> str:
        """The last error that it logged, on one line."""
        reasons = shared_log(self.trt).problems() or ["no reason given"]
        return " ".join(reasons[-1].split())

    def refuse_without_gpu(self, option: str, why: str) -> None:
        """Raise `ConfigError` for an option that TensorRT-RTX takes and ignores."""
        if not self.needs_gpu:
            raise ConfigError(
                f"{option}: {self.name} {self.version} {why}; leave it out, or use --product tensorrt"
            )

    def network_flags(self) -> int:
        """For `create_network`: strongly typed. It is bit 1 in 10.x, bit 0 and always on in 11.x and RTX."""
        return 1 << int(self.member("NetworkDefinitionCreationFlag", "STRONGLY_TYPED", "a build"))

    def set_capabilities(self, config: Any, capabilities: tuple[str, ...]) -> None:  # noqa: ANN401
        """Say for which GPUs to compile: RTX only (`set_compute_capability` is absent in TensorRT 10.3 to 11.4).

        Raises:
            ConfigError: the product compiles for the GPU at hand alone, or does not know a capability.
        """
        if not hasattr(config, "set_compute_capability"):
            if capabilities:
                raise ConfigError(
                    f"--compute-capability: {self.name} {self.version} compiles for the GPU of this machine alone; "
                    f"use --product tensorrt_rtx, or build on the device"
                )
            return
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            name = "SM" + capability.replace(".", "")
            known = sorted(n for n in self.trt.ComputeCapability.__members__ if n.startswith("SM"))
            if name not in known:
                raise ConfigError(
                    f"--compute-capability {capability}: {self.name} {self.version} knows {[_dotted(n) for n in known]}"
                )
            config.set_compute_capability(self.trt.ComputeCapability.__members__[name], index)


def _dotted(name: str) -> str:
    """``"SM120"`` -> ``"12.0"``."""
    return f"{name[2:-1]}.{name[-1]}"


def find_product(name: str = "") -> Product:
    """Import a compiler; empty: TensorRT where it is installed, else TensorRT-RTX.

    Raises:
        ConfigError: unknown, not installed, or too old.
    """
    if name and name not in PRODUCTS:
        raise ConfigError(f"unknown product {name!r}; known: {list(PRODUCTS)}")
    for candidate in (name,) if name else PRODUCTS:
        try:
            trt = import_module(candidate)
        except ImportError as error:
            if name:
                raise ConfigError(
                    f"product {name!r} cannot be imported: {error}; install it with: {INSTALL[name]}"
                ) from error
            continue
        return _checked(Product(candidate, trt))
    raise ConfigError(
        f"neither TensorRT nor TensorRT-RTX is installed; {' or '.join(INSTALL.values())}"
    )


def numbers(version: str) -> tuple[int, ...]:
    """``"10.3.0.post1"`` -> ``(10, 3, 0, 1)``."""
    return tuple(int(n) for n in re.findall(r"\d+", version))


def _checked(product: Product) -> Product:
    if product.name == "tensorrt" and numbers(product.version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ConfigError(
            f"TensorRT {product.version} is too old: expected {oldest} or later, which have strongly typed networks"
        )
    return product


@cache
def shared_log(trt: ModuleType) -> Any:  # noqa: ANN401 (a class of an untyped module)
    """The one logger of a process: a product uses the first that it is given for as long as anything of it lives.

    Its ``lines`` are the warnings and errors since they were last cleared: severity and text. Warnings are passed on to `logging`.
    """

    class Log(trt.ILogger):  # type: ignore[name-defined]  # a base that is known only here
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[tuple[str, str]] = []

        def log(self, severity: Any, message: str) -> None:  # noqa: ANN401
            if severity.name in {"INFO", "VERBOSE"}:
                return
            self.lines.append((severity.name, message))
            if severity.name == "WARNING":
                logger.warning("%s", message)

        def problems(self) -> list[str]:
            """What was logged as an error."""
            return [text for name, text in self.lines if name in {"ERROR", "INTERNAL_ERROR"}]

    return Log()
