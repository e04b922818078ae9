"""`inspect`: what a measurement of a model would use, before anything is measured."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .._errors import InputError
from .._labels import checked_names
from .._names import names_options
from ._batches import EMPTY, Batch, Forward, Reading, call, checked_loader, copied_to, device_of
from ._checks import batch_dependence, loader_complaints
from ._classifier import Classifier, disagreement_sentence
from ._find import find_classifier, rivals
from ._layers import Pool, main_layers
from ._state import RandomState, undisturbed, unwrap
from ._tap import Captured, FeatureTap, Layers, checked_layers, checked_pool

if TYPE_CHECKING:
    from rich.console import RenderableType

_NO_EXAMPLE = "known after one batch: pass a loader or example="


@dataclass(frozen=True)
class LayerPlan:
    """An inner layer that would be measured: its name, type and feature dimension (None until a batch is run)."""

    name: str
    kind: str
    dim: int | None


@dataclass(frozen=True)
class Inspection:
    """What a measurement would use. `print` it, or take `to_dict()`.

    Attributes:
        model: the type of the model.
        parameters: how many parameters it has.
        training: whether any part of it is in train mode.
        classifier: dotted name of the classifier; of a candidate for it, if `is_confirmed` is False.
        is_confirmed: whether a batch was run in which this layer gave the model's output.
        kind: the type of the classifier.
        num_classes: K.
        dim: d, the dimension of the classifier's input.
        bias: whether the classifier has a bias.
        is_affine: whether it returns W h + b; None if that takes a batch to tell.
        dtype: of its weight.
        device: of its weight.
        regime: `"simplex"` (K <= d + 1), `"orthoplex"` (d + 2 <= K <= 2d) or `"beyond"` (K > 2d).
        layers: the inner layers that would be measured.
        bytes_full: memory of the statistics with full scatter, (K d + d^2) float64, summed over classifier and layers.
        bytes_trace: memory of the statistics with traces alone, K d float64, summed likewise.
        skipped: what is not measured, and why.
        notes: what a reader should know before measuring.
    """

    model: str
    parameters: int
    training: bool
    classifier: str
    is_confirmed: bool
    kind: str
    num_classes: int
    dim: int
    bias: bool
    is_affine: bool | None
    dtype: str
    device: str
    regime: str
    layers: tuple[LayerPlan, ...]
    bytes_full: int
    bytes_trace: int
    skipped: dict[str, str]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """What `print` shows, as pairs of label and text."""
        K, d = self.num_classes, self.dim
        where = f"{self.dtype} on {self.device}"
        mode = "train mode" if self.training else "eval mode"
        rows = [
            ("model", f"{self.model}, {self.parameters:,} parameters, {mode}"),
            (
                "classifier" if self.is_confirmed else "candidate",
                f"{self.classifier or 'the model itself'}: {self.kind}, {'with' if self.bias else 'no'} bias, {where}",
            ),
            ("classes, dimension", f"K = {K:,}, d = {d:,}"),
            ("regime", regime_sentence(K, d)),
            ("memory", f"{_size(self.bytes_full)} with full scatter, {_size(self.bytes_trace)} with traces alone"),
        ]
        rows += [("layer", f"{plan.name}: {plan.kind}, d = {plan.dim or _NO_EXAMPLE}") for plan in self.layers]
        rows += [("skipped", f"{name}: {reason}") for name, reason in self.skipped.items()]
        return rows + [("note", note) for note in self.notes]

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)

    def __rich__(self) -> "RenderableType":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for label, text in self.rows():
            table.add_row(label, Text(text, style="yellow" if label == "note" else ""))  # Text: names are no markup
        return table


@names_options
def inspect(
    model: nn.Module,
    loader: Iterable[Any] | None = None,
    *,
    example: Any = None,
    classifier: str | nn.Module | None = None,
    layers: Layers = (),
    num_classes: int | None = None,
    pool: Pool = "mean",
    forward: Forward | None = None,
    class_names: Sequence[str] = (),
) -> Inspection:
    """Say what a measurement of the model would use, without measuring: a dry run that leaves the model as it is.

    Args:
        model: any module; parallel wrappers and `torch.compile` are looked through.
        loader: its first batch is run through the model, so that the classifier is found by its output and the
            dimensions of inner layers are known. Without loader and example only the structure is read.
        example: the inputs of a batch, in place of a loader.
        classifier: the classifier's name, or the layer itself, where you know it.
        layers: names of inner layers, or `"auto"` for the main blocks.
        num_classes: how many classes the labels have, if fewer than the classifier has outputs.
        pool: as in `feature_batches`.
        forward: as in `feature_batches`.
        class_names: as in `feature_batches`.

    Returns:
        The `Inspection`.

    Raises:
        InputError: if no classifier is found or several could be it, a layer does not exist, or `num_classes`
            exceeds the classifier's outputs.

    Examples:
        >>> print(inspect(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3)).eval()))
        model               Sequential, 51 parameters, eval mode
        candidate           2: Linear, with bias, torch.float32 on cpu
        classes, dimension  K = 3, d = 4
        regime              simplex: K <= d + 1, so the best class means form a simplex (all cosines -1/(K - 1))
        memory              224 B with full scatter, 96 B with traces alone
        note                no batch was run: whether this layer gives the model's output is not known. Pass a loader
    """
    checked_pool(pool)
    if loader is not None and example is not None:
        raise InputError("expected a loader or an example, got both")
    labels = None
    if loader is not None:
        example, labels, _ = _first_batch(loader, checked_names(class_names) or [])
    head = find_classifier(model, example, name=classifier, forward=forward, labels=labels)
    model = unwrap(model)
    captured = None
    if example is not None:
        tap = FeatureTap(model, head, layers, pool=pool, label_dims=1 if labels is None else labels.ndim)
        with RandomState().active(), undisturbed(model), tap:
            call(model, copied_to(example, device_of(model)), forward)
            captured = tap.take()
    plans = _plan(model, head, layers, captured)
    K = _used_classes(head, num_classes)
    dims = [head.dim, *(plan.dim for plan in plans if plan.dim)]
    return Inspection(
        model=type(model).__name__,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        training=any(module.training for module in model.modules()),
        classifier=head.name,
        is_confirmed=captured is not None and head.disagreement is None,
        kind=type(head.module).__name__,
        num_classes=K,
        dim=head.dim,
        bias=head.bias is not None,
        is_affine=head.is_affine,
        dtype=str(head.weight.dtype),
        device=str(head.weight.device),
        regime=regime(K, head.dim),
        layers=plans,
        bytes_full=sum(8 * (K * d + d * d) for d in dims),
        bytes_trace=sum(8 * K * d for d in dims),
        skipped=_skipped(model, head, captured),
        notes=tuple(_notes(model, head, K, loader, ran=captured is not None)),
    )


def regime(num_classes: int, dim: int) -> str:
    """Which geometry is optimal for K classes in d dimensions: `simplex`, `orthoplex` or `beyond`."""
    if num_classes <= dim + 1:
        return "simplex"
    return "orthoplex" if num_classes <= 2 * dim else "beyond"


def regime_sentence(num_classes: int, dim: int) -> str:
    """The regime and what it means."""
    meaning = {
        "simplex": "K <= d + 1, so the best class means form a simplex (all cosines -1/(K - 1))",
        "orthoplex": "d + 2 <= K <= 2d, so the largest cosine is at best 0, reached by a whole family of codes",
        "beyond": "K > 2d, so some classes must be closer than a right angle: compare with the best known code",
    }
    name = regime(num_classes, dim)
    return f"{name}: {meaning[name]}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"


def _first_batch(loader: Iterable[Any], class_names: Sequence[str]) -> Batch:
    reading = Reading(checked_loader(loader), class_names)
    with reading.random.active():
        batch = reading.next()
    if batch is None:
        raise InputError(EMPTY)
    return batch


def _plan(model: nn.Module, head: Classifier, layers: Layers, captured: Captured | None) -> tuple[LayerPlan, ...]:
    if captured is not None:
        dims = {name: output.shape[1] for name, output in captured.layers.items()}
    else:
        names = main_layers(model, head.name) if layers == "auto" else checked_layers(model, layers)
        dims = dict.fromkeys(names)
    return tuple(LayerPlan(name, type(model.get_submodule(name)).__name__, dim) for name, dim in dims.items())


def _used_classes(head: Classifier, num_classes: int | None) -> int:
    if num_classes is None:
        return head.num_classes
    if not 2 <= num_classes <= head.num_classes:
        raise InputError(
            f"expected num_classes between 2 and the classifier's {head.num_classes} outputs, got {num_classes}"
        )
    return num_classes


def _skipped(model: nn.Module, head: Classifier, captured: Captured | None) -> dict[str, str]:
    """Inner layers that gave nothing usable, and other linear layers on features of the same dimension (two heads)."""
    skipped = {} if captured is None else dict(captured.skipped)
    with undisturbed(model):
        others = rivals(model, head)
    another = "another head, K = {}: choose it with classifier={!r}"
    return skipped | {other.name: another.format(other.num_classes, other.name) for other in others}


def _notes(
    model: nn.Module, head: Classifier, num_classes: int, loader: Iterable[Any] | None, *, ran: bool
) -> list[str]:
    notes = []
    if not ran:
        notes.append("no batch was run: whether this layer gives the model's output is not known. Pass a loader")
    if head.disagreement:
        notes.append(disagreement_sentence(head))
    if isinstance(loader, Iterator):
        notes.append("the loader is an iterator, whose first batch is now used up: make it anew before measuring")
    if any(module.training for module in model.modules()):
        notes.append("the model is in train mode; it is measured in eval mode and put back")
    if head.is_affine is False:
        notes.append("the classifier is not affine (it normalises inside, say): W h + b are not its logits")
    if num_classes < head.num_classes:
        notes.append(f"the classifier has {head.num_classes} outputs, of which {num_classes} have labels")
    if head.weight.dtype in (torch.float16, torch.bfloat16):
        notes.append(f"features of {head.weight.dtype} put a floor under NC1")
    if reason := batch_dependence(model):
        notes.append(reason)
    return notes + loader_complaints(loader)
