"""Backbones: shapes, published parameter counts, and that every layer learns."""

import pytest
import torch

from neucollapse import InputError
from neucollapse.training.backbones import MLP, ConvNet, ResNet18, build


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_resnet18_has_its_published_number_of_parameters():
    """11,173,962 with three channels and a linear head of ten classes."""
    backbone = ResNet18((3, 32, 32))
    assert parameters(backbone) + parameters(torch.nn.Linear(backbone.dim, 10)) == 11_173_962
    layers = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(layers) == 17  # with the head: 18 layers, the three 1x1 shortcuts not counted
    assert len([m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]) == 20


def test_resnet18_halves_the_image_three_times():
    sizes = []
    backbone = ResNet18((1, 16, 16), width=4)
    for block in list(backbone.body)[3:11]:
        block.register_forward_hook(lambda *call: sizes.append(tuple(call[2].shape[1:])))
    backbone(torch.randn(2, 1, 16, 16))
    assert sizes == [(4, 16, 16)] * 2 + [(8, 8, 8)] * 2 + [(16, 4, 4)] * 2 + [(32, 2, 2)] * 2


def test_residual_block_adds_its_input():
    block = ResNet18((1, 8, 8), width=4).body[3].eval()
    torch.nn.init.zeros_(block.residual[-1].weight)  # the residual vanishes
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(block(x), x.clamp(min=0))


@pytest.mark.parametrize("dim", [None, 3])
@pytest.mark.parametrize(
    ("name", "shape", "options", "width"),
    [
        ("mlp", (1, 8, 8), {"width": 16, "depth": 3}, 16),
        ("mlp", (20,), {"width": 16, "batch_norm": False}, 16),
        ("convnet", (1, 8, 8), {"width": 4}, 16),
        ("convnet", (3, 13, 9), {"width": 4}, 16),
        ("resnet18", (1, 8, 8), {"width": 2}, 16),
    ],
)
def test_features(name, shape, options, width, dim):
    backbone = build(name, shape, dim, **options)
    features = backbone(torch.randn(5, *shape))
    assert features.shape == (5, backbone.dim)
    assert backbone.dim == (dim or width)
    assert (features.min() < 0) == (dim is not None)  # without projection they end in a ReLU
    features.pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


def test_depth_and_batch_norm_of_the_mlp():
    assert len([m for m in MLP((4,), depth=3).modules() if isinstance(m, torch.nn.Linear)]) == 3
    assert not any(isinstance(m, torch.nn.BatchNorm1d) for m in MLP((4,), batch_norm=False).modules())
    assert parameters(MLP((4,), width=8, depth=1, batch_norm=False)) == 4 * 8 + 8
    assert parameters(MLP((4,), width=8, depth=1)) == 4 * 8 + 2 * 8


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: build("vgg", (1, 8, 8)), "among convnet, mlp, resnet18"),
        (lambda: ConvNet((64,)), "expected images"),
        (lambda: ResNet18((64,)), "expected images"),
        (lambda: MLP((64,), depth=0), "depth=0"),
        (lambda: MLP((64,), dim=0), "at least 1"),
    ],
)
def test_errors_are_sentences(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()
