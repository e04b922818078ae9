"""Metrics over layers: against slow versions from their definitions, on laws known in closed form, and end to end."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neucollapse as nc
from neucollapse import InputError
from neucollapse.metrics.layers import (
    effective_depth,
    layer_values,
    linear_separation_floor,
    separation_law,
    tunnel_start,
)


@given(st.floats(0.01, 3), st.floats(1e-6, 1e6), st.integers(3, 30))
def test_an_exact_law_is_found(rho, start, layers):
    law = separation_law([start * rho**layer for layer in range(layers)])
    assert law.rho == pytest.approx(rho, rel=1e-9)
    assert law.start == pytest.approx(start, rel=1e-9)
    assert law.ratios == pytest.approx([rho] * (layers - 1), rel=1e-9)
    assert rho == pytest.approx(1, abs=1e-3) or law.r_squared == pytest.approx(1, abs=1e-9)


@given(st.lists(st.floats(1e-8, 1e8), min_size=3, max_size=12))
def test_the_fit_is_least_squares(values):
    law = separation_law(values)
    x, y = np.arange(len(values)), np.log(values)
    slope, intercept = np.polyfit(x, y, 1)
    assert np.log(law.rho) == pytest.approx(slope, abs=1e-9)
    assert np.log(law.start) == pytest.approx(intercept, abs=1e-8)
    if np.std(y) > 1e-6:
        assert law.r_squared == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, abs=1e-8)


def test_equal_layers_are_an_exact_law_of_factor_one():
    assert separation_law([2.0, 2.0, 2.0]) == separation_law([2.0, 2.0, 2.0])
    assert separation_law([2.0, 2.0, 2.0]).rho == separation_law([2.0, 2.0, 2.0]).r_squared == 1


@pytest.mark.parametrize(
    "values", [[], [1.0, 2.0], [1.0, 0.0, 2.0], [1.0, float("inf"), 1.0], [1.0, float("nan"), 1.0]]
)
def test_what_has_no_logarithm_is_refused(values):
    with pytest.raises(InputError, match="expected"):
        separation_law(values)


shares = st.lists(st.floats(0, 1), min_size=1, max_size=10)


@given(shares, st.floats(0, 1))
def test_depth_by_its_definition(values, threshold):
    depth = effective_depth(values, threshold)
    good = [layer for layer in range(len(values)) if values[layer] <= threshold]
    assert depth == (min(good) if good else None)


@given(shares, st.floats(0, 1))
def test_tunnel_by_its_definition(values, share):
    start = tunnel_start(values, share)
    holds = [all(value >= share * values[-1] for value in values[layer:]) for layer in range(len(values))]
    assert start == holds.index(True)


def test_shares_are_checked():
    for call in (effective_depth, tunnel_start):
        with pytest.raises(InputError, match="got none"):
            call([])
        with pytest.raises(InputError, match=r"in \[0, 1\]"):
            call([0.5, 1.5])


def problem(K, d, seed):
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(K, d, generator=generator, dtype=torch.float64)
    A = torch.randn(d, d + 2, generator=generator, dtype=torch.float64)
    return A @ A.T / d + 0.1 * torch.eye(d).double(), means - means.mean(0), generator


def fuzziness(S_W, centred_means):
    """The definition, by numpy's pseudo-inverse of the means: of their square it would lose directions."""
    inverse = np.linalg.pinv(centred_means.numpy(), rcond=1e-12)
    return len(centred_means) * float(np.trace(inverse.T @ S_W.numpy() @ inverse))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(1, 8), st.integers(0, 2**20))
def test_no_linear_map_is_below_the_floor_and_one_is_at_it(K, d, seed):
    S_W, means, generator = problem(K, d, seed)
    floor = linear_separation_floor(S_W, means)
    eigenvalues = np.linalg.eigvals(np.linalg.solve(S_W.numpy(), means.numpy().T @ means.numpy() / K)).real
    r = min(K - 1, d)
    assert floor == pytest.approx(float((1 / np.sort(eigenvalues)[::-1][:r]).sum()), rel=1e-6)  # the twin's accuracy
    for width in (r, d, d + 3):
        A = torch.randn(width, d, generator=generator, dtype=torch.float64)
        assert fuzziness(A @ S_W @ A.T, means @ A.T) >= floor * (1 - 1e-6)
    classifier = means @ torch.linalg.inv(S_W + means.T @ means / K)  # least squares
    assert fuzziness(classifier @ S_W @ classifier.T, means @ classifier.T) == pytest.approx(floor, rel=1e-6)


def test_a_singular_scatter_has_no_floor():
    with pytest.raises(InputError, match="positive definite"):
        linear_separation_floor(torch.diag(torch.tensor([1.0, 0.0])).double(), torch.eye(2).double())


def test_values_over_layers_of_a_measured_network():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        *(part for _ in range(3) for part in (torch.nn.Linear(6, 6), torch.nn.ReLU())), torch.nn.Linear(6, 3)
    ).eval()
    labels = torch.arange(60) % 3
    inputs = torch.randn(60, 6) + 3 * torch.eye(6)[labels]
    result = nc.measure(net, [(inputs, labels)], layers="auto", progress=False)
    layers, values = layer_values(result, "nc1/pinv_unscaled")
    assert layers[-1] == ""
    assert len(layers) == len(values) >= 3
    assert values[-1] == result["nc1/pinv_unscaled"]
    assert separation_law(values).ratios[0] == values[1] / values[0]
    _, accuracy = layer_values(result, "accuracy/ncc")
    assert tunnel_start(accuracy) <= len(layers) - 1


def test_a_result_without_layers_is_told():
    with pytest.raises(InputError, match="measure with layers="):
        layer_values(nc.CollapseResult({"accuracy/ncc": 1.0}), "accuracy/ncc")
    parts = {
        "train": nc.CollapseResult({"a": 1.0, "a@layer:x": 2.0}),
        "test": nc.CollapseResult({"a": 3.0, "a@layer:x": 4.0}),
    }
    assert layer_values(nc.CollapseResult.join(parts, {}), "a", "test") == (["x", ""], [4.0, 3.0])
