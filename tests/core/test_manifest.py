"""An engine is accepted only when its manifest can be read and its files are those that it names."""

import json

import pytest

from perception.core import manifest as manifest_module
from perception.core.errors import EngineError
from perception.core.manifest import (
    FORMAT,
    GRAPH_INPUT,
    GRAPH_OUTPUTS,
    INT8_FILE,
    MANIFEST_FILE,
    ONNX_FILE,
    EngineManifest,
    TensorSpec,
    load_engine,
    sha256,
    write_manifest,
)

ONNX = b"not a graph, but 32 bytes of one"


@pytest.fixture
def folder(tmp_path):
    """An engine folder whose files fit."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / ONNX_FILE).write_bytes(ONNX)
    write_manifest(folder, _manifest(onnx_sha256=sha256(folder / ONNX_FILE)))
    return folder


def _manifest(**changes):
    promised = {
        "name": "tiny",
        "inputs": {GRAPH_INPUT: TensorSpec("uint8", (-1, -1, -1, 3))},
        "outputs": {name: TensorSpec("float32", (-1, 100)) for name in GRAPH_OUTPUTS},
        "box_classes": ("vehicle",),
        "map_classes": ("road", "other"),
        "mask_form": "hard",
        "mask_threshold": 0.5,
        "score_threshold": 0.4,
        "max_pixels": 1248 * 384,
        "onnx_sha256": "0" * 64,
        "weights_sha256": "1" * 64,
        "task": "cascade",
        "trained_on": ("camvid (CC BY-NC)",),
        "versions": {"torch": "2"},
        "created": "2026-01-31",
        "config": {"optimiser": {"steps": 3}},
    }
    return EngineManifest(**(promised | changes))


def _change(folder, **changes):
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


def test_a_written_manifest_reads_back_the_same(folder):
    engine = load_engine(folder)
    assert engine.manifest == _manifest(onnx_sha256=sha256(folder / ONNX_FILE))
    assert engine.onnx_path.read_bytes() == ONNX
    assert engine.weights_path.parent == folder


def test_a_manifest_is_text_with_one_key_a_line(folder):
    lines = (folder / MANIFEST_FILE).read_text(encoding="utf-8").splitlines()
    assert '  "task": "cascade",' in lines


def test_an_engine_is_found_by_its_name(folder, monkeypatch):
    monkeypatch.setattr(manifest_module, "ENGINES_DIR", folder.parent)
    assert load_engine("tiny").folder == folder


def test_an_unknown_engine_is_answered_with_the_known_ones(folder, monkeypatch):
    monkeypatch.setattr(manifest_module, "ENGINES_DIR", folder.parent)
    with pytest.raises(EngineError, match=r"engine 'tinny': .*known engines: \['tiny'\]"):
        load_engine("tinny")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-7], id="truncated"),
        pytest.param(lambda data: data + b"x", id="longer"),
        pytest.param(lambda data: bytes([data[0] ^ 1]) + data[1:], id="one bit flipped"),
        pytest.param(lambda data: data[:0], id="empty"),
    ],
)
def test_an_onnx_file_of_another_hash_is_refused(folder, damage):
    (folder / ONNX_FILE).write_bytes(damage(ONNX))
    with pytest.raises(EngineError, match=r"not the file the manifest names: expected sha256"):
        load_engine(folder)


def test_a_missing_onnx_file_is_named(folder):
    (folder / ONNX_FILE).unlink()
    with pytest.raises(EngineError, match=rf"{ONNX_FILE}: no such file"):
        load_engine(folder)


def test_a_folder_without_manifest_is_no_engine(tmp_path):
    with pytest.raises(EngineError, match=f"no {MANIFEST_FILE} there"):
        load_engine(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"name": "tiny", "inp', id="truncated"),
        pytest.param(b"", id="empty"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"\xff\xfe\x00", id="not text"),
        pytest.param(b'{"name": "tiny"}', id="only a name"),
    ],
)
def test_a_damaged_manifest_is_refused_in_one_line_that_names_it(folder, content):
    (folder / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(EngineError, match=rf"{MANIFEST_FILE}: not a manifest: ") as caught:
        load_engine(folder)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_in_a_manifest_is_refused(folder):
    _change(folder, colour="blue")
    with pytest.raises(EngineError, match="unknown key 'colour'"):
        load_engine(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"format": FORMAT + 1}, f"this version reads {FORMAT}", id="newer format"),
        pytest.param({"channel_order": "RGB"}, "wants RGB frames, expected BGR", id="RGB"),
        pytest.param({"outputs": {}}, r"lacks \['boxes_xyxy', 'scores'", id="no outputs"),
        pytest.param({"inputs": {}}, r"lacks \['frame'\]", id="no input"),
        pytest.param({"mask_threshold": 1.5}, r"mask_threshold is 1\.5", id="threshold over 1"),
        pytest.param({"score_threshold": -0.1}, r"score_threshold is -0\.1", id="threshold under 0"),
        pytest.param({"max_pixels": 0}, "max_pixels is 0", id="no pixels"),
        pytest.param({"cpu_precision": "fp8"}, "cpu_precision is 'fp8'", id="unknown precision"),
        pytest.param({"cpu_precision": "int8"}, "'int8' with an INT8 graph", id="no INT8 graph"),
    ],
)  # fmt: skip
def test_an_engine_of_another_contract_is_refused_with_the_difference(folder, changes, message):
    _change(folder, **changes)
    with pytest.raises(EngineError, match=message):
        load_engine(folder)


@pytest.fixture
def int8_folder(folder):
    """An engine folder with an INT8 graph."""
    (folder / INT8_FILE).write_bytes(ONNX[::-1])
    _change(folder, int8_sha256=sha256(folder / INT8_FILE))
    return folder


def test_only_int8_has_a_graph_of_its_own(int8_folder):
    engine = load_engine(int8_folder)
    assert engine.graph_path("int8").read_bytes() == ONNX[::-1]
    assert engine.graph_path("fp32") == engine.graph_path("bf16") == engine.onnx_path


def test_an_engine_without_int8_names_the_command_that_makes_it(folder):
    with pytest.raises(EngineError, match=r"no INT8 graph; .*: perception quantize --engine tiny"):
        load_engine(folder).graph_path("int8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda path: path.write_bytes(ONNX), "not the file the manifest", id="foreign"),
        pytest.param(lambda path: path.unlink(), "no such file; make it with", id="missing"),
    ],
)  # fmt: skip
def test_an_int8_graph_that_is_not_the_promised_one_is_refused(int8_folder, spoil, message):
    engine = load_engine(int8_folder)
    spoil(int8_folder / INT8_FILE)
    with pytest.raises(EngineError, match=message):
        engine.graph_path("int8")
