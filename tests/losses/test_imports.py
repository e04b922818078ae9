"""Losses and heads load in no time: compilers, searches and the geometry wing come when they are used."""

import subprocess
import sys

CODE = """
import sys, torch
import neucollapse.losses, neucollapse.heads
print(sorted({"numba", "scipy", "torch._dynamo", "neucollapse.geometry"} & set(sys.modules)))
"""


def test_losses_and_heads_load_neither_compilers_nor_the_geometry():
    run = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"
