"""Bounds against codes that meet them, against each other, and proofs checked without the solver."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import eval_gegenbauer, roots_jacobi

from neucollapse import InputError
from neucollapse.geometry import best_known, icosahedron, max_cosine, orthoplex, polygon, simplex
from neucollapse.geometry.bounds import (
    DelsarteBound,
    _delsarte,
    best_bound,
    delsarte,
    fejes_toth,
    higher_welch,
    levenshtein,
    levenshtein_lines,
    margin_gamma,
    margin_upper,
    orthoplex_lines,
    rankin,
    welch,
)
from neucollapse.geometry.bounds._gegenbauer import maximum, monomials, values
from neucollapse.geometry.bounds._levenshtein import design_size, largest_zero

SHARP = {
    (3, 12): 5**-0.5, (5, 16): 1 / 5, (6, 27): 1 / 4, (7, 56): 1 / 3, (8, 240): 1 / 2, (21, 112): 1 / 9,
    (21, 162): 1 / 7, (22, 100): 1 / 11, (22, 275): 1 / 6, (22, 891): 1 / 4, (23, 552): 1 / 5, (23, 4600): 1 / 3,
    (24, 196560): 1 / 2, (4, 5): -1 / 4, (4, 8): 0.0,
}  # fmt: skip

# Linear programs of degree 16 on a grid, printed to five digits: upper figures for any certified value.
GRID = {
    (3, 7): 0.14399, (3, 24): 0.71389, (4, 10): 0.13599, (4, 24): 0.47855, (4, 120): 0.80850, (5, 40): 0.46452,
    (10, 100): 0.27845, (16, 100): 0.15330, (16, 288): 0.24159, (64, 1000): 0.09164, (64, 4224): 0.12352,
}  # fmt: skip


def name(size):
    return "-".join(map(str, size))


@pytest.mark.parametrize("size", SHARP, ids=name)
def test_levenshtein_is_tight_at_sharp_codes(size):
    d, K = size
    assert levenshtein(K, d) == pytest.approx(SHARP[size], abs=1e-14)


@pytest.mark.parametrize("d", [3, 4, 8, 25])
def test_levenshtein_is_continuous_increasing_and_meets_tight_designs(d):
    sizes = [design_size(d, m) for m in range(2, 9)]
    around = [levenshtein(K + shift, d) for K in sizes for shift in (-1, 0, 1) if K + shift >= 2]
    assert around == sorted(around)
    for m, K in enumerate(sizes, start=2):  # at a tight design s is the largest zero of an adjacent polynomial
        nodes, _ = roots_jacobi(m // 2, 1 + (d - 3) / 2, m % 2 + (d - 3) / 2)
        assert levenshtein(K, d) == pytest.approx(nodes.max(), abs=1e-13)
        assert largest_zero(m // 2, d, 1, m % 2) == pytest.approx(nodes.max(), abs=1e-13)


def test_levenshtein_for_many_points():
    assert levenshtein(7, 2) == pytest.approx(max_cosine(polygon(7)), abs=1e-15)
    assert levenshtein(10**5, 3) < fejes_toth(10**5) < 1
    assert 0 < levenshtein(10**6, 10**5) < 1e-3


@pytest.mark.parametrize("size", SHARP, ids=name)
def test_delsarte_is_tight_and_below_at_sharp_codes(size):
    d, K = size
    bound = delsarte(K, d)
    exact = Fraction(1, 5) if size == (3, 12) else Fraction(SHARP[size]).limit_denominator(100)
    value = Fraction(bound.value)
    assert value**2 <= exact if size == (3, 12) else value <= exact
    assert bound.value == pytest.approx(SHARP[size], abs=2e-8)
    assert bound.largest_size() < K


@pytest.mark.parametrize("size", GRID, ids=name)
def test_delsarte_against_grid_programs(size):
    d, K = size
    bound = delsarte(K, d)
    assert GRID[size] - 1e-5 < bound.value < GRID[size] + 5e-6
    assert bound.value > levenshtein(K, d) - 1e-9
    assert K - 1e-3 < bound.largest_size() < K


def test_delsarte_for_the_600_cell_needs_degree_17():
    cell = (1 + 5**0.5) / 4
    assert delsarte(120, 4).value < cell - 1e-4
    assert cell - 1e-6 < delsarte(120, 4, 17).value <= cell


def test_delsarte_of_the_lowest_degrees():
    assert delsarte(2, 3).value == -1
    assert delsarte(4, 8, 1).value == pytest.approx(-1 / 3, abs=1e-9)  # the centre of gravity: -1/(K-1)
    assert -1e-8 < delsarte(8, 4, 2).value <= 0
    assert delsarte(1000, 3, 4).value < delsarte(1000, 3, 8).value < levenshtein(1000, 3)


def test_the_proof_is_independent_of_the_solver():
    """The polynomial of (10, 100), evaluated by SciPy, does what the certificate says it does."""
    bound = delsarte(100, 10)
    t = np.linspace(-1, bound.value, 20_001)
    P = [eval_gegenbauer(k, 4, t) / eval_gegenbauer(k, 4, 1.0) for k in range(1, 17)]
    g = np.tensordot(bound.coefficients, P, axes=1)
    size = float(bound.largest_size())
    assert 1 - sum(bound.coefficients) / g.max() == pytest.approx(size, rel=1e-6)
    assert 1 - sum(bound.coefficients) / g.max() <= size * (1 + 1e-12)


def test_a_false_proof_is_refused():
    bound = delsarte(240, 8)
    too_far = DelsarteBound(240, 8, 0.5 + 1e-6, bound.coefficients)
    assert too_far.largest_size() > 240
    with pytest.raises(InputError, match="negative on"):
        DelsarteBound(240, 8, 0.9, bound.coefficients).largest_size()
    with pytest.raises(InputError, match=">= 0"):
        DelsarteBound(240, 8, 0.1, (1.0, -1e-9)).largest_size()
    with pytest.raises(InputError, match=">= 0"):
        DelsarteBound(240, 8, 0.1, (math.nan,)).largest_size()


@pytest.mark.parametrize("size", [(3, 12), (8, 240)], ids=name)
def test_a_careless_program_costs_tightness_never_truth(size, monkeypatch):
    """On a coarse grid alone the program claims too much; what is returned is proved all the same."""
    monkeypatch.setattr(
        _delsarte, "_peaks", lambda *_: np.ones(1)
    )  # looks for trouble at the end of the interval alone
    d, K = size
    assert _delsarte._crossing(K, _delsarte._Programs(d, 16)) > SHARP[size] + 1e-6
    bound = delsarte.__wrapped__(K, d)
    assert bound.largest_size() < K
    assert SHARP[size] - 0.1 < bound.value < SHARP[size]


def test_exact_maximum():
    slack = Fraction(1, 10**12)
    wave = monomials(9, 2)[9]  # Chebyshev: maximum 1, reached four times inside and at the end
    top = maximum(wave, Fraction(-1), Fraction(1), slack)
    assert 1 <= top <= 1 + slack
    hill = [Fraction(0), Fraction(2), Fraction(-3)]  # 2t - 3t^2: 1/3 at t = 1/3, which no halving meets
    assert Fraction(1, 3) < maximum(hill, Fraction(-1), Fraction(1), slack) <= Fraction(1, 3) + slack
    assert maximum(hill, Fraction(-1), Fraction(1, 4), slack) == Fraction(5, 16) + slack
    assert maximum(hill, Fraction(-1), Fraction(-1), slack) == -5 + slack


@pytest.mark.parametrize("d", [2, 3, 24])
def test_gegenbauer_polynomials(d):
    t = np.linspace(-1, 1, 7)
    powers = t[:, None] ** np.arange(13)
    for k, row in enumerate(monomials(12, d)):
        reference = (
            np.cos(k * np.arccos(t)) if d == 2 else eval_gegenbauer(k, d / 2 - 1, t) / eval_gegenbauer(k, d / 2 - 1, 1)
        )
        np.testing.assert_allclose(values(12, d, t)[:, k], reference, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(powers[:, : k + 1] @ np.array(row, dtype=float), reference, rtol=1e-9, atol=1e-10)
        assert sum(row) == 1


def test_rankin_and_fejes_toth_at_their_codes():
    assert rankin(5, 7) == pytest.approx(max_cosine(simplex(5, 7)), abs=1e-15)
    assert rankin(9, 7) == pytest.approx(max_cosine(orthoplex(9, 7)), abs=1e-15) == 0
    for K, code in ((3, simplex(3)), (4, simplex(4)), (6, orthoplex(6, 3)), (12, icosahedron())):
        assert fejes_toth(K) == pytest.approx(max_cosine(code), abs=1e-15)


@pytest.mark.slow
def test_no_bound_exceeds_a_code_on_record():
    """Sizes with a known code: the bounds stay below, Levenshtein's and Fejes Toth's too."""
    sizes = [(K, d) for d in (2, 3, 4, 5, 8) for K in range(d + 2, 60)]
    known = [best for best in (best_known(K, d) for K, d in sizes) if best.status != "bound"]
    assert len(known) > 80
    for best in known:
        K, d, s = best.K, best.d, best.max_cosine
        assert levenshtein(K, d) <= s + 1e-12
        if d == 3:
            assert fejes_toth(K) <= s + 1e-12
        assert best_bound(K, d, "softmax").value >= best.margin - 1e-12


LINES = {
    (2, 3): 1 / 2, (3, 6): 5**-0.5, (5, 10): 1 / 3, (6, 16): 1 / 3, (7, 28): 1 / 3, (15, 36): 1 / 5, (21, 126): 1 / 5,
    (22, 176): 1 / 5, (23, 276): 1 / 5, (6, 36): 1 / 2, (7, 63): 1 / 2, (8, 120): 1 / 2, (16, 144): 1 / 4, (64, 2112): 1 / 8,
}  # fmt: skip


@pytest.mark.parametrize("size", LINES, ids=name)
def test_lines_meet_their_bounds(size):
    d, K = size
    bound = best_bound(K, d, "grassmannian")
    assert bound.value == pytest.approx(LINES[size], abs=1e-14)
    assert bound.name == (
        "plane" if d == 2 else "orthoplex" if d in (16, 64) else "Levenshtein" if d * (d + 1) // 2 < K else "Welch"
    )


def test_bounds_on_lines_one_by_one():
    assert welch(28, 7) == pytest.approx(1 / 3, abs=1e-15)
    assert welch(5, 5) == welch(3, 5) == 0
    assert orthoplex_lines(144, 16) == levenshtein_lines(144, 16) == pytest.approx(1 / 4)
    assert higher_welch(50, 4, 1) == higher_welch(50, 4, 1, field="real") == pytest.approx(welch(50, 4), abs=1e-15)
    assert higher_welch(50, 4, 3) == pytest.approx(((50 / 20 - 1) / 49) ** (1 / 6))
    assert higher_welch(50, 4, 3, field="real") == pytest.approx(((50 * 15 / (4 * 6 * 8) - 1) / 49) ** (1 / 6))
    assert higher_welch(3, 4, 2) == 0
    assert best_bound(50, 4, "grassmannian").value >= higher_welch(50, 4, 3, field="real")


def test_bounds_on_margins():
    assert margin_upper(2, 1) == 2
    assert margin_upper(5, 4) == 1.25
    assert margin_upper(6, 4) == margin_upper(10**6, 4) == 1
    assert margin_upper(7, 2) == pytest.approx(1 - math.cos(2 * math.pi / 7), abs=1e-15)
    assert margin_upper(3, 1) == 0
    for K, d in ((100, 10), (12, 3), (7, 2), (1000, 512)):
        half, whole = math.gamma((d + 1) / 2) if d < 300 else None, None
        lower, upper = margin_gamma(K, d)
        assert lower < upper
        if half is not None:
            whole = math.sqrt(math.pi) / K * half
            assert lower == pytest.approx(0.5 * (whole / math.gamma(d / 2 + 1)) ** (2 / (d - 1)))
            assert upper == pytest.approx(2 * (2 * whole / math.gamma(d / 2)) ** (1 / (d - 1)))
        assert lower <= best_known(K, d).margin
    assert best_bound(100, 3, "softmax").name == "packing"
    assert best_bound(30, 10, "softmax").name == "Radon"
    assert best_bound(100, 10, "softmax").name == "doubling"


def test_best_bound_picks_the_tightest():
    assert best_bound(3, 1).value == 1
    assert best_bound(5, 2).value == pytest.approx(max_cosine(polygon(5)), abs=1e-15)
    assert (best_bound(5, 4).name, best_bound(8, 5).name, best_bound(240, 8).name) == (
        "Rankin",
        "Rankin",
        "Levenshtein",
    )
    assert best_bound(24, 4).name == "Delsarte"
    assert best_bound(24, 4).value == delsarte(24, 4).value
    assert best_bound(10**6, 3).name == "Fejes Toth"
    assert best_bound(10**6, 64).value == levenshtein(10**6, 64)
    assert best_bound(7, 3, "grassmannian").value == pytest.approx(
        3**-0.5
    )  # known best: 1/sqrt(3), the cube's diagonals


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rankin(1, 3), "K .* >= 2"),
        (lambda: fejes_toth(2), "at least 3 points"),
        (lambda: levenshtein(5, 1), "d >= 2"),
        (lambda: delsarte(5, 1), "d >= 2"),
        (lambda: delsarte(5, 3, 0), "degree .* got 0"),
        (lambda: orthoplex_lines(10, 4), r"K > d\(d\+1\)/2 = 10"),
        (lambda: levenshtein_lines(3, 4), "got K = 3"),
        (lambda: higher_welch(5, 3, 0), "order k"),
        (lambda: higher_welch(5, 3, 2, field="octonion"), "complex"),
        (lambda: margin_upper(5, 0), "d .* >= 1"),
        (lambda: margin_gamma(5, 1), "d >= 2"),
        (lambda: best_bound(5, 3, "sphere"), "'grassmannian'"),
    ],
)
def test_impossible_arguments(call, said):
    with pytest.raises(InputError, match=said):
        call()


@pytest.mark.parametrize(("K", "d"), [(13, 3), (24, 3), (40, 3), (120, 4), (40, 5), (240, 8), (100, 10)])
def test_doubling_bounds_margins_that_are_reached(K, d):
    # rho <= 1 - s*(K, 2d); the margins of the best codes known lie below it, and it beats Radon's 1 where K > 4d.
    bound = best_bound(K, d, "softmax")
    assert best_known(K, d).margin <= bound.value
    assert bound.value <= 1 - best_bound(K, 2 * d).value
    assert bound.value < 1
