import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.theory.class_sizes import exponential_counts, step_counts
from neucollapse.theory.relaxation import Relaxation, nuclear_norm, singular_value_threshold
from neucollapse.theory.seli.simplex_encoding import (
    cross_entropy_optimum,
    gram_distance,
    grams,
    simplex_distance,
    simplex_encoding,
)

sizes = st.lists(st.integers(1, 1000), min_size=2, max_size=12)


def hard_margin(counts, iterations):
    """min |S Z|_* at margins of at least 1, by splitting into the norm and the margins, which knows nothing of SELI."""
    K = len(counts)
    S = counts.double().sqrt()[:, None]
    X = dual = torch.zeros(K, K, dtype=torch.float64)
    step = float(S.max()) * 0.3
    for _ in range(iterations):
        Z = margins_of_one((X - dual) / S)
        X = singular_value_threshold(S * Z + dual, step)
        dual = dual + S * Z - X
    return Z


def margins_of_one(logits):
    """The nearest logits with z_kk - z_kc >= 1, row by row: the own logit meets as many of the largest others as raise it."""
    K = len(logits)
    off = ~torch.eye(K, dtype=torch.bool)
    others = logits[off].reshape(K, K - 1).sort(dim=1, descending=True).values + 1
    totals = torch.cat([logits.diagonal()[:, None], others], dim=1).cumsum(dim=1)
    own = (totals / torch.arange(1, K + 1)).max(dim=1, keepdim=True).values
    return torch.where(off, torch.minimum(logits, own - 1), own)


@pytest.mark.parametrize("counts", [step_counts(10, 5, 1, 10), exponential_counts(6, 1, 50), torch.tensor([7, 1, 1])])
def test_a_splitting_solver_finds_simplex_encoded_labels(counts):
    found, encoding = hard_margin(counts, 1500), simplex_encoding(counts)
    torch.testing.assert_close(found, encoding.logits, atol=1e-6, rtol=0)
    assert float(nuclear_norm(counts.double().sqrt()[:, None] * found)) == pytest.approx(encoding.value, abs=1e-6)


@given(sizes)
def test_multipliers_prove_it_optimal_for_any_sizes(counts):
    counts = torch.tensor(counts)
    encoding, K = simplex_encoding(counts), len(counts)
    off = ~torch.eye(K, dtype=torch.bool)
    assert bool((encoding.multipliers[off] > 0).all())
    # Weak duality: a matrix of operator norm 1 (scaled by S) that is a positive combination of margins, of the same value.
    G = torch.diag(encoding.multipliers.sum(dim=1)) - encoding.multipliers
    assert float(torch.linalg.matrix_norm(G / counts.double().sqrt()[:, None], 2)) <= 1 + 1e-9
    assert float(encoding.multipliers.sum()) == pytest.approx(encoding.value, rel=1e-9)


@given(sizes)
def test_multipliers_are_the_root_of_a_laplacian(counts):
    """The closed form of the proof, by an eigendecomposition of its own."""
    n = torch.tensor(counts).double()
    laplacian = torch.diag(1 / n) - torch.outer(1 / n, 1 / n) / (1 / n).sum()
    values, vectors = torch.linalg.eigh(laplacian)
    root = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    expected = -(n[:, None] * root)
    expected.fill_diagonal_(0)
    torch.testing.assert_close(simplex_encoding(n).multipliers, expected, atol=1e-5, rtol=1e-6)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 200), st.integers(1, 5))
def test_singular_values_of_a_step(A, B, larger, smaller):
    counts = torch.tensor([larger] * A + [smaller] * B)
    mixed = (A * smaller + B * larger) / (A + B)
    expected = sorted([larger] * (A - 1) + [smaller] * (B - 1) + [mixed], reverse=True)
    found = simplex_encoding(counts).singular_values ** 2
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_balanced_classes_make_a_simplex():
    encoding = simplex_encoding(torch.full((6,), 4))
    for gram in (encoding.weight_gram, encoding.means_gram):
        torch.testing.assert_close(gram / gram[0, 0], (torch.eye(6) - 1 / 6).double() * 6 / 5)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.floats(-12, -5))
@settings(max_examples=15, deadline=None)
def test_the_optimum_at_a_decay_is_certified(counts, log_decay):
    counts = torch.tensor(counts)
    problem = Relaxation(counts, math.exp(log_decay))
    logits = cross_entropy_optimum(counts, log_decay)
    assert problem.value(logits) - problem.lower_bound(logits) <= 1e-11
    assert float((logits - logits.mean(dim=1, keepdim=True)).abs().max() - logits.abs().max()) == pytest.approx(
        0, abs=1e-10
    )


@pytest.mark.parametrize(
    "counts", [step_counts(10, 5, 1, 10), exponential_counts(10, 1, 100), step_counts(20, 10, 1, 100)]
)
def test_the_optimum_tends_to_the_encoding_as_one_over_the_logarithm(counts):
    encoding = simplex_encoding(counts)
    distances = [simplex_distance(cross_entropy_optimum(counts, x), counts) for x in (-1e4, -1e6, -1e8)]
    assert distances[2] < 1e-6
    assert distances[0] / distances[1] == pytest.approx(100, rel=1e-2)
    assert distances[1] / distances[2] == pytest.approx(100, rel=1e-2)
    weight_gram, means_gram = grams(cross_entropy_optimum(counts, -1e8), counts)
    assert gram_distance(weight_gram, encoding.weight_gram) < 1e-6
    assert gram_distance(means_gram, encoding.means_gram) < 1e-6


def test_impossible_requests_get_a_sentence():
    with pytest.raises(InputError, match="at least one sample in every class"):
        simplex_encoding(torch.tensor([2, 0, 1]))
    with pytest.raises(InputError, match="log_decay negative"):
        cross_entropy_optimum(torch.tensor([2, 1]), 0.5)
