"""What a metric is: a name, words about it, and a pure function of the terms of a measurement."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ._range import Range
from ._terms import Need, Terms


@dataclass(frozen=True)
class Metric:
    """One named number.

    Attributes:
        name: flat key ``family/variant``, with ``@weight`` where it is taken on the classifier.
        title: a few words.
        symbol: the formula, in plain Unicode.
        definition: one or two sentences: what it is and how it is normalised.
        range: the values it can take; what was computed and lies outside is absent, with that reason.
        at_collapse: its value at exact collapse.
        compute: from the terms to a number; raises ``Absent``.
        citation: key in ``references.bib``, or empty.
        log: whether it is drawn on a logarithmic axis.
        optimum: the best value possible (or known) for these terms, where there is one to compare with.
        of_classifier: whether it is a number of the classifier alone, over all of its rows.
        needs: what it needs beside the means and traces of the features; without one of these it is absent.
    """

    name: str
    title: str
    symbol: str
    definition: str
    range: Range
    at_collapse: str
    compute: Callable[[Terms], float]
    citation: str = ""
    log: bool = False
    optimum: Callable[[Terms], float | None] | None = None
    of_classifier: bool = False
    needs: tuple[Need, ...] = ()

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


def on_weight(metrics: Iterable[Metric], read: Callable[[Metric], Callable[[Terms], float]]) -> tuple[Metric, ...]:
    """The same metrics taken on the classifier rows."""
    return tuple(
        replace(metric, name=f"{metric.name}@weight", compute=read(metric), of_classifier=True, needs=("classifier",))
        for metric in metrics
    )


def for_a_simplex(terms: Terms) -> float | None:
    """The optimum of what is zero at a simplex and at nothing else: 0 where one fits, K <= d+1."""
    return 0.0 if terms.d + 1 >= terms.K else None
