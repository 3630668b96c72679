"""An engine folder with an INT8 graph: what is kept, what is refused, how close it stays to float."""

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from perception.backends import CPU_BACKENDS, default_precision, open_backend
from perception.cli.build import quantize
from perception.core.errors import ConfigError, EngineError, OutputError
from perception.core.labels import ROAD
from perception.core.manifest import INT8_FILE, load_engine, sha256
from perception.datasets import Sample
from perception.export.int8.engine import (
    check_measured_on,
    measure_engine,
    ranges_within,
    write_int8,
)
from perception.export.int8.ranges import (
    parse_ranges,
    ranges_text,
    read_ranges,
    write_ranges,
)
from perception.export.int8.sensitivity import sensitivity
from perception.export.runner import EMULATED
from perception.export.variants import evaluation_variant
from perception.export.verify import verify
from perception.runtime.evaluation import frames as frames_module

KEPT = {"heads.detection.predict": "coordinates", "heads.segmentation.classify": "scores"}


def make_frames(count=2):
    rng = np.random.default_rng(0)
    return [(f"frame{i}", rng.integers(0, 256, (64, 96, 3), np.uint8)) for i in range(count)]


@pytest.fixture(scope="module")
def ranges(engine):
    return measure_engine(
        engine, make_frames(), method="minmax", data=("camvid:train",), kept_float=KEPT
    )


@pytest.fixture(scope="module")
def int8_engine(engine, ranges, tmp_path_factory):
    """A copy of the small random engine, with its INT8 graph."""
    folder = tmp_path_factory.mktemp("int8") / "small"
    shutil.copytree(engine.folder, folder)
    return write_int8(load_engine(folder), ranges)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where variants are kept: making one takes long."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def copied(int8_engine, tmp_path):
    """A copy that a test may spoil."""
    return load_engine(shutil.copytree(int8_engine.folder, tmp_path / "small"))


def infer(engine, backend, precision):
    frame = make_frames(1)[0][1][None]
    with open_backend(backend, engine, (96, 64), precision=precision, threads=1) as opened:
        assert opened.precision == precision
        return {name: np.array(value) for name, value in opened.infer({"frame": frame}).items()}


def test_a_file_of_ranges_reads_back_the_same(ranges, tmp_path):
    write_ranges(tmp_path / "int8" / "small.json", ranges)
    assert read_ranges(tmp_path / "int8" / "small.json") == ranges


def test_a_file_of_ranges_has_one_tensor_a_line(ranges):
    lines = ranges_text(ranges).splitlines()
    low, high = ranges.ranges["neck.smooth.0.0.relu"]
    assert f'    "neck.smooth.0.0.relu": [{low}, {high}],' in lines


def test_ranges_say_where_they_are_from(ranges, engine):
    assert (ranges.engine, ranges.frames, ranges.data) == ("small", 2, ("camvid:train",))
    assert ranges.onnx_sha256 == engine.manifest.onnx_sha256
    assert ranges.kept_float == KEPT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda text: text[:-20], "not a file of ranges", id="truncated"),
        pytest.param(lambda text: text.replace('"frames"', '"way": 1, "frames"'), "unknown key 'way'", id="key"),
        pytest.param(lambda text: text.replace('"format": 1', '"format": 2'), "format 2", id="newer"),
        pytest.param(lambda text: text.replace('"input": [', '"input": [9e9, 0], "i": ['), "low <= high", id="upside down"),
    ],
)  # fmt: skip
def test_a_damaged_file_of_ranges_is_refused_in_one_line(ranges, change, words):
    with pytest.raises(EngineError, match=words) as caught:
        parse_ranges(change(ranges_text(ranges)), "small.json")
    assert "\n" not in str(caught.value)


def test_a_missing_file_of_ranges_is_named(tmp_path):
    with pytest.raises(EngineError, match=r"none\.json: cannot be read"):
        read_ranges(tmp_path / "none.json")


def test_ranges_that_cannot_be_written_are_an_output_error(ranges, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the ranges"):
        write_ranges(tmp_path / "file" / "small.json", ranges)


def test_ranges_of_another_graph_are_refused(engine, ranges):
    with pytest.raises(EngineError, match="perception quantize --engine small"):
        check_measured_on(engine, replace(ranges, onnx_sha256="0" * 64))
    check_measured_on(engine, ranges)


@pytest.mark.parametrize("backend", list(CPU_BACKENDS))
def test_int8_is_close_to_float_but_not_equal(int8_engine, backend):
    want, got = (infer(int8_engine, backend, precision) for precision in ("fp32", "int8"))
    assert (want["class_map"] == got["class_map"]).mean() > 0.8
    np.testing.assert_allclose(np.sort(got["scores"]), np.sort(want["scores"]), atol=0.01)
    assert (got["scores"] != want["scores"]).any()


def test_the_graph_made_again_has_the_same_bytes(int8_engine, copied):
    again = write_int8(copied, ranges_within(int8_engine))
    assert again.manifest.int8_sha256 == int8_engine.manifest.int8_sha256
    assert sha256(again.folder / INT8_FILE) == again.manifest.int8_sha256


def test_the_float_graph_and_its_promise_stay_as_they_were(engine, int8_engine):
    assert replace(int8_engine.manifest, int8_sha256="") == engine.manifest


@pytest.mark.parametrize("backend", list(CPU_BACKENDS))
def test_an_engine_without_int8_is_refused_with_the_command_to_make_it(engine, backend):
    with pytest.raises(EngineError, match=r"no INT8 graph; .*perception quantize --engine small"):
        infer(engine, backend, "int8")


@pytest.mark.parametrize("backend", list(CPU_BACKENDS))
def test_a_foreign_int8_graph_is_refused(copied, backend):
    shutil.copy(copied.onnx_path, copied.folder / INT8_FILE)
    with pytest.raises(EngineError, match="not the file the manifest names"):
        infer(copied, backend, "int8")


def test_a_graph_of_our_own_hash_without_ranges_is_refused(copied):
    model = onnx.load(copied.folder / INT8_FILE)
    del model.metadata_props[:]
    path = copied.folder / INT8_FILE
    path.write_bytes(model.SerializeToString())
    changed = replace(copied, manifest=replace(copied.manifest, int8_sha256=sha256(path)))
    with pytest.raises(EngineError, match="holds no ranges"):
        ranges_within(changed)


def test_an_evaluation_variant_is_quantised_from_the_same_ranges(int8_engine, ranges, cache):
    variant = evaluation_variant(int8_engine, cache)
    assert ranges_within(variant) == ranges
    shown, scored = (infer(e, "onnxruntime", "int8") for e in (int8_engine, variant))
    np.testing.assert_array_equal(scored["class_map"], shown["class_map"])
    assert "road_score" in scored
    (variant.folder / INT8_FILE).write_bytes(b"cut off")
    assert ranges_within(evaluation_variant(int8_engine, cache)) == ranges


def test_a_variant_follows_its_engine_to_other_ranges(copied, ranges, cache):
    evaluation_variant(copied, cache)
    wider = {name: (2 * low, 2 * high) for name, (low, high) in ranges.ranges.items()}
    changed = write_int8(copied, replace(ranges, ranges=wider))
    assert ranges_within(evaluation_variant(changed, cache)).ranges == wider


def test_verify_reports_the_outputs_of_int8_and_judges_its_figures_on_labels(copied, here):
    labels = np.full((64, 96), ROAD, np.uint8)
    labels[:32] = 0
    samples = [(name, Sample(name, image, labels, None, None)) for name, image in make_frames()]
    summary = verify(copied, samples, [("onnxruntime", "fp32")])
    rows = [(r["backend"], r["precision"], r["judged"]) for r in summary["results"]]
    assert rows == [
        ("onnxruntime", "fp32", True),
        (EMULATED, "fp16", True),
        (EMULATED, "int8", False),
        *((name, "int8", False) for name in CPU_BACKENDS),
    ]
    changes = [(r["backend"], r["precision"], r["judged"]) for r in summary["labels"]]
    rounded = [*((EMULATED, p) for p in ("fp16", "int8")), *((n, "int8") for n in CPU_BACKENDS)]
    assert changes == [(*runner, True) for runner in rounded]


def test_the_table_tells_what_each_convolution_costs(engine, ranges):
    first = ["backbone.features.conv1", "neck.smooth.0.0"]
    rows = sensitivity(engine, ranges, make_frames(1), only=first)
    assert [row.name for row in rows[:2]] == ["all", "as chosen"]
    assert {row.name for row in rows[2:]} == set(first)
    assert all(0 <= row.differing_pixels <= 1 for row in rows)
    assert rows[0].differing_pixels > 0


def test_the_command_leaves_ranges_and_graph_and_makes_it_again(
    copied, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(frames_module, "spread_frames", lambda *_: iter(make_frames(1)))
    path = tmp_path / "ranges.json"
    quantize(engine=str(copied.folder), ranges=path, keep_float=["heads.*=too coarse"])
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert made["kept_float"] == {"heads.*": "too coarse"}
    assert (load_engine(copied.folder).manifest.int8_sha256, made["frames"]) == (
        made["int8_sha256"],
        1,
    )
    quantize(engine=str(copied.folder), ranges=path, again=True)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == made


def test_frames_that_are_scored_are_never_measured(copied):
    with pytest.raises(ConfigError, match="camvid:val: expected a training split"):
        quantize(engine=str(copied.folder), data=["camvid:val"])


def test_int8_runs_by_default_only_where_the_manifest_says_so_and_the_cpu_can(
    int8_engine, ranges, monkeypatch
):
    assert default_precision("onnxruntime", int8_engine) == "fp32"
    try:
        chosen = write_int8(int8_engine, ranges, default=True)
        monkeypatch.setattr("perception.backends.base.int8_sums_overflow", lambda: False)
        assert default_precision("onnxruntime", chosen) == "int8"
        with open_backend("onnxruntime", chosen, (96, 64)) as backend:
            assert backend.precision == "int8"
        with open_backend("onnxruntime", chosen, (96, 64), precision="fp32") as backend:
            assert backend.precision == "fp32"
        monkeypatch.setattr("perception.backends.base.int8_sums_overflow", lambda: True)
        assert default_precision("onnxruntime", chosen) == "fp32"
        assert write_int8(chosen, ranges).manifest.cpu_precision == "int8", "as it was"
    finally:
        write_int8(int8_engine, ranges, default=False)
