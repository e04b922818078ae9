"""Features that lie in fewer dimensions than they have: what is rounding is left out, counted and said (P1, P5)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neucollapse import ClassStatistics
from neucollapse.metrics import collapse_metrics
from neucollapse.metrics._linear_algebra import resolved_spectrum
from neucollapse.metrics.rank import effective_rank
from neucollapse.statistics import Precision

KEYS = ["nc1/pinv", "gnc1/pinv", "nc1/vci", "mse/loss", "mse/within", "mse/means", "mse/off_path"]
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}  # of 1e-20 and of the value, whichever is larger


def across(normal):
    """An orthonormal basis (d, d-1) of the hyperplane with this normal."""
    return torch.linalg.qr(normal.double()[:, None], mode="complete").Q[:, 1:]


def layer_norm(z, generator):
    return nn.functional.layer_norm(z, z.shape[1:]), across(torch.ones(z.shape[1]))


def layer_norm_affine(z, generator):
    gain = (0.3 + 2 * torch.rand(z.shape[1], generator=generator)).to(z.dtype)
    offset = torch.randn(z.shape[1], generator=generator).to(z.dtype)
    return nn.functional.layer_norm(z, z.shape[1:], gain, offset), across(1 / gain.double())


def rms_norm(z, generator):
    return z * z.square().mean(1, keepdim=True).rsqrt(), torch.eye(z.shape[1]).double()


def batch_norm(z, generator):
    return (z - z.mean(0)) / z.std(0), torch.eye(z.shape[1]).double()


def constant(z, generator):
    return z.index_fill(1, torch.tensor([0]), 3.7), torch.eye(z.shape[1]).double()[:, 1:]


def duplicated(z, generator):
    normal = torch.zeros(z.shape[1])
    normal[0], normal[1] = 1, -1
    return torch.cat([z[:, 1:2], z[:, 1:]], dim=1), across(normal)


def dead_unit(z, generator):
    return z.relu().index_fill(1, torch.tensor([0]), 0.0), torch.eye(z.shape[1]).double()[:, 1:]


def bottleneck(z, generator):
    d = z.shape[1]
    wide = torch.randn(d, (d + 1) // 2, generator=generator, dtype=torch.float64)
    return z[:, : (d + 1) // 2] @ wide.to(z.dtype).T + 1, torch.linalg.qr(wide).Q


def rotated_dead_unit(z, generator):
    rotation = torch.linalg.qr(torch.randn(z.shape[1], z.shape[1], generator=generator, dtype=torch.float64)).Q
    return z.index_fill(1, torch.tensor([0]), 0.0) @ rotation.to(z.dtype), rotation[1:].T


MAKERS = [
    layer_norm,
    layer_norm_affine,
    rms_norm,
    batch_norm,
    constant,
    duplicated,
    dead_unit,
    bottleneck,
    rotated_dead_unit,
]


def drawn(make, K, d, spread, seed, dtype=torch.float32):
    """Features of a network (N, d) rounded as its arithmetic rounds them, labels, and a basis of where they truly lie."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(K * max(12, 3 * d // K + 1)) % K
    z = torch.randn(K, d, generator=generator)[y] + spread * torch.randn(len(y), d, generator=generator)
    h, basis = make(z.to(dtype if dtype == torch.float64 else torch.float32), generator)
    classifier = torch.randn(K, d, generator=generator).double(), torch.randn(K, generator=generator).double()
    return h.to(dtype), y, basis, *classifier


def moments(X, y, K):
    means, shares = np.stack([X[y == c].mean(0) for c in range(K)]), np.bincount(y, minlength=K) / len(y)
    rest = X - means[y]
    return means, shares, rest.T @ rest / len(X)


def pinv_trace(S_W, M):
    _, s, Vt = np.linalg.svd(M, full_matrices=False)
    r = min(len(M) - 1, M.shape[1])
    return ((Vt[:r] @ S_W) * Vt[:r]).sum(1) @ s[:r] ** -2.0


def truth(h, y, basis, W, b):
    """The metrics from their formulas, in float64 and in coordinates of the subspace: no direction is rounding there."""
    K, H, y = len(W), h.double().numpy(), y.numpy()
    X = (H - H.mean(0)) @ basis.numpy()
    means, shares, S_W = moments(X, y, K)
    values = {"nc1/pinv": pinv_trace(S_W, means - means.mean(0))}
    linear = np.linalg.qr(np.concatenate([basis.numpy(), H.mean(0)[:, None]], axis=1))[0][:, : H.shape[1]]
    inside = (
        linear if np.linalg.norm(H.mean(0) - basis.numpy() @ (basis.numpy().T @ H.mean(0))) > 1e-3 else basis.numpy()
    )
    lengths = np.linalg.norm(H, axis=1, keepdims=True)
    U = H / np.where(lengths > 0, lengths, 1) @ inside
    unit_means, _, unit_scatter = moments(U, y, K)
    values["gnc1/pinv"] = pinv_trace(unit_scatter, unit_means - shares @ unit_means)
    centred = means - shares @ means
    S_B = (shares[:, None] * centred).T @ centred
    r = min(K - 1, X.shape[1])
    values["nc1/vci"] = 1 - np.trace(np.linalg.pinv(S_W + S_B, rcond=1e-12, hermitian=True) @ S_B) / r
    targets = np.eye(K)[y]
    fit = (X @ np.linalg.lstsq(X, targets - targets.mean(0), rcond=1e-12)[0]) + targets.mean(0)
    miss = np.stack([(fit - targets)[y == c].mean(0) for c in range(K)])
    scores = H @ W.numpy().T + b.numpy()
    values["mse/loss"] = np.square(scores - targets).sum(1).mean() / 2
    values["mse/means"] = shares @ np.square(miss).sum(1) / 2
    values["mse/within"] = np.square(fit - targets - miss[y]).sum(1).mean() / 2
    values["mse/off_path"] = np.square(scores - fit).sum(1).mean() / 2
    return values


def measured(h, y, W, b, keys=KEYS, batch=128):
    K, d = W.shape
    plain, unit = ClassStatistics(K, d), ClassStatistics(K, d, normalize=True)
    for rows, labels in zip(h.split(batch), y.split(batch), strict=True):
        plain.update(rows, labels)
        unit.update(rows, labels)
    return collapse_metrics(plain, W, b, unit, keys=keys)


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=8, deadline=None)
@given(
    K=st.sampled_from([2, 3, 5, 17, 32, 33, 60, 150, 400]),
    d=st.sampled_from([4, 16, 32, 48]),
    spread=st.sampled_from([1.0, 0.3, 0.1, 0.03]),
    dtype=st.sampled_from([torch.float32, torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_values_are_those_of_exact_coordinates_or_absent(make, K, d, spread, dtype, seed):
    h, y, basis, W, b = drawn(make, K, d, spread, seed, dtype)
    result = measured(h, y, W, b)
    flags = {flag.code for flag in result.flags}
    right = truth(h, y, basis, W, b)
    for key in KEYS:
        if key in result.numbers:
            assert result[key] == pytest.approx(right[key], rel=TOLERANCE[dtype], abs=1e-12), key
    if basis.shape[1] < d and "nc1/vci" in result.numbers:
        assert "unresolved_dimensions" in flags


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_layer_norm_model_has_the_same_number_in_every_type(dtype):
    torch.manual_seed(0)
    K, d = 100, 32
    y = torch.arange(2000) % K
    model = nn.Sequential(nn.Linear(16, d), nn.LayerNorm(d), nn.Linear(d, K)).eval().to(dtype)
    x = torch.randn(K, 16)[y] * 2 + torch.randn(2000, 16)
    with torch.no_grad():
        h = model[1](model[0](x.to(dtype)))
    result = measured(h, y, model[2].weight.detach().double(), model[2].bias.detach().double(), [*KEYS, "nc1/svd"])
    assert result["nc1/pinv"] == pytest.approx(0.05862618, rel=2e-4)
    assert result["gnc1/pinv"] == pytest.approx(0.05862630, rel=2e-4)
    assert result["nc1/vci"] == pytest.approx(0.24299727, rel=1e-4)
    assert "17 directions" in result.absent["nc1/svd"]
    (flag,) = [flag for flag in result.flags if flag.code == "unresolved_dimensions"]
    assert f"Features of {str(dtype).removeprefix('torch.')} lie in 17 of 32 dimensions" in flag.sentence


def test_full_features_have_no_flag_and_a_fixed_rank():
    h, y, _, W, b = drawn(rms_norm, 40, 16, 0.3, 0)
    result = measured(h, y, W, b, [*KEYS, "nc1/svd"])
    assert {flag.code for flag in result.flags} <= {"beyond_simplex"}
    assert result["nc1/svd"] == result["nc1/pinv"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("units", [1.0, 1000.0])
@pytest.mark.parametrize(("share", "kept"), [(1.2, 8), (0.8, 7)])
def test_a_direction_counts_from_the_noise_on(dtype, units, share, kept):
    """Also beside a coordinate that is a thousand times larger, whose rounding is its own."""
    generator = torch.Generator().manual_seed(0)
    size = torch.ones(8, dtype=torch.float64)
    size[0] = units
    precision = Precision(dtype, size, size, 400)
    left, right = (
        torch.linalg.qr(torch.randn(20, 8, generator=generator).double()).Q,
        torch.randn(8, 8, generator=generator),
    )
    spreads = torch.linspace(1, 0.5, 8, dtype=torch.float64)
    spreads[-1] = share * float(precision.noise(20)[1])
    rows = left * spreads @ torch.linalg.qr(right.double()).Q.T * size
    s, V = resolved_spectrum(rows, precision, 8)
    assert len(s) == kept
    torch.testing.assert_close(V.T @ V, torch.eye(kept).double(), rtol=0, atol=1e-12)


def test_all_classes_with_the_same_samples_have_no_ratio():
    same = torch.randn(30, 7, generator=torch.Generator().manual_seed(0)).repeat(5, 1)
    y = torch.arange(5).repeat_interleave(30)
    for h in (same, same.double(), same.bfloat16()):
        result = measured(h, y, torch.ones(5, 7).double(), torch.zeros(5).double(), [*KEYS, "nc1/trace_ratio"])
        for key in ("nc1/pinv", "gnc1/pinv", "nc1/vci", "nc1/trace_ratio"):
            assert "coincide" in result.absent[key]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_five_of_six_classes_at_one_point(dtype):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(120) % 6
    centres = torch.full((6, 8), 0.3)
    centres[5] += torch.randn(8, generator=generator)
    noise = torch.randn(20, 8, generator=generator).repeat_interleave(6, dim=0)  # the same in every class
    result = measured(
        (centres[y] + 0.01 * noise).to(dtype), y, torch.ones(6, 8).double(), torch.zeros(6).double(), ["nc1/pinv"]
    )
    separation = float((centres[5] - centres[0]).double().square().sum())
    along = (
        (noise - noise.mean(0)).double() @ (centres[5] - centres[0]).double() / separation**0.5
    ).square().mean() * 1e-4
    assert result["nc1/pinv"] == pytest.approx(float(along) / (separation * 5 / 36) / 6, rel=1e-4)
    assert "rank_deficient" in {flag.code for flag in result.flags}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_order_of_samples_does_not_matter_under_an_offset(dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    h = (1e6 + torch.randn(12, 2, generator=generator, dtype=torch.float64)).to(dtype)
    y = torch.randint(0, 12, (12,), generator=generator)
    W, b = torch.randn(12, 2, generator=generator).double(), torch.zeros(12).double()
    forward, backward = measured(h, y, W, b), measured(h.flip(0), y.flip(0), W, b)
    assert forward.numbers.keys() == backward.numbers.keys()
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    for key, value in forward.numbers.items():
        assert value == pytest.approx(backward[key], rel=tolerance), key


def test_the_squared_loss_near_collapse_keeps_its_digits():
    """The misfit of class means is of fourth order in the spread; formed as a difference it would be rounding."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 6
    frame = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q[:6]
    noise = torch.randn(60, 8, generator=generator, dtype=torch.float64)
    values = [
        measured(frame[y] + spread * noise, y, frame, torch.zeros(6).double(), ["mse/within", "mse/means"])
        for spread in (1e-3, 1e-5, 1e-7)
    ]
    for key, order in (("mse/within", 2), ("mse/means", 4)):
        first, second, third = (result[key] for result in values)
        assert second == pytest.approx(first * 100.0**-order, rel=1e-2)
        assert third == pytest.approx(second * 100.0**-order, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_effective_rank_of_rank_three_counts_three_directions(dtype):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(600) % 6
    wide = torch.randn(3, 16, generator=generator, dtype=torch.float64)
    z = torch.randn(6, 3, generator=generator).double()[y] + 0.1 * torch.randn(600, 3, generator=generator).double()
    exact = effective_rank(torch.linalg.svdvals(z @ wide)[:3])
    result = measured(
        z.to(dtype) @ wide.to(dtype), y, torch.ones(6, 16).double(), torch.zeros(6).double(), ["rank/effective"]
    )
    assert result["rank/effective"] == pytest.approx(exact, rel=1e-6)
