"""Every part of a verdict can fail: planted numbers turn it, and the sentence that tells it, one part at a time."""

from dataclasses import replace
from functools import cache

import pytest

from neucollapse.theory._model import model_of

from .running import ended
from .test_agreement import changed
from .test_simulate import small

LABELS = {"drift": "labels", "dim": 3, "inter": -1.0, "gaps": (2.0,), "steps": 100}
SPHERE = {"constraint": "sphere", "points": 1, "temperature": 0.5, "gd_steps": 0}


@cache
def run(name, **options):
    """A small model, what it ended with and its rows."""
    model = model_of(replace(small(name), **options))
    return model, *ended(model)


def with_value(value, key, series="", last=False):
    return lambda _, state, rows: (state, changed(rows, value, key, series, last))


def times(factor, key, series="", last=False):
    return with_value(lambda row: row.value * factor, key, series, last)


def above_goal(share, **where):
    return lambda model, state, rows: (
        state,
        changed(rows, model.goal * (1 + share), "margin/normalised", "flow", **where),
    )


def falling_back(model, state, rows):
    """A gap that grows at the end, and stays small."""
    return state, changed(
        changed(rows, model.goal * 0.99, "margin/normalised", "flow"),
        model.goal * 0.98,
        "margin/normalised",
        "flow",
        last=True,
    )


def ends_moved(_, state, rows):
    return state | {"end/gap 2": state["end/gap 2"] + 10}, rows


PLANTED = {
    "ufm: one metric": ("ufm", {}, times(1 + 1e-6, "gnc2/margin", "start"), False, "missed beyond 1e-08 in gnc2/margin."),
    "ufm: saddles": ("ufm", {}, with_value(0.5, "least curvature"), True, "0 of 1 critical points"),
    "ufm: starts": ("ufm", {}, times(1.1, "objective", "start 0"), True, "1 of 2 random starts"),
    "ufm: sphere": ("ufm", SPHERE, times(1.01, "objective", "annealed"), False, "a simplex, is missed to 1e-08"),
    "svm: the gap grows": ("svm", {}, falling_back, False, "the gap is not falling"),
    "svm: more than the exact margin": ("svm", {}, above_goal(1e-6), False, "1.0e-06 above it"),
    "svm: far more than the best code": ("svm", {"classes": 6, "dim": 2}, above_goal(0.06), False, "6.0e-02 above it"),
    "svm: a little more than the best code": ("svm", {"classes": 6, "dim": 2}, above_goal(0.04), True, "above it"),
    "central-path": ("central-path", {}, times(1.01, "snr/1", "path", last=True), False, "does not hold"),
    "conv-rank: all levels": ("conv-rank", {}, with_value(4.0, "stable rank of the filters"), None, "of 4 up to noise 1"),
    "margin-bound: a few-shot bound": ("margin-bound", {}, with_value(2.0, "pair_error"), False, "DO NOT hold"),
    "margin-bound: a simplex that moves": (
        "margin-bound", {}, with_value(1e-9, "effect total", "simplex"), False, "at most 1.0e-09 at a simplex",
    ),
    "margin-bound: the bound": ("margin-bound", {}, with_value(-1.0, "total", "noise"), False, "lies BELOW"),
    "local-elasticity: a gap that should separate": (
        "local-elasticity", {}, with_value(0.0, "separation", "gap 3", last=True), False, "3 does not grow",
    ),
    "local-elasticity: labels": ("local-elasticity", LABELS, ends_moved, False, "were expected to follow LE-ODE"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_number_turns_its_sentence(case):
    name, options, plant, agrees, words = PLANTED[case]
    model, state, rows = run(name, **options)
    told = " ".join(model.findings(state, rows).sentences)
    planted = model.findings(*plant(model, state, rows))
    assert words in " ".join(planted.sentences)
    assert words not in told or words == "above it"
    assert planted.agrees is agrees
