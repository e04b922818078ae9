"""The atlas and what is made of it: numbers that are recomputed, nothing worse than any way there is, files that tell."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from neucollapse import FileFormatError, InputError
from neucollapse._environment import numba_available
from neucollapse.geometry import (
    Atlas,
    Entry,
    GrassmannianFrame,
    MinimumEnergy,
    Outcome,
    SoftmaxCode,
    SphericalCode,
    best_code,
    best_known,
    best_known_energy,
    coherence,
    max_cosine,
    one_vs_rest,
    required_dim,
    solve,
)
from neucollapse.geometry.atlas._known import shipped
from neucollapse.geometry.atlas._records import records
from neucollapse.geometry.bounds import best_bound
from neucollapse.geometry.certificate._certify import Limits, certify_until
from neucollapse.geometry.constructions import candidates, pad


def test_the_shipped_atlas_holds_the_sizes_it_should():
    assert {(entry.K, entry.d) for entry in shipped() if entry.kind == "code"} >= {
        *((K, d) for d in range(3, 9) for K in range(2 * d + 1, 41)),
        *((100, d) for d in (10, 20, 30)),
        *((200, d) for d in (10, 20, 30)),
    }


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 15])
def test_the_shipped_atlas_tells_the_truth(every):
    method = "compiled" if numba_available() else "plain"
    for entry in list(shipped())[::every]:
        torch.testing.assert_close(
            entry.points.norm(dim=1), torch.ones(entry.K, dtype=torch.float64), rtol=0, atol=1e-14
        )
        if entry.kind == "code":
            assert max_cosine(entry.points) == pytest.approx(entry.max_cosine, abs=1e-14)
            assert one_vs_rest(entry.points, method=method).margin == pytest.approx(entry.margin, abs=1e-11)
            assert entry.margin >= 1 - entry.max_cosine - 1e-12
            assert entry.max_cosine >= best_bound(entry.K, entry.d).value - 1e-9


def test_margins_of_the_shipped_codes_are_those_of_their_cosines():
    # rho and 1 - s agree on every polished spherical code, and only polished ones are shipped.
    apart = {(e.K, e.d): abs(e.margin - (1 - e.max_cosine)) for e in shipped() if e.kind == "code"}
    assert max(apart.values()) <= 1e-10, max(apart, key=apart.get)


@pytest.mark.parametrize(
    ("K", "d", "kind"),
    [
        (10, 9, "softmax"), (24, 4, "softmax"), (20, 4, "softmax"), (16, 6, "grassmannian"), (12, 3, "energy"),
        (9, 4, "determinant"),
        pytest.param(9, 6, "softmax", marks=pytest.mark.slow), pytest.param(41, 4, "spherical", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_never_worse_than_any_way(K, d, kind):
    code = best_code(K, d, kind, starts=4, workers=1, progress=False)
    assert code.points.shape == (K, d)
    assert code.value == pytest.approx(code.problem.value(code.points), abs=1e-12)
    assert code.source
    ways = [pad(c.build(K), d) for c in candidates(K, d, "lines" if kind == "grassmannian" else "code")]
    ways += [pad(e.points[:K], d) for e in shipped().containing(K, d)]
    if best_known(K, d).points is not None:
        ways.append(best_known(K, d).points)
    for points in ways:
        value = code.problem.value(points)
        assert not code.problem.better(value, code.value) or value == pytest.approx(code.value, abs=1e-11)
    assert code.result.finished
    searched = solve(code.problem, starts=4, workers=1)
    assert not code.problem.better(searched.value, code.value) or searched.value == pytest.approx(code.value, abs=1e-11)


@pytest.mark.parametrize(
    ("K", "d", "kind", "value"),
    [
        (10, 9, "softmax", 10 / 9),
        (7, 2, "spherical", math.cos(2 * math.pi / 7)),
        (1000, 512, "softmax", 1.0),
        (240, 8, "spherical", 0.5),
        (5, 8, "grassmannian", 0.0),
        (28, 7, "grassmannian", 1 / 3),
        (120, 4, "energy", None),
    ],
)
def test_what_is_proved_is_said_to_be_and_not_searched(K, d, kind, value):
    code = best_code(K, d, kind)
    assert code.result is Outcome.PROVED
    assert not code.stats  # a search leaves some
    value = best_known_energy(K, d, 1).value if value is None else value
    assert code.value == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("K", "d", "budget"), [(10, 3, None), (10, 3, 3), (24, 3, 5), (100, 10, None), (26, 8, 10), (56, 20, None)]
)
def test_what_is_on_record_is_looked_up_and_not_searched(K, d, budget):
    code = best_code(K, d, budget=budget)
    assert code.value >= best_known(K, d).margin - 1e-10
    assert not code.stats


@pytest.mark.parametrize(("K", "d"), [(5, 9), (9, 2), (7, 5), (10, 3), (9, 4), (30, 8), (50, 7), (41, 8)])
def test_both_doors_know_the_same_codes(K, d):
    known, code = best_known(K, d), best_code(K, d, budget=0)
    assert known.points is not None
    assert code.value >= known.margin - 1e-9
    assert max_cosine(code.points) <= known.max_cosine + 1e-9
    if known.status == "found":
        assert known.source == code.source


def test_part_of_a_larger_code_that_meets_the_record_has_its_coordinates():
    for (K, d), record in records().items():
        if best_known(K, d).build is None:
            held = [entry for entry in shipped().containing(K, d) if entry.max_cosine <= record.max_cosine + 1e-9]
            assert not held
            assert not [c for c in candidates(K, d) if c.max_cosine <= record.max_cosine + 1e-9]


@pytest.mark.parametrize(
    ("options", "budget"), [({"budget": 2}, 2), ({"starts": 3}, None), ({"starts": 3, "budget": 2}, 2), ({}, 60)]
)
def test_a_budget_and_a_number_of_starts_are_handed_on(options, budget, monkeypatch):
    asked = []

    def searched(problem, **options):
        asked.append(options)
        return solve(problem, starts=1, seed=options["seed"], workers=1)

    monkeypatch.setattr("neucollapse.geometry.atlas._best.solve", searched)
    best_code(7, 4, "grassmannian", progress=False, **options)
    assert asked[0]["budget"] is None if budget is None else 0 < asked[0]["budget"] <= budget
    assert asked[0]["starts"] == options.get("starts")
    assert asked[0]["target"] == best_bound(7, 4, "grassmannian").value


def test_a_certificate_ends_with_the_budget():
    late = certify_until(best_known(100, 30).points, "softmax", Limits(deadline=0.0))
    assert late.multipliers is None
    assert any("budget" in sentence for sentence in late.skipped)
    assert late.margin is not None


def test_large_heads_by_construction():
    assert best_code(10_000, 512, budget=0).value >= 0.939
    head = best_code(66_048, 256, budget=0)
    assert head.points.shape == (66_048, 256)
    assert head.value == 1 - 1 / 16
    rows = torch.randperm(66_048, generator=torch.Generator().manual_seed(0))[:64]
    gram = head.points[rows] @ head.points.T
    gram[torch.arange(64), rows] = -1
    assert float(gram.max()) <= 1 / 16 + 1e-14


def test_required_dim():
    for K, margin in ((10, 10 / 9), (10, 1.0), (10, 0.5), (1000, 1.0), (1000, 0.85), (100_000, 0.9)):
        needed = required_dim(K, margin)
        assert needed.margin >= margin - 1e-12
        assert needed.at_least <= needed.d
        assert best_known(K, needed.d).margin == needed.margin
    assert required_dim(10, 10 / 9).at_least == 9
    assert required_dim(10, 1.0).d == 5
    for margin in (0, -1, 1.2, math.nan):
        with pytest.raises(InputError):
            required_dim(10, margin)


def test_your_own_atlas(tmp_path):
    mine = Atlas()
    poor = solve(SphericalCode(41, 4), starts=3, workers=1)
    assert mine.add(Entry.of(poor, "mine"))
    mine.save(tmp_path / "mine.safetensors")
    again = Atlas.load(tmp_path / "mine.safetensors")
    torch.testing.assert_close(again.get(41, 4).points, poor.points, rtol=0, atol=1e-15)
    code = best_code(41, 4, budget=0, atlas=tmp_path / "mine.safetensors")
    assert code.value >= poor.certificate.margin - 1e-12
    assert "mine" in code.source
    lines = Entry.of(solve(GrassmannianFrame(6, 3), starts=16), "lines")
    assert (lines.kind, mine.add(lines)) == ("lines", True)
    assert lines.max_cosine == pytest.approx(coherence(lines.points), abs=1e-15)


def test_an_atlas_that_lies_is_refused(tmp_path):
    atlas = Atlas()
    entry = Entry.of(solve(SoftmaxCode(7, 3), starts=16), "mine")
    atlas.add(Entry(entry.K, entry.d, "code", entry.max_cosine, entry.margin + 1e-6, "a boast", entry.points))
    atlas.save(tmp_path / "a.safetensors")
    with pytest.raises(FileFormatError, match="claims margin"):
        Atlas.load(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:-1])
    with pytest.raises(FileFormatError):
        Atlas.load(tmp_path / "a.safetensors")
    save_file({"weight": torch.eye(3)}, tmp_path / "b.safetensors")
    with pytest.raises(FileFormatError):
        best_code(50, 5, atlas=tmp_path / "b.safetensors")
    assert set(load_file(tmp_path / "b.safetensors")) == {"weight"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, 3), "K"), ((4, 0), "d"), ((10, 3, "tammes"), "kind"), ((6000, 5), "no code of 6000 points"),
    ],
)  # fmt: skip
def test_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        best_code(*arguments)


@pytest.mark.parametrize(
    ("option", "value"), [("budget", -1), ("budget", math.inf), ("budget", math.nan), ("starts", 0), ("seed", -1)]
)
def test_refuses_options_that_a_look_up_would_not_need(option, value):
    with pytest.raises(InputError, match=f"expected {option}"):
        best_code(10, 3, **{option: value})


def test_refuses_an_infinite_exponent():
    with pytest.raises(InputError, match="Riesz"):
        MinimumEnergy(5, 3, math.inf)
