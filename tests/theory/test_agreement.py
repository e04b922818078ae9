"""``findings.agrees`` can be False: of every model an outcome just within its tolerance agrees, and one just beyond does not."""

import math
from dataclasses import replace

import pytest
import torch

from neucollapse.theory import model_of
from neucollapse.theory.conv_rank._findings import CLEAN, DATA, FILTERS
from neucollapse.theory.settings import SETTINGS

from ..slow import slow_but
from .running import ended
from .test_simulate import small

# Enough steps that the discretisation is no part of the error.
ACCURATE = {"local-elasticity": {"steps": 400}}


def model_ended(name):
    """A model, what it ended with and its rows."""
    model = model_of(replace(small(name), **ACCURATE.get(name, {})))
    return model, *ended(model)


def changed(rows, change, key, series="", last=False):
    """Rows with another value, or a function of the row, for a key in series of this beginning; ``last``: at the end alone."""
    chosen = [row for row in rows if row.key == key and row.series.startswith(series)]
    at = max(row.x for row in chosen)
    chosen = {row for row in chosen if row.x == at or not last}
    value = change if callable(change) else lambda _: change
    return [row._replace(value=value(row)) if row in chosen else row for row in rows]


def ufm(model, state, rows, far):
    return state, changed(rows, lambda row: row.value + (2e-8 if far else 1e-9), "objective", "start")


def layer_peeled(model, state, rows, far):
    return state | {"found": state["predicted"] + (2e-6 if far else 5e-7)}, rows


def seli(model, state, rows, far):
    return state, changed(rows, 2e-6 if far else 5e-7, "error of logits", last=True)


def central_path(model, state, rows, far):
    return state, changed(rows, lambda row: row.value * (1 + (2e-6 if far else 1e-7)), "snr/0", "path", last=True)


def svm(model, state, rows, far):
    return state, changed(rows, model.goal * (1 - (0.051 if far else 0.049)), "margin/normalised", "flow")


def extended_ufm(model, state, rows, far):
    return {name: tensor * (1 + (1e-2 if far else 1e-6)) for name, tensor in state.items()}, rows


def deep_linear(model, state, rows, far):
    """Both depths tell the classes apart; the rank of the deeper one is as large, or less."""
    logits = torch.eye(4, dtype=torch.float64)[None] - 1 / 4
    rows = changed(rows, 3.0, "rank/effective", "L = 2,")
    rows = changed(rows, 3.0 if far else 2.9, "rank/effective", "L = 3,")
    return state | {"logits/2": logits, "logits/3": logits}, rows


def local_elasticity(model, state, rows, far):
    gap = model.settings.gaps[-1]
    name, expected = f"gap {gap:g}", model._expected(gap, rows, model.settings.time)[0]
    error = [row.value for row in rows if row.key == "between, standard error" and row.series == name][-1]
    return state, changed(rows, expected + (4.1 if far else 3.9) * error, "between", name, last=True)


def memorisation(model, state, rows, far):
    return state, changed(rows, lambda row: row.value + (2e-8 if far else 5e-9), "value", "squared, predicted")


def supcon(model, state, rows, far):
    return state, changed(rows, lambda row: row.value + (2e-8 if far else 5e-9), "value", "supcon solver")


def margin_bound(model, state, rows, far):
    errors = {row.x: row.value for row in rows if row.key == "test error"}
    return state, changed(rows, lambda row: errors[row.x] - (1e-9 if far else 0), "total", "noise")


def separation(model, state, rows, far):
    floor = model.findings(state, rows).comparisons[0].predicted
    return state, changed(rows, floor * (1 - (1e-8 if far else 1e-10)), "D@1", "linear", last=True)


def conv_rank(model, state, rows, far):
    """All networks have learned, the data have grown threefold at the last noise, and the filters keep 2K = 4 nearly."""
    most = model.settings.noise[-1]
    clean = {row.x: row.value for row in rows if row.key == CLEAN}
    rows = changed(rows, 0.1, "final train loss")
    rows = changed(rows, lambda row: clean[row.x] * (3 if row.x == most else 1), DATA)
    return state, changed(rows, 4 * (1.26 if far else 1.24), FILTERS)


CONTROLS = {
    "ufm": ufm,
    "layer-peeled": layer_peeled,
    "seli": seli,
    "central-path": central_path,
    "svm": svm,
    "extended-ufm": extended_ufm,
    "deep-linear": deep_linear,
    "local-elasticity": local_elasticity,
    "memorisation": memorisation,
    "supcon": supcon,
    "margin-bound": margin_bound,
    "separation": separation,
    "conv-rank": conv_rank,
}


@pytest.mark.parametrize("name", slow_but("seli", "central-path", of=SETTINGS))
def test_both_sides_of_the_tolerance(name):
    model, state, rows = model_ended(name)
    near, far = (model.findings(*CONTROLS[name](model, state, rows, far)) for far in (False, True))
    assert near.agrees is True
    assert far.agrees is False
    assert list(near.sentences) != list(far.sentences)


@pytest.mark.slow
def test_nothing_is_decided_where_nothing_is_tested():
    """A depth at which no start tells the classes apart; networks that have not learned."""
    model, state, rows = model_ended("deep-linear")
    state, rows = deep_linear(model, state, rows, False)
    found = model.findings(state | {"logits/3": -state["logits/3"]}, rows)
    assert found.agrees is None
    assert "at a saddle" in found.sentences[0]
    model, state, rows = model_ended("conv-rank")
    state, rows = conv_rank(model, state, rows, False)
    found = model.findings(state, changed(rows, math.log(2) / 2, "final train loss", last=True))
    assert found.agrees is None
    assert "Nothing is decided" in found.sentences[0]
