"""One function for every loss of the sphere, against a float64 twin written from the papers, and in the terminal phase."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F  # noqa: N812

from neucollapse import InputError
from neucollapse.heads import Cosine, Linear
from neucollapse.losses import (
    ArcFace,
    CosFace,
    NormFace,
    SphereFace,
    arc_face,
    cos_face,
    cosine_logits,
    norm_face,
    sphere_face,
    spherical_ce,
)
from neucollapse.losses._margins import AdaMargin, ArcMargin, CosMargin, SphereMargin

MARGINS = [None, CosMargin(0.35), ArcMargin(0.5), SphereMargin(1.5), SphereMargin(3.0, "v0"), AdaMargin(0.4)]
IDS = ["none", "cos", "arc", "sphere", "sphere-v0", "ada"]
SCALES = [5.0, 16.0, 30.0, 64.0]
IMPLEMENTATIONS = ["reference", "tiled"]
K, D, SAMPLES = 40, 64, 200


def psi_of(margin, theta, norm, norms):
    """The papers' formulas in the angle; the extensions are those of the docstrings."""

    def shifted(a):
        if (theta + a > math.pi).item():
            return theta.cos() - 1 + math.cos(a)
        return (theta + a).clamp_min(0).cos()

    if isinstance(margin, CosMargin):
        return theta.cos() - margin.m
    if isinstance(margin, ArcMargin):
        return shifted(margin.m)
    if isinstance(margin, SphereMargin):
        angle = margin.m * theta
        k = 0 if margin.version == "v1" else math.floor(angle.item() / math.pi)
        return (-1) ** k * angle.clamp_max(math.pi).cos() - 2 * k if k == 0 else (-1) ** k * angle.cos() - 2 * k
    if isinstance(margin, AdaMargin):
        quality = (margin.h * (norm - norms.mean()) / (norms.std() + 1e-3)).clamp(-1, 1).item()
        return shifted(-margin.m * quality) - (margin.m + margin.m * quality)
    return theta.cos()


def naive(x, W, y, s, margin, margin_grad="exact", smoothing=0.0, gamma=0.0):
    """A sample at a time; differentiable by autograd. The angle is taken by acos, away from 1."""
    x, W = x.double(), W.double()
    norms = x.detach().norm(dim=1)
    losses = []
    for x_i, y_i, norm in zip(x, y.tolist(), norms, strict=True):
        cosines = torch.stack([(x_i @ w) / (x_i @ x_i).sqrt() / (w @ w).sqrt() for w in W])
        c = cosines[y_i]
        psi = psi_of(margin, c.clamp(-1, 1).acos(), norm, norms)
        if margin_grad == "detached":
            psi = c + (psi - c).detach()
        others = s * cosines[[j for j in range(len(W)) if j != y_i]]
        odds = torch.exp(others - s * psi).sum()
        loss = (odds / (1 + odds)) ** gamma * torch.log1p(odds)
        if smoothing:
            mean = (others.sum() + s * psi) / len(W)
            loss = loss + smoothing * (s * psi - mean)
        losses.append(loss)
    return torch.stack(losses)


def assert_same(ours, theirs, leaves, rtol=1e-9):
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)
    for mine, other in zip(*(torch.autograd.grad(loss.sum(), leaves) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other, rtol=rtol, atol=1e-12 * other.abs().max().item())


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("margin_grad", ["exact", "detached"])
@pytest.mark.parametrize("margin", MARGINS, ids=IDS)
def test_value_and_gradient_are_the_papers(margin, margin_grad, implementation):
    x = (3 * torch.randn(6, 4, dtype=torch.float64)).requires_grad_()
    W = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    y = torch.randint(5, (6,))
    ours = spherical_ce(
        x, y, W, scale=7.0, margin=margin, margin_grad=margin_grad, reduction="none", implementation=implementation
    )
    assert_same(ours, naive(x, W, y, 7.0, margin, margin_grad), (x, W))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("smoothing", "gamma"), [(0.1, 0.0), (0.0, 2.0), (0.0, 0.5)])
@pytest.mark.parametrize("margin", [None, ArcMargin(0.5)])
def test_smoothing_and_focal(margin, smoothing, gamma, implementation):
    x = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    W = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    y = torch.randint(5, (6,))
    ours = spherical_ce(
        x,
        y,
        W,
        scale=7.0,
        margin=margin,
        smoothing=smoothing,
        focal=gamma,
        reduction="none",
        implementation=implementation,
    )
    assert_same(ours, naive(x, W, y, 7.0, margin, "exact", smoothing, gamma), (x, W))


def test_smoothing_and_class_weights_agree_with_torch():
    x, W = torch.randn(8, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    y, v = torch.tensor([0, 1, 2, 3, 4, -100, 1, 1]), torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    z = cosine_logits(x, W, 6.0)
    for reduction in ("mean", "sum", "none"):
        ours = spherical_ce(x, y, W, scale=6.0, class_weights=v, reduction=reduction)
        torch.testing.assert_close(ours, F.cross_entropy(z, y, v, reduction=reduction), rtol=1e-12, atol=1e-14)
        ours = spherical_ce(x, y, W, scale=6.0, smoothing=0.2, reduction=reduction)
        theirs = F.cross_entropy(z, y, label_smoothing=0.2, reduction=reduction)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def simplex(generator):
    M = torch.eye(K, dtype=torch.float64) - 1 / K
    rotation = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64)).Q
    return M / M.norm(dim=1, keepdim=True) @ rotation[:K]


def near(noise, generator):
    """Float32 features of unequal lengths and weights at relative distance ``noise`` of the simplex."""
    code, labels = simplex(generator), torch.randint(K, (SAMPLES,), generator=generator)

    def jitter(n):
        return noise * torch.randn(n, D, generator=generator, dtype=torch.float64) / D**0.5

    lengths = 1 + 3 * torch.rand(SAMPLES, 1, generator=generator, dtype=torch.float64)
    return (lengths * (code[labels] + jitter(SAMPLES))).float(), (code + jitter(K)).float(), labels


def gradient_errors(x, W, y, s, margin, **options):
    """The float64 loss, and Frobenius relative errors of float32 gradients against float64 on the same inputs."""
    found = {}
    for dtype in (torch.float32, torch.float64):
        leaves = x.to(dtype).requires_grad_(), W.to(dtype).requires_grad_()
        loss = spherical_ce(leaves[0], y, leaves[1], scale=s, margin=margin, **options)
        found[dtype] = loss.detach(), *torch.autograd.grad(loss, leaves)
    single, double = found[torch.float32], found[torch.float64]
    errors = [((a.double() - b).norm() / b.norm()).item() for a, b in zip(single[1:], double[1:], strict=True)]
    assert single[0].item() == pytest.approx(double[0].item(), rel=1e-4, abs=1e-4 if double[0] < 0 else 0)
    return double[0].item(), max(errors)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("s", SCALES)
@pytest.mark.parametrize("noise", [1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize("margin", MARGINS, ids=IDS)
def test_float32_gradients_in_the_terminal_phase(margin, noise, s, implementation):
    if isinstance(margin, AdaMargin) and noise == 1e-3:
        margin = AdaMargin(0.4, norm_mean=2.5, norm_std=1.0)
    x, W, y = near(noise, torch.Generator().manual_seed(1))
    loss, error = gradient_errors(x, W, y, s, margin, implementation=implementation)
    assert error <= max(1e-4, 1e-6 / noise)
    if s == 64 and margin is None and noise == 1e-3:
        assert loss < 1e-26  # as small as was promised


@pytest.mark.parametrize("focal", [0.0, 2.0])
@pytest.mark.parametrize("margin", MARGINS, ids=IDS)
def test_the_log_objective_has_a_gradient_of_order_one(margin, focal):
    x, W, y = near(1e-2, torch.Generator().manual_seed(1))
    loss, error = gradient_errors(x, W, y, 64.0, margin, focal=focal, reduction="log_mean", implementation="tiled")
    assert error <= 2e-4
    x, W = x.detach().double(), W.detach().double().requires_grad_()
    exact = spherical_ce(x, y, W, scale=64.0, margin=margin, focal=focal, implementation="reference")
    assert loss == pytest.approx(exact.log().item(), rel=1e-9)
    spherical_ce(x, y, W, scale=64.0, margin=margin, reduction="log_mean").backward()
    assert W.grad.norm() > 1e-2


def test_log_mean_of_weighted_losses():
    x, W = torch.randn(8, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    y, v = torch.tensor([0, 1, 2, 3, 4, -100, 1, 1]), torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    for options in ({}, {"class_weights": v}):
        value = spherical_ce(x, y, W, scale=6.0, reduction="log_mean", **options)
        assert value.item() == pytest.approx(spherical_ce(x, y, W, scale=6.0, **options).log().item(), rel=1e-12)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("margin", MARGINS, ids=IDS)
def test_finite_at_exact_collapse(margin, implementation):
    code, y = simplex(torch.Generator().manual_seed(0)), torch.arange(K)
    for dtype in (torch.float32, torch.float64):
        for margin_grad in ("exact", "detached"):
            x, W = code.to(dtype).requires_grad_(), code.to(dtype).requires_grad_()
            for reduction in ("mean", "log_mean"):
                loss = spherical_ce(
                    x,
                    y,
                    W,
                    scale=64.0,
                    margin=margin,
                    margin_grad=margin_grad,
                    reduction=reduction,
                    implementation=implementation,
                )
                assert loss.isfinite()
                assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (x, W)))


@pytest.mark.parametrize("margin", MARGINS, ids=IDS)
def test_gradcheck(margin):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    W = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    s, y = torch.tensor(3.0, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 4, -100])

    def loss(*a, implementation="auto"):
        return spherical_ce(a[0], y, a[1], scale=a[2], margin=margin, implementation=implementation)

    if isinstance(margin, AdaMargin):  # its norms have no gradient, by the paper: only tangential steps may be checked
        assert gradcheck(lambda W, s: loss(x.detach(), W, s), (W, s))
        return
    assert gradcheck(loss, (x, W, s))
    assert gradcheck(lambda *a: loss(*a, implementation="tiled"), (x, W, s))
    assert gradgradcheck(loss, (x, W, s))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("margin", MARGINS, ids=IDS)
def test_ignored_samples_get_no_gradient_even_when_not_finite(margin, implementation):
    x, W, y = torch.randn(4, 3), torch.randn(5, 3, requires_grad=True), torch.tensor([0, -100, 4, 2])
    x[1] = torch.nan
    x.requires_grad_()
    loss = spherical_ce(x, y, W, scale=9.0, margin=margin, implementation=implementation)
    gradients = torch.autograd.grad(loss, (x, W))
    keep = [0, 2, 3]
    torch.testing.assert_close(loss, spherical_ce(x[keep], y[keep], W, scale=9.0, margin=margin))
    assert all(g.isfinite().all() for g in gradients)
    assert torch.equal(gradients[0][1], torch.zeros(3))
    for reduction in ("mean", "log_mean"):
        assert spherical_ce(x, torch.full((4,), -100), W, scale=9.0, margin=margin, reduction=reduction).isnan()


def test_shapes_and_half_precision():
    x, W, y = torch.randn(2, 3, 4), torch.randn(5, 4), torch.randint(5, (2, 3))
    losses = spherical_ce(x, y, W, scale=9.0, margin=ArcMargin(0.5), reduction="none")
    assert losses.shape == (2, 3)
    torch.testing.assert_close(losses.flatten(), arc_face(x.flatten(0, 1), y.flatten(), W, scale=9.0, reduction="none"))
    weighted = spherical_ce(x, y, W, scale=9.0, class_weights=torch.ones(5), reduction="none")
    torch.testing.assert_close(weighted, spherical_ce(x, y, W, scale=9.0, reduction="none"))
    for half in (torch.float16, torch.bfloat16):
        loss = spherical_ce(x.to(half), y.int(), W, scale=9.0)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, spherical_ce(x.to(half).float(), y, W, scale=9.0))
        assert spherical_ce(x.to(half), y, W.to(half), scale=9.0).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"smoothing": 1.0}, "smoothing"),
        ({"focal": -1.0}, "gamma"),
        ({"smoothing": 0.1, "focal": 1.0}, "without focal"),
        ({"smoothing": 0.1, "reduction": "log_mean"}, "log_mean"),
        ({"class_weights": torch.ones(4)}, r"shape \(5,\)"),
        ({"reduction": "median"}, "'median'"),
        ({"implementation": "cuda"}, "'cuda'"),
        ({"margin": ArcMargin(0.5), "margin_grad": "half"}, "'half'"),
    ],
)
def test_errors_are_sentences(options, sentence):
    with pytest.raises(InputError, match=sentence):
        spherical_ce(torch.randn(3, 4), torch.tensor([0, 1, 2]), torch.randn(5, 4), scale=5.0, **options)


FACES = [
    (NormFace, norm_face, None, {}),
    (CosFace, cos_face, CosMargin(0.2), {"margin": 0.2}),
    (ArcFace, arc_face, ArcMargin(0.3), {"margin": 0.3, "margin_grad": "detached"}),
    (SphereFace, sphere_face, SphereMargin(2.0, "v0"), {"margin": 2.0, "version": "v0"}),
]


@pytest.mark.parametrize(("module", "function", "margin", "options"), FACES)
def test_named_losses(module, function, margin, options):
    x, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 4, -100])
    loss = module(4, 5, scale=12.0, **options)
    gradient = options.get("margin_grad", "exact")
    for value in (loss(x, y), function(x, y, loss.weight, scale=12.0, **options)):
        assert torch.equal(value, spherical_ce(x, y, loss.weight, scale=12.0, margin=margin, margin_grad=gradient))
    assert [name for name, _ in loss.named_parameters()] == ["weight"]
    assert str(margin) in repr(loss)

    bare, cosine, linear = module(scale=12.0, **options), Cosine(4, 5, scale=9.0, learn_scale=True), Linear(4, 5)
    assert not list(bare.parameters())
    assert torch.equal(
        bare(x, y, cosine), spherical_ce(x, y, cosine.weight, scale=cosine.scale, margin=margin, margin_grad=gradient)
    )
    assert torch.equal(
        bare(x, y, linear), spherical_ce(x, y, linear.weight, scale=12.0, margin=margin, margin_grad=gradient)
    )
    bare(x, y, cosine).backward()
    assert cosine.log_scale.grad.abs() > 0
    with pytest.raises(InputError, match=f"{module.__name__} expected a head"):
        bare(x, y)
    for wrong in ({"dim": 3}, {"dim": 0, "num_classes": 2}, {"scale": 0.0}):
        with pytest.raises(InputError):
            module(**wrong)


def test_defaults_are_the_papers():
    assert (ArcFace().scale, ArcFace().margin) == (64.0, ArcMargin(0.5))
    assert (CosFace().scale, CosFace().margin) == (64.0, CosMargin(0.35))
    assert (SphereFace().scale, SphereFace().margin) == (30.0, SphereMargin(1.5, "v1"))
