"""Print the oldest versions that pyproject.toml allows, as constraints for pip: of the package and of every extra for users.

torch is that of constraints.txt: older wheels for Linux bring gigabytes of CUDA.
"""

import re
import tomllib
from pathlib import Path

root = Path(__file__).parents[1]
project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for requirement in [
    *project["dependencies"],
    *(each for extra in ("train", "fast", "heads") for each in extras[extra]),
]:
    name, version = re.fullmatch(r"([\w.-]+)>=([\w.]+)(?:,<[\w.]+)?", requirement).groups()
    if name != "torch":
        print(f"{name}=={version}")
print(re.search(r"^torch==.*$", (root / "constraints.txt").read_text(), re.MULTILINE).group())
