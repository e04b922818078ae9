"""``solve``: a small multi-start search for the best code of any size."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float
from ._cosines import max_cosine
from ._hull import one_vs_rest
from ._optimum import Optimum, best_known
from ._rows import check_size

_GENTLE, _SHARP, _LAST = 4.0, 128.0, 2e6  # sharpness p: of gentle starts, of the sharpest start, of the last stage
_FACTOR, _ITERATIONS = 3.0, 60  # from stage to stage, and within one
_CONTACT = 1e-5  # pairs this near to the largest cosine touch, in the polish
_POLISHED = 3000  # K d up to which the dense polish is worth its while


def solve(K: int, d: int, *, seed: int = 0, starts: int = 8) -> Optimum:
    r"""Search for K unit vectors in d dimensions with small maximal cosine, and return the best with its exact margin.

    Each start lowers a smooth maximum of the cosines, sharper from stage to stage, by L-BFGS:

    .. math:: f_p(W) = \frac1p \log \sum_{i \ne j} e^{p \langle w_i, w_j \rangle}, \qquad p \to 2 \cdot 10^6 .

    Starts of even number begin gently, the others at a sharpness up to 128: some codes are found by one kind alone. The
    best end is polished by Gauss-Newton steps on its contacts. Where the optimum is proved nothing is searched. The
    margin rho is that of the code found, by ``one_vs_rest``; at a spherical code without rattlers it is 1 - max_cosine.

    Args:
        K: number of points, at least 2.
        d: dimension.
        seed: of the random starts: the same seed gives the same code, and more starts never a worse one.
        starts: how many.

    Returns:
        An ``Optimum`` with points; status ``"found"``, or that of ``best_known`` where this is proved. Compare with
        ``best_known(K, d).margin``, which may be larger.

    Raises:
        InputError: if K, d or starts is not a whole number in range.

    Example:
        >>> found = solve(7, 3, starts=2)
        >>> round(found.max_cosine, 6)
        0.210138
    """
    check_size(K, d)
    if not isinstance(starts, int) or starts < 1:
        raise InputError(f"expected starts as a whole number >= 1, got {starts!r}")
    known = best_known(K, d)
    if known.status == "proved":
        return known
    with _one_thread():
        codes = [_search(K, d, seed, start) for start in range(starts)]
        best = min(codes, key=max_cosine)
        if K * d <= _POLISHED:
            best = _polish(best)
        margin = one_vs_rest(best).margin
    source = f"Found by the best of {starts} starts with seed {seed}; another search may do better."
    return Optimum(K, d, margin, max_cosine(best), "found", "found", source, build=partial(torch.clone, best))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two BLAS threads make such small problems many times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _search(K: int, d: int, seed: int, start: int) -> Float[Tensor, "K d"]:
    from scipy.optimize import minimize

    rng = np.random.default_rng([seed, start])
    x = rng.standard_normal(K * d)
    p = _GENTLE if start % 2 == 0 else _GENTLE * (_SHARP / _GENTLE) ** rng.random()
    while p < _LAST * _FACTOR:
        options = {"maxiter": _ITERATIONS, "maxcor": 20, "ftol": 1e-16, "gtol": 1e-12}
        x = minimize(_smooth_maximum, x, (K, d, min(p, _LAST)), "L-BFGS-B", jac=True, options=options).x
        p *= _FACTOR
    return _normalized(torch.from_numpy(x.reshape(K, d)))


def _smooth_maximum(x: Any, K: int, d: int, p: float) -> tuple[float, Any]:
    """``f_p`` of the directions of the rows, and its gradient; the rows have any length."""
    rows = torch.from_numpy(x).view(K, d)
    norms = rows.norm(dim=1, keepdim=True)
    U = rows / norms
    G = (U @ U.T).fill_diagonal_(-torch.inf)
    top = float(G.max())
    weights = G.sub_(top).mul_(p).exp_()
    total = float(weights.sum())
    slope = weights @ U * (2 / total)
    tangent = (slope - (slope * U).sum(dim=1, keepdim=True) * U) / norms
    return top + math.log(total) / p, tangent.flatten().numpy()


def _polish(W: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
    """Make all contacts equal, ``<w_i, w_j> = t``, by least-norm Gauss-Newton steps, as long as the maximum falls."""
    K, d = W.shape
    G = (W @ W.T).fill_diagonal_(-1).triu(diagonal=1) - torch.ones(K, K, dtype=W.dtype).tril()
    t = G.max()
    i, j = (t - _CONTACT < G).nonzero(as_tuple=True)
    for _ in range(10):
        m = torch.arange(len(i))
        J = torch.zeros(len(i) + K, K * d + 1, dtype=W.dtype)
        place = torch.arange(K * d).view(K, d)
        J[m[:, None], place[i]] = W[j]
        J[m[:, None], place[j]] = W[i]
        J[: len(i), -1] = -1
        J[len(i) + torch.arange(K)[:, None], place] = W  # steps stay on the sphere
        residual = torch.zeros(len(J), dtype=W.dtype)
        residual[: len(i)] = t - (W[i] * W[j]).sum(dim=1)
        step = torch.linalg.lstsq(J, residual[:, None], driver="gelsd").solution[:, 0]
        new = _normalized(W + step[:-1].view(K, d))
        new_t = torch.tensor(max_cosine(new), dtype=W.dtype)
        if not new_t < t:
            break
        W, t = new, new_t
    return W


def _normalized(rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
    return rows / rows.norm(dim=1, keepdim=True)
