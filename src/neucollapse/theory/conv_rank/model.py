"""Convolutional rank: under noise that multiplies the rank of the data, do filters learn that of the clean data?

Zhang, Gao, Zou and Cao, arXiv 2504.08628 (abstract seen; data model and activation are our reading): samples of patches, one of
signal and the others of noise; a two-layer network with a Huberised ReLU whose second layer is fixed; full-batch gradient descent
on the logistic loss from a small initialisation.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from .._model import Findings, Model, Row, State
from ..settings import ConvRank
from ._findings import conv_findings
from ._patch_data import Draw, Patches, draw_patches
from ._patch_network import Network, descend_in_span
from .stable_rank import small_init_stable_rank, stable_rank_of

STEPS_A_PIECE = 40
_GREW = 0.1  # of the norm of the largest filter


class ConvRankModel(Model[ConvRank]):
    """Training at every level of noise; the stable rank of data and filters, alignment, losses and errors."""

    settings_type = ConvRank

    @property
    def pieces(self) -> int:
        """So many steps of gradient descent each, for every run and level of noise."""
        return self.settings.runs * len(self.settings.noise) * self._chunks

    @property
    def _chunks(self) -> int:
        return -(-self.settings.steps // STEPS_A_PIECE)

    def start(self) -> State:
        """Filters and patches of the first run, without noise or with the least."""
        return self._begin(0, 0)

    def advance(self, state: State, piece: int) -> tuple[State, list[Row]]:
        """Some steps; at the last ones of a level, its results too. A run draws from the stream of its own number."""
        cell, chunk = divmod(piece, self._chunks)
        run, position = divmod(cell, len(self.settings.noise))
        level, done = self.settings.noise[position], chunk * STEPS_A_PIECE
        name = f"noise {level:g}, run {run}"
        patches = self._run(run)[0].at(level)
        if chunk == 0:
            state = {**state, **self._begin(run, position)}
            rows = self._measure(state, run, patches, name, 0)
        else:
            rows = []
        steps = min(STEPS_A_PIECE, self.settings.steps - done)
        responses, moved = descend_in_span(
            self._network, patches, state["responses"], state["moved"], steps, self._step_size
        )
        state = {**state, "responses": responses, "moved": moved}
        rows += self._measure(state, run, patches, name, done + steps)
        if chunk == self._chunks - 1:
            rows += self._result(state, run, level, patches)
            if run == 0 and self.settings.data == "synthetic":
                state[f"cosines/{position}"] = self._cosines(self._filters(state, run, patches))
        return state, rows

    def findings(self, state: State, rows: Sequence[Row]) -> Findings:
        """Ranks under noise, and whether the filters kept theirs."""
        cosines = {name: tensor for name, tensor in state.items() if name.startswith("cosines/")}
        return conv_findings(self.settings, rows, cosines)

    # -- training

    @property
    def _network(self) -> Network:
        m = self.settings.width
        second = torch.ones(2 * m, dtype=torch.float64) / m
        second[m:] *= -1
        return Network(second, self._kappa, self.settings.power)

    @property
    def _kappa(self) -> float:
        return self.settings.kappa * self.settings.width

    @property
    def _step_size(self) -> float:
        return self.settings.lr * 2 * self.settings.signals * self.settings.width * self._kappa

    @lru_cache(maxsize=1)  # noqa: B019  a model lives as long as its simulation
    def _run(self, run: int) -> tuple[Draw, Draw, Tensor]:
        """Train, test and the filters at the start, the same at every level of noise."""
        generator = self.generator(run)
        train, test = draw_patches(self.settings, generator)
        size = (2 * self.settings.width, self.settings.dim)
        filters = torch.randn(size, generator=generator, dtype=torch.float64)
        return train, test, self.settings.init * self._kappa * filters

    @lru_cache(maxsize=1)  # noqa: B019
    def _start_rank(self, run: int) -> float:
        return stable_rank_of(self._run(run)[2])

    def _begin(self, run: int, position: int) -> State:
        train, _, filters = self._run(run)
        responses = filters @ train.at(self.settings.noise[position]).rows.T
        return {"responses": responses, "moved": torch.zeros_like(responses)}

    def _filters(self, state: State, run: int, patches: Patches) -> Tensor:
        return self._run(run)[2] + state["moved"] @ patches.rows

    # -- measuring

    def _measure(self, state: State, run: int, patches: Patches, name: str, step: int) -> list[Row]:
        rank = self._start_rank(run) if step == 0 else stable_rank_of(self._filters(state, run, patches))
        loss = self._network.loss(state["responses"], patches)
        return [Row(name, float(step), "rank/stable@weight", rank), Row(name, float(step), "train loss", float(loss))]

    def _result(self, state: State, run: int, level: float, patches: Patches) -> list[Row]:
        _, test, start = self._run(run)
        filters, unseen = self._filters(state, run, patches), test.at(level)
        responses = filters @ unseen.rows.T
        wrong = self._network.scores(responses, unseen) * unseen.labels <= 0
        train_wrong = self._network.scores(state["responses"], patches) * patches.labels <= 0
        numbers = {
            "stable rank of the data": stable_rank_of(patches.matrix()),
            "stable rank of the clean data": stable_rank_of(patches.signal_matrix()),
            "stable rank of the filters": stable_rank_of(filters),
            "stable rank of the filters at the start": self._start_rank(run),
            "final train loss": float(self._network.loss(state["responses"], patches)),
            "test loss": float(self._network.loss(responses, unseen)),
            "train error": float(train_wrong.double().mean()),
            "test error": float(wrong.double().mean()),
        }
        if self.settings.data == "synthetic":
            norms = filters.norm(dim=1)
            grew = int((norms > _GREW * norms.max()).sum())
            numbers["stable rank by the winners"] = small_init_stable_rank(start[:, : 2 * self.settings.signals])
            numbers["alignment"] = float(self._cosines(filters)[:grew].amax(1).mean())
            numbers["filters that grew"] = grew
        return [Row(f"run {run}", level, key, value) for key, value in numbers.items()]

    def _cosines(self, filters: Tensor) -> Tensor:
        """Cosines of filters and signals, which are the first axes; filters in falling order of their norm."""
        order = filters.norm(dim=1).argsort(descending=True, stable=True)
        return torch.nn.functional.normalize(filters)[order, : 2 * self.settings.signals]
