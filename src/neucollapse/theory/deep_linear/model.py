"""Deep linear networks with cross-entropy and no decay: what gradient flow prefers as the depth grows."""

import itertools
import math
from collections.abc import Generator, Iterator, Sequence

import scipy.linalg
import torch
from torch import Tensor

from ..._types import Float
from ...geometry import one_vs_rest
from ...metrics.rank import effective_rank
from .._findings import record
from .._measure import measured
from .._model import Comparison, Findings, Model, Row, Run, State, series
from ..solvers import stops
from ._plots import depth_plots, phase_plots
from .log_flow import Factors, log_flow, log_loss_gradient, products
from .schatten import candidate_codes, logit_margin, preferred_code, schatten_value, simplex_value
from .settings import DeepLinear

_CHUNKS = 12
PHASE_CLASSES = (4, 5, 6, 7, 8, 9, 10, 12)
PHASE_DEPTHS = (2, 3, 4, 5, 6, 8, 12, 20)


def gaussian_factors(
    K: int, dim: int, layers: int, *, starts: int, scale: float, generator: torch.Generator
) -> Factors:
    """Independent entries of standard deviation scale / sqrt(dim): features (dim, K), then (dim, dim), the last (K, dim)."""
    shapes = [(dim, K), *[(dim, dim)] * (layers - 2), (K, dim)]
    draw = [torch.randn(starts, *shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [scale / math.sqrt(dim) * matrix for matrix in draw]


def hadamard(K: int) -> Float[Tensor, "K K"]:
    """Sylvester's Hadamard matrix over sqrt(K), its first column constant; K a power of two."""
    return torch.from_numpy(scipy.linalg.hadamard(K)).double() / math.sqrt(K)


def spectral_factors(values: Float[Tensor, "starts K"], dim: int, layers: int) -> Factors:
    r"""Balanced factors of Z = Q diag(a^L) Q^T, for the Hadamard basis Q and singular values a of every factor.

    Entry (i, j) of Z depends on i xor j alone. So do the exponentials and their sums over columns, hence the probabilities, and
    Q diagonalises the gradient as well: singular vectors stay, and $\dot a_i = a_i^{L-1} q_i^T (I - P) q_i / K$.
    The constant vector is in the kernel of the gradient; its value should be 0.
    """
    K = values.shape[1]
    Q, inner = hadamard(K), torch.eye(dim, K, dtype=torch.float64)
    diagonal = torch.diag_embed(values)
    return [inner @ diagonal @ Q.T, *[inner @ diagonal @ inner.T] * (layers - 2), Q @ diagonal @ inner.T]


class DeepLinearModel(Model[DeepLinear]):
    """The flow of log loss at every depth, then the codes that each depth and width should prefer."""

    def run(self) -> Run:
        """Follow the flow at every depth, then price the codes; ends with the logits of every depth, (starts, K, K)."""
        ends = {}
        for index, L in enumerate(self.settings.depths):
            ends[f"logits/{L}"] = yield from self._flow(L, self._draw(L, index * _CHUNKS))
        for K, L in itertools.product(PHASE_CLASSES, PHASE_DEPTHS):
            yield Row("phase", float(L), f"K = {K}", float(preferred_code(K, L).dim))
        for code, L in itertools.product(candidate_codes(self.settings.classes, self.settings.dim), PHASE_DEPTHS):
            yield Row(f"{code.name}, d = {code.dim}", float(L), "candidate", schatten_value(code.logits, L))
        return ends

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Ranks over depth; values beside those of the candidates."""
        s = self.settings
        fitted = {
            L: {i: Z for i, Z in enumerate(end[f"logits/{L}"], start=1) if logit_margin(Z) > 0}
            for L in sorted(s.depths)
        }
        ranks = {L: _mean(rows, "rank/effective", L, list(fitted[L])) for L in fitted}
        told = [ranks[L] for L in ranks if fitted[L]]
        falls = all(a > b for a, b in itertools.pairwise(told))
        # A rank of starts that have told no classes apart is that of a saddle, and no evidence.
        decided = len(told) == len(ranks) > 1
        how = "does not fall with every depth" if not falls else "falls with every depth" if decided else "is"
        saddle = " (at a saddle: no start does)"
        room = "" if s.dim >= s.classes - 1 else f", for which d = {s.dim} has no room"
        sentences = [
            f"The effective rank of the features (unit length, starts that tell all classes apart) {how}: "
            + ", ".join(f"{ranks[L]:.3g} at L = {L}{'' if fitted[L] else saddle}" for L in ranks)
            + f". Neural collapse has {s.classes - 1}{room}."
        ]
        comparisons = []
        for L, logits in fitted.items():
            if not logits:
                near = "no start has told all classes apart within these steps; the flow is near a saddle of low rank."
                sentences.append(f"L = {L}: {near}")
                continue
            code, least = preferred_code(s.classes, L, s.dim), min(schatten_value(Z, L) for Z in logits.values())
            price = schatten_value(code.logits, L)
            simplex = f"the simplex {simplex_value(s.classes):.4g}, " if s.dim >= s.classes - 1 else ""
            sentences.append(
                f"L = {L}: {len(logits)} of {s.starts} starts tell all classes apart. The cheapest of them costs {least:.4g} at "
                f"unit margin, {simplex}the {code.name} in {code.dim} dimensions, the cheapest code known, {price:.4g}."
            )
            meaning = f"least of the starts, beside the {code.name}, the cheapest candidate; smaller is preferred"
            comparisons.append(Comparison(f"Schatten value, L = {L}", price, least, meaning))
        if s.init == "spectral":
            turned = max(series(rows, "turned")[1])
            stay = "Singular vectors stay on the Hadamard basis: what leaves it is at most "
            sentences.append(f"{stay}{turned:.1e} of the logits.")
        plots = [*depth_plots(rows, s), *phase_plots(rows, s, PHASE_CLASSES, PHASE_DEPTHS)]
        return Findings(sentences, comparisons, plots, end, falls if decided else None)

    def _flow(self, L: int, factors: Factors) -> Generator[Row, None, Tensor]:
        pace = torch.ones(self.settings.starts, dtype=torch.float64)
        yield from self._measure(factors, L, 0)
        for before, after in itertools.pairwise(stops(self.settings.steps, _CHUNKS)):
            factors, pace = log_flow(factors, pace, after - before)
            yield from self._measure(factors, L, after)
        return products(factors)[-1].contiguous()

    def _draw(self, L: int, stream: int) -> Factors:
        s, generator = self.settings, self.generator(stream)
        if s.init == "gaussian":
            return gaussian_factors(s.classes, s.dim, L, starts=s.starts, scale=s.scale, generator=generator)
        noise = torch.randn(s.starts, s.classes, generator=generator, dtype=torch.float64)
        values = s.scale * torch.exp(s.spread * noise)
        values[:, 0] = 0
        return spectral_factors(values, s.dim, L)

    def _measure(self, factors: Factors, L: int, step: int) -> Iterator[Row]:
        s, partial = self.settings, products(factors)
        log_loss = log_loss_gradient(factors)[0]
        for start in range(s.starts):
            Z, H = partial[-1][start], partial[-2][start]
            unit = H / H.norm(dim=0)
            spectrum = torch.linalg.svdvals(Z)
            values = {
                "log loss": float(log_loss[start]),
                "rank/effective": effective_rank(torch.linalg.svdvals(unit)),
                "rank of the logits": effective_rank(spectrum),
                "gnc2/margin": one_vs_rest(unit.T).margin,
                "value": schatten_value(Z, L),
            }
            if start == 0:
                values = measured(H.T, torch.arange(s.classes), factors[-1][start]) | values
                values |= {f"singular value {i + 1}": float(value) for i, value in enumerate(spectrum)}
            if s.init == "spectral":
                inside = hadamard(s.classes).T @ Z @ hadamard(s.classes)
                values["turned"] = float((inside - torch.diag(inside.diagonal())).norm() / Z.norm())
            yield from record(f"L = {L}, start {start + 1}", step, values)


def _mean(rows: Sequence[Row], key: str, L: int, starts: Sequence[int]) -> float:
    """The mean of the last value of a key at a depth over some starts, counted from 1; over all where there are none."""
    chosen = [row for row in rows if row.key == key and row.series.startswith(f"L = {L},")]
    last = max(row.x for row in chosen)
    names = {f"L = {L}, start {start}" for start in starts} or {row.series for row in chosen}
    values = [row.value for row in chosen if row.x == last and row.series in names]
    return sum(values) / len(values)
