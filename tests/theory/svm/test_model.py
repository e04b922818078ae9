"""Unregularised cross-entropy and the hard-margin SVM: exact solutions by other solvers, and the flow towards them."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.losses import log_cross_entropy
from neucollapse.theory import simulate
from neucollapse.theory._model import series
from neucollapse.theory.settings import SVM
from neucollapse.theory.svm.max_margin import hard_margin_svm, margins, minimum_norm_separation
from neucollapse.theory.svm.model import SVMModel, log_loss_gradient

from ..running import ended

SMALL = {"points": 6, "descent_steps": 30}


@given(st.lists(st.integers(1, 500), min_size=2, max_size=12))
@settings(max_examples=40, deadline=None)
def test_the_minimum_norm_separation_is_certified_for_any_class_sizes(counts):
    separation = minimum_norm_separation(counts)
    assert separation.residual < 1e-9
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    assert float(margins(separation.logits, labels).min()) == pytest.approx(1)


@given(st.integers(2, 40), st.integers(1, 20))
def test_a_balanced_problem_has_the_margin_of_the_simplex(K, n):
    separation = minimum_norm_separation([n] * K)
    assert separation.margin == pytest.approx(1 / ((K - 1) * n**0.5), rel=1e-12)
    assert separation.slowness == pytest.approx(0, abs=1e-9)


def test_no_other_logits_that_separate_have_a_smaller_nuclear_norm():
    counts, generator = [4, 2, 1], torch.Generator().manual_seed(0)
    best = minimum_norm_separation(counts)
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    for _ in range(200):
        step = torch.randn(best.logits.shape, generator=generator, dtype=torch.float64)
        other = best.logits + 0.1 * (step - step.mean(dim=1, keepdim=True))
        other = other / margins(other, labels).min()
        assert float(torch.linalg.svdvals(other).sum()) > best.norm


@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 6), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_the_svm_of_fixed_features_is_certified_and_agrees_with_another_solver(K, n, extra, seed):
    features = torch.randn(K * n, K * n + extra, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    labels = torch.arange(K).repeat_interleave(n)
    svm = hard_margin_svm(features, labels, K)
    assert svm.residual < 1e-9
    if K * n > 8:
        return

    def constraints(flat):
        gaps = margins(features @ torch.from_numpy(flat).reshape(K, -1).mT, labels)
        return gaps[gaps.isfinite()].numpy() - 1

    slow = scipy.optimize.minimize(
        lambda w: w @ w / 2, 10 * svm.weight.reshape(-1).numpy() + 0.1, jac=lambda w: w, method="SLSQP",
        constraints={"type": "ineq", "fun": constraints}, options={"maxiter": 1000, "ftol": 1e-12},
    )  # fmt: skip
    np.testing.assert_allclose(slow.x, svm.weight.reshape(-1).numpy(), atol=1e-5)


def test_samples_that_no_classifier_separates_are_refused():
    with pytest.raises(InputError, match="none does"):
        hard_margin_svm(torch.ones(2, 3).double(), torch.tensor([0, 1]), 2)


@given(st.integers(2, 6), st.integers(1, 5), st.floats(-2, 4), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_gradient_of_the_log_loss_is_that_of_autograd(K, n, size, seed):
    labels = torch.arange(K).repeat_interleave(n)
    draw = torch.randn(K * n, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits = (10**size * (draw + 5 * torch.eye(K)[labels])).requires_grad_()
    value = log_cross_entropy(logits, labels)
    (gradient,) = torch.autograd.grad(value, logits)
    found, by_logits = log_loss_gradient(logits.detach(), torch.eye(K)[labels].bool())
    assert float(found) == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(by_logits, gradient, rtol=1e-9, atol=1e-14)


def falls(values):
    return all(later <= now for now, later in pairwise(values))


@pytest.mark.parametrize(
    "counts",
    [
        (5, 5, 1, 1),
        pytest.param((1, 1, 1, 1), marks=pytest.mark.slow),
        pytest.param((3, 3, 3, 3), marks=pytest.mark.slow),
    ],
)
def test_the_flow_turns_towards_the_exact_solution(counts):
    simulation = simulate(SVM(classes=4, dim=6, counts=counts, drop=150.0, points=10, descent_steps=0), progress=False)
    target = minimum_norm_separation(counts)
    rows, late = simulation.rows, slice(5, None)
    assert simulation.findings.agrees
    assert falls(series(rows, "direction/distance", "flow")[1][late])
    gap = [1 - value / target.margin for value in series(rows, "margin/normalised", "flow")[1]]
    assert falls(gap[late])
    assert 0 < gap[-1] < 1e-2
    own, smallest = (series(rows, key, "flow")[1][-1] for key in ("margin/of_logits", "margin/smallest"))
    assert (1 - own / target.margin) * smallest == pytest.approx(target.slowness, abs=0.01)
    log_time = series(rows, "loss/log", "flow")[0][-1]
    assert smallest - np.log(smallest) == pytest.approx(log_time, abs=2)  # the raw margin, whatever the class sizes
    assert series(rows, "kkt/angle", "flow")[1][-1] < 1e-3


@pytest.mark.slow
def test_the_simplex_of_ten_classes_is_approached():
    """T5.1 of the digest: |W| = |H| = 1, n = 1, K = 10, d = 16 has the margin 1/9."""
    simulation = simulate(SVM(drop=120.0, points=12, descent_steps=0), progress=False)
    values = series(simulation.rows, "margin/normalised", "flow")[1]
    assert falls([-value for value in values])
    assert 0.98 / 9 < values[-1] < 1 / 9


def test_a_linear_classifier_turns_towards_the_svm_of_its_features():
    simulation = simulate(SVM(features="fixed", classes=3, samples=2, dim=8, drop=100.0, **SMALL), progress=False)
    found = {comparison.name: comparison for comparison in simulation.findings.comparisons}
    assert simulation.findings.agrees
    assert found["distance of directions"].found < 0.05
    constant = found["gap of the logits times p_min"]
    assert constant.found == pytest.approx(constant.predicted, rel=0.05)


@pytest.mark.parametrize(("classes", "dim"), [(3, 2), (5, 7), (6, 3)])
def test_the_flow_conserves_what_gradient_flow_conserves(classes, dim):
    """W^T W - H^T H, and the sum of classifier rows."""
    model = SVMModel(SVM(classes=classes, dim=dim, samples=2, drop=15.0, points=4, descent_steps=0))
    end, _ = ended(model)
    for a, b in zip(conserved(model.start()), conserved(end), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def conserved(state):
    W, H = state["weight"], state["features"]
    return W.mT @ W - H.mT @ H, W.sum(dim=0)


@pytest.mark.slow
def test_plain_descent_is_on_the_same_curve():
    chosen = SVM(classes=4, dim=6, drop=8.0, points=16, descent_steps=300, descent_lr=0.3)
    rows = simulate(chosen, progress=False).rows
    times, margin = series(rows, "margin/normalised", "descent")
    flow = np.interp(times, *series(rows, "margin/normalised", "flow"))
    assert np.abs(np.array(margin) - flow)[-5:].max() < 2e-3


def test_too_few_dimensions_stay_below_the_bound_and_reach_the_best_code():
    simulation = simulate(SVM(classes=6, dim=2, drop=30.0, **SMALL), progress=False)
    assert simulation.findings.agrees is True
    assert series(simulation.rows, "margin/normalised", "flow")[1][-1] < minimum_norm_separation([1] * 6).margin


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers():
    chosen = SVM(classes=3, dim=4, drop=20.0, **SMALL)
    once, twice = (simulate(chosen, progress=False) for _ in range(2))
    assert once.rows == twice.rows
    assert once.rows != simulate(SVM(classes=3, dim=4, drop=20.0, seed=1, **SMALL), progress=False).rows


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1}, {"dim": 0}, {"samples": 0}, {"counts": (1, 0), "classes": 2}, {"counts": (1, 2, 3), "classes": 2},
        {"drop": -1.0}, {"init": 0.0}, {"features": "fixed", "dim": 9}, {"descent_lr": float("inf")},
    ],
)  # fmt: skip
def test_impossible_settings_get_a_sentence(wrong):
    with pytest.raises(InputError, match="expected"):
        SVM(**wrong)
