"""A result names the digest of its arrays: no kill and no second writer mixes arrays of one run with numbers of another."""

import json
import shutil
import signal

import pytest
import torch

from neucollapse import FileFormatError, InputError
from neucollapse.metrics import CollapseResult

from .. import fault


def result_of(value):
    """A result whose numbers and arrays both tell which it is."""
    info = {"num_classes": 2, "dim": 3, "environment": {"none": "here"}}
    return CollapseResult(
        {"nc1/pinv": float(value)}, arrays={"class_means": torch.full((2, 3), float(value))}, info=info
    )


def save(folder, value, times=1):
    for _ in range(times):
        result_of(value).save(folder)


def loaded(folder):
    """Which result is there; its numbers and arrays have to be of one."""
    result = CollapseResult.load(folder)
    assert torch.equal(result.arrays["class_means"], torch.full((2, 3), result["nc1/pinv"]))
    return result["nc1/pinv"]


def test_killed_at_any_moment_a_save_leaves_one_result_or_a_sentence(tmp_path):
    before, states = tmp_path / "before", set()
    save(before, 1)
    for moment in range(1, 100):
        folder = tmp_path / str(moment)
        shutil.copytree(before, folder)
        code = fault.run(save, folder, 2, folder=folder, at=moment)
        try:
            states.add(loaded(folder))
        except FileFormatError as error:
            states.add(error.reason)
        save(folder, 3)
        assert loaded(folder) == 3
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert states == {1.0, "it is whole, but not the file that belongs here: its SHA-256 is another", 2.0}


def test_two_writers_and_a_reader(tmp_path):
    save(tmp_path, 1)
    writers = [fault.start(save, tmp_path, value, 6, folder=tmp_path) for value in (1, 2)]
    seen = {loaded(tmp_path) for _ in range(12)}
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen | {loaded(tmp_path)} <= {1.0, 2.0}


def test_arrays_of_another_result_are_refused(tmp_path):
    for value in (1, 2):
        save(tmp_path / str(value), value)
    shutil.copy(tmp_path / "1" / "arrays.safetensors", tmp_path / "2")
    with pytest.raises(FileFormatError, match="not the file that belongs here"):
        CollapseResult.load(tmp_path / "2")


def test_a_result_of_an_earlier_version_names_no_digest(tmp_path):
    save(tmp_path, 1)
    path = tmp_path / "result.json"
    content = json.loads(path.read_text())
    del content["arrays"]
    path.write_text(json.dumps(content))
    assert loaded(tmp_path) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("metrics", None),
        ("metrics", [1]),
        ("metrics", [{"key": "a", "value": "1", "optimum": None, "absent": None}]),
        ("metrics", [{"key": "a", "value": True, "optimum": None, "absent": None}]),
        ("metrics", [{"key": "a", "value": None, "optimum": [], "absent": None}]),
        ("metrics", [{"key": [], "value": 1.0, "optimum": None, "absent": None}]),
        ("metrics", [{"key": "a", "value": None, "optimum": None, "absent": 3}]),
        ("flags", [{}]),
        ("flags", [{"code": 1, "sentence": "a", "where": "", "severity": "note"}]),
        ("splits", 3),
        ("splits", [["train"]]),
        ("citations", [1]),
        ("arrays", "digest"),
        ("arrays", {"sha256": 3}),
    ],
)
def test_other_types_are_one_sentence(tmp_path, key, value):
    save(tmp_path, 1)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(FileFormatError):
        CollapseResult.load(tmp_path)


def test_what_the_file_has_no_place_for_is_refused_before_anything_is_written(tmp_path):
    result = CollapseResult({"nc1/pinv": 0.5}, info={"num_classes": 2, "dim": 2, "training": {"epochs": 3, "lr": 0.1}})
    with pytest.raises(InputError, match="'lr' too"):
        result.save(tmp_path)
    result.info["training"] = {"epochs": "three"}
    with pytest.raises(FileFormatError, match="expected an integer at epochs"):
        result.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}
    result.info["training"] = {"epochs": 3}
    assert CollapseResult.load(result.save(tmp_path)).info["training"]["epochs"] == 3
