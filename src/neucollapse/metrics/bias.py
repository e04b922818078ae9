"""The bias of the classifier at collapse: it cancels what the global mean adds to the logits.

All rows of the classifier count, also those of classes without samples: their logits at the global mean are logits too.
"""

import torch

from ._metric import Metric
from ._range import NONNEGATIVE
from ._terms import Terms


def _relation(terms: Terms, *, centred: bool, weighting: str = "class") -> float:
    head = terms.classifier
    logits = head.weight_unit * (head.weight.raw @ terms.stats.global_mean(weighting).cpu()) + head.bias
    return float(torch.linalg.vector_norm(logits - logits.mean() if centred else logits))


def _metric(name: str, title: str, symbol: str, definition: str, *, centred: bool, weighting: str = "class") -> Metric:
    def compute(terms: Terms) -> float:
        return _relation(terms, centred=centred, weighting=weighting)

    return Metric(
        name, title, symbol, definition, NONNEGATIVE, "0", compute, "zhu2021", log=True, needs=("classifier", "bias")
    )


METRICS = (
    _metric(
        "bias/relation", "logits of the global mean", "‖W μ_G + b‖",
        "Length of the logits, of all K rows, at the mean of class means. Zero at collapse with weight decay on the bias; a "
        "constant added to all logits, which softmax ignores, counts against it. Some code prints it as NC4.",
        centred=False,
    ),
    _metric(
        "bias/relation_sample_mean", "logits of the sample mean", "‖W μ_G + b‖, μ_G = Σ n_c μ_c / N",
        "bias/relation at the mean of all samples, as in the paper and its code. Equal for balanced classes.",
        centred=False, weighting="sample",
    ),
    _metric(
        "bias/relation_centred", "logits of the global mean, less their mean", "‖(I - 11ᵀ/K)(W μ_G + b)‖",
        "bias/relation without what softmax ignores: at collapse the global mean prefers no class.",
        centred=True,
    ),
)  # fmt: skip
