"""The Golay code and the Leech lattice: their enumerators, and the inner products that make the sections sharp."""

import numpy as np
import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import constructions
from neucollapse.geometry.constructions import leech
from neucollapse.geometry.constructions._leech import golay_words


def test_golay_weights_and_linearity():
    words = golay_words()
    weights, counts = np.unique(words.sum(axis=1), return_counts=True)
    assert dict(zip(weights.tolist(), counts.tolist(), strict=True)) == {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}
    assert len(np.unique(words, axis=0)) == 4096
    basis = words[2 ** np.arange(12)]
    assert (words @ basis.T % 2 == 0).all()  # self-dual


@pytest.mark.parametrize("row", [0, 1500, 98_000, 196_559])
def test_leech_inner_products(row):
    """The numbers of shortest vectors at each inner product with one: Conway and Sloane, chapter 4."""
    points = leech()
    values, counts = torch.unique((4 * points @ points[row]).round(decimals=9), return_counts=True)
    assert values.tolist() == [-4, -2, -1, 0, 1, 2, 4]
    assert counts.tolist() == [1, 4600, 47104, 93150, 47104, 4600, 1]


def test_leech_prefix():
    assert torch.equal(leech(2000), leech()[:2000])
    with pytest.raises(InputError, match=r"count .* <= 196560"):
        leech(196_561)


@pytest.mark.parametrize(
    ("name", "cosines"),
    [
        ("mclaughlin", [-1 / 4, 1 / 6]),
        ("mclaughlin_112", [-1 / 3, 1 / 9]),
        ("mclaughlin_162", [-2 / 7, 1 / 7]),
        ("higman_sims", [-4 / 11, 1 / 11]),
        ("conway_891", [-1 / 2, -1 / 8, 1 / 4]),
        ("equiangular_552", [-1, -1 / 5, 1 / 5]),
        ("equiangular_352", [-1, -1 / 5, 1 / 5]),
        ("equiangular_252", [-1, -1 / 5, 1 / 5]),
        ("conway_4600", [-1, -1 / 3, 0, 1 / 3]),
        ("e8_roots", [-1, -1 / 2, 0, 1 / 2]),
        ("gosset", [-1, -1 / 3, 1 / 3]),
        ("schlaefli", [-1 / 2, 1 / 4]),
        ("clebsch", [-3 / 5, 1 / 5]),
        ("petersen", [-2 / 3, 1 / 6]),
    ],
)
def test_inner_products_of_sharp_codes(name, cosines):
    """As tabled by Levenshtein, and Cohn and Kumar: m inner products, and the sums of a design."""
    points = getattr(constructions, name)()
    K, d = points.shape
    gram = points[:50] @ points.T
    found = torch.unique(gram[gram < 1 - 1e-9].round(decimals=12))
    torch.testing.assert_close(found, torch.tensor(cosines, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(points.sum(dim=0), torch.zeros(d, dtype=torch.float64), rtol=0, atol=1e-11)
    frame = points.T @ points
    torch.testing.assert_close(frame, torch.eye(d, dtype=torch.float64) * K / d, rtol=0, atol=1e-11 * K)
