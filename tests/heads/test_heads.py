"""The contract of a head, run on every head, and what each one adds."""

import copy
import math

import pytest
import torch

from neucollapse import InputError
from neucollapse.heads import Cosine, Head, Linear

HEADS = {
    "linear": lambda: Linear(4, 3),
    "linear without bias": lambda: Linear(4, 3, bias=False),
    "cosine": lambda: Cosine(4, 3),
    "cosine, learned scale": lambda: Cosine(4, 3, scale=5.0, learn_scale=True),
}


@pytest.fixture(params=HEADS)
def head(request) -> Head:
    return HEADS[request.param]()


def test_contract(head):
    features = torch.randn(2, 5, 4)
    logits = head(features)
    assert logits.shape == (2, 5, 3)
    assert torch.equal(logits, head.logits(features))
    assert head.weight.shape == (3, 4)
    assert (head.dim, head.num_classes) == (4, 3)
    assert "dim=4" in repr(head)


def test_every_parameter_gets_a_gradient(head):
    head(torch.randn(5, 4)).pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())


def test_state_travels(head):
    features = torch.randn(5, 4)
    other = copy.deepcopy(head)
    for p in other.parameters():
        torch.nn.init.normal_(p)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features), head(features))
    double = head.double()
    assert double(features.double()).dtype == torch.float64


def test_linear_is_torch_linear():
    torch.manual_seed(0)
    head = Linear(32, 10)
    features = torch.randn(5, 32)
    rows = list(zip(head.weight.detach(), head.bias.detach(), strict=True))
    z = torch.tensor([[sum(w * x) + b for w, b in rows] for x in features])
    torch.testing.assert_close(head(features), z)
    assert head.weight.abs().max() <= 32**-0.5
    assert Linear(3, 2, bias=False).bias is None


def test_cosine_sees_directions_alone():
    head = Cosine(4, 3, scale=7.0)
    features = torch.randn(5, 4)
    z = torch.tensor([[7.0 * (w @ x) / w.norm() / x.norm() for w in head.weight.detach()] for x in features])
    torch.testing.assert_close(head(features), z)
    torch.testing.assert_close(head(100 * features), z)
    assert head.scale == 7


def test_learned_scale_stays_positive():
    head = Cosine(4, 3, scale=2.0, learn_scale=True)
    assert head.scale.item() == pytest.approx(2.0)
    head.log_scale.data.fill_(-50.0)
    assert head.scale.item() == pytest.approx(math.exp(-50))
    assert [n for n, _ in Cosine(4, 3).named_parameters()] == ["weight"]


@pytest.mark.parametrize("make", [lambda: Linear(0, 3), lambda: Cosine(4, 0), lambda: Cosine(4, 3, scale=0.0)])
def test_errors_are_sentences(make):
    with pytest.raises(InputError, match="expected"):
        make()
