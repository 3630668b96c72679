import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from perception.core.camera import Camera
from perception.core.errors import ConfigError
from perception.core.geometry import PADDING_VALUE
from perception.core.labels import IGNORE, KEY_POINTS, ROAD, VEHICLE, map_id
from perception.datasets import BoxLabels, Sample
from perception.training.augment.colours import RandomTone
from perception.training.augment.transforms import (
    LetterboxPad,
    RandomScale,
    build_transforms,
    cut_boxes,
)
from perception.training.data import MixedData, to_tensors
from perception.training.further import collate_further, further_labels
from perception.training.inference import run_on_sample
from perception.training.mixture import DataConfig, SetConfig
from tests.training.factories import make_scene, write_kitti_road


def make_sample(seed=0, size_wh=(160, 120)):
    image, class_map, boxes = make_scene(np.random.default_rng(seed), size_wh)
    labels = BoxLabels(boxes, np.zeros(1, np.int64), (0, 1, 2), np.zeros(class_map.shape, np.bool_))
    return Sample("scene", image, class_map, labels, None)


@pytest.mark.parametrize("seed", range(12))
def test_frame_boxes_and_class_map_move_together(seed):
    torch.manual_seed(seed)
    varied = build_transforms((96, 64), (0.7, 1.6), "tone")(to_tensors(make_sample(seed)))
    class_map = varied["maps"][0]
    boxes, kept = cut_boxes(varied["boxes"].as_subclass(torch.Tensor), (96, 64))
    seen = (class_map == VEHICLE).nonzero()
    if not kept.any():
        assert len(seen) < 0.5 * 20 * 20 * 1.6**2
        return
    found = torch.tensor(
        [seen[:, 1].min(), seen[:, 0].min(), seen[:, 1].max() + 1, seen[:, 0].max() + 1]
    )
    assert (found - boxes[0]).abs().max() <= 1.5, "the box is the hull of the vehicle's pixels"
    frame = varied["frame"].float()
    red = (frame[2] - frame[0])[class_map == VEHICLE]
    grey = (frame[2] - frame[0])[class_map == ROAD]
    assert red.numel() == 0 or grey.numel() == 0 or red.median() != grey.median()


def test_padding_lies_right_and_below_as_in_the_car():
    transform = LetterboxPad((100, 140))
    widths = set()
    for seed in range(40):
        torch.manual_seed(seed)
        padded = transform(to_tensors(make_sample()))
        height, width = padded["frame"].shape[1:]
        assert 160 <= width < 160 + 32
        assert 140 <= height < 120 + 32
        assert torch.equal(padded["frame"][:, :120, :160], to_tensors(make_sample())["frame"])
        assert (padded["frame"][:, 120:] == PADDING_VALUE).all()
        assert (padded["maps"][:, :, 160:] == IGNORE).all()
        assert torch.equal(padded["boxes"], to_tensors(make_sample())["boxes"])
        widths.add(width)
    assert len(widths) > 10, "of random width"


@pytest.mark.parametrize("seed", range(6))
def test_padding_stays_on_the_right_in_flipped_frames(seed):
    torch.manual_seed(seed)
    ignored = build_transforms((320, 320), (1.0, 1.0), "jitter")(to_tensors(make_sample()))["maps"][
        0
    ]
    ignored = ignored == IGNORE
    assert ignored[:, -1].all()
    assert not ignored[:120, :160].any()


def test_padding_is_ignored_and_unjudged():
    torch.manual_seed(0)
    varied = build_transforms((320, 320), (1.0, 1.0), "jitter")(to_tensors(make_sample()))
    padded = varied["maps"][0] == IGNORE
    assert padded.sum() == 320 * 320 - 160 * 120
    assert torch.equal(padded, varied["maps"][1] == IGNORE)


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        pytest.param([10, 10, 30, 30], True, id="inside"),
        pytest.param([-10, 10, 30, 30], True, id="three quarters inside"),
        pytest.param([-40, 10, 10, 30], False, id="a fifth inside"),
        pytest.param([10, 10, 13, 30], False, id="too narrow"),
        pytest.param([-40, -40, -10, -10], False, id="outside"),
    ],
)
def test_boxes_are_cut_to_the_frame(box, kept):
    clipped, keep = cut_boxes(torch.tensor([box], dtype=torch.float32), (64, 48))
    assert keep.tolist() == [kept]
    assert clipped.min() >= 0
    assert clipped[0, 2] <= 64


def test_what_a_set_does_not_label_is_ignored_everywhere():
    image, *_ = make_scene(np.random.default_rng(0))
    tensors = to_tensors(Sample("bare", image, None, None, None))
    assert (tensors["maps"] == IGNORE).all()
    assert isinstance(tensors["boxes"], tv_tensors.BoundingBoxes)
    assert len(tensors["boxes"]) == 0
    assert not tensors["boxed"].any()


def test_road_frames_become_batches_of_groups(tmp_path):
    config = DataConfig(
        sets=(SetConfig(name="kitti_road"),), crop_wh=(96, 64), batch_size=3, workers=0
    )
    batch = next(iter(MixedData(config, 1, 2, write_kitti_road(tmp_path)).train_dataloader()))
    assert tuple(batch.frame.shape) == (3, 64, 96, 3)
    assert batch.frame.dtype == torch.uint8
    assert set(batch.class_map.unique().tolist()) <= {ROAD, map_id("not_road"), IGNORE}
    assert batch.unjudged.all()


def test_validation_frames_are_whole_and_spread(tmp_path):
    config = DataConfig(sets=(SetConfig(name="kitti_road"),), workers=0)
    items = list(MixedData(config, 1, 2, write_kitti_road(tmp_path)).val_dataloader())
    assert [(name, sample.name) for name, sample in items] == [
        ("kitti_road", "um_000052"),
        ("kitti_road", "um_000055"),
    ]


def test_validation_sets_need_not_be_training_sets(tmp_path):
    sets = (SetConfig(name="camvid"), SetConfig(name="kitti_object"))
    config = DataConfig(sets=sets, val_sets=("kitti_road",), workers=0)
    items = list(MixedData(config, 1, 0, write_kitti_road(tmp_path)).val_dataloader())
    assert [name for name, _ in items] == ["kitti_road"] * 4


class Blue(torch.nn.Module):
    """The class of a pixel is its blue value; one box covers what is above the middle of the frame that it is given."""

    def __init__(self, content_hw):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.content_hw = content_hw
        self.seen_hw = None

    def forward(self, frame, _lidar):
        self.seen_hw = tuple(frame.shape[1:3])
        height, width = self.content_hw
        return {
            "class_map": frame[..., 0],
            "boxes_xyxy": torch.tensor([[[0.0, 0.0, width, height / 2]]]),
            "scores": torch.ones(1, 1),
            "class_ids": torch.zeros(1, 1, dtype=torch.int32),
        }

    def restore(self, _outputs, _box):
        return {}


@pytest.mark.parametrize(
    ("scale", "content_hw", "model_hw"),
    [
        pytest.param(1.0, (120, 160), (128, 160), id="whole"),
        pytest.param(0.5, (60, 80), (64, 96), id="half"),
    ],
)
def test_results_are_in_the_pixels_of_the_frame_at_any_scale(scale, content_hw, model_hw):
    image = np.zeros((120, 160, 3), np.uint8)
    image[60:] = ROAD
    graph = Blue(content_hw)
    result = run_on_sample(graph, Sample("halves", image, None, None, None), scale)
    assert graph.seen_hw == model_hw
    np.testing.assert_array_equal(result.class_map, image[..., 0])
    np.testing.assert_array_equal(result.detections.boxes_xyxy, [[0, 0, 160, 60]])


@pytest.mark.parametrize("scale", [0.0, 1.5])
def test_a_scale_that_would_not_make_frames_smaller_is_refused(scale):
    with pytest.raises(ConfigError, match=r"data\.val_scale: expected more than 0 and at most 1"):
        DataConfig(val_scale=scale)


@pytest.mark.parametrize("seed", range(5))
def test_tone_keeps_order_of_brightness_within_a_channel_and_labels_as_they_are(seed):
    torch.manual_seed(seed)
    ramp = torch.arange(256, dtype=torch.uint8).expand(3, 2, 256)
    maps = tv_tensors.Mask(ramp[:2].clone())
    varied = RandomTone()({"frame": tv_tensors.Image(ramp.clone()), "maps": maps})
    assert (varied["frame"].long().diff(dim=2) >= 0).all()
    assert not torch.equal(varied["frame"], ramp), "it changes pictures"
    assert torch.equal(varied["maps"], maps)
    assert isinstance(varied["frame"], tv_tensors.Image)
    elsewhere = tv_tensors.Image(
        ramp.clone().to("meta")
    )  # as a GPU, a device whose memory is not the CPU's
    assert RandomTone()(elsewhere).device == elsewhere.device


def labelled(width=64, height=48):
    """A frame whose left third has one object, with every kind of further label."""
    camera = Camera(width_px=width, height_px=height, fx_px=100.0, fy_px=100.0, cx_px=32.0, cy_px=24.0)  # fmt: skip
    boxes = BoxLabels(
        np.array([[4, 8, 20, 40]], np.float32), np.array([1]), (1,), np.zeros((height, width), np.bool_)
    )  # fmt: skip
    lanes = np.zeros((height, width), np.uint8)
    lanes[:, : width // 3] = 1
    depth = np.full((height, width), 10, np.float32)
    points = np.full((1, len(KEY_POINTS), 3), np.nan, np.float32)
    points[0, KEY_POINTS.index("left_wrist")] = 6, 20, 1
    points[0, KEY_POINTS.index("right_wrist")] = 18, 20, 0
    further = {
        "lanes": lanes, "depth_m": depth, "instances": lanes.astype(np.int32), "instance": np.array([1]),
        "key_points": points, "light": np.array(3),
    }  # fmt: skip
    return Sample("one", np.zeros((height, width, 3), np.uint8), None, boxes, camera, further)


def varied(transform):
    sample = labelled()
    changed = transform(to_tensors(sample))
    return further_labels(changed, torch.ones(1, dtype=torch.bool))


def test_in_a_mirror_left_is_right_and_a_point_stays_on_its_pixel():
    _, found = varied(v2.RandomHorizontalFlip(p=1.0))
    points = found["key_points"][0]
    assert points[KEY_POINTS.index("right_wrist")].tolist() == [64 - 6, 20, 1]
    assert points[KEY_POINTS.index("left_wrist")].tolist() == [64 - 18, 20, 0]
    assert points[KEY_POINTS.index("head")].isnan().all()
    np.testing.assert_array_equal(found["lanes"], labelled().further["lanes"][:, ::-1])
    assert (found["instance"].tolist(), found["light"].item()) == ([1], 3)


def test_a_frame_of_twice_the_size_has_twice_the_focal_length_and_the_same_depth():
    focal_px, found = varied(RandomScale(2.0, 2.0))
    assert focal_px == pytest.approx(200.0)
    assert found["depth_m"].shape == (96, 128)
    assert (found["depth_m"] == 10).all()
    assert found["key_points"][0, KEY_POINTS.index("left_wrist"), :2].tolist() == [12, 40]


def test_what_padding_adds_is_unknown():
    _, found = varied(LetterboxPad((96, 96)))
    assert found["depth_m"][48:].isnan().all()
    assert (found["lanes"][48:] == 255).all()
    assert (found["instances"][48:] == -1).all()


def test_a_batch_has_what_any_of_its_frames_has_and_the_others_are_unknown():
    _, found = varied(torch.nn.Identity())
    empty = {"class_map": torch.zeros(48, 64), "boxes_xyxy": torch.zeros(2, 4), "further": {}}
    batch = collate_further([{**empty, "boxes_xyxy": torch.zeros(1, 4), "further": found}, empty])
    assert set(batch) == set(labelled().further)
    assert batch["depth_m"].shape == (2, 48, 64)
    assert batch["depth_m"][1].isnan().all()
    assert batch["light"].tolist() == [3, -1]
    assert [tuple(points.shape) for points in batch["key_points"]] == [(1, 14, 3), (2, 14, 3)]
    assert batch["instance"][1].tolist() == [-1, -1]
