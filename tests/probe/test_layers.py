"""Which layers are the main blocks, and how their outputs become one vector a label."""

import pytest
import torch
from torch import nn

from neucollapse import InputError
from neucollapse.probe import main_layers
from neucollapse.probe._layers import channel_axis, features_of


class Parts(nn.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def block(width):
    return Parts(conv1=nn.Conv2d(width, width, 3), bn1=nn.BatchNorm2d(width), relu=nn.ReLU())


def resnet():
    stages = {f"layer{i}": nn.Sequential(block(4), block(4)) for i in range(1, 5)}
    return Parts(
        conv1=nn.Conv2d(3, 4, 3), bn1=nn.BatchNorm2d(4), **stages, pool=nn.AdaptiveAvgPool2d(1), fc=nn.Linear(4, 2)
    )


def transformer(depth=5):
    layers = [nn.TransformerEncoderLayer(8, 2, 8) for _ in range(depth)]
    return Parts(
        patch=Parts(proj=nn.Linear(3, 8)), blocks=nn.Sequential(*layers), norm=nn.LayerNorm(8), head=nn.Linear(8, 2)
    )


def bert():
    encoder = Parts(layer=nn.ModuleList([nn.TransformerEncoderLayer(8, 2, 8) for _ in range(4)]))
    body = Parts(embeddings=Parts(word=nn.Embedding(9, 8)), encoder=encoder, pooler=Parts(dense=nn.Linear(8, 8)))
    return Parts(bert=body, dropout=nn.Dropout(), classifier=nn.Linear(8, 2))


def vgg():
    features = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.MaxPool2d(2)
    )
    classifier = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2))
    return Parts(features=features, classifier=classifier)


CASES = {
    "residual stages": (resnet, "fc", ["layer1", "layer2", "layer3", "layer4"]),
    "a chain of transformer layers": (transformer, "head", ["patch", *(f"blocks.{i}" for i in range(5))]),
    "a wrapped model with a module list": (
        bert,
        "classifier",
        ["bert.embeddings", *(f"bert.encoder.layer.{i}" for i in range(4)), "bert.pooler"],
    ),
    "single layers in chains": (vgg, "classifier.3", ["features.2", "features.5", "classifier.1"]),
    "a stem, one chain and a last norm": (
        lambda: Parts(
            conv=nn.Conv2d(3, 8, 3),
            encoder=Parts(
                layers=nn.Sequential(*[nn.TransformerEncoderLayer(8, 2, 8) for _ in range(2)]), ln=nn.LayerNorm(8)
            ),
            heads=nn.Sequential(nn.Linear(8, 2)),
        ),
        "heads.0",
        ["encoder.layers.0", "encoder.layers.1"],
    ),
    "a flat chain": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)),
        "5",
        ["2", "4"],
    ),
    "attributes": (
        lambda: Parts(conv1=nn.Conv2d(3, 4, 3), bn1=nn.BatchNorm2d(4), fc1=nn.Linear(4, 4), fc2=nn.Linear(4, 2)),
        "fc2",
        ["conv1", "fc1"],
    ),
    "a linear model": (lambda: nn.Linear(4, 2), "", []),
}


@pytest.mark.parametrize("case", CASES)
def test_main_layers(case):
    build, classifier, names = CASES[case]
    assert main_layers(build(), classifier) == names


def test_images_are_averaged_over_pixels():
    output = torch.randn(2, 3, 4, 5)
    expected = torch.stack([torch.stack([channel.sum() / 20 for channel in sample]) for sample in output])
    torch.testing.assert_close(features_of(output, nn.Identity(), 1, "mean"), expected)
    assert torch.equal(features_of(output, nn.Identity(), 1, "flatten"), output.reshape(2, 60))


def test_tokens_are_averaged_for_one_label_a_sample_and_rows_for_one_label_a_token():
    output = torch.randn(2, 7, 3)
    torch.testing.assert_close(features_of(output, nn.Identity(), 1, "mean"), output.sum(1) / 7)
    rows = features_of(output, nn.Identity(), 2, "mean")
    assert torch.equal(rows[7 + 2], output[1, 2])


def test_channels_are_found_by_the_width_of_the_last_weights():
    assert channel_axis(nn.Conv1d(2, 16, 3), torch.Size([2, 16, 50])) == 1  # sequences of a convolution
    assert channel_axis(nn.Linear(2, 16), torch.Size([2, 50, 16])) == 2
    assert channel_axis(nn.Linear(2, 16), torch.Size([2, 7, 7, 16])) == 3  # a window transformer, channels last
    assert channel_axis(nn.Linear(2, 16), torch.Size([2, 16, 7, 7])) == 1
    assert channel_axis(nn.Conv2d(2, 7, 3), torch.Size([2, 7, 7, 7])) == 1  # undecided: the usual order
    assert channel_axis(nn.Identity(), torch.Size([2, 7, 16])) == 2


def test_half_precision_means_are_not_rounded_back():
    output = torch.randn(2, 3, 8, 8).bfloat16()
    pooled = features_of(output, nn.Identity(), 1, "mean")
    torch.testing.assert_close(pooled, output.double().mean((2, 3)).float())


def test_own_pool():
    output = torch.randn(2, 7, 3)
    assert torch.equal(features_of(output, nn.Identity(), 1, lambda t: t[:, 0]), output[:, 0])
    with pytest.raises(InputError, match=r"expected pool to return a tensor of shape \(rows, d\), got \(2, 7, 3\)"):
        features_of(output, nn.Identity(), 1, lambda t: t)


def test_labels_of_positions_need_an_output_with_positions():
    with pytest.raises(InputError, match="expected 3 dimensions"):
        features_of(torch.randn(2, 3), nn.Identity(), 2, "mean")


@pytest.mark.parametrize("pool", ["mean", "flatten"])
def test_memory_is_its_own(pool):
    for output in (torch.zeros(2, 3), torch.zeros(2, 3, 1, 1)):
        features = features_of(output, nn.Identity(), 1, pool)
        output += 1
        assert not features.any()
