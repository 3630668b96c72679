"""The roofline: the format read without its package, operations counted by hand, parts told by their weights."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from perception.core.errors import ConfigError, EngineError, OutputError
from perception.runtime.bench.roofline import measure
from perception.runtime.bench.roofline.measure import bench_roofline, place, profile
from perception.runtime.bench.roofline.parts import BOXES, MAP, follow, operations, parts_of
from perception.runtime.bench.roofline.peaks import Peaks, measure_peaks
from perception.runtime.bench.roofline.report import leave_roofline, roofline_table
from perception.runtime.bench.roofline.wire import Node, one_node_model, read_nodes


def weight(name, shape):
    values = np.full(shape, 0.1, np.float32)
    return numpy_helper.from_array(values, name)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], name=f"node_{output}", **attributes)


def cascade():
    """Backbone, neck, two heads of which the second takes the first one's result, and what decodes them."""
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Cast", ["frame"], "cast", to=1),
        node("Transpose", ["cast"], "image", perm=[0, 3, 1, 2]),
        node("Conv", ["image", "model.backbone.stem.weight"], "deep", **same),
        node("Relu", ["deep"], "features"),
        node("Conv", ["features", "model.neck.lateral.weight"], "pyramid"),
        node("Conv", ["pyramid", "model.heads.detection.predict.weight"], "found"),
        node("Concat", ["pyramid", "found"], "joined", axis=1),
        node("Conv", ["joined", "model.heads.segmentation.classify.weight"], "logits"),
        node("Sigmoid", ["found"], "scores"),
        node("ReduceMax", ["scores"], "highest", keepdims=1),
        node("Mul", ["logits", "highest"], "masked"),
        node("ArgMax", ["masked"], "class_map", axis=1),
    ]
    weights = [
        weight("model.backbone.stem.weight", (16, 3, 3, 3)),
        weight("model.neck.lateral.weight", (16, 16, 1, 1)),
        weight("model.heads.detection.predict.weight", (8, 16, 1, 1)),
        weight("model.heads.segmentation.classify.weight", (4, 24, 1, 1)),
    ]
    graph = helper.make_graph(
        nodes,
        "cascade",
        [
            helper.make_tensor_value_info(
                "frame", TensorProto.UINT8, ["batch", "height", "width", 3]
            )
        ],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("class_map", TensorProto.INT64, None),
        ],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Folder:
    """An engine as far as a profile needs one."""

    def __init__(self, path):
        self.path = path

    def graph_path(self, _precision):
        return self.path


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(cascade(), path)
    return path


def test_nodes_are_read_as_the_package_reads_them(graph):
    expected = [
        (n.op_type, n.name, tuple(n.input), tuple(n.output)) for n in onnx.load(graph).graph.node
    ]
    assert [(n.op, n.name, n.inputs, n.outputs) for n in read_nodes(graph)] == expected


@pytest.mark.parametrize("damage", [b"", b"no graph at all", b"\x3a\xff\x7f"], ids=repr)
def test_a_file_that_is_no_graph_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "model.onnx"
    path.write_bytes(damage)
    with pytest.raises(EngineError, match="expected an ONNX graph") as caught:
        read_nodes(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("op", "expected"), [("MatMul", 2.0 * 200), ("Add", 3.0)])
def test_a_model_of_one_node_is_valid_and_computes(op, expected):
    model = one_node_model(op)
    assert [n.op_type for n in onnx.load_from_string(model).graph.node] == [op]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ones = np.ones((200, 200), np.float32)
    assert session.run(None, {"a": ones, "b": 2 * ones})[0][0, 0] == expected


def test_a_node_belongs_to_the_module_of_its_weights_or_to_decoding(graph):
    parts = parts_of(read_nodes(graph))
    values = ("cast", "features", "pyramid", "found", "joined", "logits", "scores", "class_map")
    assert [parts[value] for value in values] == [
        "backbone",  # what comes before the first weights
        "backbone",
        "neck",
        "detection head",
        "detection head",
        "segmentation head",
        BOXES,
        MAP,
    ]
    assert parts["highest"] == MAP  # of the scores, but only the mask takes it


def test_a_fused_node_is_found_by_what_it_kept_and_a_new_one_by_its_input():
    known = {"relu": "backbone", "node_a": "neck"}
    fused = [
        Node("Conv", "relu_nchwc", ("x",), ("token_1",)),
        Node("ReorderOutput", "Reorder", ("token_1",), ("y",)),
        Node("FusedMatMul", "node_a/Fusion", ("z",), ("b",)),
        Node("Mul", "new", ("unknown",), ("c",)),
    ]
    assert list(follow(fused, known).values()) == ["backbone", "backbone", "neck", "other"]


@pytest.mark.parametrize(
    ("op", "inputs", "outputs", "expected"),
    [
        pytest.param(
            "Conv", [[1, 8, 10, 10], [16, 8, 3, 3], [16]], [[1, 16, 5, 5]], 2 * 16 * 25 * 72, id="convolution"
        ),
        pytest.param(
            "Conv", [[1, 8, 10, 10], [8, 1, 3, 3]], [[1, 8, 10, 10]], 2 * 800 * 9, id="depthwise"
        ),
        pytest.param("MatMul", [[2, 4, 7], [2, 7, 5]], [[2, 4, 5]], 2 * 2 * 4 * 5 * 7, id="product"),
        pytest.param(
            "FusedMatMul", [[2, 7, 4], [2, 7, 5]], [[2, 4, 5]], 2 * 2 * 4 * 5 * 7, id="transposed"
        ),
        pytest.param("ArgMax", [[1, 11, 30]], [[1, 30]], 330, id="reduction"),
        pytest.param("Add", [[1, 30], [1]], [[1, 30]], 30, id="element-wise"),
        pytest.param("Concat", [[1, 30], [1, 30]], [[1, 60]], 0, id="a move"),
    ],
)  # fmt: skip
def test_operations_are_those_of_the_formula(op, inputs, outputs, expected):
    assert operations(op, inputs, outputs) == expected


def test_a_profile_counts_work_and_traffic_of_every_part(graph):
    costs = profile(Folder(graph), np.zeros((1, 32, 64, 3), np.uint8), threads=1, frames=2)
    flops = {
        part: sum(c.flops for c in costs if c.part == part) for part in {c.part for c in costs}
    }
    pixels = 32 * 64
    convolution = 2 * 16 * pixels * 27
    assert flops["backbone"] in {convolution, convolution + 16 * pixels}  # Relu fused or not
    assert flops["neck"] == 2 * 16 * pixels * 16
    # 8 channels, or padded to a block of 16 where the processor has AVX-512
    assert flops["detection head"] in {2 * 8 * pixels * 16, 2 * 16 * pixels * 16}
    assert flops[BOXES] in {8 * pixels, 16 * pixels}
    assert {"segmentation head", MAP} < set(flops)
    neck = [c for c in costs if c.part == "neck" and c.flops]
    assert [c.moved_bytes for c in neck] == [4 * (2 * 16 * pixels + 16 * 16)]
    assert all(c.seconds >= 0 for c in costs)


def test_a_part_lies_under_the_slope_or_under_the_flat_roof():
    peaks = Peaks(flops_per_s=100e9, bytes_per_s=10e9)
    assert peaks.ridge == 10
    slope = place(measure.Cost("a", int(2e9), int(1e9), 0.2), peaks, 1.0)
    assert (slope["bound"], slope["roof_gflops_per_s"]) == ("memory", 20.0)
    assert slope["share_of_roof"] == pytest.approx(slope["gflops_per_s"] / 20.0) == 0.5
    flat = place(measure.Cost("b", int(20e9), int(1e9), 0.4), peaks, 1.0)
    assert (flat["bound"], flat["roof_gflops_per_s"], flat["share_of_roof"]) == (
        "arithmetic",
        100.0,
        0.5,
    )
    moves = place(measure.Cost("c", 0, int(1e9), 0.4), peaks, 1.0)
    assert moves["share_of_roof"] == pytest.approx(0.25)


def test_peaks_are_measured():
    peaks = measure_peaks(1, side=64, stream_mib=1, seconds=0.0)
    assert peaks.flops_per_s > 1e6
    assert peaks.bytes_per_s > 1e6


@pytest.fixture
def report(monkeypatch, tiny_engine):
    monkeypatch.setattr(measure, "measure_peaks", lambda _: Peaks(100e9, 10e9))
    return bench_roofline(tiny_engine, size="64x32", threads=1, frames=2)


def test_a_report_adds_up_and_leaves_table_and_picture(report, tmp_path):
    report = json.loads(json.dumps(report))
    assert sum(stage["share_of_time"] for stage in report["stages"]) == pytest.approx(1)
    assert report["nodes_ms"] == pytest.approx(sum(stage["ms"] for stage in report["stages"]))
    assert report["peaks"]["ridge_flops_per_byte"] == 10
    assert roofline_table(report).row_count == len(report["stages"]) + 1
    leave_roofline(tmp_path / "out", report)
    assert json.loads((tmp_path / "out" / "roofline.json").read_text()) == report
    assert (tmp_path / "out" / "roofline.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        leave_roofline(tmp_path / "file", report)


@pytest.mark.parametrize(
    "wrong", [{"backend": "openvino"}, {"precision": "int8"}, {"frames": 0}], ids=str
)
def test_what_cannot_be_told_apart_is_refused_in_one_line(tiny_engine, wrong):
    with pytest.raises(ConfigError, match="bench roofline: expected") as caught:
        bench_roofline(tiny_engine, size="64x32", **wrong)
    assert "\n" not in str(caught.value)
