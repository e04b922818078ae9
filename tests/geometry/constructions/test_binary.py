"""Large binary codes: all pairs at once, by the correlations of products of their sign rows with all linear words."""

from itertools import islice

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard

from neucollapse import InputError
from neucollapse.geometry import coherence, max_cosine
from neucollapse.geometry.constructions import binary_code, delsarte_goethals, dual_bch, gold, kerdock
from neucollapse.geometry.constructions._binary import _power_signs, _quadratic_signs


def walsh(rows):
    """Correlations (n, d) of rows of signs with all linear words: integers, which float32 holds exactly."""
    return rows.astype(np.float32) @ hadamard(rows.shape[1], dtype=np.float32)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 6])
def test_kerdock_forms_are_pairwise_unbiased(m):
    """Two bases of signs are unbiased iff the product of their sign rows correlates ±sqrt(d) with every linear word."""
    d = 4**m
    forms = np.stack(list(_quadratic_signs(m, 1))).astype(np.int8)
    assert forms.shape == (d // 2, d)
    for i in range(
        0, d // 2, max(1, d * d // 16384)
    ):  # all pairs for d <= 64, then ever fewer forms against all others
        others = np.delete(forms, i, axis=0)
        assert (np.abs(walsh(forms[i] * others)) == 2**m).all()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_kerdock_points_in_order(m):
    d = 4**m
    points = kerdock(m)
    assert points.shape == (d * (d + 2), d)
    bases = points.view(d // 2 + 1, 2, d, d)
    eye = torch.eye(d, dtype=torch.float64)
    assert torch.equal(bases[0, 0], eye)
    assert torch.equal(bases[:, 0], -bases[:, 1])
    assert torch.equal(bases[:, 0] @ bases[:, 0].mT, eye.expand(d // 2 + 1, d, d))
    assert torch.equal(bases[1:, 0, 0] * 2**m, torch.from_numpy(np.stack(list(_quadratic_signs(m, 1)))))
    lines = kerdock(m, lines=True)
    assert torch.equal(lines, bases[:, 0].reshape(-1, d))
    assert abs(coherence(lines) - 2.0**-m) < 1e-14
    assert abs(max_cosine(kerdock(m, 2 * d))) < 1e-15  # the orthoplex


def test_kerdock_prefix():
    points = kerdock(5, 5000)
    assert points.shape == (5000, 1024)
    assert abs(max_cosine(points[::4]) - 1 / 32) < 1e-14
    assert torch.equal(kerdock(5, 700), points[:700])


@pytest.mark.parametrize(("m", "r"), [(2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 2)])
def test_delsarte_goethals_distances(m, r):
    d = 4**m
    forms = np.stack(list(islice(_quadratic_signs(m, r), 4096))).astype(np.int8)
    assert len(np.unique(forms, axis=0)) == min(4096, (d // 2) ** r)
    worst = 0
    for i in range(0, len(forms), len(forms) // 8):
        worst = max(worst, int(np.abs(walsh(forms[i] * np.delete(forms, i, axis=0))).max()))
    assert worst == 2 ** (m + r - 1)


@pytest.mark.parametrize(
    ("m", "t", "largest"),
    [
        (3, 2, 4),
        (4, 2, 8),
        (5, 2, 8),
        (6, 2, 16),
        (7, 2, 16),
        (8, 2, 32),
        (9, 2, 32),
        (5, 3, 16),
        (6, 3, 32),
        (7, 3, 32),
    ],
)
def test_dual_bch_words(m, t, largest):
    """The code is linear: the products of two words are its words, and all correlations are those with the zero word."""
    forms = np.stack(list(islice(_power_signs(m, t), 4096)))  # all but for (7, 3)
    assert forms.shape == (min(4096, 2 ** (m * (t - 1))), 2**m)
    assert int(np.abs(walsh(forms[1:])).max()) == largest
    products = forms[len(forms) // 3] * forms[len(forms) // 2]
    assert sum((walsh(products * forms[:1024]) == 2**m).any(axis=1)) == (1 if len(forms) <= 1024 else 0)


def test_dual_bch_points():
    assert torch.equal(dual_bch(4, 1, 16) * 4, torch.from_numpy(hadamard(16).astype(float)))
    points = dual_bch(4, 2)
    assert len(points.unique(dim=0)) == 2 ** (4 * 2 + 1)
    assert abs(max_cosine(points) - 0.5) < 1e-14
    assert abs(coherence(dual_bch(5, 2, lines=True)) - 0.25) < 1e-14
    assert len(dual_bch(5, 2, lines=True)) == 2**10


@pytest.mark.parametrize(("m", "largest"), [(3, 3), (4, 7), (5, 7), (6, 15)])
def test_gold(m, largest):
    points = gold(m)
    d = 2**m - 1
    assert points.shape == (d * (d + 2), d)
    assert abs(max_cosine(points) - largest / d) < 1e-14
    words = points < 0
    assert len(words.unique(dim=0)) == len(words)
    together = torch.cat([words, words.roll(1, dims=1)])
    assert len(together.unique(dim=0)) == len(words)  # every shift of a word is a word
    first = points[:d] @ points[:d].T
    torch.testing.assert_close(first, torch.eye(d, dtype=torch.float64) * (1 + 1 / d) - 1 / d, rtol=0, atol=1e-14)


@pytest.mark.parametrize("m", [7, 9, 11])
def test_gold_correlations_of_all_pairs(m):
    """The words without x = 0 are a linear code: the largest correlation of a pair is the largest sum of a word."""
    forms = np.stack(list(islice(_power_signs(m, 2), 1, 513)))
    assert set(np.unique(walsh(forms))) == {-(2 ** ((m + 1) // 2)), 0, 2 ** ((m + 1) // 2)}
    d = 2**m - 1
    points = gold(m, 2 * d)
    assert points.shape == (2 * d, d)
    sums = points.sum(dim=1) * d**0.5
    assert abs(float(sums.max()) - (2 ** ((m + 1) // 2) - 1)) < 1e-9
    assert torch.equal(gold(m, d + 5), points[: d + 5])


def test_binary_code():
    words = np.random.default_rng(0).integers(0, 2, size=(20, 33))
    points = binary_code(words)
    distances = (words[:, None] != words).sum(axis=2)
    torch.testing.assert_close(points @ points.T, torch.from_numpy(1 - 2 * distances / 33), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: kerdock(0), "m .* >= 1, got 0"),
        (lambda: kerdock(1, 25), "count .* <= 24, got 25"),
        (lambda: kerdock(1, 13, lines=True), "count .* <= 12, got 13"),
        (lambda: delsarte_goethals(2, 3), "r .* <= 2, got 3"),
        (lambda: dual_bch(4, 3), "t .* <= 2, got 3"),
        (lambda: gold(2), "m .* >= 3, got 2"),
        (lambda: gold(3, True), "count .* got True"),
        (lambda: binary_code([[0, 2]]), "zeros and ones"),
    ],
)
def test_impossible_requests(call, said):
    with pytest.raises(InputError, match=said):
        call()
