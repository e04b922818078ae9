"""Statistics add up only where they were collected under the same settings: in a merge, on all ranks, in states and files."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .._errors import InputError


def check_same_settings(
    own: Mapping[str, Any], theirs: object, class_counts: Tensor | None, their_counts: object, *, what: str
) -> None:
    """Compare settings that define the sums.

    Raises:
        InputError: one of them differs; it is named, with both values.
    """
    if not isinstance(theirs, Mapping):
        raise InputError(f"expected {what} with settings, got {type(theirs).__name__}")
    for name, value in own.items():
        if name not in theirs or theirs[name] != value:
            found = f"{name}={theirs[name]!r}" if name in theirs else f"no {name}"
            raise InputError(f"expected {what} with {name}={value!r}, got {found}: such sums do not add up")
    difference = _difference(class_counts, their_counts)
    if difference is not None:
        raise InputError(f"expected {what} with {difference[0]}, got {difference[1]}: such sums do not add up")


def _difference(own: Tensor | None, theirs: object) -> tuple[str, str] | None:
    if own is None and theirs is None:
        return None
    if own is None or not isinstance(theirs, Tensor) or theirs.shape != own.shape:
        names = ["no class_counts" if one is None else "class_counts" for one in (own, theirs)]
        if isinstance(theirs, Tensor) and own is not None:
            names = [f"{len(own)} class_counts", f"class_counts of shape {tuple(theirs.shape)}"]
        return names[0], names[1]
    other = theirs.to(own.device)
    if torch.equal(own, other):
        return None
    place = int((own != other).nonzero()[0])
    return f"class_counts[{place}]={int(own[place])}", f"class_counts[{place}]={int(other[place])}"


def check_same_on_all_ranks(
    own: Mapping[str, Any],
    class_counts: Tensor | None,
    *,
    reduced: bool,
    group: "torch.distributed.ProcessGroup | None" = None,
) -> None:
    """Every rank learns the settings of all, so that all raise alike and none waits for the others.

    Raises:
        InputError: two ranks have other settings; or the statistics of one were reduced before.
    """
    import torch.distributed as dist

    counts = None if class_counts is None else class_counts.cpu()
    everyone: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(everyone, (dict(own), counts, reduced), group=group)
    first, first_counts, _ = everyone[0]
    for rank, (settings, rank_counts, rank_reduced) in enumerate(everyone):
        check_same_settings(first, settings, first_counts, rank_counts, what=f"statistics of rank {rank}")
        if rank_reduced:
            raise InputError(
                "these statistics were reduced over all ranks already: expected one all_reduce after a reset"
            )
