"""One more head: what CONTRIBUTING says is touched."""

NEW = {
    "src/neucollapse/heads/_shared.py": '''"""A head of directions, with one trained scale."""

import torch
from torch import Tensor, nn

from ._head import Head, full_precision_cosine_logits


class Shared(Head):
    r"""Logits $s \\cos(w_j, x)$, with one trained scale $s$, 16 at first.

    Args:
        dim: d, the width of the features.
        num_classes: K.
    """

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__(dim, num_classes)
        self.weight, self.scale = nn.Parameter(torch.randn(num_classes, dim)), nn.Parameter(torch.tensor(16.0))

    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` of features `(..., d)`."""
        return full_precision_cosine_logits(features, self.weight, self.scale)
''',
}
EDITS = {
    "src/neucollapse/heads/_registry.py": [
        (
            "    from ._structured import *  # noqa: F403\n",
            "    from ._shared import *  # noqa: F403\n    from ._structured import *  # noqa: F403\n",
        ),
        ('    "Trained": {\n', '    "Trained": {\n        "_shared": "Shared",\n'),
        (
            "\nAnyHead = (\n",
            "\n@dataclass(frozen=True)\nclass SharedHead(HeadOptions):\n"
            '    """Directions with one trained scale."""\n\n'
            '    name, makes, kind = "shared", "Shared", "directions"\n\n\n'
            "AnyHead = (\n    SharedHead |\n",
        ),
    ],
    "tests/heads/test_contract.py": [
        ("\nHEADS = {\n", '\nHEADS = {\n    "shared": lambda: Shared(D, K),\n'),
        ("\nTRAINED = [", '\nTRAINED = ["shared", '),
        ("from neucollapse.heads import (\n", "from neucollapse.heads import (\n    Shared,\n"),
    ],
    "CHANGELOG.md": [
        ("## Unreleased\n\n### Added\n\n", "## Unreleased\n\n### Added\n\n- `heads.Shared`: classes of one length.\n")
    ],
}
USED = """
import torch
from neucollapse import heads
from neucollapse.training import MLPBackbone, TrainConfig, train
print(heads.Shared(3, 2)(torch.zeros(4, 3)).shape)
train(TrainConfig(head=heads.SharedHead(), backbone=MLPBackbone(width=8, depth=1), epochs=1), "run", progress=False)
"""
SEEN = "torch.Size([4, 2])"
TESTS = ("tests/heads/test_contract.py", "-k", "shared")
DOCUMENTED = ("tests/docs/test_rooms.py",)
