"""Options of losses and heads: torch-free dataclasses that build what they name, with the defaults of what they build."""

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest
import torch
from torch import nn

from neucollapse import InputError, heads, losses
from neucollapse.heads._registry import HEADS, check_pair
from neucollapse.losses._registry import LOSSES

D, K = 16, 4
SCHEDULED = {"margin_warmup", "scale_over", "code", "reassign_every"}  # training reads these, not the module


def test_they_are_read_without_torch():
    lines = ["import sys", "from neucollapse.heads import FixedHead", "from neucollapse.losses import HUGLoss"]
    code = "\n".join([*lines, "print(HUGLoss(), 'torch' in sys.modules)"])
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "HUGLoss(uniformity='mhe'" in printed
    assert printed.strip().endswith("False")


@pytest.mark.parametrize(
    ("room", "name"), [(losses, name) for name in LOSSES] + [(heads, name) for name in HEADS], ids=str
)
def test_defaults_are_those_of_the_module(room, name):
    options = (LOSSES if room is losses else HEADS)[name]()
    signature = inspect.signature(getattr(room, options.makes)).parameters
    own = {field.name: field.default for field in fields(options) if field.name not in SCHEDULED}
    if name == "centre":  # its multiple is of the sum with cross-entropy
        own.pop("beta")
    assert own == {key: signature[key].default for key in own}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_built_and_trains_with_the_heads_that_it_takes(name):
    options = LOSSES[name]()
    taken = [kind for kind in HEADS.values() if kind.kind in options.heads()[0]]
    assert taken
    for kind in taken:
        check_pair(options, kind())
        loss, head = options.build(D, K), kind().build(D, K)
        assert options.trained == bool(list(loss.parameters()))
        assert kind().trained == bool(list(head.parameters()))
        x = torch.randn(2 * K, D, requires_grad=True)
        loss(x, torch.arange(2 * K) % K, head).backward()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("proxy", ["static", "partial", "none"])
def test_hug_with_its_own_proxies_does_not_look_at_the_head(proxy):
    options = losses.HUGLoss(proxy=proxy)
    loss, x, y = options.build(D, K), torch.randn(2 * K, D), torch.arange(2 * K) % K
    assert torch.equal(loss(x, y, heads.Linear(D, K)), loss(x, y, heads.Cosine(D, K)))
    assert options.trained == bool(list(loss.parameters()))
    with pytest.raises(InputError, match=f"hug expected the head class-means, got cosine: with {proxy} proxies"):
        check_pair(options, heads.CosineHead())


def test_a_head_that_a_loss_is_not_trained_with_is_refused():
    with pytest.raises(
        InputError, match=r"norm-face expected the head cosine or fixed or .*, got linear: it trains dir"
    ):
        check_pair(losses.NormFaceLoss(), heads.LinearHead())


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (losses.ArcFaceLoss, {"margin": -1.0}, "margin of at least 0"),
        (losses.ArcFaceLoss, {"margin_warmup": 2.0}, "margin_warmup in"),
        (losses.SupConLoss, {"temperature": 0.0}, "temperature above 0"),
        (heads.CosineHead, {"scale": 0.0}, "scale above 0"),
        (heads.CosineHead, {"learn_scale": True, "scale_start": 1.0}, "learn_scale or scale_start"),
        (heads.FixedHead, {"reassign_every": 0}, "reassign_every of at least 1"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_impossible_values_are_refused_before_anything_is_built(kind, settings, words):
    with pytest.raises(InputError, match=words):
        kind(**settings)


def test_every_class_of_losses_that_is_a_module_has_its_name_but_the_base_and_the_regulariser():
    made = {kind.makes for kind in LOSSES.values()}
    modules = {
        n for n in losses.__all__ if isinstance(each := getattr(losses, n), type) and issubclass(each, nn.Module)
    }
    assert modules - made == {"SphericalLoss", "Uniformity"}
