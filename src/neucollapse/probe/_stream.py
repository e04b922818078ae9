"""`feature_batches`: run a loader through a model and yield features, with both left as they were."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._errors import ClassifierWarning, InputError, NonDeterministicWarning, TrainModeWarning
from .._labels import checked_names
from .._names import names_options
from .._types import Float, Int
from ._batches import (
    EMPTY,
    Batch,
    Forward,
    Reading,
    call,
    checked_loader,
    copied_to,
    device_of,
    length_of,
    said_where,
    squeezed,
)
from ._checks import Fingerprint, batch_dependence, change_between, loader_complaints
from ._classifier import Classifier, disagreement_sentence
from ._find import find_classifier
from ._layers import Pool
from ._state import undisturbed, unwrap
from ._tap import Captured, FeatureTap, Layers, checked_layers, checked_pool


@dataclass(frozen=True, eq=False)
class FeatureBatch:
    """The features of one batch, on the model's device. `N` counts labels: samples, tokens or pixels.

    Attributes:
        features: the classifier's input, `(N, d)`, before any normalisation it does inside.
        labels: int64; `ignore_index` values pass through.
        decisions: the class with the largest output of the model's classifier.
        layers: for each measured inner layer its output, one vector a label, `(N, d_layer)`.
        logits: the classifier's output `(N, K)` if asked for.
    """

    features: Float[Tensor, "N d"]
    labels: Int[Tensor, "N"]
    decisions: Int[Tensor, "N"]
    layers: dict[str, Tensor]
    logits: Tensor | None = None


class FeatureBatches(Iterable[FeatureBatch]):
    """Batches of features of a model over a loader; iterate as often as needed. Made by `feature_batches`.

    Between two batches, and after an early end or an exception, model, gradient mode and random numbers are as the
    caller left them. A second pass is compared with the first (`Fingerprint`).

    Attributes:
        classifier: the classifier; read before the first pass it takes one batch from the loader to find it.
        layers: names of the inner layers measured.
        skipped: for each layer of `layers="auto"` that is not measured, why.
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        *,
        classifier: str | nn.Module | Classifier | None,
        layers: Layers,
        pool: Pool,
        mode: str,
        forward: Forward | None,
        logits: bool,
        strict: bool,
        allow_empty: bool,
        device: torch.device | str | None,
        class_names: Sequence[str],
    ) -> None:
        if mode not in ("eval", "keep"):
            raise InputError(f'expected mode to be "eval" or "keep", got {mode!r}')
        self._model = unwrap(model)
        self._loader = checked_loader(loader)
        self._asked = classifier
        self._classifier = classifier if isinstance(classifier, Classifier) else None
        self._is_auto = layers == "auto"
        self.layers: list[str] = [] if layers == "auto" else checked_layers(self._model, layers)
        self.skipped: dict[str, str] = {}
        self._pool: Pool = checked_pool(pool)
        self._mode = mode
        self._forward = forward
        self._logits = logits
        self._strict = strict
        self._allow_empty = allow_empty
        self._device = device_of(self._model) if device is None else torch.device(device)
        self._names = checked_names(class_names) or []
        self._is_checked = False
        self._begun: Reading | None = None
        self._is_begun = False
        self._first: Fingerprint | None = None

    @property
    def repeatable(self) -> bool:
        """Whether the loader can be read again; an iterator, such as a generator, cannot."""
        return not isinstance(self._loader, Iterator)

    @property
    def classifier(self) -> Classifier:
        """The classifier of the model."""
        if self._classifier is None:
            self._classifier = self._peek()
        return self._classifier

    def __len__(self) -> int:
        length = length_of(self._loader)
        if length is None:
            raise TypeError("the loader does not say how many batches it has")
        return length

    def __iter__(self) -> Iterator[FeatureBatch]:
        self._check_loader()
        self._is_begun = True
        seen = Fingerprint()
        reading, self._begun = self._begun or Reading(self._loader, self._names), None
        while True:
            # Within this block alone do the loader and the model run: nothing of theirs stays set at the yield.
            with reading.random.active():
                batch = reading.next()
                if batch is None:
                    break
                result = self._extract(batch)
            seen.update(result.features, result.labels)
            yield result
        self._finish(seen)

    def _extract(self, batch: Batch) -> FeatureBatch:
        inputs, labels, where = batch
        with said_where(batch):
            if not self._is_checked:
                self._check_model(inputs, labels)
            captured = self._run(inputs, labels)
        if squeezed(captured.positions) != tuple(labels.shape):
            one_hot = squeezed(captured.positions) == tuple(labels.shape[:-1])
            raise InputError(
                f"{where}: expected one label for each feature: the classifier {self.classifier} took features of "
                f"shape {(*captured.positions, self.classifier.dim)}, the labels have shape {tuple(labels.shape)}"
                + (". One-hot rows become class numbers by labels.argmax(-1)" if one_hot else "")
            )
        labels = labels.reshape(-1).to(captured.features.device)
        return FeatureBatch(captured.features, labels, captured.decisions, captured.layers, captured.logits)

    def _run(self, inputs: Any, labels: Tensor, layers: Layers | None = None) -> Captured:
        names = self.layers if layers is None else layers
        tap = FeatureTap(
            self._model, self.classifier, names, pool=self._pool, label_dims=labels.ndim, logits=self._logits
        )
        # Copied for each run, because a model may write into its input.
        copy = copied_to(inputs, self._device)
        with undisturbed(self._model, mode=self._mode), tap:
            call(self._model, copy, self._forward)
            return tap.take()

    def _check_model(self, inputs: Any, labels: Tensor) -> None:
        """Once, on the first batch: find the classifier, settle the layers, compare two forward passes."""
        if any(module.training for module in self._model.modules()):
            self._complain(_train_mode(self._mode), TrainModeWarning)
        if self._classifier is None:
            self._classifier = self._find(inputs, labels)
        one = self._run(inputs, labels, "auto" if self._is_auto else None)
        self.layers, self.skipped = list(one.layers), one.skipped
        other = self._run(inputs, labels)
        if change := change_between(one, other):
            self._complain(
                f"two forward passes of the model over the same batch differ: {change}. Is dropout or another source "
                "of noise active?",
                NonDeterministicWarning,
            )
        if self._mode == "eval" and (reason := batch_dependence(self._model)):
            self._complain(reason, NonDeterministicWarning)
        self._is_checked = True

    def _find(self, inputs: Any, labels: Tensor | None) -> Classifier:
        asked = None if isinstance(self._asked, Classifier) else self._asked
        found = find_classifier(self._model, inputs, name=asked, forward=self._forward, labels=labels)
        if found.disagreement:
            self._complain(disagreement_sentence(found), ClassifierWarning)
        return found

    def _peek(self) -> Classifier:
        """Find the classifier by the first batch. The first pass goes on from there, so a loader is begun only once."""
        reading = Reading(self._loader, self._names)
        with reading.random.active():
            batch = reading.next()
        if batch is None and not self._allow_empty:
            raise InputError(EMPTY)
        # Workers that persist serve one reader at a time: another split's would end this one.
        if not getattr(self._loader, "persistent_workers", False):
            reading.put_back(batch)
            self._begun = reading
        if batch is None:  # a rank without samples still needs K and d to merge with the others
            return self._find(None, None)
        with said_where(batch):
            return self._find(batch.inputs, batch.labels)

    def _check_loader(self) -> None:
        if self._is_begun and not self.repeatable:
            raise InputError(_ONCE)
        if self._first is None:
            for complaint in loader_complaints(self._loader):
                self._complain(complaint, NonDeterministicWarning)

    def _finish(self, seen: Fingerprint) -> None:
        if seen.count == 0 and self._first is not None and self._first.count:
            self._complain(_ONCE, NonDeterministicWarning)
            return
        if seen.count == 0 and not self._allow_empty:
            raise InputError(EMPTY)
        if self._first is None:
            self._first = seen
        elif difference := self._first.difference(seen):
            self._complain(
                f"a later pass over the loader differs from the first: {difference}. Measure without random "
                "augmentation and sampling",
                NonDeterministicWarning,
            )

    def _complain(self, sentence: str, category: type[Warning]) -> None:
        if self._strict:
            raise InputError(sentence)
        warnings.warn(sentence, category, stacklevel=2)


_ONCE = "the loader can be read once only (it is, or holds, an iterator): give a DataLoader or a list"


def _train_mode(mode: str) -> str:
    if mode == "eval":
        return "the model was in train mode; its features are measured in eval mode and train mode is put back"
    return (
        "the model is measured in train mode, as asked: dropout and batch statistics change its features. "
        'mode="eval" measures the model that is used for predictions'
    )


@names_options
def feature_batches(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    classifier: str | nn.Module | Classifier | None = None,
    layers: Layers = (),
    pool: Pool = "mean",
    mode: str = "eval",
    forward: Forward | None = None,
    logits: bool = False,
    strict: bool = False,
    allow_empty: bool = False,
    device: torch.device | str | None = None,
    class_names: Sequence[str] = (),
) -> FeatureBatches:
    """Run a loader through a model and yield what its classifier receives, batch by batch.

    The model runs in eval mode without gradients. Its train flags, buffers and hooks, the gradient mode, the inputs
    and the random numbers of Python, numpy, torch and the loader are bit for bit as before whenever a batch is
    yielded and at the end, however it ends. A pass draws its random numbers from where the caller's stand, so two
    passes in a row shuffle alike. On the first batch the model runs up to three times, to find its classifier and to
    see whether two runs agree.

    Args:
        model: any module; parallel wrappers and `torch.compile` are looked through.
        loader: an iterable of `(inputs, labels)`, or of dicts with `labels`, `label`, `y`, `targets` or
            `target` beside the inputs. Inputs are a tensor, a tuple of arguments or a dict of keyword arguments;
            labels are integers of any type, `(B,)` or `(B, 1)`, or `(B, T)` for a model that classifies tokens;
            or strings, with `class_names`. Batches without samples are passed over.
        classifier: its name, itself, or what `find_classifier` gave; found by running the first batch if None.
        layers: names of inner layers to yield too, or `"auto"` for the main blocks.
        pool: how an inner output becomes one vector a sample: `"mean"` over positions, `"flatten"`, or a function
            that returns `(rows, d)`.
        mode: `"eval"`, or `"keep"` to leave train flags as they are.
        forward: called as `forward(model, inputs)` in place of the model.
        logits: yield the classifier's output too, not its decisions alone.
        strict: raise where this would warn.
        allow_empty: accept a loader without samples (a rank whose shard is empty).
        device: where inputs are moved; the device of the model's first parameter if None. The model is not moved.
        class_names: which row of the classifier a label that is a string means: one name a row, in order.

    Returns:
        An iterable of `FeatureBatch`; its `classifier` gives K, d, weight and bias. An argument or a batch that cannot be
        used, an empty loader, and with `strict` anything to warn about are an `InputError`, while iterating where it
        concerns batches; an error of the model's own code is a `ForwardError`.

    Warns:
        TrainModeWarning: if the model is in train mode.
        ClassifierWarning: if the classifier was named, and its output is not the model's.
        NonDeterministicWarning: if two forward passes differ, features depend on their batch, a second pass over the
            loader differs from the first, or its settings miss or repeat samples.

    Examples:
        >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
        >>> loader = [(torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1])) for _ in range(2)]
        >>> batches = feature_batches(model, loader)
        >>> [batch.features.shape for batch in batches], batches.classifier.num_classes
        ([torch.Size([5, 4]), torch.Size([5, 4])], 3)
    """
    return FeatureBatches(
        model,
        loader,
        classifier=classifier,
        layers=layers,
        pool=pool,
        mode=mode,
        forward=forward,
        logits=logits,
        strict=strict,
        allow_empty=allow_empty,
        device=device,
        class_names=class_names,
    )
