"""Real plans, made by TensorRT-RTX, which needs no GPU for it. That they run, and how fast, only a GPU can show."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from perception.backends.plan import load_plan, manifest_path
from perception.core.errors import ConfigError, EngineError, OutputError
from perception.core.geometry import Letterbox, choose_model_size
from perception.core.manifest import load_engine
from perception.export import parity
from perception.export.int8.engine import measure_engine, write_int8
from perception.export.onnx import ExportOptions, export_network
from perception.export.parity import Tolerance
from perception.export.tensorrt import fit
from perception.export.tensorrt.build import build_plan, write_layers
from perception.export.tensorrt.options import BuildOptions
from perception.export.tensorrt.typed import typed_graph
from perception.models.backbones import BACKBONES
from perception.models.masks import MASKS
from perception.models.multitask import MultiTaskModel
from perception.training.config import load_train_config

SMALL = {"product": "tensorrt_rtx", "size_wh": (160, 96), "capabilities": ("8.6",)}


def options(**changes):
    return BuildOptions(**{**SMALL, "check_frames": 0, **changes})


def test_the_plan_keeps_the_contract_of_the_graph(engine, tmp_path):
    built = build_plan(engine, tmp_path, options())
    manifest = built.plan.manifest
    assert built.plan.path == tmp_path / "fp16-160x96-rtx.engine"
    assert {
        name: (s.dtype, s.shape) for name, s in (manifest.inputs | manifest.outputs).items()
    } == {
        "frame": ("uint8", (1, 96, 160, 3)),
        "boxes_xyxy": ("float32", (1, 100, 4)),
        "scores": ("float32", (1, 100)),
        "class_ids": ("int32", (1, 100)),
        "class_map": ("uint8", (1, 96, 160)),
    }
    assert manifest.layers["flop_share"]["fp16"] > 0.95
    assert set(manifest.islands) == {"frame", "boxes", "mask"}
    assert load_plan(built.plan.path, engine) == built.plan
    on_the_host = {"PLUGIN", "PLUGIN_V2", "PLUGIN_V3", "NMS", "NON_ZERO", "LOOP", "CONDITION"}
    assert not on_the_host & {layer.kind for layer in built.layers}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fp16-160x96-rtx.engine",
        "fp16-160x96-rtx.engine.json",
    ]


def test_the_arithmetic_of_the_layers_is_that_of_the_weights(engine, tmp_path):
    """Twice the products of every convolution, counted from the ONNX by its own shape inference."""
    built = build_plan(engine, tmp_path, options(precision="fp32"))
    model = onnx.load(engine.onnx_path)
    for dim, length in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (1, 96, 160, 3), strict=True
    ):
        dim.dim_value = length
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.value_info
    }
    weights = {t.name: t.dims for t in model.graph.initializer}
    expected = sum(
        2 * int(np.prod(shapes[node.output[0]])) * int(np.prod(weights[node.input[1]][1:]))
        for node in model.graph.node
        if node.op_type == "Conv"
    )
    got = sum(layer.flop for layer in built.layers if layer.kind == "CONVOLUTION")
    assert got == expected > 0


def test_int8_layers_come_from_the_ranges_of_the_cpu(engine, tmp_path):
    copy = load_engine(shutil.copytree(engine.folder, tmp_path / "copy"))
    frames = [
        (str(i), np.random.default_rng(i).integers(0, 256, (90, 150, 3), np.uint8))
        for i in range(2)
    ]
    ranges = measure_engine(copy, frames, method="minmax", data=("none:train",))
    quantised = write_int8(copy, ranges)
    built = build_plan(quantised, tmp_path, options(precision="int8"))
    share = built.plan.manifest.layers["flop_share"]
    assert share["int8"] > 0.8
    assert share["int8"] + share["fp16"] > 0.95
    assert any("predict" in name for name in built.plan.manifest.islands)


def test_the_typed_graph_is_saved_for_other_builders(engine, tmp_path):
    saved, layers = tmp_path / "typed.onnx", tmp_path / "layers.txt"
    built = build_plan(engine, tmp_path, options(save_onnx=saved))
    assert hashlib.sha256(saved.read_bytes()).hexdigest() == built.plan.manifest.typed_sha256
    told = {entry.key: entry.value for entry in onnx.load(saved).metadata_props}
    assert told["onnx_sha256"] == engine.manifest.onnx_sha256
    assert told["fp32_islands"] == "frame, boxes, mask"
    write_layers(layers, built.layers)
    assert len(layers.read_text().splitlines()) == built.plan.manifest.layers["layers"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_bytes_come_from_floats_as_tensorrt_asks(engine, precision):
    graph = onnx.shape_inference.infer_shapes(typed_graph(engine, precision).model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in graph.value_info}
    to_bytes = [
        n for n in graph.node if n.op_type == "Cast" and n.attribute[0].i == TensorProto.UINT8
    ]
    assert [node.output[0] for node in to_bytes] == ["class_map"]
    assert types[to_bytes[0].input[0]] in {TensorProto.FLOAT, TensorProto.FLOAT16}


def test_free_axes_get_a_profile(engine, tmp_path):
    built = build_plan(engine, tmp_path, options(max_size_wh=(192, 128), max_batch=2))
    manifest = built.plan.manifest
    assert built.plan.path.name == "fp16-160x96..192x128-b1..2-rtx.engine"
    assert manifest.inputs["frame"].shape == (-1, -1, -1, 3)
    assert manifest.profile == {"frame": ((1, 96, 160, 3), (2, 128, 192, 3), (2, 128, 192, 3))}


WHOLE = {"frame_wh": (333, 181), "check_frames": 1}
LENIENT = Tolerance(0.0, 0.0, 0.0, matched=0.0, box_px=None, score=1.0)


def test_whole_frames_are_fitted_in_the_plan(engine, tmp_path, monkeypatch):
    monkeypatch.setitem(parity.TOLERANCES, "fp16", LENIENT)
    built = build_plan(engine, tmp_path, options(**WHOLE))
    manifest = built.plan.manifest
    assert built.plan.path.name == "fp16-333x181-fit160x96-rtx.engine"
    assert manifest.inputs["frame"].shape == (1, 181, 333, 3)
    assert manifest.outputs["class_map"].shape == (1, 96, 160)
    assert manifest.fit == Letterbox((333, 181), (160, 87), (160, 96))
    assert set(manifest.islands) == {"fit", "frame", "boxes", "mask"}
    assert manifest.parity["fit_within_1"] > 0.999
    assert 0.7 < manifest.parity["fit_equal"] < 1
    assert manifest.parity["equal_pixels"] > 0.9
    assert load_plan(built.plan.path, engine) == built.plan


def test_a_fit_that_is_not_the_host_s_is_not_built(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "INTERPOLATED", 2.0)
    with pytest.raises(
        EngineError, match=r"fit of 333x181: 0\.\d+ of the values .*without --frame"
    ):
        build_plan(engine, tmp_path, options(**WHOLE))
    assert not list(tmp_path.iterdir())


def test_the_size_of_the_network_is_that_which_the_loop_chooses_for_the_frames():
    chosen = BuildOptions(frame_wh=(1920, 1080))
    assert chosen.fit(480_000).model_wh == choose_model_size((1920, 1080), 480_000)
    assert chosen.shapes(480_000) == ((1, 1080, 1920, 3),) * 2
    assert BuildOptions().fit(480_000) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"precision": "bf16"}, "--precision 'bf16': expected one of", id="precision"),
        pytest.param({"capabilities": ("8.7",)}, "--compute-capability 8.7: tensorrt_rtx .* knows", id="Orin"),
        pytest.param({"level": 3}, "--level: tensorrt_rtx .* compiles alike", id="level"),
        pytest.param({"hardware_compatibility": "ampere_plus"}, "names its GPUs", id="compatibility"),
        pytest.param({"product": "tensorrt9"}, "unknown product 'tensorrt9'", id="product"),
    ],
)  # fmt: skip
def test_what_the_product_lacks_is_an_error(engine, tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        build_plan(engine, tmp_path, options(**changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"size_wh": (100, 96)}, "expected multiples of 32", id="size"),
        pytest.param({"batch": 0}, "expected at least 1", id="batch"),
        pytest.param({"level": 9}, "expected 0 to 5", id="level"),
        pytest.param({"size_wh": None, "max_size_wh": (64, 64)}, "--max-size needs --size", id="max"),
        pytest.param({"check_frames": -1}, "--check -1", id="check"),
        pytest.param({"frame_wh": (333, 181), "max_size_wh": (192, 128)}, "leave out --max-size", id="whole frames of many sizes"),
        pytest.param({"frame_wh": (333, 181), "batch": 2}, "leave out .*--batch", id="whole frames in a batch"),
        pytest.param({"frame_wh": (333, 181), "max_batch": 2}, "leave out .*--max-batch", id="whole frames in free batches"),
    ],
)  # fmt: skip
def test_contradictory_options_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        options(**changes)


def test_a_network_that_does_not_build_is_refused_with_the_reason_of_the_compiler(engine, tmp_path):
    with pytest.raises(EngineError, match=r"cannot build this network: .*[Mm]emory"):
        build_plan(engine, tmp_path, options(workspace_mib=0))
    assert not list(tmp_path.iterdir())


def test_a_typed_graph_that_is_off_is_not_built(engine, tmp_path, monkeypatch):
    strict = Tolerance(1.1, 0.0, 0.0, matched=0.0, box_px=None, score=1.0)
    monkeypatch.setitem(parity.TOLERANCES, "fp16", strict)
    with pytest.raises(
        EngineError,
        match=r"in fp16 differs from float32: equal pixels .* at least 1.1; .*--sensitivity 8",
    ):
        build_plan(engine, tmp_path, options(check_frames=1))
    assert not list(tmp_path.iterdir())


def test_the_figures_of_the_check_stand_in_the_manifest(engine, tmp_path, monkeypatch):
    monkeypatch.setitem(parity.TOLERANCES, "fp16", LENIENT)
    kept = build_plan(engine, tmp_path, options(check_frames=2)).plan.manifest.parity
    assert kept["frames"] == 2
    assert 0 < kept["equal_pixels"] <= 1
    assert kept["judged"] is True


@pytest.mark.parametrize("survives", ["nothing", "plan"])
def test_a_killed_build_leaves_no_plan_that_would_be_loaded(engine, tmp_path, survives):
    """Killed while it writes: before the plan has its name, or after that and before its manifest has."""
    script = f"""
import os, signal
from pathlib import Path
from perception.core.manifest import load_engine
from perception.export.tensorrt.build import build_plan, write_layers
from perception.export.tensorrt.options import BuildOptions
from perception.export.tensorrt.typed import typed_graph
replace = Path.replace
def dying(self, target):
    if {survives!r} == "plan" and not str(target).endswith(".json"):
        return replace(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = dying
build_plan(load_engine({str(engine.folder)!r}), Path({str(tmp_path)!r}), BuildOptions(
    product="tensorrt_rtx", size_wh=(160, 96), capabilities=("8.6",), check_frames=0))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, timeout=50
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    plan = tmp_path / "fp16-160x96-rtx.engine"
    assert plan.exists() == (survives == "plan")
    with pytest.raises(EngineError, match="no such file; build it with: perception build"):
        load_plan(plan)
    assert load_plan(build_plan(engine, tmp_path, options()).plan.path)
    assert len(list(tmp_path.iterdir())) == 2  # what the killed build left is gone too


def test_an_old_manifest_refuses_a_new_plan(engine, tmp_path):
    plan = build_plan(engine, tmp_path, options()).plan.path
    manifest = manifest_path(plan).read_text()
    table = json.loads(manifest)
    manifest_path(plan).write_text(json.dumps({**table, "plan_sha256": "0" * 64}))
    with pytest.raises(EngineError, match="it is damaged or another plan"):
        load_plan(plan)


def test_a_folder_that_cannot_be_written_is_one_clear_error(engine, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        build_plan(engine, blocked / "plans", options())


NETWORKS = [
    *({"backbone": name} for name in BACKBONES),
    *({"task": task} for task in ("detection", "segmentation", "parallel")),
    *({"mask": name} for name in MASKS if name != "none"),  # the others have none
]


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: "-".join(n.values()))
def test_every_backbone_head_and_mask_builds(network, tmp_path):
    torch.manual_seed(0)
    config = load_train_config(
        "road",
        [
            f'model.backbone="{network.get("backbone", "lean_resnet")}"',
            f'model.task="{network.get("task", "cascade")}"',
            f'graph.mask="{network.get("mask", "none")}"',
        ],
    )
    model = MultiTaskModel(config.model)
    engine = export_network(model, config, tmp_path / "engine", ExportOptions(), trained_on=())
    built = build_plan(engine, tmp_path, options())
    assert built.plan.manifest.layers["flop_share"]["fp16"] > 0.95
    assert built.plan.manifest.plan_bytes < 3 * engine.onnx_path.stat().st_size + 5_000_000
