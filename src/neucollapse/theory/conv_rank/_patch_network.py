"""A two-layer convolutional network on patches, its filters trained by gradient descent in the span of the patches."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..._types import Float
from ...losses._log_odds import softplus
from ._patch_data import Patches


def huberised_relu(z: Tensor, kappa: float, power: float) -> Tensor:
    """0 below 0, z^q / (q kappa^(q-1)) up to kappa, and z - (1 - 1/q) kappa from there.

    Examples:
        >>> huberised_relu(torch.tensor([-1.0, 1.0, 2.0]), kappa=1.0, power=2.0).tolist()
        [0.0, 0.5, 1.5]
    """
    return kappa / power * (z.clamp(0, kappa) / kappa) ** power + (z - kappa).clamp(min=0)


def huberised_slope(z: Tensor, kappa: float, power: float) -> Tensor:
    """The derivative of `huberised_relu`: continuous, 0 below 0 and 1 above kappa."""
    return (z.clamp(0, kappa) / kappa) ** (power - 1)


class Network(NamedTuple):
    """The score of a sample is the sum over its patches x and the filters w_r of a_r sigma(<w_r, x>), with a_r = +-1/m.

    Attributes:
        second: a, the second layer, fixed: m times +1/m, then m times -1/m.
        kappa: of the Huberised ReLU.
        power: of the Huberised ReLU.
    """

    second: Float[Tensor, " R"]
    kappa: float
    power: float

    def scores(self, responses: Float[Tensor, "R U"], patches: Patches) -> Float[Tensor, " N"]:
        """Score of each sample; its sign is the predicted label. Responses are those of filters (rows) to patches."""
        active = huberised_relu(responses, self.kappa, self.power)
        return (self.second @ active)[patches.members].sum(1)

    def loss(self, responses: Float[Tensor, "R U"], patches: Patches) -> Float[Tensor, ""]:
        """Mean logistic loss, log(1 + exp(-y f))."""
        return softplus(-patches.labels * self.scores(responses, patches)).mean()

    def error(self, responses: Float[Tensor, "R U"], patches: Patches) -> float:
        """Share of the samples whose label is not the sign of their score."""
        return float((self.scores(responses, patches) * patches.labels <= 0).double().mean())

    def gradient(self, responses: Float[Tensor, "R U"], patches: Patches) -> Float[Tensor, "R U"]:
        """Derivative C of the loss by the responses. That by the filters is C X, with the patches as rows of X."""
        y = patches.labels
        by_score = -y * torch.sigmoid(-y * self.scores(responses, patches)) / len(y)
        by_patch = torch.zeros(len(patches.rows), dtype=y.dtype)
        by_patch.index_add_(0, patches.members.reshape(-1), by_score.repeat_interleave(patches.members.shape[1]))
        return torch.outer(self.second, by_patch) * huberised_slope(responses, self.kappa, self.power)


def descend_in_span(
    network: Network,
    patches: Patches,
    responses: Float[Tensor, "R U"],
    moved: Float[Tensor, "R U"],
    *,
    steps: int,
    lr: float,
) -> tuple[Float[Tensor, "R U"], Float[Tensor, "R U"]]:
    """Full-batch gradient descent of the filters, without ever forming them: the responses Z and A after these steps.

    A step is W <- W - lr C X, so W = W_0 + A X throughout, and the responses Z = W X^T follow Z <- Z - lr C X X^T: a closed
    recursion in matrices of the number of patches, the rows of X, whatever the dimension. A (`moved`) is zero at the start.
    """
    gram = patches.rows @ patches.rows.T
    for _ in range(steps):
        C = network.gradient(responses, patches)
        moved = moved - lr * C
        responses = responses - lr * C @ gram
    return responses, moved
