"""Hyperspherical uniformity: values from loops, the optima of the literature reached, and near or coincident rows."""

import math
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.geometry import best_known_energy, icosahedron, max_cosine, orthoplex, simplex
from neucollapse.heads import Cosine
from neucollapse.losses._determinant import log_determinant
from neucollapse.losses._energy import riesz_energy
from neucollapse.losses._separation import closest_distance
from neucollapse.losses._uniformity import Uniformity, uniformity

room = sys.modules[riesz_energy.__module__]  # the package may have a function of the name

FUNCTIONS = {
    "mhe": riesz_energy,
    "log": lambda W: riesz_energy(W, s=0),
    "mhs": closest_distance,
    "mgd": log_determinant,
}


def naive_units(W):
    return [w / (w @ w).sqrt() for w in W]


def naive_energy(W, s):
    """The definition, pair by pair; differentiable by autograd."""
    u, K = naive_units(W), len(W)
    total = 0
    for i in range(K):
        for j in range(i + 1, K):
            r = ((u[i] - u[j]) ** 2).sum().sqrt()
            total = total + (-torch.log(r) if s == 0 else math.copysign(1, s) * r**-s)
    return total / (K * (K - 1) / 2)


def naive_closest(W):
    u = naive_units(W)
    return min(((u[i] - u[j]) ** 2).sum().sqrt() for i in range(len(W)) for j in range(i))


def naive_log_determinant(W, width, jitter):
    u = naive_units(W)
    G = torch.stack([torch.stack([torch.exp(-(width**2) * ((a - b) ** 2).sum()) for b in u]) for a in u])
    return torch.logdet(G + jitter * torch.eye(len(W), dtype=W.dtype))


def assert_same(ours, theirs, W, rtol=1e-9):
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=1e-13)
    (mine,), (other,) = torch.autograd.grad(ours, W), torch.autograd.grad(theirs, W)
    torch.testing.assert_close(mine, other, rtol=10 * rtol, atol=1e-11)


@pytest.mark.parametrize("s", [-1.0, 0, 0.5, 1, 2.0, 5.0])
def test_energy_is_the_definition(s):
    W = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    assert_same(riesz_energy(W, s=s), naive_energy(W, s), W)
    torch.testing.assert_close(riesz_energy(W, s=s, reduction="sum"), 21 * riesz_energy(W, s=s))


def test_closest_distance_is_the_definition():
    W = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    assert_same(closest_distance(W), naive_closest(W), W)
    closest_distance(W).backward()
    assert (W.grad.norm(dim=1) > 0).sum() == 2


@pytest.mark.parametrize("width", [0.7, 1, 2.0])
def test_determinant_is_the_definition(width):
    W = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert_same(log_determinant(W, width=width, reduction="sum"), naive_log_determinant(W, width, 1e-6), W)
    torch.testing.assert_close(log_determinant(W, width=width), log_determinant(W, width=width, reduction="sum") / 6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name):
    W = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(FUNCTIONS[name], W)
    assert gradgradcheck(FUNCTIONS[name], W)


def test_tiles_change_nothing(monkeypatch):
    W = torch.randn(11, 3, dtype=torch.float64, requires_grad=True)
    W.data[7] = W.data[2] + 1e-5  # a near pair in two tiles
    whole = riesz_energy(W, s=1)
    (expected,) = torch.autograd.grad(whole, W)
    monkeypatch.setattr(room, "_TILE", 4)
    tiled = riesz_energy(W, s=1)
    torch.testing.assert_close(tiled, whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(tiled, W)[0], expected, rtol=1e-9, atol=1e-9)
    assert gradgradcheck(lambda w: riesz_energy(w, s=1), torch.randn(6, 3, dtype=torch.float64, requires_grad=True))


def test_nothing_of_the_size_of_all_pairs_is_kept(monkeypatch):
    monkeypatch.setattr(room, "_TILE", 64)
    K, d = 400, 4
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.__setitem__(tensor.data_ptr(), tensor.numel()) or tensor, lambda x: x
    ):
        riesz_energy(torch.randn(K, d, requires_grad=True))
    assert sum(kept.values()) < K * K / 5


def test_simplex_of_a_hundred_classes():
    """T2.1: the energy at the simplex is (K-1)/(2K)."""
    assert riesz_energy(simplex(100)).item() == pytest.approx(0.495, rel=1e-12)
    assert closest_distance(simplex(100)).item() == pytest.approx(math.sqrt(200 / 99), rel=1e-12)
    g = math.exp(-2 * 100 / 99)
    determinant = 99 * math.log(1 - g + 1e-6) + math.log(1 + 99 * g + 1e-6)
    assert log_determinant(simplex(100), reduction="sum").item() == pytest.approx(determinant, rel=1e-12)


def test_cross_polytope_of_ten_classes():
    """T2.2: the least energy of K = 2d."""
    assert riesz_energy(orthoplex(10, 5)).item() == pytest.approx(0.47222222, abs=1e-8)


def reached(K, d, s=2.0, steps=300):
    W = torch.randn(K, d, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([W], max_iter=steps, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def closure():
        search.zero_grad()
        loss = riesz_energy(W, s=s)
        loss.backward()
        return loss

    search.step(closure)
    return W.detach()


@pytest.mark.parametrize(("K", "d"), [(6, 5), (6, 3), (10, 5)])
def test_optima_are_reached(K, d):
    """T2.1 and T2.2: simplex and cross-polytope are found from random proxies."""
    W = reached(K, d)
    assert riesz_energy(W).item() == pytest.approx(best_known_energy(K, d, 2).value, rel=1e-9)
    assert max_cosine(W) == pytest.approx(-1 / (K - 1) if d >= K - 1 else 0.0, abs=1e-4)


def test_large_exponents_tend_to_the_closest_pair():
    """T2.3: the icosahedron has the largest smallest distance of 12 points."""
    W = reached(12, 3, s=40.0, steps=600)
    assert closest_distance(W).item() == pytest.approx(closest_distance(icosahedron()).item(), abs=1e-3)


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 2e-3])
def test_float32_near_pairs(distance):
    W = torch.randn(20, 16)
    W[1] = W[0] + distance * W[0].norm() * torch.randn(16) / 4
    W32, W64 = W.clone().requires_grad_(), W.double().requires_grad_()
    energies = [riesz_energy(x) for x in (W32, W64)]
    assert energies[0].dtype == torch.float32
    torch.testing.assert_close(energies[0].double(), naive_energy(W64, 2), rtol=1e-6, atol=0)
    for energy in energies:
        energy.backward()
    torch.testing.assert_close(W32.grad.double(), W64.grad, rtol=1e-5, atol=1e-6 * W64.grad.abs().max().item())


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_coincident_rows_part(name, dtype):
    W = torch.randn(6, 4).to(dtype)
    W[3] = W[1]
    W.requires_grad_()
    value = FUNCTIONS[name](W)
    value.backward()
    assert value.isfinite()
    assert W.grad.isfinite().all() or dtype == torch.float16  # the push exceeds 65504
    assert W.grad[1].norm() > 0
    assert W.grad[3].norm() > 0


@pytest.mark.parametrize("kind", ["mhe", "mhs", "mgd"])
def test_descent_takes_coincident_rows_to_the_simplex(kind):
    W = torch.ones(4, 3, requires_grad=True)
    for step in range(300):
        (gradient,) = torch.autograd.grad(uniformity(W, kind=kind), W)
        W.data -= 0.3 * 0.98**step * gradient / gradient.norm()
        W.data /= W.data.norm(dim=1, keepdim=True)
    assert closest_distance(W).item() == pytest.approx(math.sqrt(8 / 3), abs=1e-3)


def after_adam(floor, steps):
    W = torch.ones(4, 3, requires_grad=True)
    search = torch.optim.Adam([W], lr=0.05, betas=(0.9, 0.99))
    for _ in range(steps):
        search.zero_grad()
        uniformity(W, floor=floor).backward()
        search.step()
    return closest_distance(W).item()


def test_adam_takes_coincident_rows_to_the_simplex_with_a_wide_floor():
    assert after_adam(0.35, 900) == pytest.approx(math.sqrt(8 / 3), abs=1e-3)


def pair(r, dtype=torch.float64):
    return torch.tensor([[1.0, 0.0], [math.cos(r), math.sin(r)]], dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("s", [-1.0, 0.0, 1.0, 2.0])
def test_energy_and_push_of_near_rows_are_exact_in_either_type(dtype, s):
    W = pair(1e-4, dtype).requires_grad_()
    r = (W[0] - W[1]).detach().double().norm().item()
    energy, push = (-math.log(r), 1 / r) if s == 0 else (math.copysign(r**-s, s), abs(s) * r ** (-s - 1))
    value = riesz_energy(W, s=s)
    value.backward()
    assert value.item() == pytest.approx(energy, rel=1e-6)
    assert W.grad[1].norm().item() == pytest.approx(push, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("s", [0.0, 1.0, 2.0, 8.0])
def test_coincident_rows_part_by_a_push_like_that_of_distant_ones(dtype, s):
    W = torch.eye(4, dtype=dtype)
    W[1] = W[0]
    W.requires_grad_()
    value = riesz_energy(W, s=s, reduction="sum")
    value.backward()
    assert value.isfinite()
    assert W.grad.norm(dim=1).max() <= max(s, 1) + 3 * max(s, 1) * 2 ** (-s / 2)
    assert (W.grad[0] - W.grad[1]).norm() > max(s, 1)


def test_energy_stays_monotone_and_continuous_at_the_floor():
    values = [riesz_energy(pair(r), floor=1e-2).item() for r in (0.0, 2e-3, 9e-3, 9.9999e-3, 1.00001e-2, 2e-2)]
    assert values == sorted(values, reverse=True)
    assert values[3] == pytest.approx(values[4], rel=1e-4)
    assert values[0] == pytest.approx(1e4 + 2e-2)


def test_a_zero_row_counts_as_the_origin():
    W = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], requires_grad=True)
    energy = riesz_energy(W)
    energy.backward()
    assert energy.item() == pytest.approx((1 + 1 + 0.5) / 3)
    assert torch.equal(W.grad[1], torch.zeros(2))
    assert W.grad.isfinite().all()


def test_only_directions_count():
    W, sizes = torch.randn(6, 3), torch.logspace(-20, 20, 6)[:, None]
    for kind in ("mhe", "mhs", "mgd"):
        torch.testing.assert_close(uniformity(sizes * W, kind=kind), uniformity(W, kind=kind))


def test_autocast_does_not_narrow():
    W = torch.randn(6, 3)
    with torch.autocast("cpu", torch.bfloat16):
        values = [uniformity(W, kind=kind) for kind in ("mhe", "mhs", "mgd")]
    assert values == [uniformity(W, kind=kind) for kind in ("mhe", "mhs", "mgd")]


def test_module_reads_the_weight_of_the_head():
    head = Cosine(3, 5)
    features, labels = torch.randn(2, 3), torch.tensor([0, 1])
    torch.testing.assert_close(Uniformity(kind="mhe", s=1)(features, labels, head), riesz_energy(head.weight, s=1))
    with pytest.raises(InputError, match="expected a head"):
        Uniformity()(features, labels)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: riesz_energy(torch.ones(1, 3)), "two rows"),
        (lambda: closest_distance(torch.ones(3)), "two rows"),
        (lambda: log_determinant(torch.ones(3, 2, dtype=torch.long)), "floating weight"),
        (lambda: riesz_energy(torch.eye(3), reduction="none"), "'none'"),
        (lambda: riesz_energy(torch.eye(3), s=math.nan), "finite exponent"),
        (lambda: riesz_energy(torch.eye(3), s=40.0, floor=1e-3), "floor of at least"),
        (lambda: riesz_energy(torch.eye(3), floor=0.0), "floor between 0 and 1"),
        (lambda: log_determinant(torch.eye(3), width=0.0), "width"),
        (lambda: uniformity(torch.eye(3), kind="mhd"), "among mhe, mhs, mgd"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
