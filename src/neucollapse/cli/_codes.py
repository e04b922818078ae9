"""What the ``code`` commands share: texts to numbers, the facts of a code, how they are printed, saved and kept."""

import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import asdict

from .._errors import InputError
from .._schema import Code
from ._output import print_json, print_table

if TYPE_CHECKING:
    from torch import Tensor

    from ..geometry.certificate import Certificate

Kind = Literal["softmax", "spherical", "grassmannian", "energy", "determinant"]
Certified = Literal["softmax", "spherical", "grassmannian"]
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 1000 * 3600.0  # seconds of a budget
_MARGINS_UP_TO = 2000  # points
_ROUNDING = 1e-12
# What is optimised, in words; and how a heading calls such a code.
_NAMES = {
    "softmax": ("margin", "least distance of a class to the hull of all others", "Softmax code"),
    "spherical": ("largest cosine", "of the closest pair; small is good", "Spherical code"),
    "grassmannian": ("coherence", "largest absolute cosine of a pair; small is good", "Grassmannian frame"),
    "energy": ("mean energy", "mean of ‖w_i - w_j‖⁻ˢ over pairs; small is good", "Minimum energy code"),
    "determinant": ("mean log eigenvalue", "of the centred Gram matrix; large is good", "Tight frame"),
}
# What a file and JSON say of a certificate, and its attribute.
_CERTIFIED = {
    "optimal": "is_optimal", "stationary": "is_stationary", "local_optimum": "is_local", "kkt_residual": "kkt_residual",
    "rigid": "rigid", "stress_rank": "stress_rank", "contacts": "contact_count", "contact_tolerance": "tolerance",
    "margin_identity": "margin_identity",
}  # fmt: skip


def seconds(text: str) -> float:
    """A time such as 60, 60s, 2m or 1h, in seconds; ``InputError`` if it is none."""
    parts = re.fullmatch(r"(\d+\.?\d*|\.\d+)([smh]?)", text, re.ASCII)
    time = float(parts[1]) * _UNITS[parts[2]] if parts else math.inf
    if time > _LONGEST:
        raise InputError(
            "expected --budget as a time such as 60, 60s, 2m or 1h, at most 1000h, or 0 for no search, "
            f"got {text if len(text) < 40 else text[:40] + '...'!r}"
        )
    return time


def span(text: str, option: str) -> range:
    """A number or a range such as 3-8, both ends included; ``InputError`` if it is neither, starts below 1 or runs backwards."""
    parts = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", text, re.ASCII)
    low, high = (int(parts[1]), int(parts[2] or parts[1])) if parts else (0, 0)
    if not 1 <= low <= high:
        raise InputError(f"expected {option} as a number or a range such as 3-8, got {text!r:.60}")
    return range(low, high + 1)


class Facts(Code, frozen=True):
    """All that is known of a code, as its file and `--json` have it, and as a table."""

    @property
    def angle(self) -> float:
        """The smallest angle between two points, or two lines, in degrees."""
        return math.degrees(math.acos(max(-1.0, min(1.0, self.max_cosine))))

    @property
    def lines(self) -> bool:
        """Whether the absolute cosine counts."""
        return self.kind == "grassmannian"

    @property
    def title(self) -> str:
        """A heading."""
        rows = "lines" if self.lines else "classes"
        return f"{_NAMES[self.kind][2]}: K = {self.K:,} {rows} in d = {self.d:,} dimensions"

    def rows(self) -> list[tuple[str, str, str]]:
        """What the table prints: a name, a number, what it means."""
        name, meaning, _ = _NAMES[self.kind]
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
            gap = "0" if abs(self.relative_gap) < _ROUNDING else f"{self.relative_gap:.3g}"
            rows.append(("relative gap", gap, "0 where the bound is met"))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**asdict(self), "angle_degrees": self.angle}

    def show(self, title: str, more: Iterable[tuple[str, str]]) -> None:
        """Print the table, other facts, then the certificate in words."""
        print_table(("", "value", ""), self.rows(), numbers=("value",), title=title, header=False)
        certificate = [("certificate", self.words)] if self.words else []
        sys.stdout.write("".join(f"{name}: {text}\n" for name, text in (*more, *certificate)))

    def show_json(self, **more: Any) -> None:
        """Print the same as JSON."""
        print_json({"schema": Code.SCHEMA, **self.to_dict(), **more})

    def save(self, path: Path, points: "Tensor", **more: Any) -> None:
        """Write the points as ``weight`` (K, d), float64, with all facts as metadata."""
        from .._files import save_tensors

        save_tensors(path, {"weight": points}, schema=Code.SCHEMA, metadata={**self.to_dict(), **more})


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
    bound = _bound(K, d, kind, value, certificate, s)
    if kind == "energy" and K <= _MARGINS_UP_TO:
        proved = _energy_certificate(points, s)
    else:
        proved = ({}, "") if certificate is None else (_numbers(certificate), certificate.describe())
    return Facts(K, d, kind, value, cosine, margin, *bound, *proved)


def _numbers(certificate: "Certificate") -> dict[str, Any]:
    numbers = {name: getattr(certificate, attribute) for name, attribute in _CERTIFIED.items()}
    return {**numbers, "rattlers": len(certificate.rattlers), "loose": len(certificate.loose)}


def _energy_certificate(points: "Tensor", s: float) -> tuple[dict[str, Any], str]:
    """The gradient and curvature of the energy, as numbers and as a sentence."""
    from ..geometry.certificate import certify_energy

    c = certify_energy(points, s)
    numbers = {"local_optimum": c.is_local, "gradient": c.gradient, "smallest_curvature": c.smallest_curvature}
    gradient = f"the gradient of the energy is {c.gradient:.1e} of the forces that balance in it"
    words = {
        True: f"It is a strict local minimum up to rotations: {gradient}, and every other motion costs energy.",
        None: f"Whether it is a local minimum stays open for so many points; {gradient}.",
        False: f"It is not shown to be a strict local minimum: {gradient}, or a motion costs nothing to second order.",
    }
    return numbers, words[c.is_local]


def _bound(
    K: int, d: int, kind: str, value: float, certificate: "Certificate | None", s: float
) -> tuple[float | None, str, float | None]:
    """The bound, whose it is, and the relative gap."""
    if kind == "energy":
        from ..geometry import best_known_energy

        known = best_known_energy(K, d, s)
        gap = None if known.value is None else (value - known.value) / (abs(known.value) or 1.0)
        return known.value, known.source, gap
    if kind == "determinant":
        best = math.log(K / min(K - 1, d))
        return best, "mean of logarithms, at most the logarithm of the mean", best - value
    if certificate is not None and certificate.bound is not None:
        return certificate.bound.value, certificate.bound.name, certificate.relative_gap
    from ..geometry.bounds import best_bound

    bound = best_bound(K, d, kind)
    room = bound.value if kind == "softmax" else 1 - bound.value
    better = bound.value - value if kind == "softmax" else value - bound.value
    return bound.value, bound.name, better / room if room > 0 else 0.0


def check_atlas(path: Path | None, kind: str) -> None:
    """Refuse, before any long search, a file to add to that is there and is no atlas, and a code that no atlas ranks."""
    if path is None:
        return
    if kind in ("energy", "determinant"):
        raise InputError(f"expected --kind softmax, spherical or grassmannian with --save-to-atlas, got {kind!r}")
    if path.exists():
        from ..geometry import Atlas

        Atlas.load(path)


def keep(path: Path, points: "Tensor", kind: str, source: str) -> str:
    """Add a code to the atlas file if it beats what is there by now; a sentence that says what happened."""
    from .._lock import locked
    from ..geometry import Atlas, Entry

    K, d = points.shape
    entry = Entry.of(points, source, kind="lines" if kind == "grassmannian" else "code")
    with locked(path):
        atlas = Atlas.load(path) if path.exists() else Atlas()
        held = atlas.get(K, d, entry.kind)
        if not atlas.add(entry):
            return f"{path} holds a code of this size that is at least as good: nothing was added."
        atlas.save(path)
    return f"Added to {path}{'' if held is None else ', in place of a worse code'}."


def say(text: str, *, quiet: bool) -> None:
    """A sentence on standard output, or on standard error where that holds JSON alone."""
    (sys.stderr if quiet else sys.stdout).write(f"{text}\n")
