"""The sums of a batch in plain torch, on any device: block by block, rows of a class side by side.

What is added up in float32 stays within a block. The centre of a block's rows is the provisional centre of their class,
unless the class is new or the rows show that it lies far off; then it is their own mean, and what was summed about it
joins the sums about the class's centre in float64, where the shift costs no digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# Residuals enter float32 products times this: collapsed features lie on a grid, on which all rounding would be ties.
OFF_GRID = 1.1
FAR = 0.5  # a centre serves while its offset makes up no more than this share of the squares about it
VOUCH = 8  # rows whose mean is worth more than a centre that lies far from it
# Rows a block: residuals of usual widths stay in the second-level cache, and float32 products stay within 4e-7; their error
# grows with the rows (1e-6 at 1,024, 4e-6 at 2,048, where half-precision features repeat the same residuals).
_ROWS = 512
_KEPT_UP_TO = 1 << 20  # entries of scratch memory that are kept between batches
_TINY = 1e-12  # below this size of an entry float32 squares lose digits; they are then taken in float64
_PANEL = 128  # columns a product: the scatter is symmetric, and what lies left of its panel is not formed


class Scratch:
    """Memory that is used again block after block, batch after batch: fresh memory costs more than the sums in it."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def __call__(self, name: str, rows: int, like: Tensor, dtype: torch.dtype) -> Tensor:
        """A matrix (rows, d) as wide as `like`, whatever it held before."""
        kept, d = self._kept.get(name), like.shape[1]
        if kept is None or len(kept) < rows or (kept.shape[1], kept.dtype, kept.device) != (d, dtype, like.device):
            kept = torch.empty(rows, d, dtype=dtype, device=like.device)
            if kept.numel() <= _KEPT_UP_TO:
                self._kept[name] = kept
        return kept[:rows]

    def zeros(self, name: str, rows: int, like: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
        """The same, with zeros."""
        return self(name, rows, like, dtype).zero_()

    def __reduce__(self) -> tuple[type["Scratch"], tuple[()]]:
        return Scratch, ()  # a copy starts without


class Block(NamedTuple):
    """Rows of a batch: `own` (B,) are their classes, counted from the start of `part` of the batch's classes."""

    rows: Tensor  # (B, d)
    own: Tensor
    part: slice


def is_one_block(features: Tensor) -> bool:
    """Whether a batch is short enough to be one block."""
    return len(features) <= _ROWS


def blocks(features: Tensor, members: Tensor, m: int, scratch: Scratch) -> Iterator[Block]:
    """A batch in parts, rows of a class side by side; a short batch is one part as it is."""
    n, step = len(features), _ROWS
    if is_one_block(features):
        yield Block(features, members, slice(0, m))
        return
    members, order = torch.sort(members, stable=True)
    lasts = [*members[step - 1 :: step].tolist(), m - 1]
    for start, first, last in zip(range(0, n, step), members[::step].tolist(), lasts, strict=False):
        own, places = members[start : start + step] - first, order[start : start + step]
        rows = scratch("rows", len(own), features, features.dtype)
        yield Block(torch.index_select(features, 0, places, out=rows), own, slice(first, last + 1))


class Products(NamedTuple):
    """Residuals of a block, whose products go straight into the sums they belong to: a matrix less to fill and to read."""

    residual: Tensor  # (B, d), used up when it is added
    weights: Tensor | None  # (B,)

    def add_to(self, scatter: Tensor, weighted: Tensor | None) -> None:
        """Add R^T R and, where there are weights, R^T diag(weights) R, on and above the diagonal."""
        R = self.residual
        factor = 1.0 if R.dtype == torch.float64 else OFF_GRID**-2
        _add_product(scatter, R if factor == 1 else R.mul_(OFF_GRID), factor)
        if weighted is not None and self.weights is not None:
            _add_product(weighted, R.mul_(self.weights.sqrt().to(R.dtype)[:, None]), factor)


@dataclass
class Sums:
    """Sums about centres over the m classes of a batch, in float64, and the scatters where they were asked for.

    Where the batch is one block, `products` may stand in place of both scatters. `residuals` then holds anything until
    the block is added.
    """

    residuals: Tensor  # (m, d)
    squares: Tensor  # (m,)
    norms: Tensor  # (m,)
    largest: Tensor  # (m,), the largest norm
    scatter: Tensor | None = None  # (d, d), on and above the diagonal alone
    weighted: Tensor | None = None  # the same, rows weighted by what their class weighs
    products: Products | None = None
    zero_rows: int = 0  # rows that `normalize` could not give unit norm

    @property
    def finite(self) -> bool:
        """Whether nothing has overflown and no feature is NaN or infinite."""
        return bool(torch.isfinite(self.squares.sum() + self.norms.sum()))

    def typical(self, features: Tensor) -> float:
        """About the size of an entry of `features`: the norms of all rows over the number of entries."""
        return float(self.norms.sum()) / max(1, features.numel())

    def in_range(self, features: Tensor) -> bool:
        """Whether the sums are finite, and the squares too large for float32 to have lost small ones."""
        if not self.finite:
            return False
        return features.dtype == torch.float64 or self.typical(features) > _TINY or not bool(features.any())


@dataclass
class Totals:
    """What adds up the `sums` of a batch, block by block.

    `centres` (K, d) are those of all classes, `classes` (m,) those of the batch; a new one gets its centre here.
    `weights` (m,) asks for a second scatter, in which the rows of a class weigh as they say.
    """

    sums: Sums
    centres: Tensor
    classes: Tensor
    new: Tensor  # (m,)
    narrow: torch.dtype  # the type of residuals
    weights: Tensor | None
    scratch: Scratch
    full: bool  # whether scatters are asked for
    one_block: bool  # whether the batch is a single block

    def add(self, block: Block, dtype: torch.dtype, *, normalize: bool) -> None:
        """Add the rows of a block, held in `dtype` where residuals are formed."""
        rows, own, part = block
        if rows.dtype != dtype:
            rows = self.scratch("wide", len(rows), rows, dtype).copy_(rows)
        lengths = _lengths(rows)
        if normalize:
            self.sums.zero_rows += int((lengths == 0).sum())
            rows = torch.div(
                rows, lengths.where(lengths > 0, 1)[:, None], out=self.scratch("wide", len(rows), rows, dtype)
            )
        self.sums.norms[part].index_add_(0, own, lengths.double())
        self.sums.largest[part].scatter_reduce_(0, own, lengths.double(), "amax")
        self._add_residuals(rows, own, part)

    def _add_residuals(self, rows: Tensor, own: Tensor, part: slice) -> None:
        classes, new = self.classes[part], self.new[part]
        counts = torch.bincount(own, minlength=len(classes))
        fresh = new.nonzero()[:, 0]
        near = self._near(rows, own, part, fresh)
        residual, sums, squares = self._about(near, rows, own)
        shift = None
        settled = new & (counts > 1) | (counts >= VOUCH)  # their own rows can tell a better centre
        if bool(settled.any()):
            far = settled & (torch.linalg.vecdot(sums, sums) > FAR * counts * squares)
            if bool(far.any()):
                old, near = near, torch.where(far[:, None], near + sums / counts[:, None], near)
                residual, sums, squares = self._about(near, rows, own)
                shift = (near.double() - old.double()).index_fill_(0, fresh, 0)
        if len(fresh):
            self._keep_centres(near, classes, fresh)
            new.fill_(False)
        if self.full:
            weights = None if self.weights is None else self.weights[part][own]
            products = Products(residual, weights)
            if self.one_block and shift is None:
                self.sums.products = products
            else:
                products.add_to(*self._scatters())
        total = self.sums
        if shift is None and self.one_block:
            total.residuals.copy_(sums)
            total.squares.copy_(squares)
        elif shift is None:
            total.residuals[part] += sums
            total.squares[part] += squares
        else:
            if self.one_block:
                total.residuals.zero_()
            self._add_shifted(shift, counts[:, None], sums.double(), squares, part)

    def _scatters(self) -> tuple[Tensor, Tensor | None]:
        total, d = self.sums, self.centres.shape[1]
        if total.scatter is None:
            total.scatter = self.scratch.zeros("scatter", d, self.centres)
            total.weighted = None if self.weights is None else self.scratch.zeros("weighted", d, self.centres)
        return total.scatter, total.weighted

    def _near(self, rows: Tensor, own: Tensor, part: slice, fresh: Tensor) -> Tensor:
        """Centres (g, d) of the classes of a block, in the type of `rows`; of new ones the mean of its rows."""
        classes = self.classes[part]
        if not len(fresh):
            wide = self._known_centres(classes)
            return wide if wide.dtype == rows.dtype else self.scratch("near", len(wide), wide, rows.dtype).copy_(wide)
        means = self.scratch.zeros("near", len(classes), rows, rows.dtype).index_add_(0, own, rows)
        means /= torch.bincount(own, minlength=len(classes))[:, None]
        known = (~self.new[part]).nonzero()[:, 0]
        if len(known):  # the centre of a new class is memory that was never touched
            means.index_copy_(0, known, self._known_centres(classes[known]).to(rows.dtype))
        return means

    def _known_centres(self, classes: Tensor) -> Tensor:
        kept = self.scratch("centres", len(classes), self.centres, torch.float64)
        return torch.index_select(self.centres, 0, classes, out=kept)

    def _keep_centres(self, near: Tensor, classes: Tensor, fresh: Tensor) -> None:
        if len(fresh) < len(near):
            out = self.scratch("fresh", len(fresh), near, near.dtype)
            near = torch.index_select(near, 0, fresh, out=out)
        wide = self.scratch("centres", len(fresh), near, torch.float64).copy_(near)
        self.centres.index_copy_(0, classes[fresh], wide)

    def _about(self, near: Tensor, rows: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals (B, d) of rows about `near` (g, d), their sums (g, d) and the sums of their squares (g,)."""
        residual = torch.index_select(near, 0, own, out=self.scratch("residual", len(rows), rows, rows.dtype))
        residual = torch.sub(rows, residual, out=residual)
        if residual.dtype != self.narrow:
            residual = self.scratch("narrow", len(rows), rows, self.narrow).copy_(residual)
        sums = self.scratch.zeros("sums", len(near), near, self.narrow).index_add_(0, own, residual)
        squares = torch.linalg.vector_norm(residual, dim=1).double().square_()
        return residual, sums, self.sums.squares.new_zeros(len(near)).index_add_(0, own, squares)

    def _add_shifted(self, shift: Tensor, counts: Tensor, sums: Tensor, squares: Tensor, part: slice) -> None:
        """Add sums about a centre that lies `shift` (g, d) from the class's own."""
        total, halfway = self.sums, sums + counts / 2 * shift
        total.residuals[part] += sums + counts * shift
        total.squares[part] += squares + 2 * torch.linalg.vecdot(shift, halfway)
        moved = shift.any(dim=1)
        weights = None if self.weights is None else self.weights[part][moved]
        add_crosses(total.scatter, total.weighted, shift[moved], halfway[moved], weights)


def add_crosses(
    scatter: Tensor | None, weighted: Tensor | None, shift: Tensor, halfway: Tensor, weights: Tensor | None
) -> None:
    """What moving the centre of each class by `shift` (g, d) adds to the scatters; `halfway` are sums about the midpoint."""
    if scatter is not None:
        cross = shift.T @ halfway
        scatter += cross + cross.T
    if weighted is not None and weights is not None:
        cross = (shift * weights[:, None]).T @ halfway
        weighted += cross + cross.T


def _lengths(rows: Tensor) -> Tensor:
    """Norms (B,) of rows; float64 rows whose squares would leave the range are scaled first."""
    lengths = torch.linalg.vector_norm(rows, dim=1)
    if rows.dtype == torch.float64 and bool((lengths.isinf() | (lengths < 1e-150)).any()):
        scale = rows.abs().amax(dim=1)
        unit = rows / scale.where(scale > 0, 1)[:, None]
        lengths = torch.linalg.vector_norm(unit, dim=1) * scale
    return lengths


def _add_product(total: Tensor, R: Tensor, factor: float) -> None:
    for left in range(0, R.shape[1], _PANEL):
        total[left : left + _PANEL, left:].add_(R[:, left : left + _PANEL].T @ R[:, left:], alpha=factor)
