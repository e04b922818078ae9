"""One page a metric module, written from the registry at build time, so that no page can say what the code does not."""

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType

from neucollapse._citations import bibtex
from neucollapse.metrics import PRESETS, REGISTRY, Metric

_HEADINGS = {
    "nc0": "NC0: the sum of classifier rows",
    "nc1": "NC1: within classes",
    "cdnv": "NC1: pairs of classes (CDNV)",
    "nc2": "NC2: towards a simplex",
    "nc3": "NC3: self-duality",
    "nc4": "NC4, accuracy, margins, test collapse",
    "nc5": "NC5: out of distribution",
    "bias": "Bias",
    "gnc": "GNC1-3: any K and d",
    "uniformity": "Uniformity energies",
    "rank": "Rank",
    "mse": "Squared loss",
}


def by_module() -> dict[str, list[Metric]]:
    """Metrics by the module that defines them; ``@weight`` forms stand with their plain form."""
    pages: dict[str, list[Metric]] = {}
    for metric in REGISTRY.values():
        if not metric.name.endswith("@weight"):
            pages.setdefault(_module(metric).__name__.rpartition(".")[2], []).append(metric)
    return pages


def heading(name: str) -> str:
    """Title of a module's page."""
    return _HEADINGS.get(name, name.upper())


def pages() -> dict[str, str]:
    """Markdown of every page, by path under docs."""
    written = {"metrics/index.md": _index(), "metrics/presets.md": _presets(), "metrics/references.md": _references()}
    return written | {f"metrics/{name}.md": _page(name, metrics) for name, metrics in by_module().items()}


def nav() -> list[dict[str, str]]:
    """The metric pages, for the menu."""
    modules = [{heading(name): f"metrics/{name}.md"} for name in by_module()]
    first = [{"All metrics": "metrics/index.md"}]
    return [*first, *modules, {"Presets": "metrics/presets.md"}, {"Papers": "metrics/references.md"}]


def _module(metric: Metric) -> ModuleType:
    return sys.modules[metric.compute.__module__]


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def _cell(text: str) -> str:
    return text.replace("|", "&#124;")


def _index() -> str:
    lines = [
        "# All metrics",
        "",
        "Every number has a flat key, `family/variant`. A check in the last column means that the same quantity is also "
        "taken on the classifier rows, under the key with `@weight` at its end; on an inner layer the key ends in "
        "`@layer:NAME`. This page is written from the registry of the package "
        "([`neucollapse.metrics.REGISTRY`](../api/metrics.md)) each time the documentation is built.",
    ]
    for name, metrics in by_module().items():
        lines += ["", f"## [{heading(name)}]({name}.md)", ""]
        lines += ["| key | what | at collapse | optimum shown | `@weight` |", "| --- | --- | --- | --- | --- |"]
        for metric in metrics:
            link = f"[`{metric.name}`]({name}.md#{_anchor(metric.name)})"
            best = "yes" if metric.optimum is not None else ""
            weight = "✓" if f"{metric.name}@weight" in REGISTRY else ""
            lines.append(f"| {link} | {_cell(metric.title)} | {_cell(metric.at_collapse)} | {best} | {weight} |")
    return "\n".join(lines) + "\n"


def _page(name: str, metrics: list[Metric]) -> str:
    module = _module(metrics[0])
    lines = [f"# {heading(name)}", "", inspect.cleandoc(module.__doc__ or ""), ""]
    lines += [line for metric in metrics for line in _entry(metric)]
    names = list(_functions(module))
    if names:
        lines += ["## Functions", "", "The formulas as functions, for use on their own.", ""]
    for function in names:
        lines += [f"::: neucollapse.metrics.{name}.{function}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines) + "\n"


def _entry(metric: Metric) -> Iterator[str]:
    yield from (f"## `{metric.name}` {{ #{_anchor(metric.name)} }}", "", f"*{metric.title}*", "")
    yield from ("```text", metric.symbol, "```", "", _linked(metric.definition), "")
    facts = {"range": _cell(str(metric.range)), "at collapse": _cell(_linked(metric.at_collapse))}
    if metric.optimum is not None:
        facts["optimum"] = "shown beside the value"
    if f"{metric.name}@weight" in REGISTRY:
        facts["on the classifier"] = f"`{metric.name}@weight`"
    using = [key for key, names in PRESETS.items() if {metric.name, f"{metric.name}@weight"} & set(names)]
    if using:
        facts["presets"] = ", ".join(f"[`{key}`](presets.md#{key})" for key in using)
    if metric.citation:
        facts["paper"] = f"[{metric.citation}](references.md#{metric.citation})"
    yield from (f"| {' | '.join(facts)} |", f"|{' --- |' * len(facts)}", f"| {' | '.join(facts.values())} |", "")


def _linked(text: str) -> str:
    return re.sub(r"\b(g?nc\d/\w+)", r"`\1`", text)


def _functions(module: ModuleType) -> Iterator[str]:
    for name, item in vars(module).items():
        own = getattr(item, "__module__", None) == module.__name__
        if own and not name.startswith("_") and (inspect.isfunction(item) or inspect.isclass(item)):
            yield name


def _presets() -> str:
    lines = [
        "# Presets",
        "",
        "A preset is what one paper reports, in that paper's own choices: "
        '`measure(model, loader, preset="papyan2020")` computes these keys and no others.',
    ]
    for key, names in PRESETS.items():
        lines += ["", f"## `{key}` {{ #{key} }}", "", f"Paper: [{key}](references.md#{key})", ""]
        for name in names:
            plain = name.removesuffix("@weight")
            page = _module(REGISTRY[plain] if plain in REGISTRY else REGISTRY[name]).__name__.rpartition(".")[2]
            lines.append(f"- [`{name}`]({page}.md#{_anchor(plain)}): {REGISTRY[name].title}")
    return "\n".join(lines) + "\n"


def _references() -> str:
    keys = dict.fromkeys(metric.citation for metric in REGISTRY.values() if metric.citation)
    keys |= dict.fromkeys(PRESETS)
    lines = ["# Papers", "", "Entries of the papers that metrics and presets follow, ready to cite.", ""]
    for key in sorted(keys):
        lines += [f"## {key} {{ #{key} }}", "", "```bibtex", bibtex([key]), "```", ""]
    return "\n".join(lines) + "\n"
