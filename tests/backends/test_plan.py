"""What is refused before a plan is given to a loader."""

import hashlib
import json
from dataclasses import replace

import pytest

from perception.backends.plan import (
    Plan,
    PlanManifest,
    find_plan,
    load_plan,
    manifest_path,
    plan_manifest_text,
)
from perception.core.errors import EngineError
from perception.core.geometry import Letterbox
from perception.core.manifest import TensorSpec

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def manifest(tiny_engine):
    return PlanManifest(
        engine="tiny",
        onnx_sha256=tiny_engine.manifest.onnx_sha256,
        typed_sha256="0" * 64,
        plan_sha256=hashlib.sha256(CONTENT).hexdigest(),
        plan_bytes=len(CONTENT),
        product="tensorrt_rtx",
        product_version="1.7.1.116",
        compute_capabilities=("8.6",),
        gpu="",
        hardware_compatibility="none",
        version_compatible=False,
        stripped=False,
        precision="fp16",
        islands={"boxes": "coordinates"},
        inputs={"frame": TensorSpec("uint8", (1, 96, 160, 3))},
        outputs={"class_map": TensorSpec("uint8", (1, 96, 160))},
        profile={},
        box_classes=("vehicle",),
        map_classes=("road",),
        channel_order="BGR",
        layers={"count": {"fp16": 3}},
        build_s=1.5,
        created="2026-01-01",
    )


@pytest.fixture
def plan(manifest, tmp_path):
    """A plan's file with its manifest beside it."""
    path = tmp_path / "fp16-160x96-rtx.engine"
    path.write_bytes(CONTENT)
    manifest_path(path).write_text(plan_manifest_text(manifest))
    return path


def test_a_plan_comes_back_as_it_was_written(plan, manifest, tiny_engine):
    assert load_plan(plan, tiny_engine) == Plan(plan, manifest)


def flip_one_byte(path):
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)


def rewrite(**changes):
    def change(path):
        beside = manifest_path(path)
        beside.write_text(json.dumps({**json.loads(beside.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda p: p.unlink(), "no such file; build it", id="no plan"),
        pytest.param(
            lambda p: manifest_path(p).unlink(), "json: no such file; build it", id="no manifest"
        ),
        pytest.param(
            lambda p: p.write_bytes(CONTENT[:-1]),
            "expected 1024 bytes, got 1023: it is truncated",
            id="truncated",
        ),
        pytest.param(flip_one_byte, "it is damaged or another plan", id="one flipped byte"),
        pytest.param(
            lambda p: manifest_path(p).write_text("{"), "not the manifest of a plan", id="no JSON"
        ),
        pytest.param(rewrite(format=9), "format is 9, expected one of", id="another format"),
        pytest.param(
            rewrite(product="tvm"), "product is 'tvm', expected one of", id="another product"
        ),
        pytest.param(rewrite(precision="bf16"), "precision is 'bf16'", id="another precision"),
        pytest.param(rewrite(inputs={}), "lacks the input 'frame'", id="no input"),
        pytest.param(rewrite(plans=1), "unknown key 'plans'", id="unknown key"),
        pytest.param(
            rewrite(onnx_sha256="f" * 64), "built from 'tiny' ffffffffffff", id="another model"
        ),
    ],
)
def test_a_spoilt_plan_is_refused_with_the_way_out(plan, tiny_engine, spoil, words):
    spoil(plan)
    with pytest.raises(EngineError, match=words) as caught:
        load_plan(plan, tiny_engine)
    assert "perception build" in str(caught.value)


@pytest.mark.parametrize(
    ("size_wh", "name"),
    [
        pytest.param((160, 96), "fp16-160x96.engine", id="a fixed one first"),
        pytest.param((192, 96), "fp16-160x96..192x128.engine", id="else one that is free"),
    ],
)
def test_the_plan_for_a_size_is_found(make_engine, manifest, size_wh, name):
    engine = make_engine()
    free = ((1, 96, 160, 3), (1, 128, 192, 3), (1, 128, 192, 3))
    spec = {"frame": TensorSpec("uint8", (1, -1, -1, 3))}
    fixed = replace(manifest, onnx_sha256=engine.manifest.onnx_sha256, profile={})
    for path, found in (
        ("fp16-160x96.engine", fixed),
        ("fp16-160x96..192x128.engine", replace(fixed, inputs=spec, profile={"frame": free})),
    ):
        (engine.folder / path).write_bytes(CONTENT)
        manifest_path(engine.folder / path).write_text(plan_manifest_text(found))
    assert find_plan(engine, size_wh, "fp16").path.name == name
    with pytest.raises(EngineError, match=r"no fp16 plan for 224x96; found .*--size 224x96"):
        find_plan(engine, (224, 96), "fp16")
    with pytest.raises(EngineError, match=r"no int8 plan for 160x96; found \[\]"):
        find_plan(engine, (160, 96), "int8")


@pytest.mark.parametrize(
    ("frame_wh", "name"),
    [
        pytest.param((320, 181), "fp16-320x181-fit160x96.engine", id="whole"),
        pytest.param((320, 180), "fp16-160x96.engine", id="of another size"),
        pytest.param(None, "fp16-160x96.engine", id="fitted"),
    ],
)
def test_the_plan_for_whole_frames_is_taken_for_frames_of_its_size_alone(
    make_engine, manifest, frame_wh, name
):
    engine = make_engine()
    fitted = replace(manifest, onnx_sha256=engine.manifest.onnx_sha256)
    whole = replace(
        fitted,
        inputs={"frame": TensorSpec("uint8", (1, 181, 320, 3))},
        fit=Letterbox((320, 181), (160, 90), (160, 96)),
    )
    for path, found in (
        ("fp16-160x96.engine", fitted),
        ("fp16-320x181-fit160x96.engine", whole),
    ):
        (engine.folder / path).write_bytes(CONTENT)
        manifest_path(engine.folder / path).write_text(plan_manifest_text(found))
    assert find_plan(engine, (160, 96), "fp16", frame_wh).path.name == name
    for size_wh in ((320, 181), (192, 96)):  # of its input, and of another fit
        with pytest.raises(EngineError, match="no fp16 plan"):
            find_plan(engine, size_wh, "fp16", frame_wh)


def test_a_manifest_from_before_whole_frames_is_read(plan, manifest):
    beside = manifest_path(plan)
    table = json.loads(beside.read_text())
    del table["fit"]
    beside.write_text(json.dumps(table))
    assert load_plan(plan).manifest == manifest


def test_a_plan_of_any_engine_is_read_where_none_is_named(plan, manifest):
    rewrite(onnx_sha256="f" * 64)(plan)
    assert load_plan(plan).manifest == replace(manifest, onnx_sha256="f" * 64)
