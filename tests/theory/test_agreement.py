"""``findings.agrees`` can be False: of every model an outcome just within its tolerance agrees, and one just beyond does not."""

import math
from dataclasses import replace

import pytest

from neucollapse.theory import model_of
from neucollapse.theory.settings import SETTINGS

from ..slow import slow_but
from .cases import CASES, changed, conv_rank, deep_linear, small
from .running import ended

# Enough steps that the discretisation is no part of the error.
ACCURATE = {"local-elasticity": {"steps": 400}}


def model_ended(name):
    """A model, what it ended with and its rows."""
    model = model_of(replace(small(name), **ACCURATE.get(name, {})))
    return model, *ended(model)


@pytest.mark.parametrize("name", slow_but("seli", "central-path", of=SETTINGS))
def test_both_sides_of_the_tolerance(name):
    model, state, rows = model_ended(name)
    near, far = (model.findings(*CASES[name].control(model, state, rows, far)) for far in (False, True))
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
