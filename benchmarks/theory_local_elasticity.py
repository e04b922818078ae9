r"""Strengths of local elasticity in real training: fitted to the movement of class means, and from gradients.

A network of one hidden layer on digits (a balanced part of the training set) by full-batch gradient descent on cross-entropy,
from five seeds; class means of logits and of residuals e_y - p are recorded at every step. For the first 40 steps at a small rate
and for 300 at a larger one, strengths are fitted in four windows, by what pulls: residuals, features, labels. Beside them, as a
control that knows nothing of the trajectory: averages of the neural tangent kernel within and between classes, at the middle
of each window.

    python benchmarks/theory_local_elasticity.py        writes benchmarks/results/theory_local_elasticity.json
"""

from _timing import save  # first: it pins the threads

import statistics

import torch
from torch import Tensor, nn

from neucollapse.data import load
from neucollapse.theory.local_elasticity.strengths import elastic_strengths, kernel_strengths

CLAIM = "Early in training on digits, intra less inter strength fitted to class means is that of the tangent kernel."
K, WIDTH, WINDOWS, SEEDS = 10, 64, 4, range(5)
PHASES = {"early": (0.02, 40), "to the end": (0.1, 300)}  # learning rate, steps


def digits() -> tuple[Tensor, Tensor]:
    """As many samples of each class as the rarest one has."""
    x, y = load("digits", flat=True).train.tensors
    least = int(torch.bincount(y).min())
    rows = torch.cat([(y == k).nonzero().squeeze(1)[:least] for k in range(K)])
    return x[rows].double(), y[rows]


def class_means(rows: Tensor, y: Tensor) -> Tensor:
    return torch.stack([rows[y == k].mean(dim=0) for k in range(K)])


def train(seed: int, rate: float, steps: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Class means of logits and residuals at every step, and kernels amid the windows."""
    x, y = digits()
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, K)).double()
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    means, residuals, kernels = [], [], []
    for step in range(steps + 1):
        logits = network(x)
        means.append(class_means(logits.detach(), y))
        residuals.append(class_means(nn.functional.one_hot(y, K) - logits.detach().softmax(dim=1), y))
        if step % (steps // WINDOWS) == steps // WINDOWS // 2:
            kernels.append(kernel_strengths(network, x, y, K))
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, y).backward()
        optimizer.step()
    return torch.stack(means), torch.stack(residuals), kernels


def run(seed: int, rate: float, steps: int) -> dict[str, list[list[float]]]:
    """Intra, inter and the share explained, of every window, by what pulls."""
    means, residuals, kernels = train(seed, rate, steps)
    times = rate * torch.arange(steps + 1, dtype=torch.float64)
    fits = {}
    for name, pulled in (("residuals", residuals), ("features", "features"), ("labels", "labels")):
        found = elastic_strengths(means, times, pulled, window=steps // WINDOWS)
        fits[name] = [row.tolist() for row in (found.intra, found.inter, found.explained)]
    intra = [float(E.trace()) / K for E in kernels]
    inter = [float(E.sum() - E.trace()) / (K * (K - 1)) for E in kernels]
    return fits | {"tangent kernel": [intra, inter]}


def summary(runs: list[dict[str, list[list[float]]]]) -> dict[str, dict[str, list[float]]]:
    """Medians over seeds, of every window; of intra less inter also the extremes."""
    result = {}
    for name in runs[0]:
        columns = ("intra", "inter", "explained")[: len(runs[0][name])]
        result[name] = {
            column: [statistics.median(values) for values in zip(*(run[name][i] for run in runs), strict=True)]
            for i, column in enumerate(columns)
        }
        gaps = list(zip(*([a - b for a, b in zip(*run[name][:2], strict=True)] for run in runs), strict=True))
        result[name] |= {
            f"intra less inter, {word}": [of(values) for values in gaps]
            for word, of in (("median", statistics.median), ("least", min), ("largest", max))
        }
    return result


def main() -> None:
    content = {"seeds": len(SEEDS), "width": WIDTH, "windows": WINDOWS}
    for phase, (rate, steps) in PHASES.items():
        runs = [run(seed, rate, steps) for seed in SEEDS]
        content[phase] = {"rate": rate, "steps": steps} | summary(runs)
        off = [
            abs((a - b) - (c - d)) / (c - d)
            for run in runs
            for a, b, c, d in zip(*run["residuals"][:2], *run["tangent kernel"], strict=True)
        ]
        content[phase]["largest relative difference of intra less inter, residuals against kernel"] = max(off)
    save("theory_local_elasticity", CLAIM, content)


if __name__ == "__main__":
    main()
