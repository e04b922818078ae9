"""Labels as people bring them, made into int64 class numbers: torch, NumPy or lists, any integer type, strings.

Everything that compares labels does so after this, in int64: in `uint8` the label 156 equals -100, and would be ignored.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._errors import InputError

Labels = Tensor | NDArray[np.generic] | Sequence[int] | Sequence[str]
"""What may stand for labels."""

Array = Tensor | NDArray[np.generic] | Sequence[Sequence[float]] | Sequence[float]
"""What may stand for numbers: a tensor, anything NumPy reads as an array, nested lists."""

_LARGEST = 2**63 - 1

IGNORED = -100  # the label of rows that count for nothing, as in torch


def label_tensor(labels: Labels, *, name: str = "labels") -> Tensor:
    """Class numbers as int64, from a tensor or array of any integer type, or (nested) lists of integers.

    An int64 tensor is returned as it is; its gradient graph and its device are never touched.

    Raises:
        InputError: bool, float or complex labels, with advice for one-hot rows; strings; a number beyond int64.

    Examples:
        >>> label_tensor(torch.tensor([156, 3], dtype=torch.uint8)), label_tensor([2, 0])
        (tensor([156,   3]), tensor([2, 0]))
    """
    if not isinstance(labels, Tensor):
        return _from_numbers(_as_array(labels, name), name)
    if labels.dtype == torch.int64:
        return labels
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        if not labels.numel():  # torch.tensor([]) is float32, and holds no score either
            return labels.to(torch.int64)
        raise InputError(_not_integers(name, str(labels.dtype)))
    numbers = labels.to(torch.int64)
    if labels.dtype == torch.uint64 and not torch.compiler.is_compiling() and bool((numbers < 0).any()):
        raise InputError(f"expected {name} below 2**63, got {int(labels[numbers < 0][0].item())}")
    return numbers


def flat_labels(labels: Labels, rows: torch.Size, *, name: str = "labels") -> Tensor:
    """One int64 label a row, flat: from labels of the shape `rows`, or of that shape with a last axis of 1.

    Raises:
        InputError: as `label_tensor`; labels of another shape, with advice where they look one-hot.

    Examples:
        >>> flat_labels(torch.tensor([[4], [1]]), torch.Size([2]))
        tensor([4, 1])
    """
    numbers = label_tensor(labels, name=name)
    if numbers.shape != rows and numbers.shape != (*rows, 1):
        shapes = f"rows of shape {tuple(rows)} and {name} of shape {tuple(numbers.shape)}"
        one_hot = numbers.ndim == len(rows) + 1 and numbers.shape[:-1] == rows
        hint = f": one-hot rows become class numbers by {name}.argmax(-1)" if one_hot else ""
        raise InputError(f"expected one label for each row, got {shapes}{hint}")
    return numbers.reshape(-1)


def counted_labels(labels: Tensor, num_classes: int, ignore_index: int, *, name: str = "labels") -> Tensor:
    """The mask of int64 `labels` that are not `ignore_index`.

    Raises:
        InputError: one of the others lies outside [0, K). (Not while a graph is compiled: reading a value would wait.)
    """
    counted = labels != ignore_index
    if not torch.compiler.is_compiling():
        outside = labels[((labels < 0) | (labels >= num_classes)) & counted]
        if outside.numel():
            raise InputError(
                f"expected {name} from 0 to {num_classes - 1} (or ignore_index={ignore_index}), got {int(outside[0])} "
                f"among {outside.numel()} outside: check num_classes, name the label to leave out with ignore_index=, "
                f"or, if they are sparse ids, renumber them: torch.unique({name}, return_inverse=True)"
            )
    return counted


def renumbered(labels: Labels, ids: Tensor | None = None, *, ignore_index: int = IGNORED) -> tuple[Tensor, Tensor]:
    """Sparse ids as class numbers: labels in [0, K) and the K `ids` they stand for, in rising order.

    Give all labels at once; or, batch by batch, the `ids` that a first call has returned. `ignore_index` stays.

    Raises:
        InputError: labels that are no integers; a label that `ids` do not hold.

    Examples:
        >>> labels, ids = renumbered([70_123, 5, 70_123, -100])
        >>> labels.tolist(), ids.tolist()
        ([1, 0, 1, -100], [5, 70123])
        >>> renumbered([5, 5], ids)[0].tolist()
        [0, 0]
    """
    numbers = label_tensor(labels)
    counted = numbers != ignore_index
    ids = torch.unique(numbers[counted]) if ids is None else ids
    places = torch.searchsorted(ids, numbers).clamp(max=max(0, len(ids) - 1))
    unknown = numbers[counted & (ids[places] != numbers)] if len(ids) else numbers[counted]
    if unknown.numel():
        raise InputError(f"expected labels among the {len(ids)} ids given, got {int(unknown[0])}: renumber all at once")
    return torch.where(counted, places, ignore_index), ids


def class_names_of(labels: Labels) -> tuple[Tensor, list[str] | None]:
    """Class numbers, and the names they stand for: those of strings, sorted; `None` where labels are numbers.

    Raises:
        InputError: strings among other things, and all that `label_tensor` refuses.

    Examples:
        >>> class_names_of(["dog", "cat", "dog"])
        (tensor([1, 0, 1]), ['cat', 'dog'])
    """
    if isinstance(labels, Tensor):
        return label_tensor(labels), None
    array = _as_array(labels, "labels")
    if not _has_strings(array):
        return _from_numbers(array, "labels"), None
    texts = [one.decode() if isinstance(one, bytes) else one for one in array.reshape(-1).tolist()]
    odd = next((one for one in texts if not isinstance(one, str)), None)
    if odd is not None or not all(isinstance(one, str) for one in texts):
        raise InputError(f"expected every label as a string, or every one as an integer, got {odd!r} among strings")
    names = sorted(set(texts))
    number = {name: place for place, name in enumerate(names)}
    return torch.tensor([number[text] for text in texts], dtype=torch.int64).reshape(array.shape), names


def checked_names(class_names: object) -> list[str] | None:
    """Names of classes, in order, from a list, a tuple, an array of NumPy or an index of pandas.

    Raises:
        InputError: anything else, such as one string or a set, which has no order.

    Examples:
        >>> checked_names(np.array(["cat", "dog"])), checked_names(None)
        (['cat', 'dog'], None)
    """
    if class_names is None:
        return None
    if (
        hasattr(class_names, "__getitem__")
        and isinstance(class_names, Iterable)
        and not isinstance(class_names, str | Mapping)
    ):
        names = [str(name) if isinstance(name, str) else name for name in class_names]
        if all(isinstance(name, str) for name in names):
            return names
    raise InputError(f"expected class_names as a list of strings, got {class_names!r}")


def _as_array(labels: object, name: str) -> NDArray[np.generic]:
    try:
        array = np.asarray(labels)
        # NumPy would write the 1 of ["cat", 1] as a string.
        return np.asarray(labels, object) if array.dtype.kind in "US" and isinstance(labels, list | tuple) else array
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"expected {name} as integers in one array or list, got {error}") from None


def _has_strings(array: NDArray[np.generic]) -> bool:
    return array.dtype.kind in "USTO" and any(isinstance(one, str | bytes) for one in array.reshape(-1).tolist())


def _from_numbers(array: NDArray[np.generic], name: str) -> Tensor:
    if not array.size:
        return torch.zeros(array.shape, dtype=torch.int64)
    if _has_strings(array):
        raise InputError(
            f"expected class numbers, got strings such as {array.reshape(-1).tolist()[0]!r}: number them first, "
            f"names, {name} = numpy.unique({name}, return_inverse=True)"
        )
    whole = array.dtype.kind == "O" and all(
        isinstance(one, int | np.integer) and not isinstance(one, bool) for one in array.reshape(-1).tolist()
    )
    if array.dtype.kind not in "iu" and not whole:
        kinds = "objects" if array.dtype.kind == "O" else str(array.dtype)
        raise InputError(_not_integers(name, kinds))
    low, high = min(array.reshape(-1).tolist()) if whole else array.min(), array.max()
    if int(low) < -_LARGEST - 1 or int(high) > _LARGEST:
        raise InputError(f"expected {name} below 2**63, got {int(high) if int(high) > _LARGEST else int(low)}")
    return torch.from_numpy(array.astype(np.int64))


def _not_integers(name: str, found: str) -> str:
    return (
        f"expected integer {name}, got {found}: class numbers stored so become integers by {name}.long() "
        f"(NumPy: .astype('int64')), one-hot rows and scores by {name}.argmax(-1)"
    )
