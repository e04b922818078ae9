"""Promise P2 where it is hard: outliers, drifts and long classes, in every type, batch size, order, and with or without numba."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import ClassStatistics, InputError, measure
from neucollapse._environment import numba_available

METHODS = ["compiled", "plain"] if numba_available() else ["plain"]
TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def twin(features, labels, K, normalize=False):
    """Two passes in float64: the pooled scatter, the class-weighted scatter, and the sum of squares of each class."""
    H, y = features.double().numpy(), labels.numpy()
    H = H / np.linalg.norm(H, axis=1, keepdims=True) if normalize else H
    pooled, weighted, squares = np.zeros((H.shape[1],) * 2), np.zeros((H.shape[1],) * 2), np.zeros(K)
    for c in np.unique(y):
        R = H[y == c] - H[y == c][0]
        R -= R.mean(0)
        R -= R.mean(0)
        pooled, weighted, squares[c] = pooled + R.T @ R, weighted + R.T @ R / len(R), (R**2).sum()
    return pooled / len(y), weighted / len(np.unique(y)), squares


def relative(got, want):
    return np.linalg.norm(np.asarray(got) - want) / np.linalg.norm(want)


def hostile(kind, N, d, dtype, seed=0):
    """Two tight classes with what a provisional centre, or a long sum, can suffer from."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(N) % 2
    spread = 1e-4 if dtype in TYPES[:2] else 0.05
    X = torch.randn(2, d, generator=generator, dtype=torch.float64)[labels]
    X += spread * torch.randn(N, d, generator=generator, dtype=torch.float64)
    direction = torch.randn(d, generator=generator, dtype=torch.float64)
    if kind == "outlier first":
        X[0] += direction
    elif kind == "two places":
        X[: N // 8] += 0.3 * direction
    elif kind == "drift":
        X += torch.linspace(-0.1, 0.1, N, dtype=torch.float64)[:, None] * direction
    return X.to(dtype), labels


def collected(features, labels, K, batch, **options):
    stats = ClassStatistics(K, features.shape[1], **options)
    for part, own in zip(features.split(batch), labels.split(batch), strict=True):
        stats.update(part, own)
    return stats


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["outlier first", "two places", "drift"])
@pytest.mark.parametrize(("N", "d"), [(65_536, 8), (12_000, 80)])
def test_long_classes_keep_the_scatter_in_one_batch_and_in_many(N, d, kind, dtype, normalize):
    features, labels = hostile(kind, N, d, dtype)
    pooled, weighted, squares = twin(features, labels, 2, normalize)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-6
    options = {"normalize": normalize, "class_counts": labels.bincount()}
    half = len(labels) // 2
    merged = collected(features[:half], labels[:half], 2, half, **options)
    merged.merge(collected(features[half:], labels[half:], 2, 1500, **options))
    for stats in (collected(features, labels, 2, N, **options), merged):
        assert relative(stats.within_scatter(), pooled) <= tolerance
        assert relative(stats.within_scatter("class"), weighted) <= tolerance
    for method in METHODS:
        stats = collected(features.flip(0), labels.flip(0), 2, N, scatter="trace", normalize=normalize, method=method)
        assert relative(stats.class_variances * stats.counts, squares) <= tolerance


def test_an_outlier_among_the_first_rows_leaves_the_variability_of_the_rest():
    features, labels = hostile("outlier first", 16_000, 16, torch.float32)
    got, want = (measure((X, labels), progress=False)["nc1/vci"] for X in (features, features.double()))
    assert got == pytest.approx(want, rel=1e-6)


@given(
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from(TYPES),
    d=st.sampled_from([1, 3, 64, 65, 130]),
    K=st.integers(1, 12),
    log_scale=st.floats(-8, 4),
    offset=st.sampled_from([0.0, 1.0, 100.0]),
    outliers=st.integers(0, 3),
    missing=st.booleans(),
    method=st.sampled_from(METHODS),
    scatter=st.sampled_from(["full", "trace"]),
    normalize=st.booleans(),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_one_batch_is_batches_of_128_is_merged_is_reversed(
    seed, dtype, d, K, log_scale, offset, outliers, missing, method, scatter, normalize
):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(K, (1200,), generator=generator).sort()[0]
    X = torch.randn(K, d, generator=generator, dtype=torch.float64)[labels] + offset
    X += (1e-3 if dtype in TYPES[:2] else 0.1) * torch.randn(1200, d, generator=generator, dtype=torch.float64)
    X[:outliers] += 10 * torch.randn(outliers, d, generator=generator, dtype=torch.float64)
    scale = 10**log_scale if dtype in TYPES[:2] else 1.0  # half precision would round small ones to a few values
    X = (X * scale).to(dtype)
    options = {"scatter": scatter, "normalize": normalize}
    K += missing
    merged = ClassStatistics(K, d, **options)
    for part, own in zip(X.split(333), labels.split(333), strict=True):
        merged.merge(collected(part, own, K, 333, **options))
    one = collected(X, labels, K, 1200, method=method, **options)
    others = [collected(X, labels, K, 128, **options), collected(X.flip(0), labels.flip(0), K, 1200, **options), merged]
    pooled, _, squares = twin(X, labels, K, normalize)
    narrow = 1e-9 if dtype == torch.float64 else 1e-6
    for stats in (one, *others):
        assert torch.equal(stats.counts, one.counts)
        # Entries carry rounding of 1e-16 of their size in the definition too.
        floor = 1e-30 * float(X.double().square().sum()) if not normalize else 1e-27
        found = (stats.class_variances * stats.counts).nan_to_num().numpy()
        assert np.abs(found - squares).max() <= narrow * squares.sum() + floor
        assert stats.largest_norms.nan_to_num().max() == pytest.approx(float(X.double().norm(dim=1).max()), rel=1e-6)
        if scatter == "full":
            error = np.linalg.norm(stats.within_scatter().numpy() * 1200 - pooled * 1200)
            assert error <= narrow * np.linalg.norm(pooled * 1200) + floor


def test_the_largest_norm_of_each_class_survives_merging_and_files(tmp_path):
    features = torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]])
    stats = ClassStatistics(3, 2, normalize=True)
    stats.update(features[:2], [0, 2])
    other = ClassStatistics(3, 2, normalize=True)
    other.update(features[2:], [0])
    stats.merge(other)
    stats.save(tmp_path / "stats.safetensors")
    for one in (stats, ClassStatistics.load(tmp_path / "stats.safetensors")):
        assert one.largest_norms[[0, 2]].tolist() == [10.0, 1.0]
        assert one.largest_norms[1].isnan()


@pytest.mark.parametrize("scale", [1e77, 1e155, 1e200, 1e-80])
def test_means_are_right_wherever_float64_reaches(scale):
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(40, 5, generator=generator, dtype=torch.float64), torch.arange(40) % 2
    stats, unit = collected(features * scale, labels, 2, 40), collected(features * scale, labels, 2, 40, normalize=True)
    plain = collected(features, labels, 2, 40)
    torch.testing.assert_close(stats.class_means / scale, plain.class_means)
    torch.testing.assert_close(stats.mean_norms / scale, plain.mean_norms)
    same = collected(features, labels, 2, 40, normalize=True)
    torch.testing.assert_close(unit.within_scatter(), same.within_scatter(), rtol=1e-9, atol=1e-15)
    if scale < 1e100:
        torch.testing.assert_close(stats.within_scatter() / scale / scale, plain.within_scatter())


def test_float32_rows_after_huge_ones_leave_finite_means_and_vanishing_squares_are_refused():
    stats = ClassStatistics(2, 3)
    stats.update(torch.full((4, 3), 1e200, dtype=torch.float64), [0, 1, 0, 1])
    stats.update(torch.ones(4, 3), [0, 1, 0, 1])
    torch.testing.assert_close(stats.class_means, torch.full((2, 3), 5e199, dtype=torch.float64))
    before = stats.num_samples
    with pytest.raises(InputError, match=r"got a largest entry of 1e-170.*multiply all features"):
        stats.update(torch.full((4, 3), 1e-170, dtype=torch.float64), [0, 1, 0, 1])
    assert stats.num_samples == before
