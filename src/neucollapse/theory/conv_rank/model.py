"""Convolutional rank: under noise that multiplies the rank of the data, do filters learn that of the clean data?

Zhang, Gao, Zou and Cao, arXiv 2504.08628 (abstract seen; data model and activation are our reading): samples of patches, one of
signal and the others of noise; a two-layer network with a Huberised ReLU whose second layer is fixed; full-batch gradient descent
on the logistic loss from a small initialisation.
"""

from collections.abc import Generator, Sequence
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from .._model import Findings, Model, Row, Run, State
from ._findings import conv_findings
from ._patch_data import Draw, Patches, draw_patches
from ._patch_network import Network, descend_in_span
from .settings import ConvRank
from .stable_rank import small_init_stable_rank, stable_rank_of

_EVERY = 40  # steps
_GREW = 0.1  # of the norm of the largest filter


class ConvRankModel(Model[ConvRank]):
    """Training at every level of noise; the stable rank of data and filters, alignment, losses and errors."""

    def run(self) -> Run:
        """Train every run at every level of noise; ends with the cosines of filters and signals of the first run."""
        ends = {}
        for run in range(self.settings.runs):
            for position, level in enumerate(self.settings.noise):
                cosines = yield from self._train(run, level)
                if run == 0 and self.settings.data == "synthetic":
                    ends[f"cosines/{position}"] = cosines
        return ends

    def _train(self, run: int, level: float) -> Generator[Row, None, Tensor]:
        patches, start = self.draw(run)[0].at(level), self.draw(run)[2]
        responses = start @ patches.rows.T
        moved, filters, name = torch.zeros_like(responses), start, f"noise {level:g}, run {run}"
        shown = [0, *range(_EVERY, self.settings.steps, _EVERY), self.settings.steps]
        yield from self._measure(name, 0, self._start_rank(run), self._network.loss(responses, patches))
        for before, after in pairwise(shown):
            steps = after - before
            responses, moved = descend_in_span(self._network, patches, responses, moved, steps, self._step_size)
            filters = start + moved @ patches.rows
            yield from self._measure(name, after, stable_rank_of(filters), self._network.loss(responses, patches))
        yield from self._result(filters, responses, run, level, patches)
        return self._cosines(filters)

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Ranks under noise, and whether the filters kept theirs."""
        return conv_findings(self.settings, rows, end)

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
    def draw(self, run: int) -> tuple[Draw, Draw, Tensor]:
        """Train, test and the filters at the start, the same at every level of noise."""
        generator = self.generator(run)
        train, test = draw_patches(self.settings, generator)
        size = (2 * self.settings.width, self.settings.dim)
        filters = torch.randn(size, generator=generator, dtype=torch.float64)
        return train, test, self.settings.init * self._kappa * filters

    @lru_cache(maxsize=1)  # noqa: B019
    def _start_rank(self, run: int) -> float:
        return stable_rank_of(self.draw(run)[2])

    # -- measuring

    def _measure(self, name: str, step: int, rank: float, loss: Tensor) -> list[Row]:
        return [Row(name, float(step), "rank/stable@weight", rank), Row(name, float(step), "train loss", float(loss))]

    def _result(self, filters: Tensor, trained: Tensor, run: int, level: float, patches: Patches) -> list[Row]:
        """What a level ends with; ``trained`` are the responses to the training patches."""
        _, test, start = self.draw(run)
        unseen = test.at(level)
        responses = filters @ unseen.rows.T
        wrong = self._network.scores(responses, unseen) * unseen.labels <= 0
        train_wrong = self._network.scores(trained, patches) * patches.labels <= 0
        numbers = {
            "stable rank of the data": stable_rank_of(patches.matrix()),
            "stable rank of the clean data": stable_rank_of(patches.signal_matrix()),
            "stable rank of the filters": stable_rank_of(filters),
            "stable rank of the filters at the start": self._start_rank(run),
            "final train loss": float(self._network.loss(trained, patches)),
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
