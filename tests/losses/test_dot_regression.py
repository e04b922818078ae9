"""Dot regression: the definition from loops, and the chord form where the cosine is 1 to rounding."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.geometry import simplex
from neucollapse.heads import Linear
from neucollapse.losses._dot_regression import DotRegression, dot_regression


def naive(x, y, W, weight_energy, feature_energy, normalise):
    """arXiv 2203.09081: (<w, h> - sqrt(E_W E_H))^2 / (2 sqrt(E_W E_H)), sample by sample."""
    largest = (weight_energy * feature_energy) ** 0.5
    losses = []
    for i in range(len(x)):
        w = W[y[i]] / (W[y[i]] @ W[y[i]]).sqrt() * weight_energy**0.5
        h = x[i] / (x[i] @ x[i]).sqrt() * feature_energy**0.5 if normalise else x[i]
        losses.append((w @ h - largest) ** 2 / (2 * largest))
    return torch.stack(losses)


def samples():
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    W = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    return x, torch.tensor([0, 0, 3, 0, 1, 3, 1]), W


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("energies", [(1, 1), (0.5, 9.0)])
def test_is_the_definition(normalise, energies):
    x, y, W = samples()
    ours = dot_regression(
        x, y, W, weight_energy=energies[0], feature_energy=energies[1], normalise=normalise, reduction="none"
    )
    theirs = naive(x, y.tolist(), W, *energies, normalise)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    for mine, other in zip(*(torch.autograd.grad(loss.sum(), (x, W)) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-13)
    mean = dot_regression(x, y, W, weight_energy=energies[0], feature_energy=energies[1], normalise=normalise)
    torch.testing.assert_close(mean, theirs.mean())


@pytest.mark.parametrize("normalise", [True, False])
def test_gradcheck(normalise):
    x, y, W = samples()
    assert gradcheck(
        lambda x, W: dot_regression(x, y, W, weight_energy=2.0, feature_energy=3.0, normalise=normalise), (x, W)
    )
    assert gradgradcheck(
        lambda x, W: dot_regression(x, y, W, weight_energy=2.0, feature_energy=3.0, normalise=normalise), (x, W)
    )


@pytest.mark.parametrize("noise", [1e-2, 1e-3])
def test_float32_near_collapse(noise):
    """The loss is about noise^4 / 8: 1e-13, where a cosine of float32 is 1."""
    code = simplex(10)
    y = torch.arange(10).repeat(5)
    x = (code[y] + noise * torch.randn(50, code.shape[1], dtype=torch.float64) / 3).float()
    leaves = x.clone().requires_grad_(), x.double().requires_grad_()
    losses = [dot_regression(leaf, y, code.to(leaf.dtype)) for leaf in leaves]
    torch.testing.assert_close(losses[0].double(), losses[1], rtol=1e-6 / noise, atol=0)
    for loss in losses:
        loss.backward()
    difference = (leaves[0].grad.double() - leaves[1].grad).norm() / leaves[1].grad.norm()
    assert difference < 1e-6 / noise


def test_zero_at_exact_collapse_and_defined_at_a_zero_row():
    code = torch.randn(4, 3)
    x = torch.cat([code, torch.zeros(1, 3)]).requires_grad_()
    losses = dot_regression(x, torch.tensor([0, 1, 2, 3, 0]), code, reduction="none")
    losses.sum().backward()
    assert torch.equal(losses[:4], torch.zeros(4))
    assert losses[4] == 0.5
    assert torch.equal(x.grad, torch.zeros(5, 3))


def test_features_reach_the_code():
    code = simplex(5)
    x, y = torch.randn(5, code.shape[1], dtype=torch.float64, requires_grad=True), torch.arange(5)
    search = torch.optim.LBFGS(
        [x], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-14, tolerance_change=0
    )

    def closure():
        search.zero_grad()
        loss = dot_regression(x, y, code)
        loss.backward()
        return loss

    search.step(closure)
    assert torch.nn.functional.cosine_similarity(x, code).min() > 1 - 1e-5


def test_plain_descent_closes_as_one_over_the_steps():
    """The loss is of fourth order in the angle: 1 - cos = |x|^2 / (2 rate steps), whatever the start."""
    code = simplex(5)
    x, y = (code + 0.3 * torch.randn_like(code)).requires_grad_(), torch.arange(5)
    rate, steps = 1.0, 1500
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(dot_regression(x, y, code, reduction="sum"), x)
        x.data -= rate * gradient
    law = x.detach().square().sum(dim=1) / (2 * rate * steps)
    torch.testing.assert_close(1 - torch.nn.functional.cosine_similarity(x.detach(), code), law, rtol=0.1, atol=0)


def test_shapes_dtypes_and_ignored_samples():
    x, y, code = torch.randn(2, 4, 3), torch.randint(4, (2, 4)), torch.randn(4, 3)
    y[0, 1] = -100
    x[0, 1] = torch.nan
    x.requires_grad_()
    each = dot_regression(x, y, code, reduction="none")
    assert each.shape == (2, 4)
    assert each[0, 1] == 0
    each.sum().backward()
    assert torch.equal(x.grad[0, 1], torch.zeros(3))
    assert x.grad.isfinite().all()
    for half in (torch.float16, torch.bfloat16):
        loss = dot_regression(x.detach().to(half), y.to(torch.int32), code)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, dot_regression(x.detach().to(half).float(), y, code))


def test_module_takes_a_code_or_a_head():
    x, y, head = torch.randn(5, 3), torch.randint(4, (5,)), Linear(3, 4)
    expected = dot_regression(x, y, head.weight)
    loss = DotRegression(head.weight)
    torch.testing.assert_close(loss(x, y), expected)
    torch.testing.assert_close(DotRegression()(x, y, head), expected)
    assert not DotRegression()(x, y, head).requires_grad
    assert list(loss.state_dict()) == ["weight"]
    assert list(loss.parameters()) == []
    with pytest.raises(InputError, match="expected a head"):
        DotRegression()(x, y)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, y, W: dot_regression(x[:, :2], y, W), r"\(7, 2\) and .*\(4, 3\)"),
        (lambda x, y, W: dot_regression(x, y + 1, W), "from 0 to 3"),
        (lambda x, y, W: dot_regression(x.long(), y, W), "floating features"),
        (lambda x, y, W: dot_regression(x, y, W, weight_energy=0.0), "energies above 0"),
        (lambda x, y, W: dot_regression(x, y, W, reduction="median"), "'median'"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(*samples())
