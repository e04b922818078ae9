"""One page about a run, from its result files alone.

A run is a folder (``result.json``, ``arrays.safetensors``, ``history.parquet``). ``write_report`` reads these files
and writes one HTML page that needs no network: the verdict in words first, then the figures, then every number with
its definition, optimum and flags. The same files give the same bytes.

``write_code_page`` does the same for a code that a search or a table gave, from plain numbers and sentences.

The room has three steps, one file each: ``_run`` reads and checks, ``figures`` turns a run into plots (one figure a
file), ``_page`` and ``_code_page`` fill the templates through ``_html``, which inlines ``style.css`` and ``page.js``.
"""

from ._code_page import CodePage, Number, write_code_page
from ._page import write_report

__all__ = ["CodePage", "Number", "write_code_page", "write_report"]
