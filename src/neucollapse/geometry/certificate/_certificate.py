"""``Certificate``: what a code proves about itself, in numbers and in words."""

from dataclasses import dataclass

from torch import Tensor

from ..._types import Bool, Float, Int
from ..bounds import Bound

PROVED = 1e-8  # relative gap at which a code meets its bound: what the certified linear program may lack
STATIONARY = 1e-9  # residual of the stress equations that counts as none
_WORDS = {"spherical": "largest cosine", "grassmannian": "coherence", "softmax": "margin"}


@dataclass(frozen=True)
class Certificate:
    """What is known of a code of K unit vectors in d dimensions, from the code alone and from bounds.

    Attributes:
        kind: ``"spherical"`` (the largest cosine counts), ``"grassmannian"`` (the largest absolute cosine) or ``"softmax"`` (the
            margin).
        K: number of points.
        d: dimension.
        max_cosine: s, the largest cosine; for lines the coherence mu.
        margin: rho, the smallest one-vs-rest distance; None for lines and where it was not worked out.
        tolerance: pairs this near to the largest cosine count as contacts.
        contacts: the pairs i < j at the largest cosine (m, 2); (0, 2) where they are too many to list.
        contact_count: how many there are.
        multipliers: lam >= 0 (m,), of sum 1, of the stress equations; None where they were not sought.
        kkt_residual: the largest norm, over points, of sum_j lam_ij (sign_ij w_j - s w_i); None without multipliers. At
            rounding it proves that no small motion lowers the largest cosine to first order.
        decided: whether the multipliers are the best there are or good to rounding. Else, beyond the reach of non-negative
            least squares, a residual that is not small says nothing.
        rattlers: points without a contact: free to move.
        loose: points with contacts of which none carries stress under these multipliers.
        stress_rank: where the contacts balance, the rank of the stress matrix, lam_ij off and -s sum_j lam_ij on the
            diagonal, over the points that carry stress. The code lies in its kernel, so with n such points spanning r
            dimensions the rank is at most n - r; where it is that, every configuration in balance under the same stress
            is a linear image of this one.
        rigid: where the contacts balance, whether the stressed ones allow no first-order motion of their points but
            rotations; None where that was not decided. With balance it makes the code a strict local optimum, up to
            rotations and idle points.
        balanced: per point (K,), whether s w_k lies in the hull of its contact neighbours: exactly where the one-vs-rest
            distance is 1 - s. None for lines and where neither multipliers nor margins are at hand.
        margin_identity: abs(rho - (1 - s)); None without a margin.
        bound: the tightest bound known here on the largest cosine, coherence or margin; None if not asked for.
        relative_gap: (s - bound) / (1 - bound), or (bound - rho) / bound for the margin, with 1 - s for rho where that was
            not worked out. At 0 the code is proved best. Rounding and the certified linear program leave up to 1e-9.
        skipped: what was not worked out and why, sentences.
    """

    kind: str
    K: int
    d: int
    max_cosine: float
    margin: float | None
    tolerance: float
    contacts: Int[Tensor, "m 2"]
    contact_count: int
    multipliers: Float[Tensor, " m"] | None
    kkt_residual: float | None
    decided: bool
    rattlers: Int[Tensor, " r"]
    loose: Int[Tensor, " l"]
    stress_rank: int | None
    rigid: bool | None
    balanced: Bool[Tensor, " K"] | None
    margin_identity: float | None
    bound: Bound | None
    relative_gap: float | None
    skipped: tuple[str, ...]

    @property
    def is_optimal(self) -> bool:
        """Whether the code meets a bound, and so is proved best, to a relative gap of 1e-8."""
        return self.relative_gap is not None and self.relative_gap <= PROVED

    @property
    def is_stationary(self) -> bool | None:
        """Whether its contacts balance, to 1e-9: the first-order condition of a local optimum. None if not worked out."""
        if self.kkt_residual is None:
            return None
        return self.kkt_residual <= STATIONARY or (False if self.decided else None)

    @property
    def is_local(self) -> bool | None:
        """Whether it is proved a local optimum, by a bound or by balance and rigidity; None where that stayed open."""
        if self.is_optimal:
            return True
        if self.is_stationary is None or (self.is_stationary and not self.rigid):
            return None
        return self.is_stationary

    def describe(self) -> str:
        """The certificate in plain sentences."""
        return _sentences(self)


def _sentences(c: Certificate) -> str:
    """What the certificate says, most important first."""
    said = [_value(c), _verdict(c), _contacts(c)]
    if c.margin is not None and c.kind != "softmax":
        said.append(f"Its margin is {c.margin:.12g}, and 1 - s differs from it by {c.margin_identity:.1e}.")
    return " ".join([*(text for text in said if text), *c.skipped])


def _value(c: Certificate) -> str:
    if c.kind == "softmax":
        rho = "not worked out, at least 1 - s" if c.margin is None else f"{c.margin:.12g}"
        margin = f"The margin of these {c.K:,} points in {c.d:,} dimensions is {rho}"
        return f"{margin}; their largest cosine s is {c.max_cosine:.12g}."
    return f"The {_WORDS[c.kind]} of these {c.K:,} points in {c.d:,} dimensions is {c.max_cosine:.12g}."


def _verdict(c: Certificate) -> str:
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


def _beside(c: Certificate) -> str:
    assert c.bound is not None  # noqa: S101
    side = "exceeds" if c.kind == "softmax" else "falls below"
    return f"No code {side} {c.bound.value:.12g} ({c.bound.name}); the relative gap is {c.relative_gap:.3g}."


def _cosine(c: Certificate) -> str:
    return "coherence" if c.kind == "grassmannian" else "largest cosine"


def _contacts(c: Certificate) -> str:
    idle = []
    if len(c.rattlers):
        idle.append(f"{len(c.rattlers):,} without a contact (rattlers)")
    if len(c.loose):
        idle.append(f"{len(c.loose):,} whose contacts carry no stress")
    points = f"; among its points are {' and '.join(idle)}" if idle else ""
    return f"It has {c.contact_count:,} contact{'s' if c.contact_count > 1 else ''}{points}."
