"""The bias of the classifier at collapse: it cancels what the global mean adds to the logits.

All rows of the classifier count, also those of classes without samples: their logits at the global mean are logits too.
"""

import torch
from torch import Tensor

from ._metric import Metric
from ._terms import Need, Terms


def _logits(terms: Terms, weighting: str = "class") -> Tensor:
    head = terms.classifier
    return head.weight.unit * (head.weight.raw @ terms.stats.global_mean(weighting).cpu()) + head.bias


def _length(logits: Tensor) -> float:
    return float(torch.linalg.vector_norm(logits))


def _centred(terms: Terms) -> float:
    logits = _logits(terms)
    return _length(logits - logits.mean())


_NEEDS: tuple[Need, ...] = ("classifier", "bias")

METRICS = (
    Metric(
        "bias/relation", "logits of the global mean", "‖W μ_G + b‖",
        "Length of the logits, of all K rows, at the mean of class means. Zero at collapse with weight decay on the bias; a "
        "constant added to all logits, which softmax ignores, counts against it. Some code prints it as NC4.",
        lambda terms: _length(_logits(terms)), "zhu2021", needs=_NEEDS,
    ),
    Metric(
        "bias/relation_sample_mean", "logits of the sample mean", "‖W μ_G + b‖, μ_G = Σ n_c μ_c / N",
        "bias/relation at the mean of all samples, as in the paper and its code. Equal for balanced classes.",
        lambda terms: _length(_logits(terms, "sample")), "zhu2021", needs=_NEEDS,
    ),
    Metric(
        "bias/relation_centred", "logits of the global mean, less their mean", "‖(I - 11ᵀ/K)(W μ_G + b)‖",
        "bias/relation without what softmax ignores: at collapse the global mean prefers no class.",
        _centred, "zhu2021", needs=_NEEDS,
    ),
)  # fmt: skip
