"""The run folder: what is in it, when it is reused, refused or started over."""

import dataclasses
import importlib
import json
import random
import sys

import numpy as np
import pyarrow.parquet
import pytest
import torch
from filelock import FileLock

from neucollapse import InputError, MissingExtraError
from neucollapse._errors import ResumeWarning
from neucollapse.metrics import CollapseResult
from neucollapse.training import TrainConfig, load_checkpoint, train

CONFIG = TrainConfig(width=64, dim=16, epochs=5, measure_every=2, checkpoint_seconds=0, batch_size=128)


def history(run):
    table = pyarrow.parquet.read_table(run / "history.parquet")
    assert [field.type for field in table.schema] == [pyarrow.int32(), pyarrow.string(), pyarrow.float64()]
    return list(zip(*(table[name].to_pylist() for name in ("epoch", "key", "value")), strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "new" / "run"
    train(CONFIG, folder, progress=False)
    return folder


def test_the_folder(run):
    names = {
        "config.json",
        "history.parquet",
        "result.json",
        "arrays.safetensors",
        "metrics.parquet",
        "checkpoints",
        ".lock",
    }
    assert {path.name for path in run.iterdir()} == names
    assert TrainConfig.load(run / "config.json") == CONFIG
    checkpoints = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert checkpoints == ["epoch-000004.safetensors", "epoch-000005.safetensors"]


def test_the_history(run):
    rows = history(run)
    epochs = {key: [epoch for epoch, name, _ in rows if name == key] for key in {name for _, name, _ in rows}}
    assert epochs["train/loss"] == epochs["train/accuracy"] == [1, 2, 3, 4, 5]
    assert epochs["train/nc1/pinv"] == epochs["test/nc1/pinv"] == [0, 2, 4, 5]
    assert epochs["train/terminal_phase"] == [0, 1, 2, 3, 4, 5]
    accuracy = {epoch: value for epoch, name, value in rows if name == "train/accuracy/linear"}
    first = next((epoch for epoch in accuracy if all(accuracy[later] == 1 for later in accuracy if later >= epoch)), 99)
    assert {epoch: value for epoch, name, value in rows if name == "train/terminal_phase"} == {
        epoch: float(epoch >= first) for epoch in range(6)
    }
    assert accuracy[5] > 0.98


def test_the_result(run):
    result = CollapseResult.load(run)
    assert result.splits == ("train", "test")
    assert (result.info["num_classes"], result.info["dim"], result.info["seed"]) == (10, 16, 0)
    assert result.info["class_names"] == list("0123456789")
    training = json.loads((run / "result.json").read_text())["training"]
    assert training["epochs"] == 5
    assert TrainConfig.from_dict(training["config"]) == CONFIG
    last = {key: value for epoch, key, value in history(run) if epoch == 5}
    assert last["train/nc1/pinv"] == result["train/nc1/pinv"]


def test_a_complete_run_is_read_not_repeated(run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"}
    again = train(CONFIG, run)
    assert again.to_dict() == CollapseResult.load(run).to_dict()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_config_is_refused(run):
    with pytest.raises(InputError, match=r"lr=0\.1 \(now 0\.2\), epochs=5 \(now 6\).*resume=False"):
        train(dataclasses.replace(CONFIG, lr=0.2, epochs=6), run)


def test_two_at_once_are_refused(run):
    with FileLock(run / ".lock"), pytest.raises(InputError, match="another process"):
        train(CONFIG, run)


def test_what_is_lost_after_the_last_checkpoint_is_made_again(run, tmp_path):
    """Killed between the last checkpoint and the result; then with a damaged checkpoint too."""
    import shutil

    complete = history(run), CollapseResult.load(run).to_dict()
    for damaged in (False, True):
        copy = tmp_path / str(damaged)
        shutil.copytree(run, copy)
        for name in ("result.json", "history.parquet", "arrays.safetensors"):
            (copy / name).unlink()
        (copy / "checkpoints" / ".epoch-000005.safetensors.abc").write_bytes(b"half")
        if damaged:
            last = copy / "checkpoints" / "epoch-000005.safetensors"
            last.write_bytes(last.read_bytes()[:-7])
            with pytest.warns(ResumeWarning, match="epoch-000005"):
                result = train(CONFIG, copy, progress=False)
        else:
            result = train(CONFIG, copy, progress=False)
        assert (history(copy), result.to_dict()) == complete
        assert len(list((copy / "checkpoints").iterdir())) == 2


def test_starting_over(tmp_path):
    small = dataclasses.replace(CONFIG, epochs=1, width=8)
    train(small, tmp_path, progress=False)
    (tmp_path / "notes.txt").write_text("mine")
    train(dataclasses.replace(small, epochs=2), tmp_path, resume=False, progress=False)
    assert TrainConfig.load(tmp_path / "config.json").epochs == 2
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert max(epoch for epoch, _, _ in history(tmp_path)) == 2


def test_global_state_is_put_back(tmp_path):
    """P8."""
    torch.set_num_threads(1)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    expected = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    train(dataclasses.replace(CONFIG, epochs=1, width=8, threads=2), tmp_path, progress=False)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected  # noqa: NPY002
    assert torch.get_num_threads() == 1


def test_the_seed_is_all_that_matters(run, tmp_path):
    """P10: the same config gives the same bits whatever the process drew before; another seed does not."""
    torch.manual_seed(99)
    train(CONFIG, tmp_path / "same", progress=False)
    assert history(tmp_path / "same") == history(run)
    train(dataclasses.replace(CONFIG, seed=1), tmp_path / "other", progress=False)
    name = "epoch-000005.safetensors"
    one, other = (load_checkpoint(folder / "checkpoints" / name)["state_dict"] for folder in (run, tmp_path / "other"))
    assert not torch.equal(one["model.head.weight"], other["model.head.weight"])


def test_progress_goes_to_standard_error(tmp_path, capfd):
    train(dataclasses.replace(CONFIG, epochs=1, width=8), tmp_path)
    out, err = capfd.readouterr()
    assert out == ""
    assert "1/1" in err
    assert "accuracy" in err
    assert "Lightning" not in err
    assert "GPU" not in err


def test_without_lightning(monkeypatch):
    """Without the extra: one sentence with the command to install it."""
    monkeypatch.delitem(sys.modules, "neucollapse.training._lightning")
    for name in ("lightning", "lightning.pytorch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'neucollapse\[train\]'"):
        importlib.import_module("neucollapse.training._lightning")
