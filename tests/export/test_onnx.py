import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from perception.backends import CPU_BACKENDS, open_backend
from perception.core.errors import EngineError
from perception.core.manifest import EVALUATION_OUTPUTS, GRAPH_OUTPUTS, load_engine
from perception.export import variants
from perception.export.onnx import OPSET, ExportOptions, export_checkpoint
from perception.export.variants import evaluation_variant, unmasked_variant
from perception.models.graph import InferenceGraph
from perception.models.weights import load_network

SIZES = [(96, 64), (32, 32), (160, 96)]


def test_the_engine_keeps_the_contract(engine):
    specs = {name: (spec.dtype, spec.shape) for name, spec in engine.manifest.outputs.items()}
    assert {name: (s.dtype, s.shape) for name, s in engine.manifest.inputs.items()} == {
        "frame": ("uint8", (-1, -1, -1, 3))
    }
    assert specs == {
        "boxes_xyxy": ("float32", (-1, 100, 4)),
        "scores": ("float32", (-1, 100)),
        "class_ids": ("int32", (-1, 100)),
        "class_map": ("uint8", (-1, -1, -1)),
    }
    model = onnx.load(engine.onnx_path)
    assert model.opset_import[0].version == OPSET
    assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim][:3] == [
        "batch",
        "height",
        "width",
    ]


def test_the_graph_has_no_operator_that_tensorrt_cannot_build(engine):
    operators = {node.op_type for node in onnx.load(engine.onnx_path).graph.node}
    assert not operators & {
        "NonMaxSuppression",
        "NonZero",
        "Loop",
        "If",
        "Scan",
        "RoiAlign",
        "ScatterElements",
    }


def test_the_graph_tells_nothing_of_the_machine_that_made_it(engine):
    text = engine.onnx_path.read_bytes()
    assert b"perception/models" not in text
    assert b"site-packages" not in text


def test_no_weight_is_denormal(engine):
    for tensor in onnx.load(engine.onnx_path).graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tiny = np.finfo(np.float32).tiny
            assert not ((values != 0) & (np.abs(values) < tiny)).any(), tensor.name


@pytest.mark.parametrize("size_wh", SIZES, ids=str)
@pytest.mark.parametrize("name", list(CPU_BACKENDS))
def test_each_backend_gives_what_torch_gives_at_any_size(engine, name, size_wh):
    graph = InferenceGraph(*load_network(engine))
    width, height = size_wh
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    with torch.no_grad():
        want = graph(torch.from_numpy(frame))
    with open_backend(name, engine, size_wh, threads=1) as backend:
        got = backend.infer({"frame": frame})
    assert set(got) == set(GRAPH_OUTPUTS)
    np.testing.assert_allclose(got["scores"], want["scores"].numpy(), atol=1e-4)
    assert (got["class_map"] == want["class_map"].numpy()).mean() > 0.99
    assert got["class_map"].dtype == np.uint8


def test_the_weights_file_is_the_network_of_the_graph(engine):
    stored = load_network(engine)[0].state_dict()
    model = onnx.load(engine.onnx_path)
    graph_values = np.sort(
        np.concatenate(
            [
                numpy_helper.to_array(t).ravel()
                for t in model.graph.initializer
                if t.name.endswith("classify.bias")
            ]
        )
    )
    mine = np.sort(stored["heads.segmentation.classify.bias"].numpy())
    np.testing.assert_array_equal(graph_values, mine)


def test_a_variant_is_made_anew_where_the_code_of_the_networks_has_changed(
    engine, tmp_path, monkeypatch
):
    code = tmp_path / "code"
    code.mkdir()
    monkeypatch.setattr(variants, "MODELS_DIR", code)
    first = unmasked_variant(engine, tmp_path)
    assert unmasked_variant(engine, tmp_path).folder == first.folder
    (code / "mask.py").write_text("faster")
    assert unmasked_variant(engine, tmp_path).folder != first.folder


def test_an_evaluation_variant_adds_what_evaluation_needs(engine, tmp_path):
    variant = evaluation_variant(engine, tmp_path)
    assert set(variant.manifest.outputs) == {*GRAPH_OUTPUTS, *EVALUATION_OUTPUTS}
    assert evaluation_variant(engine, tmp_path).manifest.onnx_sha256 == variant.manifest.onnx_sha256


def test_the_unmasked_variant_differs_from_the_masked_by_the_mask_alone(engine, tmp_path):
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    masked, plain = evaluation_variant(engine, tmp_path), unmasked_variant(engine, tmp_path)
    with open_backend("onnxruntime", masked, (96, 64)) as backend:
        want = {name: np.array(value) for name, value in backend.infer({"frame": frame}).items()}
    with open_backend("onnxruntime", plain, (96, 64)) as backend:
        got = backend.infer({"frame": frame})
    np.testing.assert_array_equal(got["class_map"], want["class_map_unmasked"])
    np.testing.assert_array_equal(got["boxes_xyxy"], want["boxes_xyxy"])


def test_an_engine_whose_weights_are_cut_off_is_refused(checkpoint, tmp_path):
    export_checkpoint(checkpoint, tmp_path / "cut", ExportOptions())
    path = tmp_path / "cut" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EngineError, match="not the weights of engine 'cut'"):
        load_network(load_engine(tmp_path / "cut"))
