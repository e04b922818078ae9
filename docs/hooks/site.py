"""What MkDocs runs: pages and tables that come from the code, the tests and the stored results, never from memory."""

import re
from pathlib import Path
from typing import Any

import benchmark_page
import metric_pages
import model_pages
import room_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
_PROMISE = re.compile(r"(?<![\w./-])P(\d{1,2})\b(?![(\[=]|\s*=)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of metrics and of models into the menu."""
    menus = {"Metrics": metric_pages.nav(), "Theory": model_pages.nav()}
    config.nav = [
        {name: menus[name] for name in item} if isinstance(item, dict) and menus.keys() >= item.keys() else item
        for item in config.nav or []
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that have no file under docs."""
    pages = metric_pages.pages() | model_pages.pages()
    pages["changelog.md"] = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    pages["contributing.md"] = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the places marked ``<!-- from: NAME -->``; an unknown name stops the build."""
    return re.sub(r"<!-- from: ([\w ]+) -->", lambda match: _SOURCES[match[1]](), markdown)


def _thresholds() -> str:
    from neucollapse.metrics import _verdict as v

    rows = [
        ("Within classes", "`nc1/trace_ratio`", "at most", v._WITHIN),
        ("Between classes, K ≤ d+1", "`nc2/etf_distance`", "at most", v._SIMPLEX),
        ("Between classes, K > d+1", "`gnc2/margin_ratio`", "at least", v._MARGIN),
        (
            "Between classes, K > 2d",
            "mean angle to the best code, over that between its closest two",
            "at most",
            v._CODE[:1],
        ),
        ("Between classes, K > 2d", "largest such angle, over that between its closest two", "at most", v._CODE[1:]),
        ("Classifier and means", "`nc3/cosine` (K ≤ d+1) or `gnc3/cosine`", "at most", v._DUALITY),
        ("Decisions", "`nc4/mismatch`", "at most", v._DECISIONS),
        ("Test samples", "`test_collapse/strong`", "at most", v._WITHIN),
    ]
    lines = ["| sentence | number | good: | fair: |", "| --- | --- | --- | --- |"]
    for what, key, word, limits in rows:
        good, fair = (*(f"{word} {limit:g}" for limit in limits), "larger")[:2]
        lines.append(f"| {what} | {key} | {good} | {fair} |")
    return "\n".join(lines)


def _promises() -> str:
    """Each promise, and the tests that name it."""
    named: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number in sorted({int(found) for found in _PROMISE.findall(path.read_text(encoding="utf-8"))}):
            named.setdefault(number, []).append(path.relative_to(ROOT).as_posix())
    lines = ["| promise | tests that name it |", "| --- | --- |"]
    for number, title in _TITLES.items():
        where = "<br>".join(f"`{path}`" for path in named.get(number, [])) or "none yet"
        lines.append(f"| [P{number}](#p{number}) {title} | {where} |")
    return "\n".join(lines)


_TITLES = {
    1: "value", 2: "streaming = batch", 3: "invariances", 4: "known points", 5: "no NaN surprise",
    6: "degenerate input", 7: "dtypes", 8: "no side effects", 9: "model honesty", 10: "determinism",
    11: "solvers tell the truth", 12: "gradients", 13: "distributed", 14: "files", 15: "crash safety",
    16: "reports", 17: "stable names and schemas",
}  # fmt: skip

_SOURCES = {
    "benchmarks": benchmark_page.tables,
    "heads reference": room_pages.heads_reference,
    "losses reference": room_pages.losses_reference,
    "losses table": room_pages.losses_table,
    "models table": model_pages.table,
    "promises": _promises,
    "thresholds": _thresholds,
}
