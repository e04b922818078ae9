"""The contract of a backbone, and what its members share."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..._errors import InputError


class Backbone(nn.Module):
    """A body ``(B, *input_shape) -> (B, width)``, then an optional linear projection to ``dim``.

    Args:
        body: the layers up to the features.
        width: number of features of the body.
        dim: d of the projection, or None for none.

    Attributes:
        dim: d, the number of features that come out.

    Raises:
        InputError: when ``dim`` is not positive.
    """

    def __init__(self, body: nn.Module, width: int, dim: int | None) -> None:
        super().__init__()
        if dim is not None and dim < 1:
            raise InputError(f"expected a feature dimension of at least 1, or None for no projection, got {dim}")
        self.dim = width if dim is None else dim
        self.body = body
        self.projection = nn.Identity() if dim is None else nn.Linear(width, dim)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features ``(B, d)``."""
        return self.projection(self.body(inputs))


def image_channels(name: str, input_shape: Sequence[int]) -> int:
    """The channels of ``(channels, height, width)``; inputs that are not images are an ``InputError``."""
    if len(input_shape) != 3:
        raise InputError(
            f"{name} expected images of shape (channels, height, width), got inputs of shape {tuple(input_shape)}; "
            "the mlp takes vectors"
        )
    return input_shape[0]
