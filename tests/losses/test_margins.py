"""Margins against their papers' formulas in angles, their slopes, and what they do at cosine 1."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from neucollapse import InputError
from neucollapse.losses._margins import AdaMargin, ArcMargin, CosMargin, SphereMargin, sine

NORMS = [1.0, 2.0, 2.5, 4.0, 9.0, 3.0, 3.1, 3.2, 2.9]
ANGLES = [0.05, 0.3, 1.0, 1.5, 2.0, 2.4, 2.7, 3.0, 3.12]


def arc(t, _norms, m=0.5):
    return math.cos(t + m) if t <= math.pi - m else math.cos(t) - 1 + math.cos(m)


def cos(t, _norms, m=0.35):
    return math.cos(t) - m


def sphere_v1(t, _norms, m=1.5):
    return math.cos(min(m * t, math.pi))


def sphere_v0(t, _norms, m=3.0):
    k = math.floor(m * t / math.pi)
    return (-1) ** k * math.cos(m * t) - 2 * k


def ada(t, norm, m=0.4, h=0.333):
    mean = sum(NORMS) / len(NORMS)
    std = math.sqrt(sum((n - mean) ** 2 for n in NORMS) / (len(NORMS) - 1))
    quality = max(-1, min(1, h * (norm - mean) / (std + 1e-3)))
    g = -m * quality
    inside = math.cos(max(t + g, 0)) if t + g <= math.pi else math.cos(t) - 1 + math.cos(g)
    return inside - (m + m * quality)


PAIRS = [
    (CosMargin(0.35), cos),
    (ArcMargin(0.5), arc),
    (SphereMargin(1.5), sphere_v1),
    (SphereMargin(3.0, "v0"), sphere_v0),
    (AdaMargin(0.4), ada),
]
IDS = ["cos", "arc", "sphere-v1", "sphere-v0", "ada"]


@pytest.mark.parametrize(("margin", "formula"), PAIRS, ids=IDS)
def test_value_is_the_paper(margin, formula):
    t, norms = torch.tensor(ANGLES, dtype=torch.float64), torch.tensor(NORMS, dtype=torch.float64)
    expected = torch.tensor([formula(a, n) for a, n in zip(ANGLES, NORMS, strict=True)], dtype=torch.float64)
    for sin_y in (None, t.sin()):
        for gradient in ("exact", "detached"):
            found = margin.target(t.cos(), norms, gradient, sin_y)
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("margin", "formula"), PAIRS, ids=IDS)
def test_slopes(margin, formula):
    t, norms = torch.tensor(ANGLES, dtype=torch.float64), torch.tensor(NORMS, dtype=torch.float64)
    c = t.cos().requires_grad_()
    assert gradcheck(lambda c: margin.target(c, norms), c, eps=1e-7)
    (slope,) = torch.autograd.grad(margin.target(c, norms, "detached").sum(), c)
    assert torch.equal(slope, torch.ones_like(slope))


@pytest.mark.parametrize(("margin", "formula"), PAIRS, ids=IDS)
def test_the_target_falls_with_the_angle(margin, formula):
    t = torch.linspace(0, math.pi, 10_001, dtype=torch.float64)
    psi = margin.target(t.cos(), torch.full_like(t, 2.0), sin_y=t.sin())
    assert (psi.diff() < 1e-14).all()
    assert (psi <= t.cos() + 1e-14).all()
    assert psi.diff().abs().max() < 2e-3  # no jump


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("margin", "formula"), PAIRS, ids=IDS)
def test_finite_at_the_ends_and_beyond_by_rounding(margin, formula, dtype):
    eps = torch.finfo(dtype).eps
    c = torch.tensor([1.0, 1 + 2 * eps, 1 - eps, -1.0, -1 - 2 * eps], dtype=dtype, requires_grad=True)
    psi = margin.target(c, torch.ones(5, dtype=dtype))
    assert psi.isfinite().all()
    assert torch.autograd.grad(psi.sum(), c)[0].isfinite().all()


def test_sine_is_exact_where_the_cosine_is_not():
    generator = torch.Generator().manual_seed(0)
    for angle in (1e-6, 1e-3, 1.0, math.pi - 1e-3):
        u, v = torch.linalg.qr(torch.randn(8, 2, generator=generator, dtype=torch.float64)).Q.T
        w = math.cos(angle) * u + math.sin(angle) * v
        assert sine(u[None], w[None]).item() == pytest.approx(math.sin(angle), rel=1e-9)
        single = sine(u.float()[None], w.float()[None]).item()
        assert single == pytest.approx(math.sin(angle), rel=1e-6, abs=2e-7)


def test_sine_at_coincident_points_has_zero_gradient():
    x = torch.tensor([[1.0, 0.0]], requires_grad=True)
    value = sine(x, torch.tensor([[1.0, 0.0]]))
    assert value == 0
    assert torch.equal(torch.autograd.grad(value.sum(), x)[0], torch.zeros(1, 2))


def test_ada_margin_with_given_statistics_and_few_samples():
    c = torch.tensor([0.5, 0.2])
    still = AdaMargin(0.4, norm_mean=2.0, norm_std=1.0)
    average = still.target(c, torch.full((2,), 2.0))
    torch.testing.assert_close(average, c - 0.4)  # quality 0: CosFace
    torch.testing.assert_close(AdaMargin(0.4).target(c[:1], torch.tensor([7.0])), c[:1] - 0.4)  # one sample: average
    ignored = AdaMargin(0.4).target(torch.tensor([0.5, 0.2, 0.1]), torch.tensor([1.0, torch.nan, 3.0]))
    both = AdaMargin(0.4).target(torch.tensor([0.5, 0.1]), torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(ignored[[0, 2]], both)
    assert ignored.isfinite().all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CosMargin(-0.1), "from 0 to 2"),
        (lambda: ArcMargin(4.0), "an angle"),
        (lambda: SphereMargin(0.5), "from 1 to 16"),
        (lambda: SphereMargin(1.5, "v2"), "'v2'"),
        (lambda: AdaMargin(norm_mean=1.0), "together"),
        (lambda: AdaMargin().target(torch.ones(1)), "norms"),
        (lambda: ArcMargin().target(torch.ones(1), margin_grad="none"), "'none'"),
    ],
)
def test_errors_are_sentences(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()
