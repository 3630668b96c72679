"""The doctor tells what is usable; what is missing is named with the way to get it, and never raises."""

import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from perception.core.manifest import (
    GRAPH_INPUT,
    GRAPH_OUTPUTS,
    EngineManifest,
    TensorSpec,
    sha256,
    write_manifest,
)
from perception.core.registry import Registry
from perception.runtime import doctor, machine
from perception.runtime.doctor import Finding, examine, findings_json, findings_table


def _found(name, findings=None):
    return next(finding for finding in findings or examine() if finding.name == name)


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """A folder of engines with one whose files fit; the doctor looks there."""
    folder = tmp_path / "engines" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "weights.safetensors").write_bytes(b"weights")
    spec = TensorSpec("uint8", (-1, -1, -1, 3))
    manifest = EngineManifest(
        name="tiny",
        inputs={GRAPH_INPUT: spec},
        outputs=dict.fromkeys(GRAPH_OUTPUTS, spec),
        box_classes=("vehicle",),
        map_classes=("road", "other"),
        mask_form="hard",
        mask_threshold=0.5,
        score_threshold=0.4,
        max_pixels=1000,
        onnx_sha256=sha256(folder / "model.onnx"),
        weights_sha256=sha256(folder / "weights.safetensors"),
        task="cascade",
        trained_on=(),
        versions={},
        created="2026-01-31",
    )
    write_manifest(folder, manifest)
    monkeypatch.setattr(doctor, "ENGINES_DIR", folder.parent)
    return folder.parent


def test_every_area_is_looked_at():
    areas = list(dict.fromkeys(finding.area for finding in examine()))
    assert areas == [
        "machine", "GPU", "packages", "backends", "codecs", "devices", "engines", "data",
    ]  # fmt: skip


def test_the_base_install_can_read_and_write_video_and_run_its_default_backend():
    findings = examine()
    for name in ("h264 decoder", "hevc decoder", "libx264 encoder", "onnxruntime"):
        assert _found(name, findings).ok, name


def test_a_missing_package_names_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", (("no_such_thing", "no-such-thing", "pip install it"),))
    finding = _found("no_such_thing")
    assert (finding.ok, finding.detail, finding.way_out) == (False, "not installed", "pip install it")  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ImportError("libcudart.so: no such file\nmore"), id="library missing"),
        pytest.param(OSError("libcudart.so: no such file"), id="loader failed"),
        pytest.param(RuntimeError("libcudart.so: no such file"), id="refuses this machine"),
    ],
)
def test_a_package_that_cannot_be_imported_says_why_in_one_line(monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setattr(doctor, "import_module", fail)
    finding = _found("tensorrt")
    assert not finding.ok
    assert finding.detail == "installed, but cannot be imported: libcudart.so: no such file"


def test_a_package_that_no_index_installed_tells_its_own_version(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", (("json", "no-such-distribution", ""),))
    assert _found("json").detail == json.__version__


def test_a_backend_whose_package_is_missing_names_the_extra(monkeypatch):
    table = {"ghost": "no_such_package_of_anyone:Ghost"}
    monkeypatch.setattr(doctor, "BACKENDS", Registry("backend", table, {"ghost": "ghost"}))
    finding = _found("ghost")
    assert not finding.ok
    assert finding.way_out == "install it with: pip install 'perception[ghost]'"


def test_a_missing_codec_is_a_finding(monkeypatch):
    monkeypatch.setattr(doctor, "CODECS", (("no_such_codec", "r", "reads nothing"),))
    finding = _found("no_such_codec decoder")
    assert not finding.ok
    assert "av" in finding.way_out


@pytest.mark.parametrize(
    ("gpus", "name", "ok", "detail"),
    [
        pytest.param(machine.Gpus(problem="no driver"), "NVIDIA GPU", False, "none found (no driver)", id="none"),
        pytest.param(
            machine.Gpus("580.1", (machine.Gpu("Orin", (8, 7), 30.0),)),
            "Orin", True, "compute 8.7, 30.0 GiB", id="one",
        ),
    ],
)  # fmt: skip
def test_a_gpu_is_found_or_its_absence_explained(monkeypatch, gpus, name, ok, detail):
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: gpus)
    monkeypatch.setattr(machine, "NVIDIA_DRIVER", Path("/no/such/file"))
    finding = _found(name)
    assert (finding.ok, finding.detail) == (ok, detail)
    assert bool(finding.way_out) == (not ok)


@pytest.mark.parametrize(
    ("features", "bf16"),
    [
        pytest.param(("avx2",), False, id="AVX2 only"),
        pytest.param(("avx512f", "avx512_bf16"), True, id="AVX-512"),
        pytest.param(("asimd", "bf16"), True, id="ARM"),
        pytest.param((), False, id="unknown processor"),
    ],
)
def test_bf16_is_usable_where_the_processor_has_it(monkeypatch, features, bf16):
    monkeypatch.setattr(machine, "cpu_features", lambda: features)
    assert _found("CPU bf16").ok == bf16


def test_unknown_memory_is_a_finding(monkeypatch):
    monkeypatch.setattr(machine, "memory_gib", lambda: None)
    assert _found("memory") == Finding("machine", "memory", ok=False, detail="unknown")


@pytest.mark.parametrize(
    ("paths", "readable", "ok", "detail"),
    [
        pytest.param([], True, False, "no /dev/video*", id="none"),
        pytest.param(["/dev/video0"], True, True, "/dev/video0", id="one"),
        pytest.param(["/dev/video0"], False, False, "1 found, none may be read", id="not allowed"),
    ],
)
def test_cameras_are_listed(monkeypatch, paths, readable, ok, detail):
    glob = Path.glob
    monkeypatch.setattr(
        Path,
        "glob",
        lambda self, what: [Path(p) for p in paths] if self == Path("/dev") else glob(self, what),
    )
    monkeypatch.setattr(doctor.os, "access", lambda *_: readable)
    finding = _found("cameras")
    assert (finding.ok, finding.detail) == (ok, detail)


@pytest.mark.parametrize(
    ("display", "toolkit", "ok"),
    [
        pytest.param(":0", "GTK3", True, id="both"),
        pytest.param("", "GTK3", False, id="no display"),
        pytest.param(":0", "NONE", False, id="headless OpenCV"),
    ],
)
def test_a_window_needs_a_display_and_an_opencv_with_windows(monkeypatch, display, toolkit, ok):
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(doctor.cv2, "getBuildInformation", lambda: f"  A: b\n  GUI:   {toolkit}\n")
    assert _found("window").ok == ok


def test_an_opencv_that_does_not_name_its_windows_has_none(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(doctor.cv2, "getBuildInformation", lambda: "General\n")
    assert "OpenCV windows by NONE" in _found("window").detail


def test_an_engine_whose_files_fit_is_usable(engines):
    finding = _found("tiny")
    assert finding.ok
    assert finding.detail == "cascade, fp32, 2026-01-31; hashes fit"


def test_an_engine_without_weights_runs(engines):
    (engines / "tiny" / "weights.safetensors").unlink()
    finding = _found("tiny")
    assert finding.ok
    assert "cannot be trained further" in finding.detail


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors"])
def test_an_engine_with_a_damaged_file_is_named_with_the_file(engines, name):
    (engines / "tiny" / name).write_bytes(b"gra")
    finding = _found("tiny")
    assert not finding.ok
    assert name in finding.detail
    assert "export it again" in finding.way_out


def test_a_project_without_engines_says_how_to_make_one(engines):
    shutil.rmtree(engines / "tiny")
    assert _found("none").way_out == "make one with: perception export"


@pytest.mark.parametrize(
    ("folder", "ok", "detail"),
    [
        pytest.param("", False, "not set", id="not set"),
        pytest.param("absent", False, "absent: no data sets there", id="absent"),
        pytest.param("empty", False, "empty: no data sets there", id="empty"),
        pytest.param("data", True, "camvid, kitti_road", id="two sets"),
    ],
)
def test_the_data_folder_is_found_through_the_environment(tmp_path, monkeypatch, folder, ok, detail):  # fmt: skip
    for name in ("empty", "data/camvid", "data/kitti_road"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("PERCEPTION_DATA", str(tmp_path / folder) if folder else "")
    finding = _found("PERCEPTION_DATA")
    assert (finding.ok, bool(finding.way_out)) == (ok, not ok)
    assert finding.detail.endswith(detail)


def test_findings_can_be_written_as_json():
    findings = examine()
    table = json.loads(json.dumps(findings_json(findings)))
    assert [Finding(**row) for row in table] == findings


def test_the_table_shows_every_finding_and_way_out_as_written():
    findings = [
        Finding("a", "first", ok=True, detail="found [red]as is"),
        Finding("a", "second", ok=False, detail="missing", way_out="pip install 'x[train]'"),
        Finding("b", "third", ok=True, detail="here"),
    ]
    console = Console(width=100, file=StringIO())
    console.print(findings_table(findings))
    text = console.file.getvalue()
    for words in ("first", "found [red]as is", "second", "pip install 'x[train]'", "third"):
        assert words in text
