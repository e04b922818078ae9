"""Looked-up optima: reached by their own points, consistent with each other, and never claiming more than is known."""

import csv
import itertools
import math
from importlib.resources import files

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import (
    Outcome,
    best_code,
    best_known,
    etf_floor,
    max_cosine,
    one_vs_rest,
    orthogonal_frame_floor,
    unit_rows,
)


@pytest.mark.parametrize(
    ("K", "d", "margin", "cosine"),
    [
        (2, 1, 2.0, -1.0),
        (10, 9, 10 / 9, -1 / 9),
        (10, 64, 10 / 9, -1 / 9),
        (7, 2, 0.37651019814126646, math.cos(2 * math.pi / 7)),
        (4, 2, 1.0, 0.0),
        (10, 5, 1.0, 0.0),
        (8, 5, 1.0, 0.0),
        (1000, 512, 1.0, 0.0),
        (5, 1, 0.0, 1.0),
    ],
)
def test_proved_values(K, d, margin, cosine):
    best = best_known(K, d)
    assert (best.status, best.max_cosine_status) == ("proved", "proved")
    assert best.margin == pytest.approx(margin, abs=1e-14)
    assert best.max_cosine == pytest.approx(cosine, abs=1e-14)
    if K <= 100:
        points = best.points
        assert points.shape == (K, d)
        assert max_cosine(points) == pytest.approx(cosine, abs=1e-14)
        assert one_vs_rest(points).margin == pytest.approx(margin, abs=1e-12)


def test_the_orthoplex_range_is_a_family():
    assert best_known(8, 5).family
    assert not best_known(6, 5).family
    assert not best_known(11, 5).family


@pytest.mark.parametrize(
    ("K", "d", "margin"),
    [
        (10, 3, 0.5956056747837493),
        (12, 3, 1 - 5**-0.5),
        (24, 3, 1 - 0.723078468333509),
        (10, 4, 5 / 6),
        (240, 8, 0.5),
    ],
)
def test_table_values(K, d, margin):
    best = best_known(K, d)
    assert best.status == "record"
    assert best.margin == pytest.approx(margin, abs=1e-12)
    assert best.build is None or one_vs_rest(best.points).margin == pytest.approx(margin, abs=1e-12)


@pytest.mark.parametrize(
    ("K", "d", "record"),
    [
        (100, 10, 0.66594), (100, 20, 0.84695), (100, 30, 0.91461), (200, 10, 0.54519), (200, 20, 0.7211), (200, 30, 0.8053),
    ],
)  # fmt: skip
def test_shipped_codes_beat_the_best_published_margins(K, d, record):
    best = best_known(K, d)
    assert one_vs_rest(best.points).margin == pytest.approx(best.margin, abs=1e-12)
    assert best.margin > record


@pytest.mark.parametrize(
    ("K", "d", "cosine"), [(56, 20, 1 / 15), (50, 21, 1 / 21), (77, 21, 1 / 12), (288, 16, 1 / 4), (4224, 64, 1 / 8)]
)
def test_codes_proved_best_by_semidefinite_bounds(K, d, cosine):
    best = best_known(K, d)
    assert best.max_cosine_status == "proved"
    assert best.max_cosine == pytest.approx(cosine, abs=1e-15)
    assert "2403.16874" in best.source
    if K < 1000:
        assert max_cosine(best.points) == pytest.approx(cosine, abs=1e-14)
        assert torch.linalg.matrix_rank(best.points) == d
        assert best_code(K, d, "spherical").result is Outcome.PROVED


@pytest.mark.parametrize(
    ("K", "d", "status"), [(144, 9, "found"), (63, 7, "found"), (35, 8, "found"), (40, 5, "record")]
)
def test_what_nobody_else_calls_best_is_not_a_record(K, d, status):
    assert best_known(K, d).status == status


def test_records_without_coordinates_are_shown_as_such():
    best = best_known(322, 8)
    assert (best.status, best.points, best.max_cosine) == ("record", None, 0.5970174439435411)
    part = best_known(69, 13)  # of the 72 points on record, which lie further apart than the 69 that were
    assert (part.status, part.points, part.max_cosine) == ("found", None, 0.205810552628)


def test_elsewhere_only_a_bound():
    best = best_known(5000, 7)
    assert (best.margin, best.max_cosine, best.status, best.points) == (1.0, 0.0, "bound", None)


@pytest.mark.parametrize(("K", "d"), [(50, 7), (1000, 256), (250, 22)])
def test_part_of_a_larger_code_counts(K, d):
    best = best_known(K, d)
    assert best.status == "found"
    assert best.points.shape == (K, d)
    assert max_cosine(best.points) <= best.max_cosine + 1e-12
    assert 1 - max_cosine(best.points) >= best.margin - 1e-12


def test_every_row_of_the_table_holds_together():
    text = files("neucollapse.geometry.atlas").joinpath("known_codes.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert {(int(r["K"]), int(r["d"])) for r in rows} >= {(K, 3) for K in range(7, 41)}
    for row in rows:
        K, d, s, margin = int(row["K"]), int(row["d"]), float(row["max_cosine"]), float(row["margin"])
        assert 2 * d < K  # below, closed forms answer
        assert margin >= 1 - s - 1e-9  # fact 1 of frames.md
        assert 0 < s < 1
        assert margin < 1
        assert row["max_cosine_proved"] in "01"
        assert row["source"]
    for d in {int(r["d"]) for r in rows}:  # more points never sit better
        cosines = [float(r["max_cosine"]) for r in sorted(rows, key=lambda r: int(r["K"])) if int(r["d"]) == d]
        assert all(a <= b + 1e-9 for a, b in itertools.pairwise(cosines))


def slow_distance_from(target, d):
    """The nearest unit-Frobenius positive semidefinite matrix of rank d, by eigenvalues."""
    values, vectors = torch.linalg.eigh(target)
    G = (vectors[:, -d:] * values[-d:]) @ vectors[:, -d:].T
    return float((G / G.norm() - target).norm())


@pytest.mark.parametrize(("K", "d"), [(8, 2), (10, 3), (40, 16), (10, 9), (10, 10), (10, 30)])
def test_floors(K, d):
    eye = torch.eye(K, dtype=torch.float64)
    simplex_gram = (eye - 1 / K) / (K - 1) ** 0.5
    assert etf_floor(K, d) == pytest.approx(slow_distance_from(simplex_gram, min(d, K)), abs=1e-7)
    assert orthogonal_frame_floor(K, d) == pytest.approx(slow_distance_from(eye / K**0.5, min(d, K)), abs=1e-7)
    W = unit_rows(torch.randn(K, d, dtype=torch.float64))
    G = W @ W.T
    assert float((G / G.norm() - simplex_gram).norm()) >= etf_floor(K, d)


def test_octagon_stands_on_the_floor():
    G = (points := best_known(8, 2).points) @ points.T
    distance = float((G / G.norm() - (torch.eye(8, dtype=torch.float64) - 1 / 8) / 7**0.5).norm())
    assert etf_floor(8, 2) == pytest.approx(distance, abs=1e-14) == pytest.approx(0.9649, abs=1e-4)


@pytest.mark.parametrize("function", [best_known, etf_floor, orthogonal_frame_floor])
@pytest.mark.parametrize(("K", "d"), [(1, 3), (3, 0), (-2, 2)])
def test_impossible_sizes(function, K, d):
    with pytest.raises(InputError, match="whole number"):
        function(K, d)
