"""One page about a run, from its result files alone.

A run is a folder (``result.json``, ``arrays.safetensors``, ``history.parquet``). ``write_report`` reads these files
and writes one HTML page that needs no network: the verdict in words first, then the figures, then every number with
its definition, optimum and flags. The same files give the same bytes.

The room has three steps, one file each: ``_run`` reads and checks, ``figures`` turns a run into plots (one figure a
file), ``_page`` fills the template ``page.html.j2`` and inlines ``style.css`` and ``page.js``.
"""

from ._page import write_report

__all__ = ["write_report"]
