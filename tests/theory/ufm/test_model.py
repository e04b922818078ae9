"""The simulation of unconstrained features: optimum, saddles, the path of temperatures, and what is refused."""

import pytest
import torch

from neucollapse._errors import InputError
from neucollapse.theory import model_of
from neucollapse.theory._findings import record
from neucollapse.theory.settings import UFM
from neucollapse.theory.solvers import minimise
from neucollapse.theory.ufm.findings import ufm_findings
from neucollapse.theory.ufm.model import saddle_curvature, temperatures
from neucollapse.theory.ufm.objective import random_state, scales, ufm_objective

from ...slow import slow_but
from ..running import ended

SMALL = {"classes": 4, "dim": 5, "samples": 2, "starts": 2, "gd_steps": 3, "saddles": 2}


def run(settings: UFM):
    model = model_of(settings)
    end, rows = ended(model)
    return rows, model.findings(end, rows)


CHANGES = [
    {},
    {"loss": "mse", "bias": False},
    {"loss": "label-smoothing"},
    {"loss": "focal"},
    {"loss": "mse", "dim": 2},  # a truncation: value and spectrum alone
    {"decay_per": "total", "decay_weight": 0.3, "decay_features": 0.3},  # collapses to zero
    {"constraint": "ball", "radius": 1.0},
    {"constraint": "ball", "loss": "mse", "decay_bias": 0.0},  # the loss is 0 inside: the value alone
    {"constraint": "weight-norm", "loss": "mse", "decay_bias": 0.0},
    {"constraint": "sphere", "temperature": 0.2, "objective": "log", "points": 2, "cold": False},
]


@pytest.mark.parametrize("changes", slow_but({}, {"loss": "mse", "bias": False}, of=CHANGES))
def test_the_prediction_is_met(changes: dict) -> None:
    _, findings = run(UFM(**(SMALL | {"tolerance": 1e-13} | changes)))
    assert findings.agrees is True, findings.sentences
    assert findings.comparisons
    lines = [line for plot in findings.plots for line in plot.lines if plot.log_x]
    assert lines
    assert all(x > 0 for line in lines for x in line.x)


@pytest.mark.slow
def test_two_runs_of_a_seed_agree_and_another_seed_differs() -> None:
    first, again, other = (run(UFM(**SMALL, seed=seed))[0] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_without_a_closed_form_it_says_so() -> None:
    _, findings = run(UFM(**(SMALL | {"dim": 2, "classes": 5})))
    assert findings.agrees is None
    assert "No closed form" in findings.sentences[0]


@pytest.mark.parametrize("loss", ["ce", pytest.param("mse", marks=pytest.mark.slow)])
def test_saddles_are_strict_with_the_curvature_of_the_closed_form(loss: str) -> None:
    rows, _ = run(UFM(**(SMALL | {"classes": 5, "saddles": 4}), loss=loss))
    numbers = {(row.x, row.key): row.value for row in rows if row.series == "saddles"}
    assert {rank for rank, _ in numbers} == {0, 1, 2, 3}
    for rank in range(4):
        assert numbers[rank, "least curvature"] < -1e-4
        assert numbers[rank, "least curvature"] == pytest.approx(numbers[rank, "predicted"], abs=1e-9)


def test_curvature_at_the_origin_from_its_definition() -> None:
    """At zero the gradient in the logits has K - 1 singular values sqrt(n)/N: a 2 x 2 eigenvalue."""
    settings = UFM(classes=4, dim=3, samples=5, decay_weight=0.01, decay_features=0.02, decay_per="total")
    origin = {name: torch.zeros_like(value) for name, value in random_state(settings, torch.Generator()).items()}
    block = torch.tensor([[0.01, 5**0.5 / 20], [5**0.5 / 20, 0.02]], dtype=torch.float64)
    assert saddle_curvature(settings, origin) == pytest.approx(float(torch.linalg.eigvalsh(block)[0]), abs=1e-14)


def test_no_spurious_minimum_from_many_starts() -> None:
    settings = UFM(classes=4, dim=4, samples=2)
    values = []
    for seed in range(10):
        start = random_state(settings, torch.Generator().manual_seed(seed))
        values.append(minimise(lambda state: ufm_objective(settings, state), start, scales=scales(settings)).value)
    assert max(values) - min(values) < 1e-12


@pytest.mark.slow
def test_annealing_ends_at_the_orthoplex_margin() -> None:
    """(d, K) = (3, 6): the best code has margin 1."""
    settings = UFM(
        classes=6,
        dim=3,
        samples=1,
        constraint="sphere",
        temperature=0.02,
        points=3,
        objective="log",
        starts=2,
        gd_steps=0,
    )
    _, findings = run(settings)
    margin = findings.comparisons[0]
    assert margin.predicted == pytest.approx(1, abs=1e-9)
    assert margin.found > 0.999


def test_a_bound_is_not_called_a_code() -> None:
    """No code of 400 points in 7 dimensions is on record, and no margin exceeds 1."""
    settings = UFM(classes=400, dim=7, samples=1, constraint="sphere", starts=1)
    rows = record("annealed 0", 0.02, {"objective": 0.1, "gnc2/margin@weight": 0.25})
    findings = ufm_findings(settings, random_state(settings, torch.Generator()), rows)
    assert "25.0 % of 1.00000, which no 400 points in 7 dimensions exceed" in findings.sentences[0]
    assert "no code is on record" in findings.comparisons[0].meaning
    assert findings.plots[0].lines[-1].name == "bound on any code"


def test_the_path_is_geometric() -> None:
    path = temperatures(UFM(constraint="sphere", temperature=0.01, points=3))
    assert path == pytest.approx([1, 0.1, 0.01])
    assert temperatures(UFM(constraint="sphere", temperature=0.01, points=1)) == [0.01]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dim": 0}, "expected dim of at least 1, got 0"),
        ({"classes": 1}, "expected classes of at least 2, got 1"),
        ({"samples": 0}, "expected samples of at least 1, got 0"),
        ({"decay_weight": -0.1}, "expected decay_weight above 0"),
        ({"decay_bias": -0.1}, "expected decay_bias of at least 0"),
        ({"smoothing": 1.0}, "expected smoothing from 0 to below 1"),
        ({"loss": "mse", "constraint": "sphere"}, "expected a cross-entropy on the sphere"),
        ({"constraint": "weight-norm"}, "expected mse with weight-norm"),
        ({"objective": "log"}, "expected objective loss"),
        ({"constraint": "sphere", "temperature": 2.0}, "expected a temperature of at most temperature_start=1"),
    ],
)
def test_impossible_requests_get_a_sentence(changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        UFM(**changes)
