"""A misspelt option is refused by every public function, with the one that was likely meant."""

import inspect

import pytest

from neucollapse import InputError, geometry

WITH_OPTIONS = [
    name
    for name, function in inspect.getmembers(geometry, inspect.isfunction)
    if any(p.kind is p.KEYWORD_ONLY for p in inspect.signature(function).parameters.values())
]


def test_there_are_some():
    assert {"best_code", "certify", "one_vs_rest", "solve"} <= set(WITH_OPTIONS)


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_a_misspelt_option_is_named(name):
    function = getattr(geometry, name)
    option = next(p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY)
    with pytest.raises(InputError, match=f"{name} has no option '{option}x'; did you mean '{option}'"):
        function(**{f"{option}x": 1})
