import itertools

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.theory.class_sizes import check_counts, exponential_counts, labels_of, step_counts
from neucollapse.theory.layer_peeled.step import step_logits
from neucollapse.theory.relaxation import Relaxation, factors, nuclear_norm
from neucollapse.theory.solvers import minimise

sizes = st.lists(st.integers(1, 40), min_size=2, max_size=6)
losses = st.sampled_from(["ce", "mse"])
pers = st.sampled_from(["sample", "class"])


def value_from_its_definition(problem, logits):
    """The relaxed objective, sample by sample, the nuclear norm from the eigenvalues of a Gram matrix."""
    counts, K = problem.counts.long(), len(problem.counts)
    total = 0.0
    for k in range(K):
        z = logits[k]
        one = -torch.log_softmax(z, 0)[k] if problem.loss == "ce" else ((z - torch.eye(K).double()[k]) ** 2).sum() / 2
        total += float(counts[k] * one)
    weights = counts.double() if problem.per == "sample" else torch.ones(K).double()
    spectrum = torch.linalg.eigvalsh(logits.T @ (weights[:, None] * logits))
    return total / int(counts.sum()) + problem.decay * float(spectrum.clamp_min(0).sqrt().sum())


def factored(problem, dim, seed):
    """The optimum in two factors, one feature a class, from a random start; nothing is known of the relaxation."""
    K = len(problem.counts)
    generator = torch.Generator().manual_seed(seed)
    start = {name: torch.randn(K, dim, generator=generator, dtype=torch.float64) for name in ("weight", "means")}

    def objective(state):
        logits = state["means"] @ state["weight"].T
        if problem.loss == "ce":
            losses = torch.nn.functional.cross_entropy(logits, torch.arange(K), reduction="none")
        else:
            losses = (logits - torch.eye(K).double()).square().sum(dim=1) / 2
        squares = state["weight"].square().sum() + (problem.scales[:, None] * state["means"]).square().sum()
        return problem.proportions @ losses + problem.decay / 2 * squares

    end = minimise(objective, start, tolerance=1e-11)
    return end.state["means"] @ end.state["weight"].T, end.value


@given(sizes, st.floats(1e-3, 0.3), losses, pers, st.integers(0, 2**20))
def test_value_by_definition_and_bound_below_it(counts, decay, loss, per, seed):
    problem = Relaxation(torch.tensor(counts), decay, loss, per)
    logits = torch.randn(len(counts), len(counts), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    value = problem.value(logits)
    assert value == pytest.approx(value_from_its_definition(problem, logits), rel=1e-7)
    assert problem.lower_bound(logits) <= value + 1e-12
    assert problem.lower_bound(logits) <= problem.value(torch.zeros_like(logits)) + 1e-12


@given(sizes, st.floats(5e-3, 0.2), losses, pers, st.integers(0, 2**20))
@settings(max_examples=10, deadline=None)
def test_factors_reach_the_convex_optimum_and_the_certificate_closes(counts, decay, loss, per, seed):
    problem = Relaxation(torch.tensor(counts), decay, loss, per)
    share = problem.proportions / (decay * problem.scales)
    assume(bool(((share - 1).abs() > 0.05).all()))  # at the threshold itself convergence is slow
    solved, (found, value) = problem.solve(), factored(problem, len(counts), seed)
    assert solved.gap <= 1e-11
    assert value == pytest.approx(solved.value, abs=1e-10)
    assert value - problem.lower_bound(found) <= 1e-8


@given(st.lists(st.integers(1, 60), min_size=2, max_size=7), st.floats(1e-3, 0.3), pers)
@settings(max_examples=20, deadline=None)
def test_squared_error_is_solved_by_its_closed_form(counts, decay, per):
    problem = Relaxation(torch.tensor(counts), decay, "mse", per)
    logits = problem.mse_logits()
    assert problem.value(logits) - problem.lower_bound(logits) <= 1e-14
    assert ((logits.diagonal() > 0) == problem.survives()).all()


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.floats(1, 40), st.floats(-7, -1.5), pers)
@settings(max_examples=15, deadline=None)
def test_four_numbers_solve_cross_entropy_under_a_step(A, B, samples, ratio, log_decay, per):
    problem = Relaxation(step_counts(A + B, B, samples, ratio), 10 ** (log_decay / 2.3), "ce", per)
    logits = step_logits(problem, A)
    assert problem.value(logits) - problem.lower_bound(logits) <= 1e-10


@pytest.mark.parametrize(("loss", "per"), list(itertools.product(["ce", "mse"], ["sample", "class"])))
def test_classes_of_one_size_merge_exactly_past_the_threshold(loss, per):
    """Beside classes of quite other sizes: the threshold does not know them but by N."""
    counts = torch.tensor([90, 41, 17, 5, 5, 5])
    scale = 5**0.5 if per == "sample" else 1.0
    at = 5 / int(counts.sum()) / scale
    for factor, alive in ((0.97, True), (1.03, False)):
        problem = Relaxation(counts, at * factor, loss, per)
        block = problem.solve().logits[3:, 3:]
        gap = float((block.diagonal() - block.roll(1, dims=1).diagonal()).abs().max())
        assert (gap > 1e-2) == alive
        assert alive or gap < 1e-5
        assert problem.survives()[3:].all() == alive


def test_merging_needs_equals():
    """Control: a smallest class without an equal keeps its own logits under cross-entropy, past that threshold."""
    counts = torch.tensor([90, 41, 17, 5])
    problem = Relaxation(counts, 1.03 * 5 / 153 / 5**0.5)
    logits = problem.solve().logits
    assert not problem.survives()[3]
    assert float(logits[3, 3] - logits[2, 3]) > 0.1


def test_factors_have_the_logits_at_the_price_of_the_nuclear_norm():
    problem = Relaxation(torch.tensor([9, 9, 2, 2, 2]), 0.02)
    logits = problem.solve().logits
    weight, means = factors(logits, problem.scales, 7, 0.01, 0.04)
    assert weight.shape == means.shape == (5, 7)
    torch.testing.assert_close(means @ weight.T, logits, atol=1e-10, rtol=0)
    price = 0.01 / 2 * weight.square().sum() + 0.04 / 2 * (problem.scales[:, None] * means).square().sum()
    torch.testing.assert_close(price, 0.02 * nuclear_norm(problem.scales[:, None] * logits))
    with pytest.raises(InputError, match="rank of the logits, got 2"):
        factors(logits, problem.scales, 2, 0.01, 0.04)


def test_impossible_requests_get_a_sentence():
    with pytest.raises(InputError, match="at least one sample in every class"):
        Relaxation(torch.tensor([3, 0]), 0.1)
    with pytest.raises(InputError, match="at least 2 classes"):
        check_counts(torch.tensor([3]))
    with pytest.raises(InputError, match="decay of at least 0"):
        Relaxation(torch.tensor([3, 1]), -0.1)


def test_class_sizes():
    assert step_counts(3, 1, 2, 1.5).tolist() == [3, 3, 2]
    assert exponential_counts(3, 1, 9).tolist() == [9, 3, 1]
    assert labels_of(torch.tensor([2, 1])).tolist() == [0, 0, 1]
