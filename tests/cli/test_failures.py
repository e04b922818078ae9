"""Whatever goes wrong is one sentence and a documented exit code, and never 1, which means a finding."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from neucollapse._errors import FileFormatError, FileWriteError, InputError, MissingExtraError, SolverError
from neucollapse.cli import main
from neucollapse.cli._failures import explain
from neucollapse.cli.cite import Cite

PROGRAM = str(Path(sys.executable).parent / "neucollapse")


@pytest.fixture
def features(tmp_path):
    labels = torch.arange(40) % 4
    save_file({"features": torch.randn(40, 3), "labels": labels}, tmp_path / "features.safetensors")
    return str(tmp_path / "features.safetensors")


ERRORS = [
    (InputError("no"), 2),
    (SolverError("no"), 2),
    (MissingExtraError("numba", "fast", "this"), 2),
    (FileFormatError("f", "no"), 3),
    (FileWriteError("f", "no"), 2),
    (MemoryError(), 2),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), 2),
    (torch.OutOfMemoryError("CUDA out of memory"), 2),
    (RecursionError("maximum recursion depth exceeded"), 3),
    (SafetensorError("Error while deserializing header"), 3),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "no/file"), 3),
    (OSError(errno.ENOSPC, "No space left on device"), 2),
    (OSError(errno.EROFS, "Read-only file system", "/x"), 2),
    (KeyError("x"), 4),
    (AssertionError("a long\nmessage"), 4),
    (KeyboardInterrupt(), 130),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda item: type(item).__name__)
def test_every_exception_has_a_sentence_and_a_code(error, code, monkeypatch, capsys):
    def fail(self):
        raise error

    monkeypatch.setattr(Cite, "run", fail)
    assert main(["cite"]) == code
    err = capsys.readouterr().err
    assert err.startswith("neucollapse: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_a_file_that_may_not_be_read_is_a_bad_file(tmp_path, monkeypatch):
    path = tmp_path / "mine"
    path.write_text("x")
    error = PermissionError(errno.EACCES, "Permission denied", str(path))
    assert explain(error)[1] == 2  # it can be read, so it was to be written
    monkeypatch.setattr("os.access", lambda *_: False)
    assert explain(error) == (f"cannot read {path}: Permission denied", 3)


def test_the_whole_trace_is_shown_when_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("NEUCOLLAPSE_TRACEBACK", "1")
    assert main(["cite", "nobody"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["measure", "train", "simulate", "demo", "report", "code"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(command, features, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    out = str(tmp_path / "file")
    words = {
        "measure": ["measure", features, "--out", out],
        "train": ["train", "digits-simplex", "--out", f"{out}/deeper"],
        "simulate": ["simulate", "ufm", "--out", out],
        "demo": ["demo", "--out", out],
        "report": ["report", str(tmp_path), "--page", str(tmp_path)],
        "code": ["code", "--classes", "3", "--dim", "2", "--out", f"{out}/code.safetensors"],
    }[command]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_full_disk_is_a_sentence(features):
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "measure", features], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("condition", "code"), [("nc1/pinv>1e9", 0), pytest.param("nc1/pinv>1e-9", 1, marks=pytest.mark.slow)]
)
def test_a_closed_pipe_ends_the_output_and_not_the_command(condition, code, features, tmp_path):
    """Nobody reads; the run is written all the same, and the exit code is that of the finding."""
    words = [PROGRAM, "measure", features, "--out", str(tmp_path / "run"), "--fail-if", condition]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == code
    assert err == ("" if code == 0 else f"finding: {condition}\n")
    assert (tmp_path / "run" / "report.html").exists()


MODULE = """
import torch
model = torch.nn.Linear(3, 2)
def nothing(): return None
def number(): return 3
def three(): return model, 1, 2
def alone(): return model
def fails(): raise RuntimeError("no such luck")
def leaves(): raise SystemExit(0)
def needs(argument): return model
value = 5
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mine:nothing", "got NoneType"),
        ("mine:number", "got int"),
        ("mine:three", "got (Linear, int, int)"),
        ("mine:alone", "expected mine:alone to return (model, loader)"),
        ("mine:fails", "mine:fails raised RuntimeError: no such luck"),
        ("mine:leaves", "mine:leaves raised SystemExit"),
        ("mine:needs", "mine:needs raised TypeError"),
        ("mine:value", "expected mine:value to be a function without arguments that returns (model, loader), got int"),
        (
            "mine:model",
            "expected mine:model to be a function without arguments that returns (model, loader), got Linear",
        ),
        ("mine:numbr", "did you mean 'number'?"),
        ("mine.py:number", "a module by its name"),
        ("broken:x", "the import of broken raised SyntaxError"),
        ("nowhere:x", "No module named 'nowhere'"),
    ],
)
def test_a_model_that_is_none_is_a_sentence(name, sentence, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("def x(:")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert main(["measure", "--model", name]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
