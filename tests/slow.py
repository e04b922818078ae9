"""Cases of a parametrised test that `make test` runs, and those that it leaves to `make test-all`."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(*quick: Any, of: Iterable[Any]) -> list[Any]:
    """All cases ``of`` a test, marked slow but for the ``quick`` ones, which have to be among them."""
    cases = list(of)
    strange = [case for case in quick if case not in cases]
    if strange:
        raise ValueError(f"expected quick cases among {cases}, got {strange}")
    return [
        case if case in quick else pytest.param(*(case if isinstance(case, tuple) else [case]), marks=pytest.mark.slow)
        for case in cases
    ]
