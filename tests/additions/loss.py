"""One more loss: what CONTRIBUTING says is touched."""

NEW = {
    "src/neucollapse/losses/_wrong_probability.py": '''"""The probability of a wrong answer."""

from torch import Tensor

from ._log_odds import log_odds, rows_of_logits
from ._module import LogitLoss
from ._rows import Labels, RowOptions


def wrong_probability(
    logits: Tensor,
    labels: Labels,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""One less the probability of the label, formed without the subtraction: :math:`1 - p_y = \\sigma(m)`, in [0, 1]."""
    rows = rows_of_logits(logits, labels, ignore_index, sample_weights, class_weights)
    return rows.reduce(log_odds(rows.take(logits), rows.labels).sigmoid(), reduction, denominator)


class WrongProbability(LogitLoss):
    """The probability of a wrong answer: ``loss(features, labels, head)``."""

    title = "the probability of a wrong answer"

    def of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        """The loss of logits ``(..., K)``."""
        return wrong_probability(logits, labels, **options)
''',
}
EDITS = {
    "src/neucollapse/losses/__init__.py": [
        (
            "from ._uniformity import uniformity as uniformity\n",
            "from ._uniformity import uniformity as uniformity\n"
            "from ._wrong_probability import WrongProbability as WrongProbability\n"
            "from ._wrong_probability import wrong_probability as wrong_probability\n",
        ),
        ("\n__all__ = [\n", '\n__all__ = [\n    "WrongProbability",\n    "wrong_probability",\n'),
    ],
    "src/neucollapse/training/_combinations.py": [
        ("\nLossName = Literal[\n", '\nLossName = Literal[\n    "wrong-probability",\n')
    ],
    "src/neucollapse/training/_losses.py": [
        (
            "\n_BUILDERS: dict[str, Callable[[TrainConfig, int, int], nn.Module]] = {\n",
            "\n_BUILDERS: dict[str, Callable[[TrainConfig, int, int], nn.Module]] = {\n"
            '    "wrong-probability": _plain(losses.WrongProbability),\n',
        ),
    ],
    "tests/losses/test_every_loss.py": [
        (
            "\nCASES = {\n",
            '\nCASES = {\n    "wrong probability": Case(losses.WrongProbability, lambda: Linear(D, K)),\n',
        ),
    ],
    "docs/api/losses.md": [
        (
            "\n::: neucollapse.losses._mse.MSE\n",
            "\n::: neucollapse.losses._mse.MSE\n"
            "\n::: neucollapse.losses._wrong_probability.wrong_probability\n"
            "\n::: neucollapse.losses._wrong_probability.WrongProbability\n",
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
from neucollapse.training import TrainConfig, train
print(losses.WrongProbability()(torch.zeros(4, 3), torch.arange(4) % 2, heads.Linear(3, 2)).shape)
train(TrainConfig(loss="wrong-probability", width=8, depth=1, epochs=1), "run", progress=False)
"""
SEEN = "torch.Size([])"
TESTS = (
    "tests/losses/test_every_loss.py", "tests/losses/test_promises.py", "-m", "not slow", "-k", "rong or no_loss_is_missing"
)  # fmt: skip
DOCUMENTED = ("tests/docs/test_pages.py", "-k", "reference_entry and losses")
