import math

import pytest
import torch
from torch import nn

from neucollapse import InputError
from neucollapse.data import load
from neucollapse.theory.local_elasticity.ode import PowerLaw, ode_solution
from neucollapse.theory.local_elasticity.strengths import elastic_strengths, kernel_strengths


@pytest.mark.parametrize("drift", ["features", "labels"])
def test_strengths_of_an_exact_trajectory_are_recovered_to_second_order(drift):
    start = torch.eye(3).double() + 0.3 * torch.randn(3, 3, dtype=torch.float64)
    intra, inter = PowerLaw(2.0, 1.0), PowerLaw(-0.5, 0.5)
    errors = []
    for steps in (100, 200):
        times = torch.linspace(0, 2, steps + 1, dtype=torch.float64)
        means = torch.stack([ode_solution(start, intra, inter, t, drift) for t in times.tolist()])
        found = elastic_strengths(means, times, drift)
        assert float(found.explained.min()) > 0.999999
        error = [abs(float(a) - law(t)) for values, law in ((found.intra, intra), (found.inter, inter))
                 for a, t in zip(values, found.times.tolist(), strict=True)]  # fmt: skip
        errors.append(max(error))
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 3.5


def digits():
    data = load("digits", flat=True)
    x, y = data.train.tensors
    least = int(torch.bincount(y).min())
    rows = torch.cat([(y == k).nonzero().squeeze(1)[:least] for k in range(10)])
    return x[rows].double(), y[rows]


def test_fitted_strengths_on_digits_agree_with_the_kernel():
    """Two ways to one number: the movement of class means under gradient descent, and gradients at a point of it."""
    x, y = digits()
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).double()
    rate, means, residuals = 0.02, [], []
    for step in range(41):
        logits = network(x)
        left = nn.functional.one_hot(y, 10) - logits.softmax(dim=1)
        means.append(torch.stack([logits[y == k].mean(dim=0) for k in range(10)]).detach())
        residuals.append(torch.stack([left[y == k].mean(dim=0) for k in range(10)]).detach())
        if step == 20:
            E = kernel_strengths(network, x, y, 10)
        network.zero_grad()
        nn.functional.cross_entropy(logits, y).backward()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= rate * parameter.grad
    times = rate * torch.arange(41, dtype=torch.float64)
    found = elastic_strengths(torch.stack(means), times, torch.stack(residuals), window=40)
    intra, inter = E.diagonal().mean(), (E.sum() - E.trace()) / 90
    assert float(found.explained) > 0.6  # class means of residuals are not all of it: kernels differ within a class
    assert float(found.intra) > float(found.inter) > 0
    assert float(found.intra - found.inter) == pytest.approx(float(intra - inter), rel=0.15)


def test_kernel_of_a_network_is_that_of_all_pairs_of_samples():
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.randn(6, 3).double(), torch.tensor([0, 1, 1, 2, 0, 2])
    rows = []
    for i in range(6):
        for c in range(2):
            gradients = torch.autograd.grad(network(x)[i, c], list(network.parameters()))
            rows.append(torch.cat([part.reshape(-1) for part in gradients]))
    J = torch.stack(rows).reshape(6, 2, -1)
    kernel = torch.einsum("icp,jcp->ij", J, J) / 2
    expected = torch.stack([torch.stack([kernel[y == k][:, y == j].mean() for j in range(3)]) for k in range(3)])
    assert torch.allclose(kernel_strengths(network, x, y, 3), expected, atol=1e-12)


def test_wrong_trajectories_get_a_sentence():
    means, times = torch.zeros(5, 3, 2), torch.arange(5.0)
    for arguments, words in (
        ((means[0], times), r"\(T, K, d\)"),
        ((means, times.flip(0)), "increase"),
        ((means, times, "features", 5), "window"),
        ((means, times, means[:, :2]), "what pulls"),
    ):
        with pytest.raises(InputError, match=words):
            elastic_strengths(*arguments)


def test_empty_class_gets_a_sentence():
    with pytest.raises(InputError, match="class 1 has none"):
        kernel_strengths(nn.Linear(2, 2), torch.zeros(2, 2), torch.tensor([0, 2]), 3)


def test_residuals_of_collapse_leave_nothing_to_explain():
    found = elastic_strengths(torch.ones(3, 2, 2), torch.arange(3.0), torch.zeros(3, 2, 2))
    assert math.isnan(float(found.explained[0]))
    assert float(found.intra[0]) == 0
