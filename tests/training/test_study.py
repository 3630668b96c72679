import json
from dataclasses import replace

import numpy as np
import pytest

from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES, MAP_CLASSES, ROAD, map_id
from perception.datasets.kitti.object import KittiObject
from perception.datasets.kitti.road import KittiRoad
from perception.metrics.bootstrap import FrameRecords
from perception.metrics.matches import DISTANCE_BANDS_M, RIGHT, SIZES, WRONG, BoxRecords
from perception.metrics.segmentation import IDS, Confusion
from perception.training.study import run as study_run
from perception.training.study.compare import Run, compare_arms
from perception.training.study.config import (
    ScoringConfig,
    SplitConfig,
    list_studies,
    load_study,
)
from perception.training.study.report import difference_rows, figure_rows, rich_table
from perception.training.study.run import run_study
from tests.training.factories import write_kitti_road

TINY = """
seeds = [0]
[train]
val_every = 0
precision = "fp32"
threads = 1
accelerator = "cpu"
model = { backbone = "resnet18", pretrained = false, neck_channels = 8 }
data = { sets = [{ name = "kitti_road" }], crop_wh = [64, 64], batch_size = 2, workers = 0 }
[scoring]
scale = 0.5
resamples = 20
sets = [{ name = "kitti_road" }]
figures = ["kitti_road:val/road_iou"]
[[arm]]
name = "short"
[[arm.phase]]
steps = 1
[[arm]]
name = "in two"
[[arm.phase]]
steps = 1
[[arm.phase]]
steps = 2
optimizer.lr = 1e-4
"""
ROAD_IOU = "kitti_road:val/road_iou"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Two arms of a second each on synthetic frames; the keywords replace parts of the file."""
    monkeypatch.setattr(KittiRoad, "stretch", 1)  # of five frames, no stretches could be drawn
    monkeypatch.setenv("PERCEPTION_DATA", str(write_kitti_road(tmp_path / "data", frames=5)))

    def load(old="", new=""):
        path = tmp_path / "tiny.toml"
        assert old in TINY
        path.write_text(TINY.replace(old, new) if old else TINY)
        return load_study(str(path))

    return load


@pytest.mark.parametrize("name", list_studies())
def test_every_shipped_study_compares_arms_of_equal_length(name):
    study = load_study(name)
    # but for those that others go on from
    before = {name for arm in study.arms for name in arm.trained_as if name != arm.name}
    lengths = {arm.steps for arm in study.arms if arm.name not in before}
    alone = {arm.phases[-1].steps for arm in study.arms if len(arm.phases) > 1}
    assert len(lengths - alone) == 1
    assert {phase.data.crop_wh for arm in study.arms for phase in arm.phases} <= {(256, 192)}


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
def test_a_study_that_was_cut_off_goes_on_and_ends_with_a_table(tiny, tmp_path, monkeypatch):
    trained = []
    whole = study_run.train

    def cut_off(config, folder):
        trained.append(folder.relative_to(out).as_posix())
        if folder.name == "phase-2":
            raise KeyboardInterrupt
        return whole(config, folder)

    out = tmp_path / "out"
    monkeypatch.setattr(study_run, "train", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_study(tiny(), out)
    assert trained == ["short/seed-0/phase-1", "in two/seed-0/phase-1", "in two/seed-0/phase-2"]
    assert (out / "short" / "seed-0" / "result.json").is_file()
    assert not (out / "in two" / "seed-0" / "result.json").exists()

    monkeypatch.setattr(
        study_run, "train", lambda config, folder: trained.append(config) or whole(config, folder)
    )
    summary = run_study(tiny(), out)
    (second,) = trained[3:]
    assert second.init == str(out / "in two" / "seed-0" / "phase-1" / "last.ckpt")
    assert (second.steps, second.optimizer.lr) == (2, 1e-4)
    arms = summary["arms"]
    assert {name: arm["steps"] for name, arm in arms.items()} == {"short": 1, "in two": 3}
    assert 0 <= arms["short"]["figures"][ROAD_IOU]["mean"] <= 1
    low, high = arms["in two"]["figures"][ROAD_IOU]["interval"]
    difference = arms["in two"]["figures"][ROAD_IOU]["difference"]
    assert low <= high
    json.dumps(summary)
    text = (out / "table.md").read_text()
    assert text.splitlines()[2] == "| figure | short | in two |"
    assert f"| {ROAD_IOU} |  | {difference:+.3f} (" in text
    rich_table("tiny", summary)

    stored = json.loads((out / "in two" / "seed-0" / "result.json").read_text())
    assert stored["figures"]["kitti_road:val"]["frames"] == 5
    assert [phase["steps"] for phase in stored["phases"]] == [1, 2]
    with np.load(out / "short" / "seed-0" / "counts.npz") as file:
        assert {"kitti_road:val/counts", "kitti_road:val/boxes_scores"} <= set(file.files)
        assert len(file["kitti_road:val/counts"]) == 5
    scored = study_run.score
    monkeypatch.setattr(study_run, "train", None)
    monkeypatch.setattr(study_run, "score", None)
    assert run_study(tiny(), out) == summary, "all was there"
    for path in [*out.glob("*/seed-0/result.json"), *out.glob("*/seed-0/phase-*/done.json")]:
        table = json.loads(path.read_text())
        for phase in table["phases"]:
            del phase["data"]["lidar_dropout"]  # as a version wrote it that did not know it
        path.write_text(json.dumps(table))
    assert run_study(tiny(), out) == summary, "the same, told by an earlier version"
    for path in out.glob("*/seed-0/result.json"):
        path.unlink()  # to be scored again, but not trained
    monkeypatch.setattr(study_run, "score", scored)
    assert run_study(tiny(), out) == summary
    with pytest.raises(
        ConfigError, match=r"kitti_road:val has no figure 'ap50'; known: .*road_iou"
    ):
        run_study(tiny(ROAD_IOU, "kitti_road:val/ap50"), out)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("steps = 2", "stepz = 2", "arm 'in two', phase 2: unknown key 'stepz'; did you mean 'steps'", id="key of a phase"),
        pytest.param("steps = 2", 'steps = "2"', "arm 'in two', phase 2: steps: .*integer.*got '2'", id="type"),
        pytest.param("steps = 2", "seed = 2", "arm 'in two' sets seed", id="seed in a phase"),
        pytest.param("steps = 2", 'init = "a.ckpt"', "phase 2: it starts from the phase before", id="init in a later phase"),
        pytest.param("steps = 2", "devices = 2", "one device, got devices = 2", id="several devices"),
        pytest.param('"in two"', '"short"', "arm 'short' is there twice", id="two arms of one name"),
        pytest.param('"in two"', '"../in two"', "it names a folder", id="arm that leaves the folder"),
        pytest.param("[[arm.phase]]\nsteps = 1\n[[arm]]", "phase = []\n[[arm]]", "arm 'short': expected one of", id="no phase"),
        pytest.param("[[arm.phase]]\nsteps = 1\n[[arm]]", 'of = "in two"\n[[arm]]', "of = one of \\[\\] above", id="of an arm below"),
        pytest.param("steps = 1\n[[arm]]", 'steps = 1\n[[arm]]\nof = "short"', "arm 'in two': expected one of", id="phases, and of another"),
        pytest.param("seeds = [0]", "seeds = []", "expected at least one of each", id="no seed"),
        pytest.param("seeds = [0]", "seedz = [0]", "unknown key 'seedz'; did you mean 'seeds'", id="key"),
        pytest.param("seeds = [0]", 'preset = "cascad"', "unknown preset 'cascad'", id="preset"),
        pytest.param(ROAD_IOU, "camvid:val/miou", "figure 'camvid:val/miou': expected SET:SPLIT/FIGURE", id="figure of a set that is not scored"),
        pytest.param("steps = 2", 'extend.checkpoint = "a.ckpt"', "'previous' in later ones, got 'a.ckpt'", id="file to extend in a later phase"),
        pytest.param("steps = 1\n[[arm]]", 'extend.checkpoint = "previous"\n[[arm]]', "expected a file in the first phase", id="nothing to extend"),
        pytest.param('name = "in two"', 'name = "in two"\nafter = "shrt"', "after: expected .*'short'.* above, got 'shrt'", id="after an arm that is not there"),
        pytest.param("scale = 0.5", f'scale = 0.5\nagainst = {{ "{ROAD_IOU}" = "shrt" }}', "one of \\['short', 'in two'\\], got .* = 'shrt'", id="against an arm that is not there"),
        pytest.param("scale = 0.5", "scale = 2.0", "at most 1, got 2.0", id="scale"),
        pytest.param("scale = 0.5", 'checkpoint = "best"', "has val_every = 0", id="best without validation"),
    ],
)  # fmt: skip
def test_a_wrong_study_is_one_line(tiny, old, new, message):
    with pytest.raises(ConfigError, match=message) as caught:
        tiny(old, new)
    assert "\n" not in str(caught.value)


def test_what_an_earlier_arm_makes_may_be_missing_at_the_start(tiny, tmp_path, monkeypatch):
    out = tmp_path / "out"
    study = tiny("steps = 1\n[[arm]]", f'init = "{out}/short/a.ckpt"\n[[arm]]')

    def begin(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(study_run, "train", begin)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, out)
    with pytest.raises(ConfigError, match=r"init: .*no such file"):
        run_study(study, tmp_path / "other")


def test_an_unknown_study_names_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"unknown study 'rendred'; known: .*'rendered'"):
        load_study("rendred")


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        pytest.param('{ name = "kitti_road" }], crop', '{ name = "kitti_rode" }], crop', ConfigError, "did you mean 'kitti_road'", id="unknown set"),
        pytest.param('{ name = "kitti_road" }], crop', '{ name = "camvid" }], crop', InputError, "train.txt", id="missing set"),
        pytest.param("steps = 1\n[[arm]]", 'init = "none.ckpt"\n[[arm]]', ConfigError, "arm 'short': init: none.ckpt: no such file", id="missing init"),
        pytest.param("steps = 1\n[[arm]]", 'pretrain.steps = 1\npretrain.data.sets = [{ name = "camvid" }]\n[[arm]]', InputError, "train.txt", id="missing set of the pretraining"),
        pytest.param("steps = 1\n[[arm]]", 'loss.teacher = "none.ckpt"\n[[arm]]', ConfigError, "arm 'short': loss.teacher: none.ckpt: no such file", id="missing teacher"),
    ],
)  # fmt: skip
def test_what_is_missing_is_known_before_training(tiny, tmp_path, old, new, error, message):
    with pytest.raises(error, match=message):
        run_study(tiny(old, new), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def make_boxes(frames, wrong=0):
    """One vehicle in each frame, found; but in the first so many frames, what is found is elsewhere, and surer."""
    labelled = np.zeros((frames, len(SIZES), len(BOX_CLASSES)), np.int64)
    labelled[:, 0, 0] = 1
    verdicts = np.full((len(SIZES), frames), RIGHT, np.int8)
    verdicts[:, :wrong] = WRONG
    return BoxRecords(
        frame_ids=np.arange(frames),
        class_ids=np.zeros(frames, np.int64),
        scores=np.linspace(0.9, 0.5, frames, dtype=np.float32),
        verdicts=verdicts,
        labelled=labelled,
        distances=np.zeros((frames, len(DISTANCE_BANDS_M), 2), np.int64),
    )


def make_run(hits, seed=0, wrong=0):
    """A run on frames of 100 road pixels each, of which so many were found; the others were called sky."""
    counts = np.zeros((len(hits), IDS, IDS + 1), np.int64)
    counts[:, ROAD, ROAD] = hits
    counts[:, ROAD, 0] = 100 - np.array(hits)
    total = Confusion(counts.sum(axis=0), counts.sum(axis=0))
    figures = {**total.figures(range(len(MAP_CLASSES))), "ap50": 0.5, "ap50_95": 0.3}
    records = FrameRecords({"": counts}, make_boxes(len(hits), wrong))
    return Run(seed, 1_500_000, {"kitti_object:val": figures}, {"kitti_object:val": records})


SCORING = ScoringConfig(
    sets=(SplitConfig(name="kitti_object"),),
    figures=(
        "kitti_object:val/road_iou",
        "kitti_object:val/miou",
        "kitti_object:val/ap50",
        "kitti_object:val/ap50_95",
    ),
    resamples=200,
)


def test_arms_are_compared_on_the_same_drawn_frames():
    # the second is better by 5 points on every frame, however much the frames differ
    hits = np.random.default_rng(0).integers(10, 90, 40)
    runs = {"first": [make_run(hits)], "better": [make_run(hits + 5)], "same": [make_run(hits)]}
    arms = compare_arms(runs, dict.fromkeys(runs, 7), SCORING)["arms"]
    better = arms["better"]["figures"]["kitti_object:val/road_iou"]
    np.testing.assert_allclose([better["difference"], *better["interval"]], 0.05)
    same = arms["same"]["figures"]["kitti_object:val/miou"]
    assert (same["difference"], same["interval"]) == (0, [0, 0])
    assert arms["same"]["figures"]["kitti_object:val/ap50"]["interval"] == [0, 0]
    assert arms["same"]["figures"]["kitti_object:val/ap50_95"]["interval"] is None
    assert "interval" not in arms["first"]["figures"]["kitti_object:val/road_iou"]


def test_average_precision_is_compared_on_the_same_drawn_frames_too():
    hits = np.full(40, 50)
    runs = {"first": [make_run(hits)], "worse": [make_run(hits, wrong=8)]}
    arms = compare_arms(runs, dict.fromkeys(runs, 7), SCORING)["arms"]
    low, high = arms["worse"]["figures"]["kitti_object:val/ap50"]["interval"]
    # with 8 surer wrong boxes, each of the 32 right ones stands at a precision of at most 32 / 40
    assert low < 0.8 * 0.8 - 1 < high < 0
    rows = difference_rows(compare_arms(runs, dict.fromkeys(runs, 7), SCORING))
    assert (
        f"({low:+.3f} to {high:+.3f})" in {row[0]: row[2] for row in rows}["kitti_object:val/ap50"]
    )


def test_the_interval_holds_the_difference_and_grows_with_the_stretch_of_the_set(monkeypatch):
    luck = np.random.default_rng(1)
    drives = np.repeat(
        luck.integers(-10, 10, 8), 8
    )  # what one arm is better by, the same for eight neighbours
    runs = {"first": [make_run(np.full(64, 50))], "other": [make_run(50 + drives)]}
    widths = []
    for stretch in (1, 8):
        monkeypatch.setattr(KittiObject, "stretch", stretch)
        scoring = ScoringConfig(sets=SCORING.sets, figures=("kitti_object:val/road_iou",))
        found = compare_arms(runs, dict.fromkeys(runs, 7), scoring)["arms"]["other"]
        entry = found["figures"]["kitti_object:val/road_iou"]
        assert entry["interval"][0] < entry["difference"] < entry["interval"][1]
        widths.append(entry["interval"][1] - entry["interval"][0])
    assert widths[1] > 2 * widths[0]


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
def test_one_trained_network_is_scored_with_several_graphs(tiny, tmp_path):
    again = (
        '[[arm]]\nname = "no mask"\nof = "short"\ngraph.mask = "none"\n[[arm]]\nname = "boxes"\n'
    )
    study = tiny('[[arm]]\nname = "in two"\n', again)
    arms = {arm.name: arm for arm in study.arms}
    assert arms["no mask"].phases == arms["short"].phases
    summary = run_study(study, tmp_path / "out")["arms"]
    assert not (tmp_path / "out" / "no mask" / "seed-0" / "phase-1").exists()
    assert summary["no mask"]["parameters"] == summary["short"]["parameters"] > 1e6
    hard, none = (summary[n]["figures"][ROAD_IOU]["mean"] for n in ("short", "no mask"))
    assert summary["no mask"]["figures"][ROAD_IOU]["difference"] == none - hard


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
def test_an_arm_goes_on_from_another_and_extends_it(tiny, tmp_path, monkeypatch):
    trained = []
    whole = study_run.train

    def watch(config, folder):
        trained.append((folder.relative_to(out).as_posix(), config.init, config.extend.checkpoint))
        return whole(config, folder)

    out = tmp_path / "out"
    monkeypatch.setattr(study_run, "train", watch)
    more = (
        'name = "more"\nafter = "short"\n[[arm.phase]]\nsteps = 1\n'
        'extend.checkpoint = "previous"\nmodel.further = ["boundary"]\n'
    )
    study = tiny('name = "in two"\n[[arm.phase]]\nsteps = 1\n[[arm.phase]]\nsteps = 2\n', more)
    arms = run_study(study, out)["arms"]
    last = str(out / "short" / "seed-0" / "phase-1" / "last.ckpt")
    assert trained == [("short/seed-0/phase-1", "", ""), ("more/seed-0/phase-2", "", last)]
    assert {name: arm["steps"] for name, arm in arms.items()} == {"short": 1, "more": 2}
    assert arms["more"]["parameters"] > arms["short"]["parameters"]


def test_a_figure_may_be_compared_with_another_arm():
    hits = np.full(40, 50)
    runs = {"old": [make_run(hits)], "alone": [make_run(hits + 10)], "new": [make_run(hits + 30)]}
    road = "kitti_object:val/road_iou"
    scoring = replace(SCORING, against={road: "alone"})
    comparison = compare_arms(runs, dict.fromkeys(runs, 7), scoring)
    figures = {name: arm["figures"][road] for name, arm in comparison["arms"].items()}
    assert figures["new"]["difference"] == pytest.approx(0.2)
    assert figures["old"]["difference"] == pytest.approx(-0.1)
    assert "difference" not in figures["alone"]
    np.testing.assert_allclose(figures["new"]["interval"], 0.2)
    rows = {row[0]: row[1:] for row in difference_rows(comparison)}
    assert rows[f"{road}, to alone"] == [
        "-0.100 (-0.100 to -0.100)",
        "",
        "+0.200 (+0.200 to +0.200)",
    ]
    miou = comparison["arms"]["new"]["figures"]["kitti_object:val/miou"]["difference"]
    assert rows["kitti_object:val/miou"][2].startswith(f"{miou:+.3f}")


def test_the_mean_of_all_classes_but_one():
    ious = {f"iou/{name}": 0.5 for name in MAP_CLASSES} | {"iou/cyclist": 0.0, "iou/sky": 0.9}
    run = replace(make_run(np.full(4, 50)), figures={"kitti_object:val": ious})
    assert run.value("kitti_object:val/miou_but/cyclist") == pytest.approx(0.54)
    del ious["iou/sky"]
    assert run.value("kitti_object:val/miou_but/cyclist") is None, "a class without a figure"


def test_what_an_arm_has_no_head_for_is_a_dash():
    none = FrameRecords({"": np.zeros((2, IDS, IDS + 1), np.int64)}, make_boxes(2))
    boxes = Run(0, 1, {"kitti_object:val": {"ap50": 0.4}}, {"kitti_object:val": none})
    runs = {"first": [make_run([50, 50])], "boxes": [boxes]}
    comparison = compare_arms(runs, dict.fromkeys(runs, 7), SCORING)
    rows = {row[0]: row[1:] for row in figure_rows(comparison)}
    assert rows["kitti_object:val/miou"][1] == "-"
    assert rows["kitti_object:val/ap50"][1] == "0.400 (0.400 to 0.400)"
    assert {row[0]: row[2] for row in difference_rows(comparison)}[
        "kitti_object:val/road_iou"
    ] == "-"


def test_seeds_give_mean_and_range():
    runs = {"first": [make_run([50, 50]), make_run([70, 70], seed=1)]}
    comparison = compare_arms(runs, {"first": 7}, SCORING)
    entry = comparison["arms"]["first"]["figures"]["kitti_object:val/road_iou"]
    assert (entry["mean"], entry["min"], entry["max"]) == pytest.approx((0.6, 0.5, 0.7))
    assert figure_rows(comparison)[:5] == [
        ["figure", "first"],
        ["steps", "7"],
        ["seeds", "0 1"],
        ["parameters, M", "1.50"],
        ["kitti_object:val/road_iou", "0.600 (0.500 to 0.700)"],
    ]
    assert difference_rows(comparison) == []


def test_frames_with_groups_count_for_the_road_but_not_for_classes():
    run = make_run([50] * 12)
    grouped = run.records["kitti_object:val"].counts[""].copy()
    grouped[2:, map_id("not_road"), 0] = 10
    grouped[2:, ROAD, ROAD] = 100
    other = Run(
        0, 1, run.figures, {"kitti_object:val": FrameRecords({"": grouped}, make_boxes(12))}
    )
    drawn = compare_arms({"first": [run], "other": [other]}, {"first": 1, "other": 1}, SCORING)
    figures = drawn["arms"]["other"]["figures"]
    assert figures["kitti_object:val/miou"]["interval"] is None, (
        "some draw holds only frames with groups"
    )
    assert figures["kitti_object:val/road_iou"]["interval"][1] > 0


def test_runs_on_different_frames_are_not_compared():
    runs = {"first": [make_run([50, 50]), make_run([50])]}
    with pytest.raises(InputError, match=r"different frames \(\[1, 2\]\)"):
        compare_arms(runs, {"first": 1}, SCORING)


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
def test_a_run_with_counts_of_an_older_form_is_scored_again_and_says_so(
    tiny, tmp_path, monkeypatch, caplog
):
    out = tmp_path / "out"
    summary = run_study(tiny(), out)
    folder = out / "short" / "seed-0"
    with np.load(folder / "counts.npz") as file:
        counts = file["kitti_road:val/counts"]
    np.savez_compressed(folder / "counts.npz", **{"kitti_road:val": counts})
    stored = json.loads((folder / "result.json").read_text())
    del stored["counts_form"]
    (folder / "result.json").write_text(json.dumps(stored))
    monkeypatch.setattr(study_run, "train", None)
    scored = []
    whole = study_run.score
    monkeypatch.setattr(study_run, "score", lambda *given: scored.append(given) or whole(*given))
    with caplog.at_level("WARNING"):
        assert run_study(tiny(), out) == summary
    assert len(scored) == 1, "the other run was of this form"
    (line,) = [m for m in caplog.messages if "older form" in m]
    assert str(folder / "counts.npz") in line
    assert "scored again" in line
    assert run_study(tiny(), out) == summary
    assert len(scored) == 1
