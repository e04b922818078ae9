"""How geometry is compiled by numba (extra `fast`).

Numba's cache looks at the file of an `entry` alone: functions that an entry calls stand in the same file, or a change of
them would not be compiled; `_pivots` carries a checksum of `_products` for that.
"""

from typing import Any

import numba

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning.
_REORDER = {"reassoc", "contract", "nsz", "arcp"}
_PLAIN: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": _REORDER}
entry = numba.njit(**_PLAIN)
_NO_ENTRY: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# Not called from Python: no entry points, which take longer to compile than the function does.
inner = numba.njit(**_PLAIN, **_NO_ENTRY)
