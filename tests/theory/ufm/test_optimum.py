"""Predicted optimum = solved optimum of the unconstrained features model, over K, d, n, decays, losses and constraints."""

import math

import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from neucollapse.theory.settings import UFM
from neucollapse.theory.ufm.objective import network, nuclear_decay, random_state, solve, ufm_objective
from neucollapse.theory.ufm.optimum import ce_logit, focal_logit, mse_spectrum, ufm_optimum

quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
decays = st.floats(-3.5, -0.7).map(lambda exponent: 10**exponent)
sizes = {"classes": st.integers(2, 6), "dim": st.integers(1, 7), "samples": st.integers(1, 3)}
curved = sizes | {"dim": st.integers(2, 7)}  # on the sphere of one dimension, two points, nothing moves
common = {
    **sizes,
    "decay_weight": decays,
    "decay_features": decays,
    "decay_bias": st.sampled_from([0.0, 1e-3, 0.1, 1.0]),
    "decay_per": st.sampled_from(["sample", "class", "total"]),
    "bias": st.booleans(),
}


def solved(model: UFM, seeds: int = 1):
    """The best of some starts."""
    ends = []
    for seed in range(seeds):
        start = random_state(model, torch.Generator().manual_seed(seed))
        ends.append(solve(model, start, tolerance=1e-14))
    return min(ends, key=lambda end: end.value)


def class_logits(model: UFM, state) -> torch.Tensor:
    H, W, _ = network(model, state)
    return W @ H.reshape(model.classes, model.samples, -1).mean(dim=1).T


def away_from_threshold(model: UFM) -> None:
    """Where a singular value is about to vanish, the optimum is flat to fourth order."""
    values = torch.linalg.svdvals(ufm_optimum(model).logits)
    assume(bool(((values < 1e-12) | (values > 0.01)).all()))
    for share in (1.0, model.decay_bias / (1 + model.decay_bias)):
        assume(abs(1 - model.classes * nuclear_decay(model) / share) > 0.01 if share else True)


def assert_met(model: UFM, unique: bool = True) -> None:
    predicted, end = ufm_optimum(model), solved(model)
    assert abs(end.value - predicted.value) <= 1e-8 * max(1, abs(predicted.value))
    spectrum = torch.linalg.svdvals(class_logits(model, end.state))
    assert torch.allclose(spectrum, torch.linalg.svdvals(predicted.logits), rtol=0, atol=1e-8)
    if unique and predicted.known == "all":
        assert torch.allclose(class_logits(model, end.state), predicted.logits, rtol=0, atol=1e-8)


@quick
@given(st.builds(UFM, loss=st.just("mse"), **common))
def test_mse_under_decay(model: UFM) -> None:
    away_from_threshold(model)
    assert_met(model)


@quick
@given(st.builds(UFM, loss=st.sampled_from(["ce", "label-smoothing"]), **common))
def test_cross_entropy_under_decay(model: UFM) -> None:
    threshold = (1 - (model.smoothing if model.loss == "label-smoothing" else 0)) / model.classes
    assume(abs(math.log(nuclear_decay(model) / threshold)) > 0.02)
    if ufm_optimum(model) is None:  # K > d + 1
        assert model.dim + 1 < model.classes
        assert nuclear_decay(model) < threshold
        return
    assert_met(model)


@pytest.mark.slow
@quick
@given(st.builds(UFM, loss=st.just("focal"), gamma=st.sampled_from([0.5, 2.0]), **common))
def test_focal_under_decay_where_a_simplex_wins(model: UFM) -> None:
    optimum = ufm_optimum(model)
    assume(optimum is not None and optimum.logits.diagonal().min() > 0.5)
    predicted, end = optimum, solved(model, seeds=3)
    assert abs(end.value - predicted.value) <= 1e-8


@pytest.mark.slow
@quick
@given(
    st.builds(
        UFM,
        loss=st.sampled_from(["ce", "label-smoothing", "mse"]),
        constraint=st.just("ball"),
        radius=st.floats(0.4, 1.6),
        **(common | {"decay_bias": st.just(0.0)}),
    )
)
def test_ball(model: UFM) -> None:
    optimum = ufm_optimum(model)
    assume(optimum is not None)
    assert abs(solved(model, seeds=2).value - optimum.value) <= 1e-8


@pytest.mark.slow
@quick
@given(
    st.builds(UFM, constraint=st.just("sphere"), temperature=st.floats(0.1, 1.0), objective=st.just("log"), **curved)
)
@example(  # L-BFGS goes out to features of length 60,000, where gradients are small
    UFM(constraint="sphere", temperature=0.2560416486339041, objective="log", classes=2, dim=2, samples=2)
)
def test_sphere(model: UFM) -> None:
    optimum = ufm_optimum(model)
    assert (optimum is None) == (model.dim + 1 < model.classes)
    if optimum is not None:
        assert abs(solved(model).value - optimum.value) <= 1e-8


@pytest.mark.slow
@quick
@given(
    st.builds(
        UFM,
        loss=st.just("mse"),
        constraint=st.just("weight-norm"),
        decay_weight=decays,
        bias=st.booleans(),
        decay_bias=st.sampled_from([0.0, 0.1, 1.0]),
        **sizes,
    )
)
def test_weight_norm(model: UFM) -> None:
    optimum = ufm_optimum(model)
    assume(optimum is not None)
    end = solved(model, seeds=2)
    assert abs(end.value - optimum.value) <= 1e-8
    assert abs(float(end.state["scale"].abs()) - float(optimum.weight.norm())) < 1e-5


@pytest.mark.parametrize(
    "model", [UFM(), UFM(loss="mse", bias=False), UFM(loss="mse", constraint="weight-norm", decay_bias=0.0)]
)
def test_the_predicted_state_has_the_predicted_value(model: UFM) -> None:
    optimum = ufm_optimum(model)
    features = optimum.means.repeat_interleave(model.samples, dim=0)
    state = {"features": features, "weight": optimum.weight}
    state |= {} if optimum.bias is None else {"bias": optimum.bias}
    state |= {"scale": optimum.weight.norm()} if model.constraint == "weight-norm" else {}
    assert float(ufm_objective(model, state)) == pytest.approx(optimum.value, abs=1e-14)
    assert torch.allclose(optimum.weight @ optimum.means.T, optimum.logits, atol=1e-12)


@given(st.integers(2, 200), st.floats(-4, 0), st.sampled_from([0.0, 0.1]))
def test_ce_logit_solves_its_scalar_equation(K: int, exponent: float, smoothing: float) -> None:
    decay = 10**exponent / K
    c = ce_logit(K, decay, smoothing)
    slope = decay + smoothing / K - 1 / (math.exp(c) + K - 1)
    assert abs(slope) < 1e-12 if c else slope >= -1e-15


@given(st.integers(2, 50), st.floats(-4, -0.1), st.sampled_from([0.5, 2.0, 5.0]))
def test_focal_logit_beats_a_fine_grid(K: int, exponent: float, gamma: float) -> None:
    decay = 10**exponent / K

    def cost(c):  # from the definition of the loss
        wrong = (K - 1) * torch.exp(-c) / (1 + (K - 1) * torch.exp(-c))
        return -(wrong**gamma) * torch.log1p(-wrong) + decay * (K - 1) * c

    best = cost(torch.tensor(focal_logit(K, decay, gamma)).double())
    assert best <= cost(torch.linspace(0, 60, 6001).double()).min() + 1e-12


@pytest.mark.parametrize("K", [2, 10, 1000])
@pytest.mark.parametrize("decay", [1e-12, 1e-28, 1e-300])
def test_focal_logit_at_a_vanishing_decay(K: int, decay: float) -> None:
    assert focal_logit(K, decay, 0.0) == pytest.approx(ce_logit(K, decay), rel=1e-12)
    # (1 + gamma) e^((1 + gamma) m) = decay (K - 1) at the m = log(K - 1) - c of the optimum
    m = (math.log(decay) + math.log(K - 1) - math.log(3)) / 3
    assert focal_logit(K, decay, 2.0) == pytest.approx(math.log(K - 1) - m, rel=1e-4)


def test_zero_is_where_the_threshold_says() -> None:
    assert ce_logit(100, 0.0099) > 0
    assert ce_logit(100, 0.0101) == 0
    assert mse_spectrum(100, 3, 0.0101, None) == [0.0] * 3
    total = UFM(classes=100, dim=128, samples=10, decay_per="total")  # 5e-3 sqrt(10) > 1/100: nothing is left
    assert not ufm_optimum(total).logits.any()
    assert ufm_optimum(UFM(classes=100, dim=128, samples=10, decay_per="class")).logits[0, 0] > 1
