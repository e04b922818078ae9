"""The central path: the closed form, the flow of samples, and the definition of both from autograd."""

import math

import numpy as np
import pytest
import scipy.integrate
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.theory import simulate
from neucollapse.theory._measure import balanced_labels, measured
from neucollapse.theory._model import series
from neucollapse.theory.central_path.signal_to_noise import (
    least_squares_classifier,
    path_metrics,
    path_time,
    path_velocity,
    signal_to_noise,
    snr_at,
)
from neucollapse.theory.settings import CentralPath
from neucollapse.theory.solvers import flow

SMALL = {"classes": 4, "dim": 5, "samples": 4, "points": 5, "descent_steps": 50}


def best_loss(features, labels, K):
    """Least mean squared loss over classifiers with bias, from its definition."""
    ones = torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], dim=1)
    targets = torch.eye(K, dtype=features.dtype)[labels]
    solution = torch.linalg.lstsq(ones, targets, driver="gelsd").solution
    return (ones @ solution - targets).square().sum() / (2 * len(features))


def whitened(features, labels, K):
    """Features of identity scatter within classes, whatever they were."""
    means = torch.stack([features[labels == k].mean(0) for k in range(K)])
    within = features - means[labels]
    values, vectors = torch.linalg.eigh(within.mT @ within / len(features))
    return features @ vectors @ (values**-0.5).diag() @ vectors.mT


def draw(K, d, n, seed):
    labels = balanced_labels(K, n)
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(K * n, d, generator=generator, dtype=torch.float64)
    return whitened(raw + torch.randn(K, d, generator=generator, dtype=torch.float64)[labels], labels, K), labels


sizes = st.tuples(st.integers(2, 7), st.integers(1, 8), st.integers(2, 6)).filter(lambda s: s[0] * (s[2] - 1) >= s[1])


@given(sizes, st.sampled_from(["project", "whiten"]), st.integers(0, 99), st.floats(0.01, 1e3))
@settings(max_examples=6, deadline=None)
def test_the_flow_of_samples_follows_the_closed_form(size, renormalise, seed, horizon):
    K, d, n = size
    features, labels = draw(K, d, n, seed)
    start, _ = signal_to_noise(features, labels, K)

    def velocity(_, now):
        return {"x": K * len(labels) * path_velocity(now["x"], labels, K, renormalise)}

    end = flow(velocity, {"x": features}, 0.0, horizon)["x"]
    found, scatter = signal_to_noise(end, labels, K)
    torch.testing.assert_close(found, snr_at(horizon, start, K, renormalise), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(scatter, torch.eye(d, dtype=torch.float64), rtol=0, atol=1e-9)


@given(sizes, st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_the_velocity_is_the_projected_gradient_of_the_loss(size, seed):
    K, d, n = size
    features, labels = draw(K, d, n, seed)
    variable = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_by_solve(variable, labels, K), variable)
    velocity = path_velocity(features, labels, K)
    # Tangent: the scatter within classes does not change. Normal: what was taken off is a symmetric matrix times deviations.
    means = torch.stack([features[labels == k].mean(0) for k in range(K)])
    within = features - means[labels]
    moved = velocity - torch.stack([velocity[labels == k].mean(0) for k in range(K)])[labels]
    change = moved.mT @ within + within.mT @ moved
    assert float(change.abs().max()) < 1e-12
    taken = torch.linalg.lstsq(within, velocity + gradient, driver="gelsd").solution
    torch.testing.assert_close(within @ taken, velocity + gradient, rtol=0, atol=1e-12)
    torch.testing.assert_close(taken, taken.mT, rtol=0, atol=1e-10)


def loss_by_solve(features, labels, K):
    """``best_loss`` by normal equations, which autograd can differentiate at full rank."""
    H, targets = features - features.mean(0), torch.eye(K, dtype=features.dtype)[labels]
    Y = targets - targets.mean(0)
    return (Y - H @ torch.linalg.solve(H.mT @ H, H.mT @ Y)).square().sum() / (2 * len(features))


def test_whitening_after_small_steps_of_the_gradient_is_the_other_flow():
    K, n = 3, 4
    features, labels = draw(K, 4, n, 0)
    ends = []
    for steps in (50, 100):
        now = features
        for _ in range(steps):
            variable = now.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(loss_by_solve(variable, labels, K), variable)
            now = whitened(now - K * len(labels) / steps * gradient, labels, K)
        ends.append(signal_to_noise(now, labels, K)[0])
    exact = snr_at(1.0, signal_to_noise(features, labels, K)[0], K, "whiten")
    errors = [float((end - exact).abs().max()) for end in ends]
    assert errors[1] < 0.01
    assert 1.8 < errors[0] / errors[1] < 2.2  # the error of Euler's method, of first order


@given(sizes, st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_metrics_follow_from_singular_values(size, seed):
    K, d, n = size
    features, labels = draw(K, d, n, seed)
    weight, bias = least_squares_classifier(features, labels, K)
    predicted = path_metrics(signal_to_noise(features, labels, K)[0], K)
    found = measured(features, labels, weight, bias, keys=predicted)
    for key, value in found.items():
        assert value == pytest.approx(predicted[key], rel=1e-8, abs=1e-7), key
    assert float(best_loss(features, labels, K)) == pytest.approx(predicted["mse/loss"], rel=1e-9)


@given(st.integers(2, 1000), st.floats(1e-6, 1e3), st.floats(0, 1e12), st.sampled_from(["project", "whiten"]))
def test_snr_at_inverts_path_time(K, start, time, renormalise):
    start = torch.tensor([start], dtype=torch.float64)
    end = snr_at(time, start, K, renormalise)
    goal = path_time(start, K, renormalise) + time
    assert float(path_time(end, K, renormalise)) == pytest.approx(float(goal), rel=1e-12, abs=1e-11)
    assert float(end) >= float(start) * (1 - 1e-12)


@pytest.mark.parametrize("renormalise", ["project", "whiten"])
def test_the_closed_form_solves_its_differential_equation(renormalise):
    K, start = 6, np.array([0.2, 1.0, 3.0])
    power = 2 if renormalise == "project" else 1
    slow = scipy.integrate.solve_ivp(
        lambda _, w: w / (1 + w**2 / K) ** power, (0, 30), start, rtol=1e-11, atol=1e-13, method="DOP853"
    ).y[:, -1]
    np.testing.assert_allclose(snr_at(30.0, torch.tensor(start), K, renormalise).numpy(), slow, rtol=1e-9)


def test_singular_values_meet_and_zero_stays():
    end = snr_at(1e12, torch.tensor([0.0, 1e-3, 1.0, 10.0], dtype=torch.float64), 5)
    assert end[0] == 0
    assert float(end[3] / end[1]) == pytest.approx(1, abs=1e-9)
    assert float(end[1]) == pytest.approx((4 * 25 * 1e12) ** 0.25, rel=1e-3)


@pytest.mark.parametrize("renormalise", ["project", pytest.param("whiten", marks=pytest.mark.slow)])
def test_the_simulation_agrees_and_is_reproducible(renormalise):
    chosen = CentralPath(**SMALL, renormalise=renormalise, horizon=30.0)
    once, twice = (simulate(chosen, progress=False) for _ in range(2))
    assert once.rows == twice.rows
    assert once.findings.agrees
    for comparison in once.findings.comparisons:
        assert comparison.found == pytest.approx(comparison.predicted, rel=1e-8, abs=1e-7), comparison.name


def test_other_seeds_are_other_paths():
    ends = [simulate(CentralPath(**SMALL, seed=seed, horizon=1.0), progress=False).rows[0] for seed in (0, 1)]
    assert ends[0] != ends[1]


def test_faster_features_leave_the_path_further():
    shares = []
    for speed in (1.0, 10.0):
        rows = simulate(CentralPath(**SMALL, feature_speed=speed, horizon=1.0), progress=False).rows
        parts = (series(rows, key, "descent")[1] for key in ("mse/off_path", "mse/loss"))
        shares.append(max(off / loss for off, loss in zip(*parts, strict=True)))
    assert 0 < 10 * shares[0] < shares[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1},
        {"dim": 0},
        {"samples": 1},
        {"signal": 0.0},
        {"horizon": math.inf},
        {"dim": 30, "samples": 4},
    ],
)
def test_impossible_settings_get_a_sentence(wrong):
    with pytest.raises(InputError, match="expected"):
        CentralPath(**wrong)
