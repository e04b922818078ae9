"""A run folder belongs to one run: its kind, its settings, the contents of the files they name, and one process."""

from dataclasses import replace

import pytest

from neucollapse import FileFormatError, InputError
from neucollapse._errors import FileWriteError
from neucollapse._files import write_json
from neucollapse._run_folder import Kind, RunFolder, digests

DEFAULTS = {"lr": 0.1, "epochs": 5, "code": None}


def complete(settings):
    if unknown := set(settings) - set(DEFAULTS):
        raise InputError(f"unknown setting {unknown.pop()!r}")
    return {**DEFAULTS, **settings}


KIND = Kind(
    "training run",
    "training in",
    "neucollapse/config/1",
    ("result.json", "config.json"),
    ("simulation.json",),
    complete,
)


@pytest.fixture
def place(tmp_path):
    return RunFolder(tmp_path / "run", KIND, DEFAULTS, {"a.npz": "1" * 64})


def begun(place):
    with place.held():
        place.settle()
    return place


def test_a_folder_keeps_the_settings_it_was_begun_with(place):
    begun(place).settle()
    other = replace(place, settings={**DEFAULTS, "lr": 0.2, "epochs": 6})
    with pytest.raises(
        InputError, match=r"lr=0\.1 \(now 0\.2\), epochs=5 \(now 6\), says config\.json; .* resume=False"
    ):
        other.settle()


def test_settings_that_an_earlier_version_lacks_are_its_defaults(place):
    place.path.mkdir()
    write_json(place.path / "config.json", {"lr": 0.1}, schema=KIND.schema)
    place.settle()
    with pytest.raises(InputError, match=r"epochs=5 \(now 7\)"):
        replace(place, settings={**DEFAULTS, "epochs": 7}).settle()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {**DEFAULTS, "lr": 0.2}}, r"lr=0\.2 \(now 0\.1\), says state"),
        ({"files": {"a.npz": "2" * 64}}, r"other contents of a\.npz"),
        ({"settings": "none"}, "does not say of which training run it is"),
    ],
)
def test_what_is_taken_up_is_of_this_run(place, known, change, words):
    """Whether config.json is there or lost: and where it is lost, a refusal leaves none that would vouch for the next try."""
    state = place.path / "state"
    place.path.mkdir()
    if known:
        place.settle()
    place.settle({state: place.identity} if known else None)
    if not known:
        (place.path / "config.json").unlink()
    with pytest.raises(InputError, match=words):
        place.settle({state: {**place.identity, **change}})
    assert (place.path / "config.json").exists() == known


def test_a_file_that_names_no_run_is_vouched_for_by_the_config_alone(place):
    begun(place).settle({place.path / "state": None})
    (place.path / "config.json").unlink()
    with pytest.raises(InputError, match="does not say of which training run it is"):
        place.settle({place.path / "state": None})


def test_settings_that_make_no_run_are_a_damaged_file(place):
    with pytest.raises(FileFormatError, match="unknown setting 'colour'"):
        begun(place).check(place.path / "state", {"settings": {"colour": 1}})


def test_the_folder_of_another_kind_is_refused_before_anything_is_done(place):
    place.path.mkdir()
    (place.path / "simulation.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds simulation\.json, which no training run leaves"), place.held():
        raise AssertionError


def test_a_place_where_no_folder_can_be_is_one_sentence(place):
    place.path.write_text("a file")
    with pytest.raises(FileWriteError, match=r"cannot write .*run: "), place.held():
        pass


def test_digests_follow_contents(tmp_path):
    file, folder = tmp_path / "a.npz", tmp_path / "idx"
    folder.mkdir()
    for path in (file, folder / "images", folder / "labels"):
        path.write_bytes(b"one")
    paths = (str(folder), str(file), None, str(tmp_path / "gone"))
    before = digests(*paths)
    assert set(before) == {str(folder), str(file)}
    (folder / "labels").write_bytes(b"two")
    after = digests(*paths)
    assert after[str(file)] == before[str(file)]
    assert after[str(folder)] != before[str(folder)]
    (folder / "labels").rename(folder / "labels2")
    assert digests(*paths)[str(folder)] != after[str(folder)]


def test_half_written_files_are_deleted_and_other_hidden_ones_are_not(place):
    place.path.mkdir()
    for name in (".result.json.abc", ".mine.json.abc"):
        (place.path / name).write_text("half")
    with place.held():
        assert {path.name for path in place.path.iterdir()} == {".lock", ".mine.json.abc"}


def test_starting_over_deletes_what_such_a_run_leaves_alone(place):
    begun(place)
    for name in ("result.json", "notes.txt"):
        (place.path / name).write_text("{}")
    with place.held():
        place.clear()
    assert {path.name for path in place.path.iterdir()} == {".lock", "notes.txt"}
