"""What holds of every model: it keeps its rows when stopped, keeps its files, refuses what makes no sense (P10, P14, P15)."""

import json
import shutil
import signal
import warnings
from contextlib import contextmanager
from dataclasses import fields, replace
from itertools import islice

import pyarrow.parquet as pq
import pytest
import torch

from neucollapse import InputError
from neucollapse._citations import citation_keys
from neucollapse._errors import OptionError, ResumeWarning
from neucollapse._files import load_tensors
from neucollapse._lock import locked
from neucollapse._schema import ARRAYS
from neucollapse.metrics import CollapseResult
from neucollapse.report import write_simulation_page
from neucollapse.theory import Row, model_of, simulate
from neucollapse.theory.settings import SETTINGS

from .. import fault
from ..slow import slow_but
from .cases import small

SUPCON = SETTINGS["supcon"](classes=2, dim=2, samples=2, steps=20, starts=1)


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def straight():
    """Every model, run once without a folder and without a stop."""
    done = {}

    def get(name):
        if name not in done:
            done[name] = simulate(small(name), progress=False)
        return done[name]

    return get


@contextmanager
def stopped_after(count, monkeypatch):
    """The model of SUPCON breaks off after so many rows."""
    model = type(model_of(SUPCON))
    run = model.run

    def broken(self):
        yield from islice(run(self), count)
        raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(model, "run", broken)
        with pytest.raises(StoppedError) as stopped:
            yield stopped


def stored_rows(folder):
    return [Row(**row) for row in pq.read_table(folder / "trajectory.parquet").to_pylist()]


@pytest.mark.parametrize("every", [0.0, 1e9])
def test_a_stopped_simulation_keeps_its_rows_and_begins_again(every, tmp_path, monkeypatch):
    whole = simulate(SUPCON, progress=False)
    with stopped_after(5, monkeypatch):
        simulate(SUPCON, tmp_path, progress=False, save_every=every)
    assert not (tmp_path / "simulation.json").exists()
    assert stored_rows(tmp_path) == whole.rows[:5]
    with pytest.warns(ResumeWarning, match="did not end; it is begun again from the beginning"):
        again = simulate(SUPCON, tmp_path, progress=False)
    assert again.rows == whole.rows == stored_rows(tmp_path)
    assert json.dumps(again.to_dict()) == json.dumps(whole.to_dict())
    stored, _ = load_tensors(tmp_path / "arrays.safetensors", schema=ARRAYS)
    assert all(torch.equal(stored[key], tensor) for key, tensor in whole.findings.tensors.items())


def test_a_stop_is_told_where_its_rows_cannot_be_kept(tmp_path, monkeypatch):
    (tmp_path / "trajectory.parquet").mkdir()
    with stopped_after(5, monkeypatch) as stopped, pytest.warns(ResumeWarning):
        simulate(SUPCON, tmp_path, progress=False)
    assert "could not be kept" in stopped.value.__notes__[0]


def test_a_finished_simulation_that_runs_again_and_stops_keeps_its_result(tmp_path, monkeypatch):
    whole = simulate(SUPCON, tmp_path, progress=False)
    with stopped_after(5, monkeypatch):
        simulate(SUPCON, tmp_path, progress=False, save_every=0.0)
    assert stored_rows(tmp_path) == whole.rows
    write_simulation_page(tmp_path)


@pytest.mark.parametrize("name", slow_but("svm", "seli", of=SETTINGS))
def test_what_a_model_tells(name, straight, tmp_path):
    simulation = straight(name)
    found = simulation.findings
    assert found.sentences
    assert all(sentence.endswith(".") for sentence in found.sentences)
    assert found.plots
    assert all(plot.title and plot.x and plot.y for plot in found.plots)
    assert set(simulation.settings.citations) <= set(citation_keys())
    simulation.save(tmp_path)
    text = write_simulation_page(tmp_path).read_text(encoding="utf-8")
    assert 'class="tone-' in text


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_checked_and_come_back_from_json(name):
    settings = small(name)
    again = type(settings).from_dict(json.loads(json.dumps(settings.to_dict())))
    assert again == settings
    assert all(settings.helps().values())
    with pytest.raises(InputError, match=r"expected seed in \[0, 2\^32\), got -1"):
        replace(settings, seed=-1)
    with pytest.raises(InputError, match="unknown setting"):
        type(settings).from_dict({"colour": 1})
    for field in fields(settings):
        if field.type in (int, "int") and field.name != "seed":
            with pytest.raises(InputError, match=f"expected {field.name} "):
                replace(settings, **{field.name: -1})


def simulate_often_saved(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResumeWarning)
        simulate(SUPCON, folder, progress=False, save_every=0.0)


def test_a_killed_process_leaves_rows_and_begins_again(tmp_path):
    """Killed while the settings, the third trajectory and the result are written; each time by another process."""
    for at, of in ((2, "config.json"), (6, "trajectory.parquet"), (1, "arrays"), (1, "simulation.json")):
        code = fault.run(simulate_often_saved, tmp_path, folder=tmp_path, at=at, of=of)
        assert code == -signal.SIGKILL
    kept = stored_rows(tmp_path)
    with pytest.warns(ResumeWarning):
        again = simulate(SUPCON, tmp_path, progress=False)
    assert again.rows[: len(kept)] == kept


def test_a_folder_keeps_its_settings(tmp_path):
    settings = SUPCON
    first = simulate(settings, tmp_path, progress=False)
    assert simulate(settings, tmp_path, progress=False).rows == first.rows
    with pytest.raises(InputError, match=r"holds a simulation with seed=0 \(now 1\)"):
        simulate(replace(settings, seed=1), tmp_path, progress=False)
    other = simulate(replace(settings, seed=1), tmp_path, resume=False, progress=False)
    assert other.settings.seed == 1


def test_one_process_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match="another process is simulating in"):
        simulate(SUPCON, tmp_path, progress=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A simulation that has ended."""
    folder = tmp_path_factory.mktemp("done")
    simulate(SUPCON, folder, progress=False)
    return folder


@pytest.fixture
def copy(done, tmp_path):
    return shutil.copytree(done, tmp_path / "copy")


@pytest.mark.parametrize(
    "other", slow_but(replace(SUPCON, seed=1), of=[replace(SUPCON, seed=1), small("local-elasticity")])
)
def test_without_its_settings_a_folder_is_still_of_its_simulation(copy, other):
    (copy / "config.json").unlink()
    with pytest.raises(InputError, match=r"holds a simulation with .*(seed=0 \(now 1\)|model=.supcon. )"):
        simulate(other, copy, progress=False)
    assert not (copy / "config.json").exists()
    assert simulate(SUPCON, copy, progress=False).settings == SUPCON


def test_a_folder_of_something_else_is_refused(tmp_path):
    CollapseResult({"nc1/pinv": 1.0}, info={"num_classes": 2, "dim": 2, "environment": {"a": 1}}).save(tmp_path)
    for resume in (True, False):
        with pytest.raises(InputError, match=r"holds result\.json, which no simulation leaves"):
            simulate(SUPCON, tmp_path, resume=resume, progress=False)
    assert CollapseResult.load(tmp_path)["nc1/pinv"] == 1


def test_a_result_names_the_digest_of_its_arrays(done):
    digest = json.loads((done / "simulation.json").read_text())["arrays"]["sha256"]
    load_tensors(done / "arrays.safetensors", schema=ARRAYS, digest=digest)


def test_a_misspelt_option_is_named(tmp_path):
    with pytest.raises(OptionError, match="did you mean 'resume'"):
        simulate(SUPCON, tmp_path, resum=False)
