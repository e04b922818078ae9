"""P15: killed at any moment and resumed, a run ends with the same bits as one that was left alone.

``NEUCOLLAPSE_KILLS=100`` makes the loop longer.
"""

import multiprocessing
import os
import random
import shutil
import signal
import time

import pyarrow.parquet
import pytest
import torch

from neucollapse.metrics import CollapseResult
from neucollapse.training import TrainConfig, load_checkpoint
from neucollapse.training._stop import StopOnSignal
from neucollapse.training.run import train

KILLS = int(os.environ.get("NEUCOLLAPSE_KILLS", "6"))
CONFIG = TrainConfig(width=32, depth=2, dim=8, epochs=8, measure_every=3, checkpoint_seconds=0, threads=1)
LAST = "checkpoints/epoch-000008.safetensors"


@pytest.fixture(scope="module")
def processes():
    """Starts ``train`` in processes of their own, forked from one that has the imports behind it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["neucollapse.training.run", "neucollapse._measure", "sklearn.datasets"])

    def start(run, config=CONFIG):
        process = context.Process(target=train, args=(config, run), kwargs={"progress": False})
        process.start()
        return process

    return start


@pytest.fixture(scope="module")
def whole(tmp_path_factory, processes):
    """The run that nobody disturbs."""
    run = tmp_path_factory.mktemp("whole")
    process = processes(run)
    process.join()
    assert process.exitcode == 0
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


def wait_for_checkpoints(run, count, process):
    while process.is_alive() and len(os.listdir(run / "checkpoints") if (run / "checkpoints").exists() else ()) < count:
        time.sleep(0.001)


def test_killed_at_random_moments(tmp_path, processes, whole):
    moments = random.Random(0)
    killed, finished = 0, 0
    while killed < KILLS or not finished:
        process = processes(tmp_path)
        if killed < KILLS:
            # Half of the moments count from the start, half from a checkpoint being written.
            if moments.random() < 0.5:
                wait_for_checkpoints(tmp_path, moments.choice([1, 2, 3]), process)
                time.sleep(moments.uniform(0, 0.03))
            else:
                time.sleep(moments.uniform(0, 1.5))
            process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        if process.exitcode == 0:
            finished += 1
            assert_same_bits(tmp_path, whole)
            if killed < KILLS:  # too fast: once more from the beginning
                shutil.rmtree(tmp_path)
        else:
            assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_epoch_and_exits(tmp_path, processes, whole, signum, code):
    process = processes(tmp_path)
    wait_for_checkpoints(tmp_path, 1, process)
    os.kill(process.pid, signum)
    process.join()
    assert process.exitcode == code
    epoch = max(row["epoch"] for row in history(tmp_path))
    assert 1 <= epoch < 8
    assert (tmp_path / "checkpoints" / f"epoch-{epoch:06d}.safetensors").exists()
    assert not (tmp_path / "result.json").exists()
    process = processes(tmp_path)
    process.join()
    assert process.exitcode == 0
    assert_same_bits(tmp_path, whole)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
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
