import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy.integrate import solve_ivp

from neucollapse import InputError
from neucollapse.theory import simulate
from neucollapse.theory.local_elasticity.ode import PowerLaw, expected_scatter, mean_drift, ode_solution, separates
from neucollapse.theory.settings import LocalElasticity

SMALL = LocalElasticity(gaps=(0.75, 3.0), steps=300, replicas=8, samples=5, time=100.0)


def slow_drift(means, intra, inter, drift):
    """The right-hand side from its definition, sample class by sample class."""
    K = len(means)
    moved = torch.zeros_like(means)
    for k in range(K):
        for pulling in range(K):
            pull = means[pulling]
            if drift == "labels":
                v = torch.eye(K, dtype=torch.float64)[pulling] - 1 / K
                pull = v * (v @ pull) / (v @ v)
            moved[k] += (intra if k == pulling else inter) * pull / K
    return moved


def drawn_means(K, drift, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(K, K if drift == "labels" else 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("drift", ["features", "labels"])
def test_drift_is_its_definition(drift):
    means = drawn_means(4, drift, 0)
    assert torch.allclose(mean_drift(means, 1.3, -0.4, drift), slow_drift(means, 1.3, -0.4, drift), atol=1e-14)


@given(
    st.sampled_from(["features", "labels"]),
    st.integers(2, 5),
    st.floats(-2, 2),
    st.floats(-1, 1),
    st.sampled_from([0.0, 0.5, 1.0, 1.7]),
    st.sampled_from([0.0, 0.5, 1.0, 1.7]),
    st.floats(0.1, 5.0),
    st.integers(0, 2**20),
)
@settings(max_examples=25, deadline=None)
def test_closed_form_solves_the_equation(drift, K, strength, other, decay, other_decay, t, seed):
    start, intra, inter = drawn_means(K, drift, seed), PowerLaw(strength, decay), PowerLaw(other, other_decay)

    def right(t, x):
        return slow_drift(torch.from_numpy(x).reshape(start.shape), intra(t), inter(t), drift).reshape(-1).numpy()

    reference = solve_ivp(right, (0.0, t), start.reshape(-1).numpy(), method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    found = ode_solution(start, intra, inter, t, drift).reshape(-1).numpy()
    assert np.abs(found - reference).max() <= 1e-8 * max(1.0, np.abs(reference).max())


@given(st.floats(-3, 3), st.floats(0.0, 2.0), st.floats(0.01, 100.0))
def test_integral_of_a_power_law(strength, decay, t):
    law = PowerLaw(strength, decay)
    x = np.polynomial.legendre.leggauss(60)
    nodes = (x[0] + 1) / 2 * math.log1p(t)
    reference = sum(w / 2 * math.log1p(t) * law(math.expm1(u)) * math.exp(u) for u, w in zip(nodes, x[1], strict=True))
    assert law.integral(t) == pytest.approx(reference, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("gap", "decay"), [(1.0, 0.0), (-0.5, 0.5), (2.0, 1.0), (3.0, 1.5)])
def test_expected_scatter_solves_the_moment_equation(gap, decay):
    """d tr S_B = 2 (alpha - beta)/K tr S_B + (K-1) d sigma^2 / (K n), by Ito's formula."""
    K, n, d, noise = 3, 4, 5, 0.7
    intra, inter = PowerLaw(gap + 0.2, decay), PowerLaw(0.2, decay)

    def right(t, x):
        return [2 * (intra(t) - inter(t)) / K * x[0] + (K - 1) * d * noise**2 / (K * n), d * noise**2 * (n - 1) / n]

    reference = solve_ivp(right, (0.0, 4.0), [1.5, 0.3], method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    found = expected_scatter(1.5, 0.3, intra, inter, 4.0, K=K, n=n, d=d, noise=noise)
    assert found == pytest.approx(tuple(reference), rel=1e-9)


def ratio(K, gap, decay, t):
    laws = PowerLaw(gap, decay), PowerLaw(0.0, decay)
    between, within = expected_scatter(1.0, 1.0, *laws, t, K=K, n=10, d=4, noise=0.5)
    return between / within


def growth_exponent(K, gap, decay, t):
    return math.log(ratio(K, gap, decay, 100 * t) / ratio(K, gap, decay, t)) / math.log(100)


@given(st.integers(2, 6), st.floats(0.2, 0.5), st.booleans())
@settings(max_examples=15, deadline=None)
def test_at_decay_one_the_threshold_is_half_the_number_of_classes(K, away, above):
    gap = K / 2 + (away if above else -away) * K
    assert separates(K, gap, 1.0) == above
    assert growth_exponent(K, gap, 1.0, 1e10) == pytest.approx(2 * away if above else 0.0, abs=0.01)
    if not above:
        assert ratio(K, gap, 1.0, 1e20) == pytest.approx((K - 1) / (K * 9) / (1 - 2 * gap / K), rel=1e-3)


@pytest.mark.parametrize(("gap", "decay"), [(0.4, 0.5), (-0.4, 0.5), (0.3, 0.0), (-0.3, 0.0), (50.0, 1.5)])
def test_slower_strengths_separate_iff_intra_beats_inter_and_faster_ones_never(gap, decay):
    last = 1e10 if decay > 1 else 10.0
    grows = growth_exponent(3, gap, decay, last) > 0.01
    assert separates(3, gap, decay) == grows == (gap > 0 and decay < 1)


def test_simplex_wins_the_pull_of_labels_iff_others_are_pushed_away():
    start = torch.eye(4).double() - 0.25 + 0.3 * drawn_means(4, "labels", 1)
    for inter, wins in ((-1.0, True), (1.0, False)):
        means = ode_solution(start, PowerLaw(2.0, 0.0), PowerLaw(inter, 0.0), 60.0, "labels")
        centred = means - means.mean(dim=0)
        G = centred @ centred.T / (centred @ centred.T).norm()
        distance = float((G - (torch.eye(4) - 0.25) / 3**0.5).norm())
        assert (distance < 1e-6) == wins


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(SMALL, marks=pytest.mark.slow),
        LocalElasticity(dim=3, drift="labels", inter=-1.0, gaps=(2.0,), steps=300, replicas=8, samples=5, time=50.0),
    ],
)
def test_simulation_agrees_and_repeats(chosen):
    first, second = simulate(chosen, progress=False), simulate(chosen, progress=False)
    assert first.findings.agrees
    assert first.rows == second.rows
    ends = [x for plot in first.findings.plots for line in plot.lines for x in (line.x[0], line.x[-1])]
    assert min(ends) >= 1  # of 1 + t
    assert max(ends) <= 1 + chosen.time * (1 + 1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1}, {"dim": 0}, {"samples": 1}, {"noise": 0.0}, {"noise": -1.0}, {"time": -1.0}, {"decay": -0.1},
        {"gaps": ()}, {"gaps": (math.inf,)}, {"drift": "labels", "dim": 5}, {"inter": math.nan},
    ],
)  # fmt: skip
def test_impossible_settings_get_a_sentence(wrong):
    with pytest.raises(InputError, match="expected"):
        LocalElasticity(**wrong)


def test_unknown_drift_gets_a_sentence():
    with pytest.raises((InputError, TypeCheckError), match="features"):
        ode_solution(torch.eye(2).double(), PowerLaw(1.0, 0.0), PowerLaw(0.0, 0.0), 1.0, "other")
    with pytest.raises(InputError, match="d = K"):
        ode_solution(torch.zeros(2, 3).double(), PowerLaw(1.0, 0.0), PowerLaw(0.0, 0.0), 1.0, "labels")
