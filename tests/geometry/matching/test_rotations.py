"""The best rotation against a scan of all of them, and random ones against the moments of the Haar measure."""

import math

import pytest
import torch

from neucollapse import InputError, NonFiniteError
from neucollapse.geometry.matching._permutations import permutation_of, random_permutation
from neucollapse.geometry.matching._rotations import draw_rotation, procrustes, random_rotation


def gaussian(K, d, seed=0):
    return torch.randn(K, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def plane_rotation(angle, reflect):
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, s], [s, -c]] if reflect else [[c, s], [-s, c]], dtype=torch.float64)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("reflections", [True, False])
def test_no_plane_rotation_is_nearer(seed, reflections):
    P, R = gaussian(6, 2, seed), gaussian(6, 2, seed + 10)
    found = float((P @ procrustes(P, R, reflections=reflections) - R).norm())
    scan = [
        float((P @ plane_rotation(2 * math.pi * k / 3600, reflect) - R).norm())
        for k in range(3600)
        for reflect in ([False, True] if reflections else [False])
    ]
    assert found <= min(scan) + 1e-12
    assert found == pytest.approx(min(scan), abs=1e-5)


@pytest.mark.parametrize("shape", [(8, 5), (5, 5), (2, 5), (4, 1)])  # also fewer points than dimensions, and a line
@pytest.mark.parametrize("reflections", [True, False])
def test_undoes_a_rotation(shape, reflections):
    K, d = shape
    P = gaussian(K, d)
    Q = random_rotation(d, seed=4, reflections=reflections)
    found = procrustes(P, 2.5 * P @ Q, reflections=reflections)
    torch.testing.assert_close(P @ found, P @ Q, rtol=0, atol=1e-12)
    torch.testing.assert_close(found @ found.T, torch.eye(d, dtype=torch.float64), rtol=0, atol=1e-12)
    if not reflections:
        assert float(torch.linalg.det(found)) == pytest.approx(1)


def test_a_mirror_image_needs_a_reflection():
    P = gaussian(7, 3)
    R = P * torch.tensor([1.0, 1.0, -1.0])
    assert float((P @ procrustes(P, R) - R).norm()) < 1e-12
    proper = procrustes(P, R, reflections=False)
    assert float(torch.linalg.det(proper)) == pytest.approx(1)
    left = float((P @ proper - R).norm())
    assert left > 0.1
    for seed in range(200):  # and no random rotation, nor a small turn of this one, is nearer
        assert left <= float((P @ random_rotation(3, seed=seed, reflections=False) - R).norm())
        skew = 0.01 * gaussian(3, 3, seed)
        assert left <= float((P @ proper @ torch.linalg.matrix_exp(skew - skew.T) - R).norm()) + 1e-12


def many(d, n, reflections):
    generator = torch.Generator().manual_seed(0)
    return torch.stack([draw_rotation(d, generator, reflections) for _ in range(n)])


def test_haar_moments_of_the_orthogonal_group():
    """Entries of mean 0 and variance 1/d, E tr = 0, E tr^2 = 1, E tr^4 = 3 (Diaconis and Shahshahani 1994)."""
    d, n = 4, 6000
    Q = many(d, n, reflections=True)
    tolerance = 5 / math.sqrt(n)  # five standard errors of what has variance 1
    assert float(Q.mean(dim=0).abs().max()) < tolerance / math.sqrt(d)
    torch.testing.assert_close((Q**2).mean(dim=0), torch.full((d, d), 1 / d, dtype=Q.dtype), rtol=0, atol=tolerance / d)
    trace = Q.diagonal(dim1=1, dim2=2).sum(dim=1)
    assert abs(float(trace.mean())) < tolerance
    assert float((trace**2).mean()) == pytest.approx(1, abs=2 * tolerance)
    assert float((trace**4).mean()) == pytest.approx(3, abs=10 * tolerance)
    assert float(torch.linalg.det(Q).mean()) == pytest.approx(0, abs=tolerance)


def test_haar_angle_of_the_rotations_of_space():
    """The angle t of a uniform rotation in d = 3 has distribution (t - sin t) / pi; also after a fixed rotation."""
    Q = many(3, 4000, reflections=False)
    assert float((torch.linalg.det(Q) - 1).abs().max()) < 1e-12
    for fixed in (torch.eye(3, dtype=Q.dtype), random_rotation(3, seed=7, reflections=False)):
        trace = (Q @ fixed).diagonal(dim1=1, dim2=2).sum(dim=1)
        t = ((trace - 1) / 2).clamp(-1, 1).acos().sort().values
        expected = (t - t.sin()) / math.pi
        empirical = torch.arange(1, len(t) + 1, dtype=t.dtype) / len(t)
        assert float((expected - empirical).abs().max()) < 1.95 / math.sqrt(len(t))  # Kolmogorov, one in a thousand


def test_seeds():
    before = torch.random.get_rng_state()
    assert torch.equal(random_rotation(6, seed=1), random_rotation(6, seed=1))
    assert not torch.equal(random_rotation(6, seed=1), random_rotation(6, seed=2))
    assert torch.equal(random_permutation(30, seed=1), random_permutation(30, seed=1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert {float(random_rotation(1, seed=seed)) for seed in range(20)} == {1.0, -1.0}
    assert {float(random_rotation(1, seed=seed, reflections=False)) for seed in range(20)} == {1.0}


def test_random_permutations_are_uniform():
    counts = torch.zeros(3, 3)
    for seed in range(3000):
        counts[torch.arange(3), random_permutation(3, seed=seed)] += 1
    assert float((counts / 1000 - 1).abs().max()) < 0.15


def test_permutation_of_undoes_a_shuffle_and_turns_nothing():
    P, order = gaussian(12, 4), torch.arange(12).roll(5)  # not its own inverse
    assert torch.equal(permutation_of(P, P[order]), order)
    assert permutation_of([[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [1.0, 0.0]]).tolist() == [1, 0]  # 1.1 against 0.9 + 0


@pytest.mark.parametrize("call", [procrustes, permutation_of])
def test_refuses_pairs(call):
    with pytest.raises(InputError, match="one shape"):
        call(gaussian(4, 3), gaussian(4, 2))
    with pytest.raises(NonFiniteError, match="reference"):
        call(gaussian(2, 2), torch.full((2, 2), torch.inf))


def test_refuses_sizes():
    with pytest.raises(InputError, match="dimension"):
        random_rotation(0)
    with pytest.raises(InputError, match="classes"):
        random_permutation(0)
