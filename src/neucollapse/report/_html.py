"""Fill a template: one HTML file with its style, its scripts and its data inside, allowed to load nothing else."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from ._text import capital, embed
from .figures import Figure


def fill(template: str, drawn: list[Figure], **names: Any) -> str:
    """The page of a template as text, with these figures and whatever else it names."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    loader = FunctionLoader(_asset)
    options: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    environment = Environment(autoescape=True, loader=loader, **options)
    environment.filters["capital"] = capital
    # Markup: our own assets, and JSON that embed() has made safe. Everything else is escaped.
    assets = {
        "style": _asset("style.css"),
        "plotly": _plotly(),
        "script": _asset("page.js"),
        "plots": embed(_plots(drawn)),
    }
    trusted = {name: Markup(text) for name, text in assets.items()}  # noqa: S704
    policy = _policy(assets["plotly"], assets["script"])
    return environment.get_template(template).render(policy=policy, **trusted, figures=_numbered(drawn), **names)


@cache
def _asset(name: str) -> str:
    return files("neucollapse.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def _policy(*scripts: str) -> str:
    """The content security policy: these scripts by hash and no other, no request of any kind.

    Plotly styles its elements inline, and turns a figure into a picture through data and blob addresses.
    """
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    allowed = f"script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _plots(drawn: list[Figure]) -> list[dict[str, Any]]:
    """The plots of all figures in order of the page; a plot is found by its place in this list."""
    return [{"data": panel.data, "layout": panel.layout} for figure in drawn for panel in figure.panels + figure.more]


def _numbered(drawn: list[Figure]) -> list[dict[str, Any]]:
    """The figures with the place of each panel in the list of plots."""
    places = iter(range(sum(len(figure.panels + figure.more) for figure in drawn)))
    return [
        {
            "figure": figure,
            "panels": [(next(places), panel) for panel in figure.panels],
            "more": [(next(places), panel) for panel in figure.more],
        }
        for figure in drawn
    ]
