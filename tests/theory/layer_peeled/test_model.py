import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.theory.class_sizes import step_counts
from neucollapse.theory.layer_peeled.model import (
    LayerPeeledModel,
    lower_bound,
    minority_gap,
    objective,
    predicted,
    threshold,
    within_budget,
)
from neucollapse.theory.settings import LayerPeeled
from neucollapse.theory.solvers import minimise

from ..running import ended

SMALL = LayerPeeled(
    classes=4,
    minority=2,
    dim=4,
    samples=2,
    largest_ratio=8.0,
    ratios=5,
    decay_weight=0.03,
    decay_features=0.03,
    steps=40,
)


def run(settings):
    model = LayerPeeledModel(settings)
    end, rows = ended(model)
    return model.findings(end, rows), rows


grid = st.builds(
    lambda A, B, extra, loss, regularisation, a, b: LayerPeeled(
        classes=A + B, minority=B, dim=A + B + extra, samples=2, loss=loss, regularisation=regularisation,
        decay_weight=10**a, decay_features=10**b, budget_weight=10 ** (a + 2), budget_features=10 ** (b + 2),
    ),
    st.integers(1, 3), st.integers(2, 3), st.integers(0, 2), st.sampled_from(["ce", "mse"]),
    st.sampled_from(["decay", "budget"]), st.floats(-2.5, -1), st.floats(-2.5, -1),
)  # fmt: skip


@given(grid, st.integers(2, 30), st.integers(0, 2**20))
@settings(max_examples=12, deadline=None)
def test_the_solver_finds_the_predicted_optimum(s, size, seed):
    counts = step_counts(s.classes, s.minority, s.samples, size / 2)
    generator = torch.Generator().manual_seed(seed)
    shapes = {"weight": (s.classes, s.dim), "features": (int(counts.sum()), s.dim)}
    start = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    end = minimise(objective(s, counts), start, tolerance=1e-10)
    logits, value = predicted(s, counts)
    assert end.value == pytest.approx(value, abs=1e-8)
    assert value - lower_bound(s, counts, logits) <= 1e-8


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("regularisation", ["decay", "budget"])
@pytest.mark.parametrize(("classes", "minority"), [(4, 2), (7, 3)])
def test_minority_classes_merge_at_the_threshold(loss, regularisation, classes, minority):
    """The size of classes need not be whole for the convex optimum, so both sides can be close."""
    s = LayerPeeled(
        classes=classes, minority=minority, loss=loss, regularisation=regularisation, decay_weight=0.02, decay_features=0.01,
        budget_weight=0.9 if loss == "ce" else 0.2, budget_features=0.9 if loss == "ce" else 0.3,
    )  # fmt: skip
    at = threshold(s)
    assert 1 < at < 100
    for factor, alive in ((0.99, True), (1.01, False)):
        counts = torch.full((classes,), float(s.samples), dtype=torch.float64)
        counts[: classes - minority] *= at * factor
        gap = minority_gap(predicted(s, counts)[0], minority)
        assert (gap > 1e-4) == alive
        assert alive or gap < 1e-8


def test_the_threshold_of_decays_is_the_one_of_the_docstring():
    s = LayerPeeled()
    counts = threshold(s) * s.samples * 5 + 5 * s.samples
    assert s.samples == pytest.approx(counts**2 * s.decay_weight * s.decay_features)
    assert math.isinf(threshold(LayerPeeled(loss="mse", regularisation="budget")))


@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_a_run_meets_its_prediction_and_repeats(loss):
    s = LayerPeeled(**{**SMALL.to_dict(), "loss": loss})
    findings, rows = run(s)
    assert findings.agrees
    merged, apart, value = findings.comparisons[:3]
    assert merged.predicted == merged.found
    assert apart.found < 1e-6
    assert value.found < 1e-8
    assert rows == run(s)[1]
    assert {row.series for row in rows} == {"optimum", "predicted", "gradient descent"}


def test_a_path_that_never_merges_says_so():
    findings, _ = run(LayerPeeled(**{**SMALL.to_dict(), "decay_weight": 1e-4, "decay_features": 1e-4, "steps": 0}))
    assert findings.agrees
    assert "the path ends before it" in findings.sentences[0]


def test_features_meet_their_budget():
    s = LayerPeeled(classes=3, minority=2, dim=3, regularisation="budget", budget_weight=0.7, budget_features=1.3)
    counts = torch.tensor([5, 2, 2])
    W, H = within_budget(s, counts, {"weight": torch.randn(3, 3).double(), "features": torch.randn(9, 3).double()})
    assert float(W.square().sum(dim=1).mean()) == pytest.approx(0.7)
    means = [float(part.square().sum(dim=1).mean()) for part in H.split(counts.tolist())]
    assert sum(means) / 3 == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"classes": 1}, "classes of at least 3"),
        ({"dim": 0}, "dim of at least 1"),
        ({"samples": 0}, "samples of at least 1"),
        ({"minority": 1}, "minority of at least 2"),
        ({"minority": 10}, "fewer minority classes than classes=10"),
        ({"dim": 8}, "dim of at least 9"),
        ({"dim": 9, "loss": "mse"}, "dim of at least 10"),
        ({"largest_ratio": 0.5}, "largest_ratio of at least 1"),
        ({"decay_weight": -1.0}, "decay_weight above 0"),
        ({"momentum": 1.0}, "momentum in"),
    ],
)
def test_impossible_requests_get_a_sentence(values, words):
    with pytest.raises(InputError, match=words):
        LayerPeeled(**values)
