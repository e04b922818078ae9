"""``certify``: what a code proves about itself."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Bool, Float, Int
from .._clock import left
from .._cosines import coherence, max_cosine, unit_rows
from .._hull import OneVsRest, one_vs_rest
from .._rows import as_rows
from ..bounds import Bound, best_bound
from ..bounds._best import check_kind
from . import _describe, _stress
from ._contacts import MOST, Contacts, find_contacts

_MARGINS = 2000  # points up to which the margin is worked out unasked
_BALANCED = 1e-9  # offset of a point from the hull of its contacts that counts as none
_NEAREST = 1e-5  # the same by nearest points, which are known to about the root of their distances' gap
PROVED = 1e-8  # relative gap at which a code meets its bound: what the certified linear program may lack
STATIONARY = 1e-9  # residual of the stress equations that counts as none


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
        return _describe.sentences(self)


@names_options
def certify(
    points: Any,
    kind: str = "spherical",
    tolerance: float | int = 1e-10,
    bound: bool = True,
    *,
    margin: bool | None = None,
) -> Certificate:
    r"""What proves a code good: its contacts, the stress that balances them, its margin, and the best bound beside it.

    At a local minimum of the largest cosine s, some multipliers :math:`\lambda_{ij} \ge 0` of sum 1 on the contacts (the pairs
    at s) balance every point:

    .. math:: \sum_j \lambda_{ij} (\sigma_{ij} w_j - s\, w_i) = 0 \quad \text{for all } i,

    with :math:`\sigma_{ij}` the sign of the cosine for lines, 1 for codes. These are the Karush-Kuhn-Tucker conditions; the
    multipliers are found by least squares. Balance and rigidity together make a strict local optimum. Multipliers need not
    be unique: those of least norm are taken, which stress as many contacts as they can. A large residual disproves a
    local optimum, where the contacts are complete (see ``tolerance``) and ``skipped`` does not say that it decides nothing.

    The same stress certifies a margin. If every class carries stress, :math:`s w_k = \sum_j \lambda_{kj} w_j / \sum_j
    \lambda_{kj}` is the point of the hull of the others nearest to w_k, since no cosine exceeds s; so every one-vs-rest
    distance is 1 - s, with separating direction h_k = w_k: the margin is 1 - s, and features and classifier agree. A class
    without stress has a distance of at least 1 - s. None of this says that no other code has a larger margin: only a bound
    does, and beyond K = 2d none is known that codes meet.

    Args:
        points: the code (K, d), K >= 2; its rows are normalised.
        kind: ``"spherical"``, ``"grassmannian"`` or ``"softmax"``.
        tolerance: pairs within this of the largest cosine are contacts. A code known to fewer digits needs a larger one:
            at 1e-10 the contacts of single-precision points come apart.
        bound: whether to look for the best bound, which may take a second or so the first time.
        margin: whether to work out the margin; by default for codes of up to 2000 points, and never for lines.

    Raises:
        InputError: if points is not a matrix of at least two rows, has a zero row, or an argument is out of range.
        NonFiniteError: if points holds NaN or infinity.

    References:
        Jiang et al., arXiv 2310.05351 (softmax codes); Connelly, "Rigid circle and sphere packings", 2008 (stress and
        rigidity).

    Example:
        >>> from neucollapse.geometry import icosahedron
        >>> certificate = certify(icosahedron())
        >>> certificate.contact_count, certificate.rigid, certificate.is_optimal
        (30, True, True)
        >>> certificate.kkt_residual < 1e-14, certificate.margin_identity < 1e-12
        (True, True)
    """
    return _certified(points, kind, tolerance, bound, margin, None)


def certify_until(points: Any, kind: str, *, deadline: float | None) -> Certificate:
    """``certify`` to a deadline: parts for which no time is left are named in ``skipped``."""
    return _certified(points, kind, 1e-10, True, None, deadline)


def _certified(
    points: Any, kind: str, tolerance: float | int, bound: bool, margin: bool | None, deadline: float | None
) -> Certificate:
    check_kind(kind)
    if not 0 < tolerance < 1:
        raise InputError(f"expected a tolerance between 0 and 1, got {tolerance!r}")
    rows = unit_rows(as_rows(points, "points", minimum=2))
    lines, skipped = kind == "grassmannian", []
    s = coherence(rows) if lines else max_cosine(rows)
    contacts = find_contacts(rows, s, tolerance, absolute=lines)
    hull = _hull(rows, margin, lines, skipped)
    stress = _stressed(rows, contacts, s, skipped, deadline)
    K, d = rows.shape
    best = best_bound(K, d, kind) if bound else None
    rho = None if hull is None else hull.margin
    return Certificate(
        kind=kind,
        K=K,
        d=d,
        max_cosine=s,
        margin=rho,
        tolerance=float(tolerance),
        contacts=contacts.pairs,
        contact_count=contacts.count,
        multipliers=stress.weights,
        kkt_residual=stress.residual,
        decided=stress.decided,
        rattlers=(contacts.degrees == 0).nonzero()[:, 0],
        loose=_loose(contacts, stress.weights),
        stress_rank=stress.rank,
        rigid=stress.rigid,
        balanced=None if lines else _balanced(rows, contacts, stress.weights, s, hull),
        margin_identity=None if rho is None else abs(rho - (1 - s)),
        bound=best,
        relative_gap=None if best is None else _gap(kind, s, rho, best.value),
        skipped=tuple(skipped),
    )


class _Stress(NamedTuple):
    """What is known of the stress of a code; None for what was not worked out."""

    weights: Float[Tensor, " m"] | None = None
    residual: float | None = None
    decided: bool = False
    rank: int | None = None
    rigid: bool | None = None


def _stressed(rows: Tensor, contacts: Contacts, s: float, skipped: list[str], deadline: float | None) -> _Stress:
    d = rows.shape[1]
    if contacts.count > MOST:
        skipped.append(
            f"The {contacts.count:,} contacts are more than the {MOST:,} that are listed and given multipliers."
        )
        return _Stress()
    if 2 * d * contacts.count > _stress.ENTRIES:
        limit = f"{_stress.ENTRIES:,} entries of the stress equations"
        skipped.append(f"Multipliers of {contacts.count:,} contacts in {d} dimensions need more than {limit}.")
        return _Stress()
    if _stress.seconds_of_multipliers(rows.numel(), contacts.count) > left(deadline):
        skipped.append(f"The budget left no time for the multipliers of {contacts.count:,} contacts.")
        return _Stress()
    A = _stress.equations(rows, contacts, s)
    found, residual, decided = _stress.solve_stress(A, d, left(deadline))
    weights = torch.from_numpy(found)
    if residual > STATIONARY:  # rank and rigidity under a stress that is none would mean nothing
        if not decided:
            skipped.append("The contacts are too many for non-negative least squares: their residual decides nothing.")
        return _Stress(weights, residual, decided)
    rank = _stress.stress_rank(rows, contacts, weights, s)
    if rank is None:
        skipped.append(f"The rank of the stress matrix is worked out for up to {_stress.RANKED:,} points.")
    if _stress.seconds_of_rigidity(rows.numel()) > left(deadline):
        skipped.append("The budget left no time to decide rigidity.")
        return _Stress(weights, residual, True, rank)
    rigid = _stress.is_rigid(rows, contacts, weights, A)
    if rigid is None:
        skipped.append(f"Rigidity is decided for up to {_stress.RIGID:,} coordinates.")
    return _Stress(weights, residual, True, rank, rigid)


def _hull(rows: Tensor, margin: bool | None, lines: bool, skipped: list[str]) -> OneVsRest | None:
    if lines:
        return None
    if margin or (margin is None and len(rows) <= _MARGINS):
        return one_vs_rest(rows)
    if margin is None:
        skipped.append(f"The margin is worked out unasked for up to {_MARGINS:,} points: pass margin=True.")
    return None


def _loose(contacts: Contacts, weights: Tensor | None) -> Int[Tensor, " l"]:
    if weights is None:
        return torch.empty(0, dtype=torch.int64)
    stressed = torch.zeros(len(contacts.degrees), dtype=torch.bool)
    stressed[contacts.pairs[_stress.carrying(weights)].flatten()] = True
    return ((contacts.degrees > 0) & ~stressed).nonzero()[:, 0]


def _balanced(
    rows: Tensor, contacts: Contacts, weights: Tensor | None, s: float, hull: OneVsRest | None
) -> Bool[Tensor, " K"] | None:
    """By the stress where it balances a point, else by the nearest point of the hull."""
    if weights is None and hull is None:
        return None
    balanced = torch.zeros(len(rows), dtype=torch.bool)
    if weights is not None:
        i, j = contacts.pairs[:, 0], contacts.pairs[:, 1]
        pull = torch.zeros_like(rows).index_add_(0, i, weights[:, None] * rows[j])
        pull = pull.index_add_(0, j, weights[:, None] * rows[i])
        total = rows.new_zeros(len(rows)).index_add_(0, i, weights).index_add_(0, j, weights)
        balanced = (total > 0) & ((pull - s * total[:, None] * rows).norm(dim=1) <= _BALANCED * total)
    if hull is not None:
        balanced |= (hull.nearest - s * rows).norm(dim=1) <= _NEAREST
    return balanced


def _gap(kind: str, s: float, rho: float | None, bound: float) -> float:
    if kind == "softmax":
        return (bound - (1 - s if rho is None else rho)) / bound if bound > 0 else 0.0
    return (s - bound) / (1 - bound) if bound < 1 else 0.0
