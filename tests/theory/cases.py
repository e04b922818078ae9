"""What is tried of every model: small settings, and a control, which moves an outcome to either side of its tolerance."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from neucollapse.theory.conv_rank._findings import CLEAN, DATA, FILTERS
from neucollapse.theory.settings import SETTINGS, Settings


@dataclass(frozen=True)
class Case:
    """A control, `(model, end, rows, far) -> end, rows`, and sizes that take a second or two; the rest keep their defaults."""

    control: Callable[..., Any]
    sizes: dict[str, Any] = field(default_factory=dict)


def small(name: str) -> Settings:
    return SETTINGS[name](**CASES[name].sizes)


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


CASES = {
    "ufm": Case(ufm, {"classes": 4, "dim": 5, "samples": 2, "starts": 2, "saddles": 1, "gd_steps": 100}),
    "layer-peeled": Case(layer_peeled, {"classes": 4, "minority": 2, "dim": 4, "ratios": 4, "steps": 40}),
    "seli": Case(seli, {"classes": 4, "minority": 2, "dim": 4, "decays": 3, "smallest_decay": 0.0001}),
    "central-path": Case(
        central_path, {"classes": 4, "dim": 5, "samples": 4, "points": 5, "descent_steps": 50, "horizon": 30.0}
    ),
    "svm": Case(svm, {"classes": 4, "dim": 6, "drop": 100.0, "points": 8, "descent_steps": 30}),
    "extended-ufm": Case(
        extended_ufm, {"classes": 3, "dim": 4, "samples": 2, "layers": 3, "starts": 2, "steps": 100, "sweep": 3}
    ),
    "deep-linear": Case(deep_linear, {"classes": 4, "dim": 5, "depths": (2, 3), "starts": 1, "steps": 40}),
    "local-elasticity": Case(local_elasticity, {"steps": 100}),
    "memorisation": Case(memorisation),
    "supcon": Case(supcon, {"classes": 4, "dim": 4, "samples": 2, "steps": 40, "starts": 2}),
    "margin-bound": Case(
        margin_bound,
        {"classes": 4, "samples": 200, "tests": 100, "levels": 2, "permutations": 4, "trials": 5, "digits": False},
    ),
    "separation": Case(separation),
    "conv-rank": Case(
        conv_rank, {"signals": 2, "samples": 2, "width": 10, "dim": 30, "noise": (0.0, 1.0), "runs": 1, "steps": 20}
    ),
}
