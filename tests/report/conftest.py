"""Run folders as a measurement writes them: real features, a real model, real numbers, real files."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from neucollapse import measure
from neucollapse._files import save_tensors, write_json
from neucollapse._records import write_table
from neucollapse._schema import HISTORY

HOSTILE = '<img src=x onerror="window.owned=1">'
NAMES = [
    "airplane",
    "automobile",
    HOSTILE,
    "</script><script>window.owned=2</script>",
    "deer & <b>dog</b>",
    "%{x} ${y}",
    "horse\u2028line",
    "a rather long class name that goes on",
    "naïve 鳥",
    "\u202etruck\ud800",
]


def load_browser():
    """tests/browser.py, found by its path: test folders are no packages."""
    spec = importlib.util.spec_from_file_location("browser", Path(__file__).parents[1] / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code(K, d):
    """Unit rows far apart: points that pushed each other away."""
    rows = np.random.default_rng(0).standard_normal((K, d))
    for _ in range(300):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        apart = rows[:, None] - rows[None]
        rows = rows + 0.02 * (apart / (np.sum(apart**2, axis=2, keepdims=True) + 1e-9) ** 2).sum(axis=1)
    return torch.as_tensor(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def samples(points, noise, per_class, seed):
    """Features about the rows of a code, in batches as a loader gives them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(points)).repeat(per_class)
    features = 6 * (points[labels] + noise * torch.randn(len(labels), points.shape[1], generator=generator).double())
    return [(features, labels)]


class Model(nn.Module):
    """Two inner layers that keep the geometry of the input, and a classifier close to the code."""

    def __init__(self, points):
        super().__init__()
        d, wide = points.shape[1], max(16, points.shape[1])
        self.features = nn.Sequential(nn.Linear(d, wide), nn.Linear(wide, d)).double()
        basis = torch.linalg.qr(torch.randn(wide, d, generator=torch.Generator().manual_seed(1)).double())[0]
        self.features[0].weight.data, self.features[1].weight.data = basis, basis.T.contiguous()
        self.head = nn.Linear(d, len(points)).double()
        self.head.weight.data = 8 * points + 0.05
        for layer in (*self.features, self.head):
            layer.bias.data.zero_()
        self.eval()

    def forward(self, inputs):
        return self.head(self.features(inputs))


def build_run(folder, *, K=10, d=3, names=None, epochs=12, noise=0.02, layers=("features.0",)):
    """A training run of K classes in d dimensions: its last epoch measured through a model, the earlier ones in brief."""
    points = code(K, d)
    options = {"progress": False, "class_names": names}
    model, splits = Model(points), {"train": (noise, 1), "test": (3 * noise, 2)}
    history = []
    for epoch in range(epochs):
        extra = 0.5 * math.exp(-epoch / 2)
        data = {split: samples(points, level + extra, 20, seed)[0] for split, (level, seed) in splits.items()}
        for key, value in measure(data, weight=model.head.weight, **options).items():
            history.append((epoch, key, value))
        history.append((epoch, "train/loss", extra + noise))
    loaders = {split: samples(points, level, 60, seed) for split, (level, seed) in splits.items()}
    result = measure(model, loaders, layers=layers, **options)
    first = next((epoch for epoch, key, value in history if key == "train/accuracy/linear" and value == 1), None)
    config = {"head": "cosine", "scale": 5.0, "hidden": [128, 64]}
    result.info["title"] = f"A sphere of {K} classes"
    result.info["training"] = {"zero_error_epoch": first, "epochs": epochs, "config": config}
    result.save(folder)
    if history:
        write_table(folder / "history.parquet", HISTORY, history)
    return folder


def write_run(folder, content, arrays=None):
    """A run folder by hand, with the least that the contract asks for."""
    folder.mkdir(parents=True, exist_ok=True)
    least = {"num_classes": 4, "dim": 8, "splits": [], "metrics": [], "definitions": {}, "verdict": [], "flags": []}
    write_json(folder / "result.json", {**least, **content}, schema="neucollapse/result/1")
    if arrays:
        tensors = {key: torch.tensor(np.asarray(array)) for key, array in arrays.items()}
        save_tensors(folder / "arrays.safetensors", tensors, schema="neucollapse/arrays/1", metadata={})
    return folder


def row(name, value, split="", layer="", optimum=None, absent=None):
    """A row of the table of metrics."""
    key = (f"{split}/" if split else "") + name + (f"@layer:{layer}" if layer else "")
    return {
        "key": key,
        "split": split,
        "name": name,
        "layer": layer,
        "value": value,
        "optimum": optimum,
        "absent": absent,
    }


def plots_of(page):
    """The plots that a page holds, as plotly gets them."""
    text = page.read_text(encoding="utf-8")
    start = text.index('<script type="application/json" id="plots">') + len(
        '<script type="application/json" id="plots">'
    )
    return json.loads(text[start : text.index("</script>", start)])


@pytest.fixture(scope="session")
def sphere_run(tmp_path_factory):
    """K = 10 in d = 3 with everything a run can have, and class names that would like to be a script."""
    return build_run(tmp_path_factory.mktemp("sphere") / "run", names=NAMES)


@pytest.fixture(scope="session")
def browser():
    """The helpers of tests/browser.py."""
    return load_browser()


@pytest.fixture(scope="session")
def make():
    """Functions that write run folders and read pages."""
    return {"run": write_run, "built": build_run, "row": row, "plots": plots_of, "names": NAMES, "hostile": HOSTILE}
