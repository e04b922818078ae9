"""`FeatureTap`: the input of a classifier and the outputs of named layers, taken while a model runs."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from .._errors import InputError
from .._names import close_names, unknown_name
from .._types import Float, Int
from ._batches import describe
from ._classifier import Classifier, whole
from ._layers import Pool, features_of, main_layers
from ._runs import first_tensor
from ._state import unwrap

Layers = Sequence[str] | Literal["auto"]


@dataclass(frozen=True, eq=False)
class Captured:
    """What one forward pass gave. `N` counts labels: samples, tokens or pixels.

    Attributes:
        features: the classifier's input.
        decisions: the class with the largest output of the classifier.
        logits: the classifier's output, if asked for.
        layers: for each named layer its output, reduced to one vector a label.
        skipped: for each layer of `layers="auto"` that gave none, why.
        positions: the shape of the features without their last dimension: what labels must have.
    """

    features: Float[Tensor, "N d"]
    decisions: Int[Tensor, "N"]
    logits: Tensor | None
    layers: dict[str, Tensor]
    skipped: dict[str, str]
    positions: tuple[int, ...]


@dataclass
class _Taken:
    features: list[Tensor] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    decisions: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    layers: dict[str, list[Tensor]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


class FeatureTap:
    """Within `with`, records what reaches the classifier of a model and what named layers give.

    Features are what the classifier receives, so before any normalisation it does inside. Everything is copied when
    it is seen, so that later in-place operations of the model do not reach it. The hooks are removed at the end of
    the `with` block, also after an exception. Gradients, train mode and random numbers are left to the caller;
    `feature_batches` takes care of them.

    Args:
        model: the model that will be run; it or a parallel wrapper of it.
        classifier: as `find_classifier` gave it.
        layers: names of inner layers, or `"auto"` for the main blocks.
        pool: how an inner output `(B, C, H, W)` or `(B, T, d)` becomes one vector a sample: `"mean"` over
            positions, `"flatten"`, or a function that returns `(rows, d)`.
        label_dims: how many leading dimensions carry a label: 1 a sample, 2 a token, 3 a pixel.
        logits: keep the classifier's output too, `(N, K)`.

    Raises:
        InputError: if a named layer does not exist.

    Examples:
        >>> import torch
        >>> from neucollapse.probe import find_classifier
        >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
        >>> with FeatureTap(model, find_classifier(model), layers=["0"]) as tap:
        ...     _ = model(torch.zeros(5, 8))
        ...     captured = tap.take()
        >>> captured.features.shape, captured.layers["0"].shape
        (torch.Size([5, 4]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        model: nn.Module,
        classifier: Classifier,
        layers: Layers = (),
        *,
        pool: Pool = "mean",
        label_dims: int = 1,
        logits: bool = False,
    ) -> None:
        model = unwrap(model)
        self._classifier = classifier
        self._is_lenient = layers == "auto"
        names = main_layers(model, classifier.name) if layers == "auto" else checked_layers(model, layers)
        self._layers = {name: model.get_submodule(name) for name in names}
        self._pool: Pool = checked_pool(pool)
        self._label_dims = label_dims
        self._keeps_logits = logits
        self._hooks = ExitStack()
        self._taken = _Taken()

    def __enter__(self) -> "FeatureTap":
        head = self._classifier.module
        self._hooks.callback(head.register_forward_pre_hook(self._take_features, with_kwargs=True).remove)
        self._hooks.callback(head.register_forward_hook(self._take_logits).remove)
        for name, module in self._layers.items():
            self._hooks.callback(module.register_forward_hook(self._taker(name)).remove)
        return self

    def __exit__(self, *exception: object) -> None:
        self._hooks.close()

    def take(self) -> Captured:
        """What the last forward pass gave; the tap is then ready for the next one.

        Raises:
            InputError: if the classifier did not run exactly once, or a named layer gave nothing that can be used.
        """
        taken, self._taken = self._taken, _Taken()
        features = self._of_classifier(taken)
        problems = taken.errors | {name: "it did not run" for name in self._layers if name not in taken.layers}
        problems |= {name: f"it ran {len(got)} times" for name, got in taken.layers.items() if len(got) > 1}
        layers = {name: got[0] for name, got in taken.layers.items() if name not in problems}
        rows = features.shape[:-1].numel()
        for name in [name for name, output in layers.items() if len(output) != rows]:
            problems[name] = f"it gave {len(layers.pop(name))} vectors for {rows} features of the classifier"
        problems = {name: problems[name] for name in self._layers if name in problems}
        if problems and not self._is_lenient:
            raise InputError("; ".join(f"layer {name!r} cannot be measured: {why}" for name, why in problems.items()))
        return Captured(
            features.reshape(-1, self._classifier.dim),
            taken.decisions[0].reshape(-1),
            taken.logits[0].reshape(-1, self._classifier.num_classes) if self._keeps_logits else None,
            {name: layers[name] for name in self._layers if name in layers},
            problems,
            tuple(features.shape[:-1]),
        )

    def _of_classifier(self, taken: _Taken) -> Tensor:
        head = self._classifier
        if len(taken.features) != 1 or len(taken.shapes) != 1:
            raise InputError(
                f"expected the classifier {head} to run once in a forward pass on floating-point features and to "
                f"return logits; it took {len(taken.features)} inputs and gave {len(taken.shapes)} outputs. Choose "
                "another layer with classifier=, or run the model in parts with forward="
            )
        features = head.channels_last(taken.features[0])
        if features.shape[-1] != head.dim or taken.shapes[0] != (*features.shape[:-1], head.num_classes):
            raise InputError(
                f"expected the classifier {head} to map (..., {head.dim}) to (..., {head.num_classes}), "
                f"got {tuple(features.shape)} to {taken.shapes[0]}"
            )
        return features

    def _take_features(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        if (features := first_tensor((*args, *kwargs.values()))) is not None:
            self._taken.features.append(whole(features.detach()).clone())

    def _take_logits(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG002
        if (scores := first_tensor(output)) is None:
            return
        scores = self._classifier.channels_last(whole(scores.detach()))
        self._taken.shapes.append(tuple(scores.shape))
        self._taken.decisions.append(scores.argmax(-1))
        if self._keeps_logits:  # K numbers a label: at a vocabulary's size too many to copy unasked
            self._taken.logits.append(scores.clone())

    def _taker(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def take(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001
            tensor = first_tensor(output)
            if tensor is None:
                self._taken.errors[name] = f"it returned {describe(output)}, no floating-point tensor"
                return
            try:
                features = features_of(whole(tensor.detach()), module, self._label_dims, self._pool)
            except InputError as error:
                self._taken.errors[name] = str(error)
                return
            self._taken.layers.setdefault(name, []).append(features)

        return take


def checked_layers(model: nn.Module, layers: Sequence[str]) -> list[str]:
    """The names, each once; all of them layers of the model."""
    if isinstance(layers, str):
        raise InputError(f'expected layers to be a list of names or "auto", got {layers!r}')
    known = [name for name, _ in model.named_modules() if name]
    for name in layers:
        if name not in known:
            raise unknown_name("layer", name, close_names(name, known) or main_layers(model), owner="the model")
    return list(dict.fromkeys(layers))


def checked_pool(pool: Pool) -> Pool:
    """The pool, if it is one."""
    if not callable(pool) and pool not in ("mean", "flatten"):
        raise InputError(f'expected pool to be "mean", "flatten" or a function, got {pool!r}')
    return pool
