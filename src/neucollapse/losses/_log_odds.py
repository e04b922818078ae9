"""The log-odds against the label, from logits: what every loss of plain logits begins with."""

import torch
from torch import Tensor

from .._errors import InputError
from ._labels import check_labels
from .cross_entropy import negatives_logsumexp


def log_odds(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    r""":math:`m = \log \sum_{j \ne y} e^{z_j} - z_y` (n,), :math:`z_y` minus the mean logit (n,), the mask ``(...)``.

    Rows that do not count are zero logits. Half precision becomes float32. Errors are those of ``cross_entropy``.
    """
    if not logits.is_floating_point() or logits.dim() < 1 or logits.shape[-1] < 1:
        raise InputError(f"expected floating logits of shape (..., K), got {logits.dtype} of {tuple(logits.shape)}")
    K = logits.shape[-1]
    counted = check_labels(labels, logits.shape[:-1], K, ignore_index)
    z = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    z = z.reshape(-1, K).where(counted.reshape(-1, 1), 0)
    y = labels.where(counted, 0).reshape(-1).long()
    target = z.gather(1, y[:, None])
    return negatives_logsumexp(z, y) - target.squeeze(1), (target - z).mean(dim=1), counted
