"""Settings of the deep linear model with cross-entropy and no decay."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class DeepLinear(Settings):
    """Free features under linear layers with cross-entropy and no decay: depth prefers codes of low rank to neural collapse."""

    classes: int = 10  # number of classes K, one sample each.
    dim: int = 32  # dimension of the features and width of every hidden layer.
    depths: tuple[int, ...] = (2, 3, 4, 6)
    """numbers of matrices multiplied, the features among them; 2 is the plain model."""
    init: Literal["gaussian", "spectral"] = "gaussian"
    """gaussian draws every entry; spectral draws singular values alone, on the Hadamard basis (K a power of two), and
    singular vectors stay where they are."""
    scale: float = 0.5
    """of the start. gaussian: standard deviation of the entries times the root of dim; spectral: singular value of a factor."""
    spread: float = 0.1  # spectral alone: standard deviation of the logarithm of a singular value.
    starts: int = 3  # random starts at each depth.
    steps: int = 1200  # of the flow of log loss, at each depth.

    name = "deep-linear"
    title = "Deep linear networks: from neural collapse to softmax codes"
    question = "When does depth prefer another code to the simplex?"
    citations = ("garrod2026", "jiang2023")
    rules = (
        at_least(3, "classes"),
        at_least(1, "dim", "starts"),
        at_least(12, "steps"),
        positive("scale"),
        at_least(0.0, "spread"),
        (("depths",), "as one depth or more, each of at least 2", lambda depths: bool(depths) and min(depths) >= 2),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim < 2:
            raise InputError(f"expected dim of at least 2, for one dimension holds no 3 classes apart; got {self.dim}")
        if self.init == "spectral" and (self.classes & (self.classes - 1) or self.dim < self.classes):
            raise InputError(
                "expected a power of two as classes, and dim no smaller, for the Hadamard basis of init='spectral'; "
                f"got classes={self.classes}, dim={self.dim}"
            )
