"""What the ``code`` commands share: texts to numbers, the facts of a code, how they are printed, saved and kept."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .._errors import InputError
from ._output import print_json

if TYPE_CHECKING:
    from torch import Tensor

    from ..geometry.certificate import Certificate

Kind = Literal["softmax", "spherical", "grassmannian", "energy", "determinant"]
Certified = Literal["softmax", "spherical", "grassmannian"]
SCHEMA = "neucollapse/code/1"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 1000 * 3600.0  # seconds of a budget
_MARGINS_UP_TO = 2000  # points
_ROUNDING = 1e-12
_NAMES = {
    "softmax": ("margin", "least distance of a class to the hull of all others"),
    "spherical": ("largest cosine", "of the closest pair; small is good"),
    "grassmannian": ("coherence", "largest absolute cosine of a pair; small is good"),
    "energy": ("mean energy", "mean of ‖w_i - w_j‖⁻ˢ over pairs; small is good"),
    "determinant": ("mean log eigenvalue", "of the centred Gram matrix; large is good"),
}


def seconds(text: str) -> float:
    """A time such as 60, 60s, 2m or 1h, in seconds.

    Raises:
        InputError: if it is none, or negative.
    """
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "s")
    plain = number.isascii() and number.replace(".", "", 1).isdigit()
    if not plain or not float(number) * _UNITS[unit] <= _LONGEST:
        raise InputError(
            "expected --budget as a time such as 60, 60s, 2m or 1h, at most 1000h, or 0 for no search, "
            f"got {text if len(text) < 40 else text[:40] + '...'!r}"
        )
    return float(number) * _UNITS[unit]


def span(text: str, option: str) -> range:
    """A number or a range such as 3-8, both ends included.

    Raises:
        InputError: if it is neither, starts below 1 or runs backwards.
    """
    low, dash, high = text.partition("-")
    ends = [low, high if dash else low]
    if not all(end.isascii() and end.isdigit() for end in ends) or not 1 <= int(ends[0]) <= int(ends[1]):
        raise InputError(f"expected {option} as a number or a range such as 3-8, got {text!r}")
    return range(int(ends[0]), int(ends[1]) + 1)


@dataclass(frozen=True)
class Facts:
    """All that is known of a code, as plain numbers and sentences. None where something was not worked out.

    Attributes:
        K: number of points (classes).
        d: dimension.
        kind: what is optimised.
        value: of that, at this code.
        max_cosine: the largest cosine of a pair; of lines the largest absolute one.
        margin: the smallest one-vs-rest distance; None for lines and for more than 2,000 points.
        bound: what no code does better than; for energies the best known value.
        bound_name: whose it is.
        relative_gap: between the value and the bound; 0 is met.
        certificate: numbers of the certificate, {} without one.
        words: the certificate in sentences.
    """

    K: int
    d: int
    kind: str
    value: float
    max_cosine: float
    margin: float | None
    bound: float | None
    bound_name: str
    relative_gap: float | None
    certificate: dict[str, Any]
    words: str

    @property
    def angle(self) -> float:
        """The smallest angle between two points, or two lines, in degrees."""
        from math import acos, degrees

        return degrees(acos(max(-1.0, min(1.0, self.max_cosine))))

    def rows(self) -> list[tuple[str, str, str]]:
        """What the table prints: a name, a number, what it means."""
        name, meaning = _NAMES[self.kind]
        rows = [(name, _digits(self.value), meaning)]
        if self.kind not in ("spherical", "grassmannian"):
            rows.append(("largest cosine", _digits(self.max_cosine), f"closest pair, {self.angle:.6g}° apart"))
        else:
            rows.append(("smallest angle", f"{self.angle:.10g}°", "between two lines" if self.lines else "of a pair"))
        if self.kind != "softmax" and self.margin is not None:
            rows.append(("margin", _digits(self.margin), _NAMES["softmax"][1]))
        if self.bound is not None:
            title = "best known" if self.kind == "energy" else "best bound"
            rows.append((title, _digits(self.bound), f"on the {name}: {self.bound_name}"))
        if self.relative_gap is not None:
            rows.append(
                (
                    "relative gap",
                    "0" if abs(self.relative_gap) < _ROUNDING else f"{self.relative_gap:.3g}",
                    "0 where the bound is met",
                )
            )
        return rows

    @property
    def lines(self) -> bool:
        """Whether the absolute cosine counts."""
        return self.kind == "grassmannian"

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**vars(self), "angle_degrees": self.angle}


def _digits(value: float) -> str:
    """Twelve digits, and 0 for what rounding leaves of it."""
    return "0" if abs(value) < 1e-15 else f"{value:.12g}"


def facts(
    points: "Tensor", kind: str, value: float, certificate: "Certificate | None" = None, *, s: float = 1.0
) -> Facts:
    """The facts of a code; ``s`` is the exponent of the energy."""
    from ..geometry import coherence, max_cosine, one_vs_rest

    K, d = points.shape
    lines = kind == "grassmannian"
    if certificate is not None:
        cosine, margin = certificate.max_cosine, certificate.margin
    else:
        cosine = coherence(points) if lines else max_cosine(points)
        margin = one_vs_rest(points).margin if K <= _MARGINS_UP_TO and not lines else None
    bound, name, gap = _bound(K, d, kind, value, certificate, s)
    numbers, words = _numbers(certificate), "" if certificate is None else certificate.describe()
    if kind == "energy" and K <= _MARGINS_UP_TO:
        numbers, words = _energy_certificate(points, s)
    return Facts(K, d, kind, value, cosine, margin, bound, name, gap, numbers, words)


def _energy_certificate(points: "Tensor", s: float) -> tuple[dict[str, Any], str]:
    """The gradient and curvature of the energy, as numbers and as a sentence."""
    from ..geometry.certificate import certify_energy

    c = certify_energy(points, s)
    numbers = {"local_optimum": c.is_local, "gradient": c.gradient, "smallest_curvature": c.smallest_curvature}
    gradient = f"the gradient of the energy is {c.gradient:.1e} of the forces that balance in it"
    if c.is_local:
        return (
            numbers,
            f"It is a strict local minimum up to rotations: {gradient}, and every other motion costs energy.",
        )
    if c.is_local is None:
        return numbers, f"Whether it is a local minimum stays open for so many points; {gradient}."
    return (
        numbers,
        f"It is not shown to be a strict local minimum: {gradient}, or a motion costs nothing to second order.",
    )


def _bound(
    K: int, d: int, kind: str, value: float, certificate: "Certificate | None", s: float
) -> tuple[float | None, str, float | None]:
    import math

    if kind == "energy":
        from ..geometry import best_known_energy

        known = best_known_energy(K, d, s)
        if known.value is None:
            return None, known.source, None
        return known.value, known.source, (value - known.value) / (abs(known.value) or 1.0)
    if kind == "determinant":
        best = math.log(K / min(K - 1, d))
        return best, "mean of logarithms, at most the logarithm of the mean", best - value
    if certificate is not None and certificate.bound is not None:
        return certificate.bound.value, certificate.bound.name, certificate.relative_gap
    from ..geometry.bounds import best_bound

    bound = best_bound(K, d, kind)
    better = bound.value - value if kind == "softmax" else value - bound.value
    room = bound.value if kind == "softmax" else 1 - bound.value
    return bound.value, bound.name, better / room if room > 0 else 0.0


def _numbers(certificate: "Certificate | None") -> dict[str, Any]:
    if certificate is None:
        return {}
    c = certificate
    return {
        "optimal": c.is_optimal,
        "stationary": c.is_stationary,
        "local_optimum": c.is_local,
        "kkt_residual": c.kkt_residual,
        "rigid": c.rigid,
        "stress_rank": c.stress_rank,
        "contacts": c.contact_count,
        "contact_tolerance": c.tolerance,
        "rattlers": len(c.rattlers),
        "loose": len(c.loose),
        "margin_identity": c.margin_identity,
    }


def show(code: Facts, title: str, more: list[tuple[str, str]]) -> None:
    """Print the table of a code, then the certificate in words."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", title_style="bold", box=SIMPLE, show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, number, meaning in code.rows():
        table.add_row(name, number, escape(meaning))
    console = Console(highlight=False)
    console.print(table)
    for name, text in more:
        console.print(f"[dim]{name}:[/dim] {escape(text)}")
    if code.words:
        console.print(f"[dim]certificate:[/dim] {escape(code.words)}")


def show_json(code: Facts, **more: Any) -> None:
    """Print the same as JSON."""
    print_json({"schema": SCHEMA, **code.to_dict(), **more})


def title_of(kind: str, K: int, d: int) -> str:
    """A heading for a code."""
    what = {"grassmannian": "Grassmannian frame", "energy": "Minimum energy code", "determinant": "Tight frame"}
    rows = "lines" if kind == "grassmannian" else "classes"
    return f"{what.get(kind, f'{kind.capitalize()} code')}: K = {K:,} {rows} in d = {d:,} dimensions"


def check_target(path: Path | None, option: str, suffix: str) -> None:
    """Refuse, before any long search, a path that cannot be written afterwards."""
    if path is None:
        return
    if path.is_dir() or path.suffix.lower() != suffix:
        raise InputError(f"expected {option} as a file ending in {suffix}, got {str(path)!r}")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise InputError(f"cannot write {path}: {folder} is not a folder")


def save_code(path: Path, points: "Tensor", code: Facts, **more: Any) -> None:
    """Write the points as ``weight`` (K, d), float64, with all facts as metadata."""
    from .._files import save_tensors

    with writing(path):
        save_tensors(path, {"weight": points}, schema=SCHEMA, metadata={**code.to_dict(), **more})


class writing:  # noqa: N801 - a context manager that reads like a word
    """A failure to write, as one sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Say which path could not be written and why."""
        if isinstance(error, OSError):
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from None


def check_atlas(path: Path | None) -> None:
    """Refuse, before any long search, a file to add to that is there and is no atlas."""
    if path is not None and path.exists():
        from ..geometry import Atlas

        Atlas.load(path)


def keep(path: Path, points: "Tensor", kind: str, source: str) -> str:
    """Add a code to the atlas file if it beats what is there by now; a sentence that says what happened."""
    from .._lock import locked
    from ..geometry import Atlas, Entry

    K, d = points.shape
    entry = Entry.of(points, source, kind="lines" if kind == "grassmannian" else "code")
    with writing(path), locked(path):
        atlas = Atlas.load(path) if path.exists() else Atlas()
        held = atlas.get(K, d, entry.kind)
        if not atlas.add(entry):
            return f"{path} holds a code of this size that is at least as good: nothing was added."
        atlas.save(path)
    return f"Added to {path}{'' if held is None else ', in place of a worse code'}."


def refuse_for_atlas(kind: str) -> None:
    """An atlas ranks codes by margin and cosine: energies have no place in it."""
    if kind in ("energy", "determinant"):
        raise InputError(f"expected --kind softmax, spherical or grassmannian with --save-to-atlas, got {kind!r}")


def say(text: str, *, quiet: bool) -> None:
    """A sentence on standard output, or on standard error where that holds JSON alone."""
    (sys.stderr if quiet else sys.stdout).write(f"{text}\n")
