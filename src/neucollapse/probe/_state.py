"""What a forward pass or a loader may disturb, put back afterwards: promise P8, no side effects."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._errors import InputError


@contextmanager
def undisturbed(model: nn.Module, *, mode: str = "eval") -> Iterator[None]:
    """Run a forward pass without gradients and leave no trace of it in `model`.

    Train flags are set and restored one module at a time, not through `model.eval()`: some models do more than set
    flags in an overridden `train` (merge adapters, say), and that would not be undone. Inference mode is avoided
    because tensors a model caches under it can never be trained with again.
    """
    flags = [(module, module.training) for module in model.modules()]
    kept = [(module, dict(module._buffers)) for module in model.modules()]
    copies = [(tensor, tensor.detach().clone()) for tensor in _written_by_forward(model)]
    try:
        if mode == "eval":
            for module, _ in flags:
                module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, training in flags:
            module.training = training
        for module, buffers in kept:
            if [*map(id, module._buffers.values())] != [*map(id, buffers.values())]:  # one was added or swapped
                module._buffers.clear()
                module._buffers.update(buffers)
        for tensor, copy in copies:
            # Through `.data`, so that the graph of a caller between its forward and backward pass stays valid. All
            # are written back: batch norm does not count its own updates as a new version.
            tensor.data.copy_(copy)


def _written_by_forward(model: nn.Module) -> list[Tensor]:
    """Tensors that some forward pass writes: running statistics, counters, embeddings with `max_norm`.

    Large integer buffers are packed weights or masks, which no forward writes; copying them would cost memory.
    """
    found = []
    for module in model.modules():
        tensors = [buffer for buffer in module._buffers.values() if buffer is not None]
        found += [tensor for tensor in tensors if tensor.is_floating_point() or tensor.numel() <= 1024]
        if getattr(module, "max_norm", None) is not None:  # renormalised in place, also in eval mode
            found += list(module.parameters(recurse=False))
    return [tensor for tensor in found if not tensor.is_inference()]


class RandomState:
    """A stream of random numbers of its own, starting where the caller's stands.

    Inside `active()` Python's, numpy's and torch's global generators, and the given ones, continue this stream;
    outside of it the caller's state stands as if nothing had been drawn.
    """

    def __init__(self, generators: Iterable[torch.Generator] = ()) -> None:
        self._generators = tuple(generators)
        self._state = self._read()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Switch to this stream, and back at the end, also after an exception."""
        outside = self._read()
        self._write(self._state)
        try:
            yield
        finally:
            self._state = self._read()
            self._write(outside)

    def _read(self) -> dict[str, Any]:
        return {
            "python": random.getstate(),
            "numpy": np.random.get_state(),  # noqa: NPY002 - the global generator is what user code may draw from
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None,
            "generators": [generator.get_state() for generator in self._generators],
        }

    def _write(self, state: dict[str, Any]) -> None:
        random.setstate(state["python"])
        np.random.set_state(state["numpy"])  # noqa: NPY002
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state_all(state["cuda"])
        for generator, value in zip(self._generators, state["generators"], strict=True):
            generator.set_state(value)


def generators_of(loader: object) -> list[torch.Generator]:
    """The random generators a DataLoader and its samplers hold."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    holders = (loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
    found = [getattr(holder, "generator", None) for holder in holders]
    return list({id(item): item for item in found if isinstance(item, torch.Generator)}.values())


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel and `torch.compile`.

    Parallel wrappers would exchange buffers between ranks whose shards may differ in length, and compiled code does
    not see hooks added later.

    Raises:
        InputError: if the model is no module, or a scripted one.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"expected the model to be a torch.nn.Module, got {type(model).__name__}")
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, parallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif isinstance(model, torch.jit.ScriptModule):
            raise InputError("the model is a ScriptModule, whose layers take no hooks: give the model before scripting")
        else:
            return model
