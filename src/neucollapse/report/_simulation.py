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
    """Read and check a folder that ``simulate`` wrote.

    Raises:
        FileFormatError: if the folder holds no simulation that ended, or its file is damaged.
    """
    path = require_result(folder, SIMULATION)
    simulation = read_struct(path, SimulationFile, clean)
    for index, plot in enumerate(simulation.plots or []):
        _check_sizes(path, plot, f"plots[{index}]")
    return simulation


def _check_sizes(path: Path, plot: Plot | HeatMap, where: str) -> None:
    if isinstance(plot, HeatMap):
        if [len(row) for row in plot.values] != [len(plot.x_labels)] * len(plot.y_labels):
            raise FileFormatError(path, f"expected a value for every pair of labels at {where}, found others")
        return
    for index, line in enumerate(plot.lines):
        if len(line.x) != len(line.y):
            place = f"{where}.lines[{index}]"
            raise FileFormatError(path, f"expected as many x as y at {place}, found {len(line.x)} and {len(line.y)}")
