"""The reference of losses and heads, and the table of losses, from the registries of these rooms at build time."""

import inspect
from types import ModuleType

from neucollapse import heads, losses
from neucollapse.heads._registry import EXPORTS as HEADS
from neucollapse.losses._registry import EXPORTS as LOSSES

# Of every loss, or no settings: sizes and tensors.
_PASSED_OVER = ("dim", "num_classes", "code", "frame", "options", "reduction", "ignore_index", "class_weights")


def losses_reference() -> str:
    """An entry for every name that the room of losses exports."""
    return _reference(losses, LOSSES)


def heads_reference() -> str:
    """An entry for every name that the room of heads exports."""
    return _reference(heads, HEADS)


def losses_table() -> str:
    """A row for each module of losses: its formula, what it couples, its settings, its source."""
    lines = ["| loss | of one sample | couples | settings and defaults | source |", "| --- | --- | --- | --- | --- |"]
    names = [name for section in LOSSES.values() for each in section.values() for name in each.split()]
    for kind in map(losses.__getattr__, names):
        if hasattr(kind, "formula"):
            cells = (f"`{kind.__name__}`", kind.formula, kind.couples, _settings(kind), kind.source)
            lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def _settings(kind: type) -> str:
    parameters = inspect.signature(kind).parameters.values()
    return (
        ", ".join(
            f"{p.name} {p.default}" for p in parameters if p.name not in _PASSED_OVER and repr(p.default) != "..."
        )
        or "none"
    )


def _reference(room: ModuleType, sections: dict[str, dict[str, str]]) -> str:
    lines = []
    for title, modules in sections.items():
        lines += [f"## {title}", ""]
        paths = [f"{room.__name__}.{module}" for module in modules]
        for path, names in zip(paths, modules.values(), strict=True):
            own = [
                name for name in names.split() if getattr(room, name).__module__ == path
            ]  # others are lent by a room below
            for name in own:
                lines += [f"::: {path}.{name}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)
