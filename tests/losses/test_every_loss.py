"""What every loss keeps to: two ranks, features in bfloat16, second derivatives, finite where points coincide.

This file, run as a script, is one of two ranks. Compilation is in test_every_loss_compiled.py.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.parallel import DistributedDataParallel

from neucollapse import losses
from neucollapse.geometry import simplex
from neucollapse.heads import Cosine, FixedSimplex, Head, Linear, SubCentre

D, K, N = 3, 4, 16


class Sphere(nn.Module):
    """``spherical_ce`` with options that no published loss has by itself."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, features, labels, head):
        return losses.spherical_ce(features, labels, head.weight, scale=head.scale, **self.options)


@dataclass(frozen=True)
class Case:
    loss: Callable[[], nn.Module]
    head: Callable[[], Head] | None = None
    couples: bool = False
    """Whether the loss of a batch is more than the mean over samples, balanced over classes."""
    derivative: str = "all"
    """Whose gradient is the derivative of the value: of ``"all"``, of ``"features"``, or, by design, of ``"none"``."""
    orders: int = 2
    """How often it can be differentiated."""


def cosine():
    return Cosine(D, K, scale=8.0)


def hug(kind, **options):
    return partial(losses.HUG, D, K, uniformity=kind, detach_proxy=False, **options)


CASES = {
    "cross-entropy": Case(losses.CrossEntropy, lambda: Linear(D, K)),
    "cross-entropy, cosine": Case(losses.CrossEntropy, cosine),
    "log objective": Case(losses.LogCrossEntropy, lambda: Linear(D, K), couples=True),
    "label smoothing": Case(losses.LabelSmoothing, lambda: Linear(D, K)),
    "focal": Case(losses.Focal, lambda: Linear(D, K)),
    "mse": Case(losses.MSE, cosine),
    "mse, linear": Case(partial(losses.MSE, form="logits"), lambda: Linear(D, K)),
    "mse, gram": Case(partial(losses.MSE, form="gram"), lambda: Linear(D, K)),
    "norm face": Case(partial(losses.NormFace, D, K)),
    "norm face, learned scale": Case(losses.NormFace, lambda: Cosine(D, K, scale=8.0, learn_scale=True)),
    "any margin": Case(partial(losses.SphericalLoss, D, K, margin=losses.CosMargin())),
    "cos face": Case(partial(losses.CosFace, D, K)),
    "arc face": Case(partial(losses.ArcFace, D, K)),
    "arc face, detached": Case(partial(losses.ArcFace, D, K, margin_grad="detached"), derivative="none"),
    "arc face, log": Case(partial(losses.ArcFace, D, K, reduction="log_mean"), couples=True),
    "arc face, simplex": Case(losses.ArcFace, lambda: FixedSimplex(D, K, scale=8.0)),
    "sphere face": Case(partial(losses.SphereFace, D, K)),
    "sphere face, v0": Case(partial(losses.SphereFace, D, K, version="v0")),
    "sphere face, sub-centres": Case(losses.SphereFace, lambda: SubCentre(D, K, scale=8.0)),
    "ada face": Case(losses.NormFace, lambda: Cosine(D, K, margin=losses.AdaMargin()), couples=True, derivative="none"),
    "ada face, running": Case(partial(losses.AdaFace, D, K), couples=True, derivative="none"),
    "combined face": Case(partial(losses.CombinedFace, D, K, margin=(0.9, 0.4, 0.15))),
    "sphere face, lengths": Case(partial(losses.SphereFace, D, K, scale="feature_norm", version="v0")),
    "sphere, smoothing": Case(partial(Sphere, smoothing=0.1, class_weights=torch.arange(1.0, K + 1)), cosine),
    "sphere, focal": Case(partial(Sphere, focal=2.0), cosine),
    "sphere, tiled": Case(partial(Sphere, margin=losses.CosMargin(), implementation="tiled"), cosine, orders=1),
    "hug": Case(partial(losses.HUG, D, K), derivative="features"),
    "hug, head": Case(losses.HUG, cosine, derivative="features"),
    "hug, mhe": Case(hug("mhe")),
    "hug, log": Case(hug("mhe", s=0)),
    "hug, mhs": Case(hug("mhs")),
    "hug, mgd": Case(hug("mgd")),
    "hug, static": Case(hug("mhe", proxy="static")),
    "hug, partial": Case(hug("mhe", proxy="partial")),
    "hug, none": Case(hug("mhe", proxy="none"), couples=True),
    "hug, none, mhs": Case(hug("mhs", proxy="none"), couples=True),
    "hug, none, mgd": Case(hug("mgd", proxy="none"), couples=True),
    "uniformity, mhe": Case(losses.Uniformity, cosine),
    "uniformity, mhs": Case(partial(losses.Uniformity, kind="mhs"), cosine),
    "uniformity, mgd": Case(partial(losses.Uniformity, kind="mgd"), cosine),
    "sup con": Case(losses.SupCon, couples=True),
    "dot regression": Case(lambda: losses.DotRegression(simplex(K).float())),
    "dot regression, lengths": Case(lambda: losses.DotRegression(simplex(K).float(), normalise=False)),
    "hard max": Case(partial(losses.HardMax, D, K), couples=True),
    "hard max, mean": Case(partial(losses.HardMax, D, K, reduction="mean")),
    "centre": Case(partial(losses.Centre, D, K), couples=True, derivative="features"),
    "centre, exact": Case(partial(losses.Centre, D, K, centre_gradient="exact")),
    "nonl": Case(partial(losses.NONL, D, K), couples=True),
    "nonl, sample": Case(partial(losses.NONL, D, K, anchor="sample")),
    "ntce": Case(partial(losses.NTCE, D, K), couples=True),
}
LABELS = torch.arange(K).repeat(N // K)  # either half of the batch has as many of each class


class Step(nn.Module):
    """A loss and its head as one module, with a linear backbone or none."""

    def __init__(self, case, backbone=None):
        super().__init__()
        self.backbone = backbone or nn.Identity()
        self.head = None if case.head is None else case.head()
        self.loss = case.loss()

    def forward(self, inputs, labels):
        return self.loss(self.backbone(inputs), labels, self.head)


def seeded(name, backbone=False):
    """The module of a case and inputs for it, the same in every process."""
    torch.manual_seed(0)
    step = Step(CASES[name], nn.Linear(5, D) if backbone else None)
    return step, torch.randn(N, 5 if backbone else D)


def value_and_gradients(step, x, autocast=False):
    """The value, and the gradients of features and parameters, zeros for those that are not read."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = step(x, LABELS)
    return [value.detach(), *torch.autograd.grad(value, [x, *step.parameters()], materialize_grads=True)]


def run_rank(folder, rank):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    half, found = slice(rank * N // 2, (rank + 1) * N // 2), {}
    for name in CASES:
        step, x = seeded(name, backbone=True)
        # Where a loss reads no features, the backbone is unused.
        wrapped = DistributedDataParallel(step.double(), find_unused_parameters=True)
        wrapped(x[half].double(), LABELS[half]).backward()
        found[name] = gradients(step)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def gradients(step):
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in step.parameters()]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Gradients by case, of each of two ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, __file__, folder, str(rank)], stderr=subprocess.DEVNULL, env=environment)
        for rank in range(2)
    ]
    assert [process.wait() for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_no_loss_is_missing():
    public = {each for name in losses.__all__ if isinstance(each := getattr(losses, name), type)}
    modules = {each for each in public if issubclass(each, nn.Module)}
    assert modules == {type(case.loss()) for case in CASES.values()} - {Sphere}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_ranks(name, ranks):
    """Their mean is the gradient of the whole batch, but where samples are coupled, when it is another one."""
    step, x = seeded(name, backbone=True)
    step.double()(x.double(), LABELS).backward()
    first, second = (rank[name] for rank in ranks)
    assert all(torch.equal(a, b) and a.isfinite().all() for a, b in zip(first, second, strict=True))
    close = [torch.allclose(a, b, rtol=1e-10, atol=1e-12) for a, b in zip(first, gradients(step), strict=True)]
    assert all(close) != CASES[name].couples


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_features_under_autocast(name):
    """Of features in bfloat16 nothing more is lost than the rounding of their own gradient."""
    step, x = seeded(name)
    x = x.bfloat16()
    value, of_x, *others = value_and_gradients(step, x.float())
    found, found_x, *found_others = value_and_gradients(step, x, autocast=True)
    assert found.dtype == torch.float32
    assert found_x.dtype == torch.bfloat16
    narrow = isinstance(step.head, Linear) and not isinstance(
        step.loss, losses.MSE
    )  # logits as torch.nn.Linear has them
    loose = {"rtol": 2e-2, "atol": 1e-2} if narrow else {}
    torch.testing.assert_close(found, value, **loose)
    torch.testing.assert_close(found_x.float(), of_x, **(loose or {"rtol": 2**-8, "atol": 1e-6}))
    for mine, other in zip(found_others, others, strict=True):
        torch.testing.assert_close(mine, other, **loose)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.derivative != "none"])
def test_derivatives(name):
    case = CASES[name]
    step, x = seeded(name)
    step.double()
    inputs = [x[:8].double().requires_grad_(), *(step.parameters() if case.derivative == "all" else ())]

    def value(x, *_):
        return step(x, LABELS[:8])

    assert gradcheck(value, inputs)
    if case.orders == 2:
        assert gradgradcheck(value, inputs, fast_mode=True)


def class_rows(step):
    """The weight whose rows are classes, or None where features have no such counterpart."""
    owner = step.loss if step.head is None else step.head
    return None if getattr(owner, "proxy", None) == "none" else getattr(owner, "weight", None)


@pytest.mark.parametrize("where", ["collapse", "coincident classes", "zero features", "one point"])
@pytest.mark.parametrize("name", CASES)
def test_finite(name, where):
    step, x = seeded(name)
    rows = class_rows(step)
    rows = x[:K] if rows is None else rows.detach()
    if where == "coincident classes":
        for parameter in step.parameters():
            if parameter.dim() > 1:
                parameter.data[1:] = parameter.data[0]
    x = {"collapse": 3 * rows[LABELS], "coincident classes": x, "zero features": 0 * x, "one point": 0 * x + 1}[where]
    results = value_and_gradients(step, x)
    assert all(result.isfinite().all() for result in results)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_rank(sys.argv[1], int(sys.argv[2]))
