"""A run that ends on a condition: when, what its result says, and that a killed one agrees."""

import dataclasses
import json
import shutil

import pyarrow.parquet
import pytest

from neucollapse import InputError
from neucollapse.metrics import CollapseResult
from neucollapse.training import MLPBackbone, TrainConfig, train

CONFIG = TrainConfig(
    backbone=MLPBackbone(width=64),
    dim=16,
    epochs=9,
    measure_every=2,
    checkpoint_seconds=0,
    threads=1,
    stop_when="train/accuracy/linear>0.9",
)


def rows(run):
    return pyarrow.parquet.read_table(run / "history.parquet").to_pylist()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(CONFIG, folder, progress=False)
    return folder


def test_it_stops_at_the_first_measured_epoch(run):
    measured = {row["epoch"]: row["value"] for row in rows(run) if row["key"] == "train/accuracy/linear"}
    last = max(measured)
    assert last < 9
    assert measured[last] > 0.9
    assert all(value <= 0.9 for epoch, value in measured.items() if epoch < last)
    assert list(measured) == list(range(0, last + 1, 2))
    assert max(row["epoch"] for row in rows(run)) == last
    training = json.loads((run / "result.json").read_text())["training"]
    assert (training["epochs"], training["stopped_when"]) == (last, CONFIG.stop_when)
    assert CollapseResult.load(run)["train/accuracy/linear"] == measured[last]


def test_a_killed_run_stops_at_the_same_epoch(run, tmp_path):
    """Killed after the checkpoint of the last epoch, and after the one before."""
    for name in ("late", "early"):
        copy = tmp_path / name
        shutil.copytree(run, copy)
        for left in ("result.json", "history.parquet", "arrays.safetensors"):
            (copy / left).unlink()
        if name == "early":
            max((copy / "checkpoints").iterdir()).unlink()
        assert train(CONFIG, copy, progress=False).to_dict() == CollapseResult.load(run).to_dict()
        assert rows(copy) == rows(run)
        assert json.loads((copy / "result.json").read_text())["training"]["stopped_when"] == CONFIG.stop_when


def test_a_condition_that_never_holds(tmp_path):
    config = dataclasses.replace(CONFIG, epochs=2, stop_when="train/accuracy/linear>2")
    train(config, tmp_path, progress=False)
    training = json.loads((tmp_path / "result.json").read_text())["training"]
    assert (training["epochs"], training["stopped_when"]) == (2, None)


def test_a_condition_on_nothing(tmp_path):
    config = dataclasses.replace(CONFIG, stop_when="nc1/pinv<1e-3")  # no split
    with pytest.raises(
        InputError, match=r"needs nc1/pinv, which is not measured; expected a key such as train/nc1/pinv"
    ):
        train(config, tmp_path, progress=False)
    with pytest.raises(InputError, match="expected a condition such as"):
        TrainConfig(stop_when="train/nc1/pinv")
