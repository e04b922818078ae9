"""Promises P1 (every metric equals its formula) and P4 (known points): a slow twin for each number of the registry.

The twins are NumPy, float64, written over the raw features from the formula in the registry and its paper.
"""

import math
from functools import cached_property
from itertools import combinations

import numpy as np
import pytest
import torch

from neucollapse.geometry import icosahedron, orthoplex, polygon, simplex
from neucollapse.metrics import REGISTRY


class Problem:
    """Raw features H (N, d), labels y, classifier W (K, d), b (K,), outside features, and what formulas share."""

    def __init__(self, K, d, counts, seed):
        rng = np.random.default_rng(seed)
        self.K, self.d = K, d
        self.y = rng.permutation(np.repeat(np.arange(K), counts))
        centres = rng.standard_normal((K, d)) + rng.standard_normal(d)
        self.H = centres[self.y] + 0.4 * rng.standard_normal((len(self.y), d)) * rng.uniform(0.5, 2, K)[self.y, None]
        self.W = centres - centres.mean(0) / 2 + 0.3 * rng.standard_normal((K, d))
        self.b = rng.standard_normal(K)
        self.ood = rng.standard_normal((30, d)) + rng.standard_normal(d)
        self.N, self.n = len(self.y), np.bincount(self.y)
        self.onehot = np.eye(K)[self.y]

    @cached_property
    def unit(self):
        """The same problem with features of unit norm."""
        other = object.__new__(Problem)
        other.__dict__.update({name: value for name, value in vars(self).items() if name != "mu"})
        other.H = self.H / np.linalg.norm(self.H, axis=1, keepdims=True)
        return other

    @cached_property
    def mu(self):
        return np.array([self.H[self.y == c].mean(0) for c in range(self.K)])

    def mean(self, by="class"):
        return self.mu.mean(0) if by == "class" else self.H.mean(0)

    def M(self, by="class"):
        return self.mu - self.mean(by)

    def within(self, by="sample"):
        S = np.zeros((self.d, self.d))
        for h, c in zip(self.H, self.y, strict=True):
            S += np.outer(h - self.mu[c], h - self.mu[c]) / (self.N if by == "sample" else self.K * self.n[c])
        return S

    def between(self, by="class", about="class"):
        share = self.n / self.N if by == "sample" else np.full(self.K, 1 / self.K)
        return sum(share[c] * np.outer(m, m) for c, m in enumerate(self.M(about)))

    def variance(self, c):
        return np.mean([np.sum((h - self.mu[c]) ** 2) for h in self.H[self.y == c]])

    def cdnv(self, unbiased=False, exponent=1):
        pairs = combinations(range(self.K), 2)
        spread = [self.variance(c) * (self.n[c] / (self.n[c] - 1) if unbiased else 1) for c in range(self.K)]
        values = [(spread[i] + spread[j]) / (2 * np.sum((self.mu[i] - self.mu[j]) ** 2) ** exponent) for i, j in pairs]
        return np.sort(values)

    def nearest(self):
        return np.array([np.argmin([np.sum((h - m) ** 2) for m in self.mu]) for h in self.H])

    def logits(self, bias=True):
        return np.array([self.W @ h + (self.b if bias else 0) for h in self.H])

    def logit_margins(self, Z=None):
        Z = self.logits() if Z is None else Z
        return np.array([z[c] - max(np.delete(z, c)) for z, c in zip(Z, self.y, strict=True)])

    def cosine_margins(self):
        return np.sort(self.logit_margins(rows(self.H) @ rows(self.W).T))

    def least_squares(self):
        """The least-squares classifier of extended features, (K, d + 1)."""
        return np.linalg.lstsq(np.c_[self.H, np.ones(self.N)], self.onehot, rcond=None)[0].T

    def loss(self, classifier):
        residual = np.c_[self.H, np.ones(self.N)] @ classifier.T - self.onehot
        return np.sum(residual**2) / (2 * self.N)


def rows(A):
    return A / np.linalg.norm(A, axis=1, keepdims=True)


def centred(A):
    return A - A.mean(0)


def nc1(S_W, S_B, K):
    return np.trace(S_W @ np.linalg.pinv(S_B, rcond=1e-10)) / K


def vci(p):
    S_B = p.between("sample", "sample")
    rank = np.linalg.matrix_rank(S_B, tol=1e-10)
    return 1 - np.trace(np.linalg.pinv(p.within() + S_B, rcond=1e-12) @ S_B) / rank


def spread(A):
    lengths = [np.linalg.norm(row) for row in A]
    return np.std(lengths) / np.mean(lengths)


def pair_cosines(A):
    return np.array([u @ v for u, v in combinations(rows(A), 2)])


def pair_distances(A):
    return np.array([np.linalg.norm(u - v) for u, v in combinations(rows(A), 2)])


def etf(K):
    return (np.eye(K) - np.ones((K, K)) / K) / math.sqrt(K - 1)


def gram_distance(A, B, target):
    G = A @ B.T
    return np.linalg.norm(G / np.linalg.norm(G) - target)


def hull_distance(w, others):
    """Distance to a convex hull: the nearest point lies inside some face, so try them all (Caratheodory)."""
    best = math.inf
    for size in range(1, min(len(others), len(w) + 1) + 1):
        for face in combinations(range(len(others)), size):
            base, edges = others[face[0]], np.array([others[j] - others[face[0]] for j in face[1:]]).reshape(-1, len(w))
            t = np.linalg.lstsq(edges.T, w - base, rcond=None)[0]
            if np.all(t >= -1e-13) and t.sum() <= 1 + 1e-13:
                best = min(best, np.linalg.norm(w - base - edges.T @ t))
    return best


def margin(A):
    U = rows(A)
    return min(hull_distance(U[k], np.delete(U, k, axis=0)) for k in range(len(U)))


def best_points(K, d):
    """A best code of the sizes tested here: simplex, polygon, cross-polytope."""
    if d + 1 >= K:
        return centred(np.eye(K))
    if d == 2:
        turns = 2 * np.pi * np.arange(K) / K
        return np.c_[np.cos(turns), np.sin(turns)]
    assert 2 * d == K
    return np.r_[np.eye(d), -np.eye(d)]


def best_margin(p):
    return 1 - np.max(pair_cosines(best_points(p.K, p.d))) if p.d + 1 < p.K else p.K / (p.K - 1)


def energy(s):
    return lambda A: np.mean(-np.log(pair_distances(A)) if s == 0 else pair_distances(A) ** -float(s))


def logdet(A, d):
    U = rows(centred(A))
    r = min(len(A) - 1, d)
    return np.mean(np.log(np.linalg.eigvalsh(U @ U.T)[::-1][:r]))


def logdet_deficit(A, d):
    return math.log(len(A) / min(len(A) - 1, d)) - logdet(A, d)


def alignment(A, B):
    return np.array([u @ v for u, v in zip(rows(A), rows(B), strict=True)])


def singular(A):
    return np.linalg.svd(A, compute_uv=False)


def condition(A, rank):
    return singular(A)[0] / singular(A)[rank - 1]


def effective_rank(A):
    share = singular(A) / singular(A).sum()
    return math.exp(-np.sum(share * np.log(share)))


def quantile(values, q):
    return values[math.ceil(q * len(values)) - 1]


def floor(d, rank):
    return math.sqrt(2 - 2 * math.sqrt(d / rank)) if d < rank else 0.0


def about_sample_mean(U, n):
    return U - (n / n.sum()) @ U


ON_ROWS = {  # of class means, and of classifier rows
    "nc2/equinorm": lambda A: spread(centred(A)),
    "nc2/equinorm_uncentred": spread,
    "nc2/equiangular": lambda A: np.mean(np.abs(pair_cosines(centred(A)) + 1 / (len(A) - 1))),
    "nc2/equiangular_std": lambda A: np.std(pair_cosines(centred(A))),
    "nc2/etf_distance": lambda A: gram_distance(centred(A), centred(A), etf(len(A))),
    "nc2/etf_distance_uncentred": lambda A: gram_distance(A, A, etf(len(A))),
    "nc0/row_sum": lambda A: np.linalg.norm(A.sum(0)),
    "nc0/row_sum_relative": lambda A: np.linalg.norm(A.sum(0)) / np.sum(np.linalg.norm(A, axis=1)),
    "nc2/condition": lambda A: condition(centred(A), min(len(A) - 1, A.shape[1])),
    "nc2/condition_uncentred": lambda A: condition(A, min(A.shape)),
    "nc2/orthogonal_frame_distance": lambda A: gram_distance(A, A, np.eye(len(A)) / math.sqrt(len(A))),
}
ON_DIRECTIONS = {  # of uncentred means of unit-norm features, and of classifier rows
    "gnc2/margin": lambda _, A: margin(A),
    "gnc2/margin_ratio": lambda p, A: margin(A) / best_margin(p),
    "gnc2/max_cosine": lambda _, A: np.max(pair_cosines(A)),
    "gnc2/energy": lambda _, A: energy(0)(A),
    "gnc2/energy_excess": lambda p, A: energy(0)(A) - energy(0)(best_points(p.K, p.d)),
    "gnc2/energy_riesz1": lambda _, A: energy(1)(A),
    "gnc2/energy_riesz1_excess": lambda p, A: energy(1)(A) - energy(1)(best_points(p.K, p.d)),
    "gnc2/energy_riesz2": lambda _, A: energy(2)(A),
    "gnc2/energy_riesz2_excess": lambda p, A: energy(2)(A) - energy(2)(best_points(p.K, p.d)),
    "gnc2/gram_logdet": lambda p, A: logdet(A, p.d),
    "gnc2/gram_logdet_excess": lambda p, A: logdet_deficit(A, p.d),
}
ON_MATRIX = {  # of all features, and of the classifier
    "rank/stable": lambda A: np.sum(singular(A) ** 2) / singular(A)[0] ** 2,
    "rank/effective": effective_rank,
    "rank/numerical": lambda A: np.sum(singular(A)) ** 2 / np.sum(A**2),
}
TWINS = {
    "nc1/pinv": lambda p: nc1(p.within(), p.between(), p.K),
    "nc1/pinv_unscaled": lambda p: nc1(p.within(), p.between(), 1),
    "nc1/svd": lambda p: nc1(p.within(), p.between(), p.K),
    "nc1/pinv_sample_mean": lambda p: nc1(p.within(), p.between(about="sample"), p.K),
    "nc1/pinv_class_scatter": lambda p: nc1(p.within("class"), p.between(), p.K),
    "nc1/trace_ratio": lambda p: np.trace(p.within()) / np.trace(p.between()),
    "nc1/trace_ratio_class_scatter": lambda p: np.trace(p.within("class")) / np.trace(p.between()),
    "nc1/trace_ratio_sample": lambda p: np.trace(p.within()) / np.trace(p.between("sample", "sample")),
    "nc1/within_fraction": lambda p: np.trace(p.within()) / np.trace(p.within() + p.between()),
    "nc1/between_fraction": lambda p: np.trace(p.between()) / np.trace(p.within() + p.between()),
    "nc1/vci": vci,
    "nc1/cdnv": lambda p: np.mean(p.cdnv()),
    "nc1/cdnv_max": lambda p: np.max(p.cdnv()),
    "nc1/rescaled": lambda p: np.trace(p.within()) / np.max(np.sum(p.H**2, axis=1)),
    "nc1/cdnv_unbiased": lambda p: np.mean(p.cdnv(unbiased=True)),
    "nc1/cdnv_exponent2": lambda p: np.mean(p.cdnv(exponent=2)),
    "nc1/cdnv_median": lambda p: quantile(p.cdnv(), 0.5),
    "nc1/cdnv_p95": lambda p: quantile(p.cdnv(), 0.95),
    "nc2/etf_floor": lambda p: floor(p.d, p.K - 1),
    "nc3/frobenius": lambda p: np.linalg.norm(
        centred(p.W) / np.linalg.norm(centred(p.W)) - p.M() / np.linalg.norm(p.M())
    ),
    "nc3/frobenius_uncentred_weight": lambda p: np.linalg.norm(
        p.W / np.linalg.norm(p.W) - p.M() / np.linalg.norm(p.M())
    ),
    "nc3/frobenius_squared": lambda p: TWINS["nc3/frobenius"](p) ** 2,
    "nc3/frobenius_sample_mean": lambda p: np.linalg.norm(
        centred(p.W) / np.linalg.norm(centred(p.W)) - p.M("sample") / np.linalg.norm(p.M("sample"))
    ),
    "nc3/product_sample_mean": lambda p: gram_distance(centred(p.W), p.M("sample"), etf(p.K)),
    "nc3/product_sample_mean_uncentred_weight": lambda p: gram_distance(p.W, p.M("sample"), etf(p.K)),
    "nc3/cosine_sample_mean": lambda p: np.mean(1 - alignment(centred(p.W), p.M("sample"))),
    "nc3/product": lambda p: gram_distance(centred(p.W), p.M(), etf(p.K)),
    "nc3/product_uncentred_weight": lambda p: gram_distance(p.W, p.M(), etf(p.K)),
    "nc3/cosine": lambda p: np.mean(1 - alignment(centred(p.W), p.M())),
    "nc3/cosine_max": lambda p: np.max(1 - alignment(centred(p.W), p.M())),
    "nc3/length": lambda p: np.mean(np.linalg.norm(rows(centred(p.W)) - rows(p.M()), axis=1)),
    "nc3/uniform": lambda p: np.std(alignment(centred(p.W), p.M())),
    "nc4/mismatch": lambda p: np.mean(p.logits().argmax(1) != p.nearest()),
    "nc4/mismatch_without_bias": lambda p: np.mean(p.logits(bias=False).argmax(1) != p.nearest()),
    "accuracy/linear": lambda p: np.mean(p.logits().argmax(1) == p.y),
    "accuracy/ncc": lambda p: np.mean(p.nearest() == p.y),
    "test_collapse/strong": lambda p: np.mean(np.sum((p.H - p.mu[p.y]) ** 2, axis=1)) / np.trace(p.between()),
    "test_collapse/weak": lambda p: (
        np.mean([min(np.sum((h - m) ** 2) for m in p.mu) for h in p.H]) / np.trace(p.between())
    ),
    "margins/min": lambda p: np.min(p.logit_margins()),
    "margins/normalized_min": lambda p: (
        np.min(p.logit_margins()) / (np.linalg.norm(p.W) * math.sqrt(p.K * np.mean(np.sum(p.H**2, axis=1))))
    ),
    "margins/cosine_min": lambda p: np.min(p.cosine_margins()),
    "margins/cosine_mean": lambda p: np.mean(p.cosine_margins()),
    "margins/cosine_median": lambda p: quantile(p.cosine_margins(), 0.5),
    "nc5/cosine": lambda p: np.mean(np.abs(rows(p.mu) @ rows(p.ood.mean(0)[None])[0])),
    "nc5/cosine_centred": lambda p: np.mean(np.abs(rows(p.M()) @ rows((p.ood.mean(0) - p.mean())[None])[0])),
    "bias/relation": lambda p: np.linalg.norm(p.W @ p.mean() + p.b),
    "bias/relation_sample_mean": lambda p: np.linalg.norm(p.W @ p.H.mean(0) + p.b),
    "bias/relation_centred": lambda p: np.linalg.norm(centred(p.W @ p.mean() + p.b)),
    "gnc1/pinv": lambda p: nc1(p.unit.within(), p.unit.between(about="sample"), p.K),
    "gnc1/trace_ratio": lambda p: np.trace(p.unit.within()) / np.trace(p.unit.between()),
    "gnc2/margin_optimum": best_margin,
    "gnc2/distance_variance": lambda p: np.var(pair_distances(p.M())),
    "gnc2/log_variance": lambda p: np.var(np.log(1 / pair_distances(p.M()))),
    "gnc2/log_mean": lambda p: np.mean(np.log(1 / pair_distances(p.M()))),
    "gnc3/cosine": lambda p: np.mean(1 - alignment(p.W, p.unit.mu)),
    "gnc3/jiang": lambda p: np.mean(1 - alignment(p.W, p.unit.M("sample"))),
    "gnc3/jiang_floor": lambda p: np.mean(1 - alignment(p.W, about_sample_mean(rows(p.W), p.n))),
    "rank/effective_centred": lambda p: effective_rank(centred(p.H)),
    "rank/effective_within_class": lambda p: np.mean([effective_rank(centred(p.H[p.y == c])) for c in range(p.K)]),
    "mse/loss": lambda p: p.loss(np.c_[p.W, p.b]),
    "mse/within": lambda p: np.trace(p.least_squares()[:, :-1] @ p.within() @ p.least_squares()[:, :-1].T) / 2,
    "mse/means": lambda p: p.loss(p.least_squares()) - TWINS["mse/within"](p),
    "mse/off_path": lambda p: p.loss(np.c_[p.W, p.b]) - p.loss(p.least_squares()),
    **{name: lambda p, f=f: f(p.mu) for name, f in ON_ROWS.items()},
    **{f"{name}@weight": lambda p, f=f: f(p.W) for name, f in ON_ROWS.items()},
    **{name: lambda p, f=f: f(p, p.unit.mu) for name, f in ON_DIRECTIONS.items()},
    **{f"{name}@weight": lambda p, f=f: f(p, p.W) for name, f in ON_DIRECTIONS.items()},
    **{name: lambda p, f=f: f(p.H) for name, f in ON_MATRIX.items()},
    **{f"{name}@weight": lambda p, f=f: f(p.W) for name, f in ON_MATRIX.items()},
}

COARSE = {  # read from histograms, to half a bin
    "nc1/cdnv_median": {"rel": 10 ** (0.5 / 256) - 1},
    "nc1/cdnv_p95": {"rel": 10 ** (0.5 / 256) - 1},
    "margins/cosine_median": {"abs": 0.005},
}
PROBLEMS = {
    "balanced K<d": (5, 9, [12] * 5),
    "imbalanced K=d+1": (4, 3, [40, 5, 9, 17]),
    "imbalanced K=2d": (6, 3, [30, 4, 7, 11, 5, 9]),
    "imbalanced K>d+1, a polygon": (7, 2, [25, 3, 8, 5, 9, 4, 6]),
}


def test_every_metric_has_a_twin():
    assert set(TWINS) == set(REGISTRY)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_metric_equals_its_formula(name, seed, measured):
    p = Problem(*PROBLEMS[name], seed)
    result = measured(p.H, p.y, p.W, p.b, ood=p.ood)
    assert result.absent == {}
    for key, twin in TWINS.items():
        want = pytest.approx(twin(p), **COARSE.get(key, {"rel": 1e-9, "abs": 1e-13}))
        assert result[key] == want, key
    assert list(result) == list(REGISTRY)


@pytest.mark.parametrize("name", PROBLEMS)
def test_optima_beside_the_numbers(name, measured):
    p = Problem(*PROBLEMS[name], 0)
    optima = measured(p.H, p.y, p.W, p.b).optima
    code = best_points(p.K, p.d)
    expected = {
        "nc2/etf_distance": floor(p.d, p.K - 1),
        "nc2/etf_distance_uncentred": floor(p.d, p.K - 1),
        "nc2/orthogonal_frame_distance": floor(p.d, p.K),
        "gnc2/margin": best_margin(p),
        "gnc2/margin_ratio": 1,
        "gnc2/max_cosine": np.max(pair_cosines(code)),
        "gnc2/energy": energy(0)(code),
        "gnc2/energy_riesz1": energy(1)(code),
        "gnc2/energy_riesz2": energy(2)(code),
        "gnc2/gram_logdet": math.log(p.K / min(p.K - 1, p.d)),
    }
    expected |= {f"{key}@weight": value for key, value in expected.items()}
    expected["margins/cosine_min"] = 1 - np.max(pair_cosines(code))
    share = p.n / p.N
    left = np.linalg.eigvalsh(np.diag(share) - np.outer(share, share))[1 : max(1, p.K - p.d)]
    expected |= {"mse/loss": np.sum(left) / 2, "mse/means": np.sum(left) / 2, "nc3/product": floor(p.d, p.K - 1)}
    if p.d + 1 >= p.K:
        fits = (
            "nc2/equiangular",
            "nc2/equiangular@weight",
            "nc2/equiangular_std",
            "gnc2/log_variance",
            "gnc2/distance_variance",
        )
        expected |= dict.fromkeys(fits, 0)
    else:
        assert "nc2/equiangular" not in optima
    assert {key: optima[key] for key in expected} == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_kept_class_by_class(name, measured):
    p = Problem(*PROBLEMS[name], 0)
    arrays = measured(p.H, p.y, p.W, p.b).arrays
    worst = np.zeros(p.K)
    for i, j in combinations(range(p.K), 2):
        value = (p.variance(i) + p.variance(j)) / (2 * np.sum((p.mu[i] - p.mu[j]) ** 2))
        worst[i], worst[j] = max(worst[i], value), max(worst[j], value)
    np.testing.assert_allclose(arrays["cdnv_worst"], worst, rtol=1e-9)
    for side, A in (("normalized_means", p.unit.mu), ("weight", p.W)):
        U = rows(A)
        distances = [hull_distance(U[k], np.delete(U, k, axis=0)) for k in range(p.K)]
        np.testing.assert_allclose(arrays[f"one_vs_rest_{side}"], distances, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(arrays["class_means"], p.mu, rtol=1e-12)
    np.testing.assert_allclose(arrays["normalized_means"], p.unit.mu, rtol=1e-12)
    histogram = np.histogram(p.cosine_margins(), arrays["margin_edges"])[0]
    np.testing.assert_array_equal(arrays["margin_counts"], histogram)


def test_pairs_that_fill_several_tiles(measured):
    p = Problem(520, 3, [2] * 520, 0)
    keys = ["nc1/cdnv", "gnc2/max_cosine@weight", "gnc2/energy@weight"]
    keys += ["nc2/equiangular@weight", "nc2/etf_distance", "nc3/product"]
    result = measured(p.H, p.y, p.W, p.b, keys=keys)
    for key in keys:
        assert result[key] == pytest.approx(TWINS[key](p), **COARSE.get(key, {"rel": 1e-9})), key


# ---- exact codes ----------------------------------------------------------------------------------------------------

ZERO_AT_EVERY_CODE = [
    "nc1/pinv",
    "nc1/pinv_unscaled",
    "nc1/svd",
    "nc1/pinv_sample_mean",
    "nc1/pinv_class_scatter",
    "nc1/trace_ratio",
    "nc1/trace_ratio_class_scatter",
    "nc1/trace_ratio_sample",
    "nc1/within_fraction",
    "nc1/vci",
    "nc1/cdnv",
    "nc1/cdnv_max",
    "nc1/cdnv_median",
    "nc1/cdnv_p95",
    "nc2/equinorm",
    "nc2/equinorm_uncentred",
    "nc2/equinorm@weight",
    "nc3/frobenius",
    "nc3/frobenius_uncentred_weight",
    "nc3/frobenius_squared",
    "nc3/cosine",
    "nc3/cosine_max",
    "nc3/length",
    "nc3/uniform",
    "nc4/mismatch",
    "nc4/mismatch_without_bias",
    "test_collapse/strong",
    "test_collapse/weak",
    "bias/relation",
    "bias/relation_centred",
    "gnc1/pinv",
    "gnc1/trace_ratio",
    "gnc2/gram_logdet_excess",
    "gnc2/energy_excess",
    "gnc2/energy_riesz1_excess",
    "gnc2/energy_riesz2_excess",
    "gnc2/energy_excess@weight",
    "gnc3/cosine",
    "gnc3/jiang",
    "gnc3/jiang_floor",
    "mse/within",
]
ONE_AT_EVERY_CODE = ["nc1/between_fraction", "gnc2/margin_ratio", "gnc2/margin_ratio@weight", "accuracy/linear"]
CODES = {"simplex": simplex(5, 7), "octagon": polygon(8), "icosahedron": icosahedron(), "orthoplex": orthoplex(8, 4)}
PINNED = {
    "simplex": {
        "nc2/etf_distance": 0,
        "nc2/equiangular": 0,
        "nc3/product": 0,
        "nc2/orthogonal_frame_distance": math.sqrt(2 - 2 * math.sqrt(4 / 5)),
        "gnc2/margin": 5 / 4,
        "gnc2/max_cosine": -1 / 4,
        "gnc2/distance_variance": 0,
        "gnc2/log_variance": 0,
        "gnc2/energy": -math.log(5 / 2) / 2,
        "gnc2/energy_riesz2": 2 / 5,
        "gnc2/gram_logdet": math.log(5 / 4),
        "rank/stable": 4,
        "rank/effective": 4,
        "rank/numerical@weight": 4,
        "margins/normalized_min": 1 / 4,
        "margins/cosine_min": 5 / 4,
        "mse/means": 0,
    },
    "octagon": {
        "nc2/etf_distance": math.sqrt(2 - 2 * math.sqrt(2 / 7)),
        "nc2/etf_floor": math.sqrt(2 - 2 * math.sqrt(2 / 7)),
        "nc3/product": math.sqrt(2 - 2 * math.sqrt(2 / 7)),
        "gnc2/margin": 1 - math.sqrt(1 / 2),
        "gnc2/max_cosine": math.sqrt(1 / 2),
        "gnc2/energy": -math.log(8) / 7,  # the distances from a vertex of a regular n-gon multiply to n
        "gnc2/energy_riesz2": 63 / 12 / 7,  # sum over j of 1/(4 sin^2(pi j/n)) is (n^2 - 1)/12
        "gnc2/gram_logdet": math.log(4),
        "rank/stable": 2,
        "margins/cosine_min": 1 - math.sqrt(1 / 2),
        "mse/means": 5 / 16,  # K one-hot targets, of which features and a constant reach d + 1 dimensions
    },
    "icosahedron": {
        "nc2/etf_distance": math.sqrt(2 - 2 * math.sqrt(3 / 11)),
        "gnc2/margin": 1 - 1 / math.sqrt(5),
        "gnc2/max_cosine": 1 / math.sqrt(5),
        "gnc2/energy": -math.log(4 * 3.2**5) / 22,
        "gnc2/energy_riesz2": 6.5 / 11,
        "gnc2/gram_logdet": math.log(4),
        "rank/effective@weight": 3,
        "mse/means": 8 / 24,
    },
    "orthoplex": {
        "nc2/etf_distance": math.sqrt(2 - 2 * math.sqrt(4 / 7)),
        "nc2/orthogonal_frame_distance": math.sqrt(2 - 2 * math.sqrt(4 / 8)),
        "nc2/equiangular": (6 * 1 / 7 + 6 / 7) / 7,
        "gnc2/margin": 1,
        "gnc2/max_cosine": 0,
        "gnc2/energy": -math.log(4 * 2**6) / 14,
        "gnc2/energy_riesz1": (1 / 2 + 6 / math.sqrt(2)) / 7,
        "gnc2/energy_riesz2": (1 / 4 + 6 / 2) / 7,
        "rank/numerical": 4,
        "margins/cosine_mean": 1,
        "mse/means": 3 / 16,
    },
}


@pytest.mark.parametrize("name", CODES)
def test_known_values_at_exact_codes(name, measured):
    code = CODES[name]
    result = measured(2 * code.repeat(3, 1), torch.arange(len(code)).repeat(3), 5 * code, torch.zeros(len(code)))
    expected = dict.fromkeys(ZERO_AT_EVERY_CODE, 0.0) | dict.fromkeys(ONE_AT_EVERY_CODE, 1.0) | PINNED[name]
    for key, value in expected.items():
        assert result[key] == pytest.approx(value, abs=1e-10), key
    for key in ("nc2/etf_distance", "gnc2/margin", "gnc2/max_cosine", "gnc2/energy_riesz2"):
        assert result[f"{key}@weight"] == pytest.approx(result[key], abs=1e-10), key


# The simplex is not the frame that squared loss without bias leads to; this classifier is not the least-squares one.
NOT_REACHED = {"nc2/orthogonal_frame_distance", "nc2/orthogonal_frame_distance@weight", "mse/loss", "mse/off_path"}


@pytest.mark.parametrize("name", CODES)
def test_the_best_codes_reach_every_optimum(name, measured):
    code = CODES[name]
    result = measured(2 * code.repeat(3, 1), torch.arange(len(code)).repeat(3), 5 * code, torch.zeros(len(code)))
    assert len(result.optima) > 50
    for key in result.optima.keys() - NOT_REACHED:
        assert result[key] == pytest.approx(result.optima[key], abs=1e-10), key
