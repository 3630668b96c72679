"""Every task beside the cascade's learns a small set by heart, through its own loss, decoder and score; and leaves the car as ONNX."""

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
import torch

from perception.core.errors import ConfigError
from perception.core.geometry import Letterbox
from perception.core.labels import IGNORE
from perception.export.onnx import to_onnx
from perception.models.config import GraphConfig, ModelConfig
from perception.models.graph import InferenceGraph
from perception.models.heads.detection import Boxes
from perception.models.multitask import MultiTaskModel
from perception.models.tasks import TASKS
from perception.models.tasks.base import Found, match_labelled
from perception.models.tasks.boundary import BoundaryScore, boundaries
from perception.models.tasks.reidentification import hardest_triplets
from tests.models.scenes import SIZE_WH, make_batch, make_sample

SMALL = ModelConfig(backbone="lean_resnet", pretrained=False, neck_channels=16, map_stride=4, detail_channels=8)  # fmt: skip
# after a few steps on four frames: figure -> at least (or, from "<", at most) this much
LEARNT = {
    "boundary": {"f": 0.9},
    "depth": {"delta": 0.9, "<abs_rel": 0.15},
    "instances": {"iou": 0.8, "recall50": 1.0},
    "key_points": {"pck": 0.9},
    "lanes": {"iou/line": 0.7},
    "reidentification": {"rank1": 1.0, "map": 0.95, "top1/kind": 1.0, "top1/colour": 1.0, "found": 1.0},
    "scene": {"top1/light": 1.0, "top1/place": 1.0},
}  # fmt: skip


def found_as_labelled(sample):
    boxes = sample.boxes
    scores = torch.ones(1, len(boxes.boxes_xyxy))
    ids = torch.from_numpy(boxes.class_ids.astype(np.int32))[None]
    class_map = torch.from_numpy(sample.class_map)[None]
    return Found(Boxes(torch.from_numpy(boxes.boxes_xyxy)[None], scores, ids), class_map)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_learns_a_small_set_by_heart(name):
    torch.manual_seed(0)
    samples = [make_sample(i) for i in range(4)]
    batch = make_batch(samples)
    model = MultiTaskModel(replace(SMALL, further=(name,)))
    task = model.tasks[name]
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(70):
        terms = task.loss(model(batch.frame).further[name], batch)
        assert set(terms)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    with torch.no_grad():  # batch norms: averages that have seen the trained weights
        for _ in range(30):
            model(batch.frame)
    model.eval()
    score = task.score()
    for sample in samples:
        with torch.no_grad():
            raw = model(torch.from_numpy(sample.image)[None]).further[name]
        found = found_as_labelled(sample)
        outputs = {k: v[0].numpy() for k, v in task.decode(raw, found).items()}
        assert set(outputs) == set(task.outputs)
        outputs |= {k: v[0].numpy() for k, v in found.boxes._asdict().items()}
        score.update(outputs, sample)
    figures = score.compute()
    for figure, bound in LEARNT[name].items():
        value = figures[figure.removeprefix("<")]
        assert value <= bound if figure.startswith("<") else value >= bound, figures


@pytest.mark.parametrize("name", list(TASKS))
def test_what_is_not_labelled_gives_no_loss_and_no_figure(name):
    sample = make_sample(0)
    bare = replace(sample, further={}, class_map=np.full_like(sample.class_map, 255))
    model = MultiTaskModel(replace(SMALL, further=(name,))).eval()
    task = model.tasks[name]
    batch = make_batch([bare])
    raw = model(batch.frame).further[name]
    assert task.loss(raw, batch) == {}
    score = task.score()
    score.update({}, bare)
    assert score.compute() == {}


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")  # fmt: skip
def test_all_at_once_leave_as_onnx():
    torch.manual_seed(0)
    config = replace(SMALL, further=tuple(TASKS))
    # few candidates: those of an untrained network are nearly equal, and would swap places
    graph = InferenceGraph(
        MultiTaskModel(config), GraphConfig(candidates=2, max_detections=1)
    ).eval()
    session = ort.InferenceSession(to_onnx(graph).SerializeToString())
    outputs = {name for task in TASKS for name in graph.task(task).outputs}
    for width, height in (SIZE_WH, (160, 64)):
        frame = np.random.default_rng(1).integers(0, 256, (2, height, width, 3), np.uint8)
        with torch.no_grad():
            wanted = {k: v.numpy() for k, v in graph(torch.from_numpy(frame)).items()}
        got = dict(zip(wanted, session.run(list(wanted), {"frame": frame}), strict=True))
        assert outputs < set(wanted)
        for name in outputs:
            assert got[name].dtype == wanted[name].dtype
            # a grey level where the last digit decides how it is rounded
            limit = 1 if got[name].dtype == np.uint8 else 2e-3
            np.testing.assert_allclose(got[name].astype(float), wanted[name], rtol=1e-3, atol=limit)


def test_a_task_without_the_head_that_it_reads_is_refused():
    with pytest.raises(
        ConfigError, match=r"'key_points' needs \['detection'\].*'segmentation' lacks"
    ):
        MultiTaskModel(replace(SMALL, task="segmentation", further=("key_points",)))
    with pytest.raises(ConfigError, match=r"unknown task 'lane'; .*lanes"):
        MultiTaskModel(replace(SMALL, further=("lane",)))


def test_boundaries_are_where_neighbours_differ_and_both_are_known():
    class_map = torch.tensor([[[0, 0, 3, 255, 1], [0, 0, 3, 3, 1]]], dtype=torch.uint8)
    edge, known = boundaries(class_map, None)
    assert edge[0].int().tolist() == [[0, 1, 0, 0, 0], [0, 1, 0, 1, 0]]
    assert known[0].int().tolist() == [[1, 1, 1, 0, 1], [1, 1, 1, 1, 1]]
    instances = torch.tensor([[[1, 2, 2, 0, 0], [1, 2, -1, 0, 0]]], dtype=torch.int32)
    edge, _ = boundaries(torch.zeros_like(class_map), instances)
    assert edge[0].int().tolist() == [[1, 0, 1, 0, 0], [1, 0, 0, 0, 0]]


def test_triplets_take_the_hardest_of_both():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    # the third is nearer to the first than the first's own second: sqrt(2) - 0; the pair of the second: sqrt(2) - sqrt(2)
    cost = hardest_triplets(vectors, torch.tensor([5, 5, 6, 7]))
    root = 2**0.5
    assert cost == pytest.approx(np.mean([np.log1p(np.exp(root - 1e-3)), np.log(2.0)]), abs=1e-3)
    assert hardest_triplets(vectors, torch.tensor([1, 2, 3, 4])) is None


def test_outputs_are_mapped_back_to_the_pixels_of_the_frame():
    box = Letterbox((128, 64), (64, 32), (64, 64))  # half the size, and padding below

    def back(task, output, value):
        return TASKS[task].outputs[output](value, box)

    lanes = np.zeros((64, 64), np.uint8)
    lanes[:32, 32:], lanes[32:] = 1, 2
    restored = back("lanes", "lane_map", lanes)
    assert restored.shape == (64, 128)
    assert (restored[:, 64:] == 1).all()
    assert (restored[:, :64] == 0).all()
    # twice the pixels cover a metre where the frame has twice as many
    density = back("depth", "pixels_per_metre", np.full((64, 64), 10, np.float32))
    np.testing.assert_array_equal(density, np.full((64, 128), 20, np.float32))
    points = back("key_points", "key_points", np.array([[[3.0, 4.0, 0.5]]], np.float32))
    np.testing.assert_array_equal(points, [[[6.0, 8.0, 0.5]]])


def test_a_found_box_stands_for_the_labelled_one_of_its_class():
    sample = make_sample(0)
    boxes = sample.boxes.boxes_xyxy[::-1] + 1
    found = {"boxes_xyxy": boxes, "class_ids": sample.boxes.class_ids[::-1]}
    assert match_labelled(found, sample)[0].tolist() == [1, 0]
    swapped = {"boxes_xyxy": boxes, "class_ids": sample.boxes.class_ids}
    assert match_labelled(swapped, sample)[0].tolist() == [-1, -1]


@pytest.mark.parametrize("hidden", [False, True])
def test_a_boundary_whose_label_is_hidden_is_not_scored(hidden):
    sample = make_sample(0)
    if hidden:
        nothing = np.full_like(sample.class_map, IGNORE)
        sample = replace(sample, further={**sample.further, "outlines": nothing})
    score = BoundaryScore()
    score.update({"boundary": np.ones(sample.class_map.shape, np.float32)}, sample)
    assert bool(score.compute()) != hidden
