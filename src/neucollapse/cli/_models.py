"""A model named on the command line: ``module:function``, imported and called because the user said so, never otherwise."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import InputError, NeucollapseError
from .._files import one_line
from .._names import did_you_mean

if TYPE_CHECKING:
    from torch.nn import Module


def model_and_loader(name: str, *, loader_needed: bool) -> "tuple[Module, Any]":
    """What ``module:function`` returns: (model, loader), or a model alone where no loader is needed.

    Raises:
        InputError: if there is no such function, if it fails, or if it returns something else.
    """
    from torch.nn import Module

    found = _call(name)
    model, loader = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    expected = "(model, loader) or (model, {split: loader})" + ("" if loader_needed else ", or a model")
    if not isinstance(model, Module) or (loader is None and loader_needed):
        inside = ", ".join(type(part).__name__ for part in found) if isinstance(found, tuple) else type(found).__name__
        got = f"({inside})" if isinstance(found, tuple) else inside
        raise InputError(f"expected {name} to return {expected} with a torch.nn.Module as model, got {got}")
    return model, loader


def _call(name: str) -> Any:
    """Import ``module`` (also from the current folder) and call ``function`` of it."""
    module, _, function = name.partition(":")
    if not module or not function:
        raise InputError(f"expected module:function, such as mine:make for make() in mine.py, got {name!r}")
    if module.endswith(".py") or "/" in module:
        raise InputError(f"expected a module by its name in Python, such as mine:make, got the path {module!r}")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        called = _found(name, module, function)
        try:
            return called()
        except NeucollapseError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"{name} raised {type(error).__name__}: {one_line(error)}") from error
    finally:
        sys.path.remove(here)


def _found(name: str, module: str, function: str) -> Any:
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"{name}: {error}; expected a module that can be imported, or a file in this folder") from None
    except (Exception, SystemExit) as error:
        raise InputError(f"{name}: the import of {module} raised {type(error).__name__}: {one_line(error)}") from error
    if not hasattr(imported, function):
        public = [other for other in vars(imported) if not other.startswith("_") and callable(getattr(imported, other))]
        raise InputError(f"{name}: {module} has no {function!r}; {did_you_mean(function, public, kind='function')}")
    found = getattr(imported, function)
    from torch.nn import Module

    if not callable(found) or isinstance(found, Module):
        kind = type(found).__name__
        raise InputError(f"expected {name} to be a function without arguments that returns (model, loader), got {kind}")
    return found
