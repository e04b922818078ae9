"""How good any assignment of classes to vertices can be: three bounds on a quadratic assignment problem."""

import torch
from torch import Tensor

from ..._types import Float


def largest_value(A: Float[Tensor, "K K"], B: Float[Tensor, "K K"]) -> float:
    r"""No permutation has a larger $\sum_{ij} A_{ij} B_{\pi(i)\pi(j)}$. For symmetric A, B of zero diagonal.

    The smallest of three bounds, in O(K^3) together: eigenvalues (Finke, Burkard and Rendl 1987), eigenvalues about the
    constant vector, which every permutation fixes (Hadley, Rendl and Wolkowicz 1992), and row by row (Gilmore 1962,
    Lawler 1963). Raised by what rounding may have taken, 1e-12 of its scale.
    """
    bound = min(_eigenvalues(A, B), _projected(A, B), _row_by_row(A, B))
    return bound + 1e-12 * float(A.norm() * B.norm())


def _sorted_product(a: Tensor, b: Tensor) -> float:
    """The largest sum of products over all pairings of two lists: large with large."""
    return float(a.sort().values @ b.sort().values)


def _eigenvalues(A: Tensor, B: Tensor) -> float:
    """A permutation matrix is orthogonal, and among orthogonal matrices the best pairs eigenvalues in order."""
    return _sorted_product(torch.linalg.eigvalsh(A), torch.linalg.eigvalsh(B))


def _projected(A: Tensor, B: Tensor) -> float:
    """Orthogonal matrices that fix the constant vector: its part is a number, the mixed part an assignment of row sums."""
    K = len(A)
    a, b = A.sum(dim=1), B.sum(dim=1)
    constant = float(a.sum() * b.sum()) / K
    spectra = (torch.linalg.eigvalsh(_complement(M)) for M in (A, B))
    return constant / K + 2 / K * (_sorted_product(a, b) - constant) + _sorted_product(*spectra)


def _complement(M: Float[Tensor, "K K"]) -> Float[Tensor, "K-1 K-1"]:
    """M on the orthogonal complement of the constant vector, by the reflection that takes that vector to an axis."""
    K = len(M)
    v = torch.full((K,), K**-0.5, dtype=M.dtype)
    v[0] += 1
    H = torch.eye(K, dtype=M.dtype) - 2 * torch.outer(v, v) / (v @ v)
    return (H @ M @ H)[1:, 1:]


def _row_by_row(A: Tensor, B: Tensor) -> float:
    """Class i on vertex j earns at most row i of A times row j of B, both sorted; then the best assignment of rows."""
    from scipy.optimize import linear_sum_assignment

    off = ~torch.eye(len(A), dtype=torch.bool)
    gain = (_sorted_rows(A, off) @ _sorted_rows(B, off).T).numpy()
    return float(gain[linear_sum_assignment(gain, maximize=True)].sum())


def _sorted_rows(M: Float[Tensor, "K K"], off: Tensor) -> Float[Tensor, "K K-1"]:
    return M[off].reshape(len(M), -1).sort(dim=1).values
