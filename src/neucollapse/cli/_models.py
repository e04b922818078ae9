"""A model named on the command line: ``module:function``, imported and called because the user said so, never otherwise."""

import importlib
import sys
from pathlib import Path
from typing import Any

from .._errors import InputError


def call(name: str) -> Any:
    """Import ``module`` (also from the current folder) and call ``function`` of it.

    Raises:
        InputError: if there is no such module or function.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise InputError(f"expected --model as module:function, got {name!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        raise InputError(f"--model {name}: {error}; expected an importable module, or a file in this folder") from None
    except AttributeError as error:
        raise InputError(f"--model {name}: {error}") from None
    finally:
        sys.path.pop(0)
    return found()
