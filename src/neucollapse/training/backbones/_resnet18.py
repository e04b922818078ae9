"""ResNet-18 for small images: a 3x3 stem without pooling (arXiv 1512.03385, the usual CIFAR variant)."""

from collections.abc import Sequence

from torch import Tensor, nn

from ._backbone import Backbone, image_channels


class ResNet18(Backbone):
    """Stem of one 3x3 convolution, four stages of two residual blocks, the mean over the image.

    Stages have 1, 2, 4, 8 times ``width`` channels; all but the first halve the image. At width 64 with three
    channels and a linear head of ten classes it has 11,173,962 parameters.

    Args:
        input_shape: ``(channels, height, width)``, at least 8x8.
        dim: d of a final linear projection, or None.
        width: channels of the stem.

    Raises:
        InputError: when the inputs are not images.

    Example:
        >>> backbone = ResNet18((3, 32, 32))
        >>> sum(p.numel() for p in backbone.parameters()) + 10 * backbone.dim + 10
        11173962
    """

    def __init__(self, input_shape: Sequence[int], dim: int | None = None, width: int = 64) -> None:
        channels = image_channels("resnet18", input_shape)
        layers: list[nn.Module] = [_conv3x3(channels, width), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
        for outputs, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
            layers += [_ResidualBlock(inputs, outputs, stride), _ResidualBlock(outputs, outputs, 1)]
            inputs = outputs
        super().__init__(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), inputs, dim)


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _conv3x3(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            _conv3x3(outputs, outputs),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        change = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if same else nn.Sequential(*change)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.residual(x) + self.shortcut(x))


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
