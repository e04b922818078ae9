"""What a split and an inner layer are measured against: the class means of train, wherever it stands, and no classifier."""

import pytest
import torch
from torch import nn

import neucollapse
from neucollapse.metrics import REGISTRY


def blobs(seed, shift):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(4).repeat(8)
    means = torch.eye(4, dtype=torch.float64).roll(shift, 0)
    return means[labels] + 0.05 * torch.randn(32, 4, generator=generator, dtype=torch.float64), labels


@pytest.mark.parametrize("order", [("train", "test"), ("test", "train")])
def test_the_reference_is_the_split_named_train_wherever_it_stands(order):
    data = {"train": blobs(0, 0), "test": blobs(1, 1)}
    result = neucollapse.measure({name: data[name] for name in order}, weight=torch.eye(4), progress=False)
    assert result["train/accuracy/ncc"] == 1
    assert result["test/accuracy/ncc"] == 0  # the means of test are those of train under other names
    assert result["test/nc4/mismatch"] == 0
    assert result["test/test_collapse/strong"] > 100 * result["test/test_collapse/weak"]


def test_without_a_split_named_train_the_first_is_the_reference():
    result = neucollapse.measure({"a": blobs(0, 0), "b": blobs(1, 1)}, weight=torch.eye(4), progress=False)
    assert (result["a/accuracy/ncc"], result["b/accuracy/ncc"]) == (1, 0)


def test_an_inner_layer_has_what_needs_no_classifier_and_nothing_else():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4)).double().eval()
    H, y = blobs(0, 0)
    data = [(H, y)]
    result = neucollapse.measure(model, data, layers=["0"], ood=[(H + 3, y)], progress=False)
    inner = {key.partition("@layer:")[0] for key in (*result, *result.absent) if "@layer:" in key}
    alone = neucollapse.measure((H, y), progress=False)
    needs = {
        key
        for key, reason in alone.absent.items()
        if any(option in reason for option in ("weight=", "ood=", "scatter="))
    }
    assert inner == REGISTRY.keys() - needs
    assert {"mse/loss", "bias/relation", "nc3/cosine", "nc5/cosine", "nc0/row_sum@weight"} <= needs
