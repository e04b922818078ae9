"""Print the oldest versions that pyproject.toml allows, as constraints for pip: of the package and of every extra for users."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for requirement in [
    *project["dependencies"],
    *(each for extra in ("train", "fast", "heads") for each in extras[extra]),
]:
    name, version = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement).groups()
    print(f"{name}=={version}")
