"""A training step with 100,000 classes: ours in tiles against eager autograd, in time and in memory.

Forward, backward and the update of the weights by SGD, at B = 512, K = 100,000, d = 128, float32, s = 20. The peers are
normalised rows, one matrix product and ``torch.nn.functional.cross_entropy``; and ours without tiles. Memory is what the
resident set of a fresh process grows by in one step; the gradient (K, d) alone, which ``.grad`` must hold, is 51 MB.

    python benchmarks/spherical_ce.py        writes benchmarks/results/spherical_ce.json
"""

from _timing import alternate, save  # first: it pins the threads

import resource
import subprocess
import sys
from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812

from neucollapse.losses import ArcFace, spherical_ce

B, K, D, SCALE, REPEATS = 512, 100_000, 128, 20.0, 3


def steps() -> dict[str, Callable[[], None]]:
    """One step of each, on the same features and weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, D, generator=generator).requires_grad_()
    W = torch.nn.Parameter(torch.randn(K, D, generator=generator))
    y = torch.randint(K, (B,), generator=generator)
    optimizer, arc = torch.optim.SGD([W], lr=0.1), ArcFace(scale=SCALE)

    def step(loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
        def run() -> None:
            optimizer.zero_grad()
            x.grad = None
            loss().backward()
            optimizer.step()

        return run

    arc.register_parameter("weight", W)
    return {
        "tiled": step(lambda: spherical_ce(x, W, y, SCALE, implementation="tiled")),
        "tiled, ArcFace": step(lambda: arc(x, y)),
        "reference": step(lambda: spherical_ce(x, W, y, SCALE, implementation="reference")),
        "eager torch": step(lambda: F.cross_entropy(SCALE * F.normalize(x) @ F.normalize(W).mT, y)),
    }


def grown(name: str) -> float:
    """Megabytes that the peak resident set of this process grows by in one step."""
    step = steps()[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    if len(sys.argv) == 2:
        print(grown(sys.argv[1]))
        return
    functions = steps()
    memory = {
        name: float(subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True).stdout)
        for name in functions
    }
    times = alternate(functions, REPEATS)
    slowest = times["eager torch"]["median"]
    rows = [
        {
            "step": name,
            **{f"{key}_s": value for key, value in times[name].items()},
            "memory_MB": memory[name],
            "times_faster": slowest / times[name]["median"],
            "times_less_memory": memory["eager torch"] / memory[name],
        }
        for name in functions
    ]
    settings = {"B": B, "K": K, "d": D, "scale": SCALE, "dtype": "float32", "repeats": REPEATS}
    save(
        "spherical_ce", "A step over many classes is faster in tiles, and holds no logits.", {**settings, "rows": rows}
    )


if __name__ == "__main__":
    main()
