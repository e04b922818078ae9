"""Convolutional rank: under noise that multiplies the rank of the data, do filters learn that of the clean data?

Zhang, Gao, Zou and Cao, arXiv 2504.08628 (abstract seen; data model and activation are our reading): samples of patches, one of
signal and the others of noise; a two-layer network with a Huberised ReLU whose second layer is fixed; full-batch gradient descent
on the logistic loss from a small initialisation.
"""

from collections.abc import Generator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .._findings import record
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
            train, test, start = self.drawn(run)
            for position, level in enumerate(self.settings.noise):
                cosines = yield from self._train(f"run {run}", level, train.at(level), test.at(level), start)
                if run == 0 and self.settings.data == "synthetic":
                    ends[f"cosines/{position}"] = cosines
        return ends

    def drawn(self, run: int) -> tuple[Draw, Draw, Tensor]:
        """Train, test and the filters at the start, the same at every level of noise."""
        s, generator = self.settings, self.generator(run)
        train, test = draw_patches(s, generator)
        filters = torch.randn((2 * s.width, s.dim), generator=generator, dtype=torch.float64)
        return train, test, s.init * s.kappa * s.width * filters

    def _train(
        self, run: str, level: float, patches: Patches, test: Patches, start: Tensor
    ) -> Generator[Row, None, Tensor]:
        """Rows of a training and of what it ends with; the cosines of filters and signals."""
        s = self.settings
        signs = torch.ones(s.width, dtype=torch.float64) / s.width
        network = Network(torch.cat([signs, -signs]), s.kappa * s.width, s.power)
        lr = s.lr * 2 * s.signals * s.width * network.kappa
        name, shown = f"noise {level:g}, {run}", [0, *range(_EVERY, s.steps, _EVERY), s.steps]
        responses, moved = start @ patches.rows.T, start.new_zeros(len(start), len(patches.rows))

        def row(step: int, rank: float) -> list[Row]:
            loss = float(network.loss(responses, patches))
            return record(name, step, {"rank/stable@weight": rank, "train loss": loss})

        filters, before = start, stable_rank_of(start)
        rank = before
        yield from row(0, rank)
        for begin, end in pairwise(shown):
            responses, moved = descend_in_span(network, patches, responses, moved, steps=end - begin, lr=lr)
            filters = start + moved @ patches.rows
            rank = stable_rank_of(filters)
            yield from row(end, rank)
        unseen = filters @ test.rows.T
        # Filters in falling order of their norm; signals are the first axes.
        norms, order = filters.norm(dim=1).sort(descending=True, stable=True)
        cosines = torch.nn.functional.normalize(filters)[order, : 2 * s.signals]
        numbers = {
            "stable rank of the data": stable_rank_of(patches.matrix()),
            "stable rank of the clean data": stable_rank_of(patches.signal_matrix()),
            "stable rank of the filters": rank,
            "stable rank of the filters at the start": before,
            "final train loss": float(network.loss(responses, patches)),
            "test loss": float(network.loss(unseen, test)),
            "train error": network.error(responses, patches),
            "test error": network.error(unseen, test),
        }
        if s.data == "synthetic":
            grew = int((norms > _GREW * norms[0]).sum())
            numbers["stable rank by the winners"] = small_init_stable_rank(start[:, : 2 * s.signals])
            numbers["alignment"] = float(cosines[:grew].amax(1).mean())
            numbers["filters that grew"] = grew
        yield from record(run, level, numbers)
        return cosines

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Ranks under noise, and whether the filters kept theirs."""
        return conv_findings(self.settings, rows, end)
