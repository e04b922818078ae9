"""Metrics over the layers of one network: the law of separation, the effective depth, the start of the tunnel.

Each takes one number a layer, from the first layer to the input of the classifier. `layer_values` reads such a list out of a
result that was measured with `layers=`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import correlation, linear_regression

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float
from ._linear_algebra import finite, spectrum
from ._result import CollapseResult
from .nc1 import between_rank


@dataclass(frozen=True)
class SeparationLaw:
    """The fit log D_l = log D_0 + l log(rho) over layers l = 0, 1, ...

    Attributes:
        rho: the factor per layer of the fit; below 1 where layers separate.
        start: D_0 of the fit.
        ratios: D_{l+1} / D_l of each step; all are rho where the law holds exactly.
        r_squared: share of the variance of log D that the line explains, in [0, 1]; 1 for an exact law.
    """

    rho: float
    start: float
    ratios: tuple[float, ...]
    r_squared: float


def separation_law(values: Sequence[float]) -> SeparationLaw:
    r"""How nearly the separation fuzziness falls by one factor per layer, $D_l = \rho^l D_0$.

    $D_l = \operatorname{tr}(S_W S_B^+)$ is `nc1/pinv_unscaled` of layer l (for balanced classes: the paper weighs S_B by
    class sizes). The line is fitted to log D by least squares.

    Args:
        values: D of each layer in order, at least three, all above 0 and finite.

    Raises:
        InputError: fewer values, or one that is not positive and finite.

    Reference:
        He, Su 2023 (arXiv 2210.17020): S_W, S_B and D as there; the measure of fit (R squared) is ours.

    Examples:
        >>> law = separation_law([8.0, 4.0, 2.0, 1.0])
        >>> round(law.rho, 12), round(law.r_squared, 12)
        (0.5, 1.0)
    """
    if len(values) < 3:
        raise InputError(
            f"expected the values of at least three layers, for a line through fewer says nothing, got {len(values)}"
        )
    if not all(0 < value < math.inf for value in values):
        raise InputError(f"expected positive finite values, whose logarithms are fitted, got {list(values)}")
    layers, logs = range(len(values)), [math.log(value) for value in values]
    slope, start = linear_regression(layers, logs)
    r_squared = correlation(layers, logs) ** 2 if min(logs) < max(logs) else 1.0
    ratios = tuple(b / a for a, b in itertools.pairwise(values))
    return SeparationLaw(math.exp(slope), math.exp(start), ratios, r_squared)


def effective_depth(mismatch: Sequence[float], threshold: float = 0.05) -> int | None:
    """The first layer whose nearest class mean errs on at most a share `threshold` of the samples.

    Args:
        mismatch: per layer in order, the share of training samples whose nearest class mean is not that of their label
            (1 - `accuracy/ncc`).
        threshold: in [0, 1].

    Returns:
        The index of the layer, from 0; None where no layer gets there. No layers, and shares outside of [0, 1], are an
        `InputError`.

    Reference:
        The quantity is that of Galanti, Galanti, Ben-Shaul 2022 (arXiv 2202.09028); its threshold is a choice.

    Examples:
        >>> effective_depth([0.4, 0.2, 0.01, 0.0])
        2
    """
    _check_shares("mismatch", [*mismatch, threshold])
    return next((layer for layer, value in enumerate(mismatch) if value <= threshold), None)


def tunnel_start(accuracy: Sequence[float], share: float = 0.95) -> int:
    """The first layer from which on every layer has at least `share` of the accuracy of the last one.

    What comes after that layer, the tunnel, adds little accuracy; it compresses.

    Args:
        accuracy: per layer in order, of a linear probe or of the nearest class mean (`accuracy/ncc`).
        share: in [0, 1].

    Returns:
        The index of the layer, from 0: the last layer where there is no tunnel. No layers, and shares outside of [0, 1], are
        an `InputError`.

    Reference:
        The tunnel is that of Masarczyk et al. 2023 (arXiv 2305.19753); the share of 95 % is a choice.

    Examples:
        >>> tunnel_start([0.5, 0.8, 0.97, 0.98, 1.0])
        2
    """
    _check_shares("accuracy", [*accuracy, share])
    below = [layer for layer, value in enumerate(accuracy) if value < share * accuracy[-1]]
    return below[-1] + 1 if below else 0


def linear_separation_floor(within_scatter: Float[Tensor, "d d"], centred_means: Float[Tensor, "K d"]) -> float:
    r"""The least tr(S_W S_B^+) that any linear map of the features reaches which keeps the rank of S_B.

    $$
    \min_A \operatorname{tr}(A S_W A^\top (A S_B A^\top)^+) = \sum_{i \le r} \frac{1}{\lambda_i}
    = \operatorname{tr} (B^\top S_W^{-1} B)^{-1}, \qquad S_B = B B^\top
    $$

    with B (d, r) of full rank and $\lambda$ the positive eigenvalues of $S_W^{-1} S_B$ (derived here). For
    N = A B of full column rank, $(N N^\top)^+ = N^{+\top} N^+$, so the trace is $\operatorname{tr} C S_W C^\top$ with
    C = N^+ A, and C B = 1. Under that condition $C S_W C^\top$ is least, as a matrix, at
    $C = (B^\top S_W^{-1} B)^{-1} B^\top S_W^{-1}$ (Gauss-Markov), which is a linear map. Linear layers, however
    many, cannot go below; the least-squares classifier is at it.

    Args:
        within_scatter: S_W (d, d), positive definite.
        centred_means: class means less their mean (K, d): S_B is the mean of their outer products.

    Returns:
        A number in (0, inf): of the same scale as `nc1/pinv_unscaled`, which is never less.

    Raises:
        InputError: if S_W is singular to working precision, or an argument holds NaN or infinity (a `NonFiniteError`).

    Examples:
        >>> means = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> round(linear_separation_floor(torch.tensor([[1.0, 0.5], [0.5, 1.0]]).double(), means), 12)
        0.75
    """
    s, V = spectrum(finite(centred_means, "class means"))
    r = between_rank(s, *centred_means.shape)
    factor, failed = torch.linalg.cholesky_ex(finite(within_scatter, "within-class scatter").double())
    if failed or float(factor.diagonal().min() / factor.diagonal().max()) ** 2 < len(factor) * 2.0**-52:
        raise InputError(
            "expected a positive definite within-class scatter, got a singular one: then linear maps may leave no scatter"
        )
    B = V[:, :r] * (s[:r] / math.sqrt(len(centred_means)))
    whitened = torch.linalg.solve_triangular(factor, B, upper=False)
    return float(torch.linalg.inv(whitened.T @ whitened).diagonal().sum())


def layer_values(result: CollapseResult, key: str, split: str = "") -> tuple[list[str], list[float]]:
    """Names and values of a metric over the layers of a result, the input of the classifier (the empty name) last.

    Args:
        result: measured with `layers=`.
        key: of the metric, `nc1/pinv_unscaled` or `accuracy/ncc`; of a result with several splits give `split` too.
        split: `"train"` or another; empty for a result without splits.

    Raises:
        InputError: if the metric was measured on fewer than two layers.

    Examples:
        >>> result = CollapseResult({"accuracy/ncc": 0.9, "accuracy/ncc@layer:a": 0.5, "accuracy/ncc@layer:b": 0.7})
        >>> layer_values(result, "accuracy/ncc")
        (['a', 'b', ''], [0.5, 0.7, 0.9])
    """
    numbers = result.split(split).numbers if split else result.numbers
    start = f"{key}@layer:"
    found = {name.removeprefix(start): value for name, value in numbers.items() if name.startswith(start)}
    found |= {"": numbers[key]} if key in numbers else {}
    if len(found) < 2:
        raise InputError(
            f"expected {key} of at least two layers, got {len(found)}; measure with layers= (or layers='auto')"
        )
    return list(found), list(found.values())


def _check_shares(what: str, values: Sequence[float]) -> None:
    if len(values) < 2:
        raise InputError(f"expected {what} of at least one layer, got none")
    if not all(0 <= value <= 1 for value in values):
        raise InputError(f"expected {what} and its threshold in [0, 1], got {list(values)}")
