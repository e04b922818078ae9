"""One more loss: what CONTRIBUTING says is touched."""

NEW = {
    "src/neucollapse/losses/_wrong_probability.py": '''"""The probability of a wrong answer."""

from typing import Unpack

from torch import Tensor

from ._log_odds import log_odds, rows_of_logits
from ._module import LogitLoss
from ._rows import Labels, RowOptions


def wrong_probability(logits: Tensor, labels: Labels, **options: Unpack[RowOptions]) -> Tensor:
    r"""One less the probability of the label, formed without the subtraction: $1 - p_y = \\sigma(m)$, in [0, 1]."""
    rows = rows_of_logits(logits, labels, options)
    return rows.reduce(log_odds(rows.take(logits), rows.labels).sigmoid())


class WrongProbability(LogitLoss):
    """The probability of a wrong answer: `loss(features, labels, head)`."""

    title = "the probability of a wrong answer"
    formula, couples, source = "σ(m)", "a sample with all classes", "—"

    def _of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        return wrong_probability(logits, labels, **options)
''',
}
EDITS = {
    "src/neucollapse/losses/_registry.py": [
        (
            "    from ._uniformity import *  # noqa: F403\n",
            "    from ._uniformity import *  # noqa: F403\n    from ._wrong_probability import *  # noqa: F403\n",
        ),
        (
            '        "_mse": "mse mse_linear MSE",\n',
            '        "_mse": "mse mse_linear MSE",\n        "_wrong_probability": "wrong_probability WrongProbability",\n',
        ),
        (
            "\nAnyLoss = (\n",
            "\n@dataclass(frozen=True)\nclass WrongProbabilityLoss(LossOptions):\n"
            '    """The probability of a wrong answer."""\n\n'
            '    name, makes = "wrong-probability", "WrongProbability"\n\n\n'
            "AnyLoss = (\n    WrongProbabilityLoss |\n",
        ),
    ],
    "tests/losses/test_every_loss.py": [
        (
            "\nCASES = {\n",
            '\nCASES = {\n    "wrong probability": Case(losses.WrongProbability, lambda: Linear(D, K)),\n',
        ),
    ],
    "CHANGELOG.md": [
        (
            "## Unreleased\n\n### Added\n\n",
            "## Unreleased\n\n### Added\n\n- `losses.wrong_probability`: the probability of a wrong answer.\n",
        )
    ],
}
USED = """
import torch
from neucollapse import heads, losses
from neucollapse.training import MLPBackbone, TrainConfig, train
print(losses.WrongProbability()(torch.zeros(4, 3), torch.arange(4) % 2, heads.Linear(3, 2)).shape)
train(TrainConfig(loss=losses.WrongProbabilityLoss(), backbone=MLPBackbone(width=8, depth=1), epochs=1), "run", progress=False)
"""
SEEN = "torch.Size([])"
TESTS = (
    "tests/losses/test_every_loss.py", "tests/losses/test_promises.py", "tests/losses/test_options.py",
    "-m", "not slow", "-k", "rong or no_loss_is_missing",
)  # fmt: skip
DOCUMENTED = ("tests/docs/test_rooms.py",)
