import cv2
import pytest

from perception.core.errors import ConfigError
from perception.export import forward_times
from perception.export.forward_times import draw_pareto, time_arms
from perception.export.reference import reference_engine
from perception.runtime.bench.compare import Comparison
from perception.training.study.config import load_study
from perception.training.study.report import figure_rows

STUDY = """
[train]
model = { backbone = "lean_resnet", pretrained = false, neck_channels = 8 }
[scoring]
forward_size = "64x32"
sets = [{ name = "camvid" }]
figures = ["camvid:val/miou"]
[[arm]]
name = "both heads"
[[arm.phase]]
steps = 1
[[arm]]
name = "boxes"
[[arm.phase]]
steps = 1
model.task = "detection"
"""


def load(tmp_path, text=STUDY):
    path = tmp_path / "two.toml"
    path.write_text(text)
    return load_study(str(path))


@pytest.mark.timeout(240)
def test_every_arm_is_timed_against_the_reference(tmp_path):
    times = time_arms(load(tmp_path), pairs=3, cache=tmp_path / "cache")
    assert times.keys() == {"both heads", "boxes"}
    for found in times.values():
        assert (found["size"], found["backend"]) == ("64x32", "onnxruntime")
        assert found["reference"].startswith("resnet18-fpn96")
        assert 0 < found["ratio_low"] <= found["ratio_high"]
    manifest = reference_engine(tmp_path / "cache").manifest
    assert (manifest.task, set(manifest.outputs)) == (
        "features",
        {"map_4", "map_8", "map_16", "map_32"},
    )


def test_a_graph_is_made_once(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        forward_times, "reference_engine", lambda _: made.append("reference") or E()
    )
    monkeypatch.setattr(forward_times, "untrained_engine", lambda config, _: config.model.task)
    monkeypatch.setattr(
        forward_times, "compare_engines",
        lambda engine, *_, **__: made.append(engine) or Comparison(3, 20, 40, -20, -0.5, -0.6, -0.4),
    )  # fmt: skip
    times = time_arms(load(tmp_path), pairs=3)
    assert made == ["reference", "cascade", "detection"]
    assert times["boxes"]["ratio"] == pytest.approx(0.5)
    assert (times["boxes"]["ratio_low"], times["boxes"]["ratio_high"]) == pytest.approx((0.4, 0.6))


class E:
    """Stands for an engine whose manifest has a name."""

    class manifest:  # noqa: N801 (an attribute of engines)
        name = "the reference"


ARMS = {
    "one": {
        "steps": 1, "seeds": [0], "parameters": 5,
        "forward": {"size": "64x32", "reference": "r", "ratio": 0.3, "ratio_low": 0.2, "ratio_high": 0.4},
        "figures": {"set:val/miou": {"mean": 0.5, "min": 0.4, "max": 0.6}, "set:val/ap50": {"mean": 0.1, "min": 0.1, "max": 0.1}},
    },
    "two": {
        "steps": 1, "seeds": [0], "parameters": 5,
        "forward": {"size": "64x32", "reference": "r", "ratio": 0.9, "ratio_low": 0.8, "ratio_high": 1.0},
        "figures": {"set:val/miou": {"mean": 0.7, "min": 0.7, "max": 0.7}},
    },
}  # fmt: skip


def test_the_picture_has_a_panel_for_each_figure(tmp_path):
    draw_pareto(tmp_path / "pareto.png", ARMS)
    height, width, _ = cv2.imread(str(tmp_path / "pareto.png")).shape
    assert (height, width) == (320, 800)


def test_the_table_has_a_row_for_forward_times():
    rows = {row[0]: row[1:] for row in figure_rows({"arms": ARMS})}
    assert rows["forward time at 64x32, r = 1"] == [
        "0.300 (0.200 to 0.400)",
        "0.900 (0.800 to 1.000)",
    ]


def test_a_size_that_no_graph_takes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="65x32"):
        load(tmp_path, STUDY.replace("64x32", "65x32"))
