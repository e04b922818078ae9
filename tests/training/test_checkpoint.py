"""P14, P15: checkpoints hold no pickle, survive damage, and give back every bit."""

import random
import warnings

import numpy as np
import pytest
import torch

from neucollapse import FileFormatError, InputError
from neucollapse._errors import ResumeWarning
from neucollapse.training import SafeCheckpointIO, latest_checkpoint, load_checkpoint
from neucollapse.training._random import random_state, seed_all, set_random_state

TREE = {
    "epoch": 3,
    "state_dict": {"weight": torch.randn(3, 2), "half": torch.randn(2).bfloat16(), "none": torch.zeros(0, 4)},
    "optimizer_states": [
        {"state": {0: {"step": torch.tensor(5.0), "exp_avg": None}}, "param_groups": [{"betas": (0.9, 0.999)}]}
    ],
    "deep": {(1, "a"): [True, False, None, 1e-300, float("inf"), "text", [], (), {}]},
}


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def test_round_trip(tmp_path):
    path = tmp_path / "a.safetensors"
    SafeCheckpointIO().save_checkpoint(TREE, path)
    assert equal(SafeCheckpointIO().load_checkpoint(path), TREE)
    assert b"pickle" not in path.read_bytes()
    SafeCheckpointIO().remove_checkpoint(path)
    assert not path.exists()


def test_tied_tensors_and_views_are_saved(tmp_path):
    weight = torch.randn(4, 4)
    tree = {"a": weight, "b": weight, "c": weight[:, 1], "d": weight.T}
    SafeCheckpointIO().save_checkpoint(tree, tmp_path / "a.safetensors")
    assert equal(load_checkpoint(tmp_path / "a.safetensors"), tree)


def test_what_only_a_pickle_could_hold_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"checkpoint\.callbacks\.x\.1 is a set"):
        SafeCheckpointIO().save_checkpoint({"callbacks": {"x": [1, {2}]}}, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_is_not_read(tmp_path):
    path = tmp_path / "epoch-000001.safetensors"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(FileFormatError):
        load_checkpoint(path)


def test_falls_back_to_the_checkpoint_before_and_says_so(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    for epoch in (8, 9, 10):
        SafeCheckpointIO().save_checkpoint({**TREE, "epoch": epoch}, tmp_path / f"epoch-{epoch:06d}.safetensors")
    newest, second = tmp_path / "epoch-000010.safetensors", tmp_path / "epoch-000009.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert latest_checkpoint(tmp_path) == newest
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1  # one flipped bit of a tensor
    newest.write_bytes(content)
    with pytest.warns(ResumeWarning, match="epoch-000010"):
        assert latest_checkpoint(tmp_path) == second
    second.write_bytes(second.read_bytes()[:100])
    with pytest.warns(ResumeWarning):
        assert latest_checkpoint(tmp_path) == tmp_path / "epoch-000008.safetensors"
    (tmp_path / "epoch-000008.safetensors").write_bytes(b"")
    with pytest.warns(ResumeWarning), pytest.raises(FileFormatError, match="none of the 3"):
        latest_checkpoint(tmp_path)


def test_damaged_structure_is_a_file_format_error(tmp_path):
    from neucollapse._files import save_tensors

    for tree in (["tensor", "gone"], ["set", []], ["dict", [1]], [1, 2, 3], ["dict", [[["dict", []], 1]]]):
        save_tensors(tmp_path / "a.safetensors", {}, schema="neucollapse/checkpoint/1", metadata={"tree": tree})
        with pytest.raises(FileFormatError):
            load_checkpoint(tmp_path / "a.safetensors")


def test_random_states_come_back_through_a_file(tmp_path):
    def draw():
        return random.gauss(0, 1), np.random.normal(), torch.randn(3).tolist()  # noqa: NPY002

    seed_all(7)
    draw()
    SafeCheckpointIO().save_checkpoint({"random": random_state()}, tmp_path / "a.safetensors")
    expected = [draw() for _ in range(3)]
    seed_all(8)
    set_random_state(load_checkpoint(tmp_path / "a.safetensors")["random"])
    assert [draw() for _ in range(3)] == expected
