"""Typed graphs: which part is half, and that their emulation on a CPU rounds as half precision does."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from perception.core.errors import EngineError
from perception.export.network import prepare
from perception.export.tensorrt.emulate import emulate_half
from perception.export.tensorrt.half import PARTS, half_model, parts_of

HALF = TensorProto.FLOAT16


def make_chain(operators, factor=1e3, dtype=TensorProto.FLOAT16):
    """``x`` -> each operator with the same factor -> ``y``."""
    names = ["x", *(f"t{i}" for i in range(1, len(operators))), "y"]
    nodes = [make_node(op, [names[i], "factor"], [names[i + 1]]) for i, op in enumerate(operators)]
    numpy_dtype = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    graph = make_graph(
        [
            make_node("Cast", ["x32"], ["x"], to=dtype),
            *nodes,
            make_node("Cast", ["y"], ["y32"], to=TensorProto.FLOAT),
        ],
        "chain",
        [make_tensor_value_info("x32", TensorProto.FLOAT, [None])],
        [make_tensor_value_info("y32", TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(np.array([factor], numpy_dtype), "factor")],
    )
    return make_model(graph, opset_imports=[make_opsetid("", 18)], ir_version=10)


def run(model, feeds, names=None):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = names or [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize(
    ("operators", "factor", "value", "expected"),
    [
        pytest.param(["Mul"] * 2 + ["Div"] * 2, 1e3, 1.0, np.inf, id="overflow between two nodes"),
        pytest.param(["Mul"], 1e-3, 1e-5, 0.0, id="underflow"),
        pytest.param(["Add"], 1.0, 2048.0, 2048.0, id="a step lost"),
        pytest.param(["Add"], 1.0, 2050.0, 2052.0, id="ties to even"),
    ],
)
def test_emulation_rounds_every_result_as_half_does(operators, factor, value, expected):
    emulated = emulate_half(make_chain(operators, factor))
    got = run(emulated, {"x32": np.array([value], np.float32)})["y32"]
    np.testing.assert_array_equal(got, np.array([expected], np.float32))


def test_emulation_gives_what_numpy_gives_in_half():
    values = np.random.default_rng(0).normal(0, 100, 1000).astype(np.float32)
    got = run(emulate_half(make_chain(["Mul", "Add", "Sub"], 0.3)), {"x32": values})["y32"]
    factor = np.float16(0.3)
    want = values.astype(np.float16) * factor + factor - factor
    np.testing.assert_array_equal(got, want.astype(np.float32))


@pytest.fixture(scope="module")
def prepared(engine):
    return prepare(onnx.load(engine.onnx_path))


def test_the_parts_of_the_cascade_are_found(prepared):
    operators = {part: [] for part in PARTS}
    for node, part in parts_of(prepared):
        operators[part].append(node.op_type)
    assert set(operators["frame"]) == {"Cast", "Transpose", "Sub", "Div"}
    assert set(operators["network"]) <= {"Conv", "Relu", "Add", "Resize", "Concat", "MaxPool"}
    assert {"TopK", "Softmax", "Exp", "GatherElements"} <= set(operators["boxes"])
    assert "ArgMax" in operators["class_map"]
    assert "Conv" not in operators["boxes"] + operators["class_map"] + operators["mask"]


def typed(model):
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def test_the_network_is_half_and_inputs_and_outputs_are_as_they_were(prepared):
    half = half_model(prepared)
    types = typed(half)
    convolutions = [node for node in half.graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 20
    assert {types[node.output[0]] for node in convolutions} == {TensorProto.FLOAT16}
    for values in ("input", "output"):
        before, after = (getattr(model.graph, values) for model in (prepared, half))
        assert [v.SerializeToString() for v in before] == [v.SerializeToString() for v in after]
    weights = [t for t in half.graph.initializer if t.data_type == TensorProto.FLOAT]
    assert sum(np.prod(t.dims) for t in weights) < 1000  # none is kept twice


HERE = [part for part in PARTS if part != "tasks"]  # of the cascade alone


@pytest.mark.parametrize("parts", [(), *((part,) for part in HERE), tuple(PARTS)], ids=str)
def test_every_part_can_be_half_by_itself(prepared, parts):
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    got = run(emulate_half(half_model(prepared, parts)), {"frame": frame})
    want = run(prepared, {"frame": frame})
    assert {name: array.dtype for name, array in got.items()} == {
        name: array.dtype for name, array in want.items()
    }
    halves = [n for n, kind in typed(half_model(prepared, parts)).items() if kind == HALF]
    assert bool(halves) == bool(parts)
    if not parts:
        for name, array in want.items():
            np.testing.assert_array_equal(got[name], array)


def test_a_weight_beyond_half_precision_is_refused(prepared):
    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    name = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    weight = next(t for t in model.graph.initializer if t.name == name)
    values = numpy_helper.to_array(weight).copy()
    values.ravel()[0] = 7e4
    weight.CopyFrom(numpy_helper.from_array(values, name))
    with pytest.raises(EngineError, match="expected at most 65504 for half precision, got 70000"):
        half_model(model)
