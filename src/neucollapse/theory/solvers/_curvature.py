"""`least_curvature`: the smallest eigenvalue of the Hessian, by Lanczos on Hessian-vector products."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from ._flat import Flat, State


def least_curvature(
    objective: Callable[[State], Tensor], state: State, *, tolerance: float = 1e-10, seed: int = 0
) -> tuple[float, State]:
    """The smallest eigenvalue of the Hessian at a state, and its direction: below 0 at a stationary point, a strict saddle.

    Examples:
        >>> import torch
        >>> saddle = {"x": torch.zeros(3).double()}
        >>> curvature, _ = least_curvature(lambda state: state["x"][0] ** 2 - state["x"][2] ** 2, saddle)
        >>> round(curvature, 9)
        -2.0
    """
    flat = Flat(objective, state)
    x = flat.pack(state)
    product = flat.hessian_product(x)
    if x.size < 10:  # too few for Lanczos
        values, vectors = np.linalg.eigh(np.stack([product(row) for row in np.eye(x.size)]))
        return float(values[0]), flat.unpack(vectors[:, 0])
    make: Any = LinearOperator  # its constructor picks a class by its arguments, which types cannot follow
    operator = make((x.size, x.size), matvec=lambda v: product(np.ravel(v).copy()), dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(x.size)
    options: Any = {"tol": tolerance, "k": 1, "which": "SA", "ncv": min(x.size, 40), "maxiter": 20 * x.size}
    values, vectors = eigsh(operator, v0=start, **options)
    return float(values[0]), flat.unpack(vectors[:, 0].copy())
