"""One more model of the theory: what CONTRIBUTING says is touched."""

NEW = {
    "src/neucollapse/theory/parabola/settings.py": '''"""Settings of the parabola."""

from dataclasses import dataclass

from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class Parabola(Settings):
    """Gradient descent on x^2 / 2, from 1."""

    steps: int = 20  # of gradient descent.
    lr: float = 0.5  # step size.

    name = "parabola"
    title = "A parabola"
    question = "Where does descent on a parabola end?"
    rules = (at_least(1, "steps"), positive("lr"))
''',
    "src/neucollapse/theory/parabola/model.py": '''"""Gradient descent on a parabola: after t steps it is at (1 - lr)^t."""

from collections.abc import Sequence

import torch

from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from .settings import Parabola

_AGREE = 1e-12


class ParabolaModel(Model[Parabola]):
    """Steps from 1."""

    def run(self) -> Run:
        """Yield where each step ends."""
        x = torch.ones(1, dtype=torch.float64)
        for step in range(self.settings.steps):
            x = x - self.settings.lr * x
            yield Row("descent", float(step + 1), "x", float(x))
        return {"x": x}

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """The last step beside its closed form."""
        s, (steps, values) = self.settings, series(rows, "x")
        predicted = (1 - s.lr) ** s.steps
        agrees = abs(values[-1] - predicted) <= _AGREE
        sentence = f"Descent {'ends' if agrees else 'was expected to end'} at {predicted:.3g}, and ends at {values[-1]:.3g}."
        plot = Plot("Descent", "step", "x", [Line("found", steps, values)])
        return Findings([sentence], [Comparison("end of descent", predicted, values[-1])], [plot], end, agrees)
''',
}
EDITS = {
    "tests/theory/cases.py": [
        (
            "\nCASES = {\n",
            '''

def parabola(model, state, rows, far):
    return state, changed(rows, lambda row: row.value + (2e-12 if far else 5e-13), "x", last=True)


CASES = {
    "parabola": Case(parabola),
''',
        ),
    ],
    "CHANGELOG.md": [
        ("## Unreleased\n\n### Added\n\n", "## Unreleased\n\n### Added\n\n- `simulate parabola`: descent on a parabola.\n")
    ],
}  # fmt: skip
USED = """
from neucollapse.cli import main
assert main(["simulate", "parabola", "--out", "run"]) == 0
"""
SEEN = "Descent ends at 9.54e-07"
TESTS = ("tests/theory/test_simulate.py", "tests/theory/test_agreement.py", "-k", "parabola")
DOCUMENTED = ("tests/docs/test_models.py", "-k", "parabola")
