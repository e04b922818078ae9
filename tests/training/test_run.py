"""The run folder: what is in it, when it is reused, refused or started over."""

import dataclasses
import importlib
import json
import random
import re
import shutil
import sys

import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import save_file

from neucollapse import InputError, MissingExtraError
from neucollapse._errors import FileFormatError, FileWriteError, OptionError, ResumeWarning
from neucollapse._files import load_tensors, save_tensors
from neucollapse._lock import locked
from neucollapse.heads import FixedHead
from neucollapse.metrics import CollapseResult
from neucollapse.report._run import read_run
from neucollapse.training import MLPBackbone, TrainConfig, load_checkpoint, train
from neucollapse.training._history import write_history

CONFIG = TrainConfig(
    backbone=MLPBackbone(width=64), dim=16, epochs=5, measure_every=2, checkpoint_seconds=0, batch_size=128
)
SMALL = MLPBackbone(width=8)


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
    with locked(run), pytest.raises(InputError, match="another process is training in"):
        train(CONFIG, run)


def test_what_is_lost_after_the_last_checkpoint_is_made_again(run, tmp_path):
    """Killed between the last checkpoint and the result; then with a damaged checkpoint too."""
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


@pytest.fixture
def copy(run, tmp_path):
    """The complete run in a folder of its own."""
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


def test_without_its_config_a_complete_run_is_still_its_own(copy):
    """config.json is lost: the result says of which run it is, and so do the checkpoints where it is lost too."""
    complete = CollapseResult.load(copy).to_dict()
    other = dataclasses.replace(CONFIG, lr=0.2)
    for lost in ("config.json", "result.json"):
        (copy / "config.json").unlink(missing_ok=True)
        (copy / lost).unlink(missing_ok=True)
        with pytest.raises(InputError, match=r"lr=0\.1 \(now 0\.2\), says (result.json|epoch-000005)"):
            train(other, copy, progress=False)
        assert not (copy / "config.json").exists()
        assert train(CONFIG, copy, progress=False).to_dict() == complete


def test_the_result_of_something_else_is_not_returned(copy, tmp_path):
    CollapseResult({"nc1/pinv": 1.0}, info={"num_classes": 2, "dim": 2, "environment": {"a": 1}}).save(
        tmp_path / "measured"
    )
    with pytest.raises(InputError, match=r"result\.json does not say of which training run it is"):
        train(CONFIG, tmp_path / "measured", progress=False)
    shutil.copy(tmp_path / "measured" / "result.json", copy)
    with pytest.raises(InputError, match="does not say of which training run"):
        train(CONFIG, copy, progress=False)


def test_a_checkpoint_of_another_run_is_not_taken_up(copy, tmp_path):
    (copy / "result.json").unlink()
    train(dataclasses.replace(CONFIG, lr=0.2), tmp_path / "other", progress=False)
    shutil.copy(tmp_path / "other" / "checkpoints" / "epoch-000005.safetensors", copy / "checkpoints")
    with pytest.raises(InputError, match=r"lr=0\.2 \(now 0\.1\), says epoch-000005"):
        train(CONFIG, copy, progress=False)


def test_an_altered_learning_rate_in_a_checkpoint_is_refused(copy):
    (copy / "result.json").unlink()
    for path in (copy / "checkpoints").iterdir():
        content = path.read_bytes()
        assert b'\\"lr\\", 0.' in content
        path.write_bytes(content.replace(b'\\"lr\\", 0.', b'\\"lr\\", 9.'))
    with pytest.warns(ResumeWarning), pytest.raises(FileFormatError, match="none of the 2 checkpoints"):
        train(CONFIG, copy, progress=False)


def test_a_checkpoint_that_names_no_run_goes_on_under_its_config(copy):
    """As version 0.1 wrote them."""
    complete = CollapseResult.load(copy).to_dict()
    (copy / "result.json").unlink()
    for path in (copy / "checkpoints").iterdir():
        tensors, metadata = load_tensors(path, schema="neucollapse/checkpoint/1")
        text = json.dumps(metadata)
        assert '"identity"' in text
        save_tensors(
            path, tensors, schema="neucollapse/checkpoint/1", metadata=json.loads(text.replace('"identity"', '"none"'))
        )
    assert train(CONFIG, copy, progress=False).to_dict() == complete


@pytest.mark.parametrize("changed", ["data.npz", "code.safetensors"])
def test_other_contents_of_a_file_that_is_named_are_another_run(changed, tmp_path):
    def write(name, shift):
        x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) + shift
        if name == "data.npz":
            np.savez(tmp_path / name, x=x.numpy(), y=np.arange(40) % 2)
        else:
            save_file({"weight": torch.eye(2, 4) * (1 + shift)}, tmp_path / name)

    config = TrainConfig(
        dataset=str(tmp_path / "data.npz"), head=FixedHead(code=str(tmp_path / "code.safetensors")),
        backbone=MLPBackbone(width=8, depth=1), dim=4, epochs=1,
    )  # fmt: skip
    write("data.npz", 0), write("code.safetensors", 0)
    first = train(config, tmp_path / "run", progress=False)
    assert train(config, tmp_path / "run", progress=False).to_dict() == first.to_dict()
    write(changed, 1)
    with pytest.raises(InputError, match=f"other contents of .*{re.escape(changed)}"):
        train(config, tmp_path / "run", progress=False)


def test_the_folder_of_a_simulation_is_refused(tmp_path):
    from neucollapse.theory import settings, simulate

    simulate(settings.SupCon(classes=2, dim=2, samples=2, steps=1, starts=1), tmp_path / "s", progress=False)
    for resume in (True, False):
        with pytest.raises(InputError, match="which no training run leaves"):
            train(CONFIG, tmp_path / "s", resume=resume, progress=False)
    assert (tmp_path / "s" / "config.json").exists()


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileWriteError, match=r"cannot write .*file"):
        train(CONFIG, tmp_path / "file", progress=False)


def test_misspelt_options_and_configs_are_named(tmp_path):
    with pytest.raises(OptionError, match="did you mean 'resume'"):
        train(CONFIG, tmp_path, resum=False)
    with pytest.raises(InputError, match="expected a TrainConfig"):
        train("digits-simplex", tmp_path)


def test_starting_over(tmp_path):
    small = dataclasses.replace(CONFIG, epochs=1, backbone=SMALL)
    train(small, tmp_path, progress=False)
    (tmp_path / "notes.txt").write_text("mine")
    train(dataclasses.replace(small, epochs=2), tmp_path, resume=False, progress=False)
    assert TrainConfig.load(tmp_path / "config.json").epochs == 2
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert max(epoch for epoch, _, _ in history(tmp_path)) == 2


def test_starting_over_spares_a_measurement(run, tmp_path):
    result = CollapseResult.load(run)
    del result.info["training"]
    result.save(tmp_path)
    before = (tmp_path / "result.json").read_bytes()
    with pytest.raises(InputError, match=r"result\.json is a measurement.*would delete it.*another folder"):
        train(dataclasses.replace(CONFIG, epochs=1, backbone=SMALL), tmp_path, resume=False, progress=False)
    assert (tmp_path / "result.json").read_bytes() == before
    (tmp_path / "result.json").write_text("{")  # nobody can read it
    train(dataclasses.replace(CONFIG, epochs=1, backbone=SMALL), tmp_path, resume=False, progress=False)


def test_the_result_knows_its_history(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    assert read_run(tmp_path / "copy").history
    rows = history(run)
    write_history(tmp_path / "copy" / "history.parquet", [(epoch, key, value + 1) for epoch, key, value in rows])
    with pytest.raises(FileFormatError, match=r"not the history that result\.json names"):
        read_run(tmp_path / "copy")
    write_history(tmp_path / "copy" / "history.parquet", rows)
    assert read_run(tmp_path / "copy").history


def test_global_state_is_put_back(tmp_path):
    """P8."""
    torch.set_num_threads(1)
    config = dataclasses.replace(
        CONFIG, epochs=1, backbone=SMALL, threads=2
    )  # first: shapes are executed with random numbers
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    expected = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    train(config, tmp_path, progress=False)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected  # noqa: NPY002
    assert torch.get_num_threads() == 1


@pytest.mark.slow
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
    train(dataclasses.replace(CONFIG, epochs=1, backbone=SMALL), tmp_path)
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


def test_a_folder_of_the_first_schema_is_told_how_settings_are_written_now(tmp_path):
    (tmp_path / "config.json").write_text('{"schema": "neucollapse/config/1", "head": "cosine", "scale": 5.0}')
    with pytest.raises(FileFormatError, match="options of a choice stand with it now"):
        train(CONFIG, tmp_path, progress=False)
