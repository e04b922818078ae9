"""The files of benchmarks/results as tables: what was measured, where, and by which command."""

import ast
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def tables() -> str:
    """Every result file as a section; a file that cannot be read stops the build."""
    sections = [_section(path) for path in sorted((ROOT / "benchmarks" / "results").glob("*.json"))]
    return "\n".join(sections) if sections else "No results are stored yet: `make bench` writes them.\n"


def _section(path: Path) -> str:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    environment = content.pop("environment", None) or {}
    lists = {key: value for key, value in content.items() if _is_table(value)}
    rest = {key: value for key, value in content.items() if key not in lists and key not in ("schema", "command")}
    lines = [f"## {path.stem.replace('_', ' ').capitalize()}", "", _about(path.stem), ""]
    lines += _settings(rest)
    for key, rows in lists.items():
        lines += ([f"**{key}**", ""] if len(lists) > 1 else []) + _table(rows)
    return "\n".join([*lines, *_where(environment), ""])


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _about(stem: str) -> str:
    """The docstring of the script that wrote the file, without its usage lines, and its name."""
    # The script of the longest matching name: class_mean_features_digits is written by class_mean_features.
    scripts = [path for path in (ROOT / "benchmarks").glob("[a-z]*.py") if f"{stem}_".startswith(f"{path.stem}_")]
    if not scripts:
        return ""
    script = max(scripts, key=lambda path: len(path.stem))
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    prose = [part for part in text.split("\n\n") if not part.startswith(" ")]
    return "\n\n".join([*prose, f"Script: `benchmarks/{script.name}`."])


def _settings(rest: dict[str, Any]) -> list[str]:
    if not rest:
        return []
    return ["| setting | value |", "| --- | --- |", *(f"| {_name(key)} | {_value(rest[key])} |" for key in rest), ""]


def _table(rows: list[dict[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(map(_name, columns))} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(_value(row.get(column)) for column in columns)} |" for row in rows]
    return [*lines, ""]


def _where(environment: dict[str, Any]) -> list[str]:
    if not environment:
        return []
    packages = environment.get("packages") or {}
    facts = {key: value for key, value in environment.items() if key != "packages" and value is not None}
    words = [f"{_name(key)} {_value(value)}" for key, value in facts.items()]
    return [
        f"*Measured with: {', '.join([*words, *(f'{name} {version}' for name, version in packages.items())])}.*",
        "",
    ]


def _name(key: str) -> str:
    return key.replace("_", " ")


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return ", ".join(f"{_name(str(key))}: {_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return str(value).replace("|", "&#124;")
