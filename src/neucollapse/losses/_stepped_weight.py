# pyright: standard
# Compiled functions and custom operators have no types to check: numba and torch find them out.
"""Weights that take their optimizer's step while their gradient is formed: block by block, so that no gradient is held."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop, Rprop

from .._errors import InputError
from ._statistics import Negatives
from ._tiles import feature_and_scale_gradients, spherical_negatives, tile_shape, weight_gradient_blocks

# Those that treat each entry of a parameter by itself, so that a step of its blocks is a step of the whole.
_ELEMENTWISE = (SGD, Adam, AdamW, Adamax, NAdam, RAdam, RMSprop, Rprop, Adagrad, Adadelta)


class SteppedWeight:
    """An implicit weight: a parameter and the optimizer that moves it during `backward()`."""

    def __init__(self, weight: nn.Parameter, optimizer: Optimizer) -> None:
        if type(optimizer) not in _ELEMENTWISE:
            known = ", ".join(kind.__name__ for kind in _ELEMENTWISE)
            raise InputError(
                f"expected one of torch's optimizers that treat entries alone ({known}), got {type(optimizer).__name__}"
            )
        if not any(weight is p for group in optimizer.param_groups for p in group["params"]):
            raise InputError("expected an optimizer that holds the weight, got one made from other parameters")
        if weight.dtype not in (torch.float32, torch.float64):
            raise InputError(f"expected a weight in float32 or float64, got {weight.dtype}")
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            raise InputError("expected one process: a step in backward does not average gradients over ranks")
        self.weight, self.optimizer = weight, optimizer
        self.num_classes, self.dim = weight.shape

    def negatives(self, x: Tensor, labels: Tensor, scale: Tensor) -> Negatives:
        """Sums over the classes, as a tiled loss has them; their backward moves the weight."""
        if torch.compiler.is_compiling():
            # Parameters and optimizer state change inside: no part of a graph. (As a decorator, it would load the compiler.)
            torch._dynamo.graph_break()
        dtype = self.weight.dtype
        return Negatives(*_NegativesThenStep.apply(x.to(dtype), self.weight, labels, scale.to(dtype), self))

    def step(self, blocks: Iterator[tuple[int, int, Tensor]]) -> None:
        """One step of the optimizer from `(start, stop, gradient)`, block after block, by an optimizer of the same kind."""
        weight, state = self.weight.detach(), self.optimizer.state.get(self.weight, {})
        group = next(g for g in self.optimizer.param_groups if any(self.weight is p for p in g["params"]))
        kind: Any = type(self.optimizer)
        worker = kind([nn.Parameter(weight.new_empty(0))])
        before = dict(state)
        for start, stop, gradient in blocks:
            part = weight[start:stop]
            part.grad = gradient
            worker.param_groups[0] = {**group, "params": [part]}
            if before:
                worker.state[part] = {name: _part(value, weight, start, stop) for name, value in before.items()}
            worker.step()
            for name, value in worker.state.pop(part, {}).items():
                _keep(state, name, value, weight, start, stop)
        if state:
            self.optimizer.state[self.weight] = state


def _part(value: Any, weight: Tensor, start: int, stop: int) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value[start:stop] if value.shape == weight.shape else value.clone()  # a count of steps: once for each block


def _keep(state: dict[str, Any], name: str, value: Any, weight: Tensor, start: int, stop: int) -> None:
    if not isinstance(value, Tensor) or value.shape != weight[start:stop].shape:
        state[name] = value
        return
    if name not in state:
        state[name] = torch.empty_like(weight)
    if state[name][start:stop].data_ptr() != value.data_ptr():
        state[name][start:stop] = value


class _NegativesThenStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, labels, scale, stepped):
        ctx.stepped, ctx.tile = stepped, tile_shape(len(x), len(weight))
        with_mean = ctx.needs_input_grad[0] or ctx.needs_input_grad[3]
        rows, lse, means, total, lengths = spherical_negatives(x, weight, labels, scale, *ctx.tile, with_mean)
        ctx.save_for_backward(x, weight, labels, scale, lse, means, lengths)
        return rows, lse, total

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight, labels, scale, lse, means, lengths = ctx.saved_tensors
        grad_x, grad_scale = feature_and_scale_gradients(x, scale, means, grads[1])
        if ctx.needs_input_grad[1]:
            with torch.autocast(x.device.type, enabled=False):  # backward may be called within a region of it
                ctx.stepped.step(weight_gradient_blocks(x, weight, labels, scale, lse, lengths, grads, ctx.tile))
        return grad_x, None, None, grad_scale, None


class StepsInBackward:
    """A module with a trained `weight` that may be moved in `backward()`."""

    stepped_weight: SteppedWeight | None = None

    def step_in_backward(self, optimizer: Optimizer) -> None:
        """Have the losses of the sphere move `weight` inside `backward()`, from now on: for very many classes.

        Each block of rows takes the optimizer's step as soon as its gradient is known. Neither logits (B, K) nor a gradient
        (K, d) are ever held, and `weight.grad` stays None, so that `optimizer.step()`, which moves everything else,
        passes the weight by. Hyperparameters and state are read from and kept in the optimizer: schedules and checkpoints
        work as ever, and the weight is the same as without.

        It is a step a backward: gradients are not accumulated over batches, clipped, or unscaled. Losses that are no
        cross-entropy of cosines leave a gradient in `weight.grad` as before.

        Args:
            optimizer: holds `weight`; one of torch's that treat each entry alone (SGD, Adam, AdamW, RMSprop and others).

        Raises:
            InputError: for another optimizer, one without the weight, half precision, or more than one rank.

        Examples:
            >>> import torch
            >>> from neucollapse.heads import Cosine
            >>> from neucollapse.losses import NormFace
            >>> head = Cosine(dim=4, num_classes=1000)
            >>> optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
            >>> head.step_in_backward(optimizer)
            >>> before = head.weight.detach().clone()
            >>> NormFace()(torch.randn(8, 4), torch.arange(8), head).backward()
            >>> bool((head.weight != before).any()), head.weight.grad is None
            (True, True)
        """
        weight = getattr(self, "weight", None)
        if not isinstance(weight, nn.Parameter):
            raise InputError(f"{type(self).__name__} expected a weight to move, which is a parameter, got none")
        self.stepped_weight = SteppedWeight(weight, optimizer)
