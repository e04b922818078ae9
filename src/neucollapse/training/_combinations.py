"""Which settings of a ``TrainConfig`` go together. This module never imports torch."""

from typing import TYPE_CHECKING, Literal

from .._errors import InputError

if TYPE_CHECKING:
    from .config import TrainConfig

HeadName = Literal[
    "linear", "cosine", "fixed", "class-means", "sub-centre", "fixed-simplex", "fixed-hadamard", "fixed-kerdock"
]
LossName = Literal[
    "cross-entropy", "norm-face", "cos-face", "arc-face", "sphere-face", "ada-face", "combined-face", "focal",
    "label-smoothing", "log", "mse", "hug", "sup-con", "centre", "dot-regression", "nonl", "ntce", "hard-max",
]  # fmt: skip

FIXED = ("fixed", "fixed-simplex", "fixed-hadamard", "fixed-kerdock")
MARGIN_LOSSES = ("cos-face", "arc-face", "sphere-face", "ada-face")
_ON_SPHERE = ("cosine", "class-means", "sub-centre", *FIXED)

# Losses that do not take every head: those they take, and why.
_HEADS_OF_LOSS: dict[str, tuple[tuple[str, ...], str]] = {
    **dict.fromkeys(
        ("norm-face", *MARGIN_LOSSES, "combined-face", "nonl", "ntce", "hard-max"),
        (
            _ON_SPHERE,
            "it trains directions alone, and would leave the lengths and the bias of a linear head as they are",
        ),
    ),
    "sup-con": (("class-means",), "it trains the features alone, which are then measured with their means"),
    "dot-regression": (FIXED, "it pulls features to fixed points and pushes none apart"),
}
# Settings that one choice alone reads: the field of the choice, and its values.
_ONLY_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "learn_scale": ("head", ("cosine",)),
    "scale_start": ("head", ("cosine",)),
    "code": ("head", ("fixed",)),
    "reassign_every": ("head", ("fixed",)),
    "mean_momentum": ("head", ("class-means",)),
    "centres": ("head", ("sub-centre",)),
    "margin": ("loss", MARGIN_LOSSES),
    "margin_warmup": ("loss", (*MARGIN_LOSSES, "combined-face")),
    "smoothing": ("loss", ("label-smoothing",)),
    "gamma": ("loss", ("focal",)),
    "alpha": ("loss", ("hug",)),
    "beta": ("loss", ("hug", "centre")),
    "uniformity": ("loss", ("hug",)),
    "proxy": ("loss", ("hug",)),
    "temperature": ("loss", ("sup-con",)),
    "imbalance_ratio": ("imbalance", ("exp", "step")),
}


def check_combination(config: "TrainConfig") -> None:
    """Raise ``InputError`` for settings that contradict one another, or that nothing would read."""
    for name, (field, values) in _ONLY_WITH.items():
        given, default = getattr(config, name), getattr(type(config), name)
        if given != default and getattr(config, field) not in values:
            raise InputError(
                f"{name} is a setting of {field} {' or '.join(values)}; expected it not to be given with "
                f"{field} {getattr(config, field)}, got {given!r}"
            )
    if config.learn_scale and config.scale_start is not None:
        raise InputError("expected learn_scale or scale_start, got both: the scale is either trained or annealed")
    if config.imbalance != "none" and config.imbalance_ratio is None:
        raise InputError(f"expected an imbalance_ratio for imbalance {config.imbalance}, got none")
    allowed, why = _HEADS_OF_LOSS.get(config.loss, ((), ""))
    if config.loss == "hug":
        allowed, why = _heads_of_hug(config.proxy or "learnable")
    if allowed and config.head not in allowed:
        raise InputError(f"{config.loss} expected the head {' or '.join(allowed)}, got {config.head}: {why}")
    _check_head_group(config)


def _heads_of_hug(proxy: str) -> tuple[tuple[str, ...], str]:
    if proxy == "learnable":
        return ("cosine", *FIXED), "the rows of the head are its proxies (those of a fixed head are static ones)"
    return ("class-means",), f"with {proxy} proxies no head is trained, and the means of the features are measured"


def _check_head_group(config: "TrainConfig") -> None:
    trained = config.head not in ("class-means", *FIXED) or config.loss == "centre" or config.proxy == "partial"
    given = [name for name in ("head_lr", "head_weight_decay") if getattr(config, name) is not None]
    if given and not trained:
        raise InputError(
            f"expected no {given[0]} with head {config.head} and loss {config.loss}, which have no parameters of their own"
        )
