"""What a loader may yield, and how a model is called on it."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .._errors import ForwardError, InputError, NeucollapseError
from .._files import one_line
from .._labels import class_names_of
from .._names import unknown_name
from ._state import RandomState, generators_of

LABEL_KEYS = ("labels", "label", "y", "targets", "target")
Forward = Callable[[nn.Module, Any], Any]
_FORMS = "(inputs, labels), or a dict of inputs and one of " + "/".join(LABEL_KEYS)


def checked_loader(loader: Iterable[Any]) -> Iterable[Any]:
    """The loader, if it can be one."""
    if not isinstance(loader, Iterable) or isinstance(loader, Tensor | np.ndarray | Mapping | str):
        raise InputError(
            f"expected a loader, an iterable of batches, got {describe(loader)}. A Dataset goes into a DataLoader, one "
            "batch into a list: [(inputs, labels)]"
        )
    return loader


def length_of(stream: object) -> int | None:
    """How many items a stream says it has; None where it does not say, whatever its `__len__` raises."""
    try:
        return len(stream)  # type: ignore[arg-type]
    except Exception:
        return None


EMPTY = "the loader gave no samples: expected at least one batch"


class Batch(NamedTuple):
    """Inputs and labels of a batch, and where it stands in the loader, in words."""

    inputs: Any
    labels: Tensor
    where: str


@contextmanager
def said_where(batch: Batch) -> Iterator[None]:
    """An error of the model's code says in which batch; to any other it is added as a note."""
    try:
        yield
    except ForwardError as error:
        raise ForwardError(f"{batch.where}: {error}") from error.__cause__
    except Exception as error:
        error.add_note(f"in {batch.where}, with labels of shape {tuple(batch.labels.shape)}")
        raise


class Reading:
    """One pass over a loader, with random numbers of its own. Batches without samples are passed over."""

    def __init__(self, loader: Iterable[Any], class_names: Sequence[str]) -> None:
        self._names = class_names
        self.random = RandomState(generators_of(loader))
        with self.random.active():
            self._batches = enumerate(iter(loader))
        self._waiting: list[Batch | None] = []

    def next(self) -> Batch | None:
        """The next batch with samples; None at the end."""
        if self._waiting:
            return self._waiting.pop()
        for index, batch in self._batches:
            where = f"batch {index} of the loader"
            inputs, labels = split_batch(batch, where, self._names)
            if labels.numel():
                return Batch(inputs, labels, where)
        return None

    def put_back(self, batch: Batch | None) -> None:
        """Give this batch again, next."""
        self._waiting.append(batch)


def split_batch(batch: object, where: str, class_names: Sequence[str] = ()) -> tuple[Any, Tensor]:
    """The inputs and the labels of a batch, as int64; singleton label dimensions after the first are dropped.

    Labels are integers of any type, or strings among `class_names`, whose places are their numbers.

    Raises:
        InputError: if the batch has another form, or its labels are neither.
    """
    if isinstance(batch, Mapping):
        inputs, labels = _split_mapping(batch, where)
    elif isinstance(batch, Sequence) and not isinstance(batch, str) and len(batch) == 2:
        inputs, labels = batch
    else:
        raise InputError(f"{where}: expected {_FORMS}; got {describe(batch)}. Wrap the loader so that it yields pairs")
    return inputs, _checked_labels(labels, where, class_names)


def _split_mapping(batch: Mapping[str, Any], where: str) -> tuple[dict[str, Any], Any]:
    found = [key for key in LABEL_KEYS if key in batch]
    if len(found) != 1 or len(batch) < 2:
        raise InputError(f"{where}: expected {_FORMS}; got {describe(batch)}")
    labels = batch[found[0]]
    _refuse_unshifted(batch.get("input_ids"), labels, where)
    return {key: value for key, value in batch.items() if key != found[0]}, labels


def _refuse_unshifted(tokens: object, labels: object, where: str) -> None:
    """Causal language models shift labels inside their loss; their logits at t belong to the label at t + 1."""
    if not (isinstance(tokens, Tensor) and isinstance(labels, Tensor) and labels.ndim == 2):
        return
    if tokens.shape == labels.shape and bool(((tokens == labels) | (labels < 0)).all()):
        raise InputError(
            f"{where}: the labels equal the input tokens, so they are not yet shifted by one as next-token labels. "
            "Yield (dict of inputs, labels) pairs with labels[:, :-1] = input_ids[:, 1:] and labels[:, -1] = -100"
        )


def _checked_labels(labels: Any, where: str, class_names: Sequence[str]) -> Tensor:
    try:
        numbers, found = class_names_of(labels)
    except InputError as error:
        raise InputError(f"{where}: {error}. Mixed labels have no single class: use a loader without mixing") from None
    if numbers.ndim == 0:
        raise InputError(
            f"{where}: expected one label a sample, got a single number. A stream of single samples goes into a "
            "DataLoader with a batch_size"
        )
    if found is not None:
        numbers = torch.tensor([_place(name, class_names, where) for name in found])[numbers]
    return numbers.reshape(squeezed(numbers.shape))


def _place(name: str, class_names: Sequence[str], where: str) -> int:
    if not class_names:
        raise InputError(
            f"{where}: expected class numbers, got names such as {name!r}: class_names= says which is which, one name "
            "for each row of the classifier, in order"
        )
    if name not in class_names:
        raise unknown_name("class", name, class_names, owner=f"{where}: class_names=")
    return class_names.index(name)


def squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape without singleton dimensions after the first."""
    return (shape[0], *(size for size in shape[1:] if size != 1))


def call(model: nn.Module, inputs: Any, forward: Forward | None = None) -> Any:
    """Run the model: a tensor is its argument, a tuple its arguments, a dict its keyword arguments.

    Of a dict only what `model.forward` accepts is passed, as trainers do; a single entry under an unknown name is
    passed by position.

    Raises:
        ForwardError: if the code of the model, or `forward`, raises an error, which is the cause.
    """
    try:
        if forward is not None:
            return forward(model, inputs)
        arguments, keywords = _bind(model, inputs)
        return model(*arguments, **keywords)
    except NeucollapseError:
        raise
    except Exception as error:
        raise ForwardError(
            f"expected a forward pass of {type(model).__name__} on {describe(inputs)}, got {type(error).__name__}: "
            f"{one_line(error)}. Check what the loader yields against what the model takes, or pass forward=, a function of "
            "(model, inputs)"
        ) from error


def _bind(model: nn.Module, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not isinstance(inputs, Mapping):
        # A packed sequence is a tuple too, but one argument: it has a `to` of its own.
        several = isinstance(inputs, tuple | list) and not hasattr(inputs, "to")
        return (tuple(inputs) if several else (inputs,)), {}
    parameters = signature(model.forward).parameters.values()
    by_name = {p.name for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)}
    any_name = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
    accepted = {key: value for key, value in inputs.items() if key in by_name}
    if any_name and (accepted or not by_name):
        return (), dict(inputs)
    if accepted:
        return (), accepted
    if len(inputs) == 1:
        return tuple(inputs.values()), {}
    raise InputError(
        f"expected inputs that {type(model).__name__}.forward accepts ({sorted(by_name)}), got {describe(inputs)}. "
        "Rename them in the loader, or pass forward=, a function of (model, inputs)"
    )


def copied_to(inputs: Any, device: torch.device) -> Any:
    """The same structure with every tensor copied to the device, so that a model cannot write into the loader's."""
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "biufc":
        inputs = tensor_of(inputs)
    elif _is_table(inputs):
        inputs = torch.tensor(inputs)
    if isinstance(inputs, Tensor):
        return inputs.detach().to(device, copy=True)
    if isinstance(inputs, Mapping):
        return {key: copied_to(value, device) for key, value in inputs.items()}
    if hasattr(inputs, "to"):
        return inputs.to(device)  # type: ignore[union-attr]
    if isinstance(inputs, tuple | list):
        return tuple(copied_to(value, device) for value in inputs)
    return inputs


def tensor_of(array: "np.ndarray[Any, Any]") -> Tensor:
    """An array as a tensor that is only read: in any byte order, from the back, or without permission to write."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def _is_table(value: object) -> bool:
    """Whether it is a list of numbers, or of equally long such lists, as a data set of columns gives it."""
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(item, list) for item in value):
        return len({len(item) for item in value}) == 1 and all(map(_is_table, value))
    return all(isinstance(item, int | float) for item in value)


def device_of(model: nn.Module) -> torch.device:
    """Where the first parameter or buffer of the model lies; the CPU for a model without any."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def describe(value: object) -> str:
    """What a value is, in a few words: for error messages."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} of shape {tuple(value.shape)} and {value.dtype}"
    if isinstance(value, Mapping):
        return f"{type(value).__name__} with keys {list(value)}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {len(value)} ({', '.join(describe(item) for item in value[:4])})"
    return type(value).__name__
