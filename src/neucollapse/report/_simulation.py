"""Read the folder of a simulation: every field checked, every string made safe to print."""

from pathlib import Path

from .._errors import FileFormatError
from .._records import read_struct
from .._schema import HeatMap, Plot, SimulationFile
from ._place import SIMULATION, require_result
from ._text import clean


def is_simulation(folder: str | Path) -> bool:
    """Whether a folder holds a simulation that ended."""
    return (Path(folder) / SIMULATION).exists()


def read_simulation(folder: str | Path) -> SimulationFile:
    """Read and check a folder that `simulate` wrote.

    Raises:
        FileFormatError: if the folder holds no simulation that ended, or its file is damaged.
    """
    path = require_result(folder, SIMULATION)
    simulation = read_struct(path, SimulationFile, clean)
    for index, plot in enumerate(simulation.plots or []):
        if fault := _sizes_at_fault(plot, f"plots[{index}]"):
            raise FileFormatError(path, fault)
    return simulation


def _sizes_at_fault(plot: Plot | HeatMap, where: str) -> str:
    if isinstance(plot, HeatMap):
        fits = [len(row) for row in plot.values] == [len(plot.x_labels)] * len(plot.y_labels)
        return "" if fits else f"expected a value for every pair of labels at {where}, found others"
    for index, line in enumerate(plot.lines):
        if len(line.x) != len(line.y):
            found = f"{len(line.x)} and {len(line.y)}"
            return f"expected as many x as y at {where}.lines[{index}], found {found}"
    return ""
