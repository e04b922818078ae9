"""The bias of the classifier at collapse: it cancels what the global mean adds to the logits."""

import torch

from ._metric import Metric
from ._terms import Terms


def _relation(terms: Terms, *, centred: bool) -> float:
    logits = terms.weight.raw @ terms.stats.global_mean().cpu() + terms.bias
    return float(torch.linalg.vector_norm(logits - logits.mean() if centred else logits))


METRICS = (
    Metric(
        "bias/relation",
        "logits of the global mean",
        "‖W μ_G + b‖",
        "Length of the logits at the mean of class means. Zero at collapse with weight decay on the bias; a constant "
        "added to all logits, which softmax ignores, counts against it. Some code prints it as NC4.",
        "[0, ∞)",
        "0",
        lambda terms: _relation(terms, centred=False),
        "zhu2021",
        log=True,
    ),
    Metric(
        "bias/relation_centred",
        "logits of the global mean, less their mean",
        "‖(I - 11ᵀ/K)(W μ_G + b)‖",
        "bias/relation without what softmax ignores: at collapse the global mean prefers no class.",
        "[0, ∞)",
        "0",
        lambda terms: _relation(terms, centred=True),
        "zhu2021",
        log=True,
    ),
)
