"""Bookkeeping of heads and losses stays in float32 however narrow the model is made."""

import copy

import pytest
import torch

from neucollapse.heads import ClassMeanFeatures, SubCentre
from neucollapse.losses import AdaFace

NARROW = {
    "half": lambda module: module.half(),
    "bfloat16": lambda module: module.bfloat16(),
    "to": lambda module: module.to(torch.float16),
    "in a model": lambda module: torch.nn.ModuleList([module]).bfloat16()[0],
}


@pytest.mark.parametrize("make", NARROW.values(), ids=NARROW)
def test_running_means_move_as_in_float32(make):
    torch.manual_seed(0)
    wide, x, y = ClassMeanFeatures(8, 3, momentum=0.999, batch="mean"), torch.randn(64, 8), torch.arange(64) % 3
    narrow = make(copy.deepcopy(wide))
    for head in (wide, narrow):
        for step in range(50):
            head.update(x + 0.1 * step, y)
    assert narrow.weight.dtype == torch.float32
    assert torch.equal(narrow.weight, wide.weight)
    assert narrow.logits(x.half()).isfinite().all()


@pytest.mark.parametrize("make", NARROW.values(), ids=NARROW)
def test_counts_of_many_samples_neither_overflow_nor_stand_still(make):
    head = make(SubCentre(2, 2, centres=2))
    assert head.centres.dtype in (torch.float16, torch.bfloat16)
    x, y = torch.randn(2000, 2), torch.arange(2000) % 2
    for _ in range(100):
        head.update(x, y)
    assert head.usage.dtype == torch.float32
    expected = 1000 * (1 - 0.99**100) / 0.01
    torch.testing.assert_close(head.usage.sum(dim=1), torch.full((2,), expected), rtol=1e-5, atol=0)


@pytest.mark.parametrize("make", NARROW.values(), ids=NARROW)
def test_running_norms_move_as_in_float32(make):
    torch.manual_seed(0)
    wide = AdaFace(4, 3)
    narrow, x, y = make(copy.deepcopy(wide)), 30 * torch.randn(16, 4), torch.arange(16) % 3
    for loss in (wide, narrow):
        for step in range(20):
            loss(x + step, y)
    assert narrow.norm_mean.dtype == torch.float32
    torch.testing.assert_close(narrow.norm_mean, wide.norm_mean)
    torch.testing.assert_close(narrow.norm_std, wide.norm_std)


def test_a_wider_model_has_wider_bookkeeping():
    assert ClassMeanFeatures(4, 3).double().weight.dtype == torch.float64


@pytest.mark.parametrize("make", [ClassMeanFeatures, SubCentre])
@pytest.mark.parametrize(
    "form", [lambda y: y.to(torch.uint8), lambda y: y.numpy(), lambda y: y.tolist(), lambda y: y[:, None]]
)
def test_updates_take_labels_of_any_form_and_leave_ignored_rows_alone(make, form):
    torch.manual_seed(0)
    one, x, y = make(4, 200), torch.randn(6, 4), torch.tensor([156, 0, 199, 255, 156, 3])
    other = copy.deepcopy(one)
    one.update(x[y != 255], y[y != 255])
    x[3] = torch.nan
    other.update(x, form(y), ignore_index=255)
    for mine, theirs in zip(other.buffers(), one.buffers(), strict=True):
        assert torch.equal(mine, theirs)
