"""The pages of losses and heads are made from the registries of these rooms: an entry a name, a row a loss."""

import importlib.util
import re
import types
from pathlib import Path

import pytest

from neucollapse import heads, losses
from neucollapse.losses._registry import LOSSES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pages() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("room_pages", ROOT / "docs/hooks/room_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("room", [losses, heads], ids=lambda room: room.__name__)
def test_every_public_name_has_a_reference_entry(room: types.ModuleType, pages: types.ModuleType) -> None:
    name = room.__name__.rpartition(".")[2]
    page = (ROOT / f"docs/api/{name}.md").read_text(encoding="utf-8")
    assert f"<!-- from: {name} reference -->" in page
    entries = set(re.findall(r"^::: [\w.]+\.(\w+)$", getattr(pages, f"{name}_reference")(), re.MULTILINE))
    assert set(room.__all__) - entries == {n for n in room.__all__ if f"`{n}`" in page and n.endswith("Margin")}


def test_every_loss_has_its_row_in_the_table(pages: types.ModuleType) -> None:
    table = pages.losses_table()
    rows = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert rows == {kind.makes for kind in LOSSES.values()} | {"SphericalLoss", "Uniformity"}
    assert "| scale 64.0, margin 0.5 | arXiv 1801.07698, equation 3 |" in table
