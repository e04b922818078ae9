import math

import pytest
import torch

from neucollapse.theory.solvers import brownian_increments, euler_maruyama


def coarser(increments, factor):
    """The same Brownian path on every factor-th time."""
    return increments.reshape(-1, factor, increments.shape[-1]).sum(dim=1)


def path(steps, paths, seed=0):
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return times, torch.stack(list(brownian_increments(times, (paths,), generator)))


def slope(steps, errors):
    x = [math.log(1 / n) for n in steps]
    y = [math.log(error) for error in errors]
    mean = sum(x) / len(x)
    return sum((a - mean) * b for a, b in zip(x, y, strict=True)) / sum((a - mean) ** 2 for a in x)


def test_strong_order_one_half_on_geometric_brownian_motion():
    mu, sigma, finest = 0.5, 1.0, 512
    times, increments = path(finest, 4000)
    exact = torch.exp(torch.tensor(mu - sigma**2 / 2) + sigma * increments.sum(dim=0))
    counts, errors = (16, 32, 64, 128, 256), []
    for count in counts:
        coarse = coarser(increments, finest // count)
        end = euler_maruyama(
            lambda _, x: mu * x,
            lambda _, x: sigma * x,
            torch.ones(4000).double(),
            times[:: finest // count],
            iter(coarse),
        )
        errors.append(float((end - exact).abs().mean()))
    assert slope(counts, errors) == pytest.approx(0.5, abs=0.1)


def test_strong_order_one_with_additive_noise():
    """An Ornstein-Uhlenbeck process against the finest path, whose own error is much smaller."""
    finest = 4096
    times, increments = path(finest, 500)

    def end(factor):
        coarse = coarser(increments, factor)
        start = torch.ones(500, dtype=torch.float64)
        return euler_maruyama(lambda _, x: -2 * x, lambda _, __: 0.5, start, times[::factor], iter(coarse))

    counts = (16, 32, 64, 128)
    errors = [float((end(finest // count) - end(1)).abs().mean()) for count in counts]
    assert slope(counts, errors) == pytest.approx(1.0, abs=0.1)


def test_weak_order_one_on_a_linear_equation_with_known_moments():
    """Exact moments of the scheme: run it on no noise for the mean, and on the variance's own linear recursion."""
    theta, sigma, counts = 2.0, 0.5, (16, 32, 64, 128)
    mean_errors, variance_errors = [], []
    for count in counts:
        times = torch.linspace(0, 1, count + 1, dtype=torch.float64)
        still = iter(torch.zeros(count, 1, dtype=torch.float64))
        mean = euler_maruyama(lambda _, x: -theta * x, lambda _, __: sigma, torch.ones(1).double(), times, still)
        # the end is linear in the increments: unit increments, one at a time, give all its coefficients
        units = iter(torch.eye(count, dtype=torch.float64))
        response = euler_maruyama(
            lambda _, x: -theta * x, lambda _, __: sigma, torch.zeros(count).double(), times, units
        )
        mean_errors.append(abs(float(mean) - math.exp(-theta)))
        variance = sigma**2 * (1 - math.exp(-2 * theta)) / (2 * theta)
        variance_errors.append(abs(float(response.square().sum() / count) - variance))
    assert slope(counts, mean_errors) == pytest.approx(1.0, abs=0.1)
    assert slope(counts, variance_errors) == pytest.approx(1.0, abs=0.1)


def test_moments_of_many_paths_are_those_of_the_equation():
    times, increments = path(400, 20000)
    end = euler_maruyama(lambda _, x: -2 * x, lambda _, __: 0.5, torch.ones(20000).double(), times, iter(increments))
    variance = 0.25 * (1 - math.exp(-4)) / 4
    assert float(end.mean()) == pytest.approx(math.exp(-2), abs=4 * (variance / 20000) ** 0.5 + 1e-3)
    assert float(end.var()) == pytest.approx(variance, rel=0.05)


def test_increments_have_the_variance_of_their_time_and_repeat():
    times = torch.tensor([0.0, 0.1, 1.1], dtype=torch.float64)
    first, second = (list(brownian_increments(times, (50000,), torch.Generator().manual_seed(3))) for _ in range(2))
    assert [float(increment.var()) for increment in first] == pytest.approx([0.1, 1.0], rel=0.03)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
