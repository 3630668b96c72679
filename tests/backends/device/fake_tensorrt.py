"""A stand-in for TensorRT over the driver's test double: a plan is an ONNX file, which ONNX Runtime runs when its turn in a stream comes.

It has no name that the real classes lack (`tests/export/tensorrt/spec.py` compares them with the bindings), so the runner cannot use one they lack.
"""

import ctypes
from enum import Enum
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import onnxruntime

VERSION = "10.3.0"
LEAN = b"lean runtime:"  # at the start of a plan for other versions, which holds a small runtime
CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Severity(Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity
    ERROR, WARNING = Severity.ERROR, Severity.WARNING

    def log(self, severity, message):
        raise NotImplementedError


class TensorIOMode(Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class DataType(Enum):
    FLOAT = 0
    HALF = 1
    INT32 = 3
    UINT8 = 5


TYPES = {
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(int32)": (DataType.INT32, np.int32),
    "tensor(uint8)": (DataType.UINT8, np.uint8),
}


class IExecutionContext:
    def __init__(self, engine, double):
        self._engine = engine
        self._double = double
        self._addresses = {}
        self._kept = []  # callbacks live until the stream has run them, or a graph of it
        self._prepared = False

    def set_input_shape(self, name, shape):
        return tuple(shape) == self.get_tensor_shape(name)

    def get_tensor_shape(self, name):
        return self._engine.get_tensor_shape(name)

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle):
        stream = ctypes.c_void_p(stream_handle)
        if self._double.double_capturing(stream):
            assert self._prepared, "what the first run prepares cannot be recorded"
        self._prepared = True
        addresses = dict(self._addresses)
        assert set(addresses) == set(self._engine.nodes), "an address is missing"
        views = {}
        for name, node in self._engine.nodes.items():
            dtype = np.dtype(TYPES[node.type][1])
            size = int(np.prod(node.shape)) * dtype.itemsize
            held = self._double.double_holds(
                ctypes.c_void_p(addresses[name]), ctypes.c_size_t(size)
            )
            assert held == 1, f"{name} is not in memory of the device"
            raw = (ctypes.c_uint8 * size).from_address(addresses[name])
            views[name] = np.frombuffer(raw, np.uint8).view(dtype).reshape(node.shape)

        def run(_argument):
            session = self._engine.session
            feeds = {node.name: views[node.name] for node in session.get_inputs()}
            names = [node.name for node in session.get_outputs()]
            for name, value in zip(names, session.run(names, feeds), strict=True):
                views[name][...] = value

        callback = CALLBACK(run)
        self._kept.append(callback)
        self._double.double_queue(stream, callback, None)
        return True


class ICudaEngine:
    def __init__(self, session, double):
        self.session = session
        self._double = double
        inputs = {node.name: node for node in session.get_inputs()}
        self._inputs = set(inputs)
        self.nodes = {**inputs, **{node.name: node for node in session.get_outputs()}}

    @property
    def num_io_tensors(self):
        return len(self.nodes)

    def get_tensor_name(self, index):
        return list(self.nodes)[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return TYPES[self.nodes[name].type][0]

    def get_tensor_shape(self, name):
        return tuple(self.nodes[name].shape)

    def create_execution_context(self):
        return IExecutionContext(self, self._double)


def make_module(double):
    """The module, bound to the test double."""

    class Runtime:
        def __init__(self, logger):
            self._logger = logger

        engine_host_code_allowed = False

        def deserialize_cuda_engine(self, serialized_engine):
            if serialized_engine.startswith(LEAN):
                if not self.engine_host_code_allowed:
                    self._logger.log(Severity.ERROR, "it holds host code, which is not allowed")
                    return None
                serialized_engine = serialized_engine.removeprefix(LEAN)
            try:
                session = onnxruntime.InferenceSession(
                    serialized_engine, providers=["CPUExecutionProvider"]
                )
            except Exception:  # noqa: BLE001 (ONNX Runtime has no base class of its own)
                self._logger.log(Severity.ERROR, "magicTag does not match: [Serialization]")
                return None
            return ICudaEngine(session, double)

    module = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    vars(module).update(
        __version__=VERSION,
        ILogger=ILogger,
        Runtime=Runtime,
        ICudaEngine=ICudaEngine,
        IExecutionContext=IExecutionContext,
        TensorIOMode=TensorIOMode,
        DataType=DataType,
    )
    return module
