"""The log-odds against the label, from logits: what every loss of plain logits begins with."""

from torch import Tensor

from .cross_entropy import flat_logits, negatives_logsumexp


def log_odds(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    r""":math:`m = \log \sum_{j \ne y} e^{z_j} - z_y` (n,), :math:`z_y` minus the mean logit (n,), the mask ``(...)``.

    Rows that do not count are zero logits. Half precision becomes float32. Errors are those of ``cross_entropy``.
    """
    z, y, counted = flat_logits(logits, labels, ignore_index)
    target = z.gather(1, y[:, None])
    return negatives_logsumexp(z, y) - target.squeeze(1), (target - z).mean(dim=1), counted
