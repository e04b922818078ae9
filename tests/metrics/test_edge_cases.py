"""Promises P4 to P7: known points, degenerate input and every dtype, where existing code went silently wrong.

The first half are the cases on which public implementations printed wrong numbers: a cut-off that drops real
directions or keeps false ones, empty classes, imbalance, K > d + 1, offsets, half precision, exact collapse.
"""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from neucollapse import ClassStatistics, InputError, NonFiniteError
from neucollapse.geometry import polygon, simplex
from neucollapse.metrics import Decisions, collapse_metrics, weight_metrics


def truth(H, y):
    """NC1 and friends of the numbers as they are, in float64, over the classes present, by the definitions."""
    H, y = np.asarray(H, np.float64), np.asarray(y)
    H = H - H.mean(0)  # an offset changes nothing, and would cost digits here
    classes = np.unique(y)
    K, n = len(classes), np.array([(y == c).sum() for c in classes])
    mu = np.array([H[y == c].mean(0) for c in classes])
    R = H - mu[np.searchsorted(classes, y)]
    M, M_sample = mu - mu.mean(0), mu - H.mean(0)
    variances = np.array([(R[y == c] ** 2).sum(1).mean() for c in classes])
    distances = ((mu[:, None] - mu[None]) ** 2).sum(2)
    i, j = np.triu_indices(K, 1)
    gram = M @ M.T
    return {
        "nc1/pinv": pinv_of_known_rank(R, M),
        "nc1/pinv_sample_mean": pinv_of_known_rank(R, M_sample),
        "nc1/pinv_class_scatter": pinv_of_known_rank(R * np.sqrt(len(R) / K / n)[np.searchsorted(classes, y), None], M),
        "nc1/trace_ratio": (R**2).sum() / len(R) / (M**2).sum() * K,
        "nc1/trace_ratio_sample": (R**2).sum() / (n @ (M_sample**2).sum(1)),
        "nc1/cdnv": np.mean((variances[i] + variances[j]) / (2 * distances[i, j])),
        "nc2/etf_distance": np.linalg.norm(
            gram / np.linalg.norm(gram) - (np.eye(K) - np.ones((K, K)) / K) / math.sqrt(K - 1)
        ),
    }


def pinv_of_known_rank(R, M):
    """tr(S_W S_B^+) / K without a cut-off: the rank of S_B is min(K - 1, d)."""
    _, s, Vh = np.linalg.svd(M, full_matrices=False)
    r = min(len(M) - 1, M.shape[1])
    return sum(np.mean((R @ Vh[k]) ** 2) / s[k] ** 2 for k in range(r))


def blobs(means, counts, sigma, seed=0, dtype=torch.float32):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(means)), counts))
    return torch.tensor(means[y] + sigma * rng.standard_normal((len(y), means.shape[1]))).to(dtype), torch.tensor(y)


def gaussian(K, d, seed=1):
    return np.random.default_rng(seed).standard_normal((K, d))


def codes(result):
    return {flag.code for flag in result.flags}


def check(result, expected, rel, keys=None):
    for key in keys or expected:
        assert result[key] == pytest.approx(expected[key], rel=rel), key


# ---- where existing code goes wrong ---------------------------------------------------------------------------------


def test_graded_class_means_keep_their_small_directions(measured):
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal(shape))[0] for shape in ((20, 19), (64, 19)))
    U = np.linalg.qr(np.c_[np.ones(20), U])[0][:, 1:]  # centred over classes
    H, y = blobs(math.sqrt(20) * (U * np.geomspace(10, 1e-3, 19)) @ V.T, 250, 2e-4)
    check(measured(H, y), truth(H, y), 1e-6)
    assert "rank_deficient" not in codes(measured(H, y))


def test_more_dimensions_than_classes_add_no_false_directions(measured):
    H, y = blobs(gaussian(100, 512), 20, 0.3)
    check(measured(H, y), truth(H, y), 1e-6)


@pytest.mark.parametrize("gone", [[3], [0, 7]])
def test_empty_classes_are_left_out_and_flagged(gone, measured):
    counts = np.full(10, 100)
    counts[gone] = 0
    H, y = blobs(gaussian(10, 64), counts, 0.5)
    W = gaussian(10, 64, seed=2)
    result = measured(H, y, W, num_classes=10)
    check(result, truth(H, y), 1e-6)
    assert "missing_classes" in codes(result)
    assert result["gnc2/margin_optimum"] == pytest.approx((10 - len(gone)) / (9 - len(gone)), rel=1e-12)
    lengths = np.linalg.norm(W - W.mean(0), axis=1)  # the classifier has all of its rows, whatever was seen
    assert result["nc2/equinorm@weight"] == pytest.approx(lengths.std() / lengths.mean(), rel=1e-12)
    assert all(math.isfinite(value) for value in result.values())
    assert "every class" in result.absent["mse/loss"]
    assert result.arrays["class_means"].isnan().any(dim=1).nonzero()[:, 0].tolist() == gone


def test_an_empty_class_is_never_the_nearest(measured):
    result = measured([[1.0, 0.0], [0.0, 1.0]], [0, 2], num_classes=3)  # its mean is not the origin
    assert result["accuracy/ncc"] == 1


def test_imbalance_400_to_1_by_class_and_by_sample(measured):
    counts = np.geomspace(400, 1, 10).round().astype(int)
    H, y = blobs(gaussian(10, 64), counts, 0.5)
    result, expected = measured(H, y), truth(H, y)
    check(result, expected, 1e-6)
    assert {"imbalance", "single_samples"} <= codes(result)
    assert abs(expected["nc1/pinv"] / expected["nc1/pinv_sample_mean"] - 1) > 0.05  # the variants do differ
    assert abs(expected["nc1/trace_ratio"] / expected["nc1/trace_ratio_sample"] - 1) > 0.05


def test_class_weighted_scatter_without_counts_beforehand_is_absent(measured):
    H, y = blobs(gaussian(4, 6), [9, 4, 5, 2], 0.5)
    result = measured(H, y, counts_known=False)
    assert "class_counts" in result.absent["nc1/pinv_class_scatter"]
    assert "nc1/trace_ratio_class_scatter" in result  # the traces are kept class by class


def test_more_classes_than_dimensions(measured):
    H, y = blobs(gaussian(40, 16), 125, 0.1)
    result = measured(H, y)
    check(result, truth(H, y), 1e-6)
    assert result["nc2/etf_distance"] > result["nc2/etf_floor"] == result.optima["nc2/etf_distance"] > 0.8
    assert "beyond_simplex" in codes(result)
    assert "optimum_is_best_known" in codes(result)


def test_the_octagon_is_optimal_though_its_spread_of_energies_is_not_zero(measured):
    result = measured(polygon(8).repeat(2, 1), torch.arange(8).repeat(2), polygon(8))
    assert result["nc2/etf_distance"] == pytest.approx(0.9649, abs=5e-5)
    assert result["nc2/etf_floor"] == pytest.approx(result["nc2/etf_distance"], abs=1e-12)
    assert result["gnc2/log_variance"] == pytest.approx(0.143, abs=1e-3)
    assert result["gnc2/margin_ratio"] == pytest.approx(1, abs=1e-12)
    assert "beyond_simplex" in codes(result)


def test_a_common_offset_of_the_classifier(measured):
    # The same softmax, yet far from a simplex without centring: both numbers exist, by name.
    code = simplex(10, 16)
    W = code + 3 * torch.ones(16)
    result = measured(code.repeat(2, 1), torch.arange(10).repeat(2), W)
    assert result["nc2/etf_distance@weight"] < 1e-12
    gram = (W @ W.T).numpy()
    uncentred = np.linalg.norm(gram / np.linalg.norm(gram) - (np.eye(10) - 0.1) / 3)
    assert uncentred > 1
    assert result["nc2/etf_distance_uncentred@weight"] == pytest.approx(uncentred, rel=1e-12)
    assert result["nc3/cosine"] < 1e-12
    assert result["nc3/product"] < 1e-12


def test_an_orthogonal_frame_is_no_simplex_until_it_is_centred(measured):
    frame = torch.eye(10, 64, dtype=torch.float64)
    result = measured(frame.repeat(2, 1), torch.arange(10).repeat(2))
    assert result["nc2/orthogonal_frame_distance"] < 1e-12
    assert result["nc2/etf_distance"] < 1e-12
    assert result["nc2/etf_distance_uncentred"] == pytest.approx(math.sqrt(2 - 2 * 9 / 3 / math.sqrt(10)), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_large_offset_over_small_classes(dtype, measured):
    # float32 at 1e4 is spaced 1e-3: the truth is that of the rounded numbers.
    H, y = blobs(gaussian(10, 64) + 1e4, 500, 0.01, dtype=dtype)
    check(measured(H, y), truth(H, y), 1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_has_a_floor_and_says_so(dtype, measured):
    means = gaussian(10, 64)
    H, y = blobs(means, 100, 1e-6, dtype=dtype)
    result = measured(H, y)
    check(result, truth(H.double(), y), 1e-5)
    (flag,) = [flag for flag in result.flags if flag.code == "precision_floor"]
    assert str(dtype).removeprefix("torch.") in flag.sentence
    wide = measured(*blobs(means, 100, 0.3, dtype=dtype))
    assert "precision_floor" not in codes(wide)
    assert "precision_floor" not in codes(measured(*blobs(means, 100, 1e-6, dtype=torch.float64)))


def test_exact_collapse_is_exactly_zero(measured):
    # In every form that has no subtraction to round: logarithmic axes need care, and a zero is never hidden.
    H = torch.tensor(gaussian(6, 9)).repeat(3, 1)
    result = measured(H, torch.arange(6).repeat(3))
    for key in ("nc1/pinv", "nc1/trace_ratio", "nc1/cdnv", "nc1/cdnv_max", "nc1/vci", "nc1/within_fraction"):
        assert result[key] == 0, key


# ---- degenerate input -----------------------------------------------------------------------------------------------


def test_identical_means_have_no_ratios_but_reasons(measured):
    H, y = torch.tensor([[1.0, 2.0], [3.0, 2.0]]).repeat(3, 1).double(), torch.tensor([0, 0, 1, 1, 2, 2])
    result = measured(H, y, simplex(3))
    for key in ("nc1/pinv", "nc1/svd", "nc1/vci", "nc1/trace_ratio", "test_collapse/strong", "gnc1/pinv"):
        assert "coincide" in result.absent[key], key
    assert "same mean" in result.absent["nc1/cdnv"]
    assert "no direction" in result.absent["nc2/equiangular"]
    assert "no direction" in result.absent["nc3/cosine"]
    assert "infinite" in result.absent["gnc2/energy"]
    assert result["gnc2/max_cosine"] == 1
    assert "coincident_classes" in codes(result)
    assert all(math.isfinite(value) for value in result.values())


def test_two_classes_of_one_mean_make_cdnv_absent_alone(measured):
    H = torch.tensor([[1.0, 0, 0], [2.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [0, 5.0, 0], [0, 6.0, 0]]).double()
    result = measured(H, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert "same mean" in result.absent["nc1/cdnv"]
    assert result["nc1/trace_ratio"] > 0
    assert "rank_deficient" in codes(result)


def test_labels_out_of_range_raise_and_the_ignored_label_is_ignored(measured):
    H, y = blobs(gaussian(4, 6), 20, 0.5, dtype=torch.float64)
    with pytest.raises(InputError, match="-1"):
        ClassStatistics(4, 6).update(H, torch.where(y == 2, -1, y))
    kept = y != 2
    marked = measured(H, torch.where(kept, y, -100), num_classes=4)
    without = measured(H[kept], y[kept], num_classes=4)
    assert marked.numbers == pytest.approx(without.numbers, rel=1e-9)
    assert "ignored_samples" in codes(marked)


def test_dropped_samples_are_flagged():
    H, y = blobs(gaussian(3, 4), 20, 0.5)
    H[5] = math.nan
    stats = ClassStatistics(3, 4, nan="drop")
    stats.update(H, y)
    decisions = Decisions(stats)
    decisions.update(H, y)
    result = collapse_metrics(stats, decisions=decisions)
    keep = torch.arange(60) != 5
    check(result, truth(H[keep], y[keep]), 1e-6, ["nc1/pinv", "nc1/trace_ratio"])
    assert decisions.counts["samples"] == 59
    assert "dropped_samples" in codes(result)


def test_one_class_has_reasons_instead_of_numbers(measured):
    H = torch.tensor(gaussian(20, 5))
    result = measured(H, torch.zeros(20, dtype=torch.int64), gaussian(1, 5), [0.0])
    for key in ("nc1/pinv", "nc1/cdnv", "nc2/etf_distance", "nc3/cosine", "gnc2/margin", "gnc2/margin_optimum"):
        assert "two classes" in result.absent[key], key
    assert result["accuracy/ncc"] == 1
    assert result["rank/stable"] >= 1
    assert all(math.isfinite(value) for value in result.values())


def test_classes_of_one_sample_are_collapsed_by_definition_and_flagged(measured):
    result = measured(gaussian(5, 8), torch.arange(5))
    assert result["nc1/pinv"] == result["nc1/cdnv"] == 0
    assert "single_samples" in codes(result)


def test_one_dimension(measured):
    H, y = blobs(np.array([[-1.0], [1.0]]), 50, 0.1, dtype=torch.float64)
    result = measured(H, y, [[-1.0], [1.0]], [0.0, 0.0])
    check(result, truth(H, y), 1e-12, ["nc1/pinv", "nc1/trace_ratio", "nc1/cdnv"])
    assert result["nc1/pinv"] == pytest.approx(result["nc1/trace_ratio"] / 2, rel=1e-12)
    assert result["gnc2/margin"] == pytest.approx(2)
    crowded = measured(*blobs(np.array([[-1.0], [0.5], [1.0]]), 50, 0.01, dtype=torch.float64))
    assert crowded["gnc2/margin_optimum"] == 0  # on a line only two directions differ
    assert "zero" in crowded.absent["gnc2/margin_ratio"]
    assert all(math.isfinite(value) for value in crowded.values())


def test_zero_rows_of_the_classifier_have_no_direction(measured):
    W = gaussian(4, 6)
    W[2] = 0
    result = measured(*blobs(gaussian(4, 6), 20, 0.5), W)
    for key in ("gnc2/margin@weight", "gnc3/cosine", "gnc2/energy@weight"):
        assert "row of class 2 is zero" in result.absent[key], key
    assert result["nc2/etf_distance@weight"] > 0
    assert all(math.isfinite(value) for value in result.values())
    nothing = measured(*blobs(gaussian(4, 6), 20, 0.5), np.zeros((4, 6)))
    assert "zero" in nothing.absent["nc3/frobenius"]
    assert "zero" in nothing.absent["rank/stable@weight"]


def test_zero_features_count_as_zero_and_are_flagged(measured):
    H, y = blobs(gaussian(3, 4), 20, 0.5)
    H[0] = 0
    assert "zero_features" in codes(measured(H, y))
    nothing = measured(torch.zeros(6, 4), torch.arange(3).repeat(2), gaussian(3, 4), np.zeros(3))
    assert all(math.isfinite(value) for value in nothing.values())
    assert "coincide" in nothing.absent["nc1/pinv"]


def test_without_classifier_second_pass_or_unit_norm_statistics_the_reason_is_said():
    stats = ClassStatistics(3, 4)
    stats.update(*blobs(gaussian(3, 4), 20, 0.5))
    absent = collapse_metrics(stats).absent
    assert "weight=" in absent["nc3/cosine"]
    assert "second pass" in absent["nc4/mismatch"]
    assert "normalized=" in absent["gnc2/margin"]
    assert "ood=" in absent["nc5/cosine"]
    traces = ClassStatistics(3, 4, "trace")
    traces.update(*blobs(gaussian(3, 4), 20, 0.5))
    assert "scatter='full'" in collapse_metrics(traces).absent["nc1/pinv"]


def test_optima_are_not_looked_up_unasked(measured):
    H, y = blobs(gaussian(12, 3), 20, 0.5)
    result = measured(H, y, optimum=False)
    assert "not asked" in result.absent["gnc2/margin_optimum"]
    assert "gnc2/margin" not in result.optima
    assert result["gnc2/margin"] == measured(H, y)["gnc2/margin"]


@pytest.mark.parametrize(
    ("weight", "bias", "error", "words"),
    [
        (np.full((3, 4), np.nan), None, NonFiniteError, "weight"),
        (np.zeros((3, 4)), np.full(3, np.inf), NonFiniteError, "bias"),
        (np.zeros((4, 3)), None, InputError, r"weight of shape \(3, 4\), got \(4, 3\)"),
        (np.zeros((3, 4)), np.zeros(4), InputError, r"bias of shape \(3,\), got \(4,\)"),
    ],
)
def test_a_classifier_that_does_not_fit(weight, bias, error, words):
    stats = ClassStatistics(3, 4)
    stats.update(*blobs(gaussian(3, 4), 5, 0.5))
    with pytest.raises(error, match=words):
        collapse_metrics(stats, weight, bias)


def test_arguments_that_do_not_fit():
    stats, other = ClassStatistics(3, 4), ClassStatistics(3, 5, normalize=True)
    with pytest.raises(InputError, match="call update"):
        collapse_metrics(stats)
    stats.update(*blobs(gaussian(3, 4), 5, 0.5))
    for arguments, words in [
        ({"normalized": other}, "d=5"),
        ({"normalized": stats}, "normalize=True"),
        ({"keys": ["nc9/none"]}, "nc9/none"),
        ({"preset": "nobody1999"}, "papyan2020"),
        ({"preset": "papyan2020", "keys": ["nc1/pinv"]}, "both"),
    ]:
        with pytest.raises(InputError, match=words):
            collapse_metrics(stats, **arguments)
    with pytest.raises(InputError, match=r"\(3, 4\), got \(4, 4\)"):
        Decisions(stats, torch.zeros(4, 4))
    with pytest.raises(InputError, match=r"weight of shape \(K, d\)"):
        weight_metrics([1.0, 2.0])
    with pytest.raises(NonFiniteError):
        weight_metrics([[1.0, math.nan], [0.0, 1.0]])


# ---- many classes ---------------------------------------------------------------------------------------------------

MARGINS = ["gnc2/margin@weight", "gnc2/max_cosine@weight", "gnc2/margin_ratio@weight", "gnc2/margin_optimum"]


def test_beyond_2000_classes_the_margin_is_a_bound_and_says_so(measured):
    W, y = gaussian(2001, 4), torch.arange(2001)
    result = measured(W, y, W, keys=MARGINS)
    assert result["gnc2/margin@weight"] == 1 - result["gnc2/max_cosine@weight"]
    assert "margin_is_a_bound" in codes(result)
    small = measured(W[:300], y[:300], W[:300], keys=MARGINS)
    assert "margin_is_a_bound" not in codes(small)
    assert small["gnc2/margin@weight"] >= 1 - small["gnc2/max_cosine@weight"]
    forced = measured(W[:300], y[:300], W[:300], keys=MARGINS, exact_margins=False)
    assert "margin_is_a_bound" in codes(forced)


LARGE = """
import resource
import torch
from neucollapse import ClassStatistics
from neucollapse.metrics import collapse_metrics
torch.set_num_threads(1)
K, d = 6_000, 8
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def run(K, keys):
    H = torch.randn(K, d, generator=torch.Generator().manual_seed(0))
    stats = ClassStatistics(K, d)
    stats.update(H, torch.arange(K))
    stats.update(H + 0.01, torch.arange(K))
    return collapse_metrics(stats, H, keys=keys)
run(1500, KEYS)
before = peak()
result = run(K, KEYS)
assert not result.absent, result.absent
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_square_of_the_classes():
    # 6,000 classes, to be quick: a square takes 275 MiB in float64, 137 in float32.
    keys = ["nc1/pinv", "nc1/cdnv", "nc2/etf_distance", "gnc2/max_cosine@weight", "gnc2/margin@weight", "nc3/product"]
    run = subprocess.run([sys.executable, "-c", LARGE.replace("KEYS", repr(keys))], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 90  # MiB
