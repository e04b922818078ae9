"""The table, the menu and the pages of the models of the theory are made from their settings: none is forgotten."""

import importlib.util
import types
from pathlib import Path

import pytest

from neucollapse.theory.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hook() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("model_pages", ROOT / "docs/hooks/model_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SETTINGS)
def test_every_model_has_a_row_a_place_in_the_menu_and_a_page(name: str, hook: types.ModuleType) -> None:
    assert f"| {SETTINGS[name].question} | [`{name}`]({name}.md) |" in hook.table()
    path = f"theory/{name}.md"
    assert path in {page for entry in hook.nav() for page in entry.values()}
    written = ROOT / "docs" / path
    text = written.read_text(encoding="utf-8") if written.exists() else hook.pages()[path]
    assert text.startswith("# ")
    assert f"neucollapse simulate {name}" in text


def test_the_index_shows_the_table() -> None:
    assert "<!-- from: models table -->" in (ROOT / "docs/theory/index.md").read_text(encoding="utf-8")
