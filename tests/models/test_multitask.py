import pytest
import timm
import torch

from perception.core.errors import ConfigError
from perception.models.backbones import BACKBONES
from perception.models.backbones.efficientnet_lite0 import ARCHITECTURE, build, read_weights
from perception.models.config import ModelConfig
from perception.models.heads.detection import DetectionHead
from perception.models.multitask import MultiTaskModel

FRAME = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_each_backbone_gives_maps_at_strides_4_to_32(name):
    backbone = BACKBONES[name](False).eval()
    with torch.no_grad():
        maps = backbone(FRAME)
    sizes = [
        (1, channels, 64 // s, 96 // s)
        for channels, s in zip(backbone.out_channels, (4, 8, 16, 32), strict=True)
    ]
    assert [tuple(m.shape) for m in maps] == sizes


@pytest.mark.parametrize("name", [n for n in BACKBONES if n != "efficientnet_lite0"])
def test_a_backbone_without_pretrained_weights_says_so(name):
    with pytest.raises(
        ConfigError, match=r"no pretrained weights here; set model\.pretrained=false"
    ):
        BACKBONES[name](True)


def test_the_pretrained_features_are_those_of_the_published_network():
    published = timm.create_model(ARCHITECTURE, features_only=True, out_indices=(1, 2, 3, 4)).eval()
    weights = read_weights()
    published.load_state_dict({name: weights[name] for name in published.state_dict()})
    rgb = FRAME.flip(3).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = published((rgb - 127.0) / 128.0)
        features = build(True).eval()(FRAME)
    for mine, theirs in zip(features, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_swapping_red_and_blue_changes_the_features():
    backbone = build(True).eval()
    with torch.no_grad():
        assert not torch.allclose(backbone(FRAME)[0], backbone(FRAME.flip(3))[0], atol=1e-2)


@pytest.mark.parametrize(
    ("task", "has_boxes", "has_map"),
    [
        ("detection", True, False),
        ("segmentation", False, True),
        ("parallel", True, True),
        ("cascade", True, True),
    ],
)
def test_one_setting_chooses_the_heads(task, has_boxes, has_map):
    model = MultiTaskModel(ModelConfig(task=task, pretrained=False, neck_channels=16)).eval()
    with torch.no_grad():
        out = model(FRAME)
    assert (out.detection is not None) == has_boxes
    assert (out.class_logits is not None) == has_map


@pytest.mark.parametrize(("task", "reaches"), [("cascade", True), ("parallel", False)])
@pytest.mark.parametrize("seen", ["prediction", "features"])
def test_segmentation_gradients_reach_the_detection_head_in_the_cascade_only(task, reaches, seen):
    config = ModelConfig(task=task, pretrained=False, neck_channels=16, cascade_input=seen)
    model = MultiTaskModel(config)
    model(FRAME.repeat(2, 1, 1, 1)).class_logits.sum().backward()
    gradients = [p.grad for p in model.heads["detection"].convolutions.parameters()]
    assert any(g is not None and g.abs().sum() > 0 for g in gradients) == reaches


def test_the_statistics_kept_for_inference_are_right_for_each_stride():
    torch.manual_seed(0)
    head = DetectionHead(8, 3)
    pyramid = tuple(
        (1 + 3 * i) * torch.randn(4, 8, 64 // 2**i, 64 // 2**i) - 2 * i for i in range(3)
    )
    with torch.no_grad():
        for _ in range(60):  # the running averages settle
            trained = head.train()(pyramid)
        kept = head.eval()(pyramid)
    for ours, theirs in zip(kept.features, trained.features, strict=True):
        assert torch.allclose(ours, theirs, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("detail", [0, 8])
def test_class_scores_come_in_cells_of_the_configured_stride(stride, detail):
    options = {"pretrained": False, "backbone": "lean_resnet", "neck_channels": 16}
    if detail and stride == 8:
        with pytest.raises(
            ConfigError, match=r"detail_channels: needs model\.map_stride = 4, got 8"
        ):
            ModelConfig(**options, map_stride=stride, detail_channels=detail)
        return
    config = ModelConfig(**options, map_stride=stride, detail_channels=detail, smooth_shallow=False)
    model = MultiTaskModel(config).eval()
    with torch.no_grad():
        assert model(FRAME).class_logits.shape[2:] == (64 // stride, 96 // stride)


def test_a_head_that_looks_at_fine_detail_sees_what_a_shallow_cell_cannot_tell():
    torch.manual_seed(0)
    config = ModelConfig(
        pretrained=False, backbone="lean_resnet", neck_channels=16, map_stride=4, detail_channels=8
    )
    head = MultiTaskModel(config).heads["segmentation"].eval()
    pyramid = tuple(torch.randn(1, 16, 8 // k, 8 // k) for k in (1, 2, 4))
    seen = tuple(torch.randn(1, 8, 8 // k, 8 // k) for k in (1, 2, 4))
    fine = torch.randn(1, 48, 16, 16)
    changed = fine.clone()
    changed[:, :, 0, 0] += 5.0
    with torch.no_grad():
        difference = (head(pyramid, seen, changed) - head(pyramid, seen, fine)).abs().amax(dim=1)
    assert difference[0, 0, 0] > 0
    assert difference[0, 3:].max() == 0, "detail stays where it is"
