"""``CollapseCallback`` on a Lightning module that is not ours."""

import csv

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from neucollapse import InputError, measure
from neucollapse.training import CollapseCallback, SafeCheckpointIO
from neucollapse.training._callback import evaluating
from neucollapse.training._checkpoint import RunCheckpoint, load_checkpoint
from neucollapse.training._lightning import Callback, pl, quiet
from neucollapse.training._random import seed_all

KEY = "train/nc1/pinv"
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*module.s. in eval mode at the start of training"),  # on purpose
    pytest.mark.filterwarnings("ignore:.*validation_step. but have no .val_dataloader"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


class Users(pl.LightningModule):
    """A user's own module: manual names, dropout, a part frozen in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16)).eval()
        self.drop = nn.Dropout(0.2)
        self.classify = nn.Linear(16, 3)

    def forward(self, x):
        return self.classify(self.drop(torch.relu(self.stem(x))))

    def training_step(self, batch):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("my/loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch):
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def loader(size=60, shuffle=False):
    generator = torch.Generator().manual_seed(size)
    labels = torch.arange(size) % 3
    inputs = 4 * torch.eye(6)[labels] + torch.randn(size, 6, generator=generator)
    return DataLoader(TensorDataset(inputs, labels), batch_size=20, shuffle=shuffle, generator=generator)


def trainer(tmp_path, callbacks, epochs=4, **options):
    options = {"logger": False, "enable_checkpointing": any(isinstance(c, RunCheckpoint) for c in callbacks), **options}
    return pl.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=callbacks, default_root_dir=tmp_path, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


def epochs_of(callback, key):
    return [epoch for epoch, name, _ in callback.history if name == key]


def test_measures_every_n_epochs_with_the_trainers_own_loaders(tmp_path):
    callback = CollapseCallback(every=3, logged=["my/loss"])
    module = Users()
    trainer(tmp_path, [callback], epochs=7).fit(module, loader(), loader(30))
    assert epochs_of(callback, KEY) == [0, 3, 6, 7]
    assert epochs_of(callback, "test/nc1/pinv") == [0, 3, 6, 7]
    assert epochs_of(callback, "my/loss") == list(range(1, 8))
    assert callback.last_epoch == 7
    values = [value for _, name, value in callback.history if name == KEY]
    expected = measure(module.eval(), {"train": loader()}, progress=False)[KEY]
    assert values[-1] == callback.last_result[KEY] == pytest.approx(expected, rel=1e-9)
    assert values[-1] < values[0]


def test_numbers_reach_any_logger_and_early_stopping(tmp_path):
    logger = pl.loggers.CSVLogger(tmp_path, name="log", version=0)
    stop = pl.callbacks.EarlyStopping(KEY, patience=0, mode="max", check_on_train_epoch_end=True)  # NC1 falls: stops
    callback = CollapseCallback({"train": loader()})
    fitting = trainer(tmp_path, [callback, stop], epochs=9, logger=logger, log_every_n_steps=1)
    fitting.fit(Users(), loader())
    assert 1 <= fitting.current_epoch < 9
    with (tmp_path / "log" / "version_0" / "metrics.csv").open() as file:
        logged = [float(row[KEY]) for row in csv.DictReader(file) if row.get(KEY)]
    assert logged == [value for _, name, value in callback.history if name == KEY]


def test_measuring_changes_nothing(tmp_path):
    """P8: the same weights, buffers, modes and random draws with and without the callback."""

    def run(callbacks):
        seed_all(1)
        module = Users()
        trainer(tmp_path, callbacks).fit(module, loader(shuffle=True))
        return module, torch.rand(1)

    (plain, draw), (measured, measured_draw) = run([]), run([CollapseCallback({"train": loader()})])
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, measured.state_dict()[name]), name
    assert torch.equal(draw, measured_draw)
    assert [m.training for m in plain.modules()] == [m.training for m in measured.modules()]


def test_modes_are_restored_after_an_exception():
    module = Users()
    before = [part.training for part in module.modules()]
    assert len(set(before)) == 2

    def fail():
        with evaluating(module):
            assert not any(part.training for part in module.modules())
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert [part.training for part in module.modules()] == before


class StopAfter(Callback):
    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def test_history_and_random_states_survive_a_resume(tmp_path):
    """P15, with dropout: stopped after two of five epochs and resumed, bit-equal to an uninterrupted run."""

    def run(folder, stop=None, resume=None):
        seed_all(5)
        module = Users()
        callback = CollapseCallback({"train": loader()}, every=2, logged=["my/loss"])
        callbacks = [callback, RunCheckpoint(folder, 0), *([StopAfter(stop)] if stop else [])]
        fitting = trainer(tmp_path, callbacks, epochs=5, plugins=[SafeCheckpointIO()])
        fitting.fit(module, loader(), ckpt_path=resume)
        return module, callback

    whole, expected = run(tmp_path / "whole")
    run(tmp_path / "parts", stop=2)
    resumed, callback = run(tmp_path / "parts", resume=tmp_path / "parts" / "epoch-000002.safetensors")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert callback.history == expected.history
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == [f"epoch-{e:06d}.safetensors" for e in (4, 5)]
    assert load_checkpoint(tmp_path / "parts" / "epoch-000005.safetensors")["epoch"] == 4  # Lightning counts from 0


def test_zero_error_epoch():
    callback = CollapseCallback(accuracy="acc")
    assert callback.zero_error_epoch is None
    callback.history = [(1, "acc", 1.0), (2, "other", 0.5), (3, "acc", 0.99), (4, "acc", 1.0), (6, "acc", 1.0)]
    assert callback.zero_error_epoch == 4
    callback.history.append((8, "acc", 0.999))  # an error again: that was not the terminal phase
    assert callback.zero_error_epoch is None
    other = CollapseCallback()
    other.load_state_dict(callback.state_dict())
    assert other.history == callback.history


def test_errors_are_sentences():
    with pytest.raises(InputError, match="every=0"):
        CollapseCallback(every=0)
