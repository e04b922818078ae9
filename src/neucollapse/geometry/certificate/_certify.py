"""`certify`: the contacts of a code, the stress on them, its margin, and the best bound."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Bool, Float, Int
from .._clock import left
from .._rows import as_rows
from ..bounds import best_bound
from ..bounds._best import check_kind
from ..frames import coherence, max_cosine, unit_rows
from ..hull import OneVsRest, one_vs_rest
from . import _stress
from ._certificate import STATIONARY, Certificate
from ._contacts import MOST, Contacts, find_contacts

_MARGINS = 2000  # points up to which the margin is worked out unasked
_BALANCED = 1e-9  # offset of a point from the hull of its contacts that counts as none
_NEAREST = 1e-5  # the same by nearest points, which are known to about the root of their distances' gap


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

    At a local minimum of the largest cosine s, some multipliers $\lambda_{ij} \ge 0$ of sum 1 on the contacts (the pairs
    at s) balance every point:

    $$
    \sum_j \lambda_{ij} (\sigma_{ij} w_j - s\, w_i) = 0 \quad \text{for all } i,
    $$

    with $\sigma_{ij}$ the sign of the cosine for lines, 1 for codes. These are the Karush-Kuhn-Tucker conditions; the
    multipliers are found by least squares. Balance and rigidity together make a strict local optimum. Where multipliers
    are not unique, the least norm decides, which stresses as many contacts as it can. A large residual disproves a
    local optimum, where the contacts are complete (see `tolerance`) and `skipped` does not say that it decides nothing.

    The same stress certifies a margin. If every class carries stress,
    $s w_k = \sum_j \lambda_{kj} w_j / \sum_j \lambda_{kj}$ is the point of the hull of the others nearest to w_k, since no
    cosine exceeds s; so every one-vs-rest distance is 1 - s, with separating direction h_k = w_k: the margin is 1 - s,
    and features and classifier agree. A class without stress has a distance of at least 1 - s. None of this says that
    no other code has a larger margin: only a bound does, and beyond K = 2d none is known that codes meet.

    Args:
        points: the code (K, d), K >= 2; its rows are normalised.
        kind: `"spherical"`, `"grassmannian"` or `"softmax"`.
        tolerance: pairs within this of the largest cosine are contacts. A code known to fewer digits needs a larger one:
            at 1e-10 the contacts of single-precision points come apart.
        bound: whether to look for the best bound, which may take a second or so the first time.
        margin: whether to work out the margin; by default for codes of up to 2000 points, and never for lines.

    `InputError` is raised if points is not a matrix of at least two rows, has a zero row, or an argument is out of
    range.

    `NonFiniteError` is raised if points holds NaN or infinity.

    References:
        Jiang et al., arXiv 2310.05351 (softmax codes); Connelly, "Rigid circle and sphere packings", 2008 (stress and
        rigidity).

    Examples:
        >>> from neucollapse.geometry import icosahedron
        >>> certificate = certify(icosahedron())
        >>> certificate.contact_count, certificate.rigid, certificate.is_optimal
        (30, True, True)
        >>> certificate.kkt_residual < 1e-14, certificate.margin_identity < 1e-12
        (True, True)
    """
    return _certified(points, kind, tolerance, bound, margin, Limits())


class Limits(NamedTuple):
    """How far a certificate goes: parts beyond are named in `skipped`."""

    deadline: float | None = None
    contacts: int = MOST  # that are listed
    entries: int = _stress.ENTRIES  # of the stress equations


def certify_until(points: Any, kind: str, limits: Limits) -> Certificate:
    """`certify` within limits."""
    return _certified(points, kind, 1e-10, True, None, limits)


def _certified(
    points: Any, kind: str, tolerance: float | int, bound: bool, margin: bool | None, limits: Limits
) -> Certificate:
    check_kind(kind)
    if not 0 < tolerance < 1:
        raise InputError(f"expected a tolerance between 0 and 1, got {tolerance!r}")
    rows = unit_rows(as_rows(points, "points", minimum=2))
    lines, skipped = kind == "grassmannian", []
    s = coherence(rows) if lines else max_cosine(rows)
    contacts = find_contacts(rows, s, tolerance, absolute=lines, most=limits.contacts)
    hull = _hull(rows, margin, lines, skipped)
    stress = _stressed(rows, contacts, s, skipped, limits)
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


def _stressed(rows: Tensor, contacts: Contacts, s: float, skipped: list[str], limits: Limits) -> _Stress:
    d, deadline = rows.shape[1], limits.deadline
    if contacts.count > limits.contacts:
        skipped.append(
            f"The {contacts.count:,} contacts are more than the {limits.contacts:,} that are listed and given multipliers."
        )
        return _Stress()
    if 2 * d * contacts.count > limits.entries:
        limit = f"{limits.entries:,} entries of the stress equations"
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
