"""The fixed head: a code of the geometry wing as a classifier that is never trained."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float, Int
from ._head import Head, at_least_float32, full_precision_cosine_logits


class Fixed(Head):
    r"""Logits $z_k = s \langle w_k, x / |x| \rangle$ with the rows $w_k$ of a code, which nothing trains.

    The features have to learn the code, which stands at its optimum from the start. A code of fewer dimensions than the
    features is filled up with zeros. Rows are turned from the right, as `procrustes` has it:

    $$ w_k = p_{\pi(k)}\, Q $$

    Which class sits on which point, $\pi$, nothing determines, and on other codes than the simplex it matters: it is
    the given order, or random, or `reassign` adapts it to the features during training.

    Args:
        points: the code (K, d'), any array-like, rows of any length but zero: they are brought to length 1.
        scale: $s$, the inverse temperature.
        normalize: bring features to unit length; without, $z_k = s \langle w_k, x \rangle$.
        permutation: the point of each class (K,), or `"random"`; None for the given order.
        rotation: an orthogonal matrix (d, d), or `"random"`, drawn uniformly from O(d); None for none.
        learn_assignment: whether `reassign` may move classes.
        dim: d >= d', the width of the features; None for d'.
        seed: of a random permutation and rotation.

    Attributes:
        weight: a buffer (K, d) of unit rows.
        permutation: a buffer (K,), the point of each class; `reassign` keeps it up to date.
        scale: a buffer, a scalar tensor.

    Raises:
        InputError: points that are no matrix or have a zero row, more dimensions than `dim`, a permutation or rotation that
            is none, a scale that is not positive.
        NonFiniteError: points with NaN or infinity.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> head = Fixed(simplex(4), scale=6.0, rotation="random", dim=8)
        >>> head.weight.shape, head.logits(7 * head.weight)[0].round(decimals=4).tolist()
        (torch.Size([4, 8]), [6.0, -2.0, -2.0, -2.0])
    """

    weight: Tensor
    scale: Tensor
    permutation: Tensor

    def __init__(
        self,
        points: Any,
        *,
        scale: float | int = 16.0,
        normalize: bool = True,
        permutation: Tensor | Sequence[int] | str | None = None,
        rotation: Any = None,
        learn_assignment: bool = False,
        dim: int | None = None,
        seed: int = 0,
    ) -> None:
        from ..geometry import unit_rows  # the room of geometry takes longer to load than this one

        code = unit_rows(points)
        K, width = code.shape
        super().__init__(width if dim is None else dim, K, scale=scale)
        if self.dim < width:
            raise InputError(f"expected dim of at least {width}, the dimensions of the code, got {dim}")
        self.normalize, self.learn_assignment = normalize, learn_assignment
        order = _permutation(permutation, K, seed)
        rows = torch.nn.functional.pad(code[order], (0, self.dim - width))
        if rotation is not None:
            rows = rows @ _rotation(rotation, self.dim, seed)
        self.register_buffer("weight", rows.to(torch.get_default_dtype()))
        self.register_buffer("permutation", order)

    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` of features `(..., d)`; in `[-s, s]` where features are normalised."""
        if self.normalize:
            return full_precision_cosine_logits(features, self.weight, self.scale)
        x, W = at_least_float32(features), at_least_float32(self.weight)
        dtype = torch.promote_types(x.dtype, W.dtype)
        with torch.autocast(features.device.type, enabled=False):
            return self.scale.to(dtype) * (x.to(dtype) @ W.to(dtype).mT)

    @torch.no_grad()
    def reassign(self, class_means: Tensor) -> Int[Tensor, " K"]:
        r"""Give each class the point that its features are nearest to, all in all.

        $$ \max_\pi \sum_k \langle w_{\pi(k)}, \mu_k \rangle $$

        A linear assignment, exact, in O(K^3): for every n-th epoch, not every batch. What the class means have in common
        changes nothing, so they need not be centred. With class means of all ranks, all ranks do the same.

        Args:
            class_means: $\mu$ (K, d), of any length. A row of NaN is an absent class, which gets a point left over.

        Returns:
            (K,), the row each class had before, among `range(K)` where nothing moved.

        Raises:
            InputError: without `learn_assignment`, or for means of another shape.

        Examples:
            >>> head = Fixed([[1.0, 0.0], [0.0, 1.0]], learn_assignment=True)
            >>> head.reassign(torch.tensor([[0.1, 0.9], [0.8, 0.3]])).tolist(), head.weight.tolist()
            ([1, 0], [[0.0, 1.0], [1.0, 0.0]])
        """
        from ..geometry import permutation_of

        if not self.learn_assignment:
            raise InputError("expected a head made with learn_assignment=True to reassign, got one whose classes stay")
        means = class_means.detach().double()
        if means.shape != self.weight.shape:
            raise InputError(
                f"expected class means of shape {tuple(self.weight.shape)}, got {tuple(class_means.shape)}"
            )
        present = ~means.isnan().any(dim=1, keepdim=True)
        # Absent classes stand at the mean of the others, where every point is as good.
        centred = (means - means.where(present, 0).sum(dim=0) / present.sum().clamp(min=1)).where(present, 0)
        order = permutation_of(self.weight, centred).to(self.weight.device)
        # In place: processes that share a model hold on to the tensors of its buffers.
        self.weight.copy_(self.weight[order])
        self.permutation.copy_(self.permutation[order])
        return order

    def linear_map(self) -> tuple[Tensor, Tensor | None]:
        """The scale times the code."""
        return self.scale * at_least_float32(self.weight), None

    def extra_repr(self) -> str:
        """Sizes and scale, for `repr`."""
        learned = ", learn_assignment=True" if self.learn_assignment else ""
        raw = "" if self.normalize else ", normalize=False"
        return f"{super().extra_repr()}{raw}{learned}"


def _permutation(given: Tensor | Sequence[int] | str | None, K: int, seed: int) -> Int[Tensor, " K"]:
    if given is None:
        return torch.arange(K)
    if isinstance(given, str):
        if given != "random":
            raise InputError(f"expected a permutation of {K} classes or 'random', got {given!r}")
        from ..geometry import random_permutation

        return random_permutation(K, seed=seed)
    order = torch.as_tensor(given).cpu()
    if order.shape != (K,) or order.is_floating_point() or not torch.equal(order.sort().values, torch.arange(K)):
        raise InputError(f"expected a permutation of 0 to {K - 1} or 'random', got {order.tolist()}")
    return order.long()


def _rotation(given: Any, d: int, seed: int) -> Float[Tensor, "d d"]:
    if isinstance(given, str):
        if given != "random":
            raise InputError(f"expected an orthogonal matrix or 'random', got {given!r}")
        from ..geometry import random_rotation

        return random_rotation(d, seed=seed)
    Q = torch.as_tensor(given).detach().double().cpu()
    # A matrix in single precision is orthogonal to 1e-6.
    if Q.shape != (d, d) or not torch.allclose(Q @ Q.mT, torch.eye(d).double(), rtol=0, atol=1e-5):
        raise InputError(f"expected an orthogonal matrix of shape ({d}, {d}) or 'random', got shape {tuple(Q.shape)}")
    return Q
