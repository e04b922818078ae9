"""A fixed head of 66,048 classes by fast transforms: ours against the dense fixed head, in time and in memory.

Loss and gradient of the features of a Kerdock head at B = 512, d = 256, float32, s = 20; the class directions are fixed and
of unit length. The peers have them as a (K, d) matrix: one product and ``torch.nn.functional.cross_entropy``, and our
tiled sums, which do not trust the rows to have unit length. Memory is what the resident set of a fresh process grows by,
above the head itself, in one step. Times are of the processor.

The floor is what no arrangement of the transforms avoids: one exponential for a class and its opposite, each a single
vectorised ``exp`` of a buffer that stays in cache.

    python benchmarks/structured_heads.py        writes benchmarks/results/structured_heads.json
"""

from _timing import save  # first: it pins the threads

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812

from neucollapse.heads import FixedKerdock
from neucollapse.losses import ArcFace, NormFace, spherical_ce

B, K, D, SCALE, REPEATS = 512, 66_048, 256, 20.0, 9
NAMES = ("fast transforms", "fast transforms, ArcFace", "tiled, dense weight", "eager torch, dense weight")


def step(name: str, samples: int = B, d: int = D, classes: int = K) -> Callable[[], None]:
    """Loss and gradient of the features."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, d, generator=generator).requires_grad_()
    y = torch.randint(classes, (samples,), generator=generator)
    head = FixedKerdock(d, classes, scale=SCALE)
    if name == "fast transforms":
        loss = lambda: NormFace()(x, y, head)  # noqa: E731
    elif name == "fast transforms, ArcFace":
        loss = lambda: ArcFace()(x, y, head)  # noqa: E731
    else:
        W = head.weight
        if name == "tiled, dense weight":
            loss = lambda: spherical_ce(x, y, W, scale=SCALE, implementation="tiled")  # noqa: E731
        else:
            loss = lambda: F.cross_entropy(SCALE * F.normalize(x) @ W.mT, y)  # noqa: E731

    def run() -> None:
        x.grad = None
        loss().backward()

    return run


def floor() -> Callable[[], None]:
    """The exponentials alone: half of B K, in a buffer of 1 MB."""
    buffer, out = torch.randn(2, 2**18).unbind()

    def run() -> None:
        for _ in range(B * K // 2 // len(buffer)):
            torch.exp(buffer, out=out)

    return run


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def grown(name: str) -> float:
    """Megabytes that the peak resident set of this process grows by in one step, libraries being loaded by a small one."""
    step(name, 4, 16, 32)()
    run = step(name)
    before = peak()
    run()
    return peak() - before


def processor_times(functions: dict[str, Callable[[], None]]) -> dict[str, dict[str, float]]:
    """Seconds of the processor; the functions run in turn, so that a slow spell meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(REPEATS):
        for name, function in functions.items():
            begin = time.process_time()
            function()
            times[name].append(time.process_time() - begin)
    return {name: {"median": statistics.median(t), "least": min(t), "largest": max(t)} for name, t in times.items()}


def agreement() -> float:
    """Largest difference of a fast and a dense gradient, relative to the largest entry: the peers compute the same."""
    gradients = []
    for fast in (True, False):
        torch.manual_seed(0)
        x, y, head = torch.randn(8, D).requires_grad_(), torch.randint(K, (8,)), FixedKerdock(D, K, scale=SCALE)
        loss = NormFace()(x, y, head) if fast else F.cross_entropy(SCALE * F.normalize(x) @ head.weight.mT, y)
        gradients.append(torch.autograd.grad(loss, x)[0])
    return ((gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max()).item()


def main() -> None:
    if len(sys.argv) == 2:
        print(grown(sys.argv[1]))
        return
    memory = {
        name: float(subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True).stdout)
        for name in NAMES
    }
    times = processor_times({**{name: step(name) for name in NAMES}, "exponentials alone": floor()})
    slowest = times["eager torch, dense weight"]["median"]
    rows = [
        {
            "step": name,
            **{f"{key}_s": value for key, value in times[name].items()},
            "memory_MB": memory[name],
            "times_faster": slowest / times[name]["median"],
            "floors": times[name]["median"] / times["exponentials alone"]["median"],
        }
        for name in NAMES
    ]
    settings = {"B": B, "K": K, "d": D, "scale": SCALE, "dtype": "float32", "repeats": REPEATS}
    save(
        "structured_heads",
        "A fixed Kerdock head by fast transforms is at least five times faster than its dense weight.",
        {
            **settings,
            "floor_s": times["exponentials alone"]["median"],
            "gradient_difference": agreement(),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
