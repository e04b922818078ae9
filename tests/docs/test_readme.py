"""The Python blocks of README and tutorials run as they stand, one after another, on small real data."""

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader

import neucollapse as nc

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_blocks(page: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a page's blocks in one namespace; a traceback shows the page and the line in it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert blocks, f"{page} has no Python block left to run"
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], page, "exec"), names)
    return names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and one rank to be."""
    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


@pytest.fixture
def readers_own() -> dict[str, Any]:
    """What a reader of README brings: a model (untrained will do) and two loaders."""
    digits = nc.data.load("digits", flat=True)
    torch.manual_seed(0)
    return {
        "nc": nc,
        "model": nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).eval(),
        "train_loader": DataLoader(digits.train, batch_size=256),
        "test_loader": DataLoader(digits.test, batch_size=256),
    }


def test_readme(folder: Path, readers_own: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    inputs, labels = next(iter(readers_own["train_loader"]))
    save_file({"features": inputs, "labels": labels}, "features.safetensors")
    names = run_blocks("README.md", readers_own)
    assert names["result"]["nc1/trace_ratio"] > 0
    assert (folder / "runs/mine/report.html").stat().st_size > 0
    assert "K = 10 classes in d = 16 dimensions" in capsys.readouterr().out


def test_index(folder: Path, readers_own: dict[str, Any]) -> None:
    run_blocks("docs/index.md", readers_own)


@pytest.mark.filterwarnings("ignore:the model was in train mode")  # the tutorial says that this is warned about
def test_getting_started(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_blocks("docs/getting-started.md", {})
    output = capsys.readouterr().out
    assert "classifier          4: Linear" in output
    assert names["page"] == Path("runs/first/report.html")
    # The last block measures as rank 0 of 1: the same numbers as without ranks.
    alone = nc.measure(names["model"], names["train_loader"], progress=False)
    assert names["result"]["nc1/trace_ratio"] == pytest.approx(alone["nc1/trace_ratio"], rel=1e-6)
    assert not torch.distributed.is_initialized()
    assert os.environ["WORLD_SIZE"] == "1"


def test_beyond_simplex(capsys: pytest.CaptureFixture[str]) -> None:
    run_blocks("docs/beyond-simplex.md", {})
    assert "record" in capsys.readouterr().out


@pytest.mark.slow
def test_target_codes(capsys: pytest.CaptureFixture[str]) -> None:
    run_blocks("docs/target-codes.md", {})
    said = capsys.readouterr().out
    assert "10 3 0.595606 record" in said
    assert "No code does better: it meets the bound" in said
    assert "0.75 31 7" in said


def test_the_table_of_target_codes_holds() -> None:
    geometry = nc.geometry
    text = (ROOT / "docs/target-codes.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(softmax|energy|grassmannian)`[^|]*((?:\| (?:\d\.\d{4}|–) ){4})\|$", text, re.MULTILINE)
    assert len(table) == 3
    for kind, numbers in table:
        points = geometry.best_code(7, 3, kind, starts=8, progress=False).points
        found = geometry.one_vs_rest(points).margin, geometry.max_cosine(points)
        found += geometry.coherence(points), geometry.mean_energy(points, 1)
        for value, printed in zip(found, re.findall(r"\d\.\d{4}|–", numbers), strict=True):
            assert printed in (f"{value:.4f}", "–"), kind  # lines have no signs: only their coherence is theirs


def test_a_broken_block_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text("text\n\n```python\nraise ValueError('stale')\n```\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    with pytest.raises(ValueError, match="stale") as caught:
        run_blocks("page.md", {})
    assert caught.traceback[-1].lineno == 3
