"""``neucollapse inspect FILE`` says what it found: which axis is the classes, the bias, and what was passed over."""

import json

import numpy as np
import pytest

from neucollapse.cli import main

W = np.random.default_rng(0).standard_normal((5, 3))


def test_what_was_found_is_said(tmp_path, capsys):
    path = tmp_path / "a.npz"
    np.savez(path, **{"body.kernel": W.T @ W, "head.kernel": W.T, "head.bias": W[:, :1].T})
    assert main(["inspect", str(path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "K = 5, d = 3, with a bias" in out
    assert "note: columns of head.kernel (3, 5) are the classes, as the bias has 5 entries: turned to (5, 3)" in out
    assert "note: passed over: body.kernel (3, 3)" in out
    assert main(["inspect", str(path), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["has_bias"], seen["notes"][1]) == (True, "passed over: body.kernel (3, 3)")


@pytest.mark.parametrize("command", [["inspect"]])
def test_what_is_not_clear_is_asked_and_then_taken(tmp_path, capsys, command):
    path = tmp_path / "a.npy"
    np.save(path, W.T)
    assert main([*command, str(path)]) == 3
    assert "--transpose True" in capsys.readouterr().err
    assert main([*command, str(path), "--transpose", "True", "--json"]) == 0


def test_measure_asks_for_the_same(tmp_path, capsys):
    np.savez(tmp_path / "f.npz", features=np.tile(W, (4, 1)), labels=np.arange(20) % 5)
    np.savez(tmp_path / "w.npz", proxies=W.T, offset=np.zeros(5))
    arguments = ["measure", str(tmp_path / "f.npz"), "--weight", str(tmp_path / "w.npz"), "--json"]
    assert main(arguments) == 3
    assert "--bias-key" in capsys.readouterr().err
    assert main([*arguments, "--bias-key", "offset"]) == 0
    assert "note: " in capsys.readouterr().err
