"""The conditions of ``--fail-if``: every name checked before the work, no condition passed over after it."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .._conditions import Condition
from .._errors import InputError
from .._names import unknown_name

if TYPE_CHECKING:
    from ..metrics import CollapseResult


class _Key(NamedTuple):
    """A flat key in its parts: ``split/name@layer:layer``."""

    split: str
    name: str
    layer: str


class Gate:
    """Conditions on a result that is yet to be measured.

    Args:
        texts: conditions such as ``train/nc1/pinv>0.1``.
        preset: which metrics are measured; None for all.

    Raises:
        InputError: for a preset that is not known, what is no condition, a key that no metric has, and one not measured.
    """

    def __init__(self, texts: Sequence[str], preset: str | None) -> None:
        self._conditions = [Condition.parse(text) for text in texts]
        self._keys = [_parts(condition) for condition in self._conditions]
        if preset is None:
            return
        from ..metrics import names

        measured = names(preset)
        for condition, key in zip(self._conditions, self._keys, strict=True):
            if key.name not in measured:
                raise InputError(
                    f"the condition {condition.text!r} needs {key.name}, which the preset {preset} does not measure"
                )

    def check_places(self, splits: Collection[str], layers: Collection[str]) -> None:
        """Raise ``InputError`` if a condition is on a split or a layer that is not measured; no splits is one unnamed one."""
        for condition, key in zip(self._conditions, self._keys, strict=True):
            if key.split and not splits:
                raise InputError(
                    f"the condition {condition.text!r} names the split {key.split!r}; the data have no splits"
                )
            if splits and not key.split:
                choice = " or ".join(f"{split}/{condition.text}" for split in splits)
                raise InputError(f"the condition {condition.text!r} names no split; expected {choice}")
            if key.split and key.split not in splits:
                raise unknown_name("split", key.split, splits, owner=f"{condition.text!r}: the data")
            if key.layer and key.layer not in layers and "auto" not in layers:
                raise unknown_name("layer", key.layer, layers, owner="--layers")

    def findings(self, result: "CollapseResult") -> list[str]:
        """A sentence for each condition that holds, or that cannot be decided as its number is absent."""
        return [sentence for condition in self._conditions if (sentence := _finding(condition, result))]


def _finding(condition: Condition, result: "CollapseResult") -> str:
    if condition.key in result.numbers:
        return condition.text if condition.holds_for(result.numbers[condition.key]) else ""
    reason = result.absent.get(condition.key, "it was not measured")
    return f"{condition.text} cannot be decided, as {condition.key} is absent: {reason}"


def _parts(condition: Condition) -> _Key:
    from ..metrics import REGISTRY

    stem, _, layer = condition.key.partition("@layer:")
    known = [name for name in REGISTRY if stem == name or stem.endswith(f"/{name}")]
    if not known:
        raise unknown_name("metric", stem, REGISTRY, owner=f"{condition.text!r}: neucollapse")
    name = max(known, key=len)
    return _Key(stem[: -len(name)].rstrip("/"), name, layer)
