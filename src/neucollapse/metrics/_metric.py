"""What a metric is: a name, words about it, and a pure function of the terms of a measurement."""

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

from ._range import NONNEGATIVE, Range
from ._terms import Need, Terms


@dataclass(frozen=True)
class Metric:
    """One named number: unless it says otherwise at least 0, 0 at collapse, and drawn on a logarithmic axis.

    Attributes:
        name: flat key `family/variant`, with `@weight` where it is taken on the classifier.
        title: a few words.
        symbol: the formula, in plain Unicode.
        definition: one or two sentences: what it is and how it is normalised.
        compute: from the terms, and the rows of `side` where it has one, to a number; raises `Absent`.
        citation: key in `references.bib`, or empty.
        range: the values it can take; what was computed and lies outside is absent, with that reason.
        at_collapse: its value at exact collapse.
        log: whether it is drawn on a logarithmic axis.
        optimum: the best value possible (or known) for these terms, where there is one to compare with.
        side: the rows it is a number of: class means, those of unit-norm features, or the classifier; None for others.
        needs: what it needs beside the means and traces of the features; without one of these it is absent.
    """

    name: str
    title: str
    symbol: str
    definition: str
    compute: Callable[..., float]
    citation: str = ""
    _: KW_ONLY
    range: Range = NONNEGATIVE
    at_collapse: str = "0"
    log: bool = True
    optimum: Callable[[Terms], float | None] | None = None
    side: Literal["means", "normalized_means", "weight"] | None = None
    needs: tuple[Need, ...] = ()

    def value(self, terms: Terms) -> float:
        """The number; raises `Absent` where there is none."""
        terms.need(*self.needs)
        return float(self.compute(terms, getattr(terms, self.side)) if self.side else self.compute(terms))

    @property
    def of_classifier(self) -> bool:
        """Whether it is a number of the classifier alone, over all of its rows."""
        return self.side == "weight"

    @property
    def suits_a_layer(self) -> bool:
        """Whether inner layers have it: it needs nothing that only the features before the classifier have."""
        return not {"classifier", "bias", "outside", "each class"} & {*self.needs}

    @property
    def family(self) -> str:
        """The part of the name before the slash, as a heading: NC1, NC2, GNC2, ..."""
        family = self.name.split("/")[0]
        is_acronym = family == "mse" or family[:2] == "nc" or family[:3] == "gnc"
        return family.upper() if is_acronym else family.replace("_", " ").capitalize()


def on_weight(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """The same metrics, which are numbers of class means, taken on the classifier rows."""
    return tuple(
        replace(
            metric,
            name=f"{metric.name}@weight",
            side="weight",
            needs=("classifier", *(need for need in metric.needs if need != "unit norm")),
        )
        for metric in metrics
    )


def for_a_simplex(terms: Terms) -> float | None:
    """The optimum of what is zero at a simplex and at nothing else: 0 where one fits, K <= d+1."""
    return 0.0 if terms.d + 1 >= terms.K else None
