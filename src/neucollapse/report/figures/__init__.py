"""The figures of the page, one file each. A builder takes a run and returns a figure, or the reason why there is none."""

from .._run import Run
from . import cosines, gram, history, layers, margins, sphere
from ._plot import Figure as Figure
from ._plot import Panel as Panel

_BUILDERS = (history, gram, cosines, margins, sphere, layers)


def figures(run: Run) -> tuple[list[Figure], list[str]]:
    """The figures that this run has data for, in order of the page, and the reasons for those that it lacks."""
    built = [builder.build(run) for builder in _BUILDERS]
    reasons = [item for item in built if isinstance(item, str) and item]
    return [item for item in built if isinstance(item, Figure)], reasons
