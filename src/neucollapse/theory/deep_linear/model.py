"""Deep linear networks with cross-entropy and no decay: what gradient flow prefers as the depth grows."""

import itertools
import math
from collections.abc import Generator, Sequence

import scipy.linalg
import torch
from torch import Tensor

from ..._types import Float
from ...geometry import one_vs_rest
from ...metrics.rank import effective_rank
from .._measure import measured
from .._model import Comparison, Findings, Model, Row, Run, State, series
from ..solvers import stops
from ._plots import depth_plots, phase_plots
from .log_flow import Factors, log_flow, log_loss_gradient, products
from .schatten import NamedCode, candidate_codes, logit_margin, preferred_code, schatten_value, simplex_value
from .settings import DeepLinear

_CHUNKS = 12
PHASE_CLASSES = (4, 5, 6, 7, 8, 9, 10, 12)
PHASE_DEPTHS = (2, 3, 4, 5, 6, 8, 12, 20)


def gaussian_factors(K: int, dim: int, layers: int, starts: int, scale: float, generator: torch.Generator) -> Factors:
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


def mode_slopes(values: Float[Tensor, "K"], layers: int) -> Float[Tensor, "K"]:
    """da/dt of the gradient flow of the mean cross-entropy from `spectral_factors`: the whole network in K numbers."""
    Q, L = hadamard(len(values)), layers
    P = torch.softmax(Q @ torch.diag(values**L) @ Q.T, dim=0)
    return values ** (L - 1) * (1 - ((Q.T @ P) * Q.T).sum(dim=1)) / len(values)


def early_values(values: Float[Tensor, "K"], time: float, layers: int) -> Float[Tensor, "K"]:
    r"""Singular values of a factor while the logits are small, from `spectral_factors`: before any class is told from another.

    There P = 1/K and every mode but the constant one has $\dot a = a^{L-1} / K$, so

    $$a(t) = \big( a(0)^{2-L} - (L-2) t / K \big)^{-1/(L-2)} \quad (L > 2), \qquad a(t) = a(0) e^{t/K} \quad (L = 2).$$

    Ratios of singular values stay at L = 2 and grow for L > 2, without bound as the larger one nears its time of escape,
    $K a(0)^{2-L} / (L-2)$: the repulsion that makes the rank low. Infinite after that time.
    """
    K = len(values)
    if layers == 2:
        return values * math.exp(time / K)
    left = values ** (2 - layers) - (layers - 2) * time / K
    return torch.where(left > 0, left.clamp(min=0) ** (-1 / (layers - 2)), torch.inf)


class DeepLinearModel(Model[DeepLinear]):
    """The flow of log loss at every depth, then the codes that each depth and width should prefer."""

    def run(self) -> Run:
        """Follow the flow at every depth, then price the codes; ends with the logits of every depth, (starts, K, K)."""
        ends = {}
        for index, L in enumerate(self.settings.depths):
            ends[f"logits/{L}"] = yield from self._flow(L, self._draw(L, index * _CHUNKS))
        for K in PHASE_CLASSES:
            yield from (Row("phase", float(L), f"K = {K}", float(preferred_code(K, L).dim)) for L in PHASE_DEPTHS)
        yield from self._values()
        return ends

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Ranks over depth; values beside those of the candidates."""
        s = self.settings
        fitted = {L: [Z for Z in end[f"logits/{L}"] if logit_margin(Z) > 0] for L in s.depths}
        apart = {L: [i for i, Z in enumerate(end[f"logits/{L}"], start=1) if logit_margin(Z) > 0] for L in s.depths}
        ranks = {L: _mean(rows, "rank/effective", L, apart[L]) for L in s.depths}
        told = [ranks[L] for L in sorted(ranks) if apart[L]]
        falls = all(a > b for a, b in itertools.pairwise(told))
        # A rank of starts that have told no classes apart is that of a saddle, and no evidence.
        decided = len(told) == len(ranks) > 1
        how = "does not fall with every depth" if not falls else "falls with every depth" if decided else "is"
        saddle = " (at a saddle: no start does)"
        room = "" if s.dim >= s.classes - 1 else f", for which d = {s.dim} has no room"
        sentences = [
            f"The effective rank of the features (unit length, starts that tell all classes apart) {how}: "
            + ", ".join(f"{ranks[L]:.3g} at L = {L}{'' if apart[L] else saddle}" for L in sorted(ranks))
            + f". Neural collapse has {s.classes - 1}{room}."
        ]
        sentences += [self._sentence(L, fitted[L]) for L in sorted(ranks)]
        comparisons = [
            Comparison(
                f"Schatten value, L = {L}",
                schatten_value(self._preferred(L).logits, L),
                min(schatten_value(Z, L) for Z in fitted[L]),
                f"least of the starts, beside the {self._preferred(L).name}, the cheapest candidate; smaller is preferred",
            )
            for L in sorted(ranks)
            if fitted[L]
        ]
        if s.init == "spectral":
            turned = max(series(rows, "turned")[1])
            sentences.append(
                f"Singular vectors stay on the Hadamard basis: what leaves it is at most {turned:.1e} of the logits."
            )
        plots = [*depth_plots(rows, s), *phase_plots(rows, s, PHASE_CLASSES, PHASE_DEPTHS)]
        return Findings(sentences, comparisons, plots, end, falls if decided else None)

    def _sentence(self, L: int, fitted: list[Tensor]) -> str:
        s = self.settings
        if not fitted:
            return f"L = {L}: no start has told all classes apart within these steps; the flow is near a saddle of low rank."
        least, code = min(schatten_value(Z, L) for Z in fitted), self._preferred(L)
        simplex = f"the simplex {simplex_value(s.classes):.4g}, " if s.dim >= s.classes - 1 else ""
        return (
            f"L = {L}: {len(fitted)} of {s.starts} starts tell all classes apart. The cheapest of them costs {least:.4g} at unit "
            f"margin, {simplex}the {code.name} in {code.dim} dimensions, the cheapest code "
            f"known, {schatten_value(code.logits, L):.4g}."
        )

    def _preferred(self, L: int) -> NamedCode:
        return preferred_code(self.settings.classes, L, self.settings.dim)

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
            return gaussian_factors(s.classes, s.dim, L, s.starts, s.scale, generator)
        noise = torch.randn(s.starts, s.classes, generator=generator, dtype=torch.float64)
        values = s.scale * torch.exp(s.spread * noise)
        values[:, 0] = 0
        return spectral_factors(values, s.dim, L)

    def _measure(self, factors: Factors, L: int, step: int) -> list[Row]:
        s, partial = self.settings, products(factors)
        log_loss, rows = log_loss_gradient(factors)[0], []
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
            rows += [Row(f"L = {L}, start {start + 1}", float(step), key, value) for key, value in values.items()]
        return rows

    def _values(self) -> list[Row]:
        """The price of every candidate at every depth, of the classes simulated."""
        s = self.settings
        return [
            Row(f"{code.name}, d = {code.dim}", float(L), "candidate", schatten_value(code.logits, L))
            for code in candidate_codes(s.classes, s.dim)
            for L in PHASE_DEPTHS
        ]


def _mean(rows: Sequence[Row], key: str, L: int, starts: Sequence[int]) -> float:
    """The mean of the last value of a key at a depth over some starts, counted from 1; over all where there are none."""
    chosen = [row for row in rows if row.key == key and row.series.startswith(f"L = {L},")]
    last = max(row.x for row in chosen)
    names = {f"L = {L}, start {start}" for start in starts} or {row.series for row in chosen}
    values = [row.value for row in chosen if row.x == last and row.series in names]
    return sum(values) / len(values)
