r"""Memorisation and dilation in a real network: digits with flipped labels, cross-entropy against label smoothing.

A network of two hidden layers on digits; a fifth of the training labels is moved to another class, at random, and training
goes on for 300 steps, by when part of the wrong labels is learnt. Measured on the last hidden layer, against true classes:
scatter within over that between classes (dilation), on training and on test samples; the share of flipped samples classified as
their wrong label says; test accuracy. Five seeds, and the same without flipped labels as a control.

    python benchmarks/theory_memorisation.py        writes benchmarks/results/theory_memorisation.json
"""

from _timing import save  # first: it pins the threads

import statistics

import torch
from torch import Tensor, nn

from neucollapse.data import load
from neucollapse.theory._measure import measured

CLAIM = "Flipped labels on digits dilate the classes of test samples; cross-entropy and label smoothing compared."
K, SEEDS, STEPS, RATE, WIDTHS = 10, range(5), 300, 0.003, (128, 32)
SMOOTHINGS = {"cross-entropy": 0.0, "label smoothing 0.1": 0.1, "label smoothing 0.3": 0.3}
SHARES = (0.0, 0.2)


def flip(y: Tensor, share: float, seed: int) -> Tensor:
    """Labels of which a share is moved to another class, uniformly."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(len(y), generator=generator) < share
    others = (y + torch.randint(1, K, y.shape, generator=generator)) % K
    return torch.where(chosen, others, y)


def run(seed: int, smoothing: float, share: float) -> dict[str, float]:
    data = load("digits", flat=True)
    (x, y), (x_test, y_test) = data.train.tensors, data.test.tensors
    given = flip(y, share, seed)
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Linear(64, WIDTHS[0]), nn.ReLU(), nn.Linear(*WIDTHS), nn.ReLU())
    head = nn.Linear(WIDTHS[1], K)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(body(x)), given, label_smoothing=smoothing).backward()
        optimizer.step()
    with torch.no_grad():
        features, test_features = body(x), body(x_test)
        predicted, test_predicted = head(features).argmax(dim=1), head(test_features).argmax(dim=1)
    wrong = given != y
    numbers = {
        "dilation, train": measured(features, y, keys=("nc1/trace_ratio",))["nc1/trace_ratio"],
        "dilation, test": measured(test_features, y_test, keys=("nc1/trace_ratio",))["nc1/trace_ratio"],
        "accuracy, test": float((test_predicted == y_test).double().mean()),
        "clean samples right": float((predicted == y)[~wrong].double().mean()),
    }
    if bool(wrong.any()):
        numbers["flipped samples memorised"] = float((predicted == given)[wrong].double().mean())
    return numbers


def main() -> None:
    rows = []
    for share in SHARES:
        for name, smoothing in SMOOTHINGS.items():
            runs = [run(seed, smoothing, share) for seed in SEEDS]
            numbers = {
                key: {"median": statistics.median(values), "least": min(values), "largest": max(values)}
                for key in runs[0]
                if (values := [run[key] for run in runs])
            }
            rows.append({"flipped": share, "loss": name, **numbers})
    save("theory_memorisation", CLAIM, {"seeds": len(SEEDS), "steps": STEPS, "rate": RATE, "rows": rows})


if __name__ == "__main__":
    main()
