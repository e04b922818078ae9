"""one_vs_rest against closed values, an independent solver, and what must hold for any points."""

import itertools
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy.optimize import nnls

from neucollapse import InputError, MissingExtraError, NonFiniteError
from neucollapse.geometry import (
    icosahedron,
    max_cosine,
    one_vs_rest,
    orthoplex,
    polygon,
    simplex,
    unit_rows,
)
from neucollapse.geometry.hull._compiled import one_by_one
from neucollapse.geometry.hull._one_vs_rest import own_units


def gaussian(K, d, seed=0):
    return torch.randn(K, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_distance(W, k):
    """min |w_k - sum lam_j w_j| by SciPy's Lawson-Hanson on the least-distance form: u >= 0, lam = u / sum(u)."""
    P = np.delete(np.asarray(W), k, axis=0) - np.asarray(W)[k]
    size = np.abs(P).max() or 1.0
    A = np.vstack([P.T / size, np.ones(len(P))])
    u, _ = nnls(A, np.append(np.zeros(P.shape[1]), 1.0), maxiter=10_000)
    return np.linalg.norm(u / u.sum() @ P)


def e8_roots():
    pairs = itertools.combinations(range(8), 2)
    whole = [
        [a if i == p else b if i == q else 0 for i in range(8)] for p, q in pairs for a in (1, -1) for b in (1, -1)
    ]
    half = [list(signs) for signs in itertools.product((0.5, -0.5), repeat=8) if math.prod(signs) > 0]
    return torch.tensor(whole + half, dtype=torch.float64) / 2**0.5


def check_certificate(W, result, tolerance=1e-12):
    """What every result promises, checked from its own nearest points and supports in plain sums."""
    W = torch.as_tensor(W, dtype=torch.float64)
    scale = float((W - W.mean(0)).norm(dim=1).max())
    assert (result.gap >= 0).all()
    assert (result.gap <= tolerance * scale).all()
    for k, distance, gap, point, support in zip(
        result.classes, result.distance, result.gap, result.nearest, result.support, strict=True
    ):
        assert k not in support.classes
        assert (support.weights > 0).all()
        assert float(support.weights.sum()) == pytest.approx(1, abs=1e-13)
        torch.testing.assert_close(
            support.weights @ W[support.classes], point, rtol=0, atol=1e-12 * max(1, float(W.abs().max()))
        )
        towards = W[k] - point
        assert float(towards.norm()) == pytest.approx(float(distance), abs=2e-12 * scale)
        if distance > 1e-3 * scale:  # the separating hyperplane, re-evaluated: a lower bound on the distance
            others = torch.cat([W[:k], W[k + 1 :]])
            lower = float(((W[k] - others) @ towards).min() / towards.norm())
            assert lower >= float(distance - gap) - 1e-13 * scale


@pytest.mark.parametrize(
    ("W", "expected"),
    [
        (simplex(2), 2.0),
        (simplex(10), 10 / 9),
        (simplex(10, 32), 10 / 9),
        (simplex(100), 100 / 99),
        (polygon(5), 1 - math.cos(2 * math.pi / 5)),
        (polygon(8), 0.2928932188134524),
        (polygon(100), 1 - math.cos(2 * math.pi / 100)),
        (orthoplex(10, 5), 1.0),
        (orthoplex(8, 5), 1.0),
        (orthoplex(128, 64), 1.0),
        (icosahedron(), 1 - 1 / 5**0.5),
        (e8_roots(), 0.5),
        (torch.eye(6), (1 + 1 / 5) ** 0.5),
        (
            torch.tensor(list(itertools.product((0.0, 1.0), repeat=6))),
            6**-0.5,
        ),  # a corner to the simplex on its neighbours
    ],
)
def test_closed_values(W, expected):
    result = one_vs_rest(W)
    torch.testing.assert_close(
        result.distance, torch.full((len(W),), expected, dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert result.margin == pytest.approx(expected, abs=1e-12)
    check_certificate(W, result)


def test_not_one_orthoplex():
    triangle_and_pair = torch.zeros(5, 3, dtype=torch.float64)
    triangle_and_pair[:3, :2] = polygon(3)
    triangle_and_pair[3:, 2] = torch.tensor([1.0, -1.0])
    torch.testing.assert_close(
        one_vs_rest(triangle_and_pair).distance, torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(("K", "d"), [(2, 1), (3, 2), (8, 2), (20, 2), (30, 5), (60, 10), (12, 12), (40, 60), (90, 30)])
@pytest.mark.parametrize("unit", [True, False])
def test_against_nnls(K, d, unit):
    W = gaussian(K, d, seed=K + d)
    W = unit_rows(W) if unit else W
    result = one_vs_rest(W)
    slow = [slow_distance(W, k) for k in range(K)]
    np.testing.assert_allclose(result.distance, slow, rtol=0, atol=1e-10)
    check_certificate(W, result)


def test_gradient_descent_fails_here():
    """peers.md 3: the published sub-gradient ascent gives -1.899 on 8 random points of the circle, where the truth is > 0."""
    W = unit_rows(gaussian(8, 2, seed=3))
    angles = torch.atan2(W[:, 1], W[:, 0]).sort().values
    gaps = torch.diff(angles, append=angles[:1] + 2 * math.pi)
    left, right = (
        gaps,
        gaps.roll(1),
    )  # on the circle: the distance to the chord of the two neighbours, if it is nearer than both ends
    chord = [slow_distance(W, k) for k in range(8)]
    result = one_vs_rest(W)
    np.testing.assert_allclose(result.distance, chord, atol=1e-12)
    assert result.margin > 0
    height = 2 * (left / 2).sin() * (right / 2).sin()  # of the triangle on two neighbours
    assert result.margin == pytest.approx(float(height.min()), abs=1e-12)


def test_inside_duplicate_and_unequal_norms():
    W = torch.tensor([[2.0, 0.0], [-1.0, 1.0], [-1.0, -1.0], [0.0, 0.0], [2.0, 0.0]])
    result = one_vs_rest(W)
    assert result.distance[[0, 3, 4]].tolist() == [0, 0, 0]  # exactly
    torch.testing.assert_close(result.nearest[3], torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-14)
    assert result.distance[1] == pytest.approx(slow_distance(W.double(), 1), abs=1e-14)
    two = one_vs_rest([[0.0, 3.0], [4.0, 0.0]])
    assert two.distance.tolist() == [5.0, 5.0]
    assert two.support[0].classes.tolist() == [1]
    assert one_vs_rest(torch.ones(4, 3)).distance.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [1e-2, 1e-5, 1e-8, 1e-10])
def test_tiny_distances_keep_their_certificate(size):
    """A pair so near that its chord is lost in the Gram matrix, and a class just outside the hull of the others."""
    W = unit_rows(gaussian(40, 8))
    W[1] = W[0] + size * gaussian(1, 8, seed=1)[0]
    face = one_vs_rest(W, classes=[7])
    outward = (W[7] - face.nearest[0]) / face.distance[0]
    W[7] = face.nearest[0] + size * outward
    result = one_vs_rest(W)
    check_certificate(W, result)
    assert result.distance[7] == pytest.approx(size, rel=1e-3 if size > 1e-9 else 1e-2)


@pytest.mark.parametrize(
    "W",
    [
        torch.cat([gaussian(59, 10), 1e6 * gaussian(1, 10, seed=1)]),
        gaussian(100, 10) * torch.logspace(0, -8, 10, dtype=torch.float64),
        torch.cat([gaussian(40, 40), gaussian(40, 40) + 1e-6 * gaussian(40, 40, seed=1)]),
        gaussian(60, 10) * 1e-3 + 1e4,
        torch.tensor(list(itertools.product(range(4), repeat=3))).double(),
        gaussian(50, 3) @ gaussian(3, 20, seed=1),
        gaussian(30, 200),
    ],
    ids=["outlier", "graded", "near-duplicates", "offset", "grid", "low-rank", "wide"],
)
def test_hard_cases_reach_the_tolerance(W):
    result = one_vs_rest(W)
    scale = float((W - W.mean(0)).norm(dim=1).max())
    assert (result.gap >= 0).all()
    assert (result.gap <= 1e-12 * scale).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 12), st.integers(0, 10_000))
def test_margin_is_at_least_one_minus_the_largest_cosine(K, d, seed):
    W = unit_rows(gaussian(K, d, seed=seed))
    result = one_vs_rest(W)
    check_certificate(W, result)
    assert result.margin >= 1 - max_cosine(W) - 1e-12
    if d <= K - 2:
        assert result.margin <= 1 + 1e-12  # Radon
    assert result.margin <= K / (K - 1) + 1e-12


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 25), st.integers(1, 10), st.integers(0, 10_000), st.sampled_from([1e-200, 1e-3, 7.0, 1e200]))
def test_invariances(K, d, seed, factor):
    W = gaussian(K, d, seed=seed)
    base = one_vs_rest(W).distance
    Q = torch.linalg.qr(gaussian(d, d, seed=seed + 1)).Q
    order = torch.randperm(K, generator=torch.Generator().manual_seed(seed))
    close = {"rtol": 0, "atol": 1e-11}
    torch.testing.assert_close(one_vs_rest(W @ Q).distance, base, **close)
    torch.testing.assert_close(one_vs_rest(W[order]).distance, base[order], **close)
    torch.testing.assert_close(one_vs_rest(W + 10).distance, base, **close)
    torch.testing.assert_close(one_vs_rest(W * factor).distance / factor, base, **close)


def test_some_classes_only(method):
    W = gaussian(30, 6)
    some = one_vs_rest(W, classes=[7, 3], method=method)
    torch.testing.assert_close(some.distance, one_vs_rest(W).distance[[7, 3]], rtol=0, atol=1e-12)
    assert some.classes.tolist() == [7, 3]


def test_input_types():
    W = gaussian(12, 4).float()
    expected = one_vs_rest(W.double()).distance
    for given_W in (torch.nn.Parameter(W), W.numpy(), W.tolist()):
        result = one_vs_rest(given_W)
        assert result.distance.dtype == torch.float64
        assert not result.distance.requires_grad
        torch.testing.assert_close(result.distance, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("W", [torch.ones(1, 3), torch.ones(3), torch.ones(2, 2, 2), torch.ones(2, 0), "points", None])
def test_refuses_what_is_no_code(W):
    with pytest.raises(InputError, match="expected W as a"):
        one_vs_rest(W)


def test_refuses_bad_arguments():
    with pytest.raises(NonFiniteError, match="1 of 3: 1"):
        one_vs_rest(torch.tensor([[0.0], [math.nan], [1.0]]))
    for classes in ([3], [-1], [], [0.5], [[0]]):
        with pytest.raises(InputError, match="expected classes"):
            one_vs_rest(torch.eye(3), classes=classes)
    with pytest.raises(InputError, match="tolerance"):
        one_vs_rest(torch.eye(3), tolerance=0)
    with pytest.raises((InputError, TypeCheckError), match="method"):  # types are executed in tests
        one_vs_rest(torch.eye(3), method="compile")
    with pytest.raises(InputError, match="mixed"):
        one_vs_rest(torch.zeros(20_000, 1), method="mixed")


def test_compiled_code_that_is_not_there_is_asked_for(monkeypatch):
    monkeypatch.setattr("neucollapse.geometry.hull._one_vs_rest.numba_available", lambda: False)
    for asked in ("compiled", "mixed"):
        with pytest.raises(MissingExtraError, match="numba"):
            one_vs_rest(torch.eye(3), method=asked)


@pytest.fixture(params=["plain", "compiled", "mixed"])
def method(request):
    """The same question by each of the ways there are."""
    if request.param != "plain":
        pytest.importorskip("numba")
    return request.param


def contacts(K, d, seed=0):
    """A code whose closest pairs are pushed apart: supports of about d members, as training leaves them."""
    W = gaussian(K, d, seed=seed)
    for _ in range(200):
        W = unit_rows(W)
        pull = torch.softmax(40 * (W @ W.T - 2 * torch.eye(K)), dim=1)
        W = W - 0.1 * pull @ W
    return unit_rows(W)


def trained(K, d):
    """Class means whose norms differ, some of them inside the hull of the others."""
    return unit_rows(gaussian(K, d, seed=1)) * torch.linspace(0.05, 1, K, dtype=torch.float64)[:, None]


@pytest.mark.parametrize(
    "W",
    [
        unit_rows(gaussian(80, 10)),
        contacts(90, 12),
        trained(80, 6),
        torch.cat([gaussian(40, 8), gaussian(40, 8)[:20], gaussian(40, 8)[:5]]),
        torch.tensor(list(itertools.product((0.0, 1.0, 2.0), repeat=4))).double(),
        gaussian(75, 4) @ gaussian(4, 30, seed=2),
    ],
    ids=["random", "contacts", "inside", "duplicates", "grid", "dependent"],
)
def test_all_ways_agree_with_nnls(W, method):
    result = one_vs_rest(W, method=method)
    scale = float((W - W.mean(0)).norm(dim=1).max())
    slow = np.array([slow_distance(W, k) for k in range(len(W))])
    far = slow > 1e-9 * scale  # inside the hull, SciPy stops at a distance its own rounding leaves
    np.testing.assert_allclose(result.distance[far], slow[far], rtol=0, atol=1e-12 * scale)
    assert (result.distance[~far] <= 1e-9 * scale).all()
    check_certificate(W, result)


def cell_24():
    pairs = itertools.combinations(range(4), 2)
    corners = [
        [a if i == p else b if i == q else 0 for i in range(4)] for p, q in pairs for a in (1, -1) for b in (1, -1)
    ]
    return torch.tensor(corners, dtype=torch.float64) / 2**0.5


@pytest.mark.parametrize(
    ("W", "expected"),
    [(simplex(80, 100), 80 / 79), (orthoplex(120, 60), 1.0), (e8_roots(), 0.5), (cell_24(), 0.5), (polygon(75), None)],
    ids=["simplex", "orthoplex", "E8", "24-cell", "polygon"],
)
def test_ties_end_in_compiled_code(W, expected):
    pytest.importorskip("numba")
    expected = 1 - math.cos(2 * math.pi / len(W)) if expected is None else expected
    points, scale = own_units(W)
    for batch in one_by_one(points, torch.arange(len(W)), 1e-12):  # alone: no second active set behind it
        assert float(batch.gap.max()) <= 1e-12
        np.testing.assert_allclose(batch.upper * scale, expected, rtol=0, atol=1e-12)
    check_certificate(W, one_vs_rest(W, method="compiled"))


@pytest.mark.parametrize("make", [gaussian, contacts], ids=["random", "contacts"])
@pytest.mark.parametrize("tabled", [True, False], ids=["one-table", "table-by-class"])
def test_candidates_that_miss_some_are_found_out(make, tabled):
    """A few candidates at first: later rounds must bring in the rest, on their own."""
    pytest.importorskip("numba")
    W, _ = own_units(unit_rows(make(150, 16)))
    k = torch.arange(150)
    (few,) = one_by_one(W, k, 1e-12, most=24, tabled=tabled, rounds=1)
    assert (few.gap > 1e-12).any()
    (all_,) = one_by_one(W, k, 1e-12, most=24, tabled=tabled)
    assert (all_.gap <= 1e-12).all()
    torch.testing.assert_close(all_.upper, one_vs_rest(W, method="plain").distance, rtol=0, atol=1e-12)


@pytest.mark.parametrize("most", [None, 24])
def test_single_precision_gets_there_alone(most):
    """Supports change after refinement where only double precision shows it: nothing else solves a class again."""
    pytest.importorskip("numba")
    W, _ = own_units(contacts(300, 40))
    (batch,) = one_by_one(W, torch.arange(300), 1e-12, single=True, most=most)
    assert float(batch.gap.max()) <= 1e-12
    torch.testing.assert_close(batch.upper, one_vs_rest(W, method="plain").distance, rtol=0, atol=1e-12)
    assert (batch.weight[batch.live] > 0).all()
    assert (batch.weight[~batch.live] == 0).all()
    point = (batch.weight[..., None] * W[batch.index]).sum(1) / batch.weight.sum(1, keepdim=True)
    torch.testing.assert_close(point, W[batch.k] + batch.offset, rtol=0, atol=1e-13)


@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
@pytest.mark.parametrize("tolerance", [1e-12, 1e-4])
def test_gaps_are_those_among_all_classes(single, tolerance):
    """Whatever the precision, and wherever it stops."""
    pytest.importorskip("numba")
    W, _ = own_units(contacts(300, 40))
    (batch,) = one_by_one(W, torch.arange(300), tolerance, single=single, most=45, rounds=1)
    normal = batch.offset / batch.upper[:, None]
    beyond = ((W[None] - W[:, None]) * normal[:, None]).sum(dim=2).fill_diagonal_(torch.inf)
    torch.testing.assert_close(batch.gap, (batch.upper - beyond.amin(dim=1)).clamp(min=0), rtol=0, atol=1e-14)
    assert float(batch.gap.max()) > 1e-3


def test_what_single_precision_cannot_tell_apart_is_found_otherwise():
    """Triples so tight that single precision gives their members equal inner products."""
    pytest.importorskip("numba")
    W = unit_rows(gaussian(40, 12)).repeat(3, 1) + 1e-6 * gaussian(120, 12, seed=1)
    (batch,) = one_by_one(own_units(W)[0], torch.arange(120), 1e-12, single=True)
    assert (batch.gap > 1e-12).any()
    check_certificate(W, one_vs_rest(W, method="mixed"))


def test_a_change_of_the_products_reaches_compiled_code():
    """Numba compiles an entry again when the file of the entry has changed, whatever became of the files beside it."""
    pytest.importorskip("numba")
    from neucollapse.geometry.hull import _pivots

    text = Path(_pivots.__file__).with_name("_products.py").read_text(encoding="utf-8")
    assert zlib.crc32(text.encode()) == _pivots._PRODUCTS, "set _PRODUCTS in _pivots.py to this checksum"


def test_threads_change_nothing(method):
    W = unit_rows(gaussian(200, 20))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = one_vs_rest(W, method=method)
        torch.set_num_threads(3)
        three = one_vs_rest(W, method=method)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one.distance, three.distance)
    assert torch.equal(one.nearest, three.nearest)


def test_what_compiled_code_leaves_is_taken_up(method):
    """A pair nearer than inner products can tell, which only the plain active set brings to the tolerance."""
    W = unit_rows(gaussian(80, 8))
    W[1] = W[0] + 1e-9 * gaussian(1, 8, seed=1)[0]
    check_certificate(W, one_vs_rest(W, method=method))
