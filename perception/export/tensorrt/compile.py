"""One typed graph through the compiler: parse, configure, build, with progress and a way to end it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from perception.backends.products import Product, shared_log
from perception.core.errors import ConfigError, EngineError, OutputError
from perception.core.manifest import GRAPH_INPUT
from perception.export.tensorrt.options import BuildOptions, Shape

FIRST_ERRORS = 3  # of a parser that are shown


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed network and what keeps it alive."""

    builder: Any
    network: Any
    parser: Any


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan, and the timing cache after it; the latter empty where none was asked for."""

    plan: bytes
    timing_cache: bytes


def parse(product: Product, onnx_bytes: bytes) -> Parsed:
    """Read a typed graph into a network.

    Raises:
        EngineError: the product does not know an operator, or a type does not fit.
    """
    trt, log = product.trt, shared_log(product.trt)
    log.lines.clear()
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # what its factory raises where CUDA and driver do not fit together
        raise EngineError(f"{product.name} {product.version}: {product.problem()}") from error
    network = builder.create_network(product.network_flags())
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx_bytes):
        found = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        reasons = "; ".join(" ".join(text.split()) for text in found[:FIRST_ERRORS])
        raise EngineError(f"{product.name} {product.version} cannot read the graph: {reasons}")
    return Parsed(builder, network, parser)


def compile_network(
    product: Product, parsed: Parsed, options: BuildOptions, shapes: tuple[Shape, Shape]
) -> Compiled:
    """Build the plan of a parsed network.

    Args:
        product: that parsed it.
        parsed: by `parse`.
        options: of the build.
        shapes: smallest and largest of the input; equal where every axis is fixed.

    Raises:
        ConfigError: an option that the product does not have.
        EngineError: the network does not build.
        KeyboardInterrupt: the user ended it.
    """
    config = parsed.builder.create_builder_config()
    _configure(product, config, options)
    low, high = shapes
    if low != high:
        profile = parsed.builder.create_optimization_profile()
        profile.set_shape(GRAPH_INPUT, low, high, high)
        config.add_optimization_profile(profile)
    cache = _open_timing_cache(product, config, options)
    with _watched(product, config) as stopped:
        plan = parsed.builder.build_serialized_network(parsed.network, config)
    if stopped.is_set():
        raise KeyboardInterrupt
    if plan is None:
        raise EngineError(
            f"{product.name} {product.version} cannot build this network: {product.problem()}"
        )
    return Compiled(bytes(plan), bytes(cache.serialize()) if cache is not None else b"")


def _configure(product: Product, config: Any, options: BuildOptions) -> None:  # noqa: ANN401
    trt = product.trt
    config.profiling_verbosity = product.member("ProfilingVerbosity", "DETAILED", "a build")
    product.set_capabilities(config, options.capabilities)
    if (
        options.precision == "fp32"
    ):  # on by default: it would round the inputs of products to 10 bits
        config.clear_flag(product.member("BuilderFlag", "TF32", "--precision fp32"))
    for wanted, flag, option in (
        (options.version_compatible, "VERSION_COMPATIBLE", "--version-compatible"),
        (options.strip, "STRIP_PLAN", "--strip"),
        (options.refit, "REFIT", "--refit"),
    ):
        if wanted:
            config.set_flag(product.member("BuilderFlag", flag, option))
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.level is not None:
        product.refuse_without_gpu("--level", "compiles alike at every level")
        config.builder_optimization_level = options.level
    if options.hardware_compatibility != "none":
        option = f"--hardware-compatibility {options.hardware_compatibility}"
        product.refuse_without_gpu(option, "names its GPUs with --compute-capability")
        name = options.hardware_compatibility.upper()
        level = product.member("HardwareCompatibilityLevel", name, option)
        config.hardware_compatibility_level = level


def _open_timing_cache(product: Product, config: Any, options: BuildOptions) -> Any:  # noqa: ANN401
    path = options.timing_cache
    if path is None:
        return None
    product.refuse_without_gpu("--timing-cache", "times nothing while it builds")
    try:
        known = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, False):
        raise EngineError(f"{path}: not a timing cache of this GPU and version; remove it")
    return cache


def write_file(path: Path, content: bytes) -> None:
    """Write a file; raise `OutputError` where that fails."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def _watched(product: Product, config: Any) -> Iterator[threading.Event]:  # noqa: ANN401
    """Within: the build shows its progress, and Ctrl-C or SIGTERM end it at its next step; the event tells whether one came."""
    stopped = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = [signal.signal(number, stop) for number in numbers]
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            monitor = _monitor(product.trt, bars, stopped)  # lives as long as the build
            config.progress_monitor = monitor
            yield stopped
            config.progress_monitor = None
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _monitor(trt: Any, bars: Progress, stopped: threading.Event) -> Any:  # noqa: ANN401
    class Monitor(trt.IProgressMonitor):
        """Shows each phase of a build as a bar; phases may lie within one another."""

        def __init__(self) -> None:
            super().__init__()
            self._tasks: dict[str, TaskID] = {}

        def phase_start(self, phase_name: str, _parent: str | None, num_steps: int) -> None:
            self._tasks[phase_name] = bars.add_task(phase_name, total=num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            bars.update(self._tasks[phase_name], completed=step + 1)
            return not stopped.is_set()

        def phase_finish(self, phase_name: str) -> None:
            bars.remove_task(self._tasks.pop(phase_name))

    return Monitor()
