"""P12: value and gradient of the cross-entropy, in particular where the usual form has none left."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F  # noqa: N812

from neucollapse import InputError
from neucollapse.heads import Cosine, Linear
from neucollapse.losses import CrossEntropy, cross_entropy
from neucollapse.losses._log_odds import softplus


def naive(logits, labels):
    """-log p_y from its definition, one sample at a time; math.expm1 and log1p in Python floats."""
    losses = []
    for z, y in zip(logits.double().tolist(), labels.tolist(), strict=True):
        others = math.fsum(math.exp(z_j - z[y]) for j, z_j in enumerate(z) if j != y)
        losses.append(math.log1p(others))
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("spread", [0.0, 1e-3, 1.0, 30.0, 100.0])
def test_value_is_the_definition(spread):
    logits = spread * torch.randn(50, 7, dtype=torch.float64)
    labels = torch.randint(7, (50,))
    torch.testing.assert_close(
        cross_entropy(logits, labels, reduction="none"), naive(logits, labels), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_agrees_with_torch_before_the_terminal_phase(reduction):
    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, -100, 1])
    ours, theirs = (f(logits, labels, reduction=reduction) for f in (cross_entropy, F.cross_entropy))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    gradients = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("margin", [0.0, 46.0, 200.0, 700.0, -46.0])
def test_gradcheck_at_any_margin(margin):
    # The loss is divided by its size, so that the check is relative: a margin of 700 makes a loss of 1e-304.
    logits = torch.randn(3, 5, dtype=torch.float64) * 0.3
    labels = torch.tensor([0, 2, 4])
    logits[torch.arange(3), labels] += margin
    size = cross_entropy(logits, labels).item()

    def relative(z):
        return cross_entropy(z, labels, reduction="none") / size

    assert gradcheck(relative, logits.requires_grad_(), rtol=1e-6, atol=1e-8)
    assert gradgradcheck(relative, logits, rtol=1e-6, atol=1e-8)


def test_gradcheck_where_two_logits_are_equal():
    logits = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)  # m = 0: the two sides of softplus meet
    labels = torch.tensor([0, 1])
    assert gradcheck(lambda z: cross_entropy(z, labels), logits)
    assert gradgradcheck(lambda z: cross_entropy(z, labels), logits)


@pytest.mark.parametrize("x", [-700.0, -60.0, -1.0, -1e-12, 0.0, 1e-12, 1.0, 19.0, 21.0, 60.0])
def test_softplus_value_and_two_derivatives(x):
    point = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    value = softplus(point)
    (first,) = torch.autograd.grad(value, point, create_graph=True)
    (second,) = torch.autograd.grad(first, point)
    small = math.exp(-abs(x))
    expected = max(x, 0.0) + math.log1p(small), (small if x < 0 else 1.0) / (1 + small), small / (1 + small) ** 2
    found = value.item(), first.item(), second.item()
    assert found == pytest.approx(expected, rel=1e-14, abs=0)


def test_tiny_losses_are_exact():
    """Losses of 1e-20 in float64 to rounding, and of 8e-27 in float32, the simplex of 100 classes at scale 64."""
    for size in (1e-5, 1e-20, 1e-200):
        logits = torch.tensor([[-math.log(size), 0.0]], dtype=torch.float64)
        exact = math.log1p(math.exp(math.log(size)))
        assert cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(exact, rel=1e-13, abs=0)
    K, s = 100, 64.0
    logits = torch.full((1, K), -s / (K - 1))
    logits[0, 0] = s
    exact = (K - 1) * math.exp(-float(logits[0, 0].double() - logits[0, 1].double()))
    assert 8e-27 < exact < 1e-26
    assert cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(exact, rel=1e-5)
    assert F.cross_entropy(logits, torch.tensor([0])).item() == 0


@pytest.mark.parametrize("gap", [10.0, 30.0, 80.0])
def test_float32_gradient_in_the_terminal_phase(gap):
    logits = torch.randn(20, 10)
    labels = torch.randint(10, (20,))
    logits[torch.arange(20), labels] += gap
    z32, z64 = logits.clone().requires_grad_(), logits.double().requires_grad_()
    for z in (z32, z64):
        cross_entropy(z, labels, reduction="sum").backward()
    torch.testing.assert_close(z32.grad.double(), z64.grad, rtol=1e-4, atol=0)
    assert (z32.grad[torch.arange(20), labels] < 0).all()


def test_ignored_samples_get_no_gradient_even_when_not_finite():
    logits = torch.randn(3, 4)
    logits[1] = torch.nan
    logits.requires_grad_()
    loss = cross_entropy(logits, torch.tensor([0, -100, 3]))
    loss.backward()
    torch.testing.assert_close(loss, cross_entropy(logits.detach()[[0, 2]], torch.tensor([0, 3])))
    assert torch.equal(logits.grad[1], torch.zeros(4))
    assert cross_entropy(logits.detach(), torch.tensor([7, 1, 7]), reduction="none", ignore_index=7).shape == (3,)
    assert cross_entropy(torch.randn(2, 3), torch.full((2,), -100)).isnan()
    assert cross_entropy(torch.randn(2, 3), torch.full((2,), -100), reduction="sum") == 0


def test_shapes_and_dtypes():
    logits = torch.randn(2, 3, 4)
    labels = torch.randint(4, (2, 3))
    losses = cross_entropy(logits, labels, reduction="none")
    assert losses.shape == (2, 3)
    torch.testing.assert_close(
        losses.flatten(), cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    )
    for half in (torch.float16, torch.bfloat16):
        loss = cross_entropy(logits.to(half), labels.to(torch.int32), reduction="none")
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, cross_entropy(logits.to(half).float(), labels, reduction="none"))


def test_one_class_has_no_loss():
    logits = torch.randn(3, 1, requires_grad=True)
    loss = cross_entropy(logits, torch.zeros(3, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros(3, 1))


def test_impossible_classes_may_be_masked():
    logits = torch.tensor([[1.0, -torch.inf, 0.0]], requires_grad=True)
    cross_entropy(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1] == 0


@pytest.mark.parametrize(
    ("logits", "labels", "sentence"),
    [
        (torch.zeros(2, 3), torch.tensor([0, 3]), "from 0 to 2"),
        (torch.zeros(2, 3), torch.tensor([0, -1]), "got -1"),
        (torch.zeros(2, 3), torch.tensor([0.0, 1.0]), "integer"),
        (torch.zeros(2, 3), torch.tensor([0, 1, 2]), r"shape \(3,\)"),
        (torch.zeros(2, 3, dtype=torch.long), torch.tensor([0, 1]), "floating logits"),
        (torch.zeros(2, 0), torch.tensor([0, 1]), "floating logits"),
    ],
)
def test_errors_are_sentences(logits, labels, sentence):
    with pytest.raises(InputError, match=sentence):
        cross_entropy(logits, labels)


def test_unknown_reduction():
    with pytest.raises(InputError, match="'median'"):
        cross_entropy(torch.zeros(1, 2), torch.tensor([0]), reduction="median")


@pytest.mark.parametrize("head", [Linear(5, 3), Cosine(5, 3)])
def test_module_uses_the_logits_of_its_head(head):
    features, labels = torch.randn(4, 5), torch.tensor([0, 1, 2, -100])
    torch.testing.assert_close(CrossEntropy()(features, labels, head), cross_entropy(head(features), labels))
    with pytest.raises(InputError, match="expected a head"):
        CrossEntropy()(features, labels)
