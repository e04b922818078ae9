r"""The two numbers a sample that every cross-entropy of cosines is made of, and the implementations that find them.

$$ \cos_y = \langle x, w_y \rangle, \qquad
   \mathrm{LSE}_{\mathrm{neg}} = \log \sum_{j \ne y} e^{s \langle x, w_j \rangle} $$

with all rows brought to the unit sphere. A margin, focal or smoothed loss is a function of these, formed for B samples;
only this file and `_tiles.py` ever meet all K classes, and heads of known structure, which find the sums by that structure.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from .._errors import InputError
from .._labels import flat_labels
from .._names import names_options
from .._types import Float
from ._log_odds import negatives_logsumexp
from ._normalised import normalised
from ._rows import Labels
from ._scale import check_scale
from ._tiles import spherical_negatives, tile_shape

_SMALL = 2**18  # logits that are faster formed at once than in tiles


class Negatives(NamedTuple):
    """What an implementation returns: all that depends on more than one class of a sample."""

    target_rows: Float[Tensor, "n d"]
    """Rows of the weight at the labels, of any length."""
    lse: Float[Tensor, " n"]
    r"""$\mathrm{LSE}_{\mathrm{neg}}$; -inf where the label is the only class."""
    direction_sum: Float[Tensor, " d"]
    """Sum of all unit rows of the weight: all that a mean logit needs."""


@runtime_checkable
class ImplicitWeight(Protocol):
    """A weight (K, d) that is never written out: its owner, a head of known structure, finds the sums over its classes."""

    dim: int
    num_classes: int

    def negatives(self, x: Tensor, labels: Tensor, scale: Tensor) -> Negatives:
        """From unit features (n, d), labels (n,) in [0, K) and a scalar scale; differentiable in x and scale."""
        ...


def _reference(x: Tensor, weight: Tensor, labels: Tensor, scale: Tensor) -> Negatives:
    """Plain torch: (B, K) logits, any number of derivatives. The oracle of all other implementations."""
    with torch.autocast(x.device.type, enabled=False):  # logits of s = 64 in bfloat16 are wrong by 0.25
        U = normalised(weight)
        return Negatives(weight[labels], negatives_logsumexp(scale * (x @ U.mT), labels), U.sum(dim=0))


def _tiled(x: Tensor, weight: Tensor, labels: Tensor, scale: Tensor, tile: tuple[int, int] | None = None) -> Negatives:
    """Tiles of samples x classes, memory O(tile + B d), one derivative."""
    samples, classes = tile or tile_shape(len(x), len(weight))
    with_mean = torch.is_grad_enabled() and (x.requires_grad or scale.requires_grad)
    rows, lse, _, total, _ = spherical_negatives(x, weight, labels, scale, samples, classes, with_mean)
    return Negatives(rows, lse, total)


# From unit features (n, d), weight rows of any length (K, d), labels (n,) in [0, K) and a scalar scale. A GPU kernel, or
# classes sharded over ranks, is one more entry; losses name it, and nothing else changes.
IMPLEMENTATIONS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Negatives]] = {
    "reference": _reference,
    "tiled": _tiled,
}


def negatives(
    x: Tensor, weight: Tensor | ImplicitWeight, labels: Tensor, scale: Tensor, implementation: str = "auto"
) -> Negatives:
    """The implementation of that name; `"auto"` forms small logits at once, and large ones in tiles.

    An implicit weight brings the one implementation that it has, as `"auto"`.
    """
    if not isinstance(weight, Tensor):
        if implementation != "auto":
            raise InputError(
                f"expected implementation 'auto' for a head that finds the sums over classes itself, got {implementation!r}; "
                "its .weight takes the others"
            )
        return weight.negatives(x, labels, scale)
    if implementation == "auto":
        implementation = "reference" if len(x) * len(weight) <= _SMALL or len(weight) == 1 else "tiled"
    if implementation not in IMPLEMENTATIONS:
        known = ", ".join(map(repr, ["auto", *IMPLEMENTATIONS]))
        raise InputError(f"expected an implementation among {known}, got {implementation!r}")
    return IMPLEMENTATIONS[implementation](x, weight, labels, scale)


@names_options
def spherical_statistics(
    features_unit: Float[Tensor, "n d"],
    labels: Labels,
    weight: Float[Tensor, "K d"],
    *,
    scale: float | Float[Tensor, ""],
    implementation: str = "auto",
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    r"""Target cosine and $\mathrm{LSE}_{\mathrm{neg}}$ of each sample, differentiable in features, weight, scale.

    Args:
        features_unit: unit rows.
        labels: in `[0, K)`, of any integer type.
        weight: rows of any length, normalised inside: a unit copy would be the largest buffer of the whole loss.
        scale: $s$, from 1.2e-38 to 1.8e+19 in float32.
        implementation: `"reference"` forms all logits and can be differentiated any number of times; `"tiled"`
            holds one tile of them and can be differentiated once; `"auto"` is tiled above 2^18 logits.

    Returns:
        `(cos_y, lse_neg)`, each `(n,)`. The target cosine is a row's own inner product, never read from the logits.

    Raises:
        InputError: labels out of range or that are no integers, a scale out of range, an unknown implementation.

    Examples:
        >>> import torch
        >>> cos_y, lse = spherical_statistics(torch.eye(2), torch.tensor([0, 1]), torch.eye(2), scale=8.0)
        >>> cos_y, lse
        (tensor([1., 1.]), tensor([0., 0.]))
    """
    check_scale(scale, features_unit.dtype)
    y = flat_labels(labels, features_unit.shape[:1]).to(features_unit.device)  # pyright: ignore[reportArgumentType]
    if not torch.compiler.is_compiling() and bool(((y < 0) | (y >= len(weight))).any()):
        raise InputError(
            f"expected labels from 0 to {len(weight) - 1}, got labels from {int(y.min())} to {int(y.max())}"
        )
    s = torch.as_tensor(scale, dtype=features_unit.dtype, device=features_unit.device).reshape(())
    found = negatives(features_unit, weight, y, s, implementation)
    return (features_unit * normalised(found.target_rows)).sum(dim=1), found.lse
