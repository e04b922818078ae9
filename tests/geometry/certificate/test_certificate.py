"""Certificates of exact codes, of codes with idle points, of perturbed ones; stress and rigidity against slow twins."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.autograd.functional import hessian, jacobian

from neucollapse import InputError, NonFiniteError
from neucollapse.geometry import icosahedron, mean_energy, one_vs_rest, orthoplex, polygon, simplex, unit_rows
from neucollapse.geometry.bounds import best_bound
from neucollapse.geometry.certificate import _stress, certify, certify_energy
from neucollapse.geometry.certificate._certify import Limits, certify_until


def e8_roots():
    pairs = [
        [a if k == i else b if k == j else 0 for k in range(8)]
        for i, j in itertools.combinations(range(8), 2)
        for a, b in itertools.product((1, -1), repeat=2)
    ]
    halves = [signs for signs in itertools.product((0.5, -0.5), repeat=8) if math.prod(signs) > 0]
    return torch.tensor(pairs + list(halves), dtype=torch.float64) / 2**0.5


def antiprism():
    """Eight points: two squares, one turned by an eighth, at the height where all edges agree. s = (2 sqrt 2 - 1)/7."""
    height = (0.5**0.5 / (2 + 0.5**0.5)) ** 0.5
    angles = torch.arange(8, dtype=torch.float64) * math.pi / 4
    z = height * (-1.0) ** torch.arange(8, dtype=torch.float64)
    r = (1 - height**2) ** 0.5
    return torch.stack([r * angles.cos(), r * angles.sin(), z], dim=1)


def snub_cube():
    """Even permutations of (1, 1/t, t) with an even number of minus signs, odd ones with an odd one; t^3 = t^2 + t + 1."""
    t = max(np.roots([1, -1, -1, -1]), key=abs).real
    points = []
    for order in itertools.permutations(range(3)):
        odd = np.linalg.det(np.eye(3)[list(order)]) < 0
        kept = [signs for signs in itertools.product((1, -1), repeat=3) if (math.prod(signs) < 0) == odd]
        points += [[sign * (1, 1 / t, t)[k] for sign, k in zip(signs, order, strict=True)] for signs in kept]
    return unit_rows(points)


def petersen():
    """The midpoints of the edges of a simplex in four dimensions: s = 1/6."""
    corners = simplex(5)
    return unit_rows(torch.stack([corners[i] + corners[j] for i, j in itertools.combinations(range(5), 2)]))


def d_roots(n):
    """The roots of D_n: s = 1/2, 2n(n-1) points."""
    return e8_roots()[:112][(e8_roots()[:112, n:] == 0).all(dim=1)][:, :n]


def slow_residual(certificate, W):
    """The stress equations, contact by contact."""
    W, s = unit_rows(W), certificate.max_cosine
    pull = torch.zeros_like(W)
    for (i, j), weight in zip(certificate.contacts.tolist(), certificate.multipliers.tolist(), strict=True):
        sign = float((W[i] @ W[j]).sign()) if certificate.kind == "grassmannian" else 1.0
        pull[i] += weight * (sign * W[j] - s * W[i])
        pull[j] += weight * (sign * W[i] - s * W[j])
    return float(pull.norm(dim=1).max())


def slow_freedom(W, s):
    """Dimension of the first-order motions that keep norms and contacts, less that of rotations: 0 is rigid."""
    W = unit_rows(W).numpy()
    K, d = W.shape
    conditions = []
    for i in range(K):
        row = np.zeros((K, d))
        row[i] = W[i]
        conditions.append(row.ravel())
        for j in range(i):
            if abs(W[i] @ W[j] - s) < 1e-9:
                row = np.zeros((K, d))
                row[i], row[j] = W[j], W[i]
                conditions.append(row.ravel())
    turns = [W @ (np.outer(a, b) - np.outer(b, a)) for a, b in itertools.combinations(np.eye(d), 2)]
    free = K * d - np.linalg.matrix_rank(np.array(conditions), tol=1e-9)
    return free - np.linalg.matrix_rank(np.array(turns).reshape(len(turns), -1), tol=1e-9)


def test_icosahedron():
    c = certify(icosahedron())
    assert c.max_cosine == pytest.approx(5**-0.5, abs=1e-15)
    assert c.contact_count == len(c.contacts) == 30
    torch.testing.assert_close(c.multipliers, torch.full((30,), 1 / 30, dtype=torch.float64), rtol=0, atol=1e-15)
    assert c.kkt_residual < 1e-14
    assert slow_residual(c, icosahedron()) < 1e-14
    assert c.stress_rank == 12 - 3
    assert c.rigid
    assert slow_freedom(icosahedron(), c.max_cosine) == 0
    assert c.margin == pytest.approx(1 - 5**-0.5, abs=1e-14)
    assert c.margin_identity < 1e-14
    assert bool(c.balanced.all())
    assert len(c.rattlers) == len(c.loose) == 0
    assert abs(c.relative_gap) < 1e-14
    assert c.is_optimal
    assert "No code does better" in c.describe()
    assert "30 contacts" in c.describe()


@pytest.mark.parametrize(
    ("code", "kind", "contacts"),
    [
        (simplex(5), "spherical", 10),
        (simplex(6, 9), "softmax", 15),
        (orthoplex(10, 5), "spherical", 40),
        (orthoplex(8, 5), "softmax", 25),
        (polygon(9), "softmax", 9),
        (e8_roots(), "spherical", 240 * 56 // 2),
        (e8_roots()[(e8_roots() * torch.arange(1.0, 9.0).exp()).sum(dim=1) > 0], "grassmannian", 120 * 56 // 2),
        (icosahedron()[(icosahedron() * torch.tensor([1.0, 3.0, 7.0])).sum(dim=1) > 0], "grassmannian", 15),
        (torch.eye(4), "grassmannian", 6),
        (torch.tensor([[1.0], [-1.0]]), "spherical", 1),
        (torch.tensor([[1.0], [-1.0], [1.0]]), "spherical", 1),
    ],
    ids=[
        "simplex",
        "simplex in 9",
        "orthoplex",
        "sub-orthoplex",
        "polygon",
        "E8",
        "E8 lines",
        "diagonals",
        "axes",
        "ends",
        "line",
    ],
)
def test_optimal_codes_are_proved(code, kind, contacts):
    c = certify(code, kind, margin=len(code) < 100 and kind != "grassmannian")  # 240 margins have tests of their own
    assert c.contact_count == contacts
    assert c.is_optimal
    assert c.is_local
    if contacts > 1:
        assert c.kkt_residual < 1e-14
        assert slow_residual(c, code) < 1e-14
    assert float(c.multipliers.sum()) == pytest.approx(1)
    assert float(c.multipliers.min()) >= 0


@pytest.mark.parametrize(
    ("code", "s", "contacts"),
    [
        (antiprism(), (8**0.5 - 1) / 7, 16),
        (snub_cube(), 0.723078468333509, 60),
        (petersen(), 1 / 6, 30),
        (d_roots(4), 1 / 2, 96),
        (d_roots(5), 1 / 2, 240),
    ],
    ids=["antiprism", "snub cube", "Petersen", "D4", "D5"],
)
def test_codes_that_meet_no_bound(code, s, contacts):
    K, d = code.shape
    c = certify(code)
    assert c.max_cosine == pytest.approx(s, abs=1e-14)
    assert c.contact_count == contacts
    assert c.kkt_residual < 1e-14
    assert slow_residual(c, code) == pytest.approx(c.kkt_residual, abs=1e-15)
    assert len(c.rattlers) == len(c.loose) == 0
    assert c.rigid == (slow_freedom(code, s) == 0)
    assert c.is_local == (True if c.rigid else None)
    assert c.stress_rank <= K - d
    assert bool(c.balanced.all())
    assert c.margin_identity < 1e-12
    assert c.bound.value < s - 1e-3
    assert c.relative_gap == pytest.approx((s - c.bound.value) / (1 - c.bound.value))
    assert not c.is_optimal
    softmax = certify(code, "softmax")
    assert softmax.bound.value == best_bound(K, d, "softmax").value > 1 - s
    assert softmax.relative_gap == pytest.approx(1 - (1 - s) / softmax.bound.value)


def test_multipliers_need_not_be_equal():
    """The snub cube has two kinds of edges, and every point has them in the ratio 4 to 1."""
    c = certify(snub_cube())
    kinds = c.multipliers.unique().numpy()
    assert kinds.max() / kinds.min() > 1.01
    assert c.multipliers.min() > 0


def test_a_perturbed_code_is_refused():
    noisy = icosahedron() + 1e-3 * torch.randn(12, 3, dtype=torch.float64)
    c = certify(noisy)
    assert c.contact_count < 30
    assert c.kkt_residual > 1e-2
    assert c.is_stationary is False
    assert c.is_local is False
    assert "do not balance" in c.describe()
    wide = certify(noisy, tolerance=0.02)  # all thirty are found again, but balance to the noise alone
    assert wide.contact_count == 30
    assert 1e-6 < wide.kkt_residual < 1e-2
    assert wide.is_local is False


def test_pushed_points_do_not_balance():
    """Three points on a half circle touch, but the middle one can be left alone while the others part."""
    angles = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    c = certify(torch.stack([angles.cos(), angles.sin()], dim=1))
    assert c.contact_count == 2
    assert c.kkt_residual > 0.1
    assert c.is_stationary is False
    assert c.balanced.tolist() == [False, True, False]  # each by itself: s w lies between the two neighbours


def test_rattlers():
    """An icosahedron in four dimensions and a point above it, which touches nothing."""
    W = torch.zeros(13, 4, dtype=torch.float64)
    W[:12, :3], W[12, 3] = icosahedron(), 1
    c = certify(W)
    assert c.rattlers.tolist() == [12]
    assert len(c.loose) == 0
    assert c.kkt_residual < 1e-14
    assert c.rigid is False  # every vertex may rise: the contacts do not mind to first order
    assert c.is_local is None
    assert c.balanced.tolist() == 12 * [True] + [False]
    assert float(one_vs_rest(W).distance[12]) > 1 - c.max_cosine
    assert "1 without a contact (rattlers)" in c.describe()


def test_loose_points():
    """The fifth point of the cross-polytope touches the other four, but could not be pushed back."""
    c = certify(orthoplex(5, 3))
    assert c.contact_count == 8
    assert len(c.rattlers) == 0
    assert c.loose.tolist() == [4]
    assert c.kkt_residual < 1e-14
    assert "carry no stress" in c.describe()


def test_planted_stress_is_found():
    """Equations with a known positive solution: unique, one of many, and sparse ones too large for a dense solver."""
    rng = np.random.default_rng(0)
    for rows, m, copies, density in ((300, 250, 0, 1.0), (300, 250, 30, 1.0), (60, 200, 0, 1.0), (3000, 2000, 0, 0.01)):
        matrix = rng.standard_normal((rows, m)) * (rng.random((rows, m)) < density)
        planted = rng.random(m) + 0.01
        for k in range(copies):
            matrix[:, k] = matrix[:, m // 2 + k] * rng.uniform(-2, 3)
        matrix[:, -1] = -(matrix[:, :-1] @ planted[:-1]) / planted[-1]
        weights, residual, decided = _stress.solve_stress(sparse.csc_array(matrix), 10)
        assert residual == pytest.approx(np.linalg.norm((matrix @ weights).reshape(-1, 10), axis=1).max(), abs=1e-15)
        assert residual < 1e-12
        assert decided
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1)
        if rows > m and not copies:
            np.testing.assert_allclose(weights, planted / planted.sum(), rtol=1e-8)


def test_without_a_stress_the_least_residual_is_found():
    matrix = np.array([[1.0, 0.0], [1.0, 1.0]])
    weights, residual, decided = _stress.solve_stress(sparse.csc_array(matrix), 1)
    assert decided
    assert weights.tolist() == pytest.approx([0, 1], abs=1e-12)
    assert residual == pytest.approx(1)


def test_sizes_beyond_reach_say_so():
    W = torch.randn(2300, 16)
    c = certify(W, bound=False)
    assert c.margin is None
    assert c.bound is None
    assert c.relative_gap is None
    assert any("margin=True" in reason for reason in c.skipped)
    assert certify(W[:50], margin=False).margin is None
    c = certify_until(icosahedron(), "spherical", Limits(entries=100))
    assert c.multipliers is None
    assert c.kkt_residual is None
    assert c.is_stationary is None
    assert bool(c.balanced.all())  # by the nearest points of the hulls
    assert "more than 100 entries" in c.describe()
    c = certify_until(icosahedron(), "spherical", Limits(contacts=10))
    assert c.contact_count == 30
    assert c.contacts.shape == (0, 2)
    assert len(c.rattlers) == 0


def test_lines_have_no_margin():
    c = certify(torch.eye(4)[:3], "grassmannian")
    assert c.margin is None
    assert c.balanced is None
    assert "margin" not in c.describe()


def test_softmax_without_a_margin_uses_the_cosine():
    c = certify(icosahedron(), "softmax", margin=False)
    assert c.relative_gap == pytest.approx(5**-0.5)  # Radon's 1 against 1 - s
    assert "at least 1 - s" in c.describe()


def test_float32_points_need_a_tolerance():
    single = icosahedron().float()
    assert certify(single, tolerance=1e-6).contact_count == 30
    assert certify(single, tolerance=1e-6).kkt_residual < 1e-6


@pytest.mark.parametrize("s", [0, 1, 2.5])
def test_energy_against_autograd(s):
    W = unit_rows(torch.randn(6, 3, dtype=torch.float64))

    def energy(flat):
        U = flat.reshape(6, 3)
        U = U / U.norm(dim=1, keepdim=True)
        i, j = torch.triu_indices(6, 6, offset=1)
        squared = (U[i] - U[j]).square().sum(dim=1)
        return (-0.5 * squared.log() if s == 0 else squared ** (-s / 2)).sum()

    slope = jacobian(energy, W.flatten())
    c = certify_energy(W, s)
    squared = (W[:, None] - W).square().sum(dim=2).fill_diagonal_(math.inf)
    forces = ((s or 1) * squared ** (-s / 2 - 1)).sum(dim=1)
    assert c.gradient == pytest.approx(float(slope.norm() / forces.norm()), rel=1e-10)
    assert c.energy == pytest.approx(mean_energy(W, s))
    assert c.is_local is False


@pytest.mark.parametrize(("code", "s"), [(icosahedron(), 1), (simplex(4), 0), (orthoplex(8, 4), 2), (polygon(7), 0)])
def test_energy_at_its_minima(code, s):
    K, d = code.shape

    def energy(flat):  # along normalised points: its Hessian at a stationary code is the Riemannian one
        U = flat.reshape(K, d)
        U = U / U.norm(dim=1, keepdim=True)
        i, j = torch.triu_indices(K, K, offset=1)
        squared = (U[i] - U[j]).square().sum(dim=1)
        return (-0.5 * squared.log() if s == 0 else squared ** (-s / 2)).sum()

    values = torch.linalg.eigvalsh(hessian(energy, code.flatten())).numpy()
    idle = K + d * (d - 1) // 2  # norms and rotations cost nothing
    c = certify_energy(code, s)
    assert c.gradient < 1e-14
    assert c.is_local
    assert c.largest_curvature == pytest.approx(values[-1])
    assert c.smallest_curvature * c.largest_curvature == pytest.approx(values[idle], rel=1e-9)
    np.testing.assert_allclose(values[:idle], 0, atol=1e-10)


def test_energy_of_saddles_and_large_codes():
    equator = torch.cat([polygon(5), torch.zeros(5, 1, dtype=torch.float64)], dim=1)
    saddle = certify_energy(equator, 1)
    assert saddle.gradient < 1e-14
    assert saddle.smallest_curvature < -0.01
    assert saddle.is_local is False
    large = certify_energy(e8_roots(), 1)
    assert large.gradient < 1e-14
    assert large.smallest_curvature is None
    assert large.is_local is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: certify(torch.eye(3), "tammes"), "expected kind"),
        (lambda: certify(torch.eye(3), tolerance=0), "tolerance between 0 and 1"),
        (lambda: certify(torch.eye(3)[:1]), "K >= 2"),
        (lambda: certify(torch.zeros(3, 2)), "zero rows"),
        (lambda: certify_energy(torch.eye(3), -1), "Riesz exponent"),
        (lambda: certify_energy(torch.ones(3, 2), 1), "coincide"),
    ],
)
def test_impossible_arguments(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_non_finite_points():
    with pytest.raises(NonFiniteError):
        certify([[1.0, math.nan], [0.0, 1.0]])
