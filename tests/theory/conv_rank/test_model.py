"""Convolutional rank: the closed forms against slow twins, the recursion against autograd, the claim against a run."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from neucollapse._errors import InputError
from neucollapse.metrics.rank import stable_rank
from neucollapse.theory import simulate
from neucollapse.theory._model import Row
from neucollapse.theory.conv_rank._findings import FILTERS, by_level, claim_holds
from neucollapse.theory.conv_rank._patch_data import draw_patches
from neucollapse.theory.conv_rank._patch_network import Network, descend_in_span, huberised_relu, huberised_slope
from neucollapse.theory.conv_rank.model import ConvRankModel
from neucollapse.theory.conv_rank.stable_rank import (
    data_stable_rank,
    quadratic_stable_rank,
    robust_level,
    small_init_stable_rank,
    stable_rank_of,
)
from neucollapse.theory.settings import ConvRank

from ..running import ended

SMALL = ConvRank(signals=2, samples=3, patches=3, dim=30, width=7, steps=50, noise=(0.0, 1.0))


def drawn(settings, seed=0):
    return draw_patches(settings, torch.Generator().manual_seed(seed))


def random_network(settings, power, seed=0):
    m = settings.width
    second = torch.cat([torch.ones(m), -torch.ones(m)]).double() / m
    filters = torch.randn(2 * m, settings.dim, generator=torch.Generator().manual_seed(seed)).double()
    return Network(second, 0.7, power), filters


# -- activation


def scalar_huberised(z, kappa, q):
    if z <= 0:
        return 0.0
    return z**q / (q * kappa ** (q - 1)) if z <= kappa else z - (1 - 1 / q) * kappa


@given(st.floats(-3, 3), st.floats(0.1, 2), st.floats(2, 5))
def test_the_activation_is_its_definition(z, kappa, q):
    assert float(huberised_relu(torch.tensor(z).double(), kappa, q)) == pytest.approx(
        scalar_huberised(float(torch.tensor(z)), kappa, q), abs=1e-12
    )


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.floats(0.1, 2), st.sampled_from([2.0, 2.5, 3.0, 4.0]))
def test_the_slope_is_the_derivative(values, kappa, q):
    z = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(huberised_relu(z, kappa, q).sum(), z)
    away = (z.detach() - kappa).abs() > 1e-9  # at kappa clamp has a subgradient of its own
    torch.testing.assert_close(gradient[away], huberised_slope(z.detach(), kappa, q)[away], rtol=0, atol=1e-10)


# -- network


def slow_loss(network, filters, settings, draw, level):
    """From the definition: a loop over samples and patches, of filters in R^d."""
    patches, total = draw.at(level), 0.0
    for sample, label in zip(patches.members, patches.labels, strict=True):
        score = 0.0
        for patch in patches.rows[sample]:
            score = score + (network.second * huberised_relu(filters @ patch, network.kappa, network.power)).sum()
        total = total + torch.log1p(torch.exp(-label * score))
    return total / len(patches.labels)


@pytest.mark.parametrize("power", [2.0, 3.0, 4.5])
@pytest.mark.parametrize("orthogonal", [True, False])
def test_loss_and_gradient_are_those_of_autograd(power, orthogonal):
    settings = dataclasses.replace(SMALL, orthogonal=orthogonal)
    draw = drawn(settings)[0]
    patches = draw.at(0.8)
    network, filters = random_network(settings, power)
    filters.requires_grad_()
    value = slow_loss(network, filters, settings, draw, 0.8)
    (expected,) = torch.autograd.grad(value, filters)
    responses = filters.detach() @ patches.rows.T
    assert float(network.loss(responses, patches)) == pytest.approx(float(value.detach()), abs=1e-12)
    found = network.gradient(responses, patches) @ patches.rows
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("orthogonal", [True, False])
def test_descent_in_the_span_is_descent_of_the_filters(orthogonal):
    settings = dataclasses.replace(SMALL, orthogonal=orthogonal)
    draw = drawn(settings)[0]
    patches = draw.at(0.8)
    network, start = random_network(settings, 3.0)
    filters = start.clone()
    for _ in range(8):
        filters.requires_grad_()
        (gradient,) = torch.autograd.grad(slow_loss(network, filters, settings, draw, 0.8), filters)
        filters = filters.detach() - 2.0 * gradient
    responses = start @ patches.rows.T
    responses, moved = descend_in_span(network, patches, responses, torch.zeros_like(responses), steps=8, lr=2.0)
    torch.testing.assert_close(start + moved @ patches.rows, filters, rtol=0, atol=1e-10)
    torch.testing.assert_close(responses, filters @ patches.rows.T, rtol=0, atol=1e-10)


# -- data


@given(
    K=st.integers(1, 5),
    n=st.integers(1, 5),
    patches=st.integers(2, 4),
    orthogonal=st.booleans(),
    seed=st.integers(0, 99),
)
@options(max_examples=20, deadline=None)
def test_clean_data_have_rank_2K(K, n, patches, orthogonal, seed):
    settings = ConvRank(signals=K, samples=n, patches=patches, dim=2 * K + 5, orthogonal=orthogonal)
    train = drawn(settings, seed)[0].at(0.0)
    s = torch.linalg.svdvals(train.signal_matrix())
    assert int((s > 1e-10).sum()) == 2 * K
    assert stable_rank(s) == pytest.approx(2 * K, abs=1e-10)
    assert stable_rank_of(train.matrix()) == pytest.approx(2 * K, abs=1e-10)
    assert data_stable_rank(K, n, patches, settings.dim, 0.0, orthogonal=orthogonal) == pytest.approx(2 * K, abs=1e-10)


def test_samples_are_signal_then_noise_of_the_level():
    settings = ConvRank(signals=3, samples=20, dim=400)
    train = drawn(settings)[0].at(1.7)
    patches = train.rows[train.members]
    assert patches.shape == (120, 3, 400)
    torch.testing.assert_close(patches[:, 0, :3].sum(1), train.labels.clamp(min=0))
    torch.testing.assert_close(patches[:, 0, 3:6].sum(1), (-train.labels).clamp(min=0))
    assert not patches[:, 1:, :6].any()
    assert float(patches[:, 1:].square().sum(2).mean()) == pytest.approx(1.7**2, rel=0.02)


@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("level", [0.5, 1.0, 1.5, 6.0, 30.0])
@pytest.mark.parametrize("patches", [2, 3])
def test_the_stable_rank_of_data_is_as_derived(orthogonal, level, patches):
    settings = ConvRank(signals=2, samples=40, patches=patches, dim=300, orthogonal=orthogonal)
    ranks = [stable_rank_of(drawn(settings, seed)[0].at(level).matrix()) for seed in range(8)]
    expected = data_stable_rank(2, 40, patches, 300, level, orthogonal=orthogonal)
    assert sum(ranks) / len(ranks) == pytest.approx(expected, rel=0.04)


def test_the_stable_rank_of_data_is_exact_in_the_mean_while_the_signal_is_largest():
    settings = ConvRank(signals=2, samples=20, patches=2, dim=60)
    traces = [drawn(settings, seed)[0].at(1.0).matrix().square().sum() / 20 for seed in range(100)]
    expected = data_stable_rank(2, 20, 2, 60, 1.0)
    assert expected == pytest.approx(8.0, abs=1e-10)
    spread = torch.stack(traces).std() / math.sqrt(100)
    assert abs(torch.stack(traces).mean() - expected) < 4 * spread


# -- ranks


@given(a=st.integers(1, 160), b=st.integers(1, 160), seed=st.integers(0, 1000))
@options(max_examples=25, deadline=None)
def test_the_stable_rank_of_a_matrix_is_that_of_the_metric(a, b, seed):
    matrix = torch.randn(a, b, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert stable_rank_of(matrix) == pytest.approx(stable_rank(torch.linalg.svdvals(matrix)), rel=1e-9)


def test_equal_singular_values_do_not_confuse_it():
    assert stable_rank_of(torch.eye(150, 200)) == pytest.approx(150, rel=1e-10)


def test_a_matrix_of_zeros_has_no_stable_rank():
    with pytest.raises(InputError, match="not all zeros"):
        stable_rank_of(torch.zeros(3, 3))


@given(K=st.integers(1, 5), m=st.integers(1, 12), seed=st.integers(0, 1000))
def test_the_winners_give_the_stable_rank_of_their_matrix(K, m, seed):
    responses = torch.randn(2 * m, 2 * K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    W = torch.zeros(2 * m, 2 * K, dtype=torch.float64)
    for k in range(2 * K):
        rows = range(m) if k < K else range(m, 2 * m)
        W[max(rows, key=lambda r: responses[r, k]), k] = 1.0
    assert small_init_stable_rank(responses) == pytest.approx(stable_rank_of(W), rel=1e-10)


@pytest.mark.parametrize("K", [1, 2, 5, 10])
def test_rectified_gaussians_have_the_quadratic_stable_rank(K):
    g = torch.randn(2, 200_000, K, generator=torch.Generator().manual_seed(K), dtype=torch.float64).clamp(min=0)
    moments = torch.block_diag(*(half.T @ half for half in g))
    values = torch.linalg.eigvalsh(moments)
    assert float(values.sum() / values.max()) == pytest.approx(quadratic_stable_rank(K), rel=0.02)


# -- the model


def test_filters_keep_the_rank_and_data_do_not():
    found = simulate(ConvRank(signals=2, dim=400, width=60, init=3e-3, noise=(0.0, 1.25)), progress=False).findings
    assert found.agrees is True
    clean_data, clean_filters, data, filters = found.comparisons
    assert clean_data.found == pytest.approx(4, abs=1e-9)
    assert data.found == pytest.approx(4 * (1 + 2 * 1.25**2), rel=0.02)
    assert clean_filters.found == pytest.approx(4, rel=0.25)  # the claim's own tolerance
    assert filters.found == pytest.approx(4, rel=0.25)
    assert filters.found == pytest.approx(
        clean_filters.found, rel=1e-3
    )  # noise orthogonal to the signals changes nothing
    assert "keep the rank of the clean data, 2K = 4" in found.sentences[0]
    assert "0.000" in found.sentences[-1]


def test_from_a_small_start_the_winners_are_those_of_the_start():
    settings = ConvRank(
        signals=3, samples=2, patches=2, dim=40, width=40, kappa=3.0, init=1e-3, lr=4.0, steps=1600, noise=(0.0,)
    )
    model = ConvRankModel(settings)
    first = model.drawn(0)[2][:, :6]
    end, rows = ended(model)
    ranks = [row.value for row in rows if row.key == "rank/stable@weight"]
    # Filters in falling order of their norm: the first ones are the winners, one for every signal, in order of their start.
    chosen = end["cosines/0"][:6].argmax(1)
    assert sorted(chosen.tolist()) == list(range(6))
    won = small_init_stable_rank(first)
    assert ranks[-1] == pytest.approx(won, rel=0.05)
    assert abs(ranks[-1] - won) < abs(ranks[len(ranks) // 2] - won) < abs(ranks[0] - won)


def test_a_quadratic_activation_does_not_keep_it():
    settings = ConvRank(
        signals=6, samples=2, dim=40, width=1500, power=2.0, init=1e-4, lr=0.3, kappa=30.0, noise=(0.0,), steps=150
    )
    found = simulate(settings, progress=False).findings
    assert found.comparisons[1].found == pytest.approx(quadratic_stable_rank(6), rel=0.1)
    assert quadratic_stable_rank(6) < 0.75 * 12


def test_huge_noise_breaks_it():
    found = simulate(ConvRank(signals=2, dim=300, width=50, noise=(0.0, 8.0), steps=150), progress=False).findings
    assert found.agrees is False
    assert "do not keep" in found.sentences[0]
    assert robust_level(10, 3.0) < 8


@pytest.mark.parametrize(
    ("ranks", "holds"),
    [(((4, 4.9, 3.1), (4, 8, 12)), True), (((4, 5.1, 4), (4, 8, 12)), False), (((4, 4, 9), (4, 12, 40)), True),
     (((4, 4, 4), (4, 8, 11)), None), (((9, 4, 4), (4, 8, 12)), False)],
)  # fmt: skip
def test_the_claim_is_about_all_levels_up_to_threefold_growth(ranks, holds):
    settings = ConvRank(signals=2, noise=(0.0, 1.0, 2.0))
    keys = (FILTERS, "stable rank of the data")
    rows = [
        Row("run 0", level, key, float(value))
        for key, values in zip(keys, ranks, strict=True)
        for level, value in zip(settings.noise, values, strict=True)
    ]
    rows += [Row("run 0", level, "stable rank of the clean data", 4.0) for level in settings.noise]
    assert claim_holds(settings, rows) is holds


def test_two_runs_of_a_seed_agree_and_another_seed_differs():
    settings = dataclasses.replace(SMALL, runs=2)
    first, second = simulate(settings, progress=False), simulate(settings, progress=False)
    assert first.rows == second.rows
    other = simulate(dataclasses.replace(settings, seed=1), progress=False)
    assert first.rows != other.rows
    assert by_level(settings, first.rows, FILTERS)[1][0] != by_level(settings, first.rows, FILTERS)[1][1]


def test_digits():
    settings = ConvRank(data="digits", signals=2, samples=10, width=20, dim=128, steps=80, noise=(0.0, 1.0), init=0.01)
    found = simulate(settings, progress=False).findings
    assert found.agrees is None
    assert "From noise of norm 0 to 1" in found.sentences[0]
    train, test = drawn(settings)
    torch.testing.assert_close(train.signals.norm(dim=1), torch.ones(40).double())
    assert train.signs[train.samples].tolist() == [1.0] * 20 + [-1.0] * 20
    assert not any(torch.equal(a, b) for a in train.signals for b in test.signals)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"signals": 0}, "expected signals of at least 1, got 0"),
        ({"dim": 10}, "expected dim above 10"),
        ({"patches": 1}, "expected patches of at least 2"),
        ({"power": 1.0}, "expected power of at least 2"),
        ({"noise": ()}, "one or more different levels"),
        ({"noise": (1.0, 0.5)}, "in rising order"),
        ({"noise": (-1.0,)}, "from 0"),
        ({"noise": (math.inf,)}, "finite"),
        ({"kappa": 0.0}, "expected kappa above 0"),
        ({"lr": -1.0}, "expected lr above 0"),
        ({"data": "digits", "signals": 6}, "there are ten digits"),
        ({"data": "digits", "dim": 64}, "expected dim above 64"),
        ({"data": "digits", "samples": 500}, "at most 130"),
    ],
)
def test_impossible_requests_get_a_sentence(change, sentence):
    with pytest.raises(InputError, match=sentence):
        ConvRank(**change)
