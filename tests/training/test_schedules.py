"""What changes over the steps: learning rates of two groups, scale and margin, each a pure function of the step."""

import pytest
import torch

from neucollapse.heads import CosineHead
from neucollapse.losses import ArcFaceLoss, ArcMargin, CentreLoss, CosMargin, SphereMargin
from neucollapse.training import AdamOptimizer, CollapseModule, MLPBackbone, SGDOptimizer, TrainConfig, build_model
from neucollapse.training._lightning import Callback
from neucollapse.training._schedules import ramp

from .test_module import fit


def recorded(config, read):
    """``read(module, optimizer)`` in every step, at the values that the step used."""
    values = []

    class Record(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            values.append(read(pl_module, optimizer))

    fit(config, CollapseModule(config, build_model(config, (5,), 2)), [Record()])
    return values


def test_ramp():
    assert [ramp(step, 10, 0.3) for step in range(5)] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert ramp(0, 10, 0) == ramp(10, 10, 1) == 1
    assert ramp(5, 10, 1) == 0.5


def test_margins_grow_from_none():
    assert CosMargin(0.4).grown(0.25) == CosMargin(0.1)
    assert ArcMargin(0.5).grown(0.0) == ArcMargin(0.0)
    assert SphereMargin(3.0, "v0").grown(0.5) == SphereMargin(2.0, "v0")
    for margin in (CosMargin(), ArcMargin(), SphereMargin()):
        assert margin.grown(1.0) == margin
        torch.testing.assert_close(margin.grown(0.0).target(torch.tensor([0.3])), torch.tensor([0.3]))


def test_scale_and_margin_of_a_run():
    """Twelve steps: the scale grows geometrically over six, the margin in a line over three."""
    config = TrainConfig(
        backbone=MLPBackbone(width=4), epochs=4, batch_size=8, head=CosineHead(scale=64.0, scale_start=1.0, scale_over=0.5),
        loss=ArcFaceLoss(margin=0.3, margin_warmup=0.25),
    )  # fmt: skip
    values = recorded(config, lambda module, _: (module.head.scale.item(), module.loss.margin.m))
    assert [scale for scale, _ in values] == pytest.approx([2.0**step for step in range(7)] + [64.0] * 5)
    assert [margin for _, margin in values] == pytest.approx([0.0, 0.1, 0.2] + [0.3] * 9)


@pytest.mark.parametrize("optimizer", [SGDOptimizer(), AdamOptimizer()], ids=lambda optimizer: optimizer.name)
def test_the_head_has_its_own_rate_and_decay(optimizer):
    config = TrainConfig(
        backbone=MLPBackbone(width=4), epochs=2, batch_size=8, optimizer=optimizer, schedule="step", lr=0.1,
        weight_decay=1e-3, head_lr=2.0, head_weight_decay=0.0, loss=CentreLoss(),
    )  # fmt: skip

    def read(module, optimizer):
        backbone, head = optimizer.param_groups
        assert {id(p) for p in head["params"]} == {
            id(p) for p in (*module.head.parameters(), *module.loss.parameters())
        }
        assert {id(p) for p in backbone["params"]} == {id(p) for p in module.model[:-1].parameters()}
        return backbone["lr"], backbone["weight_decay"], head["lr"], head["weight_decay"]

    rates = recorded(config, read)
    assert rates[0] == (0.1, 1e-3, 2.0, 0.0)
    assert rates[-1] == pytest.approx((0.001, 1e-3, 0.02, 0.0))


def test_centres_follow_at_their_own_rate():
    """Their step is that of the centre loss alone, however little it weighs in the loss of the features."""
    config = TrainConfig(backbone=MLPBackbone(width=4), dim=3, loss=CentreLoss(beta=1e-6))
    module = CollapseModule(config, build_model(config, (5,), 2))
    features = torch.tensor([[3.0, 0.0, 0.0]], requires_grad=True)
    loss = module.loss(features, torch.tensor([1]), module.head)
    loss.backward()
    torch.testing.assert_close(module.loss.centre.weight.grad, torch.tensor([[0.0, 0.0, 0.0], [-1.5, 0.0, 0.0]]))
    plain = torch.nn.functional.cross_entropy(module.head(features), torch.tensor([1]))
    torch.testing.assert_close(loss, plain + 1e-6 * 4.5)
    torch.testing.assert_close(features.grad, torch.autograd.grad(plain, features)[0], atol=1e-5, rtol=0)
