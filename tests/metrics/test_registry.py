"""Every number of the registry, whatever is measured: in its declared range, or absent with a reason; the same in any order.

What is drawn: K on both sides of d, type, size, offset, spread, an outlier, missing and single classes, features that span
fewer dimensions. A metric is covered the day it is registered.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import ClassStatistics
from neucollapse.metrics import REGISTRY, Decisions, Metric, collapse_metrics
from neucollapse.metrics._range import Bound, Range
from neucollapse.statistics import ScatterByClass

SIZES = {torch.float64: (-80, 77), torch.float32: (-12, 12), torch.bfloat16: (-12, 12), torch.float16: (-1, 1)}
SHAPES = {
    "full": lambda H: H,
    "hyperplane": lambda H: H - H.mean(dim=1, keepdim=True),  # as behind a LayerNorm
    "repeated": lambda H: torch.cat([H[:, :1], H[:, :1], H[:, 2:]], dim=1)[:, : H.shape[1]],
    "dead": lambda H: H * (torch.arange(H.shape[1]) > 0),
    "line": lambda H: H[:, :1] * torch.ones(H.shape[1]),
    "relu": lambda H: H.clamp(min=0),
}


@st.composite
def problems(draw, dtypes=tuple(SIZES)):
    """Features, labels, classifier and bias, as one dictionary."""
    K, d, seed = draw(st.integers(1, 9)), draw(st.integers(1, 7)), draw(st.integers(0, 2**16))
    dtype = draw(st.sampled_from(dtypes))
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    counts = torch.tensor(draw(st.lists(st.integers(0, 12), min_size=K, max_size=K)))
    counts[draw(st.integers(0, K - 1))] += 2
    labels = torch.arange(K).repeat_interleave(counts)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    means = noise(K, d)
    if draw(st.booleans()) and K > 1:
        means[1] = means[0]  # two classes at one point
    spread = draw(st.sampled_from([0.0, 1e-9, 1e-4, 0.1, 1.0]))
    features = SHAPES[draw(st.sampled_from(sorted(SHAPES)))](means[labels] + spread * noise(len(labels), d))
    features = features + draw(st.sampled_from([0.0, 1.0, 100.0])) * noise(d)
    if draw(st.booleans()):
        features[0] *= 1e3  # an outlier
    features = (features * 10.0 ** draw(st.integers(*SIZES[dtype]))).to(dtype)
    weight = noise(K, d) * 10.0 ** draw(st.sampled_from([-150, -3, 0, 3, 150]))
    if draw(st.booleans()) and K > 1:
        weight[1] = weight[0]
    return {"features": features.nan_to_num(), "labels": labels, "weight": weight, "bias": noise(K)}


def measure(problem, batch=None):
    """Everything the registry holds, of features in batches of ``batch``."""
    H, y, W, b = problem.values()
    K, d = W.shape
    plain, unit, outside = (
        ClassStatistics(K, d, class_counts=torch.bincount(y, minlength=K)),
        ClassStatistics(K, d, normalize=True),
        ClassStatistics(1, d, "trace"),
    )
    for rows, own in zip(H.split(batch or len(H)), y.split(batch or len(H)), strict=True):
        plain.update(rows, own)
        unit.update(rows, own)
    outside.update(H.flip(1) + 1, torch.zeros_like(y))
    by_class = ScatterByClass(K, d)
    by_class.update(H, y)
    decisions = Decisions(plain, W, b)
    decisions.update(H, y)
    return collapse_metrics(plain, W, b, unit, decisions=decisions, ood=outside, by_class=by_class)


@settings(derandomize=True, max_examples=20, deadline=None, database=None)
@given(problems())
def test_every_number_is_in_its_range_or_absent_with_a_reason(problem):
    result = measure(problem)
    assert result.numbers.keys() | result.absent.keys() == REGISTRY.keys()
    assert not result.numbers.keys() & result.absent.keys()
    K, d = problem["weight"].shape
    seen = len(problem["labels"].unique())
    for key, value in result.items():
        low, high = REGISTRY[key].range.ends(K if REGISTRY[key].of_classifier else seen, d)
        assert math.isfinite(value), key
        assert low - 1e-12 * max(1, abs(low)) <= value <= high + 1e-12 * max(1, abs(high)), key
    for key, reason in result.absent.items():
        assert len(reason.split()) > 3, key
        assert "outside of its range" not in reason, f"{key}: {reason}"  # formed so that it cannot leave its range
    for key, best in result.optima.items():
        assert math.isfinite(best), key
    assert all(math.isfinite(value) for value in result.optima.values())


ORDERS = {
    "batches": lambda problem: (problem, 7),
    "reversed": lambda problem: ({**problem, **{name: problem[name].flip(0) for name in ("features", "labels")}}, None),
}


@pytest.mark.parametrize("order", ORDERS)
@settings(derandomize=True, max_examples=6, deadline=None, database=None)
@given(problem=problems(dtypes=(torch.float64, torch.float32)))
def test_numbers_do_not_depend_on_batches_or_order(order, problem):
    other, batch = ORDERS[order](problem)
    before, after = measure(problem), measure(other, batch)
    rel = 1e-9 if problem["features"].dtype == torch.float64 else 1e-5
    for key in before.keys() & after.keys() - {"nc1/cdnv_median", "nc1/cdnv_p95", "margins/cosine_median"}:
        # The three above are read from histograms. A rank counts square roots of eigenvalues, down to rounding.
        close = max(rel, 1e-7) if key.startswith("rank/effective") else rel
        assert after[key] == pytest.approx(before[key], rel=close, abs=close), key


NEEDS = {
    "unit norm": {"normalized": None},
    "classifier": {"weight": None, "bias": None},
    "bias": {"bias": None},
    "decisions": {"decisions": None},
    "outside": {"ood": None},
    "each class": {"by_class": None},
    "scatter": {},
}


@pytest.mark.parametrize("need", NEEDS)
def test_a_metric_says_what_it_needs_and_is_there_without_the_rest(need):
    K, d, y = 4, 5, torch.arange(24) % 4
    H = torch.randn(24, d, generator=torch.Generator().manual_seed(3)) + torch.eye(K, d)[y]
    kind = "trace" if need == "scatter" else "full"
    class_counts = None if kind == "trace" else torch.bincount(y, minlength=K)
    stats, unit = (ClassStatistics(K, d, kind, normalize=own, class_counts=class_counts) for own in (False, True))
    outside, by_class, W, b = ClassStatistics(1, d, "trace"), ScatterByClass(K, d), torch.eye(K, d), torch.ones(K)
    for own in (stats, unit, by_class):
        own.update(H, y)
    outside.update(H + 1, torch.zeros_like(y))
    decisions = Decisions(stats, W, b)
    decisions.update(H, y)
    given = {"weight": W, "bias": b, "normalized": unit, "decisions": decisions, "ood": outside, "by_class": by_class}
    result = collapse_metrics(stats, **{**given, **NEEDS[need]})
    lost = {name for name, metric in REGISTRY.items() if need in metric.needs}
    assert lost
    assert result.absent.keys() == lost


def test_merged_is_the_same_as_one_batch():
    H, y = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)).double(), torch.arange(60) % 5
    whole, first, second = (ClassStatistics(5, 4) for _ in range(3))
    whole.update(H, y)
    first.update(H[:17], y[:17])
    second.update(H[17:], y[17:])
    first.merge(second)
    one, two = collapse_metrics(whole), collapse_metrics(first)
    assert one.absent == two.absent
    assert two.numbers == pytest.approx(one.numbers, rel=1e-9)


# ---- the check itself -----------------------------------------------------------------------------------------------

SHARES = Range(0, 1)
BOUNDED = Range(Bound("-1/(K-1)", lambda K, _: -1 / (K - 1)), math.inf, open_lower=True)


@pytest.mark.parametrize(
    ("value", "range_", "words"),
    [
        (math.nan, SHARES, r"is nan.*\[0, 1\]"),
        (math.inf, Range(0, math.inf), r"is inf.*\[0, ∞\)"),
        (-52704.5, Range(0, math.inf), r"came out as -52704.5, outside of its range \[0, ∞\)"),
        (1.0001, SHARES, r"came out as 1.0001, outside of its range \[0, 1\]"),
        (-1 / 3, BOUNDED, r"came out as -0.333333, outside of its range \(-1/\(K-1\), ∞\)"),
    ],
)
def test_what_lies_outside_of_its_range_is_absent_by_name_value_and_range(value, range_, words, monkeypatch):
    broken = Metric("nc1/broken", "t", "s", "d.", lambda _: value, range=range_)
    monkeypatch.setitem(REGISTRY, "nc1/broken", broken)
    stats = ClassStatistics(4, 2)
    stats.update(torch.eye(2).repeat(2, 1) + torch.arange(4)[:, None], torch.arange(4))
    result = collapse_metrics(stats, keys=["nc1/broken"])
    assert not result.numbers
    assert not result.optima
    with pytest.raises(KeyError, match="nc1/broken " + words):
        result["nc1/broken"]


@pytest.mark.parametrize(("value", "range_"), [(0.0, SHARES), (1 + 1e-13, SHARES), (-1 / 3 + 1e-9, BOUNDED)])
def test_a_number_in_its_range_is_published_as_it_was_computed(value, range_, monkeypatch):
    monkeypatch.setitem(REGISTRY, "nc1/fine", Metric("nc1/fine", "t", "s", "d.", lambda _: value, range=range_))
    stats = ClassStatistics(4, 2)
    stats.update(torch.eye(2).repeat(2, 1) + torch.arange(4)[:, None], torch.arange(4))
    assert collapse_metrics(stats, keys=["nc1/fine"])["nc1/fine"] == value


def test_a_decomposition_that_fails_is_a_reason_and_no_error(monkeypatch):
    def fails(_):
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setitem(REGISTRY, "nc1/fails", Metric("nc1/fails", "t", "s", "d.", fails, range=SHARES))
    stats = ClassStatistics(2, 2)
    stats.update(torch.eye(2), torch.arange(2))
    assert "decomposition" in collapse_metrics(stats, keys=["nc1/fails"]).absent["nc1/fails"]
