"""Fill a template: one HTML file with its style, its scripts and its data inside, allowed to load nothing else."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, cast

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
    panels = [panel for figure in drawn for panel in (*figure.panels, *figure.more)]
    environment.filters["place"] = cast(Any, panels.index)  # in the list of plots, where the page finds it
    # Markup: our own assets, and JSON that embed() has made safe. Everything else is escaped.
    assets = {
        "style": _asset("style.css"),
        "plotly": _plotly(),
        "script": _asset("page.js"),
        "plots": embed([{"data": panel.data, "layout": panel.layout} for panel in panels]),
    }
    trusted = {name: Markup(text) for name, text in assets.items()}  # noqa: S704
    policy = _policy(assets["plotly"], assets["script"])
    return environment.get_template(template).render(policy=policy, **trusted, figures=drawn, **names)


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
