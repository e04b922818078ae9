"""Excess is zero where theorems say so, and what it is elsewhere against values worked out here."""

import math

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import icosahedron, mean_energy, orthogonal_blocks, orthoplex, polygon, simplex, unit_rows
from neucollapse.geometry.atlas import best_known
from neucollapse.geometry.atlas._agreement import targets_agree
from neucollapse.geometry.atlas._excess import excess
from neucollapse.geometry.constructions import CATALOGUE

ALL = ["energy/0", "energy/1", "energy/2", "separation", "margin", "determinant"]


@pytest.mark.parametrize(
    "code",
    [simplex(7), simplex(4, 6), polygon(9), orthoplex(8, 4), icosahedron()],
    ids=["simplex", "simplex in 6", "polygon", "cross-polytope", "icosahedron"],
)
def test_nothing_lacks_where_all_targets_agree(code):
    found = excess(2 * code)
    assert list(found) == ALL
    assert targets_agree(*code.shape).agree
    for key, value in found.items():
        assert value.excess == pytest.approx(0, abs=1e-9), key  # the table of margins prints some twelve digits
        assert value.value == pytest.approx(value.best, abs=1e-9)


def test_energies_and_determinant_worked_out():
    """Six points in d = 3: a trigonal prism of square sides against the octahedron, pair by pair."""
    a, h = math.sqrt(4 / 7), math.sqrt(3 / 7)
    prism = torch.tensor(
        [[a * math.cos(t), a * math.sin(t), z] for z in (-h, h) for t in (0, 2 * math.pi / 3, 4 * math.pi / 3)]
    )
    side, across = a * math.sqrt(3), math.sqrt(3 * a * a + 4 * h * h)
    found = excess(prism)
    for s in (1, 2):
        energy = (9 * side**-s + 6 * across**-s) / 15
        least = (12 * 2 ** (-s / 2) + 3 * 2.0**-s) / 15
        assert found[f"energy/{s}"].excess == pytest.approx(energy - least, abs=1e-6)
    log_energy = -(9 * math.log(side) + 6 * math.log(across)) / 15
    assert found["energy/0"].excess == pytest.approx(log_energy + (6 * math.log(2) + 3 * math.log(2)) / 15, abs=1e-6)
    assert found["separation"].excess == pytest.approx(math.pi / 2 - 2 * math.asin(side / 2), abs=1e-6)
    spectrum = [3 * a * a, 3 * a * a, 6 * h * h]
    assert found["determinant"].excess == pytest.approx(math.log(2) - sum(math.log(x) for x in spectrum) / 3, abs=1e-6)
    assert all(value.excess > 1e-3 for value in found.values())


def test_unknown_stays_unknown():
    found = excess(unit_rows(torch.randn(9, 5, generator=torch.Generator().manual_seed(0))))
    assert (found["energy/1"].best, found["energy/1"].excess, found["energy/1"].status) == (None, None, "unknown")
    assert found["margin"].status == "proved"


def test_coincident_points():
    found = excess([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert found["energy/1"].excess == math.inf
    assert found["margin"].value == 0
    assert excess([[1.0], [1.0], [-1.0]])["energy/1"].excess == 0  # on a line no three points do better
    with pytest.raises(InputError, match="2 rows"):
        excess([[1.0, 0.0]])


def test_which_determinants_can_be_reached():
    """Blocks of one size are tight and sum to zero; K = d+2 in odd d leaves a gap, proved there and seen in a search."""
    for K, d in ((6, 4), (8, 6), (9, 6)):
        found = excess(orthogonal_blocks(K, d))["determinant"]
        assert found.status == "proved"
        assert found.excess == pytest.approx(0, abs=1e-9)
    assert excess(orthoplex(5, 3))["determinant"].status == "bound"
    W = torch.randn(10, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimiser = torch.optim.Adam([W], lr=0.02)
    for _ in range(400):
        U = W / W.norm(dim=2, keepdim=True)
        C = U - U.mean(dim=1, keepdim=True)
        value = torch.linalg.slogdet(C.mT @ C).logabsdet / 3
        optimiser.zero_grad()
        (-value.sum()).backward()
        optimiser.step()
    assert math.log(5 / 3) - float(value.detach().max()) > 0.005


SAME = [(4, 3), (9, 2), (6, 3), (10, 5), (12, 3), (27, 6), (240, 8), (288, 16), (100, 22), (325, 52), (756, 105)]


@pytest.mark.parametrize(("K", "d"), SAME)
def test_agree(K, d):
    verdict = targets_agree(K, d)
    assert verdict.agree is True
    assert verdict.energy == "proved same"
    assert verdict.proved == (K <= 2 * d or d == 2)


def test_sharp_constructions_agree():
    sharp = [c for c in CATALOGUE if "Sharp code" in c.source]
    assert len(sharp) > 10
    for c in sharp:
        assert targets_agree(c.K, c.d).agree, c.name


@pytest.mark.parametrize(("K", "d"), [(8, 3), (5, 3), (24, 4), (10, 4), (7, 5), (511, 256)])
def test_differ(K, d):
    verdict = targets_agree(K, d)
    assert verdict.agree is False
    assert verdict.proved


@pytest.mark.parametrize(("K", "d"), [(20, 3), (100, 10), (326, 52), (7 * 217, 6 * 31)])  # q = 6 is no prime power
def test_not_known(K, d):
    assert targets_agree(K, d).agree is None
    assert not targets_agree(K, d).proved


def test_believed():
    assert targets_agree(40, 10).agree
    assert not targets_agree(40, 10).proved


@pytest.mark.parametrize("K", [7, 8, 9, 10, 11, 13, 14, 24])
def test_on_the_sphere_the_best_angle_costs_energy(K):
    best = best_known(K, 3)
    code = icosahedron()[1:] if K == 11 else best.points
    found = excess(code)
    assert found["separation"].excess == pytest.approx(0, abs=1e-6)
    assert found["energy/1"].excess / found["energy/1"].best > 3e-4


def test_petersen_has_the_larger_angle_and_two_pentagons_the_less_energy():
    petersen = next(c for c in CATALOGUE if (c.K, c.d) == (10, 4) and "Petersen" in c.name).build()
    pentagons = torch.zeros(10, 4, dtype=torch.float64)
    pentagons[:5, :2] = pentagons[5:, 2:] = polygon(5)
    for s in (0, 1):
        assert mean_energy(petersen, s) - mean_energy(pentagons, s) > 1e-4
    assert excess(petersen)["separation"].value > excess(pentagons)["separation"].value + 0.1


@pytest.mark.parametrize(("K", "d"), [(5, 3), (6, 4), (7, 4), (9, 5), (9, 6), (15, 8), (31, 16)])
def test_between_simplex_and_cross_polytope_the_energy_leaves_the_family(K, d):
    """A member has p = K - d blocks of two or more and points left over: over 2p(p-1) right angles. Tilting keeps as many.

    So at large s the tilted cross-polytope has less energy than any member could have, all its other pairs apart.
    """
    s, p = 10**6, K - d
    tilt, step = s**-0.75, 0.2 / d
    W = orthoplex(K, d)
    single = W[2 * p :]
    axis = single.sum(dim=0)
    W[2 * p :] = single - step * axis  # the single ones spread apart
    W[: 2 * p] -= tilt * axis
    W = unit_rows(W)
    squared = 2 - 2 * (W @ W.T)[tuple(torch.triu_indices(K, K, 1))]
    energy = float(((squared / 2) ** (-s / 2)).sum())  # in units of one right angle
    member = 2 * p * (p - 1) + 1
    assert energy < member - 0.5
    assert targets_agree(K, d).agree is False


def test_five_points_change_their_shape_where_the_paper_says():
    """The best square pyramid meets the bipyramid between s = 15 + 24/512 and 15 + 25/512 (Schwartz, arXiv 2301.05090)."""
    bipyramid = orthogonal_blocks(5, 3, sizes=[3, 2])

    def pyramid(z):
        r = math.sqrt(1 - z * z)
        return torch.tensor([[0, 0, 1], [r, 0, -z], [-r, 0, -z], [0, r, -z], [0, -r, -z]], dtype=torch.float64)

    def least(s):
        return min(mean_energy(pyramid(z), s) for z in torch.linspace(0.05, 0.3, 251).tolist())

    below, above = 15 + 24 / 512, 15 + 25 / 512
    assert mean_energy(bipyramid, below) < least(below)
    assert mean_energy(bipyramid, above + 1e-3) > least(above + 1e-3)


def test_margin_one_is_cosine_zero():
    """In the family range a code with a positive cosine has a margin below 1."""
    W = orthoplex(7, 4)
    assert excess(W)["margin"].excess == pytest.approx(0, abs=1e-12)
    W[0] = unit_rows(W[:1] + 0.1 * W[6:7])[0]
    assert excess(W)["margin"].excess > 1e-3
