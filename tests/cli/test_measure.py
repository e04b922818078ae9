"""``neucollapse measure``: every option of ``measure`` is reached, and labels of every kind come through a file."""

import inspect
import json
from dataclasses import fields

import numpy as np
import pytest

import neucollapse as nc
from neucollapse.cli import main
from neucollapse.cli.measure import Measure

# What only Python can give, and what stands under another name.
ELSEWHERE = {"model", "loader", "forward", "bias", "progress"}
RENAMED = {"num_classes": "classes", "nan": "drop_nan", "second_pass": "one_pass"}


def test_every_option_of_measure_is_an_option_here():
    options = set(inspect.signature(nc.measure).parameters) - ELSEWHERE
    ours = {field.name for field in fields(Measure)}
    assert {RENAMED.get(name, name) for name in options} <= ours


@pytest.fixture
def save(tmp_path):
    """A function that writes features with these labels, and gives the path."""

    def write(labels, name="a.npz"):
        generator = np.random.default_rng(0)
        np.savez(tmp_path / name, features=generator.normal(size=(len(labels), 3)).astype(np.float32), labels=labels)
        return str(tmp_path / name)

    return write


def measured(arguments, capsys):
    assert main(["measure", *arguments, "--json"]) == 0
    printed = capsys.readouterr()
    return json.loads(printed.out)


def test_sparse_ids_are_refused_with_the_cure_or_renumbered(save, capsys):
    labels = np.array([7, 1000, 5_000_000] * 8)
    path = save(labels)
    plain = measured([save(np.tile([0, 1, 2], 8), "b.npz")], capsys)
    assert main(["measure", path]) in (2, 3)
    assert "renumber" in capsys.readouterr().err
    assert measured([path, "--renumber"], capsys)["numbers"] == plain["numbers"]


def test_any_label_may_be_the_ignored_one(save, capsys):
    labels = np.tile([0, 1, 2, 255], 6).astype(np.uint8)
    found = measured([save(labels), "--ignore-index", "255"], capsys)
    assert any("6 samples carry the ignored label" in flag for flag in found["flags"])


def test_few_samples_are_left_out_by_name(save, capsys):
    labels = np.array([0] * 9 + [1] * 9 + [2] * 9 + [3])
    found = measured([save(labels), "--min-samples", "2"], capsys)
    assert any("fewer than 2 samples" in flag for flag in found["flags"])
    assert not any("one sample only" in flag for flag in found["flags"])


def test_names_of_classes_stand_on_the_page(save, tmp_path, capsys):
    labels = np.array(["otter", "walrus", "zebra"] * 8)
    assert main(["measure", save(labels), "--out", str(tmp_path / "run")]) == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("otter", "walrus", "zebra"))


@pytest.mark.parametrize("count", [10**9, 10**15])
def test_classes_that_no_memory_holds_are_refused_by_estimate(count, save, capsys):
    assert main(["measure", save(np.tile([0, 1, 2], 8)), "--classes", str(count)]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--layers", "0"], "--layers needs a --model"),
        (["--classifier", "fc"], "--classifier needs a --model"),
        (["--pool", "flatten"], "--pool needs a --model"),
        (["--mode", "keep"], "--mode needs a --model"),
        (["--strict"], "--strict needs a --model"),
        (["--device", "cpu"], "--device needs a --model"),
    ],
)
def test_options_of_a_model_are_refused_for_files(option, words, save, capsys):
    assert main(["measure", save(np.tile([0, 1], 8)), *option]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--weight=a", "--ood=a", "--renumber"])
def test_options_of_files_are_refused_for_a_model(option, capsys):
    assert main(["measure", "--model", "mine:make", option]) == 2
    assert f"{option.partition('=')[0]} needs a file of features" in capsys.readouterr().err


def test_features_outside_all_classes(save, capsys):
    path, outside = save(np.tile([0, 1], 8)), save(np.zeros(8, int), "outside.npz")
    assert "nc5/cosine" not in measured([path], capsys)["numbers"]
    assert "nc5/cosine" in measured([path, "--ood", outside], capsys)["numbers"]
