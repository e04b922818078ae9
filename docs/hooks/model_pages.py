"""The table, the menu and, where none is written by hand, the page of the models of the theory, from their settings."""

import inspect
from pathlib import Path

from neucollapse.theory.settings import SETTINGS

PAGES = Path(__file__).resolve().parents[1] / "theory"


def table() -> str:
    """Which model answers which question."""
    rows = [f"| {kind.question} | [`{name}`]({name}.md) |" for name, kind in SETTINGS.items()]
    return "\n".join(["| question | model |", "| --- | --- |", *rows])


def nav() -> list[dict[str, str]]:
    """The pages of the models, for the menu."""
    pages = [{kind.title.partition(":")[0]: f"theory/{name}.md"} for name, kind in SETTINGS.items()]
    return [{"Models of collapse": "theory/index.md"}, *pages]


def pages() -> dict[str, str]:
    """Markdown of the models without a file, by path under docs: the docstrings of their settings and of their module."""
    missing = {name: kind for name, kind in SETTINGS.items() if not (PAGES / f"{name}.md").exists()}
    return {f"theory/{name}.md": _page(name) for name in missing}


def _page(name: str) -> str:
    kind = SETTINGS[name]
    says = (inspect.getdoc(kind) or "").partition("Attributes:")[0].strip()
    module = f"neucollapse.theory.{name.replace('-', '_')}.model"
    options = ["    options:", "      show_root_heading: false"]
    command = ["```bash", f"neucollapse simulate {name}", "```"]
    return "\n".join([f"# {kind.title}", "", says, "", *command, "", f"::: {module}", *options, ""])
