"""Promise P8: a measured model, its inputs and every global are bit for bit as before."""

import gc
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from neucollapse.probe import feature_batches, find_classifier, inspect


class Messy(nn.Module):
    """Writes into its input, its buffers and an embedding; draws random numbers; keeps part of itself frozen."""

    def __init__(self):
        super().__init__()
        self.first = nn.ReLU(inplace=True)
        self.table = nn.Embedding(4, 8, max_norm=0.1)
        self.body = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
        self.frozen = nn.Sequential(nn.BatchNorm1d(6)).eval()
        self.fc = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_buffer("trace", torch.zeros(6))
        self.fails_at = None

    def forward(self, x):
        self.calls += 1
        if not hasattr(self, "cache"):
            self.register_buffer("cache", torch.ones(6))
        x = self.first(x) + self.table(torch.arange(len(x)) % 4)
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        h = self.frozen(self.body(x))
        self.trace += h.detach().mean(0)
        self.trace = self.trace * 2  # another tensor under the same name
        if self.fails_at is not None and int(self.calls) + len(x) >= self.fails_at:
            raise RuntimeError("in the middle")
        return self.fc(h)


def state(model, *tensors):
    """Everything P8 names, as comparable values."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_forward_hooks_with_kwargs")
    saved = {**model.state_dict(keep_vars=True), **{f"input {i}": tensor for i, tensor in enumerate(tensors)}}
    return {
        "values": {name: tensor.detach().clone().numpy().tobytes() for name, tensor in saved.items()},
        "identities": {name: id(tensor) for name, tensor in saved.items()},
        "gradients": {name: (p.requires_grad, p.grad) for name, p in model.named_parameters()},
        "flags": [(name, module.training) for name, module in model.named_modules()],
        "hooks": [len(getattr(module, kind)) for module in model.modules() for kind in kinds],
        # Python's own generator is checked in test_untyped.py: beartype, which executes annotations here, draws from it.
        "random": (str(np.random.get_state()), torch.get_rng_state().numpy().tobytes()),  # noqa: NPY002
        "globals": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
        ),
    }


@pytest.fixture
def model():
    model = Messy().train()
    model.frozen.eval()
    model.body[0].weight.requires_grad_(False)
    return model


@pytest.fixture
def data():
    return torch.randn(20, 8), torch.randint(3, (20,))


pytestmark = pytest.mark.filterwarnings("ignore::neucollapse._errors.NeucollapseWarning")


@pytest.mark.parametrize("mode", ["eval", "keep"])
def test_after_each_batch_and_at_the_end(model, data, mode):
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(TensorDataset(*data), batch_size=7, shuffle=True, generator=generator)
    before, drawn = state(model, *data), generator.get_state()
    for _ in feature_batches(model, loader, layers=["body"], mode=mode):
        assert state(model, *data) == before
        assert torch.equal(generator.get_state(), drawn)
    assert state(model, *data) == before
    assert not hasattr(model, "cache")


def test_inputs_of_a_list_of_batches(model, data):
    before = state(model, *data)
    list(feature_batches(model, [data, data]))
    assert state(model, *data) == before


def test_after_an_exception_in_the_model(model, data):
    model.fails_at = 8  # on the third batch of 7, 7 and 6: counting starts anew for each
    loader = [(data[0][:6], data[1][:6]), data]
    before = state(model, *data)
    iterator = iter(feature_batches(model, loader))
    next(iterator)
    with pytest.raises(RuntimeError, match="in the middle"):
        next(iterator)
    assert state(model, *data) == before


def test_after_an_exception_in_the_loader(model, data):
    def batches():
        torch.rand(3)
        yield data
        raise OSError("disk")

    before = state(model, *data)
    with pytest.raises(OSError, match="disk"):
        list(feature_batches(model, batches()))
    assert state(model, *data) == before


def test_after_an_early_end(model, data):
    before = state(model, *data)
    for _ in feature_batches(model, DataLoader(TensorDataset(*data), batch_size=5, shuffle=True)):
        break
    iterator = iter(feature_batches(model, DataLoader(TensorDataset(*data), batch_size=5)))
    next(iterator)
    iterator.close()
    forgotten = iter(feature_batches(model, [data, data]))
    next(forgotten)
    assert state(model, *data) == before  # also while it is still open
    del forgotten
    gc.collect()
    assert state(model, *data) == before


def test_after_finding_and_inspecting(model, data):
    before = state(model, *data)
    find_classifier(model)
    find_classifier(model, data[0])
    find_classifier(model, data[0], name="fc")
    inspect(model, layers="auto")
    inspect(model, DataLoader(TensorDataset(*data), batch_size=5, shuffle=True), layers="auto")
    _ = feature_batches(model, [data]).classifier
    model.fails_at = 0
    for run in (find_classifier, lambda model, x: inspect(model, example=x)):
        with pytest.raises(RuntimeError, match="in the middle"):
            run(model, data[0])
    model.fails_at = None
    assert state(model, *data) == before


def test_the_callers_random_numbers_go_on_between_batches(model, data):
    torch.manual_seed(3)
    expected = [torch.rand(1) for _ in range(4)]
    torch.manual_seed(3)
    loader = DataLoader(TensorDataset(*data), batch_size=5, shuffle=True)
    got = [torch.rand(1) for _ in feature_batches(model, loader)]
    assert torch.equal(torch.cat(got), torch.cat(expected))


@pytest.mark.parametrize("mode", ["eval", "keep"])
def test_gradients_of_the_caller_survive(model, data, mode):
    """Measuring between a forward and a backward pass changes neither the loss nor its gradients."""

    def gradient(measures):
        torch.manual_seed(0)
        model.zero_grad()
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        hidden = model.body(data[0])
        if measures:
            list(feature_batches(model, [data], mode=mode))
        model.fc(hidden).square().sum().backward()
        model.load_state_dict(kept)
        return model.body[1].weight.grad.clone()

    assert torch.equal(gradient(False), gradient(True))


def test_grad_mode_of_the_consumer(model, data):
    for _ in feature_batches(model, [data]):
        assert torch.is_grad_enabled()
        assert torch.ones(1, requires_grad=True).mul(2).requires_grad
    with torch.inference_mode():
        for batch in feature_batches(model.eval(), [data]):
            assert torch.is_inference_mode_enabled()
            assert batch.features.isfinite().all()


class Curious(nn.Linear):
    """Remembers under which modes it ran."""

    def forward(self, features):
        self.seen = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), self.training
        return super().forward(features)


def test_modes_during_the_forward_pass(data):
    model = Curious(8, 3).train()
    for run in (lambda: list(feature_batches(model, [data])), lambda: find_classifier(model, data[0])):
        run()
        assert model.seen == (False, False, False)
    list(feature_batches(model, [data], mode="keep"))
    assert model.seen == (False, False, True)


class MergesOnEval(nn.Module):
    """Adapters of some libraries merge into the weight in ``eval()`` and leave it in ``train()``."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.delta = nn.Parameter(torch.randn(3, 8))

    def train(self, mode=True):
        if mode != self.training:
            self.fc.weight.data += self.delta.data * (-1 if mode else 1)
        return super().train(mode)

    def forward(self, x):
        return self.fc(x)


def test_overridden_train_is_not_called(data):
    model = MergesOnEval().train()
    before = state(model)
    list(feature_batches(model, [data]))
    assert state(model) == before
