"""Every head compiled, every head on two ranks, and whole trainings on two ranks that are those of one process.

This file, run as a script, compiles or is one of the ranks: torch.compile cannot read the shape checks of the tests.
"""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from neucollapse.heads import ClassMeanFeatures, Cosine, SubCentre
from neucollapse.losses import ArcFace, CrossEntropy, NormFace

HEADS = runpy.run_path(str(Path(__file__).with_name("test_contract.py")))["HEADS"]
TRAININGS = {
    "cosine, arc face": lambda: (Cosine(6, 10), ArcFace()),
    "cosine, learned scale": lambda: (Cosine(6, 10, learn_scale=True), NormFace()),
    "class means": lambda: (ClassMeanFeatures(6, 10), NormFace()),
    "sub-centres": lambda: (SubCentre(6, 10), ArcFace()),
}


class Training(nn.Module):
    """A backbone, a head that is brought up to date by each batch, and a loss."""

    def __init__(self, backbone, head, loss):
        super().__init__()
        self.backbone, self.head, self.loss = backbone, head, loss

    def forward(self, inputs, labels):
        features = self.backbone(inputs)
        self.head.update(features, labels)
        return self.loss(features, labels, self.head)


def train(module, inputs, labels, ranks=1, rank=0):
    """The state after plain steps over batches of 64, of which each rank has its share."""
    wrapped = DistributedDataParallel(module) if ranks > 1 else module
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for x, y in zip(inputs.split(64), labels.split(64), strict=True):
        optimizer.zero_grad()
        wrapped(x.chunk(ranks)[rank], y.chunk(ranks)[rank]).backward()
        optimizer.step()
    return module.state_dict()


def one_head(name):
    torch.manual_seed(0)
    module = Training(nn.Linear(5, 4), HEADS[name](), CrossEntropy()).double()
    return module, torch.randn(128, 5).double(), torch.arange(128) % 3


def digits(name):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 6))
    images, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(images[:1280]).double() / 16, torch.from_numpy(labels[:1280])
    return Training(backbone, *TRAININGS[name]()).double(), x, y


def run_rank(folder, rank):
    # Made before the ranks know of each other: some have been updated, once, not once a rank.
    made = [{name: one_head(name) for name in HEADS}, {name: digits(name) for name in TRAININGS}]
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    trained = [{name: train(*problem, ranks=2, rank=rank) for name, problem in table.items()} for table in made]
    torch.save(trained, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def compile_all():
    failed = []
    for name, make in HEADS.items():
        torch.manual_seed(0)
        head, x = make(), torch.randn(7, 4, requires_grad=True)
        torch._dynamo.reset()
        compiled = torch.compile(head, backend="aot_eager", fullgraph=True)
        try:
            for mine, other in zip(*(outputs(f, head, x) for f in (head, compiled)), strict=True):
                torch.testing.assert_close(mine, other)
        except Exception as error:
            failed.append(f"{name}: {error}")
    sys.exit("\n".join(failed) or 0)


def outputs(function, head, x):
    logits = function(x)
    return [logits, *torch.autograd.grad(logits.square().sum(), [x, *head.parameters()], materialize_grads=True)]


def start(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, __file__, *arguments], stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Of each of two ranks, the states of all heads and of all trainings."""
    folder = tmp_path_factory.mktemp("ranks")
    processes = [start(folder, str(rank)) for rank in range(2)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
def test_every_head_compiles():
    process = start("compile")
    _, errors = process.communicate()
    assert process.returncode == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_every_head_on_two_ranks(name, ranks):
    first, second = (heads[name] for heads, _ in ranks)
    for key, expected in train(*one_head(name)).items():
        assert torch.equal(first[key], second[key])
        torch.testing.assert_close(first[key], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_digits_on_two_ranks(name, ranks):
    first, second = (trainings[name] for _, trainings in ranks)
    for key, expected in train(*digits(name)).items():
        assert torch.equal(first[key], second[key])
        torch.testing.assert_close(first[key], expected, rtol=1e-9, atol=1e-11)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "compile":
        compile_all()
    else:
        run_rank(sys.argv[1], int(sys.argv[2]))
