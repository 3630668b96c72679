"""An engine cut to its boxes: the same boxes bit for bit, from fewer nodes, by NumPy and the standard library alone."""

import shutil

import numpy as np
import onnx
import pytest

from perception.backends import CPU_BACKENDS, open_backend
from perception.core.errors import EngineError, OutputError
from perception.core.manifest import (
    BOX_OUTPUTS,
    DEFAULT_ENGINE,
    ONNX_FILE,
    Engine,
    load_engine,
)
from perception.runtime.budget.cut import boxes_engine, cut_graph
from perception.runtime.protobuf import fields

SIZE_WH = (96, 64)


@pytest.mark.parametrize("name", sorted(CPU_BACKENDS))
@pytest.mark.parametrize("which", ["tiny", DEFAULT_ENGINE])
def test_the_boxes_are_those_of_the_whole_graph_bit_for_bit(name, which, tiny_engine, tmp_path):
    engine = tiny_engine if which == "tiny" else load_engine(which)
    cut = boxes_engine(engine, tmp_path)
    frame = np.random.default_rng(0).integers(0, 256, (1, SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
    with (
        open_backend(name, engine, SIZE_WH, precision="fp32", threads=1) as whole,
        open_backend(name, cut, SIZE_WH, precision="fp32", threads=1) as boxes,
    ):
        expected, found = whole.infer({"frame": frame}), boxes.infer({"frame": frame})
    assert set(found) == set(BOX_OUTPUTS)
    for output, array in found.items():
        np.testing.assert_array_equal(array, expected[output], err_msg=output)


def test_what_only_the_class_map_needs_is_gone_and_the_rest_is_valid(tiny_engine, tmp_path):
    before = onnx.load(tiny_engine.onnx_path)
    after = onnx.load(boxes_engine(tiny_engine, tmp_path).onnx_path)
    onnx.checker.check_model(after, full_check=True)
    assert [node.output[0] for node in after.graph.node] == [
        node.output[0] for node in before.graph.node if node.output[0] not in {"blue", "class_map"}
    ]
    assert [output.name for output in after.graph.output] == list(BOX_OUTPUTS)
    assert {i.name for i in after.graph.initializer} < {i.name for i in before.graph.initializer}


def test_the_shipped_int8_graph_is_cut_too(tmp_path):
    cut = boxes_engine(load_engine(DEFAULT_ENGINE), tmp_path)
    assert cut.manifest.task == "detection"
    graph = onnx.load(cut.graph_path("int8")).graph
    assert [output.name for output in graph.output] == list(BOX_OUTPUTS)


def test_a_cut_engine_is_made_once_and_again_where_it_was_damaged(tiny_engine, tmp_path):
    folder = boxes_engine(tiny_engine, tmp_path).folder
    data = (folder / ONNX_FILE).read_bytes()
    made_ns = (folder / ONNX_FILE).stat().st_mtime_ns
    assert boxes_engine(tiny_engine, tmp_path).folder == folder
    assert (folder / ONNX_FILE).stat().st_mtime_ns == made_ns
    (folder / ONNX_FILE).write_bytes(data[:50])
    assert (boxes_engine(tiny_engine, tmp_path).folder / ONNX_FILE).read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(lambda data: b"\x0f" * 40, id="garbage"),
        pytest.param(lambda data: data.replace(b"scores", b"scared"), id="no-scores"),
    ],
)
def test_a_graph_that_cannot_be_cut_is_refused_in_one_line(tiny_engine, tmp_path, damage):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_engine.folder, broken)
    (broken / ONNX_FILE).write_bytes(damage(tiny_engine.onnx_path.read_bytes()))
    with pytest.raises(EngineError, match="cannot be cut to its boxes") as caught:
        boxes_engine(Engine(broken, tiny_engine.manifest), tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_refused_in_one_line(tiny_engine):
    from pathlib import Path  # noqa: PLC0415

    with pytest.raises(OutputError, match="cannot be written"):
        boxes_engine(tiny_engine, Path("/proc/none"))


def test_a_node_with_a_graph_inside_is_not_cut():
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    g (bool c, float x) => (float y) {
      y = If (c) <then_branch = t () => (float a) { a = Identity(x) }, else_branch = e () => (float b) { b = Neg(x) }>
    }
    """
    model = onnx.parser.parse_model(text)
    with pytest.raises(ValueError, match="a graph of its own"):
        cut_graph(model.SerializeToString(), ["y"])


def test_fields_of_every_wire_type_are_read():
    message = b"\x08\x96\x01" + b"\x12\x02ab" + b"\x19" + bytes(8) + b"\x25" + bytes(4)
    assert [(f.number, f.value, len(f.whole)) for f in fields(message)] == [
        (1, b"", 3), (2, b"ab", 4), (3, b"", 9), (4, b"", 5),
    ]  # fmt: skip
