"""Margin, covering and few-shot bounds: against slow versions, where they are proved, and the effect of a relabelling."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.geometry import best_code, one_vs_rest, orthoplex, polygon, random_permutation, simplex
from neucollapse.theory import simulate
from neucollapse.theory.margin_bound.covering import covering_bound, greedy_cover, missing_mass_bound
from neucollapse.theory.margin_bound.few_shot import (
    cdnv_bound,
    class_bounds,
    few_shot_error,
    from_gaussians,
    from_pools,
    pair_bounds,
    pair_cdnv,
    pool_moments,
)
from neucollapse.theory.margin_bound.permutation_effect import permutation_effect, relabelled_bound, uneven_classes
from neucollapse.theory.margin_bound.terms import (
    GRID,
    gaussian_pair_errors,
    gaussian_terms,
    pair_directions,
    rademacher,
    sample_terms,
)
from neucollapse.theory.settings import MarginBound

SMALL = MarginBound(
    classes=5, dim=2, samples=60, tests=40, levels=2, permutations=3, shots=(1, 3), trials=4, digits=False
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- the margin bound ------------------------------------------------------------------------------------------------


def slow_terms(features, labels, weight, delta, largest):
    """The four terms of every pair by loops, from the definition."""
    K, out = len(weight), {}
    for i, j in itertools.permutations(range(K), 2):
        rows = features[labels == i]
        n, v = len(rows), (weight[i] - weight[j]) / np.linalg.norm(weight[i] - weight[j])
        best = None
        for k in range(GRID):
            gamma = largest / 2**k
            share = np.mean([v @ row <= gamma for row in rows])
            complexity = 2 / gamma * math.sqrt(sum(row @ row for row in rows)) / n
            choice = 3 * math.sqrt(math.log((k + 1) * (k + 2)) / (2 * n))
            confidence = 3 * math.sqrt(math.log(2 * K * (K - 1) / delta) / (2 * n))
            terms = share, complexity, choice, confidence
            best = terms if best is None or sum(terms) < sum(best) else best
        out[i, j] = best
    return out


@profile(max_examples=15, deadline=None)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 30), st.floats(0.01, 0.9), st.integers(0, 1000))
def test_terms_by_their_definition(K, d, n, delta, seed):
    weight, labels = normal(K, d, seed=seed), torch.arange(K).repeat(n)
    features = weight[labels] + 0.3 * normal(K * n, d, seed=seed + 1)
    terms, gamma = sample_terms(features, labels, weight, delta=delta, largest=2.0)
    for (i, j), expected in slow_terms(features.numpy(), labels.numpy(), weight.numpy(), delta, 2.0).items():
        got = [float(part[i, j]) for part in (terms.share, terms.complexity, terms.choice, terms.confidence)]
        assert sum(got) == pytest.approx(sum(expected), rel=1e-12)
        assert math.log2(2 / gamma[i, j]) == int(math.log2(2 / gamma[i, j]))
    assert all(
        bool((part.diagonal() == 0).all()) for part in (terms.share, terms.complexity, terms.choice, terms.confidence)
    )


def test_the_union_spends_delta_once():
    """Shares 1 / ((k+1)(k+2)) of the probability add up to 1."""
    assert sum(1 / ((k + 1) * (k + 2)) for k in range(100_000)) == pytest.approx(1, abs=1e-4)


def test_expected_terms_are_those_of_a_large_sample():
    code = best_code(10, 3, budget=0).points
    classes = uneven_classes(10, 0.3, 3.0, 1.0)
    draw = from_gaussians(code, classes.factors(code))(20_000, torch.Generator().manual_seed(0))
    labels = torch.arange(10).repeat_interleave(20_000)
    found, _ = sample_terms(draw.flatten(0, 1), labels, code)
    expected, _ = gaussian_terms(code, classes.covariances(code), code, torch.full((10,), 20_000.0).double())
    priors = torch.full((10,), 0.1).double()
    assert found.summed(priors)["total"] == pytest.approx(expected.summed(priors)["total"], rel=0.01)
    directions = pair_directions(code)
    wrong = torch.stack([(draw[i] @ directions[i].T <= 0).double().mean(0) for i in range(10)])
    wrong.fill_diagonal_(0)
    assert (wrong - gaussian_pair_errors(code, classes.covariances(code), code)).abs().max() < 5 / 20_000**0.5


@profile(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(2, 4), st.floats(0.05, 1.0), st.integers(0, 1000))
def test_the_bound_holds_on_fresh_gaussian_samples(K, d, noise, seed):
    """For the class means of the sample itself, which are linear in fixed features: the theorem covers them."""
    generator = torch.Generator().manual_seed(seed)
    means = normal(K, d, seed=seed)
    draw = from_gaussians(means, noise * torch.eye(d).double().expand(K, d, d))
    train, test = draw(300, generator), draw(300, generator)
    weight = train.mean(1)
    terms, _ = sample_terms(train.flatten(0, 1), torch.arange(K).repeat_interleave(300), weight)
    total = terms.summed(torch.full((K,), 1 / K).double())["total"]
    assert float(((test @ weight.T).argmax(2) != torch.arange(K)[:, None]).double().mean()) <= total


@profile(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 1000))
def test_rademacher_average_is_exact_over_all_signs_and_below_its_bound(n, d, seed):
    rows = normal(n, d, seed=seed)
    exact = np.mean([(torch.tensor(s).double() @ rows).norm() / n for s in itertools.product((-1.0, 1.0), repeat=n)])
    assert exact <= rademacher(rows) * (1 + 1e-12)
    drawn = rademacher(rows, draws=4000, generator=torch.Generator().manual_seed(seed))
    assert drawn == pytest.approx(exact, abs=5 * rademacher(rows) / 4000**0.5)


def test_equal_rows_and_empty_classes_are_refused():
    with pytest.raises(InputError, match="two that are equal"):
        pair_directions(torch.ones(2, 3))
    with pytest.raises(InputError, match="got none of class 1"):
        sample_terms(torch.ones(2, 2), torch.zeros(2, dtype=torch.int64), torch.eye(2))


# ---- relabelling -----------------------------------------------------------------------------------------------------


def effect(code, lean, uneven=4.0):
    classes = uneven_classes(len(code), 0.3, uneven, lean)
    relabellings = [random_permutation(len(code), seed=seed) for seed in range(12)]
    return permutation_effect(relabelled_bound(code, classes, pi, 500, 0.05) for pi in relabellings)


@profile(max_examples=10, deadline=None)
@given(st.integers(3, 12), st.floats(0, 3), st.floats(1, 10))
def test_a_simplex_has_no_permutation_effect(K, lean, uneven):
    assert max(effect(simplex(K), lean, uneven).values()) <= 1e-12


@pytest.mark.parametrize("code", [polygon(7), orthoplex(8, 4)], ids=["polygon", "orthoplex"])
def test_vertices_that_see_the_same_distances_have_none_while_noise_is_round(code):
    assert max(effect(code, lean=0.0).values()) <= 1e-12
    changed = effect(code, lean=1.5)
    assert changed["total"] > 1e-3
    assert changed["pair errors"] > 1e-3
    assert changed["confidence"] <= 1e-12


def test_a_general_code_has_one_also_for_round_noise_unless_all_classes_are_alike():
    code = best_code(10, 3, budget=0).points
    assert effect(code, lean=0.0)["total"] > 1e-4
    assert effect(code, lean=0.0)["pair errors"] > 1e-4
    assert max(effect(code, lean=0.0, uneven=1.0).values()) <= 1e-12


# ---- covers ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 3), st.floats(0, 3), st.integers(0, 1000))
def test_a_greedy_cover_covers_and_is_a_packing(n, d, radius, seed):
    points = normal(n, d, seed=seed)
    centres = points[greedy_cover(points, radius)]
    assert float(torch.cdist(points, centres).amin(1).max()) <= radius + 1e-7
    assert len(centres) == 1 or float(torch.pdist(centres).min()) > radius - 1e-7


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20), st.integers(1, 200))
def test_missing_mass_is_below_its_bound(weights, n):
    p = np.array(weights) / sum(weights)
    assert (p * (1 - p) ** n).sum() <= missing_mass_bound(len(p), n) * (1 + 1e-12)


def test_the_covering_bound_holds_on_average_for_cells_of_known_number():
    """Two classes on segments of length 1 whose far ends touch; the margin is 0.1, and a tenth of each is nearer than that.

    Where a sample has less than the margin the theorem says nothing, so such draws count as no error.
    """
    generator = torch.Generator().manual_seed(0)
    n, cells, errors = 5, 10, []
    for _ in range(3000):
        left, right = -torch.rand(n, generator=generator), torch.rand(n, generator=generator)
        boundary = float((left.mean() + right.mean()) / 2)
        holds = bool((boundary - left >= 0.1).all() and (right - boundary >= 0.1).all())
        errors.append(abs(boundary) / 2 if holds else 0.0)
    assert 0 < np.mean(errors) <= missing_mass_bound(cells, n)


def test_covering_bound_of_a_collapsed_sample_counts_one_cell_a_class():
    code = simplex(4)
    bound, covers = covering_bound(code.repeat(50, 1), torch.arange(4).repeat(50), code)
    assert covers.tolist() == [1] * 4
    assert bound == pytest.approx(1 / (math.e * 50))
    wrong = code[[1, 0, 2, 3]]
    bound, covers = covering_bound(wrong, torch.arange(4), code)
    assert bound == math.inf
    assert covers.tolist() == [0, 0, 1, 1]


def test_margins_of_a_code_to_its_boundaries():
    """The least pair margin of a code's own rows is the one its maximal cosine tells."""
    code = best_code(10, 3, budget=0).points
    margins = code @ code.T
    assert float((1 - margins).fill_diagonal_(9).min()) <= one_vs_rest(code).margin + 1e-9


# ---- few shots -------------------------------------------------------------------------------------------------------


def slow_pair_bound(means, covariances, i, j, n):
    u = means[i] - means[j]
    D2 = float(u @ u)
    first = u @ covariances[i] @ u
    second = (u @ covariances[j] @ u + np.trace(covariances[i] @ (covariances[i] + covariances[j]))) / n
    X = 4 * float(first + second) / D2**2
    return min(1.0, *(X / (X + t * t) + np.trace(covariances[i]) / (n * (1 - t) * D2) for t in np.arange(1, 100) / 100))


@profile(max_examples=20, deadline=None)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 50), st.floats(0.02, 1), st.integers(0, 1000))
def test_pair_bounds_by_their_definition_and_below_the_cdnv_bound(K, d, shots, noise, seed):
    means, F = normal(K, d, seed=seed), noise * normal(K, d, d, seed=seed + 1)
    covariances = F @ F.mT
    bounds = pair_bounds(means, covariances, shots)
    for i, j in itertools.permutations(range(K), 2):
        assert float(bounds[i, j]) == pytest.approx(
            slow_pair_bound(means.numpy(), covariances.numpy(), i, j, shots), rel=1e-9
        )
    i, j = torch.triu_indices(K, K, 1)
    V = pair_cdnv(means, covariances.diagonal(dim1=1, dim2=2).sum(1))
    assert bool(((bounds + bounds.T)[i, j] / 2 <= cdnv_bound(V, shots) + 1e-12).all())


def test_moments_of_the_score_are_those_of_the_derivation():
    """Mean and variance of the part Y, by draws of a skewed distribution: the formula needs second moments only."""
    generator = torch.Generator().manual_seed(0)
    n, trials, u = 3, 400_000, torch.tensor([1.5, 0.5]).double()
    F = torch.tensor([[[0.5, 0.0], [0.3, 0.2]], [[0.2, 0.1], [0.0, 0.6]]]).double()

    def errors(count, k):
        skewed = -torch.log(torch.rand(trials, count, 2, generator=generator, dtype=torch.float64)) - 1
        return skewed @ F[k].T

    e, a, b = errors(1, 0)[:, 0], errors(n, 0).mean(1), errors(n, 1).mean(1)
    Y = 2 * (e @ u + (e * (a - b)).sum(1) - b @ u)
    S = F @ F.mT
    variance = 4 * float(u @ S[0] @ u + (u @ S[1] @ u + torch.trace(S[0] @ (S[0] + S[1]))) / n)
    assert float(Y.mean()) == pytest.approx(0, abs=0.02)
    assert float(Y.var()) == pytest.approx(variance, rel=0.02)
    whole = ((e + u - b).square().sum(1) - (e - a).square().sum(1)) - (
        u @ u + Y + b.square().sum(1) - a.square().sum(1)
    )
    assert float(whole.abs().max()) < 1e-10


@profile(max_examples=15, deadline=None)
@given(
    st.integers(2, 5),
    st.integers(1, 4),
    st.sampled_from([1, 2, 5, 20]),
    st.floats(0.02, 0.6),
    st.booleans(),
    st.integers(0, 99),
)
def test_few_shot_bounds_hold(K, d, shots, noise, heavy, seed):
    """For Gaussian classes and for pools of three points with an outlier, as long as means differ."""
    means = 2 * normal(K, d, seed=seed)
    if heavy:
        pools = [mean + noise * torch.cat([torch.zeros(2, d), 6 * torch.ones(1, d)]).double() for mean in means]
        draw, (means, covariances) = from_pools(pools), pool_moments(pools)
    else:
        F = noise * normal(K, d, d, seed=seed + 1)
        draw, covariances = from_gaussians(means, F), F @ F.mT
    found = few_shot_error(draw, shots, 60, torch.Generator().manual_seed(seed))
    pairs = pair_bounds(means, covariances, shots)
    assert found.error - 4 * found.deviation <= float(class_bounds(pairs).mean())
    assert found.pair_error - 4 * found.pair_deviation <= float(pairs.sum() / (K * (K - 1)))
    V = pair_cdnv(means, covariances.diagonal(dim1=1, dim2=2).sum(1))
    assert found.pair_error - 4 * found.pair_deviation <= float(cdnv_bound(V, shots).mean())


def test_few_shot_error_by_its_definition():
    pools = [normal(6, 2, seed=k) + 0.8 * k for k in range(3)]
    found = few_shot_error(from_pools(pools), 2, 5, torch.Generator().manual_seed(1), queries=4)
    generator, draw, errors, pairs = torch.Generator().manual_seed(1), from_pools(pools), [], []
    for _ in range(5):
        means, rows = draw(2, generator).mean(1), draw(4, generator)
        for label, row in zip([0] * 4 + [1] * 4 + [2] * 4, rows.flatten(0, 1), strict=True):
            distances = [float((row - mean).norm()) for mean in means]
            errors.append(int(np.argmin(distances)) != label)
            pairs += [distances[j] <= distances[label] for j in range(3) if j != label]
    assert found.error == pytest.approx(np.mean(errors))
    assert found.pair_error == pytest.approx(np.mean(pairs))


def test_equal_means_have_no_bound():
    with pytest.raises(InputError, match="equal"):
        pair_bounds(torch.ones(2, 2).double(), torch.zeros(2, 2, 2).double(), 1)


# ---- the simulation --------------------------------------------------------------------------------------------------


def test_the_simulation_agrees_and_repeats():
    one, two = (simulate(SMALL, progress=False) for _ in range(2))
    assert one.rows == two.rows
    assert one.findings.agrees
    assert simulate(replace(SMALL, seed=1), progress=False).rows != one.rows
    assert [c.predicted for c in one.findings.comparisons[:2]] == [0, 0]
    plots = {plot.title: plot for plot in one.findings.plots}
    assert len(plots) == 5
    assert all(len(line.x) == len(line.y) for plot in plots.values() for line in getattr(plot, "lines", ()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1},
        {"dim": 0},
        {"dim": 1},
        {"noise": 0.0},
        {"shots": ()},
        {"shots": (0,)},
        {"delta": 1.0},
        {"uneven": 0.5},
        {"samples": 1},
    ],
    ids=str,
)
def test_impossible_settings_get_a_sentence(wrong):
    with pytest.raises(InputError, match="expected"):
        MarginBound(**wrong)
