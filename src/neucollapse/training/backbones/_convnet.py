"""A small convolutional network, for images of 8 to 32 pixels."""

from collections.abc import Sequence

from torch import nn

from ._backbone import Backbone, image_channels


class ConvNet(Backbone):
    """Three blocks of 3x3 convolution, batch norm and ReLU; the first two halve the image; then the mean over it.

    Args:
        input_shape: ``(channels, height, width)``, at least 4x4.
        dim: d of a final linear projection, or None.
        width: channels of the first block; the second has twice, the third four times as many.

    Raises:
        InputError: when the inputs are not images.

    Example:
        >>> ConvNet((1, 28, 28), width=16).dim
        64
    """

    def __init__(self, input_shape: Sequence[int], dim: int | None = None, width: int = 32) -> None:
        channels = image_channels("convnet", input_shape)
        body = nn.Sequential(
            *_block(channels, width),
            nn.MaxPool2d(2),
            *_block(width, 2 * width),
            nn.MaxPool2d(2),
            *_block(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        super().__init__(body, 4 * width, dim)


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
