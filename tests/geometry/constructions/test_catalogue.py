"""Every construction is what the catalogue says: size, unit rows, dimension and maximal cosine, recomputed from its points."""

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import coherence, max_cosine
from neucollapse.geometry.constructions import CATALOGUE, candidates, pad

BY_NAME = {c.name: c for c in CATALOGUE}
AGAINST_ALL = {
    "Conway 4600", "Leech", "Kerdock m=3", "Kerdock m=4", "unbiased bases m=4", "isotropic q=7", "isotropic q=8", "Gold m=7"
}  # fmt: skip
SMALL = [c for c in CATALOGUE if c.K <= 4096 and c.name not in AGAINST_ALL]
LARGE = [c for c in CATALOGUE if c.K > 4096 and c.name not in AGAINST_ALL]


def measured(construction, points):
    return (coherence if construction.kind == "lines" else max_cosine)(points)


def assert_unit(points):
    assert points.dtype == torch.float64
    torch.testing.assert_close(points.norm(dim=1), torch.ones(len(points), dtype=torch.float64), rtol=0, atol=1e-15)


@pytest.mark.parametrize("construction", SMALL, ids=lambda c: c.name)
def test_all_of_a_small_construction(construction):
    points = construction.build()
    assert points.shape == (construction.K, construction.d)
    assert_unit(points)
    assert abs(measured(construction, points) - construction.max_cosine) < 1e-14
    assert (
        torch.linalg.eigvalsh(points.T @ points)[0] > 0.1 * construction.K / construction.d
    )  # all d dimensions are used
    assert torch.equal(construction.build(construction.K // 2), points[: construction.K // 2])


@pytest.mark.parametrize("construction", LARGE, ids=lambda c: c.name)
def test_the_first_points_of_a_large_construction(construction):
    count = 2 * construction.d + 300 if construction.d < 4096 else 300  # more than the orthoplex that comes first
    points = construction.build(count)
    assert points.shape == (count, construction.d)
    assert_unit(points)
    some = points[:: count // 300]
    gram = (some @ some.T).fill_diagonal_(0)
    assert float((gram.abs() if construction.kind == "lines" else gram).max()) < construction.max_cosine + 1e-14


def deterministic_rows(K, n=200):
    """n rows spread over all K, by a step coprime to powers of two and to the numbers of points at hand."""
    return (torch.arange(n) * 7368787 + 11) % K


@pytest.mark.parametrize("name", sorted(AGAINST_ALL))
def test_some_rows_of_a_large_code_against_all(name):
    construction = BY_NAME[name]
    points = construction.build()
    assert points.shape == (construction.K, construction.d)
    assert_unit(points[:: max(1, construction.K // 5000)])
    rows = deterministic_rows(construction.K)
    top = torch.zeros(len(rows), dtype=torch.float64)
    for block in points.split(16384):
        start = block.storage_offset() // construction.d
        gram = points[rows] @ block.T
        own = (rows >= start) & (rows < start + len(block))
        gram[own, rows[own] - start] = 0  # itself
        top = torch.maximum(top, (gram.abs() if construction.kind == "lines" else gram).amax(dim=1))
    torch.testing.assert_close(top, torch.full_like(top, construction.max_cosine), rtol=0, atol=1e-14)


def test_names_are_unique_and_importing_builds_nothing():
    assert len(BY_NAME) == len(CATALOGUE)
    assert all(len(c.source) > 20 and c.source.endswith(".") for c in CATALOGUE)
    assert max(c.K for c in CATALOGUE) > 10**9  # could not have been built


@pytest.mark.parametrize(
    ("K", "d", "kind", "name"),
    [
        (10, 4, "code", "Petersen"),
        (25, 6, "code", "Schlaefli"),
        (240, 8, "code", "E8 roots"),
        (4000, 64, "code", "Kerdock m=3"),
        (100_000, 511, "code", "Gold m=9"),
        (100_000, 512, "code", "Gold m=9"),
        (1_000_000, 1024, "code", "Kerdock m=5"),
        (28, 7, "lines", "equiangular 28"),
        (30, 15, "lines", "Paley q=29"),
        (33_000, 256, "lines", "unbiased bases m=4"),
    ],
)
def test_the_best_candidate(K, d, kind, name):
    found = candidates(K, d, kind)
    assert found[0].name == name
    assert all(c.K >= K and c.d <= d and c.kind == kind for c in found)
    assert [c.max_cosine for c in found] == sorted(c.max_cosine for c in found)
    count = min(K, 500)
    points = pad(found[0].build(count), d)
    assert points.shape == (count, d)
    assert measured(found[0], points) < found[0].max_cosine + 1e-14


def test_nothing_fits_many_points_in_few_dimensions():
    assert candidates(10**6, 3) == ()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: candidates(1, 3), "K .* >= 2"),
        (lambda: candidates(4, 3, "frames"), '"code" or "lines", got .frames'),
        (lambda: BY_NAME["Petersen"].build(11), "count .* <= 10, got 11"),
        (lambda: BY_NAME["Petersen"].build(0), "count .* >= 1"),
    ],
)
def test_impossible_requests(call, said):
    with pytest.raises(InputError, match=said):
        call()
