"""What is of the classifier is of all of its rows, whatever classes the data have; flags on either side of their thresholds."""

import math

import pytest
import torch

from neucollapse import ClassStatistics
from neucollapse.geometry import simplex
from neucollapse.metrics import REGISTRY, Decisions, collapse_metrics, weight_metrics
from neucollapse.metrics.cdnv import class_distance_normalized_variance


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def codes(result):
    return {flag.code for flag in result.flags}


@pytest.mark.parametrize(("seen", "d"), [([0, 1, 2, 4, 5, 6, 7, 9], 4), ([3], 4), ([0, 1], 12)])
def test_numbers_of_the_classifier_are_of_all_rows(seen, d, measured):
    W, b = noise(10, d, seed=1), noise(10, seed=2)
    labels = torch.tensor(seen).repeat(6)
    H = noise(10, d, seed=3)[labels] + 0.1 * noise(len(labels), d)
    result, alone = measured(H, labels, W, b, num_classes=10), weight_metrics(W)
    for key, value in alone.items():
        assert result[key] == pytest.approx(value, rel=1e-12), key
        assert result.optima.get(key) == alone.optima.get(key), key
    assert alone.keys() == {key for key in result if REGISTRY[key].of_classifier}
    centre = torch.stack([H[labels == c].mean(0) for c in seen]).mean(0)
    assert result["bias/relation"] == pytest.approx(float((W @ centre + b).norm()), rel=1e-9)
    assert not result.arrays["one_vs_rest_weight"].isnan().any()


def test_a_classifier_of_one_row_or_one_dimension():
    one = weight_metrics([[1.0, 2.0]])
    assert one["nc0/row_sum@weight"] == pytest.approx(math.sqrt(5))
    assert "at least two classes, and there is one" in one.absent["gnc2/margin@weight"]
    line = weight_metrics([[1.0], [-1.0]])
    assert line["gnc2/margin@weight"] == line.optima["gnc2/margin@weight"] == 2
    assert line["nc2/equiangular@weight"] == line.optima["nc2/equiangular@weight"] == 0
    crowd = weight_metrics([[1.0], [-1.0], [0.5]])
    assert "zero" in crowd.absent["gnc2/margin_ratio@weight"]
    assert "infinite" in crowd.absent["gnc2/energy@weight"]


def test_margins_need_two_rows_and_not_two_classes_seen(measured):
    result = measured(simplex(4)[[2, 2]], torch.tensor([2, 2]), simplex(4), num_classes=4)
    assert result["margins/cosine_min"] == pytest.approx(4 / 3)
    assert "margins/cosine_min" not in result.optima  # one class alone can reach more


# ---- sentinels and ends ---------------------------------------------------------------------------------------------


def test_no_sentinel_is_published_where_nothing_has_spread(measured):
    result = measured(torch.ones(8, 3), torch.arange(8) % 2)
    for key in ("nc1/cdnv", "nc1/cdnv_max", "nc1/cdnv_median", "nc1/cdnv_p95"):
        assert "same mean" in result.absent[key], key
    assert result.arrays["cdnv_worst"].isnan().all()


@pytest.mark.parametrize("size", [1e-30, 1e-9, 1.0, 1e9, 1e30])
def test_quantiles_of_pairs_fall_off_no_end(size):
    means = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    cdnv = class_distance_normalized_variance(torch.full((3,), size**2, dtype=torch.float64), means)
    assert cdnv.median == pytest.approx(size**2 / 4, rel=5e-3)
    still = class_distance_normalized_variance(torch.tensor([0.0, 0.0, size], dtype=torch.float64), means)
    assert class_distance_normalized_variance(torch.zeros(3, dtype=torch.float64), means).p95 == 0
    assert still.median > 0


def test_the_worst_partner_lies_in_any_tile():
    K = 1100  # three tiles a side
    means, variances = noise(K, 3), noise(K, seed=1).exp()
    cdnv = class_distance_normalized_variance(variances, means)
    values = (variances[:, None] + variances) / (2 * torch.cdist(means, means).square())
    values.fill_diagonal_(-1)
    worst, partner = values.max(dim=1)
    torch.testing.assert_close(cdnv.worst, worst, rtol=1e-9, atol=0)
    assert torch.equal(cdnv.worst_partner, partner)
    assert set(cdnv.closest) == set(divmod(int((torch.cdist(means, means) + 9 * torch.eye(K)).argmin()), K))


def test_samples_of_a_class_that_the_reference_lacks_have_no_mean_to_be_far_from(measured):
    train, test = ClassStatistics(3, 2), ClassStatistics(3, 2)
    H, y = noise(30, 2) + 5, torch.arange(30) % 3
    train.update(H[y < 2], y[y < 2])
    test.update(H, y)
    decisions = Decisions(train)
    decisions.update(H, y)
    result = collapse_metrics(test, decisions=decisions, reference=train)
    assert "10 samples" in result.absent["test_collapse/strong"]
    assert result["test_collapse/weak"] > 0
    assert result["accuracy/ncc"] <= 2 / 3


def test_decisions_follow_the_reference_they_are_given(measured):
    near, far = torch.tensor([[0.0, 1.0], [0.0, -1.0]]).double(), torch.tensor([[0.0, -1.0], [0.0, 1.0]]).double()
    y = torch.arange(2)
    train, test = ClassStatistics(2, 2), ClassStatistics(2, 2)
    train.update(near, y)
    test.update(far, y)
    decisions = Decisions(train)
    decisions.update(far, y)
    assert collapse_metrics(test, decisions=decisions, reference=train)["accuracy/ncc"] == 0


# ---- flags, on either side of their thresholds ----------------------------------------------------------------------


@pytest.mark.parametrize(("counts", "flagged"), [((4, 2), False), ((5, 2), True)])
def test_imbalance_is_more_than_twice(counts, flagged, measured):
    y = torch.arange(2).repeat_interleave(torch.tensor(counts))
    assert ("imbalance" in codes(measured(noise(len(y), 3), y))) == flagged


@pytest.mark.parametrize(("counts", "flagged"), [((2, 2), False), ((2, 1), True)])
def test_a_class_of_one_sample_is_flagged(counts, flagged, measured):
    y = torch.arange(2).repeat_interleave(torch.tensor(counts))
    assert ("single_samples" in codes(measured(noise(len(y), 3), y))) == flagged


@pytest.mark.parametrize(("one_less_cosine", "flagged"), [(1.2e-6, False), (0.8e-6, True)])
def test_two_classes_that_point_the_same_way(one_less_cosine, flagged):
    angle = math.sqrt(2 * one_less_cosine)
    rows = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)], [-1.0, 0.0]], dtype=torch.float64)
    assert ("coincident_classes" in codes(weight_metrics(rows))) == flagged


@pytest.mark.parametrize(("one_less_cosine", "flagged"), [(1.2e-6, False), (0.8e-6, True)])
def test_two_means_that_point_the_same_way(one_less_cosine, flagged, measured):
    angle = math.sqrt(2 * one_less_cosine)
    H = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)], [-1.0, 0.0]], dtype=torch.float64)
    result = measured(H, torch.arange(3))
    assert (("coincident_classes", "gnc2/max_cosine") in {(flag.code, flag.where) for flag in result.flags}) == flagged


@pytest.mark.parametrize(("width", "flagged"), [(0.025, False), (0.02, True)])
def test_a_thousandth_of_rounding_is_said(width, flagged, measured):
    """One direction is wide; along the others float32 sums hold the scatter to 5e-7 / width^2, about 1e-3 of it at 0.022."""
    y, wide, narrow = torch.arange(120) % 3, torch.tensor([1.0, -0.3, -0.7]), torch.tensor([0.0, 1.0, -1.0])
    means = torch.stack([wide, width * narrow], 1).double()[y]
    H = width * noise(120, 70)
    H[:, 0] /= width
    H[:, :2] = (H[:, :2] + means) @ torch.tensor([[1.0, 1.0], [-1.0, 1.0]]).double() / math.sqrt(2)
    assert ("imprecise_sums" in codes(measured(H.float(), y))) == flagged


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_two_classes_with_one_mean_are_flagged_also_where_it_is_zero(offset, measured):
    H = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0], [0, 0, 3.0], [0, 0, 4.0]]).double() + offset
    result = measured(H, torch.tensor([0, 0, 1, 1, 2, 2]))
    (flag,) = [flag for flag in result.flags if flag.code == "coincident_classes" and flag.where == "nc1/cdnv"]
    assert "0 and 1" in flag.sentence
    apart = H + torch.tensor([[0, 0, 1e-6]] * 2 + [[0, 0, 0]] * 4)
    assert "coincident_classes" not in codes(measured(apart + 1, torch.tensor([0, 0, 1, 1, 2, 2])))


@pytest.mark.parametrize(("K", "flagged"), [(3, False), (4, True)])
def test_beyond_a_simplex_is_flagged_for_the_side_that_is(K, flagged, measured):
    seen = torch.arange(2).repeat(3)
    result = measured(noise(6, 2), seen, noise(K, 2), num_classes=K)
    where = [flag.where for flag in result.flags if flag.code == "beyond_simplex"]
    assert where == (["nc2/etf_distance@weight"] if flagged else [])


@pytest.mark.parametrize(("spread", "flagged"), [(0.7, True), (2.0, False)])
def test_the_precision_floor_is_ten_times_what_rounding_gives(spread, flagged, measured):
    eps = torch.finfo(torch.float32).eps
    y = torch.arange(4).repeat(200)
    H = (simplex(4, 8) * 2 + 1)[y] + spread * eps * noise(800, 8)  # rounding adds about eps^2
    assert ("precision_floor" in codes(measured(H.float(), y))) == flagged
