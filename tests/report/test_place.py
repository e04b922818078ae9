"""A folder that is no run: the sentence says what is there instead, and what to do with it."""

import shutil

import pytest

from neucollapse import FileFormatError
from neucollapse.cli import main
from neucollapse.report import read_size, write_comparison, write_report, write_simulation_page
from neucollapse.theory import settings, simulate


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulation")
    simulate(settings.SupCon(classes=3, dim=2, samples=2, steps=10, starts=1), folder, progress=False)
    return folder


@pytest.fixture
def places(sphere_run, simulation, tmp_path):
    """A folder of every kind by name."""
    runs = tmp_path / "runs"
    for name in ("one", "two", "three"):
        shutil.copytree(sphere_run, runs / name)
    shutil.copytree(simulation, runs / "theory")
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(simulation / "config.json", begun)
    (tmp_path / "empty").mkdir()
    return {"runs": runs, "begun": begun, "empty": tmp_path / "empty", "file": sphere_run / "result.json"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("runs", "4 runs inside (one, theory, three, two): "),
        ("begun", "a run that did not end; the command that began it goes on with it"),
        ("empty", "an empty folder"),
        ("file", "a file; give its folder"),
    ],
)
def test_every_kind_of_place_has_its_sentence(name, words, places, sphere_run, capsys):
    path = places[name]
    for read in (write_report, read_size):
        with pytest.raises(FileFormatError, match=r"expected a folder with result\.json, found") as error:
            read(path)
        assert words in str(error.value)
    for command in (["report", str(path)], ["cite", str(path)], ["report", str(sphere_run), str(path)]):
        assert main(command) == 3
        printed = capsys.readouterr()
        assert words in printed.err
        assert printed.err.count("\n") == 1


def test_runs_inside_come_with_the_command_that_compares_them(places, capsys):
    runs = places["runs"]
    assert main(["report", str(runs)]) == 3
    command = capsys.readouterr().err.split("`")[3]
    assert command == f"neucollapse report {runs / 'one'} {runs / 'three'} {runs / 'two'}"  # no simulation among them
    assert main([*command.split()[1:], "--page", str(runs / "all.html")]) == 0


def test_a_name_nearby_is_offered(places):
    with pytest.raises(FileFormatError, match=r"no such folder; did you mean .*/one\?"):
        write_report(places["runs"] / "onne")


def test_a_simulation_among_runs_is_said(places, capsys):
    theory = places["runs"] / "theory"
    with pytest.raises(FileFormatError, match="found a simulation, which has a page of its own"):
        write_comparison({"a": places["runs"] / "one", "b": theory}, theory / "page.html")
    with pytest.raises(FileFormatError, match=r"expected a folder with simulation\.json, found a measured run"):
        write_simulation_page(places["runs"] / "one")
    assert main(["cite", str(theory)]) == 0
    assert "@" in capsys.readouterr().out
