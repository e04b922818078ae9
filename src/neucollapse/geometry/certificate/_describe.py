"""A certificate in words."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._certify import Certificate

_WORDS = {"spherical": "largest cosine", "grassmannian": "coherence", "softmax": "margin"}


def sentences(c: "Certificate") -> str:
    """What the certificate says, most important first."""
    said = [_value(c), _verdict(c), _contacts(c)]
    if c.margin is not None and c.kind != "softmax":
        said.append(f"Its margin is {c.margin:.12g}, and 1 - s differs from it by {c.margin_identity:.1e}.")
    return " ".join([*(text for text in said if text), *c.skipped])


def _value(c: "Certificate") -> str:
    if c.kind == "softmax":
        rho = "not worked out, at least 1 - s" if c.margin is None else f"{c.margin:.12g}"
        margin = f"The margin of these {c.K:,} points in {c.d:,} dimensions is {rho}"
        return f"{margin}; their largest cosine s is {c.max_cosine:.12g}."
    return f"The {_WORDS[c.kind]} of these {c.K:,} points in {c.d:,} dimensions is {c.max_cosine:.12g}."


def _verdict(c: "Certificate") -> str:
    if c.is_optimal and c.bound is not None:
        return f"No code does better: it meets the bound {c.bound.value:.12g} ({c.bound.name})."
    beside = "" if c.bound is None or c.relative_gap is None else _beside(c)
    if c.kkt_residual is None:
        return beside
    residual = f"(residual {c.kkt_residual:.1e})"
    if c.is_stationary is None:
        return beside
    if not c.is_stationary:
        out = f"Its contacts do not balance {residual}: a small motion lowers the largest cosine, or they are not yet exact."
        return f"{out} {beside}".strip()
    if c.is_local:
        local = (
            f"It is a strict local optimum of the {_cosine(c)}: its contacts balance {residual} and hold it rigidly."
        )
    else:
        local = f"Its contacts balance {residual}; whether it is a local optimum of the {_cosine(c)} stays open."
    return f"{local} {beside}".strip()


def _beside(c: "Certificate") -> str:
    assert c.bound is not None  # noqa: S101
    side = "exceeds" if c.kind == "softmax" else "falls below"
    return f"No code {side} {c.bound.value:.12g} ({c.bound.name}); the relative gap is {c.relative_gap:.3g}."


def _cosine(c: "Certificate") -> str:
    return "coherence" if c.kind == "grassmannian" else "largest cosine"


def _contacts(c: "Certificate") -> str:
    idle = []
    if len(c.rattlers):
        idle.append(f"{len(c.rattlers):,} without a contact (rattlers)")
    if len(c.loose):
        idle.append(f"{len(c.loose):,} whose contacts carry no stress")
    points = f"; among its points are {' and '.join(idle)}" if idle else ""
    return f"It has {c.contact_count:,} contact{'s' if c.contact_count > 1 else ''}{points}."
