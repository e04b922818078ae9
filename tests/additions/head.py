"""One more head: what CONTRIBUTING says is touched."""

NEW = {
    "src/neucollapse/heads/_shared.py": '''"""A head of directions, with one trained scale."""

import torch
from torch import Tensor, nn

from ._head import Head, full_precision_cosine_logits


class Shared(Head):
    r"""Logits :math:`s \\cos(w_j, x)`, with one trained scale :math:`s`, 16 at first.

    Args:
        dim: d, the width of the features.
        num_classes: K.
    """

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__(dim, num_classes)
        self.weight, self.scale = nn.Parameter(torch.randn(num_classes, dim)), nn.Parameter(torch.tensor(16.0))

    def logits(self, features: Tensor) -> Tensor:
        """Logits ``(..., K)`` of features ``(..., d)``."""
        return full_precision_cosine_logits(features, self.weight, self.scale)

    def extra_repr(self) -> str:
        """Sizes, for ``repr``."""
        return f"dim={self.dim}, num_classes={self.num_classes}"
''',
}
EDITS = {
    "src/neucollapse/heads/__init__.py": [
        (
            "from ._nearest_class_mean import NearestClassMean as NearestClassMean\n",
            "from ._nearest_class_mean import NearestClassMean as NearestClassMean\n"
            "from ._shared import Shared as Shared\n",
        ),
        ("\n__all__ = [\n", '\n__all__ = [\n    "Shared",\n'),
    ],
    "src/neucollapse/training/_combinations.py": [
        ("\nHeadName = Literal[\n", '\nHeadName = Literal[\n    "shared",\n')
    ],
    "src/neucollapse/training/_heads.py": [
        (
            "\n_BUILDERS: dict[str, Callable[[TrainConfig, int, int], Head]] = {\n",
            "\n_BUILDERS: dict[str, Callable[[TrainConfig, int, int], Head]] = {\n"
            '    "shared": lambda _config, dim, num_classes: heads.Shared(dim, num_classes),\n',
        ),
    ],
    "tests/heads/test_contract.py": [
        ("\nHEADS = {\n", '\nHEADS = {\n    "shared": lambda: Shared(D, K),\n'),
        ("\nTRAINED = [", '\nTRAINED = ["shared", '),
        ("from neucollapse.heads import (\n", "from neucollapse.heads import (\n    Shared,\n"),
    ],
    "docs/api/heads.md": [("## From the features\n", "## From the features\n\n::: neucollapse.heads.Shared\n")],
    "CHANGELOG.md": [
        ("## Unreleased\n\n### Added\n\n", "## Unreleased\n\n### Added\n\n- `heads.Shared`: classes of one length.\n")
    ],
}
USED = """
import torch
from neucollapse import heads
from neucollapse.training import TrainConfig, train
print(heads.Shared(3, 2)(torch.zeros(4, 3)).shape)
train(TrainConfig(head="shared", width=8, depth=1, epochs=1), "run", progress=False)
"""
SEEN = "torch.Size([4, 2])"
TESTS = ("tests/heads/test_contract.py", "-k", "shared")
DOCUMENTED = ("tests/docs/test_pages.py", "-k", "reference_entry and heads")
