import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neucollapse import InputError
from neucollapse.theory.class_sizes import labels_of
from neucollapse.theory.seli.orthogonal_frame import orthogonal_frame
from neucollapse.theory.solvers import minimise


def objective(counts, decay_weight, decay_features, bias):
    labels = labels_of(counts)
    one_hot = torch.eye(len(counts), dtype=torch.float64)[labels]

    def value(state):
        logits = state["features"] @ state["weight"].T + (state["bias"] if bias else 0)
        penalty = decay_weight * state["weight"].square().sum() + decay_features * state["features"].square().sum()
        return (logits - one_hot).square().sum() / (2 * len(labels)) + penalty / 2

    return value


@given(
    st.lists(st.integers(1, 25), min_size=2, max_size=6),
    st.integers(1, 8),
    st.floats(-3, -0.5),
    st.floats(-3, -0.5),
    st.booleans(),
    st.integers(0, 2**20),
)
@settings(max_examples=15, deadline=None)
def test_the_solver_finds_the_frame(counts, dim, a, b, bias, seed):
    counts = torch.tensor(counts)
    frame = orthogonal_frame(counts, dim, 10**a, 10**b, bias=bias)
    N = int(counts.sum())
    targets = counts.double().sqrt()[:, None] * (torch.eye(len(counts)) - (counts / N if bias else 0))
    values = torch.linalg.svdvals(targets.double())
    threshold = N * 10 ** ((a + b) / 2)
    assume(bool(((values - threshold).abs() > 0.02 * threshold).all()))  # convergence is slow at the threshold
    distinct = dim >= len(values) or float(values[dim - 1] - values[dim]) > 0.05 * float(values[0])
    assume(distinct or not frame.unique)  # and where two singular values nearly compete for the last dimension
    generator = torch.Generator().manual_seed(seed)
    shapes = {"weight": (len(counts), dim), "features": (N, dim)} | ({"bias": (len(counts),)} if bias else {})
    start = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    end = minimise(objective(counts, 10**a, 10**b, bias), start, tolerance=1e-11)
    assert end.value == pytest.approx(frame.value, abs=1e-10)
    if frame.unique:
        W, H = end.state["weight"], end.state["features"]
        torch.testing.assert_close(W @ W.T, frame.weight @ frame.weight.T, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(H @ W.T, (frame.means @ frame.weight.T)[labels_of(counts)], atol=1e-8, rtol=0)
        torch.testing.assert_close(
            H @ H.T, (frame.means @ frame.means.T)[labels_of(counts)][:, labels_of(counts)], atol=1e-8, rtol=1e-8
        )


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.floats(-3, -1), st.floats(-3, -1))
def test_the_frame_has_the_value_it_states_and_the_lengths_of_its_page(counts, a, b):
    counts = torch.tensor(counts)
    K, N = len(counts), int(counts.sum())
    frame = orthogonal_frame(counts, K + 1, 10**a, 10**b)
    features = frame.means[labels_of(counts)]
    state = {"weight": frame.weight, "features": features}
    assert float(objective(counts, 10**a, 10**b, False)(state)) == pytest.approx(frame.value, abs=1e-12)
    sigma = (counts.double().sqrt() - N * 10 ** ((a + b) / 2)).clamp_min(0)
    gram = frame.weight @ frame.weight.T
    torch.testing.assert_close(gram, torch.diag((10**b / 10**a) ** 0.5 * sigma), atol=1e-10, rtol=1e-10)
    ratio = (10**a / (10**b * counts.double())).sqrt()
    torch.testing.assert_close(frame.means, ratio[:, None] * frame.weight, atol=1e-10, rtol=1e-10)
    assert ((sigma > 0) == (counts > N**2 * 10 ** (a + b))).all()


def test_too_small_a_dimension_keeps_the_largest_classes():
    frame = orthogonal_frame(torch.tensor([9, 4, 4, 1]), 2, 1e-2, 1e-2)
    assert frame.singular_values.tolist() == pytest.approx([3 - 0.18, 2 - 0.18])
    assert not frame.unique  # two classes of 4 compete for the second dimension
    assert orthogonal_frame(torch.tensor([9, 4, 4, 1]), 3, 1e-2, 1e-2).unique


def test_equal_classes_with_a_bias_make_a_simplex():
    frame = orthogonal_frame(torch.full((5,), 3), 4, 1e-3, 1e-3, bias=True)
    gram = frame.weight @ frame.weight.T
    simplex = torch.eye(5, dtype=torch.float64) - 0.2
    torch.testing.assert_close(gram / gram[0, 0], simplex / simplex[0, 0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.tensor([2, 0]), 2, 0.1, 0.1), "at least one sample in every class"),
        ((torch.tensor([2, 1]), 0, 0.1, 0.1), "dim of at least 1"),
        ((torch.tensor([2, 1]), 2, -0.1, 0.1), "decays above 0"),
    ],
)
def test_impossible_requests_get_a_sentence(arguments, words):
    with pytest.raises(InputError, match=words):
        orthogonal_frame(*arguments)
