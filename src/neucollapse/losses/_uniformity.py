r"""Hyperspherical uniformity of class directions, to be minimised: by energy, by the closest pair, by a determinant."""

from torch import Tensor, nn

from .._errors import InputError
from .._names import names_options
from ._determinant import log_determinant
from ._energy import riesz_energy
from ._module import HeadLike
from ._rows import Labels
from ._separation import closest_distance

KINDS = ("mhe", "mhs", "mgd")


@names_options
def uniformity(
    weight: Tensor,
    *,
    kind: str = "mhe",
    s: float | int = 2.0,
    width: float | int = 1.0,
    reduction: str = "mean",
    floor: float | None = None,
) -> Tensor:
    r"""How far the directions of the rows are from uniform, by one of three measures, each to be minimised.

    | kind | value | at the simplex |
    | --- | --- | --- |
    | `mhe` | `riesz_energy(weight, s, reduction)` | s = 2: (K-1)/(2K) |
    | `mhs` | `-closest_distance(weight)` | $-\sqrt{2K/(K-1)}$ |
    | `mgd` | `-log_determinant(weight, width, ...)` | see there |

    Args:
        weight: `(K, d)`, K >= 2; only directions count.
        kind: `"mhe"`, `"mhs"` or `"mgd"`; an `InputError` for another.
        s: exponent of the energy, 0 for the logarithm.
        width: of the kernel of the determinant.
        reduction: `"mean"` or `"sum"`, over pairs (mhe) or classes (mgd).
        floor: distance below which a pair is repelled no harder, see `riesz_energy`; None for its default by the type of the
            weight, 1e-5 in float32 and 1e-8 in float64, or 1e-4 for the determinant.

    Examples:
        >>> import torch
        >>> [round(uniformity(torch.eye(4), kind=kind).item(), 4) for kind in ("mhe", "mhs", "mgd")]
        [0.5, -1.4142, 0.0239]
    """
    check_kind(kind)
    if kind == "mhe":
        return riesz_energy(weight, s=s, reduction=reduction, floor=floor)
    if kind == "mhs":
        return -closest_distance(weight)
    return -log_determinant(weight, width=width, reduction=reduction, floor=1e-4 if floor is None else floor)


class Uniformity(nn.Module):
    r"""Hyperspherical uniformity of a head's weight: `loss(features, labels, head)`. See `uniformity`.

    A regulariser: it reads neither features nor labels. Add it to a loss that does.

    Args:
        kind: `"mhe"`, `"mhs"` or `"mgd"`.
        s: exponent of the energy, 0 for the logarithm.
        width: of the kernel of the determinant.
        reduction: `"mean"` or `"sum"`.
        floor: as there.

    Examples:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Cosine(dim=3, num_classes=4)
        >>> Uniformity()(torch.randn(2, 3), torch.tensor([0, 1]), head).item() > 0.375  # the simplex: (K-1)/(2K)
        True
    """

    formula = "U(w): energy, minus the closest distance, or minus log det"
    couples, source = "class directions with one another", "arXiv 2303.06484, 2103.01649"

    def __init__(
        self,
        *,
        kind: str = "mhe",
        s: float | int = 2.0,
        width: float | int = 1.0,
        reduction: str = "mean",
        floor: float | None = None,
    ) -> None:
        super().__init__()
        check_kind(kind)
        self.kind, self.s, self.width, self.reduction, self.floor = kind, s, width, reduction, floor

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: HeadLike | None = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """Uniformity of `head.weight`; small is uniform. It has no samples to weight, and no denominator."""
        del features, labels
        if head is None:
            raise InputError("uniformity expected a head, whose weight it spreads, and got None")
        if sample_weights is not None or denominator is not None:
            raise InputError(
                "uniformity expected no sample_weights and no denominator: it is of classes, and reads no samples"
            )
        return uniformity(
            head.weight, kind=self.kind, s=self.s, width=self.width, reduction=self.reduction, floor=self.floor
        )


def check_kind(kind: str) -> None:
    """Raise `InputError` for a measure of uniformity that is not one of the three."""
    if kind not in KINDS:
        raise InputError(f"expected uniformity among {', '.join(KINDS)}, got {kind!r}")
