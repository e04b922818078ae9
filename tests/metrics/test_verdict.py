"""The verdict: every threshold from both sides, and a headline that agrees with where the class means lie."""

import math

import pytest
import torch

from neucollapse.geometry import best_known, icosahedron, orthoplex
from neucollapse.metrics import CollapseResult, Flag
from neucollapse.metrics._distance import distance_to_code
from neucollapse.metrics._verdict import verdict

SIMPLEX, BEYOND = {"num_classes": 4, "dim": 3}, {"num_classes": 9, "dim": 2}
GOOD = {
    "nc1/trace_ratio": 1e-4,
    "nc2/etf_distance": 1e-3,
    "gnc2/margin": 0.99,
    "gnc2/margin_ratio": 0.99,
    "nc3/cosine": 1e-3,
    "gnc3/cosine": 1e-3,
    "nc4/mismatch": 0.0,
}
THRESHOLDS = [  # place in the verdict, key, good and fair up to, size, whether small is good
    (1, "nc1/trace_ratio", 1e-2, 1e-1, SIMPLEX),
    (2, "nc2/etf_distance", 0.1, 0.3, SIMPLEX),
    (2, "gnc2/margin_ratio", 0.9, 0.7, BEYOND),
    (3, "nc3/cosine", 0.05, 0.2, SIMPLEX),
    (3, "gnc3/cosine", 0.05, 0.2, BEYOND),
    (4, "nc4/mismatch", 1e-2, 1e-1, SIMPLEX),
]


def result(info, arrays=None, **numbers):
    return CollapseResult({**GOOD, **numbers}, optima={"gnc2/margin": 1.0}, arrays=arrays or {}, info=info)


@pytest.mark.parametrize(("place", "key", "good", "fair", "info"), THRESHOLDS)
def test_every_threshold_has_two_sides(place, key, good, fair, info):
    step = 1e-9 * (1 if good < fair else -1)
    for value, tone in ((good, "good"), (good + step, "fair"), (fair, "fair"), (fair + step, "bad")):
        assert verdict(result(info, **{key: value}))[place].tone == tone, value


def test_the_note_on_test_samples_has_two_sides():
    for value, tone in ((1e-2, "good"), (1.01e-2, "fair"), (1e-1, "fair"), (0.101, "note")):
        numbers = {f"train/{key}": number for key, number in GOOD.items()}
        both = CollapseResult({**numbers, "test/test_collapse/strong": value}, info=SIMPLEX, splits=("train", "test"))
        assert verdict(both)[-1].tone == tone


@pytest.mark.parametrize(
    ("changed", "headline"),
    [
        ({}, "good: The features have collapsed, and lie close to their optimum"),
        ({"nc2/etf_distance": 0.2}, "fair: The classes have collapsed to points, but not yet to their optimum"),
        ({"nc2/etf_distance": 0.4}, "fair: The classes have collapsed to points, but not yet to their optimum"),
        ({"nc3/cosine": 0.1}, "fair: The classes have collapsed to points; the classifier has not followed yet"),
        ({"nc1/trace_ratio": 0.05}, "fair: The features are collapsing, and are not there yet"),
        ({"nc1/trace_ratio": 0.05, "nc4/mismatch": 0.2}, "bad: The features have not collapsed"),
        ({"nc1/trace_ratio": 0.5}, "bad: The features have not collapsed"),
    ],
)
def test_the_headline_follows_from_all_of_them(changed, headline):
    first = verdict(result(SIMPLEX, **changed))[0]
    assert f"{first.tone}: {first.text}" == f"{headline} (K = 4 classes in d = 3 dimensions)."


def test_nothing_is_claimed_that_was_not_measured():
    first, *others = verdict(CollapseResult({"nc1/trace_ratio": 1e-4}, info=SIMPLEX))
    assert first.text == "The features have collapsed (K = 4 classes in d = 3 dimensions)."
    assert len(others) == 1
    (first,) = verdict(CollapseResult({"nc2/etf_distance": 1e-4, "accuracy/linear": 1.0}, info=SIMPLEX))[:1]
    assert (first.tone, first.text[:22]) == ("note", "Too little was measure")


def turned(code, degrees):
    """Every point of a code moved by an angle, each in a direction of its own."""
    away = torch.randn(code.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    away = torch.nn.functional.normalize(away - (away * code).sum(1, keepdim=True) * code, dim=1)
    return code * math.cos(math.radians(degrees)) + away * math.sin(math.radians(degrees))


CODE = icosahedron()
CLOSEST = math.degrees(math.acos(1 / 5**0.5))
ICOSAHEDRON = {"num_classes": 12, "dim": 3}


def judged(means, **numbers):
    arrays = {"normalized_means": 0.8 * means, "target": CODE}
    return verdict(result(ICOSAHEDRON, arrays, **numbers))


def test_the_distance_is_an_angle():
    found = distance_to_code(result(ICOSAHEDRON, {"normalized_means": turned(CODE, 7.0), "target": CODE}), "")
    assert found == pytest.approx((7.0, 7.0, CLOSEST), abs=1e-9)
    assert distance_to_code(result(ICOSAHEDRON, {"normalized_means": CODE}), "") is None
    nothing = {"normalized_means": torch.zeros(12, 3), "target": CODE}
    assert distance_to_code(result(ICOSAHEDRON, nothing), "") is None


@pytest.mark.parametrize(
    ("degrees", "ratio", "tone", "words"),
    [
        (0.049 * CLOSEST, 0.95, "good", "and lie close to the best code on record"),
        (0.051 * CLOSEST, 0.95, "fair", "in another arrangement than the best code on record"),
        (0.2 * CLOSEST, 0.989, "fair", "in another arrangement than the best code on record"),
        (0.2 * CLOSEST, 0.99, "good", "to another arrangement, as good as the best code on record"),
        (0.01 * CLOSEST, 0.89, "fair", "but not yet to their optimum"),
        (0.2 * CLOSEST, 0.69, "fair", "in another arrangement than the best code on record"),
    ],
)
def test_the_headline_beyond_a_simplex_agrees_with_the_picture(degrees, ratio, tone, words):
    """A share of the margin alone does not say that the means lie close to the code that has it."""
    headline, _, geometry, *_ = judged(turned(CODE, degrees), **{"gnc2/margin_ratio": ratio})
    assert headline.tone == tone
    assert words in headline.text
    assert f"They lie {degrees:.1f}° on average, and {degrees:.1f}° at most, from the best code" in geometry.text
    assert geometry.tone == ("bad" if ratio < 0.7 else tone)


def test_one_class_far_away_is_not_close():
    means = CODE.clone()
    for degrees, words in ((0.09 * CLOSEST, "close to the best"), (0.11 * CLOSEST, "in another arrangement")):
        means[3] = turned(CODE, degrees)[3]
        assert words in judged(means, **{"gnc2/margin_ratio": 0.95})[0].text


def test_in_the_range_of_a_family_the_value_alone_counts():
    """For d+2 <= K <= 2d one best code is only an example of many, so that no distance to it is told."""
    info, code = {"num_classes": 6, "dim": 3}, orthoplex(6, 3)
    arrays = {"normalized_means": turned(code, 20.0), "target": code}
    headline, _, geometry, *_ = verdict(result(info, arrays, **{"gnc2/margin_ratio": 0.95}))
    assert headline.text.startswith("The features have collapsed, to 95.0% of the largest margin possible (K = 6")
    assert "°" not in geometry.text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "the largest margin possible"),
        ("optimum_is_best_known", "the best margin known"),
        ("optimum_is_a_bound", "the bound on it (no code is known)"),
    ],
)
def test_what_the_margin_is_a_share_of_is_named(code, words):
    measured = result(BEYOND)
    measured.flags += [] if code is None else [Flag(code, "A sentence.")]
    headline, _, geometry, *_ = verdict(measured)
    assert f"99.0% of {words}" in geometry.text
    assert f"to 99.0% of {words} (K = 9" in headline.text


def test_a_split_is_compared_with_the_target_of_all():
    code = best_known(10, 3).points
    numbers = {f"train/{key}": number for key, number in {**GOOD, "gnc2/margin_ratio": 0.959}.items()}
    arrays = {"target": code, "train/normalized_means": turned(code, 9.0), "test/normalized_means": code}
    both = CollapseResult(numbers, {"train/gnc2/margin": 1.0}, arrays=arrays, info={"num_classes": 10, "dim": 3})
    both.splits = ("test", "train")
    headline, _, geometry, *_ = verdict(both)
    assert "in another arrangement than the best code on record" in headline.text
    assert "They lie 9.0° on average, and 9.0° at most, from the best code" in geometry.text
