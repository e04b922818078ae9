"""A training step over 100,000 and a million classes: time, memory, and the floor that matrix products set.

Forward, backward and the update of the weights by SGD, at d = 128, float32, s = 20; in turn, one thread. ``stepped`` is ours
in tiles with the step taken in backward; ``tiled`` leaves a gradient to the optimizer. The peers: normalised rows, a
product and cross-entropy in eager torch; torch's ``linear_cross_entropy`` on the same rows, by default and in chunks of 128
samples, the best of its settings here; pytorch-metric-learning's ArcFace; cut-cross-entropy's ``torch_compile`` path. Peers
that are not installed are left out (``pip install pytorch-metric-learning cut-cross-entropy triton``).

Times are medians over rounds in which each runs once, and ratios are medians over rounds of the ratio within one.
Memory is what the resident set grows by in one step, in a process of its own that has run a small step before, so that no
code is counted. The floor is the time of the four products of (B, d) and (d, K) that a step without logits needs: at the rate
of a product of 2,048-square matrices, and at that of the tiles' own shape; both measured here, between the steps.

    python benchmarks/spherical_ce.py [--million]     writes benchmarks/results/spherical_ce[_million].json
"""

from _timing import each_round, ratio, save, summary  # first: it pins the threads

import ctypes
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F  # noqa: N812

from neucollapse.losses import ArcFace, NormFace, spherical_ce
from neucollapse.losses._tiles import tile_shape

SIZES = {"hundred thousand": (512, 100_000, 128, 9), "million": (512, 1_000_000, 128, 7)}
SCALE = 20.0
FLOORS = ("floor: squares", "floor: tiles")
AT_A_MILLION = ("stepped", "eager torch")  # the others take minutes or gigabytes there
Step = Callable[[], None]


def steps(B: int, K: int, d: int) -> dict[str, Callable[[], Step]]:
    """Makers of one step of each, on the same features; each owns its weight."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, d, generator=generator).requires_grad_()
    y = torch.randint(K, (B,), generator=generator)

    def weight() -> torch.nn.Parameter:
        return torch.nn.Parameter(torch.randn(K, d, generator=torch.Generator().manual_seed(1)))

    def step(W: torch.nn.Parameter, loss: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer) -> Step:
        def run() -> None:
            optimizer.zero_grad()
            x.grad = None
            loss().backward()
            optimizer.step()

        assert W.shape.numel() == K * d
        return run

    def of_weight(loss: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], Step]:
        def make() -> Step:
            W = weight()
            return step(W, lambda: loss(W), torch.optim.SGD([W], lr=0.1))

        return make

    def of_module(kind: type, stepped: bool) -> Callable[[], Step]:
        def make() -> Step:
            loss = kind(scale=SCALE)
            loss.weight = weight()
            optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
            if stepped:
                loss.step_in_backward(optimizer)
            return step(loss.weight, lambda: loss(x, y), optimizer)

        return make

    def chunked(W: torch.Tensor) -> torch.Tensor:
        options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=128)
        return F.linear_cross_entropy(SCALE * F.normalize(x), F.normalize(W), y, options=options)

    def default(W: torch.Tensor) -> torch.Tensor:
        options = torch.nn.LinearCrossEntropyOptions()
        return F.linear_cross_entropy(SCALE * F.normalize(x), F.normalize(W), y, options=options)

    found = {
        "stepped": of_module(NormFace, stepped=True),
        "stepped, ArcFace": of_module(ArcFace, stepped=True),
        "tiled": of_weight(lambda W: spherical_ce(x, y, W, scale=SCALE, implementation="tiled")),
        "reference": of_weight(lambda W: spherical_ce(x, y, W, scale=SCALE, implementation="reference")),
        "eager torch": of_weight(lambda W: F.cross_entropy(SCALE * F.normalize(x) @ F.normalize(W).mT, y)),
        "torch linear_cross_entropy, chunks of 128": of_weight(chunked),
        "torch linear_cross_entropy, default": of_weight(default),
    }
    return {**found, **peers(x, y, K, d, step, of_weight)}


def peers(x, y, K, d, step, of_weight) -> dict[str, Callable[[], Step]]:
    found = {}
    try:
        from pytorch_metric_learning.losses import ArcFaceLoss
    except ImportError:
        pass
    else:

        def metric_learning() -> Step:
            loss = ArcFaceLoss(K, d, margin=math.degrees(0.5), scale=SCALE)
            return step(loss.W, lambda: loss(x, y), torch.optim.SGD(loss.parameters(), lr=0.1))

        found["pytorch-metric-learning ArcFace"] = metric_learning
    try:
        from cut_cross_entropy import linear_cross_entropy
    except ImportError:
        pass
    else:
        found["cut-cross-entropy torch_compile"] = of_weight(
            lambda W: linear_cross_entropy(SCALE * F.normalize(x), F.normalize(W), y, impl="torch_compile")
        )
    return found


def products(B: int, K: int, d: int) -> dict[str, Step]:
    """Four products' work, at the rate of large squares and at that of tiles."""
    samples, classes = tile_shape(B, K)
    x, U = torch.randn(samples, d), torch.randn(classes, d)
    z, zt = torch.empty(samples, classes), torch.empty(classes, samples)
    square = torch.randn(2048, 2048)
    out = torch.empty_like(square)
    repeats = round(4 * B * K * d / 2048**3)

    def squares() -> None:
        for _ in range(repeats):
            torch.mm(square, square, out=out)

    def tiles() -> None:
        means, G = torch.zeros(samples, d), torch.zeros(classes, d)
        for _ in range(-(-K // classes) * -(-B // samples)):
            torch.mm(x, U.mT, out=z)
            means.addmm_(z, U, beta=0)
            torch.mm(U, x.mT, out=zt)
            G.addmm_(zt, x, beta=0)

    return dict(zip(FLOORS, (squares, tiles), strict=True))


def grown(name: str, size: str) -> float:
    """Megabytes that the resident set of this process grows by, at most, in one step."""
    steps(16, 40_000, 128)[name]()()  # as many classes as make it load what it compiles
    ctypes.CDLL(None).malloc_trim(0)  # and what that step held is given back
    step = steps(*SIZES[size][:3])[name]()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again at what is resident
    before = status("VmRSS")
    step()
    return (status("VmHWM") - before) / 1024


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(grown(*sys.argv[1:])))
        return
    size = "million" if "--million" in sys.argv else "hundred thousand"
    B, K, d, repeats = SIZES[size]
    makers = steps(B, K, d)
    names = AT_A_MILLION if size == "million" else tuple(makers)
    memory = {name: memory_of(name, size) for name in names}
    functions = {name: makers[name]() for name in names} | products(B, K, d)
    slow = {name: functions.pop(name) for name in list(functions) if name.endswith("default")}  # ten times the others
    times = each_round(functions, repeats) | each_round(slow, 1)
    rows = [
        {
            "step": name,
            **{f"{key}_s": value for key, value in summary(times[name]).items()},
            "memory_MB": memory[name],
            **({} if name in slow else {f"{floor}, share": ratio(times[floor], times[name]) for floor in FLOORS}),
            **compared(name, names, times, memory),
        }
        for name in names
    ]
    floors = {name: summary(times[name]) for name in FLOORS}
    settings = {"B": B, "K": K, "d": d, "scale": SCALE, "dtype": "float32", "repeats": repeats}
    result = "spherical_ce" + ("_million" if size == "million" else "")
    claim = "A step over many classes is faster in tiles, and holds neither logits nor a gradient."
    save(result, claim, {**settings, "rows": rows, "floors": floors})


def memory_of(name: str, size: str) -> float:
    command = [sys.executable, __file__, name, size]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compared(name: str, names: tuple[str, ...], times: dict, memory: dict) -> dict:
    """Of our steps: how many times faster than each peer, and how many times less memory."""
    if not name.startswith(("stepped", "tiled")):
        return {}
    others = [other for other in names if not other.startswith(("stepped", "tiled", "reference"))]
    return {
        "times_faster_than": {other: ratio(times[other], times[name][: len(times[other])]) for other in others},
        "times_less_memory_than": {other: memory[other] / memory[name] for other in others},
    }


if __name__ == "__main__":
    main()
