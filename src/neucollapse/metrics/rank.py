"""How many directions features and classifier use: stable, effective and numerical rank."""

import torch
from torch import Tensor

from .._types import Float
from ._linear_algebra import finite, spectrum
from ._metric import Absent, Metric
from ._terms import Terms


def stable_rank(s: Float[Tensor, "r"]) -> float:
    """||A||_F^2 / ||A||_2^2 from the singular values s of A. Range [1, r]; hardly changed by small noise.

    Example:
        >>> stable_rank(torch.tensor([2.0, 2.0, 0.0], dtype=torch.float64))
        2.0
    """
    return float(s.square().sum() / _positive(s).max().square())


def effective_rank(s: Float[Tensor, "r"]) -> float:
    """exp of the entropy of s / sum(s). Range [1, r]. Roy, Vetterli 2007.

    Example:
        >>> round(effective_rank(torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)), 12)
        3.0
    """
    p = _positive(s) / s.sum()
    return float(torch.special.entr(p).sum().exp())


def numerical_rank(s: Float[Tensor, "r"]) -> float:
    """(||A||_* / ||A||_F)^2, squared ratio of nuclear and Frobenius norm. Range [1, r].

    Example:
        >>> numerical_rank(torch.tensor([3.0, 3.0], dtype=torch.float64))
        2.0
    """
    return float(s.sum().square() / _positive(s).square().sum())


def _positive(s: Tensor) -> Tensor:
    if not bool((s > 0).any()):
        raise Absent("the matrix is zero and has no rank to speak of")
    return s


def _features(terms: Terms) -> Tensor:
    return terms.once("feature spectrum", lambda: _moment_spectrum(terms))


def _moment_spectrum(terms: Terms) -> Tensor:
    # H^T H / N = S_W + sum_c (n_c / N) mu_c mu_c^T, from the statistics alone.
    means, weights = terms.means.raw, terms.class_weights("sample")
    moment = terms.within_scatter("sample") + (weights[:, None] * means).T @ means
    return torch.linalg.eigvalsh(finite(moment, "second moments")).clamp(min=0).sqrt()


def _weight(terms: Terms) -> Tensor:
    return terms.once("weight spectrum", lambda: spectrum(terms.weight.raw)[0])


_KINDS = (
    ("stable", "stable rank", "‖A‖_F² / ‖A‖₂²", "Squared Frobenius norm over squared spectral norm", stable_rank, "zhang2025"),
    ("effective", "effective rank", "exp H(s / Σs)", "Exponential of the entropy of singular values", effective_rank, "roy2007"),
    ("numerical", "numerical rank", "(‖A‖_* / ‖A‖_F)²", "Squared ratio of nuclear to Frobenius norm", numerical_rank, ""),
)  # fmt: skip

METRICS = tuple(
    Metric(
        f"rank/{name}{suffix}",
        title,
        symbol,
        f"{words}; A holds the features as they are, all N of them (uncentred).",
        "[1, d]",
        "K-1 for a simplex of centred features, d for a tight frame",
        lambda terms, function=function, read=read: function(read(terms)),
        citation,
    )
    for name, title, symbol, words, function, citation in _KINDS
    for suffix, read in (("", _features), ("@weight", _weight))
)
