"""The network of a config, what its module logs, and the learning rate over the steps."""

import dataclasses
import math

import pytest
import torch

from neucollapse.heads import Cosine, CosineHead, Linear, LinearHead
from neucollapse.losses import CrossEntropyLoss, MSELoss
from neucollapse.training import (
    AdamOptimizer,
    CollapseModule,
    ConvNetBackbone,
    MLPBackbone,
    SGDOptimizer,
    TrainConfig,
    build_model,
)
from neucollapse.training._batches import training_loader
from neucollapse.training._lightning import Callback, pl, quiet
from neucollapse.training._schedules import schedule_factor

PLAIN = MLPBackbone(width=8, depth=1, batch_norm=False)


def data(size=20):
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(size, 5, generator=generator)
    return torch.utils.data.TensorDataset(inputs, (inputs[:, 0] > 0).long())


def fit(config, module, callbacks=(), dataset=None):
    with quiet():
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=config.epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=list(callbacks),
        )  # fmt: skip
        trainer.fit(module, training_loader(dataset or data(), config.batch_size, config.seed))
    return trainer


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("head", [LinearHead(bias=False), CosineHead(scale=7.0)])
def test_network_of_a_config(normalize, head):
    config = TrainConfig(backbone=MLPBackbone(width=8), dim=3, head=head, normalize=normalize)
    model = build_model(config, (1, 4, 4), num_classes=5)
    features = model[:-1](10 * torch.randn(6, 1, 4, 4))
    assert features.shape == (6, 3)
    assert torch.allclose(features.norm(dim=1), torch.ones(6)) == normalize
    if isinstance(head, LinearHead):
        assert isinstance(model.head, Linear)
        assert model.head.bias is None
    else:
        assert isinstance(model.head, Cosine)
        assert model.head.scale == 7
    assert [name for name, _ in model.named_children()] == ["backbone", *(["sphere"] if normalize else []), "head"]


def test_options_reach_the_backbone():
    model = build_model(TrainConfig(backbone=MLPBackbone(width=8, depth=3, batch_norm=False), dim=None), (6,), 4)
    assert model.backbone.dim == 8
    assert [type(layer).__name__ for layer in model.backbone.body] == ["Flatten", *["Linear", "ReLU"] * 3]
    assert build_model(TrainConfig(backbone=ConvNetBackbone(width=4), dim=2), (1, 8, 8), 4).backbone.dim == 2


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64])
@pytest.mark.parametrize("loss", [CrossEntropyLoss(), MSELoss()], ids=lambda loss: loss.name)
def test_ignored_rows_count_for_nothing(loss, dtype):
    """Labels of any integer type; with rows of the label -100 the same weights and accuracy as without these rows."""
    config = TrainConfig(backbone=PLAIN, dim=3, epochs=4, batch_size=64, loss=loss)
    inputs, labels = data().tensors
    ignored = labels.clone().to(dtype)
    ignored[::4] = -100
    kept = torch.utils.data.TensorDataset(inputs[ignored >= 0], labels[ignored >= 0])
    weights, accuracies = [], []
    for dataset in (kept, torch.utils.data.TensorDataset(inputs, ignored)):
        torch.manual_seed(0)
        module = CollapseModule(config, build_model(config, (5,), 2))
        accuracies.append(fit(config, module, dataset=dataset).callback_metrics["train/accuracy"])
        weights.append(module.head.weight.detach())
    torch.testing.assert_close(*weights)
    assert accuracies[0] == accuracies[1]


def test_an_epoch_of_ignored_rows_alone_leaves_all_as_it_is():
    config = TrainConfig(backbone=PLAIN, dim=3, epochs=1, weight_decay=0.0)
    inputs, labels = data().tensors
    module = CollapseModule(config, build_model(config, (5,), 2))
    before = module.head.weight.detach().clone()
    fit(config, module, dataset=torch.utils.data.TensorDataset(inputs, torch.full_like(labels, -100)))
    assert torch.equal(module.head.weight, before)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_learning_rate_over_the_steps(schedule):
    rates = []

    class Record(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    config = TrainConfig(backbone=MLPBackbone(width=4), epochs=4, batch_size=8, schedule=schedule, lr=0.3)
    fit(config, CollapseModule(config, build_model(config, (5,), 2)), [Record()])
    T = 12
    expected = {
        "constant": [0.3] * T,
        "cosine": [0.15 * (1 + math.cos(math.pi * t / T)) for t in range(T)],
        "step": [0.3] * 6 + [0.03] * 3 + [0.003] * 3,
    }[schedule]
    assert rates == pytest.approx(expected, rel=1e-12)
    assert schedule_factor(schedule, T, T) == pytest.approx(
        {"constant": 1, "cosine": 0, "step": 0.01}[schedule], abs=1e-15
    )


@pytest.mark.parametrize("optimizer", [SGDOptimizer(), AdamOptimizer()], ids=lambda optimizer: optimizer.name)
def test_one_epoch_is_the_plain_loop(optimizer):
    """Weights, loss and accuracy against the same epoch written out with torch alone."""
    backbone = MLPBackbone(width=6, batch_norm=False)
    config = TrainConfig(
        backbone=backbone, dim=3, epochs=1, batch_size=8, optimizer=optimizer, lr=0.05, schedule="constant"
    )
    torch.manual_seed(0)
    module = CollapseModule(config, build_model(config, (5,), 2))
    plain = build_model(config, (5,), 2)
    plain.load_state_dict(module.model.state_dict())
    if optimizer == SGDOptimizer():
        steps = torch.optim.SGD(plain.parameters(), 0.05, 0.9, weight_decay=5e-4)
    else:
        steps = torch.optim.AdamW(plain.parameters(), 0.05, weight_decay=5e-4)
    losses, right = [], []
    for inputs, labels in training_loader(data(), 8, config.seed):
        z = plain(inputs)
        loss = torch.nn.functional.cross_entropy(z, labels, reduction="none")
        steps.zero_grad()
        loss.mean().backward()
        steps.step()
        losses += loss.tolist()
        right += (z.argmax(1) == labels).tolist()
    trainer = fit(config, module)
    for ours, theirs in zip(module.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(sum(losses) / 20, rel=1e-6)
    assert trainer.callback_metrics["train/accuracy"].item() == pytest.approx(sum(right) / 20, rel=1e-6)


def test_full_accuracy_is_exactly_one():
    """Else the zero-error epoch would be missed; a mean of the accuracies of batches of 7, 7, ..., 4 would round."""
    labels = torch.arange(501) % 3
    dataset = torch.utils.data.TensorDataset(torch.eye(3)[labels], labels)
    config = TrainConfig(epochs=1, batch_size=7, lr=1e-9)
    head = Linear(3, 3, bias=False)
    head.weight.data = torch.eye(3)
    module = CollapseModule(config, torch.nn.Sequential(torch.nn.Identity(), head))
    assert fit(config, module, dataset=dataset).callback_metrics["train/accuracy"].item() == 1.0
    labels[17] = (labels[17] + 1) % 3
    assert fit(config, module, dataset=dataset).callback_metrics["train/accuracy"].item() == pytest.approx(500 / 501)


def test_config_is_not_changed_by_use():
    config = TrainConfig()
    before = dataclasses.asdict(config)
    build_model(config, (4,), 3)
    assert dataclasses.asdict(config) == before
