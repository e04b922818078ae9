"""Deep linear networks: prices of codes, the table of first winning depths, the flow and its reduction to modes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from neucollapse import InputError
from neucollapse.geometry import orthogonal_blocks, orthoplex, polygon, simplex
from neucollapse.theory import simulate
from neucollapse.theory.deep_linear.log_flow import log_flow, log_loss_gradient, products
from neucollapse.theory.deep_linear.model import gaussian_factors, hadamard, spectral_factors
from neucollapse.theory.deep_linear.schatten import (
    candidate_codes,
    code_logits,
    first_depth,
    logit_margin,
    orthoplex_value,
    polygon_value,
    preferred_code,
    schatten_value,
    simplex_value,
)
from neucollapse.theory.settings import DeepLinear


def mode_slopes(values, layers):
    """da/dt of the gradient flow of the mean cross-entropy from `spectral_factors`: the whole network in K numbers."""
    Q, L = hadamard(len(values)), layers
    P = torch.softmax(Q @ torch.diag(values**L) @ Q.T, dim=0)
    return values ** (L - 1) * (1 - ((Q.T @ P) * Q.T).sum(dim=1)) / len(values)


def early_values(values, time, layers):
    r"""Singular values of a factor while the logits are small, from `spectral_factors`: before any class is told from another.

    There P = 1/K and every mode but the constant one has $\dot a = a^{L-1} / K$, so

    $$a(t) = \big( a(0)^{2-L} - (L-2) t / K \big)^{-1/(L-2)} \quad (L > 2), \qquad a(t) = a(0) e^{t/K} \quad (L = 2).$$

    Ratios of singular values stay at L = 2 and grow for L > 2, without bound as the larger one nears its time of escape,
    $K a(0)^{2-L} / (L-2)$: the repulsion that makes the rank low. Infinite after that time.
    """
    K = len(values)
    if layers == 2:
        return values * math.exp(time / K)
    left = values ** (2 - layers) - (layers - 2) * time / K
    return torch.where(left > 0, left.clamp(min=0) ** (-1 / (layers - 2)), torch.inf)


def blocks_value(sizes, layers):
    """Sum of (m - 1) (m / (m - 1))^(2/L) over two or more blocks: simplices of m classes each, at right angles to one another.

    Blocks of two are the orthoplex. Classes of two blocks are 1 apart, which is the margin, and a block has m - 1 singular values
    of m / (m - 1). A single block is the simplex, whose margin is larger, and costs K - 1.
    """
    if len(sizes) == 1:
        return simplex_value(sizes[0])
    return sum((m - 1) * (m / (m - 1)) ** (2 / layers) for m in sizes)


@hypothesis_settings(max_examples=40, deadline=None)
@given(K=st.integers(3, 40), layers=st.integers(2, 12))
def test_closed_forms_are_the_values_of_the_codes(K, layers):
    assert schatten_value(code_logits(simplex(K)), layers) == pytest.approx(simplex_value(K), rel=1e-9)
    assert schatten_value(code_logits(polygon(K)), layers) == pytest.approx(polygon_value(K, layers), rel=1e-9)
    if K % 2 == 0:
        logits = code_logits(orthoplex(K, K // 2))
        assert schatten_value(logits, layers) == pytest.approx(orthoplex_value(K, layers), rel=1e-9)
        assert blocks_value([2] * (K // 2), layers) == pytest.approx(orthoplex_value(K, layers), rel=1e-12)
    assert blocks_value([K], layers) == pytest.approx(simplex_value(K), rel=1e-12)


@pytest.mark.parametrize("sizes", [[3, 2], [4, 3], [3, 3, 2]])
def test_simplices_at_right_angles(sizes):
    K = sum(sizes)
    logits = code_logits(orthogonal_blocks(K, K - len(sizes), sizes=sizes))
    assert schatten_value(logits, 3) == pytest.approx(blocks_value(sizes, 3), rel=1e-9)


@pytest.mark.parametrize("K", [4, 6, *range(8, 21), 50, 100])
def test_the_first_winning_depths_are_those_of_the_table(K):
    polygon_wins = first_depth(lambda L: schatten_value(code_logits(polygon(K)), L) < K - 1)
    assert polygon_wins == (4 if K <= 6 else 5 if K <= 20 else 6)
    assert polygon_wins == first_depth(lambda L: polygon_value(K, L) < simplex_value(K))
    if K % 2 == 0:
        orthoplex_wins = first_depth(lambda L: schatten_value(code_logits(orthoplex(K, K // 2)), L) < K - 1)
        assert orthoplex_wins == (4 if K == 4 else 3)
        assert orthoplex_wins == first_depth(lambda L: orthoplex_value(K, L) < simplex_value(K))


def test_neural_collapse_is_the_cheapest_candidate_of_two_factors():
    for K in (4, 7, 10, 12):
        assert preferred_code(K, 2).name == "simplex"


def test_the_value_is_the_norm_of_balanced_factors_at_unit_margin():
    logits, layers = code_logits(orthoplex(6, 3)), 4
    U, s, V = torch.linalg.svd(logits / logit_margin(logits))
    root = torch.diag(s[:3] ** (1 / layers))  # rank 3
    factors = [root @ V[:3], root, root, U[:, :3] @ root]
    torch.testing.assert_close(torch.linalg.multi_dot(factors[::-1]), logits / logit_margin(logits))
    norm = sum(float(factor.square().sum()) for factor in factors)
    assert norm == pytest.approx(layers * schatten_value(logits, layers), rel=1e-9)


def test_logits_without_margin_have_no_price():
    assert schatten_value(torch.zeros(3, 3).double(), 3) == math.inf


def test_codes_of_a_width_have_no_more_dimensions():
    assert {code.dim for code in candidate_codes(8, 4)} == {2, 3, 4}


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    K=st.integers(3, 6),
    dim=st.integers(2, 6),
    layers=st.integers(2, 5),
    scale=st.floats(0.1, 2.0),
    seed=st.integers(0, 99),
)
def test_the_gradient_of_log_loss_is_that_of_autograd(K, dim, layers, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    factors = gaussian_factors(K, dim, layers, starts=2, scale=scale, generator=generator)
    value, gradients = log_loss_gradient(factors)
    leaves = [factor.clone().requires_grad_() for factor in factors]
    logits = products(leaves)[-1]
    slow = torch.stack([F.cross_entropy(Z.T, torch.arange(K)) for Z in logits]).log()
    torch.testing.assert_close(value, slow.detach(), atol=1e-12, rtol=1e-12)
    for ours, theirs in zip(gradients, torch.autograd.grad(slow.sum(), leaves), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-8)


def test_the_gradient_is_exact_where_the_loss_is_below_rounding():
    """For logits c (I - 1/K) log loss is log(K - 1) - c to first order in e^-c, of slope -1 in c."""
    K, c = 5, 200.0
    Z = c * (torch.eye(K).double() - 1 / K)
    value, (outer, inner) = log_loss_gradient([torch.eye(K).double()[None], Z[None]])
    assert float(value) == pytest.approx(math.log(K - 1) - c, rel=1e-12)
    assert float((inner[0] * (torch.eye(K).double() - 1 / K)).sum()) == pytest.approx(-1, rel=1e-12)
    assert torch.isfinite(outer).all()


@pytest.mark.parametrize("gap", [21.0, 25.0, 40.0])
def test_log_loss_is_exact_where_the_loss_is_large(gap):
    """One class of two is wrong by ``gap``: torch's own softplus drops e^-gap above 20, 1e-10 of the loss."""
    Z = torch.tensor([[0.0, 0.0], [gap, 0.0]]).double()
    value, _ = log_loss_gradient([torch.eye(2).double()[None], Z[None]])
    slow = (gap + math.log1p(math.exp(-gap)) + math.log(2)) / 2
    assert float(value) == pytest.approx(math.log(slow), rel=1e-15, abs=0)


def test_the_flow_never_goes_up():
    factors = gaussian_factors(5, 8, 4, starts=3, scale=0.5, generator=torch.Generator().manual_seed(0))
    pace, before = torch.ones(3).double(), log_loss_gradient(factors)[0]
    for _ in range(20):
        factors, pace = log_flow(factors, pace, 20)
        now = log_loss_gradient(factors)[0]
        assert (now <= before).all()
        before = now
    assert (now < -2).all()


@hypothesis_settings(max_examples=20, deadline=None)
@given(K=st.sampled_from([4, 8, 16]), layers=st.integers(2, 6), seed=st.integers(0, 99))
def test_spectral_starts_keep_their_singular_vectors_and_move_by_their_modes(K, layers, seed):
    generator = torch.Generator().manual_seed(seed)
    values = 0.3 + torch.rand(1, K, generator=generator, dtype=torch.float64)
    values[:, 0] = 0
    factors = spectral_factors(values, K + 1, layers)
    log_loss, gradients = log_loss_gradient(factors)
    inner = torch.eye(K + 1, K, dtype=torch.float64)
    slopes = mode_slopes(values[0], layers)
    for factor, gradient in zip(factors, gradients, strict=True):
        direction = factor[0].clone()
        left = hadamard(K) if len(direction) == K else inner
        right = inner if direction.shape[1] == K + 1 else hadamard(K)
        modes = -left.T @ (gradient[0] * log_loss.exp()) @ right
        torch.testing.assert_close(modes, torch.diag(slopes), atol=1e-12, rtol=0)


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_early_singular_values_follow_their_closed_form(layers):
    values = torch.tensor([0.0, 0.002, 0.0021, 0.0024], dtype=torch.float64)
    time = 4.0 if layers == 2 else 0.5 * 4 * 0.0024 ** (2 - layers) / (layers - 2)  # half of the time to escape
    steps, now = 500, values.clone()
    for _ in range(steps):  # midpoint rule
        half = now + time / steps / 2 * mode_slopes(now, layers)
        now = now + time / steps * mode_slopes(half, layers)
    torch.testing.assert_close(now[1:], early_values(values, time, layers)[1:], rtol=1e-3, atol=0)
    repulsion = now[3] / now[1] / (values[3] / values[1])
    assert repulsion > 1.05 if layers > 2 else repulsion == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_the_rank_falls_with_depth():
    found = simulate(DeepLinear(classes=6, dim=12, depths=(2, 4), steps=400), progress=False).findings
    assert found.agrees, found.sentences
    at_two = found.comparisons[0]
    assert at_two.predicted == pytest.approx(5)
    assert at_two.found == pytest.approx(5, rel=0.1)


def test_spectral_simulation_keeps_its_basis():
    simulation = simulate(DeepLinear(classes=4, dim=6, depths=(3,), init="spectral", steps=200), progress=False)
    assert max(row.value for row in simulation.rows if row.key == "turned") < 1e-12


@pytest.mark.slow
def test_two_runs_of_a_seed_are_equal():
    a, b = (simulate(DeepLinear(classes=4, dim=6, depths=(2, 3), steps=60), progress=False) for _ in range(2))
    assert a.rows == b.rows
    assert a.to_dict() == b.to_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 2}, "classes of at least 3"),
        ({"dim": 0}, "dim of at least 1"),
        ({"dim": 1}, "dim of at least 2"),
        ({"depths": ()}, "one depth or more"),
        ({"depths": (1,)}, "one depth or more"),
        ({"scale": 0.0}, "scale above 0"),
        ({"init": "spectral"}, "a power of two"),
    ],
)
def test_impossible_requests_get_a_sentence(options, message):
    with pytest.raises(InputError, match=message):
        DeepLinear(**options)


def test_impossible_codes_get_a_sentence():
    with pytest.raises(InputError, match="even number of classes"):
        orthoplex_value(5, 3)
    with pytest.raises(InputError, match="at least 1 layer"):
        schatten_value(torch.eye(3).double(), 0)
