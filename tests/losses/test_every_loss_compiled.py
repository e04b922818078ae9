"""Every loss under torch.compile is itself, value and gradients; as one graph, but for the losses named here.

This file, run as a script, does it: torch.compile cannot read the shape checks that the tests put around every function.
"""

import subprocess
import sys

import pytest
import torch

# A number read back decides what is done next: the closest pair, the labels in a batch, the tiles that hold a class.
BROKEN = {"hug, mhs", "hug, none", "sup con", "hard max", "nonl", "nonl, sample", "ntce"}
# Made of the same functions as others of the table.
LEFT_OUT = {"hug, head", "hug, mhe", "hug, log", "hug, mgd", "hug, none, mhs", "hug, none, mgd"}
LEFT_OUT |= {"uniformity, mhe", "uniformity, mhs", "hard max, mean", "dot regression, lengths"}
LEFT_OUT |= {"norm face, learned scale", "sphere face, v0"}


def compile_all():
    from test_every_loss import CASES, seeded, value_and_gradients

    torch.set_num_threads(1)
    failed = []
    for name in sorted(CASES.keys() - LEFT_OUT):
        step, x = seeded(name)
        torch._dynamo.reset()
        try:
            compiled = torch.compile(step, backend="aot_eager", fullgraph=name not in BROKEN)
            for mine, other in zip(value_and_gradients(compiled, x), value_and_gradients(step, x), strict=True):
                torch.testing.assert_close(mine, other)
        except Exception as error:
            failed.append(f"{name}: {error}")
    sys.exit("\n".join(failed) or 0)


@pytest.mark.slow
def test_every_loss_compiles():
    run = subprocess.run([sys.executable, __file__], stderr=subprocess.PIPE, text=True)
    assert run.returncode == 0, run.stderr


if __name__ == "__main__":
    compile_all()
