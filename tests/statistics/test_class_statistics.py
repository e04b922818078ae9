"""Promises P2 (streaming = batch), P5, P6 (degenerate input), P7 (dtypes), P8, P13, P14 on ``ClassStatistics``."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import ClassStatistics, FileFormatError, InputError, NonFiniteError
from neucollapse._environment import numba_available

K, D = 5, 7
needs_numba = pytest.mark.skipif(not numba_available(), reason="needs the extra fast")
METHODS = [pytest.param("compiled", marks=needs_numba), "plain"]


def twin(features, labels, K):
    """Two passes over float64 NumPy arrays, a loop over classes: the definition."""
    H, y = np.asarray(features, np.float64), np.asarray(labels)
    counts = np.array([(y == c).sum() for c in range(K)])
    means = np.array([H[y == c].mean(0) if counts[c] else np.full(H.shape[1], np.nan) for c in range(K)])
    centred = [H[y == c] - means[c] for c in range(K)]
    scatters = np.array([R.T @ R for R in centred])
    variances = np.array([(R**2).sum(1).mean() if len(R) else np.nan for R in centred])
    here = counts > 0
    shares = counts / counts.sum()
    unweighted, weighted = means[here].mean(0), H.mean(0)
    return {
        "counts": counts,
        "means": means,
        "variances": variances,
        "norms": np.array([np.linalg.norm(H[y == c], axis=1).mean() if counts[c] else np.nan for c in range(K)]),
        "within": scatters.sum(0) / len(H),
        "within_class": sum(scatters[c] / counts[c] for c in range(K) if counts[c]) / here.sum(),
        "between": (means[here] - unweighted).T @ (means[here] - unweighted) / here.sum(),
        "between_sample": ((means[here] - weighted).T * shares[here]) @ (means[here] - weighted),
        "between_about_sample": (means[here] - weighted).T @ (means[here] - weighted) / here.sum(),
        "unweighted": unweighted,
        "weighted": weighted,
    }


def collapsed(ratio=1e-6, offset=1e4, K=K, d=D, n=40, dtype=torch.float64, seed=0):
    """Features whose within-class standard deviation is ``ratio`` of the means' spread, under a common offset."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(K, d, generator=generator, dtype=torch.float64)
    labels = torch.randint(K, (K * n,), generator=generator)
    noise = torch.randn(K * n, d, generator=generator, dtype=torch.float64)
    return (means[labels] + ratio * noise + offset).to(dtype), labels


def collect(features, labels, batches=4, **settings):
    stats = ClassStatistics(K, features.shape[1], **settings)
    for part, own in zip(features.chunk(batches), labels.chunk(batches), strict=True):
        stats.update(part, own)
    return stats


def relative(got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def test_every_reading_equals_the_definition():
    features, labels = collapsed(ratio=0.5, offset=0.0)
    labels[:100] = 0  # imbalanced, so that the two weightings differ
    truth = twin(features, labels, K)
    stats = collect(features, labels, class_counts=truth["counts"].tolist())
    np.testing.assert_array_equal(stats.counts, truth["counts"])
    for got, want in [
        (stats.class_means, "means"),
        (stats.class_variances, "variances"),
        (stats.mean_norms, "norms"),
        (stats.within_scatter(), "within"),
        (stats.within_scatter("class"), "within_class"),
        (stats.between_scatter(), "between"),
        (stats.between_scatter("sample"), "between_sample"),
        (stats.between_scatter("class", about="sample"), "between_about_sample"),
        (stats.global_mean(), "unweighted"),
        (stats.global_mean("sample"), "weighted"),
        (stats.centred_means() + stats.global_mean(), "means"),
        (stats.centred_means("sample") + stats.global_mean("sample"), "means"),
    ]:
        np.testing.assert_allclose(got, truth[want], rtol=1e-12, atol=1e-13)
    for got, want in [
        (stats.within_trace(), "within"),
        (stats.within_trace("class"), "within_class"),
        (stats.between_trace(), "between"),
        (stats.between_trace("sample"), "between_sample"),
        (stats.between_trace("class", about="sample"), "between_about_sample"),
    ]:
        assert got == pytest.approx(np.trace(truth[want]), rel=1e-12)


@pytest.mark.parametrize("scatter", ["full", "trace"])
def test_float64_near_collapse_under_a_large_offset(scatter):
    # The first number: relative error of the scatter at ratio 1e-6 under an offset of 1e4.
    features, labels = collapsed(ratio=1e-6, offset=1e4)
    truth = twin(features - 1e4, labels, K)["within"]  # exact: the offset is subtracted before the means are taken
    stats = collect(features, labels, scatter=scatter)
    if scatter == "full":
        assert relative(stats.within_scatter(), truth) <= 1e-9
    assert relative(stats.within_trace(), np.trace(truth)) <= 1e-9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scatter", ["full", "trace"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_narrow_features_against_the_float64_truth_of_the_same_numbers(dtype, scatter, method):
    features, labels = collapsed(ratio=1e-5 if dtype == torch.float32 else 0.1, offset=0.0, d=64, n=400, dtype=dtype)
    truth = twin(features.double(), labels, K)["within"]
    stats = collect(features, labels, scatter=scatter, method=method)
    if scatter == "full":
        # Half of what is promised: on the grid of such features, products without OFF_GRID round one way (up to 1.4e-6).
        assert relative(stats.within_scatter(), truth) <= 5e-7
    assert relative(stats.within_trace(), np.trace(truth)) <= 1e-6


def test_the_first_samples_may_lie_far_from_their_class():
    features, labels = collapsed(ratio=1e-6, offset=0.0)
    for c in range(K):
        features[(labels == c).nonzero()[0]] += 1e-2  # ten thousand standard deviations off
    truth = twin(features, labels, K)["within"]
    stats = collect(features, labels, batches=len(features))  # one sample a batch: each seed is such a sample
    assert relative(stats.within_scatter(), truth) <= 1e-9


@given(
    seed=st.integers(0, 10**6),
    batches=st.integers(1, 12),
    log_ratio=st.floats(-7, 0),
    log_scale=st.floats(-10, 10),
    scatter=st.sampled_from(["full", "trace"]),
    normalize=st.booleans(),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_streamed_equals_batch_equals_merged_in_any_order(seed, batches, log_ratio, log_scale, scatter, normalize):
    features, labels = collapsed(10**log_ratio, offset=3.0, seed=seed)
    features *= 10**log_scale
    whole = ClassStatistics(K, D, scatter, normalize=normalize)
    whole.update(features, labels)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    streamed = collect(features[order], labels[order], batches, scatter=scatter, normalize=normalize)
    merged = ClassStatistics(K, D, scatter, normalize=normalize)
    for part, own in zip(features[order].chunk(batches), labels[order].chunk(batches), strict=True):
        other = ClassStatistics(K, D, scatter, normalize=normalize)
        other.update(part, own)
        merged.merge(other)
    # Features carry rounding of 1e-16 of their size; below a ratio of 1e-6 that is what the scatter's digits are.
    tolerance = max(1e-12, 1e-16 * 10 / 10**log_ratio)
    for one in (streamed, merged):
        assert torch.equal(one.counts, whole.counts)
        assert relative(one.class_means, whole.class_means) <= 1e-12
        assert relative(one.class_variances, whole.class_variances) <= tolerance
        assert relative(one.mean_norms, whole.mean_norms) <= 1e-12
        if scatter == "full":
            assert relative(one.within_scatter(), whole.within_scatter()) <= tolerance


def test_normalize_keeps_unit_norm_features_and_counts_zero_rows():
    features, labels = collapsed(ratio=0.3, offset=0.5)
    features[3] = 0
    unit = features / features.norm(dim=1, keepdim=True).where(features.norm(dim=1, keepdim=True) > 0, 1)
    truth = twin(unit, labels, K)
    stats = collect(features, labels, normalize=True)
    assert relative(stats.within_scatter(), truth["within"]) <= 1e-12
    assert relative(stats.class_means, truth["means"]) <= 1e-12
    assert stats.left_out["zero_norm"] == 1


def test_normalized_float32_features_near_collapse():
    features, labels = collapsed(ratio=1e-5, offset=0.0, dtype=torch.float32)
    unit = features.double() / features.double().norm(dim=1, keepdim=True)
    stats = collect(features, labels, normalize=True)
    assert relative(stats.within_scatter(), twin(unit, labels, K)["within"]) <= 1e-6


def test_merging_keeps_float32_updates_exact():
    features, labels = collapsed(ratio=1e-5, offset=0.0, d=16, n=200, dtype=torch.float32)
    half = len(features) // 2
    stats, other = collect(features[:half], labels[:half]), collect(features[half:], labels[half:])
    stats.merge(other)  # leaves centres that float32 cannot hold
    stats.update(features[:half], labels[:half])
    everything = torch.cat([features, features[:half]]).double(), torch.cat([labels, labels[:half]])
    assert relative(stats.within_scatter(), twin(*everything, K)["within"]) <= 1e-6


def test_empty_classes_single_samples_and_no_samples_are_defined():
    stats = ClassStatistics(4, 2)
    with pytest.raises(InputError, match="at least one sample"):
        stats.within_trace()
    stats.update(torch.empty(0, 2), torch.empty(0, dtype=torch.long))
    stats.update(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 3]))
    assert stats.present.tolist() == [False, True, False, True]
    assert stats.class_means[1].tolist() == [1.0, 2.0]
    assert stats.class_means[0].isnan().all()
    assert stats.class_variances[[1, 3]].tolist() == [0.0, 0.0]
    assert stats.class_variances[0].isnan()
    assert stats.within_trace() == 0.0
    assert stats.global_mean().tolist() == [2.0, 3.0]
    assert stats.between_trace() == pytest.approx(2.0)


def test_exactly_collapsed_features_have_exactly_zero_scatter():
    means = torch.randn(K, D, dtype=torch.float64) * 1e3 + 1e4
    labels = torch.arange(K).repeat(9)
    stats = collect(means[labels], labels)
    assert stats.within_trace() == 0.0
    assert stats.within_scatter().abs().max() == 0.0


def test_labels_to_ignore_are_counted_and_any_other_label_outside_is_an_error():
    features, labels = collapsed()
    truth = ClassStatistics(K, D)
    truth.update(features[10:], labels[10:])
    labels[:10] = -100
    stats = collect(features, labels)
    assert stats.left_out["ignored"] == 10
    assert relative(stats.within_scatter(), truth.within_scatter()) <= 1e-12
    for wrong in (-1, K):
        labels[0] = wrong
        with pytest.raises(InputError, match=rf"expected labels from 0 to {K - 1} .* got {wrong} "):
            stats.update(features, labels)
    assert stats.num_samples == len(labels) - 10


@pytest.mark.parametrize("method", METHODS)
def test_non_finite_rows_raise_drop_or_propagate_and_never_half_enter(method):
    features, labels = collapsed(offset=0.0)
    features[17, 2] = torch.nan
    features[50, 0] = torch.inf
    stats = ClassStatistics(K, D, "trace", method=method)
    with pytest.raises(NonFiniteError, match=rf"2 of 200 rows; the first is row 17 .*class {int(labels[17])}"):
        stats.update(features, labels)
    assert stats.num_samples == 0
    assert stats.left_out["non_finite"] == 0
    dropping = ClassStatistics(K, D, "trace", nan="drop", method=method)
    dropping.update(features, labels)
    rows = [i for i in range(200) if i not in (17, 50)]
    assert dropping.left_out["non_finite"] == 2
    assert relative(dropping.class_means, twin(features[rows], labels[rows], K)["means"]) <= 1e-12
    propagating = ClassStatistics(K, D, "trace", nan="propagate", method=method)
    propagating.update(features, labels)
    assert propagating.class_means[labels[17]].isnan().any()


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e15, 1e25])
def test_float32_features_of_extreme_size_keep_their_digits(scale):
    features, labels = collapsed(ratio=1e-3, offset=0.0)
    features = (features * scale).float()
    truth = twin(features.double() / scale, labels, K)["within"]
    assert relative(collect(features, labels).within_scatter() / scale**2, truth) <= 1e-6


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.zeros(3, D + 1), torch.zeros(3, dtype=torch.long), rf"shape \(..., {D}\)"),
        (torch.zeros(3, D), torch.zeros(4, dtype=torch.long), "one label for each"),
        (torch.zeros(3, D), torch.zeros(3, K, dtype=torch.long), r"argmax\(-1\)"),
        (torch.zeros(3, D), torch.zeros(3), "integer labels, got torch.float32"),
        (torch.zeros(3, D), torch.zeros(3, dtype=torch.bool), "integer labels, got torch.bool"),
        (torch.zeros(3, D, dtype=torch.long), torch.zeros(3, dtype=torch.long), "floating-point features"),
        (np.zeros((3, D)), torch.zeros(3, dtype=torch.long), "torch tensor, got ndarray"),
        (torch.tensor(1.0), torch.tensor(1), "shape"),
    ],
)
def test_wrong_input_gets_a_sentence(features, labels, message):
    with pytest.raises(InputError, match=message):
        ClassStatistics(K, D).update(features, labels)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_classes": 0, "dim": 2},
        {"num_classes": 2, "dim": 2.0},
        {"num_classes": 2, "dim": 2, "scatter": "half"},
        {"num_classes": 2, "dim": 2, "nan": "hide"},
        {"num_classes": 2, "dim": 2, "ignore_index": 1},
        {"num_classes": 2, "dim": 2, "class_counts": [1, 2, 3]},
        {"num_classes": 2, "dim": 2, "class_counts": [1, 2], "scatter": "trace"},
        {"num_classes": 2, "dim": 2, "method": "fast"},
    ],
)
def test_wrong_settings_get_a_sentence(arguments):
    with pytest.raises(InputError, match="expected"):
        ClassStatistics(**arguments)


def test_the_class_weighted_scatter_says_why_it_is_absent():
    features, labels = collapsed()
    with pytest.raises(InputError, match="class_counts= before the pass"):
        collect(features, labels).within_scatter("class")
    with pytest.raises(InputError, match="promised 40 samples of class 0"):
        collect(features, labels, class_counts=[40] * K).within_scatter("class")
    with pytest.raises(InputError, match="scatter='full'"):
        collect(features, labels, scatter="trace").within_scatter()


def test_token_features_flatten_and_inputs_are_left_alone():
    features, labels = collapsed(offset=0.0)
    features = features.reshape(10, 20, D).requires_grad_()
    before = features.detach().clone()
    stats = ClassStatistics(K, D)
    stats.update(features, labels.reshape(10, 20).to(torch.int32))
    assert torch.equal(features.detach(), before)
    assert relative(stats.within_scatter(), twin(before.reshape(-1, D), labels, K)["within"]) <= 1e-12
    assert not stats.class_means.requires_grad


def test_strided_features_give_the_same_sums():
    features, labels = collapsed()
    wide = torch.zeros(len(features), 2 * D, dtype=torch.float64)
    wide[:, ::2] = features
    assert relative(collect(wide[:, ::2], labels).within_scatter(), collect(features, labels).within_scatter()) <= 1e-12


def same(one, other):
    return all(
        torch.equal(a, b) for (_, a), (_, b) in zip(one._moments.tensors(), other._moments.tensors(), strict=True)
    )


@pytest.mark.parametrize("settings", [{}, {"scatter": "trace"}, {"class_counts": [40] * K, "normalize": True}])
def test_pickle_deepcopy_state_dict_and_file_keep_everything(settings, tmp_path):
    features, labels = collapsed()
    labels = torch.arange(K).repeat(40)
    stats = collect(features, labels, **settings)
    stats.save(tmp_path / "stats.safetensors")
    fresh = ClassStatistics(K, D, **settings)
    fresh.load_state_dict(stats.state_dict())
    copies = (
        pickle.loads(pickle.dumps(stats)),
        copy.deepcopy(stats),
        fresh,
        ClassStatistics.load(tmp_path / "stats.safetensors"),
    )
    for other in copies:
        assert same(stats, other)
        assert repr(other) == repr(stats)
        other.update(features, labels)
        assert not same(stats, other)  # a copy shares no memory
    with pytest.raises(InputError, match=rf"with dim={D}, got dim={D + 1}"):
        stats.merge(ClassStatistics(K, D + 1))
    with pytest.raises(InputError, match=rf"a state with num_classes={K + 1}, got num_classes={K}"):
        ClassStatistics(K + 1, D).load_state_dict(stats.state_dict())


def test_a_damaged_file_is_refused_whole(tmp_path):
    features, labels = collapsed()
    path = tmp_path / "stats.safetensors"
    collect(features, labels).save(path)
    good = path.read_bytes()
    for damaged in (good[:-8], good[: len(good) // 2], b"", good[:-20] + b"\x01" + good[-19:]):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"stats\.safetensors"):
            ClassStatistics.load(path)
    assert list(tmp_path.iterdir()) == [path]


def test_reset_forgets_and_to_keeps_float64():
    features, labels = collapsed()
    stats = collect(features, labels)
    stats.to("cpu").reset()
    assert stats.num_samples == 0
    stats.update(features.float(), labels)
    assert stats.class_means.dtype == torch.float64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_cuda_equals_cpu(dtype):
    features, labels = collapsed(ratio=1e-2, offset=0.0, d=64, n=400, dtype=dtype)
    there, here = collect(features.cuda(), labels.cuda()), collect(features, labels)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    assert relative(there.within_scatter().cpu(), here.within_scatter()) <= tolerance
    assert relative(there.class_means.cpu(), here.class_means) <= tolerance


def test_memory_used_again_between_batches_holds_nothing_of_them():
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(900, 70, generator=generator), torch.randint(9, (900,), generator=generator)
    stats, whole = ClassStatistics(9, 70), ClassStatistics(9, 70)
    for part, dtype in ((slice(0, 5), torch.float32), (slice(5, 600), torch.float64), (slice(600, 900), torch.float32)):
        stats.update(X[part].to(dtype), y[part])
        stats = copy.deepcopy(stats)
        assert not stats._scratch._kept  # a copy is as small as its sums
    whole.update(X.double(), y)
    torch.testing.assert_close(stats.within_scatter(), whole.within_scatter(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(stats.class_means, whole.class_means, rtol=1e-6, atol=1e-7)
