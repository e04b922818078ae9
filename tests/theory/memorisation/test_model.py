import dataclasses

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.theory import simulate
from neucollapse.theory.memorisation.flipped_labels import (
    LOSSES,
    collapses_to_zero,
    labels_of,
    loss_of,
    objective,
    predicted_optimum,
    squared_optimum,
)
from neucollapse.theory.settings import Memorisation
from neucollapse.theory.solvers import minimise

SMALL = Memorisation(classes=3, dim=2, clean=2, flipped=1, prices=(1.0,))


def factors(s, loss, price):
    """W and H of the predicted logits, by a singular value decomposition that knows nothing of the symmetry."""
    optimum, (true, given_labels) = predicted_optimum(s, loss, price), labels_of(s)
    v = torch.eye(s.classes, dtype=torch.float64) - 1 / s.classes
    flipped = (true != given_labels)[:, None]
    Z = torch.where(flipped, optimum.true * v[true] + optimum.given * v[given_labels], optimum.clean * v[true]).T
    N = Z.shape[1]
    same = (true[:, None] == true).double()
    average = same / same.sum(dim=1)
    Q = (s.decay_features * average + (s.decay_features + price) * (torch.eye(N).double() - average)) / N
    values, vectors = torch.linalg.eigh(Q)
    root = vectors @ torch.diag(values.sqrt()) @ vectors.T
    U, sigma, Vt = torch.linalg.svd(Z @ root, full_matrices=False)
    keep = sigma > 1e-12
    split = (sigma[keep] / s.decay_weight**0.5).sqrt()
    W = U[:, keep] * split
    H = (sigma[keep] / split)[:, None] * Vt[keep] @ torch.linalg.inv(root)
    pad = s.dim - W.shape[1]
    return {
        "weight": torch.nn.functional.pad(W, (0, pad)),
        "features": torch.nn.functional.pad(H.T, (0, pad)),
    }


sizes = st.tuples(st.integers(2, 4), st.integers(0, 2), st.integers(1, 4), st.integers(0, 2))
decays = st.tuples(st.floats(-3, -0.7), st.floats(-3, -0.7), st.floats(0.02, 0.4))


def drawn(sizes, decays):
    K, extra, more, flipped = sizes
    weight, features, smoothing = decays
    return Memorisation(
        classes=K,
        dim=K - 1 + extra,
        clean=flipped + more,
        flipped=flipped,
        decay_weight=10**weight,
        decay_features=10**features,
        smoothing=smoothing,
    )


prices = st.one_of(st.just(0.0), st.floats(0.01, 5.0))


@given(sizes, decays, prices, st.sampled_from(LOSSES), st.integers(0, 2**20))
@settings(max_examples=8, deadline=None)
def test_solver_reaches_the_predicted_value(sizes, decays, price, loss, seed):
    s = drawn(sizes, decays)
    optimum = predicted_optimum(s, loss, price)
    generator = torch.Generator().manual_seed(seed)
    rows = {"weight": s.classes, "features": len(labels_of(s)[0])}
    start = {k: torch.randn(m, s.dim, generator=generator, dtype=torch.float64) / s.dim**0.5 for k, m in rows.items()}
    end = minimise(lambda state: objective(state, s, loss, price), start)
    assert end.value == pytest.approx(optimum.value, abs=1e-8)


@given(sizes, decays, prices, st.sampled_from(LOSSES))
@settings(max_examples=15, deadline=None)
def test_predicted_factors_are_stationary_and_have_the_predicted_value(sizes, decays, price, loss):
    s = drawn(sizes, decays)
    assume(not collapses_to_zero(s, loss, price))
    state = {name: tensor.requires_grad_() for name, tensor in factors(s, loss, price).items()}
    value = objective(state, s, loss, price)
    optimum = predicted_optimum(s, loss, price)
    assert float(value.detach()) == pytest.approx(optimum.value, abs=1e-9)
    for gradient in torch.autograd.grad(value, list(state.values())):
        assert float(gradient.abs().max()) < 1e-8
    true = labels_of(s)[0]
    H = state["features"].detach()
    means = torch.stack([H[true == k].mean(dim=0) for k in range(s.classes)])
    within = float((H - means[true]).square().sum(dim=1).mean())
    between = float((means - means.mean(dim=0)).square().sum(dim=1).mean())
    assert optimum.spread == pytest.approx(within, abs=1e-8)
    assert optimum.dilation == pytest.approx(within / between, abs=1e-7)


@given(sizes, decays, prices)
@settings(max_examples=30, deadline=None)
def test_scalar_equation_of_the_squared_loss(sizes, decays, price):
    s = drawn(sizes, decays)
    closed, solved = squared_optimum(s, price), predicted_optimum(s, "squared", price)
    for field in ("clean", "true", "given", "value"):
        assume(solved.clean > 1e-3 or solved.clean == 0)  # just past the threshold the cone's tip is ill-conditioned
        assert getattr(closed, field) == pytest.approx(getattr(solved, field), abs=1e-8, nan_ok=True)
    mean = (s.clean - s.flipped) / (s.clean + (s.classes - 1) * s.flipped)
    if closed.clean and s.flipped and s.classes > 2:
        first = closed.given + closed.true / mean  # g_1
        assert closed.memorised == (closed.given / first > mean / (1 + mean))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("price", [0.0, 0.7])
def test_collapse_to_zero_begins_at_the_threshold(loss, price):
    s = Memorisation(decay_features=0.3)
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        zero = collapses_to_zero(dataclasses.replace(s, decay_weight=middle), loss, price)
        low, high = (low, middle) if zero else (middle, high)
    below = predicted_optimum(dataclasses.replace(s, decay_weight=high * 0.98), loss, price)
    above = predicted_optimum(dataclasses.replace(s, decay_weight=high * 1.02), loss, price)
    assert below.clean > 0
    assert above.clean == above.spread == 0
    dead = {
        "weight": torch.zeros(s.classes, s.dim).double(),
        "features": torch.zeros(len(labels_of(s)[0]), s.dim).double(),
    }
    assert below.value < float(objective(dead, s, loss, price)) - 1e-9
    assert above.value == pytest.approx(float(objective(dead, s, loss, price)), abs=1e-14)


def test_losses_are_torchs():
    logits, labels = torch.randn(7, 4, dtype=torch.float64), torch.randint(4, (7,))
    ce = torch.nn.functional.cross_entropy
    assert float(loss_of(logits, labels, "cross-entropy", 0.2)) == pytest.approx(float(ce(logits, labels)), abs=1e-12)
    smooth = float(ce(logits, labels, label_smoothing=0.2))
    assert float(loss_of(logits, labels, "label smoothing", 0.2)) == pytest.approx(smooth, abs=1e-12)
    squares = [((logits[i, j] - (labels[i] == j).double() + 0.25) ** 2) for i in range(7) for j in range(4)]
    assert float(loss_of(logits, labels, "squared", 0.2)) == pytest.approx(float(sum(squares)) / 14, abs=1e-12)


def test_simulation_agrees_and_repeats():
    first, second = simulate(SMALL, progress=False), simulate(SMALL, progress=False)
    assert first.findings.agrees
    assert first.rows == second.rows


def test_without_noise_the_classes_collapse():
    s = dataclasses.replace(SMALL, flipped=0, prices=(0.5,))
    findings = simulate(s, progress=False).findings
    assert findings.agrees
    assert all(c.found < 1e-8 for c in findings.comparisons if c.name.startswith(("dilation", "spread")))


def test_decays_too_large_collapse_everything():
    findings = simulate(dataclasses.replace(SMALL, decay_weight=2.0, decay_features=2.0), progress=False).findings
    assert findings.agrees


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1}, {"dim": 0}, {"dim": 1}, {"clean": 0}, {"flipped": -1}, {"flipped": 8}, {"decay_weight": -0.1},
        {"decay_features": 0.0}, {"prices": ()}, {"prices": (-1.0,)}, {"smoothing": 1.0},
    ],
)  # fmt: skip
def test_impossible_settings_get_a_sentence(wrong):
    with pytest.raises(InputError, match="expected"):
        Memorisation(**wrong)


def test_unknown_loss_gets_a_sentence():
    with pytest.raises(InputError, match="cross-entropy"):
        predicted_optimum(SMALL, "hinge", 0.0)
