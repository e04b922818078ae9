"""One page about a run, from its result files alone.

A run is a folder (`result.json`, `arrays.safetensors`, `history.parquet`). `write_report` reads these files
and writes one HTML page that needs no network: the verdict in words first, then the figures, then every number with
its definition, optimum and flags. The same files give the same bytes.

`write_comparison` puts several runs on one page. `write_code_page` does the same for a code that a search or a table gave,
from plain numbers and sentences, and `write_simulation_page` for a model of the theory wing.

The room has three steps: `_run` and `_simulation` read and check, `figures` turns what they read into plots (one figure a
file), and `_page`, `_comparison`, `_code_page` and `_simulation_page` fill the templates through `_html`, which
inlines `style.css` and `page.js`.
"""

from ._about import read_citations
from ._code_page import CodePage, Number, write_code_page
from ._comparison import write_comparison
from ._page import write_report
from ._run import read_size
from ._simulation import is_simulation
from ._simulation_page import write_simulation_page

__all__ = [
    "CodePage",
    "Number",
    "is_simulation",
    "read_citations",
    "read_size",
    "write_code_page",
    "write_comparison",
    "write_report",
    "write_simulation_page",
]
