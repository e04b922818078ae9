"""P12: the cross-entropy of the sphere, its gradients near collapse, and what it does without a direction."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.losses import cosine_logits, norm_face
from neucollapse.losses._normalised import normalised

K, D, SAMPLES = 100, 128, 512
SCALES = [5.0, 8.0, 16.0, 25.0, 32.0, 64.0]


def naive(x, W, y, s):
    """The definition in float64, with the normalisation written out; differentiable by autograd."""
    losses = []
    for x_i, y_i in zip(x.double(), y.tolist(), strict=True):
        z = torch.stack([s * (x_i @ w) / (x_i @ x_i).sqrt() / (w @ w).sqrt() for w in W.double()])
        others = [j for j in range(len(W)) if j != y_i]
        losses.append(torch.log1p(torch.exp(z[others] - z[y_i]).sum()))
    return torch.stack(losses)


def simplex(generator):
    M = torch.eye(K, dtype=torch.float64) - 1 / K
    rotation = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64)).Q
    return M / M.norm(dim=1, keepdim=True) @ rotation[:K]


def near(code, noise, generator):
    """Float32 features and weights at relative distance ``noise`` of the rows of a unit code."""

    def jitter(n):
        return noise * torch.randn(n, D, generator=generator, dtype=torch.float64) / D**0.5

    labels = torch.randint(K, (SAMPLES,), generator=generator)
    return (code[labels] + jitter(SAMPLES)).float(), (code + jitter(K)).float(), labels


def gradient_errors(x, W, y, s):
    """Frobenius relative errors of the float32 gradients of x and W against float64 on the same inputs."""
    gradients = {}
    for dtype in (torch.float32, torch.float64):
        leaves = x.to(dtype).requires_grad_(), W.to(dtype).requires_grad_()
        gradients[dtype] = torch.autograd.grad(norm_face(leaves[0], y, leaves[1], scale=s), leaves)
    pairs = zip(gradients[torch.float32], gradients[torch.float64], strict=True)
    return [((fast.double() - exact).norm() / exact.norm()).item() for fast, exact in pairs]


@pytest.mark.parametrize("s", SCALES)
@pytest.mark.parametrize("noise", [1e-1, 1e-2, 1e-3, 1e-4])
def test_float32_gradients_near_the_simplex(s, noise):
    generator = torch.Generator().manual_seed(1)
    x, W, y = near(simplex(generator), noise, generator)
    assert max(gradient_errors(x, W, y, s)) <= max(1e-4, 1e-6 / noise)


@pytest.mark.parametrize("s", SCALES)
@pytest.mark.parametrize("noise", [1e-1, 1e-2, 1e-3])
def test_float32_gradients_near_random_directions(s, noise):
    generator = torch.Generator().manual_seed(2)
    code = torch.randn(K, D, generator=generator, dtype=torch.float64)
    x, W, y = near(code / code.norm(dim=1, keepdim=True), noise, generator)
    assert max(gradient_errors(x, W, y, s)) <= 1e-4


@pytest.mark.parametrize("s", [5.0, 64.0])
def test_float64_path_is_the_definition(s):
    """The reference of the tests above is itself checked against the formula written out."""
    x = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    W = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    y = torch.randint(3, (6,))
    ours, theirs = norm_face(x, y, W, scale=s, reduction="none"), naive(x, W, y, s)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    for mine, other in zip(*(torch.autograd.grad(loss.sum(), (x, W)) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-14)


def test_gradcheck():
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    W = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    s = torch.tensor(7.0, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 4, -100])
    assert gradcheck(lambda *a: norm_face(a[0], y, a[1], scale=a[2]), (x, W, s))
    assert gradgradcheck(lambda *a: norm_face(a[0], y, a[1], scale=a[2]), (x, W, s))


def test_finite_at_exact_collapse():
    code = simplex(torch.Generator().manual_seed(0))
    y = torch.arange(K)
    for dtype in (torch.float32, torch.float64):
        x, W = code.to(dtype).requires_grad_(), code.to(dtype).requires_grad_()
        loss = norm_face(x, y, W, scale=64.0)
        gradients = torch.autograd.grad(loss, (x, W))
        assert loss.item() == pytest.approx(math.log1p((K - 1) * math.exp(-64 * K / (K - 1))), rel=1e-4)
        assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("size", [1e-35, 1e-20, 1.0, 1e30])
def test_only_directions_count(size):
    x, W, y = torch.randn(6, 4), torch.randn(3, 4), torch.randint(3, (6,))
    torch.testing.assert_close(norm_face(size * x, y, W, scale=5.0), norm_face(x, y, W, scale=5.0))
    torch.testing.assert_close(norm_face(x, y, size * W, scale=5.0), norm_face(x, y, W, scale=5.0))


def test_a_zero_row_has_no_direction_and_no_gradient():
    x = torch.randn(3, 4)
    x[1] = 0
    x.requires_grad_()
    losses = norm_face(x, torch.tensor([0, 1, 2]), torch.randn(5, 4), scale=10.0, reduction="none")
    losses.sum().backward()
    assert losses[1].item() == pytest.approx(math.log(5), rel=1e-6)
    assert torch.equal(x.grad[1], torch.zeros(4))
    assert x.grad.isfinite().all()
    assert x.grad[0].norm() > 0


def test_gradient_is_tangential():
    x = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    norm_face(x, torch.randint(5, (20,)), torch.randn(5, 4, dtype=torch.float64), scale=3.0).backward()
    assert (x.grad * x).sum(dim=1).abs().max() < 1e-15
    torch.testing.assert_close(normalised(x).norm(dim=1), torch.ones(20, dtype=torch.float64))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_scale_must_be_positive(scale):
    with pytest.raises(InputError, match="scale above 0"):
        cosine_logits(torch.ones(1, 2), torch.ones(3, 2), scale)


def test_shapes_must_fit():
    with pytest.raises(InputError, match=r"\(1, 2\) and .*\(3, 4\)"):
        cosine_logits(torch.ones(1, 2), torch.ones(3, 4), 1.0)
