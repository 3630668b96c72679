"""Balancing: gradients on small networks whose answers can be worked out by hand."""

import json

import pytest
import torch
from torch import nn

from perception.core.errors import ConfigError
from perception.training.balancing import BALANCERS, build_balancer
from perception.training.balancing.affinity import affinity
from perception.training.balancing.agreement import agreement
from perception.training.balancing.report import LINES_FILE, keep, write_table
from perception.training.config import BalanceConfig, load_train_config
from perception.training.module import MultiTaskModule
from tests.training.factories import make_batch

TASKS = ("detection", "segmentation")
METHODS = sorted(set(BALANCERS) - {"nash_mtl"})  # its solver is not installed here


class Net(nn.Module):
    """One shared vector of two numbers, one number for each task."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Parameter(torch.zeros(2))
        self.a = nn.Parameter(torch.zeros(1))
        self.b = nn.Parameter(torch.zeros(1))
        self.unused = nn.Parameter(torch.zeros(1))

    def losses(self, left=(1.0, 0.0), right=(-0.5, 1.0)):
        first = self.shared @ torch.tensor(left) + 3 * self.a.sum() + 2.0
        second = self.shared @ torch.tensor(right) + 5 * self.b.sum() + 2.0
        return dict(zip(TASKS, (first, second), strict=True))


def step(method, net=None, losses=None, **options):
    net = net or Net()
    balancer = build_balancer(BalanceConfig(method=method, **options), TASKS, 1)
    torch.manual_seed(0)
    balancer.backward(losses or net.losses(), list(net.parameters()))
    return net, balancer


def test_equal_weights_are_the_sum():
    net, _ = step("fixed")
    assert net.shared.grad.tolist() == [0.5, 1.0]
    assert (net.a.grad.item(), net.b.grad.item()) == (3.0, 5.0)


def test_fixed_weights_scale_their_task():
    net, _ = step("fixed", weights={"segmentation": 2.0})
    assert net.shared.grad.tolist() == [0.0, 2.0]
    assert (net.a.grad.item(), net.b.grad.item()) == (3.0, 10.0)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_gradients_and_leaves_what_no_task_uses_alone(method):
    net, _ = step(method)
    assert torch.isfinite(net.shared.grad).all()
    assert net.shared.grad.abs().sum() > 0
    assert net.unused.grad is None


@pytest.mark.parametrize("method", ["pcgrad", "mgda", "cagrad", "upgrad", "gradnorm"])
def test_parameters_of_one_task_get_its_gradient_as_it_is(method):
    net, _ = step(method)
    assert (net.a.grad.item(), net.b.grad.item()) == (3.0, 5.0)


@pytest.mark.parametrize("method", ["pcgrad", "mgda", "upgrad"])
def test_a_step_along_the_joined_gradient_harms_no_task(method):
    net = Net()
    left, right = torch.tensor([1.0, 0.2]), torch.tensor([-0.9, 0.3])
    step(method, net, net.losses(left.tolist(), right.tolist()))
    assert left @ net.shared.grad >= -1e-6
    assert right @ net.shared.grad >= -1e-6
    assert right @ (left + right) < left @ (left + right), "the sum would favour one of them"


def test_upgrad_agrees_with_its_definition():
    net, _ = step("upgrad")
    # each row projected onto the dual cone of both: (1, 0) -> (0.8, 0.4), (-0.5, 1) -> (0, 1); the sum of the two
    assert net.shared.grad.tolist() == pytest.approx([0.8, 1.4], abs=1e-4)


def test_pcgrad_takes_the_conflicting_part_away():
    net, _ = step("pcgrad")
    # (1, 0) less its part along (-0.5, 1), and (-0.5, 1) less its part along (1, 0)
    assert net.shared.grad.tolist() == pytest.approx([0.8, 1.4], abs=1e-5)


@pytest.mark.parametrize("method", ["pcgrad", "mgda", "upgrad", "cagrad"])
def test_without_conflict_and_of_like_length_both_tasks_are_followed(method):
    net = Net()
    step(method, net, net.losses((1.0, 0.0), (0.0, 1.0)))
    assert net.shared.grad[0].item() == pytest.approx(net.shared.grad[1].item(), rel=1e-3)


def test_gradnorm_shortens_the_longer_gradient():
    net, balancer = step("gradnorm", losses=None, net=None)
    for _ in range(200):
        balancer.backward(net.losses((10.0, 0.0), (0.0, 0.1)), list(net.parameters()))
    weights = balancer.weights
    assert weights.sum().item() == pytest.approx(2.0)
    assert weights[0] < 0.2 < weights[1]


def test_weight_average_favours_the_loss_that_does_not_fall():
    balancer = build_balancer(BalanceConfig(method="dwa", period=1), TASKS, 1)
    for falling in (4.0, 2.0, 1.0):
        values = torch.tensor([falling, 3.0], requires_grad=True)
        balancer.total(values).backward()
    assert values.grad[1] > 1 > values.grad[0]


def test_uncertainty_is_learnt():
    balancer = build_balancer(BalanceConfig(method="uncertainty"), TASKS, 1)
    balancer.total(torch.tensor([10.0, 0.1])).backward()
    (log_var,) = balancer.parameters()
    assert log_var.grad[0] < 0 < log_var.grad[1], "a large loss grows less weighty"


def test_priority_is_with_the_task_that_lags():
    balancer = build_balancer(BalanceConfig(method="prioritized"), TASKS, 1)
    for falling in (4.0, *[0.4] * 60):
        values = torch.tensor([falling, 3.0], requires_grad=True)
        balancer.total(values).backward()
    assert values.grad[1] > 3 * values.grad[0]
    assert values.grad.sum().item() == pytest.approx(2.0)


def test_selection_trains_the_task_in_need_each_step_and_the_other_seldom():
    net = Net()
    balancer = build_balancer(BalanceConfig(method="selected"), TASKS, 1)
    chosen = []
    torch.manual_seed(0)
    for falling in (4.0, *[0.4] * 200):
        losses = net.losses()
        scaled = {
            "detection": losses["detection"] * falling,
            "segmentation": losses["segmentation"],
        }
        balancer.backward(scaled, list(net.parameters()))
        chosen.append(balancer.chosen)
    late = chosen[100:]
    assert all("segmentation" in tasks for tasks in late)
    assert 10 < sum("detection" in tasks for tasks in late) < 45


def test_agreement_is_the_cosine_on_shared_parameters_alone():
    net = Net()
    losses = net.losses((1.0, 0.0), (-1.0, 1.0))
    found = agreement(losses, list(net.parameters()))
    assert found["agreement/detection_segmentation"].item() == pytest.approx(-(0.5**0.5))
    assert found["length/segmentation"].item() == pytest.approx(2**0.5)
    sum(losses.values()).backward()  # the graph is still there


@pytest.mark.parametrize(
    ("options", "devices", "told"),
    [
        ({"method": "pcgrab"}, 1, "did you mean 'pcgrad'"),
        ({"weights": {"depth": 1.0}}, 1, "balance.weights: unknown name 'depth'"),
        ({"weights": {"detection": -1.0}}, 1, "expected 0 or more"),
        ({"method": "upgrad"}, 2, "expected devices = 1, got 2"),
        ({"method": "selected"}, 2, "expected devices = 1, got 2"),
        ({"method": "dwa", "weights": {"detection": 2.0}}, 1, "only method 'fixed' has weights"),
        ({"method": "nash_mtl"}, 1, "torchjd\\[nash-mtl\\]"),
    ],
)
def test_what_cannot_be_balanced_is_one_line(options, devices, told):
    with pytest.raises(ConfigError, match=told):
        build_balancer(BalanceConfig(**options), TASKS, devices)


def test_a_period_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="period >= 1"):
        BalanceConfig(period=0)


@pytest.mark.parametrize("method", ["pcgrad", "mgda", "cagrad", "upgrad", "gradnorm"])
def test_a_task_without_labels_in_a_batch_stops_nobody(method):
    net = Net()
    losses = net.losses()
    losses["detection"] = losses["detection"] * 0
    step(method, net, losses)
    left, right = net.shared.grad.tolist()
    assert right >= 0.99
    assert left == pytest.approx(-right / 2, abs=1e-4), "along the other task's gradient"


@pytest.mark.parametrize("method", ["gradnorm", "prioritized", "selected"])
def test_a_first_batch_without_labels_of_a_task_is_not_taken_for_its_start(method):
    net = Net()
    losses = net.losses()
    net, balancer = step(method, net, losses | {"detection": losses["detection"] * 0})
    for _ in range(50):
        balancer.backward(net.losses(), list(net.parameters()))
    if method == "gradnorm":
        assert balancer.weights.min() > 0.5
    else:
        first, second = balancer.progress.need().tolist()
        assert first == pytest.approx(second, rel=0.05), "both stand where they began"


def test_upgrad_of_three_tasks_harms_none_where_the_sum_would():
    rows = torch.tensor([[1.0, 0.1, 0.0], [-0.9, 0.4, 0.0], [-0.9, 0.1, 0.3]])
    balancer = build_balancer(BalanceConfig(method="upgrad"), ("a", "b", "c"), 1)
    joined = balancer.join(rows, torch.ones(3))
    assert (rows @ joined >= -1e-5).all()
    assert (rows @ rows.sum(0)).min() < -0.1


def test_a_run_reports_how_far_gradients_agree():
    config = load_train_config(
        "cascade",
        [
            'model={backbone="lean_resnet", pretrained=false, neck_channels=8}',
            "balance.report_every=1",
        ],
    )
    module = MultiTaskModule(config)
    logged = {}
    module.log_dict = lambda found, **_: logged.update(found)
    module.backward(module.training_step(make_batch(), 0))
    assert -1 <= logged["agreement/detection_segmentation"] <= 1
    assert logged["length/detection"] > 0
    assert all(p.grad is not None for p in module.model.parameters())


def test_affinity_is_what_a_step_for_one_task_does_to_the_loss_of_another():
    shared = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    own = torch.nn.Parameter(torch.tensor([1.0]))

    def losses():
        first, second = shared
        return {
            "a": first**2,
            "b": (first - 2) ** 2 + own.sum() ** 2,
            "c": 3 * second**2 + first**2,
        }

    kept = shared.detach().clone()
    graph = losses()
    found = affinity(graph, [shared, own], losses)
    step = 1e-3 * 2**0.5  # along the first number, for a and for b
    assert found["affinity/a_to_a"].item() == pytest.approx(2 * step, rel=0.01)
    assert found["affinity/a_to_b"].item() == pytest.approx(-step, rel=0.01)  # 2 step of 2
    assert found["affinity/b_to_a"].item() == pytest.approx(-2 * step, rel=0.01)
    share = 2 / 40**0.5  # of the step for c that is along the first number
    assert found["affinity/c_to_a"].item() == pytest.approx(2 * step * share, rel=0.01)
    torch.testing.assert_close(shared.detach(), kept, rtol=0, atol=0)
    sum(graph.values()).backward()  # the graph is still there


def test_a_run_reports_affinities_and_goes_on_as_without(tmp_path):
    def gradients(**reported):
        changes = [f"balance.{key}={value}" for key, value in reported.items()]
        config = load_train_config(
            "cascade",
            ['model={backbone="lean_resnet", pretrained=false, neck_channels=8}', *changes],
        )
        torch.manual_seed(0)
        module = MultiTaskModule(config)
        module.report_folder = tmp_path
        module.log_dict = lambda *_, **__: None
        module.backward(module.training_step(make_batch(), 0))
        means = {name: b.clone() for name, b in module.named_buffers() if "running" in name}
        return [p.grad for p in module.model.parameters()], means

    plain, counted = gradients()
    measured, counted_too = gradients(affinity_every=1, report_every=1)
    torch.testing.assert_close(measured, plain, rtol=0, atol=0)
    torch.testing.assert_close(counted_too, counted, rtol=0, atol=0)
    (row,) = map(json.loads, (tmp_path / LINES_FILE).read_text().splitlines())
    assert row["affinity/detection_to_detection"] > 0
    assert {"affinity/segmentation_to_detection", "agreement/detection_segmentation"} < set(row)


def test_the_table_has_the_means_of_every_quarter(tmp_path):
    for step, value in ((0, 1.0), (10, 3.0), (75, -1.0)):
        keep(tmp_path, step, {"agreement/a_b": torch.tensor(value)})
    write_table(tmp_path / LINES_FILE, tmp_path / "table.md", steps=100)
    assert "| agreement/a_b | 2.0000 | - | - | -1.0000 |" in (tmp_path / "table.md").read_text()
