"""Run folders as the measurement writes them: real features, real numbers, real files."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch

from neucollapse._files import save_tensors, write_json

HOSTILE = '<img src=x onerror="window.owned=1">'
NAMES = ["airplane", "automobile", HOSTILE, "</script><script>window.owned=2</script>", "deer & <b>dog</b>", "%{x} ${y}",
         "horse\u2028line", "a rather long class name that goes on", "naïve 鳥", "\u202etruck\ud800"]  # fmt: skip

DEFINITIONS = {
    "accuracy": ("Accuracy", "", "Share of samples that the classifier puts into their own class.", "0 to 1", "1", "", "Accuracy", False),
    "loss": ("Loss", "ℓ", "Mean cross-entropy, in nats a sample.", "≥ 0", "→ 0", "", "Accuracy", True),
    "nc1/pinv": ("Within-class variability", "tr(S_W S_B⁺)/K", "Spread of the samples about their class mean, in units of the spread of the class means.",
                 "≥ 0", "0", "papyan2020", "NC1", True),
    "nc1/trace_ratio": ("Trace ratio", "tr S_W / tr S_B", "Total spread within classes over total spread between them.", "≥ 0", "0", "tirer2022", "NC1", True),
    "nc1/cdnv": ("Class-distance normalised variance", "CDNV", "Variance of two classes over the squared distance of their means, mean over pairs.",
                 "≥ 0", "0", "galanti2022", "NC1", True),
    "nc2/equinorm": ("Equal norms", "std/mean ‖μ‖", "Spread of the norms of the class means over their mean.", "≥ 0", "0", "papyan2020", "NC2", True),
    "nc2/etf_distance": ("Distance to a simplex", "‖G−G*‖_F", "Frobenius distance of the normalised Gram matrix of class means to that of a simplex.",
                         "0 to 2", "0 where K ≤ d + 1", "zhu2021", "NC2", True),
    "gnc2/margin": ("One-vs-rest margin", "ρ", "Smallest distance of a class vector to the convex hull of the others.", "0 to K/(K−1)", "the optimum of (K, d)", "jiang2023", "GNC2", False),
    "gnc2/margin_ratio": ("Margin over the best", "ρ/ρ*", "The one-vs-rest margin over the largest known for K and d.", "0 to 1", "1", "jiang2023", "GNC2", False),
    "nc3/frobenius": ("Self-duality", "‖W/‖W‖−M/‖M‖‖", "Distance of the weights to the class means, both scaled to norm one.", "0 to 2", "0", "papyan2020", "NC3", True),
    "gnc3/cosine": ("Alignment of weights and means", "cos(w, μ)", "Mean cosine of the weight of a class with its mean.", "−1 to 1", "1", "jiang2023", "GNC3", False),
    "nc4/mismatch": ("Disagreement with nearest class mean", "NC4", "Share of samples that the classifier and the nearest class mean put into different classes.", "0 to 1", "0", "papyan2020", "NC4", True),
    "bias/relation": ("Bias relation", "", "How far the bias is from what the means predict.", "≥ 0", "0", "", "Bias", False),
}  # fmt: skip
FIELDS = ("title", "symbol", "definition", "range", "at_collapse", "citation", "family", "log")


def definitions():
    return {name: dict(zip(FIELDS, row, strict=True)) for name, row in DEFINITIONS.items()}


def load_browser():
    """tests/browser.py, found by its path: test folders are no packages."""
    spec = importlib.util.spec_from_file_location("browser", Path(__file__).parents[1] / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code(K, d, rng):
    """Unit rows far apart: the simplex where it fits, else points that pushed each other away."""
    if K <= d + 1:
        simplex = np.eye(K) - 1 / K
        basis = np.linalg.svd(simplex)[2][: min(K - 1, d)]
        rows = np.zeros((K, d))
        rows[:, : len(basis)] = simplex @ basis.T
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rng.standard_normal((K, d))
    for _ in range(300):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        apart = rows[:, None] - rows[None]
        rows = rows + 0.02 * (apart / (np.sum(apart**2, axis=2, keepdims=True) + 1e-9) ** 2).sum(axis=1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sampled(target, noise, per_class, rng, scale=6.0):
    labels = np.repeat(np.arange(len(target)), per_class)
    return scale * (target[labels] + noise * rng.standard_normal((len(labels), target.shape[1]))), labels


def split_arrays(features, labels, weight, keep):
    K = len(weight)
    means = np.stack([features[labels == k].mean(axis=0) if np.any(labels == k) else np.full(features.shape[1], np.nan) for k in range(K)])
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    unit_means = np.stack([units[labels == k].mean(axis=0) if np.any(labels == k) else np.full(features.shape[1], np.nan) for k in range(K)])
    cosines = units @ (weight / np.linalg.norm(weight, axis=1, keepdims=True)).T
    own = cosines[np.arange(len(labels)), labels]
    cosines[np.arange(len(labels)), labels] = -np.inf
    counts, edges = np.histogram(own - cosines.max(axis=1), bins=200, range=(-2, 2))
    arrays = {
        "class_means": means, "normalized_means": unit_means, "counts": np.bincount(labels, minlength=K),
        "margin_edges": edges, "margin_counts": counts,
    }  # fmt: skip
    return arrays | ({"features_sample": features[:2000], "labels_sample": labels[:2000]} if keep else {})


def measured(features, labels, target, weight, margin_optimum):
    """A few true numbers, so that the page shows what a page shows."""
    K = len(target)
    means = np.stack([features[labels == k].mean(axis=0) for k in range(K)])
    within = ((features - means[labels]) ** 2).sum(axis=1).mean()
    centred = means - means.mean(axis=0)
    between = (centred**2).sum(axis=1).mean()
    S_W = (features - means[labels]).T @ (features - means[labels]) / len(labels)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    unit_weight = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    gram = (centred @ centred.T) / np.linalg.norm(centred @ centred.T)
    simplex = (np.eye(K) - 1 / K) / np.linalg.norm(np.eye(K) - 1 / K)
    hits = np.argmax(features @ weight.T, axis=1) == labels
    nearest = np.argmin(((features[:, None] - means[None]) ** 2).sum(axis=2), axis=1)
    norms = np.linalg.norm(centred, axis=1)
    closest = (unit @ unit.T - 2 * np.eye(K)).max()
    margin = min(0.995, 1 - max(0.0, closest - (target @ target.T - 2 * np.eye(K)).max())) * margin_optimum
    return {
        "accuracy": (hits.mean(), 1.0), "loss": (within / 50 + 1e-4, None),
        "nc1/pinv": (np.trace(S_W @ np.linalg.pinv(centred.T @ centred / K)) / K, 0.0),
        "nc1/trace_ratio": (within / between, 0.0), "nc1/cdnv": (within / between / 4, 0.0),
        "nc2/equinorm": (norms.std() / norms.mean(), 0.0),
        "nc2/etf_distance": (np.linalg.norm(gram - simplex), max(0.0, math.sqrt(max(0, (K - 1) / features.shape[1] - 1)) / 2)),
        "gnc2/margin": (margin, margin_optimum), "gnc2/margin@weight": (margin * 0.99, margin_optimum),
        "gnc2/margin_ratio": (margin / margin_optimum, 1.0),
        "nc3/frobenius": (np.linalg.norm(weight / np.linalg.norm(weight) - means / np.linalg.norm(means)), 0.0),
        "gnc3/cosine": ((unit * unit_weight).sum(axis=1).mean(), 1.0),
        "nc4/mismatch": ((nearest != np.argmax(features @ weight.T, axis=1)).mean(), 0.0),
    }  # fmt: skip


def rows_of(numbers, split, layer=""):
    rows = []
    for name, (value, optimum) in numbers.items():
        key = f"{split}/{name}" + (f"@layer:{layer}" if layer else "")
        rows.append({"key": key, "split": split, "name": name, "layer": layer, "value": float(value), "optimum": optimum, "absent": None})
    return rows


def build_run(folder, *, K=10, d=3, names=None, epochs=60, layers=("features.0", "features.3"), noise=0.035, margin=0.5956):
    """A training run of K classes in d dimensions, written by the contract."""
    rng = np.random.default_rng(0)
    target = code(K, d, rng)
    splits = {"train": 0.0, "test": 0.06}
    weight = 8 * (target + 0.01 * rng.standard_normal(target.shape))
    history, metrics, arrays = [], [], {"weight": weight, "bias": np.zeros(K), "target": target}
    for epoch in range(epochs):
        for split, extra in splits.items():
            level = extra + noise + 0.5 * math.exp(-epoch / 9)
            numbers = measured(*sampled(target, level, 30, np.random.default_rng(epoch)), target, weight, margin)
            history += [(epoch, f"{split}/{name}", float(value)) for name, (value, _) in numbers.items()]
    for split, extra in splits.items():
        features, labels = sampled(target, noise + extra, 60, rng)
        for name, array in split_arrays(features, labels, weight, d <= 3).items():
            arrays[f"{split}/{name}"] = array
        metrics += rows_of(measured(features, labels, target, weight, margin), split)
        metrics.append({"key": f"{split}/bias/relation", "split": split, "name": "bias/relation", "layer": "", "value": None, "optimum": None,
                        "absent": "the classifier has no bias"})  # fmt: skip
        for depth, layer in enumerate(layers):
            inner = measured(*sampled(target, 0.6 / (depth + 1) + extra, 60, rng), target, weight, margin)
            metrics += rows_of({name: inner[name] for name in ("nc1/pinv", "nc1/trace_ratio", "nc2/etf_distance")}, split, layer)
    first = next((e for e, key, value in history if key == "train/accuracy" and value == 1), None)
    write_run(folder, arrays, history, {
        "title": f"digits, K = {K}, d = {d}", "num_classes": K, "dim": d, "class_names": names, "splits": list(splits), "metrics": metrics,
        "verdict": [
            {"tone": "good", "text": "Collapsed: the features of every class have shrunk to a point, and the points stand almost as far apart as they can."},
            {"tone": "good", "text": "On train, the spread within classes is 0.4 % of the spread between them."},
            {"tone": "fair", "text": "The one-vs-rest margin reaches 94 % of the best known margin for 10 classes in 3 dimensions."},
            {"tone": "bad", "text": "On test, the spread within classes is 12 times that on train: collapse does not carry over to new samples."},
            {"tone": "note", "text": "K = 10 is larger than d + 1 = 4, so no simplex exists here and the optimum is a softmax code."},
        ],
        "flags": [
            {"code": "no-simplex", "sentence": "A simplex needs d at least K − 1; the distance to one cannot reach 0 here.", "where": "nc2/etf_distance", "severity": "note"},
            {"code": "few", "sentence": "Test has fewer than 100 samples a class.", "where": "test", "severity": "warning"},
        ],
        "training": {"zero_error_epoch": first, "epochs": epochs, "config": {"head": "cosine", "scale": 5.0, "hidden": [128, 64], "lr": 0.1}},
    })  # fmt: skip
    return folder


def write_run(folder, arrays, history, content):
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "result.json", {
        "title": "a run", "created": "2026-11-21T10:00:00+00:00", "command": "neucollapse demo --seed 0", "seed": 0, "classifier": "head.linear",
        "environment": {"python": "3.11.2", "platform": "Linux x86_64", "processor": "a processor", "cores": 2, "threads": 1,
                        "accelerator": None, "packages": {"torch": "2.13.0", "numpy": "2.4.6"}, "git_revision": "9e5888b0cafe"},
        "class_names": None, "splits": [], "verdict": [], "metrics": [], "definitions": definitions(), "flags": [],
        "citations": ["papyan2020", "jiang2023"], "training": None, **content,
    }, schema="neucollapse/result/1")  # fmt: skip
    if arrays:
        tensors = {key: torch.as_tensor(np.asarray(array)) for key, array in arrays.items()}
        save_tensors(folder / "arrays.safetensors", tensors, schema="neucollapse/arrays/1", metadata={})
    if history:
        epoch, key, value = zip(*history, strict=True)
        table = pyarrow.table({"epoch": pyarrow.array(epoch, pyarrow.int32()), "key": list(key), "value": list(value)})
        pyarrow.parquet.write_table(table, folder / "history.parquet")
    return folder


@pytest.fixture(scope="session")
def sphere_run(tmp_path_factory):
    """K = 10 in d = 3 with everything a run can have, and class names that would like to be a script."""
    return build_run(tmp_path_factory.mktemp("sphere") / "run", names=NAMES)


@pytest.fixture(scope="session")
def minimal_run(tmp_path_factory):
    """The least a run can be: numbers of one unnamed split."""
    row = {"key": "nc1/pinv", "split": "", "name": "nc1/pinv", "layer": "", "value": 0.1, "optimum": None, "absent": None}
    return write_run(tmp_path_factory.mktemp("minimal") / "run", {}, [], {"num_classes": 4, "dim": 8, "metrics": [row]})
