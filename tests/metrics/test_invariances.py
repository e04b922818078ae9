"""Promise P3: what each metric does not depend on is declared here, for the whole registry, and is true.

A letter says that a number does not change when ...

* S: the features are scaled (the classifier is not);
* R: features and classifier are rotated together;
* T: the features are shifted (the classifier is not);
* L: the classes are numbered otherwise;
* D: every sample is there twice.

A letter that is missing is a promise too: the number does change.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse.geometry import orthoplex, polygon, simplex
from neucollapse.metrics import REGISTRY

PROPERTIES = {
    "nc0/row_sum": "RLD",
    "nc0/row_sum_relative": "SRLD",
    "nc0/row_sum@weight": "SRTLD",
    "nc0/row_sum_relative@weight": "SRTLD",
    "nc1/rescaled": "SRLD",
    "nc1/cdnv_unbiased": "SRTL",  # n_c - 1 of twice as many samples is another share of them
    "nc1/cdnv_exponent2": "RTLD",
    "nc2/condition": "SRTLD",
    "nc2/condition_uncentred": "SRLD",
    "nc2/condition@weight": "SRTLD",
    "nc2/condition_uncentred@weight": "SRTLD",
    "nc3/frobenius_sample_mean": "SRTLD",
    "nc3/product_sample_mean": "SRTLD",
    "nc3/product_sample_mean_uncentred_weight": "SRTLD",
    "nc3/cosine_sample_mean": "SRTLD",
    "gnc2/log_mean": "SRTLD",
    "bias/relation_sample_mean": "RLD",
    "rank/effective_centred": "SRTLD",
    "rank/effective_within_class": "SRTLD",
    "nc1/pinv": "SRTLD",
    "nc1/pinv_unscaled": "SRTLD",
    "nc1/svd": "SRTLD",
    "nc1/pinv_sample_mean": "SRTLD",
    "nc1/pinv_class_scatter": "SRTLD",
    "nc1/trace_ratio": "SRTLD",
    "nc1/trace_ratio_class_scatter": "SRTLD",
    "nc1/trace_ratio_sample": "SRTLD",
    "nc1/within_fraction": "SRTLD",
    "nc1/between_fraction": "SRTLD",
    "nc1/vci": "SRTLD",
    "nc1/cdnv": "SRTLD",
    "nc1/cdnv_max": "SRTLD",
    "nc1/cdnv_median": "SRTLD",
    "nc1/cdnv_p95": "SRTLD",
    "nc2/equinorm": "SRTLD",
    "nc2/equinorm_uncentred": "SRLD",
    "nc2/equiangular": "SRTLD",
    "nc2/equiangular_std": "SRTLD",
    "nc2/etf_distance": "SRTLD",
    "nc2/etf_distance_uncentred": "SRLD",
    "nc2/orthogonal_frame_distance": "SRLD",
    "nc2/etf_floor": "SRTLD",
    "nc2/equinorm@weight": "SRTLD",
    "nc2/equinorm_uncentred@weight": "SRTLD",
    "nc2/equiangular@weight": "SRTLD",
    "nc2/equiangular_std@weight": "SRTLD",
    "nc2/etf_distance@weight": "SRTLD",
    "nc2/etf_distance_uncentred@weight": "SRTLD",
    "nc2/orthogonal_frame_distance@weight": "SRTLD",
    "nc3/frobenius": "SRTLD",
    "nc3/frobenius_uncentred_weight": "SRTLD",
    "nc3/frobenius_squared": "SRTLD",
    "nc3/product": "SRTLD",
    "nc3/product_uncentred_weight": "SRTLD",
    "nc3/cosine": "SRTLD",
    "nc3/cosine_max": "SRTLD",
    "nc3/length": "SRTLD",
    "nc3/uniform": "SRTLD",
    "nc4/mismatch": "RLD",  # the bias has a scale
    "nc4/mismatch_without_bias": "SRLD",
    "accuracy/linear": "RLD",
    "accuracy/ncc": "SRTLD",
    "test_collapse/strong": "SRTLD",
    "test_collapse/weak": "SRTLD",
    "margins/min": "RLD",
    "margins/normalized_min": "RLD",
    "margins/cosine_min": "SRLD",
    "margins/cosine_mean": "SRLD",
    "margins/cosine_median": "SRLD",
    "nc5/cosine": "SRLD",
    "nc5/cosine_centred": "SRTLD",
    "bias/relation": "RLD",
    "bias/relation_centred": "RLD",
    "gnc1/pinv": "SRLD",
    "gnc1/trace_ratio": "SRLD",
    "gnc2/margin": "SRLD",
    "gnc2/margin_ratio": "SRLD",
    "gnc2/max_cosine": "SRLD",
    "gnc2/margin_optimum": "SRTLD",
    "gnc2/distance_variance": "SRTLD",
    "gnc2/log_variance": "SRTLD",
    "gnc2/margin@weight": "SRTLD",
    "gnc2/margin_ratio@weight": "SRTLD",
    "gnc2/max_cosine@weight": "SRTLD",
    "gnc3/cosine": "SRLD",
    "gnc3/jiang": "SRLD",
    "gnc3/jiang_floor": "SRTLD",
    "gnc2/energy": "SRLD",
    "gnc2/energy_excess": "SRLD",
    "gnc2/energy_riesz1": "SRLD",
    "gnc2/energy_riesz1_excess": "SRLD",
    "gnc2/energy_riesz2": "SRLD",
    "gnc2/energy_riesz2_excess": "SRLD",
    "gnc2/energy@weight": "SRTLD",
    "gnc2/energy_excess@weight": "SRTLD",
    "gnc2/energy_riesz1@weight": "SRTLD",
    "gnc2/energy_riesz1_excess@weight": "SRTLD",
    "gnc2/energy_riesz2@weight": "SRTLD",
    "gnc2/energy_riesz2_excess@weight": "SRTLD",
    "gnc2/gram_logdet": "SRLD",
    "gnc2/gram_logdet_excess": "SRLD",
    "gnc2/gram_logdet@weight": "SRTLD",
    "gnc2/gram_logdet_excess@weight": "SRTLD",
    "rank/stable": "SRLD",
    "rank/effective": "SRLD",
    "rank/numerical": "SRLD",
    "rank/stable@weight": "SRTLD",
    "rank/effective@weight": "SRTLD",
    "rank/numerical@weight": "SRTLD",
    "mse/loss": "RLD",
    "mse/within": "SRTLD",  # parts of the best classifier's loss, which adapts to scale and shift
    "mse/means": "SRTLD",
    "mse/off_path": "RLD",
}


def invariant(letter):
    return {name for name, letters in PROPERTIES.items() if letter in letters}


SCALE_INVARIANT = invariant("S")
ROTATION_INVARIANT = invariant("R")
TRANSLATION_INVARIANT = invariant("T")
RELABEL_INVARIANT = invariant("L")
DUPLICATE_SAMPLES_INVARIANT = invariant("D")

# Quantiles come from histograms: a value at the edge of a bin may fall into the next (1 % and 0.01).
COARSE = {
    "nc1/cdnv_median": {"rel": 0.0101},
    "nc1/cdnv_p95": {"rel": 0.0101},
    "margins/cosine_median": {"abs": 0.0101},
}
FRAMES = {"simplex": simplex(4, 5), "K=2d": orthoplex(6, 3), "polygon": polygon(7)}


def make(frame, ratio, seed):
    """Samples around a known frame, imbalanced, with a classifier near it and data outside all classes."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    code = FRAMES[frame]
    K, d = code.shape
    labels = torch.arange(K).repeat_interleave(torch.arange(K) + 8)
    return {
        "features": code[labels] + ratio * noise(len(labels), d),
        "labels": labels,
        "weight": 2 * code + ratio * noise(K, d),
        "bias": 0.1 * noise(K),
        "ood": noise(20, d) + 1,
    }


def scaled(data, by=3.7):
    return {**data, "features": by * data["features"], "ood": by * data["ood"]}


def rotated(data):
    d = data["features"].shape[1]
    Q = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
    return {**data, **{name: data[name] @ Q for name in ("features", "weight", "ood")}}


def shifted(data, by=2.0):
    t = by * torch.linspace(-1, 2, data["features"].shape[1], dtype=torch.float64)
    return {**data, "features": data["features"] + t, "ood": data["ood"] + t}


def relabelled(data):
    order = torch.randperm(len(data["weight"]), generator=torch.Generator().manual_seed(1))
    place = order.argsort()
    return {**data, "labels": place[data["labels"]], "weight": data["weight"][order], "bias": data["bias"][order]}


def duplicated(data):
    return {**data, **{name: data[name].repeat_interleave(2, 0) for name in ("features", "labels")}}


CHANGES = {
    "scale": (scaled, SCALE_INVARIANT),
    "rotation": (rotated, ROTATION_INVARIANT),
    "translation": (shifted, TRANSLATION_INVARIANT),
    "relabelling": (relabelled, RELABEL_INVARIANT),
    "duplicates": (duplicated, DUPLICATE_SAMPLES_INVARIANT),
}
# Rounding of the changed features is 1e-15 of their size, 1e-9 of a spread of 1e-6, and enters squared.
CLOSE = {"rel": 1e-6, "abs": 1e-12}


def test_every_metric_declares_its_invariances():
    assert set(PROPERTIES) == set(REGISTRY)


@pytest.mark.parametrize("change", CHANGES)
@settings(derandomize=True, max_examples=6, deadline=None, database=None)
@given(
    frame=st.sampled_from(sorted(FRAMES)),
    exponent=st.floats(min_value=-6, max_value=0),
    seed=st.integers(min_value=0, max_value=2**16),
)
def test_what_is_declared_holds(change, measured, frame, exponent, seed):
    transform, names = CHANGES[change]
    data = make(frame, 10**exponent, seed)
    before, after = measured(**data), measured(**transform(data))
    assert before.absent == after.absent
    for key in names & before.keys():
        assert after[key] == pytest.approx(before[key], **COARSE.get(key, CLOSE)), key


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_declared_changes(change, measured):
    transform, names = CHANGES[change]
    data = make("K=2d", 0.5, 0)
    before, after = measured(**data), measured(**transform(data))
    for key in REGISTRY.keys() - names:
        assert after[key] != pytest.approx(before[key], rel=1e-3), key


@pytest.mark.parametrize(
    ("features", "weight"), [(1e77, 1), (1e-80, 1), (1e150, 1), (1e155, 1), (1, 1e150), (1, 1e-150), (1e-60, 1e200)]
)
def test_no_size_is_too_large_or_too_small_to_square(features, weight, measured):
    data = make("K=2d", 0.3, 0)
    plain = measured(**data)
    big = {**data, **{name: data[name] * features for name in ("features", "ood")}, "weight": data["weight"] * weight}
    result = measured(**big)
    for key in SCALE_INVARIANT & result.keys():
        if weight == 1 or not key.startswith(("mse/", "nc0/row_sum@")):
            assert result[key] == pytest.approx(plain[key], **COARSE.get(key, CLOSE)), key
    if max(features, weight) < 1e155:
        lost = SCALE_INVARIANT - result.keys()
        assert not lost, {key: result.absent[key] for key in lost}
    assert all(reason for reason in result.absent.values())
