"""P15: killed at any moment and resumed, a run ends with the same bits as one that was left alone.

``NEUCOLLAPSE_KILLS=100`` makes the loop longer.
"""

import os
import random
import signal

import pyarrow.parquet
import pytest
import torch

from neucollapse.metrics import CollapseResult
from neucollapse.training import MLPBackbone, TrainConfig, load_checkpoint
from neucollapse.training._run import train
from neucollapse.training._stopping import StopOnSignal

from .. import fault
from ..slow import slow_but

KILLS = int(os.environ.get("NEUCOLLAPSE_KILLS", "6"))
CONFIG = TrainConfig(backbone=MLPBackbone(width=32), dim=8, epochs=6, measure_every=3, checkpoint_seconds=0, threads=1)
LAST = "checkpoints/epoch-000006.safetensors"
MOMENTS = 60  # files are opened, renamed and deleted a few more times than this in the whole run
SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


def train_quietly(run):
    train(CONFIG, run, progress=False)


def trained(run, at=0, **options):
    """The exit code of a process that trains in a folder and gets a signal at some moment."""
    return fault.run(train_quietly, run, folder=run, at=at, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody disturbs."""
    run = tmp_path_factory.mktemp("whole")
    assert trained(run) == 0
    return run


def history(run):
    return pyarrow.parquet.read_table(run / "history.parquet").to_pylist()


def assert_same_bits(run, whole):
    ours, theirs = (load_checkpoint(folder / LAST) for folder in (run, whole))
    for name, tensor in theirs["state_dict"].items():
        assert torch.equal(tensor, ours["state_dict"][name]), name
    momenta = [[s["momentum_buffer"] for s in c["optimizer_states"][0]["state"].values()] for c in (ours, theirs)]
    assert all(torch.equal(a, b) for a, b in zip(*momenta, strict=True))
    assert history(run) == history(whole)
    assert CollapseResult.load(run).to_dict() == CollapseResult.load(whole).to_dict()


@pytest.mark.parametrize("kills", [1, pytest.param(KILLS, marks=pytest.mark.slow)])
def test_killed_at_random_moments(tmp_path, whole, kills):
    """Killed again and again, each time at another moment of what is left; and all of that until so many kills are done."""
    moments, killed, finished = random.Random(0), 0, 0
    while killed < kills or not finished:
        run = tmp_path / str(finished)
        code = trained(run, at=moments.randint(1, MOMENTS) if killed < kills else 0)
        killed += code != 0
        finished += code == 0
        if code == 0:
            assert_same_bits(run, whole)
        else:
            assert code == -signal.SIGKILL


@pytest.mark.parametrize(("signum", "code"), slow_but((signal.SIGTERM, 143), of=SIGNALS))
def test_a_signal_saves_the_epoch_and_exits(tmp_path, whole, signum, code):
    # The first checkpoint is renamed into place when the first epoch has ended: the second one is then finished, and no more.
    options = {"signum": signum, "events": ("os.rename",), "of": "checkpoints"}
    assert trained(tmp_path, at=1, **options) == code
    assert max(row["epoch"] for row in history(tmp_path)) == 2
    assert (tmp_path / "checkpoints" / "epoch-000002.safetensors").exists()
    assert not (tmp_path / "result.json").exists()
    assert trained(tmp_path) == 0
    assert_same_bits(tmp_path, whole)


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_a_second_signal_exits_at_once(signum, code, capfd):
    before = signal.getsignal(signum)
    stop = StopOnSignal()
    stop.on_train_start(None, None)
    try:
        signal.raise_signal(signum)
        assert stop.signum == signum
        assert "stopping after this epoch" in capfd.readouterr().err
        with pytest.raises(SystemExit) as exit_:
            signal.raise_signal(signum)
    finally:
        stop.teardown(None, None, "fit")
    assert exit_.value.code == code
    assert signal.getsignal(signum) is before
