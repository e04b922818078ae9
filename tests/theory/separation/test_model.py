"""The law of separation: what is proved of linear maps, the measures of a layer, and a simulation that repeats."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.metrics.layers import separation_law
from neucollapse.theory import simulate
from neucollapse.theory.network import initial_network, layer_outputs
from neucollapse.theory.separation.model import _floor, fuzziness, least_squares_outputs, nearest_mean_accuracy
from neucollapse.theory.settings import LayerSeparation
from neucollapse.theory.solvers import descent

SMALL = LayerSeparation(data="clusters", classes=3, samples=20, inputs=5, depth=3, width=8, steps=20, lr=0.01)


def drawn(K, d, n, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(K).repeat_interleave(n)
    means = torch.randn(K, d, generator=generator, dtype=torch.float64)
    return means[labels] + torch.randn(K * n, d, generator=generator, dtype=torch.float64), labels, generator


@profile(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(0, 3), st.integers(8, 20), st.integers(0, 1000))
def test_least_squares_is_at_the_floor_of_all_linear_networks(K, more, n, seed):
    d = (
        K - 1 + more
    )  # in fewer dimensions some directions of the K outputs are rounding, and so is what S_B^+ makes of them
    inputs, labels, generator = drawn(K, d, n, seed)
    floor = _floor(inputs, labels)
    assert fuzziness(least_squares_outputs(inputs, labels), labels) == pytest.approx(floor, rel=1e-8)
    network = initial_network((d, d + 3, d + 2, K), generator)
    for output in layer_outputs(network, inputs, linear=True):
        assert fuzziness(output, labels) >= floor * (1 - 1e-9)


def test_a_linear_network_trained_to_least_squares_ends_at_the_floor():
    inputs, labels, generator = drawn(3, 4, 20, 1)
    targets = torch.nn.functional.one_hot(labels).double()
    start = initial_network((4, 6, 3), generator, gain=1.0)

    def objective(weights):
        return (layer_outputs(weights, inputs, linear=True)[-1] - targets).square().mean()

    _, network = next(descent(objective, start, (3000,), lr=0.003, adam=True))
    last = layer_outputs(network, inputs, linear=True)[-1]
    assert fuzziness(last, labels) == pytest.approx(_floor(inputs, labels), rel=1e-6)


def test_a_relu_layer_goes_below_the_floor():
    """Two clusters a class, on opposite sides: one ReLU unit a cluster gathers what no linear map can."""
    corners = torch.tensor([[3.0, 0.0], [-3.0, 0.5], [0.0, 3.0], [0.5, -3.0]]).double()
    labels = torch.tensor([0, 0, 1, 1]).repeat(30)
    inputs = corners.repeat(30, 1) + 0.1 * torch.randn(120, 2, generator=torch.Generator().manual_seed(0)).double()
    gathered = (inputs @ corners.T).relu() @ torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]]).double()
    assert fuzziness(gathered, labels) < 0.1 * _floor(inputs, labels)


def test_the_measures_of_a_layer_by_their_definition():
    features, labels, _ = drawn(3, 2, 10, 0)
    x, y = features.numpy(), labels.numpy()
    means = np.array([x[y == k].mean(0) for k in range(3)])
    centred = means - means.mean(0)
    S_W = sum(np.outer(row - means[k], row - means[k]) for row, k in zip(x, y, strict=True)) / len(x)
    assert fuzziness(features, labels) == pytest.approx(np.trace(S_W @ np.linalg.pinv(centred.T @ centred / 3)))
    right = [np.argmin([np.linalg.norm(row - mean) for mean in means]) == k for row, k in zip(x, y, strict=True)]
    assert nearest_mean_accuracy(features, labels) == np.mean(right)


@pytest.mark.parametrize("optimiser", ["adam", pytest.param("momentum", marks=pytest.mark.slow)])
def test_the_simulation_agrees_and_repeats(optimiser):
    settings = replace(SMALL, optimiser=optimiser)
    one, two = (simulate(settings, progress=False) for _ in range(2))
    assert one.rows == two.rows
    assert one.findings.agrees
    assert simulate(replace(settings, seed=1), progress=False).rows != one.rows
    last = {row.key: row.value for row in one.rows if row.series == "ReLU" and row.x == settings.steps}
    law = separation_law([last[f"D@{layer}"] for layer in range(settings.depth + 1)])
    assert (law.rho, law.r_squared) == (last["rho"], last["r_squared"])
    assert all(len(line.x) == len(line.y) for plot in one.findings.plots for line in plot.lines)


def test_random_labels_need_more_of_the_network():
    """At least they leave less to the nearest mean of the inputs."""
    rows = {share: simulate(replace(SMALL, random_labels=share), progress=False).rows for share in (0.0, 0.5)}
    nearest = {share: next(row.value for row in found if row.key == "nearest mean@0") for share, found in rows.items()}
    assert nearest[0.5] < nearest[0.0]


def test_digits_are_principal_components_at_unit_variance():
    from neucollapse.theory.separation.model import _digits

    inputs, labels = _digits(LayerSeparation(samples=20, inputs=9))
    assert inputs.shape == (200, 9)
    assert torch.bincount(labels).tolist() == [20] * 10
    square = inputs.T @ inputs / 200
    assert float(square.diagonal().mean()) == pytest.approx(1)
    assert float((square - torch.diag(square.diagonal())).abs().max()) < 1e-10


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1},
        {"classes": 5},
        {"inputs": 61},
        {"data": "clusters", "inputs": 5},
        {"samples": 139},
        {"depth": 1},
        {"width": 0},
        {"lr": 0.0},
        {"share": 1.5},
        {"gain": 0.0},
    ],
    ids=str,
)
def test_impossible_settings_get_a_sentence(wrong):
    with pytest.raises(InputError, match="expected"):
        LayerSeparation(**wrong)
