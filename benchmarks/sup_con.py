"""Losses without a matrix of all pairs: supervised contrastive by tiles, squared error by the Gram matrix of the weight.

Forward and backward, float32, one thread, standard normal features and uniform random labels of seed 0. Supervised
contrastive at d = 128, temperature 0.1, for 512 to 8,192 samples of 10 and 100 classes, beside pytorch-metric-learning's
``SupConLoss`` (left out where not installed, ``pip install pytorch-metric-learning``, and where it needs more than 8 GB,
by its memory at 2,048 samples times the ratio of squares) and the definition in a few lines of eager torch on the whole
matrix. Squared error of 100,000 classes at B = 512, d = 128: the Gram form beside the same loss from logits, ours in
float64 and eager torch in float32.

Times are medians over rounds in which each runs once; ``times_faster_than`` is the quotient within a round, over rounds.
Memory is what the resident set grows by in one step, in a process of its own that has run a small step before. ``error`` is
relative, against the definition in float64 on the whole matrix: of the value, and of each gradient by norms.
``products alone`` is the floor of any way that keeps no pairs and uses symmetry: two products of B x B x d in float32.

    python benchmarks/sup_con.py        writes benchmarks/results/sup_con.json
"""

from _timing import each_round, save, summary  # first: it pins the threads

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from neucollapse.losses import SupCon, mse_linear

try:
    from pytorch_metric_learning.losses import SupConLoss
except ImportError:
    SupConLoss = None

D, TEMPERATURE, SEED = 128, 0.1, 0
ROUNDS = {512: 31, 2048: 15, 8192: 3}  # by samples
CLASSES = (10, 100)
TOO_MUCH_MB = 8192
MSE_BATCH, MSE_CLASSES, MSE_ROUNDS = 512, 100_000, 9
PEER, FLOOR, GRAM = "pytorch-metric-learning", "products alone", "gram form"
Loss = Callable[..., Tensor]


def dense_sup_con(x: Tensor, y: Tensor) -> Tensor:
    """Equation 2 of arXiv 2004.11362, its mean over the anchors."""
    z = F.normalize(x, dim=1)
    itself = torch.eye(len(x), dtype=torch.bool)
    t = (z @ z.mT / TEMPERATURE).masked_fill(itself, -torch.inf)
    positive = (y[:, None] == y) & ~itself
    number = positive.sum(dim=1)
    losses = t.logsumexp(dim=1) - t.where(positive, 0).sum(dim=1) / number.clamp(min=1)
    return losses[number > 0].mean()


def sup_con_losses() -> dict[str, Loss]:
    found = {"tiles": SupCon(temperature=TEMPERATURE), "eager torch": dense_sup_con}
    return found if SupConLoss is None else {**found, PEER: SupConLoss(TEMPERATURE)}


def dense_mse(x: Tensor, W: Tensor, y: Tensor) -> Tensor:
    """Mean over samples and classes of the squared residuals of logits to one-hot targets."""
    z = x @ W.mT
    return z.scatter_add(1, y[:, None], z.new_full((len(y), 1), -1)).square().mean()


MSE_LOSSES: dict[str, Loss] = {
    GRAM: lambda x, W, y: mse_linear(x, y, W, form="gram"),
    "logits in float64": lambda x, W, y: mse_linear(x, y, W, form="logits"),
    "eager torch": dense_mse,
}


def batch(B: int, K: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(B, D, generator=generator).requires_grad_(), torch.randint(K, (B,), generator=generator)


def weighted_batch(B: int, K: int) -> tuple[Tensor, Tensor, Tensor]:
    x, y = batch(B, K)
    W = torch.randn(K, D, generator=torch.Generator().manual_seed(SEED + 1)) / D**0.5  # logits of size 1
    return x, W.requires_grad_(), y


def step(loss: Loss, data: tuple[Tensor, ...]) -> Callable[[], None]:
    """Forward and backward."""

    def run() -> None:
        for tensor in data:
            tensor.grad = None
        loss(*data).backward()

    return run


def task(name: str, kind: str, B: int, K: int) -> Callable[[], None]:
    if kind == "mse":
        return step(MSE_LOSSES[name], weighted_batch(B, K))
    return step(sup_con_losses()[name], batch(B, K))


def products(B: int) -> Callable[[], None]:
    """The work of two products of all pairs, in tiles of the shape that is fastest here."""
    rows, columns = 256, min(B, 2048)
    z, pairs = torch.randn(max(rows, columns), D), torch.randn(rows, columns)

    def run() -> None:
        for _ in range(B * B // (rows * columns)):
            z[:rows] @ z[:columns].mT
            pairs @ z[:columns]

    return run


def grown(name: str, kind: str, B: int, K: int) -> float:
    """Megabytes that the resident set of this process grows by, at most, in one step."""
    task(name, kind, 16, 4)()
    run = task(name, kind, B, K)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again at what is resident
    before = status("VmRSS")
    run()
    return (status("VmHWM") - before) / 1024


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def memory_of(name: str, kind: str, B: int, K: int) -> float:
    command = [sys.executable, __file__, name, kind, str(B), str(K)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def errors(loss: Loss, exact: Loss, data: tuple[Tensor, ...]) -> dict[str, float]:
    """Relative errors of the value and of the gradients, the exact loss being taken in float64."""
    wide = tuple(tensor.detach().double() if tensor.is_floating_point() else tensor for tensor in data)
    values, gradients = [], []
    for form, inputs in ((loss, data), (exact, wide)):
        leaves = [tensor.detach().requires_grad_() for tensor in inputs if tensor.is_floating_point()]
        value = form(*leaves, inputs[-1])
        values.append(value.item())
        gradients.append(torch.autograd.grad(value, leaves))
    found = {"value": abs(values[0] / values[1] - 1)}
    for name, a, b in zip(("features", "weight"), *gradients, strict=False):
        found[f"gradient of {name}"] = ((a.double() - b).norm() / b.norm()).item()
    return found


def rows(times: dict[str, list[float]], memory: dict[str, float], ours: str, **settings: int) -> list[dict]:
    """One row a way of computing; ours with its ratios to all others."""
    found = []
    for name, seconds in times.items():
        row = {**settings, "step": name, **{f"{key}_s": value for key, value in summary(seconds).items()}}
        if name in memory:
            row["memory_MB"] = memory[name]
        if name == ours:
            others = {other: times[other] for other in times if other != ours}
            row["times_faster_than"] = {
                other: summary([a / b for a, b in zip(theirs, seconds, strict=True)])
                for other, theirs in others.items()
            }
        found.append(row)
    return found


def sup_con_rows(B: int, K: int) -> list[dict]:
    losses, data = sup_con_losses(), batch(B, K)
    too_much = 0.0
    if SupConLoss is not None and B > 2048:
        too_much = memory_of(PEER, "sup_con", 2048, K) * (B / 2048) ** 2
        if too_much > TOO_MUCH_MB:
            losses.pop(PEER)
    memory = {name: memory_of(name, "sup_con", B, K) for name in losses}
    functions = {name: step(loss, data) for name, loss in losses.items()} | {FLOOR: products(B)}
    found = rows(each_round(functions, ROUNDS[B]), memory, "tiles", B=B, K=K)
    for row in found:
        if row["step"] in losses:
            row["error"] = errors(losses[row["step"]], dense_sup_con, data)
    left_out = {"B": B, "K": K, "step": PEER, "left_out": f"it would need about {too_much:.0f} MB"}
    return [*found, left_out] if too_much > TOO_MUCH_MB else found


def mse_rows() -> list[dict]:
    B, K = MSE_BATCH, MSE_CLASSES
    data = weighted_batch(B, K)
    wide = tuple(tensor.detach().double() if tensor.is_floating_point() else tensor for tensor in data)
    memory = {name: memory_of(name, "mse", B, K) for name in MSE_LOSSES}
    times = each_round({name: step(loss, data) for name, loss in MSE_LOSSES.items()}, MSE_ROUNDS)
    found = rows(times, memory, GRAM, B=B, K=K)
    for row in found:
        row["error"] = errors(MSE_LOSSES[row["step"]], dense_mse, data)
        row["error of float64 inputs"] = errors(MSE_LOSSES[row["step"]], dense_mse, wide)
    return found


def main() -> None:
    if len(sys.argv) == 5:
        print(json.dumps(grown(*sys.argv[1:3], *map(int, sys.argv[3:]))))
        return
    pairs = [row for B in ROUNDS for K in CLASSES for row in sup_con_rows(B, K)]
    settings = {"d": D, "dtype": "float32", "temperature": TEMPERATURE, "seed": SEED, "rounds": ROUNDS}
    claim = (
        "Supervised contrastive is at least 3.5 times faster by tiles, in O(Bd) memory; squared error needs no logits."
    )
    save("sup_con", claim, {**settings, "mse_rounds": MSE_ROUNDS, "sup_con": pairs, "mse": mse_rows()})


if __name__ == "__main__":
    main()
