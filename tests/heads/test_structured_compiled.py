"""A head by fast transforms is one graph under torch.compile."""

import subprocess
import sys

import pytest

COMPILED = """
import torch
from neucollapse.heads import FixedKerdock
from neucollapse.losses import spherical_ce
x, labels, head = torch.randn(9, 16, requires_grad=True), torch.randint(288, (9,)), FixedKerdock(16, 288)

def loss(x):
    return spherical_ce(x, labels, head, scale=head.scale) + head(x).square().mean()

compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
for mine, other in zip(*((f(x), *torch.autograd.grad(f(x), x)) for f in (loss, compiled))):
    torch.testing.assert_close(mine, other)
"""


@pytest.mark.slow
def test_one_graph_under_compile():
    """In a process of its own: torch.compile cannot read the shape checks that the tests put around every function."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)
