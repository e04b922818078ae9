"""What ``import neucollapse.geometry`` loads: nothing that a look-up does not need."""

import subprocess
import sys

_LOADED = """
import sys
import neucollapse.geometry as geometry
from neucollapse.geometry import best_known, etf_floor, simplex
best_known(10, 3).points, best_known(30, 8), etf_floor(10, 3), simplex(4)
print([name for name in ("numba", "scipy", "joblib", "filelock", "neucollapse.geometry.codes._search") if name in sys.modules])
"""


def test_compiled_code_and_the_search_load_when_used():
    found = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
