"""Every head with every loss: each pair that makes sense trains, and resumes to the same bits; the others are refused."""

import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import TensorDataset

from neucollapse import FileFormatError, InputError
from neucollapse.data import Dataset
from neucollapse.heads import Fixed
from neucollapse.training import CollapseModule, TrainConfig, build_model, load_checkpoint, train
from neucollapse.training._checkpoint import RunCheckpoint, latest_checkpoint
from neucollapse.training._config import CHOICES
from neucollapse.training._lightning import quiet
from neucollapse.training._random import seed_all
from neucollapse.training._run import _fit, _load

from ..slow import slow_but

LAST = "checkpoints/epoch-000002.safetensors"

HEADS, LOSSES = CHOICES["head"], CHOICES["loss"]
FIXED = ("fixed", "fixed-simplex", "fixed-hadamard", "fixed-kerdock")
EXTRA = {
    ("cosine", "arc-face"): {
        "head": {"scale_start": 2.0},
        "loss": {"margin_warmup": 0.9, "margin": 0.3},
        "head_lr": 0.5,
    },
    ("cosine", "cross-entropy"): {"head": {"learn_scale": True}, "head_weight_decay": 0.0},
    ("cosine", "sphere-face"): {"loss": {"margin": 2.0, "margin_warmup": 1.0}, "optimizer": "adam"},
    ("fixed", "cross-entropy"): {"head": {"reassign_every": 1}},
    ("class-means", "hug"): {"loss": {"proxy": "partial"}, "head_lr": 0.01},
    ("linear", "centre"): {"sampling": "class-balanced", "imbalance": {"name": "exp", "ratio": 4}},
    ("linear", "focal"): {"label_noise": 0.2, "loss": {"gamma": 1.0}},
}


def makes_sense(head, loss):
    """The rules once more, in other words: what trains neither the head nor the features as a whole is refused."""
    if loss == "sup-con":
        return head == "class-means"
    if loss == "hug":
        return head in ("cosine", "class-means", *FIXED)
    if loss == "dot-regression":
        return head in FIXED
    if loss.endswith("-face") or loss in ("nonl", "ntce", "hard-max"):
        return head != "linear"
    return True


def settings(head, loss, options=None, **more):
    extra = {"loss": {"proxy": "none"}} if (head, loss) == ("class-means", "hug") else {}
    values = {**EXTRA.get((head, loss), extra), **more}
    return values | {
        "head": {"name": head, **values.get("head", {}), **(options or {})},
        "loss": {"name": loss, **values.get("loss", {})},
    }


PAIRS = [(head, loss) for head in HEADS for loss in LOSSES if makes_sense(head, loss)]
QUICK = {
    *{pair[0]: pair for pair in PAIRS}.values(),
    *{pair[1]: pair for pair in PAIRS}.values(),
}  # each head and loss once


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Five classes of twelve points."""
    path = tmp_path_factory.mktemp("data") / "toy.npz"
    generator = np.random.default_rng(0)
    y = np.repeat(np.arange(5), 12)
    np.savez(path, x=generator.normal(size=(5, 6))[y] + generator.normal(size=(60, 6)), y=y)
    return str(path)


def config_of(dataset, head, loss, **more):
    small = {
        "dataset": dataset,
        "backbone": {"name": "mlp", "width": 8, "depth": 1},
        "dim": 4,
        "batch_size": 32,
        "threads": 1,
        "checkpoint_seconds": 0,
    }
    return TrainConfig.from_dict({**small, "epochs": 2, "measure_every": 9, "lr": 0.05, **settings(head, loss, **more)})


def fit(config, folder):
    """The training of a run alone: measuring it, which other tests do, takes most of the time at this size."""
    loaded = _load(config)
    seed_all(config.seed)
    module = CollapseModule(config, build_model(config, loaded.input_shape, loaded.num_classes))
    assert fit_module(config, module, loaded, folder) == config.epochs
    return load_checkpoint(folder / LAST)


def fit_module(config, module, loaded, folder):
    """Train on from the newest checkpoint of the folder, if there is one."""
    checkpoints = folder / "checkpoints"
    with quiet():
        saving = [RunCheckpoint(checkpoints, config.checkpoint_seconds)]
        return _fit(config, module, loaded, saving, latest_checkpoint(checkpoints))


@pytest.mark.parametrize(("head", "loss"), slow_but(*QUICK, of=PAIRS))
def test_trains_and_resumes_to_the_same_bits(head, loss, dataset, tmp_path):
    config = config_of(dataset, head, loss)
    whole = fit(config, tmp_path)
    (tmp_path / LAST).unlink()
    half = load_checkpoint(tmp_path / "checkpoints/epoch-000001.safetensors")
    assert_same_bits(fit(config, tmp_path), whole)
    weights, before = whole["state_dict"], half["state_dict"]
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert any(not torch.equal(before[name], tensor) for name, tensor in weights.items() if "backbone" in name)


def assert_same_bits(ours, theirs):
    """Weights, buffers and the state of the optimiser."""
    assert ours["state_dict"].keys() == theirs["state_dict"].keys()
    for name, tensor in theirs["state_dict"].items():
        assert torch.equal(ours["state_dict"][name], tensor), name
    states = [run["optimizer_states"][0]["state"] for run in (ours, theirs)]
    assert states[0].keys() == states[1].keys()
    for key, state in states[1].items():
        for name, value in state.items():
            assert value is None or torch.equal(states[0][key][name], value), (key, name)


@pytest.mark.parametrize(
    ("head", "loss"), [("cosine", "arc-face"), ("fixed", "cross-entropy"), ("class-means", "hug"), ("linear", "centre")]
)
def test_a_whole_run_resumes(head, loss, dataset, tmp_path):
    """With its measurements: they read what schedules, running means and assignments have left in the head."""
    config = config_of(dataset, head, loss, measure_every=1)
    result = train(config, tmp_path, progress=False)
    rows = pyarrow.parquet.read_table(tmp_path / "history.parquet").to_pylist()
    for left in ("result.json", "history.parquet", "arrays.safetensors", LAST):
        (tmp_path / left).unlink()
    again = train(config, tmp_path, progress=False)
    assert again.to_dict() == result.to_dict()
    assert pyarrow.parquet.read_table(tmp_path / "history.parquet").to_pylist() == rows


def test_the_code_of_a_fixed_head(dataset, tmp_path):
    """From a file as ``neucollapse code -o`` writes it, or the best known; one that does not fit is refused."""
    points = torch.nn.functional.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(1)))
    save_file({"weight": points}, tmp_path / "code.safetensors")
    config = config_of(dataset, "fixed", "dot-regression", options={"code": str(tmp_path / "code.safetensors")})
    torch.testing.assert_close(build_model(config, (6,), 5).head.weight, points)
    best = build_model(config_of(dataset, "fixed", "dot-regression"), (6,), 5).head.weight
    torch.testing.assert_close(best @ best.T, 1.25 * torch.eye(5) - 0.25)
    with pytest.raises(FileFormatError, match=r"expected a code of 7 classes in 4 dimensions, found \(5, 4\)"):
        build_model(config, (6,), 7)


@pytest.mark.parametrize(("every", "moved"), [(1, True), (2, True), (3, False)])
def test_the_points_of_a_fixed_head_go_to_the_nearest_means(every, moved, tmp_path):
    """Features stand at the points of other classes: after an epoch in which it is due, each class has its own."""
    points, owners = torch.eye(4), torch.tensor([2, 0, 3, 1])
    labels = torch.arange(4).repeat(5)
    loaded = Dataset("toy", TensorDataset(points[owners][labels], labels), None, None, 4, (4,))
    config = config_of("toy", "fixed", "cross-entropy", options={"reassign_every": every}, lr=1e-9)
    backbone = torch.nn.Linear(4, 4, bias=False)
    backbone.weight.data = torch.eye(4)
    module = CollapseModule(config, torch.nn.Sequential(backbone, Fixed(points, learn_assignment=True)))
    fit_module(config, module, loaded, tmp_path)
    assert module._class_sums is None  # each epoch begins anew, so that a resumed run sees the same sums
    assert torch.equal(module.head.weight, points[owners] if moved else points)
    half = load_checkpoint(tmp_path / "checkpoints/epoch-000001.safetensors")["state_dict"]["model.1.weight"]
    assert torch.equal(half, points[owners] if every == 1 else points)


def test_pairs_that_make_no_sense_are_refused():
    for head in HEADS:
        for loss in LOSSES:
            if not makes_sense(head, loss):
                with pytest.raises(InputError, match=f"^{loss} expected the head .*, got {head}: "):
                    TrainConfig.from_dict({"head": head, "loss": loss})
