"""Class-mean features: the classifier is a running mean of the features it classifies, and is never trained."""

import torch
from torch import Tensor

from .._errors import InputError
from ..losses._normalised import normalised
from ..losses._rows import CountedRows, Labels
from ._head import Head, check_features, full_precision_cosine_logits, sum_over_ranks


class ClassMeanFeatures(Head):
    r"""Logits $z_k = s \cos(w_k, x)$ where $w_k$ is a running mean of the features of class k.

    At generalized neural collapse class means and classifier agree, so the classifier need not be learned: no gradient, no
    optimiser state. For each batch, with $n_k$ samples of class k,

    $$ w_k \leftarrow \frac{m\, w_k + (1 - m)\, h_k}{\left| m\, w_k + (1 - m)\, h_k \right|}, \qquad
       h_k = \sum_{i : y_i = k} \frac{x_i}{|x_i|} $$

    A class absent from the batch keeps its row. All rows start at zero, where a class's logit is 0, so that its first
    batch counts in full.

    `update` is called by the training loop, before the loss, whose logits then use the new rows. Forward does not call
    it: it has no labels, evaluation must not move the classifier, and a loss may ask for logits twice.

    Args:
        dim: d, the width of the features.
        num_classes: K.
        momentum: $m$ in [0, 1).
        scale: $s$, the inverse temperature.
        batch: `"sum"`, as the authors' code has it: a class moves faster the more often it is in the batch; or `"mean"`,
            $h_k$ divided by $n_k$.

    Attributes:
        weight: a buffer (K, d) of unit rows, zero for classes not yet seen; in float32 also where the model is narrower.
        scale: a buffer, a scalar tensor.

    Raises:
        InputError: a momentum outside [0, 1), a scale that is not positive, an unknown `batch`.

    References:
        Jiang et al., "Generalized Neural Collapse for a Large Number of Classes", arXiv 2310.05351.

    Examples:
        >>> import torch
        >>> head = ClassMeanFeatures(dim=2, num_classes=3, momentum=0.5)
        >>> head.update(torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1]))
        >>> head.update(torch.tensor([[0.0, 5.0]]), torch.tensor([0]))
        >>> head.weight
        tensor([[0.7071, 0.7071],
                [0.0000, 1.0000],
                [0.0000, 0.0000]])
    """

    weight: Tensor
    scale: Tensor
    full_precision = ("weight",)  # in bfloat16 a mean of momentum 0.9 stands still

    def __init__(
        self, dim: int, num_classes: int, *, momentum: float | int = 0.9, scale: float | int = 16.0, batch: str = "sum"
    ) -> None:
        super().__init__(dim, num_classes, scale=scale)
        if not 0 <= momentum < 1:
            raise InputError(f"expected momentum from 0 to below 1, got {momentum}")
        if batch not in ("mean", "sum"):
            raise InputError(f"expected batch 'mean' or 'sum', got {batch!r}")
        self.momentum, self.batch = momentum, batch
        self.register_buffer("weight", torch.zeros(num_classes, dim))

    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` in `[-s, s]` of features `(..., d)` of any length."""
        return full_precision_cosine_logits(features, self.weight, self.scale)

    @torch.no_grad()
    def update(self, features: Tensor, labels: Labels, ignore_index: int = -100) -> None:
        """Move the rows towards the features of a batch; with several ranks, of all their batches, alike on all ranks.

        Every rank calls it, also one without samples. In place: call it before the loss, not between loss and backward.

        Args:
            features: `(..., d)`, of any length; a zero row counts as zero.
            labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
            ignore_index: label of samples that do not count.
        """
        check_features(features, self.dim)
        rows = CountedRows(features, labels, self.num_classes, {"ignore_index": ignore_index}, coupled=True)
        unit = normalised(rows.take(features))
        # Counts in a last column: one collective for both.
        ones = unit.new_ones(len(unit), 1)
        sums = unit.new_zeros(self.num_classes, self.dim + 1)
        sums.index_add_(0, rows.labels, torch.cat([unit, ones], dim=1))
        total, count = sum_over_ranks(sums).split([self.dim, 1], dim=1)
        batch = total / count.clamp(min=1) if self.batch == "mean" else total
        moved = normalised(self.momentum * self.weight.to(batch.dtype) + (1 - self.momentum) * batch)
        self.weight.copy_(moved.where(count > 0, self.weight.to(batch.dtype)))

    def extra_repr(self) -> str:
        """Sizes, scale and momentum, for `repr`."""
        rule = "" if self.batch == "sum" else ", batch='mean'"
        return f"{super().extra_repr()}, momentum={self.momentum:g}{rule}"
