"""The Q/DQ graph of a network of four layers: what is quantised, what is not, and how close it stays."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from perception.core.errors import ConfigError, EngineError, InputError
from perception.export.int8.calibrate import METHODS, measure_ranges
from perception.export.int8.graph import (
    TENSORRT,
    chosen_nodes,
    insert_qdq,
    measured_tensors,
    single_nodes,
)
from perception.export.network import check_patterns, prepare

RNG = np.random.default_rng(0)


def weights(name, *shape):
    return numpy_helper.from_array(RNG.normal(0, 0.3, shape).astype(np.float32), name)


def make_network():
    """uint8 frame -> stem, a residual sum, a convolution with batch norm, a classifier -> its scores."""
    norm = [weights(n, 8) for n in ("scale", "shift", "mean")]
    variance = numpy_helper.from_array(np.linspace(0.5, 2, 8, dtype=np.float32), "variance")
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        make_node("Cast", ["frame"], ["cast"], to=TensorProto.FLOAT),
        make_node("Transpose", ["cast"], ["image"], perm=[0, 3, 1, 2]),
        make_node("Div", ["image", "full"], ["div"]),
        make_node("Conv", ["div", "model.stem.weight", "stem_bias"], ["a"], **same),
        make_node("Relu", ["a"], ["b"]),
        make_node("Conv", ["b", "model.block.weight"], ["c"], **same),
        make_node("Add", ["c", "b"], ["d"]),
        make_node("Relu", ["d"], ["e"]),
        make_node("Conv", ["e", "model.tower.weight"], ["f"], **same),
        make_node("BatchNormalization", ["f", "scale", "shift", "mean", "variance"], ["g"]),
        make_node("Relu", ["g"], ["h"]),
        make_node("Conv", ["h", "model.classify.weight"], ["scores"], kernel_shape=[1, 1]),
    ]
    graph = make_graph(
        nodes,
        "network",
        [make_tensor_value_info("frame", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 4, "h", "w"])],
        [
            numpy_helper.from_array(np.float32(100), "full"),
            weights("model.stem.weight", 8, 3, 3, 3),
            weights("stem_bias", 8),
            weights("model.block.weight", 8, 8, 3, 3),
            weights("model.tower.weight", 8, 8, 3, 3),
            weights("model.classify.weight", 4, 8, 1, 1),
            *norm,
            variance,
        ],
    )
    model = make_model(graph, opset_imports=[make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def make_frames(count=3, size_wh=(32, 24)):
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (1, size_wh[1], size_wh[0], 3), np.uint8) for _ in range(count)]


def run(model, frame, names=("scores",)):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(list(names), {"frame": frame})


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def prepared(network):
    return prepare(network)


@pytest.fixture(scope="module")
def ranges(prepared):
    return measure_ranges(prepared, make_frames(), "minmax")


def quantise(prepared, ranges, float_names=(), **options):
    return insert_qdq(prepared, ranges, chosen_nodes(prepared, float_names), **options)


def weight_types(model):
    """Name of a convolution -> type of the tensor that its weights come from."""
    makers = {node.output[0]: node for node in model.graph.node}
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    types = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            source = makers.get(node.input[1])
            types[node.name] = stored[source.input[0] if source else node.input[1]]
    return types


def test_a_prepared_graph_computes_the_same_without_batch_norm(network, prepared):
    assert "BatchNormalization" not in {node.op_type for node in prepared.graph.node}
    for frame in make_frames():
        want, got = run(network, frame)[0], run(prepared, frame)[0]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_tensors_are_named_after_the_convolutions_that_they_come_from(prepared):
    assert measured_tensors(prepared) == [
        "input", "stem.relu", "block", "block.sum.relu", "tower.relu", "scores",
    ]  # fmt: skip


def test_a_tensor_behind_a_folded_batch_norm_that_is_an_output_keeps_its_name(network):
    model = onnx.ModelProto()
    model.CopyFrom(network)
    model.graph.output.append(make_tensor_value_info("g", TensorProto.FLOAT, None))
    prepared = prepare(model)
    frame = make_frames(1)[0]
    np.testing.assert_allclose(
        run(prepared, frame, ["g"])[0], run(model, frame, ["g"])[0], rtol=1e-4, atol=1e-4
    )


def test_minmax_ranges_are_the_smallest_and_largest_values(prepared, ranges):
    session_outputs = ["input", "stem.relu", "tower.relu"]
    shown = onnx.ModelProto()
    shown.CopyFrom(prepared)
    shown.graph.output.extend(onnx.helper.make_empty_tensor_value_info(n) for n in session_outputs)
    values = [run(shown, frame, session_outputs) for frame in make_frames()]
    for index, name in enumerate(session_outputs):
        found = np.concatenate([v[index].ravel() for v in values])
        np.testing.assert_allclose(ranges[name], (found.min(), found.max()), rtol=1e-5)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_gives_a_range_within_the_smallest_and_largest_values(
    prepared, ranges, method
):
    found = measure_ranges(prepared, make_frames(), method)
    assert set(found) == set(ranges)
    for name, (low, high) in found.items():
        slack = 1e-4 * (ranges[name][1] - ranges[name][0])
        assert ranges[name][0] - slack <= low < high <= ranges[name][1] + slack, name


def test_frames_of_several_sizes_are_measured_together(prepared, ranges):
    found = measure_ranges(prepared, [*make_frames(), *make_frames(1, (64, 32))], "percentile")
    assert set(found) == set(ranges)


def test_measuring_nothing_is_an_error(prepared):
    with pytest.raises(InputError, match="no frame was given"):
        measure_ranges(prepared, [], "minmax")


def test_an_unknown_method_is_a_usage_error(prepared):
    with pytest.raises(ConfigError, match="got 'maxmin'"):
        measure_ranges(prepared, make_frames(1), "maxmin")


def test_the_quantised_graph_is_close_to_float_but_not_equal(network, prepared, ranges):
    quantised = quantise(prepared, ranges)
    assert set(weight_types(quantised).values()) == {TensorProto.INT8}
    for frame in make_frames():
        want, got = run(network, frame)[0], run(quantised, frame)[0]
        off = np.abs(got - want).max() / np.abs(want).max()
        assert 0 < off < 0.03


def test_wrong_ranges_show_in_the_result(network, prepared, ranges):
    halved = {name: (low / 2, high / 2) for name, (low, high) in ranges.items()}
    frame = make_frames(1)[0]
    want, got = run(network, frame)[0], run(quantise(prepared, halved), frame)[0]
    assert np.abs(got - want).max() / np.abs(want).max() > 0.1


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        pytest.param(["stem"], {"stem"}, id="name"),
        pytest.param(["*o*"], {"block", "tower"}, id="pattern"),
        pytest.param(["stem", "classify"], {"stem", "classify"}, id="two"),
        pytest.param(["*"], {"stem", "block", "tower", "classify"}, id="all"),
    ],
)  # fmt: skip
def test_what_a_pattern_keeps_in_float_has_float_weights(prepared, ranges, patterns, kept):
    quantised = quantise(prepared, ranges, patterns)
    floats = {n for n, kind in weight_types(quantised).items() if kind == TensorProto.FLOAT}
    assert floats == kept


def test_a_graph_kept_in_float_as_a_whole_has_no_pair(prepared, ranges):
    quantised = quantise(prepared, ranges, ["*"])
    assert "QuantizeLinear" not in {node.op_type for node in quantised.graph.node}


def test_one_convolution_can_be_quantised_alone(prepared, ranges):
    quantised = insert_qdq(prepared, ranges, single_nodes(prepared, ["block"]))
    assert [n for n, t in weight_types(quantised).items() if t == TensorProto.INT8] == ["block"]


def test_for_tensorrt_all_is_symmetric_and_biases_are_float(network, prepared, ranges):
    quantised = quantise(prepared, ranges, scheme=TENSORRT)
    types = {tensor.name: tensor.data_type for tensor in quantised.graph.initializer}
    zeros = [t for t in quantised.graph.initializer if t.name.endswith("zero_point")]
    assert zeros
    assert all(not numpy_helper.to_array(t).any() for t in zeros)
    assert set(types.values()) <= {TensorProto.INT8, TensorProto.FLOAT}
    frame = make_frames(1)[0]
    want, got = run(network, frame)[0], run(quantised, frame)[0]
    assert np.abs(got - want).max() / np.abs(want).max() < 0.04


def test_the_same_ranges_give_the_same_bytes_in_any_process(prepared, ranges, tmp_path):
    mine = quantise(prepared, ranges).SerializeToString(deterministic=True)
    (tmp_path / "prepared.onnx").write_bytes(prepared.SerializeToString())
    code = (
        "import sys, onnx\n"
        "from perception.export.int8.graph import chosen_nodes, insert_qdq\n"
        f"prepared, ranges = onnx.load('prepared.onnx'), {ranges!r}\n"
        "made = insert_qdq(prepared, ranges, chosen_nodes(prepared, ()))\n"
        "sys.stdout.buffer.write(made.SerializeToString(deterministic=True))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, check=True, capture_output=True, cwd=tmp_path, env={"PYTHONHASHSEED": "7"}
    )
    assert done.stdout == mine


def test_ranges_of_another_network_are_refused(prepared, ranges):
    fewer = {name: span for name, span in ranges.items() if name != "tower.relu"}
    with pytest.raises(EngineError, match=r"the ranges lack \['tower.relu'\]"):
        quantise(prepared, fewer)


def test_a_pattern_that_fits_nothing_is_a_usage_error(prepared):
    with pytest.raises(ConfigError, match=r"'towr' fits no convolution; known: \['stem', 'block'"):
        check_patterns(prepared, ["stem", "towr"])


def test_a_graph_without_convolutions_is_refused(tiny_engine):
    with pytest.raises(EngineError, match="no convolution"):
        prepare(onnx.load(tiny_engine.onnx_path))
