"""Named tensors as one flat vector, and an objective of them as one of the vector, for scipy."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

State = dict[str, Tensor]


class Packing:
    """Between a state and a flat float64 vector: a variable is its part of the vector times its scale.

    Scales that make all curvatures alike shorten the way down.
    """

    def __init__(self, like: State, scales: Mapping[str, float] | None = None) -> None:
        self.scales = {name: (scales or {}).get(name, 1.0) for name in like}
        self.shapes = {name: tensor.shape for name, tensor in like.items()}
        self.sizes = [tensor.numel() for tensor in like.values()]

    def pack(self, state: State) -> np.ndarray:
        """The flat vector of a state."""
        parts = [state[name].detach().reshape(-1) / scale for name, scale in self.scales.items()]
        return torch.cat(parts).numpy().copy()

    def unpack(self, x: np.ndarray) -> State:
        """The state of a flat vector."""
        parts = zip(self.shapes.items(), torch.from_numpy(x).split(self.sizes), strict=True)
        return {name: (part * self.scales[name]).reshape(shape) for (name, shape), part in parts}


class Flat(Packing):
    """`flat(x)` is the value and the gradient of an objective at a flat vector; it counts its evaluations."""

    def __init__(
        self, objective: Callable[[State], Tensor], like: State, scales: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(like, scales)
        self.objective = objective
        self.evaluations = 0
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.evaluations += 1
        variables = self._variables(x)
        value = self.objective(variables)
        flat = self._join(torch.autograd.grad(value, list(variables.values())))
        self._last = x.copy(), flat
        return float(value.detach()), flat

    def gradient_at(self, x: np.ndarray) -> np.ndarray:
        """The gradient, without another evaluation where the last one was here."""
        if self._last is not None and np.array_equal(self._last[0], x):
            return self._last[1]
        return self(x)[1]

    def hessian_product(self, x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """The map from a vector to the Hessian at x times it."""
        variables = self._variables(x)
        leaves = list(variables.values())
        gradients = torch.autograd.grad(self.objective(variables), leaves, create_graph=True)

        def product(vector: np.ndarray) -> np.ndarray:
            self.evaluations += 1
            along = list(self.unpack(vector).values())
            return self._join(torch.autograd.grad(gradients, leaves, along, retain_graph=True))

        return product

    def norm(self, gradient: np.ndarray) -> float:
        """Euclidean norm of a gradient in the flat vector, as one in the variables themselves."""
        parts = zip(np.split(gradient, np.cumsum(self.sizes)[:-1]), self.scales.values(), strict=True)
        return float(np.sqrt(sum((np.linalg.norm(part) / scale) ** 2 for part, scale in parts)))

    def _join(self, gradients: Sequence[Tensor]) -> np.ndarray:
        parts = zip(gradients, self.scales.values(), strict=True)
        return torch.cat([gradient.reshape(-1) * scale for gradient, scale in parts]).numpy()

    def _variables(self, x: np.ndarray) -> State:
        return {name: part.requires_grad_() for name, part in self.unpack(x).items()}
