"""``neucollapse simulate``: numbers on standard output, a page, sentences for what makes no sense."""

import json
import re

import pytest

from neucollapse.cli import main
from neucollapse.metrics import CollapseResult
from neucollapse.theory.settings import SETTINGS

SMALL = ["simulate", "supcon", "--classes", "4", "--dim", "4", "--samples", "2", "--steps", "40", "--starts", "1"]


def test_the_list(capsys):
    assert main(["simulate"]) == 0
    out = capsys.readouterr().out
    assert all(name in out and settings.title.split(":")[0] in out for name, settings in SETTINGS.items())


@pytest.mark.parametrize("name", SETTINGS)
def test_every_model_says_what_it_is(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", name, "--help"])
    assert stopped.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"simulate {name}" in out
    assert "--seed INT of everything that is drawn." in re.sub(r"[│╭╮╰╯─ ]+", " ", out)
    assert "{fixed}" not in out  # what is no field is no option
    assert "--overlay" in out


def test_a_table_a_sentence_and_a_page(tmp_path, capsys):
    assert main([*SMALL, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "predicted" in out
    assert "collapses to the simplex" in " ".join(out.split())
    assert "class" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "report.html").unlink()
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_json_is_all_that_is_printed(tmp_path, capsys):
    assert main([*SMALL, "--out", str(tmp_path), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["model"] == "supcon"
    assert content["settings"]["classes"] == 4
    assert content["agrees"] is True


@pytest.mark.slow
def test_another_setting_needs_another_folder_or_a_restart(tmp_path, capsys):
    assert main([*SMALL, "--out", str(tmp_path)]) == 0
    assert main([*SMALL, "--out", str(tmp_path), "--seed", "1"]) == 2
    assert "holds a simulation with seed=0 (now 1)" in capsys.readouterr().err
    assert main([*SMALL, "--out", str(tmp_path), "--seed", "1", "--restart"]) == 0


@pytest.fixture
def run(tmp_path):
    result = CollapseResult(info={"num_classes": 4, "dim": 5, "title": "measured here"})
    result.numbers["nc1/pinv"] = 0.25
    result.save(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_a_measured_run_gives_its_size_and_its_numbers(run, tmp_path, capsys):
    folder = tmp_path / "simulation"
    arguments = ["simulate", "supcon", "--samples", "2", "--steps", "40", "--starts", "1", "--overlay", str(run)]
    assert main([*arguments, "--out", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["classes"] == 4
    assert json.loads((folder / "config.json").read_text())["dim"] == 5
    assert "measured here is laid over it" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["simulate", "nothing"], 2, "simulate has no model 'nothing'; expected a model among list, central-path"),
        (["simulate", "supcon", "--overlay", "no/run"], 3, "found no such folder"),
    ],
)
def test_what_makes_no_sense_gets_a_sentence(arguments, code, words, capsys):
    assert main(arguments) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulate", "ufm", "--dim", "0"], "expected dim of at least 1, got 0"),
        (["simulate", "ufm", "--classes", "1"], "expected classes of at least 2, got 1"),
        (["simulate", "ufm", "--decay-weight", "-1"], "expected decay_weight above 0 and finite"),
    ],
)
def test_impossible_sizes_get_a_sentence(arguments, words, capsys):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
