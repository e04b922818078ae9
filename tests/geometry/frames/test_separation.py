"""One distance in four units, against trigonometry; and the closest pair of codes."""

import math

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import icosahedron, one_vs_rest, orthoplex, polygon, simplex, unit_rows
from neucollapse.geometry.frames._separation import Separation, separation


@pytest.mark.parametrize("angle", [0.0, 1e-3, 0.4, math.pi / 3, math.pi / 2, 2.0, 3.1])
def test_units_agree_with_two_vectors(angle):
    u, v = (1.0, 0.0), (math.cos(angle), math.sin(angle))
    made = [
        Separation.of_angle(angle),
        Separation.of_degrees(math.degrees(angle)),
        Separation.of_cosine(v[0]),
        Separation.of_margin(1 - v[0]),
        Separation(math.dist(u, v)),
    ]
    for value in made:
        assert value.angle == pytest.approx(angle, abs=1e-12, rel=1e-9)
        assert value.degrees == pytest.approx(180 * angle / math.pi, abs=1e-10, rel=1e-9)
        assert value.chord == pytest.approx(math.dist(u, v), abs=1e-12, rel=1e-9)
        assert value.cosine == pytest.approx(v[0], abs=1e-12)
        assert value.margin_floor == pytest.approx(1 - v[0], abs=1e-12)


def test_tiny_angles_keep_their_digits():
    assert Separation.of_angle(1e-9).angle == pytest.approx(1e-9, rel=1e-14)
    W = [[1.0, 0.0, 0.0], [math.cos(1e-9), math.sin(1e-9), 0.0], [0.0, 0.0, 1.0]]
    assert separation(W).angle == pytest.approx(1e-9, rel=1e-12)


@pytest.mark.parametrize(
    ("code", "angle"),
    [
        (simplex(5), math.acos(-1 / 4)),
        (simplex(2), math.pi),
        (polygon(7), 2 * math.pi / 7),
        (orthoplex(5, 3), math.pi / 2),
        (icosahedron(), math.atan(2)),
    ],
    ids=["simplex", "two ends", "polygon", "orthoplex", "icosahedron"],
)
def test_codes(code, angle):
    found = separation(3 * code)
    assert found.angle == pytest.approx(angle, abs=1e-7 if angle == math.pi else 1e-12)
    assert one_vs_rest(code).margin == pytest.approx(found.margin_floor, abs=1e-12)


def test_the_margin_is_at_least_its_floor():
    for seed in range(10):
        code = unit_rows(torch.randn(9, 4, generator=torch.Generator().manual_seed(seed)))
        assert one_vs_rest(code).margin >= separation(code).margin_floor - 1e-12


@pytest.mark.parametrize(
    "make",
    [
        lambda: Separation(2.1),
        lambda: Separation.of_cosine(1.01),
        lambda: Separation.of_angle(-0.1),
        lambda: Separation.of_degrees(181),
        lambda: Separation.of_margin(math.nan),
        lambda: Separation.of_cosine(True),
    ],
    ids=["chord", "cosine", "angle", "degrees", "margin", "bool"],
)
def test_refuses(make):
    with pytest.raises(InputError, match=r"expected .* in \["):
        make()
