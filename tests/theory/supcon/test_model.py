import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.geometry import simplex
from neucollapse.losses import spherical_ce, sup_con
from neucollapse.theory import simulate
from neucollapse.theory._measure import balanced_labels, measured
from neucollapse.theory.settings import SupCon
from neucollapse.theory.solvers import minimise
from neucollapse.theory.supcon.model import collapsed_loss, contrastive_minimum, cross_entropy_minimum

SMALL = SupCon(classes=3, dim=2, samples=2, steps=20, starts=1)


def slow_loss(features, labels, temperature):
    """The loss from its definition, pair by pair."""
    z, losses = torch.nn.functional.normalize(features), []
    for i in range(len(z)):
        terms = [math.exp(float(z[i] @ z[a]) / temperature) for a in range(len(z)) if a != i]
        positives = [p for p in range(len(z)) if p != i and labels[p] == labels[i]]
        losses += [-sum(float(z[i] @ z[p]) / temperature - math.log(sum(terms)) for p in positives) / len(positives)]
    return sum(losses) / len(losses)


@given(st.integers(2, 6), st.integers(0, 3), st.integers(2, 5), st.floats(0.3, 2.0), st.integers(0, 2**20))
@settings(max_examples=12, deadline=None)
def test_solved_minimum_is_the_predicted_simplex(K, extra, n, temperature, seed):
    labels = balanced_labels(K, n)
    start = torch.randn(K * n, K - 1 + extra, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if K == 2 and extra == 0:
        start = torch.tensor([[1.0], [-1.0]]).double()[labels]  # a sphere of two points: nothing moves
    end = minimise(lambda state: sup_con(state["features"], labels, temperature=temperature), {"features": start})
    features = torch.nn.functional.normalize(end.state["features"])
    assert end.value == pytest.approx(contrastive_minimum(K, n, temperature), abs=1e-8)
    metrics = measured(features, labels, keys=("nc1/trace_ratio", "nc2/etf_distance"))
    assert max(metrics.values()) < 1e-8


@given(st.integers(2, 6), st.integers(2, 4), st.floats(0.1, 3.0), st.integers(0, 2**20))
@settings(max_examples=12, deadline=None)
def test_no_features_go_below_the_minimum(K, n, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = balanced_labels(K, n)
    near = simplex(K)[labels] + 0.3 * torch.randn(K * n, K - 1, generator=generator, dtype=torch.float64)
    assert float(sup_con(near, labels, temperature=temperature)) >= contrastive_minimum(K, n, temperature) - 1e-13
    assert (
        float(spherical_ce(near, labels, near[::n], scale=1 / temperature))
        >= cross_entropy_minimum(K, temperature) - 1e-13
    )


@pytest.mark.parametrize(("K", "n", "temperature"), [(2, 2, 0.5), (5, 3, 0.2), (4, 2, 1.5)])
def test_closed_forms_are_the_losses_by_definition_at_the_simplex(K, n, temperature):
    labels = balanced_labels(K, n)
    assert slow_loss(simplex(K)[labels], labels, temperature) == pytest.approx(
        contrastive_minimum(K, n, temperature), abs=1e-12
    )
    logits = simplex(K) @ simplex(K).T / temperature
    expected = float(torch.nn.functional.cross_entropy(logits, torch.arange(K)))
    assert cross_entropy_minimum(K, temperature) == pytest.approx(expected, abs=1e-12)


def test_collapsed_loss_is_the_loss_of_collapsed_features():
    code = torch.randn(6, 3, dtype=torch.float64)
    labels = balanced_labels(6, 3)
    assert collapsed_loss(code, 3, 0.4) == pytest.approx(slow_loss(code[labels], labels, 0.4), abs=1e-12)


@pytest.mark.slow
def test_simulation_agrees_and_repeats():
    first, second = simulate(SMALL, progress=False), simulate(SMALL, progress=False)
    assert first.findings.agrees
    assert first.rows == second.rows
    losses = [row.value for row in first.rows if (row.series, row.key) == ("supcon", "loss")]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_where_no_simplex_fits_it_explores():
    found = simulate(SupCon(classes=5, dim=2, samples=2, temperature=0.2, steps=20, starts=1), progress=False).findings
    assert found.agrees is None
    assert "exploration" in found.sentences[0]
    assert found.comparisons[0].found == pytest.approx(found.comparisons[0].predicted, abs=1e-8)


@pytest.mark.parametrize(
    "wrong", [{"classes": 1}, {"dim": 0}, {"samples": 1}, {"temperature": 0.0}, {"temperature": -1.0}]
)
def test_impossible_settings_get_a_sentence(wrong):
    with pytest.raises(InputError, match="expected"):
        SupCon(**wrong)


def test_minimum_without_positives_gets_a_sentence():
    with pytest.raises(InputError, match="2 samples"):
        contrastive_minimum(3, 1, 0.5)
