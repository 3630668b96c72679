"""A TensorRT plan on a GPU: uint8 frame in, small outputs out, everything between on the device.

Each frame in flight has a slot of its own: pinned memory of the host and memory of the device for every tensor, allocated once. Three
streams, joined by events, upload, compute and download; so the next frame is copied while this one computes. `infer` uses one slot at a
time, `submit` and `collect` all of them.

An engine file is code to the process that loads it: only a file with the hash of its manifest is loaded (`perception.backends.plan`).
"""

import logging
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.backends.base import Backend, Tensors, check_feeds
from perception.backends.cpu import check_graph
from perception.backends.device import open_device
from perception.backends.device.base import Device, DeviceError, Event, Graph, Memory
from perception.backends.plan import BUILD, Plan, PlanManifest, find_plan, plan_bytes
from perception.backends.products import DTYPES, Product, find_product, numbers, shared_log
from perception.core.errors import EngineError, RunError
from perception.core.manifest import GRAPH_INPUT, Engine, TensorSpec

SLOTS = 2
AMPERE = (8, 0)
MARKS = ("start", "uploaded", "computed", "done")

logger = logging.getLogger(__name__)


class Slot:
    """What one frame in flight occupies; freed with the stack that it was made in. `graph` is how it computes, where that was recorded."""

    def __init__(self, device: Device, tensors: Mapping[str, TensorSpec], stack: ExitStack) -> None:
        self.graph: Graph | None = None
        self.pinned: Tensors = {}
        self.memory: dict[str, Memory] = {}
        for name, spec in tensors.items():
            dtype = np.dtype(spec.dtype)
            self.pinned[name] = stack.enter_context(device.pin(spec.shape, dtype)).array
            size = prod(spec.shape) * dtype.itemsize
            self.memory[name] = stack.enter_context(device.allocate(size))
        self.events: dict[str, Event] = {m: stack.enter_context(device.event()) for m in MARKS}


class TensorRTBackend(Backend):
    """A plan opened by TensorRT or TensorRT-RTX. Outputs are views that the call after next overwrites.

    Args:
        engine: checked engine folder; its plans lie in it.
        size_wh: width and height of the input, px.
        precision: ``"fp16"``, ``"fp32"`` or ``"int8"``: there must be a plan for it.
        threads: of no meaning here.
        frame_wh: width and height of the frames before they are fitted, px: a plan that takes them whole is preferred.
        binding: of CUDA, in `perception.backends.device.DEVICES`; empty: the first that is installed.

    Raises:
        ConfigError: no CUDA binding, or the product of the plan is not installed.
        DeviceError: no driver, no GPU, or its memory does not suffice.
        EngineError: no plan for this size, precision and GPU, or it is refused.
    """

    name: ClassVar[str] = "tensorrt"

    def __init__(
        self,
        engine: Engine,
        size_wh: tuple[int, int],
        *,
        precision: str = "fp16",
        threads: int | None = None,  # noqa: ARG002 (of every backend)
        frame_wh: tuple[int, int] | None = None,
        binding: str = "",
    ) -> None:
        plan = find_plan(engine, size_wh, precision, frame_wh)
        product = find_product(plan.manifest.product)
        _check_version(plan, product)
        self.precision = precision
        self.fit = plan.manifest.fit
        self._flying: deque[Slot] = deque()
        self._next = 0
        with ExitStack() as stack:
            self._device = stack.enter_context(open_device(binding))
            _check_gpu(plan, self._device)
            self.device = f"{self._device.gpu}, {product.name} {product.version}"
            with self._device.current(), ExitStack() as held:
                self._open(engine, plan, product, size_wh, held)
                self._held = held.pop_all()
            self._stack = stack.pop_all()

    @classmethod
    def default_precision(cls, engine: Engine) -> str:  # noqa: ARG003 (of every backend)
        """FP16, what the plans are built for."""
        return "fp16"

    @classmethod
    def probe(cls) -> str:
        """Product and GPU."""
        product = find_product()
        with open_device() as device:
            return f"{product.name} {product.version} on {device.gpu}, compute capability {device.capability}"

    def _open(
        self,
        engine: Engine,
        plan: Plan,
        product: Product,
        size_wh: tuple[int, int],
        held: ExitStack,
    ) -> None:
        trt, log = product.trt, shared_log(product.trt)
        self._product = product
        log.lines.clear()
        # on self alone: a local would outlive the device's context in the traceback of a failure
        held.callback(self._let_go)
        try:
            self._runtime = trt.Runtime(log)
        except (
            TypeError
        ) as error:  # what its factory raises where CUDA and driver do not fit together
            raise EngineError(
                f"no runtime: {product.name} {product.version} refuses it: {product.problem()}"
            ) from error
        if plan.manifest.version_compatible:  # such plans hold a small runtime of their own
            self._runtime.engine_host_code_allowed = True
        self._loaded = loaded = self._runtime.deserialize_cuda_engine(plan_bytes(plan))
        if loaded is None:
            raise EngineError(
                f"{plan.path}: {product.name} {product.version} refuses it: {product.problem()}; {BUILD}"
            )
        self._context = context = loaded.create_execution_context()
        if context is None:
            raise EngineError(
                f"{plan.path}: no execution context: {product.name} {product.version} refuses it: {product.problem()}"
            )
        width, height = self.fit.frame_wh if self.fit is not None else size_wh
        context.set_input_shape(GRAPH_INPUT, (1, height, width, 3))
        found: dict[bool, dict[str, TensorSpec]] = {True: {}, False: {}}
        for index in range(loaded.num_io_tensors):
            name = loaded.get_tensor_name(index)
            dtype = loaded.get_tensor_dtype(name).name
            spec = TensorSpec(DTYPES.get(dtype, dtype), tuple(context.get_tensor_shape(name)))
            found[loaded.get_tensor_mode(name) == trt.TensorIOMode.INPUT][name] = spec
        _check_promise(plan, found[True] | found[False])
        self.inputs, self.outputs = check_graph(engine, found[True], found[False])
        tensors = {**self.inputs, **self.outputs}
        self._slots = [Slot(self._device, tensors, held) for _ in range(SLOTS)]
        self._uploads, self._computing, self._downloads = (
            held.enter_context(self._device.stream()) for _ in range(3)
        )
        self._record_graphs(held)

    def _record_graphs(self, held: ExitStack) -> None:
        """Record how each slot computes, where binding and product can; computing then costs the host one call, not one a kernel."""
        run = self._computing
        # TensorRT-RTX tells whether it can; what TensorRT has static shapes for can be recorded
        able = getattr(self._context, "is_stream_capturable", None)
        if not run.captures or (able is not None and not able(run.handle)):
            return
        # the first time, TensorRT also prepares what cannot be recorded
        for slot in self._slots:
            self._execute(slot)
        run.synchronize()
        try:
            for slot in self._slots:
                slot.graph = held.enter_context(run.capture(partial(self._execute, slot)))
        except (DeviceError, RunError) as error:
            logger.warning("%s: computing without a CUDA graph: %s", self.device, error)
            for slot in self._slots:
                slot.graph = None

    def _execute(self, slot: Slot) -> None:
        for name, memory in slot.memory.items():
            self._context.set_tensor_address(name, memory.address)
        if not self._context.execute_async_v3(self._computing.handle):
            raise RunError(f"{self.device}: {self._product.problem()}")

    def _infer(self, feeds: Mapping[str, NDArray[Any]]) -> Tensors:
        if self._flying:
            raise ValueError("infer: expected no frame in flight; collect what was submitted")
        self.submit(feeds)
        return self.collect()

    def submit(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """Queue a frame; `collect` gives its outputs. At most `SLOTS` may be queued.

        Raises:
            ValueError: a feed of the wrong name, dtype or shape, or no slot is free.
            RunError: TensorRT refused to run.
        """
        check_feeds(self.inputs, feeds)
        if len(self._flying) == len(self._slots):
            raise ValueError(
                f"submit: expected at most {SLOTS} frames in flight; collect one first"
            )
        slot = self._slots[self._next]
        self._next = (self._next + 1) % len(self._slots)
        up, run, down = self._uploads, self._computing, self._downloads
        with self._device.current():
            for name, feed in feeds.items():
                np.copyto(slot.pinned[name], feed)
            up.record(slot.events["start"])
            for name in feeds:
                up.upload(slot.memory[name], slot.pinned[name])
            up.record(slot.events["uploaded"])
            run.wait(slot.events["uploaded"])
            if slot.graph is not None:
                slot.graph.launch(run)
            else:
                self._execute(slot)
            run.record(slot.events["computed"])
            down.wait(slot.events["computed"])
            for name in self.outputs:
                down.download(slot.pinned[name], slot.memory[name])
            down.record(slot.events["done"])
        self._flying.append(slot)

    def collect(self) -> Tensors:
        """The outputs of the oldest frame that was queued, once it is done; raise `ValueError` where there is none."""
        if not self._flying:
            raise ValueError("collect: expected a frame in flight; submit one first")
        slot = self._flying.popleft()
        with self._device.current():
            slot.events["done"].synchronize()
            marks = [slot.events[mark] for mark in MARKS]
            spans = [late.elapsed_ms(early) for early, late in pairwise(marks)]
        self.device_ms = dict(zip(("upload", "compute", "download"), spans, strict=True))
        return {name: slot.pinned[name] for name in self.outputs}

    def _let_go(self) -> None:
        for name in ("_context", "_loaded", "_runtime"):  # each needs the next to the end
            self.__dict__.pop(name, None)

    def close(self) -> None:
        """Free everything that was allocated; a second call does nothing."""
        if "_held" not in self.__dict__:
            return
        self._flying.clear()
        self._slots = []
        with self.__dict__.pop("_stack"), self._device.current(), self.__dict__.pop("_held"):
            for stream in (self._uploads, self._computing, self._downloads):
                stream.synchronize()


def _check_version(plan: Plan, product: Product) -> None:
    manifest = plan.manifest
    built, here = numbers(manifest.product_version), numbers(product.version)
    later = manifest.version_compatible and built[0] == here[0] and built <= here
    if product.version != manifest.product_version and not later:
        raise EngineError(
            f"{plan.path}: built by {manifest.product} {manifest.product_version}, got {product.version}, "
            f"and a plan loads only in the version that built it, or with --version-compatible in later ones; {BUILD}"
        )
    if manifest.stripped:
        raise EngineError(f"{plan.path}: it has no weights; {BUILD}, without --strip")


def _check_gpu(plan: Plan, device: Device) -> None:
    manifest: PlanManifest = plan.manifest
    known = manifest.compute_capabilities
    if manifest.hardware_compatibility == "ampere_plus":
        known, fits = ("8.0 and later",), numbers(device.capability) >= AMPERE
    else:
        fits = not known or device.capability in known
    if not fits:
        rtx = manifest.product == "tensorrt_rtx"
        option = f" --compute-capability {device.capability}" if rtx else " on this machine"
        raise EngineError(
            f"{plan.path}: built for compute capability {', '.join(known)}, got {device.capability} ({device.gpu}); {BUILD}{option}"
        )


def _check_promise(plan: Plan, found: Mapping[str, TensorSpec]) -> None:
    promised = {**plan.manifest.inputs, **plan.manifest.outputs}
    for name, spec in promised.items():
        got = found.get(name, TensorSpec("nothing", ()))
        same = got.dtype == spec.dtype and len(got.shape) == len(spec.shape)
        if not same or any(a not in {-1, b} for a, b in zip(spec.shape, got.shape, strict=True)):
            raise EngineError(f"{plan.path}: tensor {name!r}: expected {spec}, got {got}; {BUILD}")
