"""A step in backward: the same weights and state as backward followed by the optimizer's step."""

import copy
import subprocess
import sys

import pytest
import torch

from neucollapse import InputError
from neucollapse.heads import Cosine, Linear
from neucollapse.losses import ArcFace, NormFace, _stepped_weight, _tiles, spherical_ce

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.5),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


def trained(make, stepped, *, steps=4, K=300, dtype=torch.float64, scale=20.0):
    """A head and a linear backbone after some steps; the schedule halves the rate on the way."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(1)
    backbone, head = torch.nn.Linear(5, 8).to(dtype), Cosine(8, K, scale=scale).to(dtype)
    optimizer = make([*backbone.parameters(), *head.parameters()])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    if stepped:
        head.step_in_backward(optimizer)
    loss = ArcFace(scale=scale)
    for _ in range(steps):
        x = torch.randn(64, 5, generator=generator, dtype=dtype)
        y = torch.randint(K, (64,), generator=generator)
        optimizer.zero_grad()
        loss(backbone(x), y, head).backward()
        optimizer.step()
        schedule.step()
    return backbone, head, optimizer


@pytest.fixture
def small_tiles(monkeypatch):
    """Five blocks of 66 classes, each of two tiles: each block takes a step of its own."""
    monkeypatch.setattr(_stepped_weight, "tile_shape", lambda *_: (7, 33))
    monkeypatch.setattr(_tiles, "_ROW_ELEMENTS", 8 * 66)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_and_state_are_those_of_an_ordinary_step(name):
    ordinary, fused = trained(OPTIMIZERS[name], False), trained(OPTIMIZERS[name], True)
    for mine, theirs in zip(fused[:2], ordinary[:2], strict=True):
        torch.testing.assert_close(mine.state_dict(), theirs.state_dict(), rtol=1e-10, atol=1e-12)
    mine, theirs = fused[2].state_dict(), ordinary[2].state_dict()
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    assert mine["state"].keys() == theirs["state"].keys()
    assert fused[1].weight.grad is None


@pytest.mark.usefixtures("small_tiles")
def test_a_run_goes_on_from_a_saved_optimizer():
    whole = trained(OPTIMIZERS["adam"], True, steps=4)
    _, head, optimizer = trained(OPTIMIZERS["adam"], True, steps=2)
    saved = copy.deepcopy(optimizer.state_dict())
    assert saved["state"][2]["exp_avg"].shape == head.weight.shape
    assert saved["state"][2]["step"] == 2
    assert whole[2].state_dict()["state"][2]["step"] == 4


@pytest.mark.usefixtures("small_tiles")
def test_a_step_of_many_blocks_counts_once():
    stepped, blocks = trained(OPTIMIZERS["adam"], True, steps=0)[1], []
    weight = stepped.weight
    optimizer = torch.optim.Adam([weight], lr=0.01)
    stepped.step_in_backward(optimizer)
    step = stepped.stepped_weight.step
    stepped.stepped_weight.step = lambda parts: step(blocks.append(part[:2]) or part for part in parts)
    for count in (1, 2, 3):
        NormFace()(torch.randn(9, 8).double(), torch.arange(9), stepped).backward()
        assert optimizer.state[weight]["step"] == count
        assert len(blocks) == 5 * count


def test_no_grad_evaluation_moves_nothing_and_a_frozen_weight_stays():
    head = Cosine(4, 50)
    head.step_in_backward(torch.optim.SGD(head.parameters(), lr=1.0))
    before = head.weight.detach().clone()
    x, y = torch.randn(6, 4, requires_grad=True), torch.arange(6)
    with torch.no_grad():
        quiet = NormFace()(x, y, head)
    torch.testing.assert_close(quiet, spherical_ce(x, y, head.weight, scale=head.scale).detach())
    head.weight.requires_grad_(False)
    NormFace()(x, y, head).backward()
    assert x.grad is not None
    assert torch.equal(head.weight, before)


def test_a_second_backward_through_old_weights_is_an_error():
    head = Cosine(4, 50)
    head.step_in_backward(torch.optim.SGD(head.parameters(), lr=1.0))
    first, second = (NormFace()(torch.randn(6, 4), torch.arange(6), head) for _ in range(2))
    first.backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        second.backward()


def test_a_loss_of_its_own_weight_in_float32_and_under_autocast():
    torch.manual_seed(0)
    loss, plain = ArcFace(dim=4, num_classes=3000, scale=16.0), ArcFace(dim=4, num_classes=3000, scale=16.0)
    plain.load_state_dict(loss.state_dict())
    loss.step_in_backward(torch.optim.SGD(loss.parameters(), lr=1.0))
    x, y = torch.randn(200, 4), torch.randint(3000, (200,))
    with torch.autocast("cpu", torch.bfloat16):
        loss(x, y).backward()
        plain(x, y).backward()
    torch.testing.assert_close(loss.weight, plain.weight - plain.weight.grad, rtol=1e-5, atol=1e-6)


COMPILED = """
import torch
from neucollapse.heads import Cosine
from neucollapse.losses import NormFace

head, backbone = Cosine(4, 50), torch.nn.Linear(3, 4)
head.step_in_backward(torch.optim.SGD(head.parameters(), lr=1.0))
before = head.weight.detach().clone()
step = torch.compile(lambda x, y: NormFace()(backbone(x), y, head), backend="aot_eager")
step(torch.randn(6, 3), torch.arange(6)).backward()
assert (head.weight != before).any() and backbone.weight.grad is not None
"""


@pytest.mark.slow
def test_under_compile_it_is_a_break_in_the_graph():
    """In a process of its own: torch.compile cannot read the shape checks that the tests put around every function."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


def test_what_cannot_be_stepped_is_refused():
    head = Cosine(4, 50)
    with pytest.raises(InputError, match=r"got LBFGS"):
        head.step_in_backward(torch.optim.LBFGS(head.parameters()))
    with pytest.raises(InputError, match="made from other parameters"):
        head.step_in_backward(torch.optim.SGD(Linear(4, 50).parameters(), lr=1.0))
    with pytest.raises(InputError, match=r"got torch\.bfloat16"):
        head.bfloat16().step_in_backward(torch.optim.SGD(head.parameters(), lr=1.0))
    with pytest.raises(InputError, match="NormFace expected a weight to move"):
        NormFace().step_in_backward(torch.optim.SGD(head.parameters(), lr=1.0))


def test_an_empty_batch_is_a_step_without_a_gradient():
    head = Cosine(4, 50)
    head.step_in_backward(torch.optim.SGD(head.parameters(), lr=1.0))
    before = head.weight.detach().clone()
    NormFace(reduction="sum")(torch.zeros(0, 4, requires_grad=True), torch.zeros(0, dtype=torch.long), head).backward()
    assert torch.equal(head.weight, before)
