"""Settings of the unconstrained features model."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class UFM(Settings):
    """Unconstrained features: every feature is free, and is trained together with the classifier."""

    classes: int = 10  # K.
    dim: int = 16  # d, of the features.
    samples: int = 5  # n, per class.
    loss: Literal["ce", "mse", "label-smoothing", "focal"] = "ce"
    """mean over the samples of ce (cross-entropy), mse (half the squared error to one-hot targets), label-smoothing or
    focal."""
    smoothing: float = 0.1  # of label-smoothing.
    gamma: float = 2.0  # exponent of focal.
    constraint: Literal["decay", "ball", "sphere", "weight-norm"] = "decay"
    """what keeps the network bounded. decay: weight decay of features, weights and bias. ball: features and weight rows of
    a norm of at most `radius`. sphere: both of norm 1, over a temperature. weight-norm: features and weights of a fixed
    Frobenius norm, times one scale, which decays."""
    bias: bool = True  # whether the classifier has a bias; not on the sphere.
    decay_weight: float = 5e-3  # lambda_W, the factor of half the squared norm of W, or of the scale of weight-norm.
    decay_features: float = 5e-3  # lambda_H, of half the squared norm of the features.
    decay_bias: float = 5e-3  # lambda_b, of half the squared norm of the bias; 0 leaves it free.
    decay_per: Literal["sample", "class", "total"] = "sample"
    """what decay_features counts. sample: the mean of the squared norms over all samples. class: their sum over the classes
    of means over samples. total: their sum, with which more samples are more decay."""
    radius: float = 2.0  # of the balls.
    temperature: float = 0.02  # of the sphere, at the end of the path.
    temperature_start: float = 1.0  # at its start.
    points: int = 8  # temperatures on the path, from the start down, each begun where the last one ended.
    iterations: int = 500  # of L-BFGS at every temperature, at most.
    cold: bool = True  # whether every temperature is solved from a random start, too.
    objective: Literal["loss", "log"] = "loss"
    """of the sphere: the loss, or its logarithm, whose gradient does not vanish with the loss."""
    init: Literal["gaussian", "orthogonal"] = "gaussian"
    """how starts are drawn: gaussian entries, or orthogonal rows or columns, all of whose singular values are equal; a
    square Gaussian matrix has tiny ones, which take long to grow where classes are many."""
    starts: int = 5  # random starts.
    saddles: int = 3  # ranks for which a saddle is looked for and its curvature measured, under decay.
    gd_steps: int = 2000  # of the baseline, plain gradient descent; 0 for none.
    lr: float = 1.0  # of the baseline.
    momentum: float = 0.9  # of the baseline.
    tolerance: float = 1e-10  # of the gradient norm, at which a start is solved.

    name = "ufm"
    title = "Unconstrained features"
    question = "What is the optimum of a loss when features are free? For which decay does everything vanish?"
    citations = ("zhu2021", "zhou2022mse", "zhou2022losses", "mixon2022", "jiang2023", "rangamani2022")
    rules = (
        at_least(2, "classes"),
        at_least(1, "dim", "samples", "points", "starts", "iterations"),
        at_least(0, "saddles", "gd_steps"),
        at_least(0.0, "gamma", "decay_bias"),
        positive("decay_weight", "decay_features", "radius", "temperature", "temperature_start", "lr", "tolerance"),
        (("smoothing", "momentum"), "from 0 to below 1", lambda value: 0 <= value < 1),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.constraint == "sphere" and self.loss == "mse":
            raise InputError("expected a cross-entropy on the sphere (ce, label-smoothing, focal), got mse")
        if self.constraint == "sphere" and self.dim < 2:
            raise InputError(
                "expected dim of at least 2 on the sphere: in one, unit features are +1 and -1, which no gradient moves; "
                f"got {self.dim}"
            )
        if self.constraint == "weight-norm" and self.loss != "mse":
            raise InputError(f"expected mse with weight-norm, the model of that literature, got {self.loss}")
        if self.objective == "log" and (self.constraint != "sphere" or self.loss == "label-smoothing"):
            raise InputError("expected objective loss, or log on the sphere with ce or focal, got log")
        if self.constraint == "sphere" and self.temperature > self.temperature_start:
            raise InputError(
                f"expected a temperature of at most temperature_start={self.temperature_start:g}, got {self.temperature:g}"
            )
