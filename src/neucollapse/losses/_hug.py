r"""The hyperspherical uniformity gap (HUG): classes spread, samples gather, and neither pulls at the other.

Cross-entropy does both with one term; HUG has one term for each,

$$ L = \alpha \, \text{inter}(\hat w) + \beta \, \text{intra}(\hat x, \hat w), $$

of unit features $\hat x$ and one unit *proxy* $\hat w_c$ a class.
"""

from typing import Unpack

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._names import names_options
from ._attraction import HUGTerms as HUGTerms
from ._attraction import attraction, fixed_proxies
from ._module import HeadLike, Loss, ModuleOptions
from ._normalised import normalised
from ._rows import CountedRows, Labels, RowOptions, rows_of
from ._uniformity import check_kind, uniformity

PROXIES = ("learnable", "static", "partial", "none")
REDUCTIONS = ("mean", "sum")


class HUGOptions(RowOptions, total=False):
    """Options of HUG by keyword, see `hug_terms`."""

    kind: str
    alpha: float | int
    beta: float | int
    s: float | int
    width: float | int
    detach_proxy: bool
    floor: float | None


@names_options
def hug_terms(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    kind: str = "mhe",
    alpha: float | int = 1.0,
    beta: float | int = 1.0,
    s: float | int = 2.0,
    width: float | int = 1.0,
    detach_proxy: bool = True,
    floor: float | None = None,
    **options: Unpack[RowOptions],
) -> HUGTerms:
    r"""The two terms of HUG for given proxies.

    $$ \text{inter} = \alpha \, U(\hat w), \qquad
       \text{intra} = \frac{\beta}{K'} \sum_{c \text{ present}} \frac{1}{n_c} \sum_{i : y_i = c}
       |\hat x_i - \hat w_c| $$

    with U the energy (`"mhe"`), minus the smallest distance (`"mhs"`) or minus the log-determinant (`"mgd"`): see
    `uniformity`. The distance is not squared. By default the proxies are held fixed in it, as in the authors' code:
    they move by uniformity alone, and the features by attraction alone. The gradient of the sum is then not that of its
    value: a line search needs the terms one by one.

    Weights are of intra alone: those of samples weight the mean within a class, those of classes the mean over
    classes; a `"sum"` multiplies each distance by both. As it is no mean over samples, there is no denominator to give, and no
    loss of each sample.

    Range: intra from 0, reached when each sample lies on its proxy, to $2 \beta$. Inter at s = 2 from
    $\alpha (K-1)/(2K)$, the simplex, up: 0.495 for 100 classes in 99 dimensions or more.

    Args:
        features: `(..., d)`; of any length: only directions count. A zero row is at distance 1, without gradient.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        weight: the proxies `(K, d)`, K >= 2; only directions count. Coincident ones still part.
        kind: `"mhe"`, `"mhs"` or `"mgd"`.
        alpha: weight of inter.
        beta: weight of intra.
        s: exponent of the energy, 0 for the logarithm.
        width: of the kernel of the determinant.
        detach_proxy: no gradient of intra to the proxies.
        floor: distance below which two proxies are repelled no harder. None: for `"mhe"` 1e-5 in float32 and 1e-8 in
            float64, down to which energy and gradient are exact (1e8 for two proxies 1e-4 apart); closer ones, coincident
            ones too, part by a push like that of proxies at distance 1. For `"mgd"` 1e-4. See `riesz_energy`.
        **options: see `RowOptions`. The reduction is `"mean"` over pairs, classes present and samples of a class, as in the
            authors' code, or `"sum"` over all of them, as printed in the paper. Without any sample that counts, intra is 0.

    Returns:
        Two scalars, of the type of `features` and `weight`, at least float32.

    Raises:
        InputError: shapes that do not fit, labels out of range, an unknown kind or reduction.

    References:
        Liu et al., "Generalizing and Decoupling Neural Collapse via Hyperspherical Uniformity Gap", arXiv 2303.06484.

    Examples:
        >>> import torch
        >>> proxies = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> terms = hug_terms(torch.tensor([[0.0, 3.0]]), torch.tensor([1]), proxies)
        >>> [round(term.item(), 4) for term in terms]  # 1/|2|^2, and |(0, 1) - (-1, 0)|
        [0.25, 1.4142]
    """
    rows = rows_of(features, labels, weight, options, reductions=REDUCTIONS)
    if rows.denominator is not None:
        raise InputError("HUG expected no denominator: its means are over pairs, classes, and the samples of a class")
    inter = alpha * uniformity(weight, kind=kind, s=s, width=width, reduction=rows.reduction, floor=floor)
    proxies = weight.detach() if detach_proxy else weight
    return HUGTerms(inter, beta * attraction(rows.take(features), rows, proxies, options.get("class_weights")))


@names_options
def hug(features: Tensor, labels: Labels, weight: Tensor, **options: Unpack[HUGOptions]) -> Tensor:
    """The hyperspherical uniformity gap of given proxies: the sum of the two terms of `hug_terms`, whose options it has.

    Two proxies closer than `floor` (by default 1e-5 in float32 and 1e-8 in float64) are repelled no harder, see there.

    Examples:
        >>> import torch
        >>> proxies = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> round(hug(proxies, torch.tensor([0, 1]), proxies, alpha=2.0).item(), 4)  # collapsed: intra is 0
        0.5
    """
    inter, intra = hug_terms(features, labels, weight, **options)
    return inter + intra


class HUG(Loss):
    r"""The hyperspherical uniformity gap: `loss(features, labels)`, or `loss(features, labels, head)`.

    Given `num_classes` and `dim` it owns its proxies. `HUG()` without them takes a head at each call, whose weight
    are the proxies; a head given to a loss that owns learnable proxies takes their place for that call.

    | `proxy` | where the proxies come from |
    | --- | --- |
    | `learnable` | a parameter `(K, d)`, or `head.weight` |
    | `static` | a fixed frame |
    | `partial` | a fixed frame times a learnable rotation: inter is constant, intra turns the frame towards the data |
    | `none` | the normalised means of the unit features of each class in the batch; classes absent do not count |

    Args:
        dim: d; needed unless proxies are `head.weight` or `none`.
        num_classes: K; likewise.
        uniformity: `"mhe"`, `"mhs"` or `"mgd"`, see `uniformity`.
        proxy: as above.
        alpha: weight of inter. The authors' code has 1 for both; their paper reports 0.15.
        beta: weight of intra. The paper reports 0.015 (mhe, mhs) and 0.03 (mgd).
        s: exponent of the energy, 0 for the logarithm.
        width: of the kernel of the determinant.
        detach_proxy: no gradient of intra to the proxies. None: as in the authors' code, except for `partial`, whose
            rotation has no other gradient.
        floor: see `hug_terms`.
        frame: `(K, d)` for `static` and `partial`. None: the code of least energy that is known without a search,
            the simplex for K <= d + 1.
        **options: of every loss, see `ModuleOptions`; the reduction is `"mean"` or `"sum"`. Class weights are of intra, and
            with proxies `none` need `num_classes`.

    Attributes:
        weight: the proxies `(K, d)`: the raw parameter, the frame, or the turned frame.

    Raises:
        InputError: an unknown measure or rule, sizes that are missing or do not fit the frame, or a size for which no
            code is known: then give a frame.

    Examples:
        >>> import torch
        >>> loss = HUG(dim=3, num_classes=4, proxy="static")
        >>> terms = loss.terms(2 * loss.weight, torch.arange(4))  # collapsed on the simplex
        >>> round(terms.inter.item(), 4), round(terms.intra.item(), 4)
        (0.375, 0.0)
    """

    formula = "α U(w) + β mean over classes of mean ‖x − w_y‖"
    couples = "proxies with one another, samples with their proxy; neither with the other"
    source = "arXiv 2303.06484"
    reductions = REDUCTIONS
    frame: Tensor

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        uniformity: str = "mhe",
        proxy: str = "learnable",
        alpha: float | int = 1.0,
        beta: float | int = 1.0,
        s: float | int = 2.0,
        width: float | int = 1.0,
        detach_proxy: bool | None = None,
        floor: float | None = None,
        frame: Tensor | None = None,
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(**options)
        check_kind(uniformity)
        if proxy not in PROXIES:
            raise InputError(f"expected proxy among {', '.join(PROXIES)}, got {proxy!r}")
        if frame is not None and proxy not in ("static", "partial"):
            raise InputError(f"expected a frame for static and partial proxies alone, got one for {proxy!r}")
        self.dim, self.num_classes, self.proxy, self.kind, self.beta = dim, num_classes, proxy, uniformity, beta
        self.detach_proxy = proxy != "partial" if detach_proxy is None else detach_proxy
        self.settings: HUGOptions = {
            "kind": uniformity,
            "alpha": alpha,
            "beta": beta,
            "s": s,
            "width": width,
            "detach_proxy": self.detach_proxy,
            "floor": floor,
        }
        if proxy in ("static", "partial"):
            self.register_buffer("frame", fixed_proxies(num_classes, dim, frame, s))
        if proxy == "partial":
            # The exponential of a skew matrix is a rotation; all zeros is the identity.
            self.turn = nn.Parameter(torch.zeros(self.frame.shape[1], self.frame.shape[1]))
        if proxy == "learnable" and num_classes is not None and dim is not None:
            self.raw = nn.Parameter(torch.randn(num_classes, dim) * dim**-0.5)

    @property
    def weight(self) -> Tensor:
        """The proxies `(K, d)` this loss owns, differentiable."""
        if self.proxy == "static":
            return self.frame
        if self.proxy == "partial":
            turn = self.turn.double()
            return (self.frame.double() @ torch.linalg.matrix_exp(turn - turn.mT)).to(self.turn.dtype)
        if self.proxy == "learnable" and hasattr(self, "raw"):
            return self.raw
        raise AttributeError("this HUG owns no proxies: give num_classes and dim, or a head at each call")

    def terms(
        self, features: Tensor, labels: Labels, head: HeadLike | None = None, *, sample_weights: Tensor | None = None
    ) -> HUGTerms:
        """The two weighted terms, by name: `.inter` and `.intra`."""
        return self._terms(features, labels, head, self._options(sample_weights, None))

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        inter, intra = self._terms(features, labels, head, options)
        return inter + intra

    def _terms(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> HUGTerms:
        if self.proxy != "none":
            return hug_terms(features, labels, self._proxies(head), **{**self.settings, **options})
        return self._without_proxies(features, labels, options)

    def extra_repr(self) -> str:
        """Sizes and rules, for `repr`."""
        return f"num_classes={self.num_classes}, dim={self.dim}, {self.kind}, proxy={self.proxy}"

    def _proxies(self, head: HeadLike | None) -> Tensor:
        if head is None:
            if self.proxy == "learnable" and not hasattr(self, "raw"):
                raise InputError("HUG without num_classes and dim expected a head, whose weight are its proxies")
            return self.weight
        if self.proxy != "learnable":
            raise InputError(f"HUG with {self.proxy} proxies expected no head; a head of fixed weight does the same")
        return head.weight

    def _without_proxies(self, features: Tensor, labels: Labels, options: RowOptions) -> HUGTerms:
        """Proxies are the class means of the batch; classes are numbered anew, so that absent ones are no rows."""
        if features.dim() < 1 or not features.is_floating_point():
            raise InputError(f"expected floating features (..., d), got {features.dtype} of {tuple(features.shape)}")
        class_weights = self.class_weights
        if class_weights is not None and self.num_classes is None:
            raise InputError(
                "HUG without proxies and without num_classes expected no class_weights: it numbers no classes"
            )
        of_samples: RowOptions = {**options, "class_weights": None}
        rows = CountedRows(features, labels, self.num_classes, of_samples, coupled=True, reductions=REDUCTIONS)
        # Widened once: two gradients of bfloat16, one of each term, would be rounded before they are added.
        x, (present, y) = rows.take(features), rows.labels.unique(return_inverse=True)
        class_weights = None if class_weights is None else class_weights[present]
        unit = normalised(x)
        means = unit.new_zeros(len(present), unit.shape[1]).index_add(0, y, unit)
        renumbered: RowOptions = {
            **options, "ignore_index": -1, "sample_weights": rows.weights, "class_weights": class_weights
        }  # fmt: skip
        if len(present) > 1:
            return hug_terms(x, y, means, **{**self.settings, **renumbered})
        # One class has no pair to spread.
        proxies = means.detach() if self.detach_proxy else means
        alone = rows_of(x, y, means, renumbered, reductions=REDUCTIONS)
        return HUGTerms(0 * means.sum(), self.beta * attraction(x, alone, proxies, class_weights))


class Headless(nn.Module):
    """HUG with proxies that it owns, called with a head that it does not look at."""

    def __init__(self, hug: HUG) -> None:
        super().__init__()
        self.hug = hug

    def forward(self, features: Tensor, labels: Labels, head: HeadLike | None = None) -> Tensor:
        """The loss of `features` `(..., d)` with `labels` `(...)`."""
        del head
        return self.hug(features, labels)
