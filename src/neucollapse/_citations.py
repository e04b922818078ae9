"""The papers this package implements, as BibTeX: one shipped file, looked up by key."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from ._names import unknown_name


@cache
def _entries() -> dict[str, str]:
    text = files("neucollapse").joinpath("references.bib").read_text(encoding="utf-8")
    found = re.findall(r"^@\w+\{([^,]+),.*?^\}", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^@\w+\{.*?^\}", text, flags=re.MULTILINE | re.DOTALL)
    return dict(zip(found, blocks, strict=True))


def bibtex(keys: Iterable[str]) -> str:
    """The BibTeX entries of the given keys, in order and without repeats; a key that is none is an `UnknownNameError`."""
    entries = _entries()
    unknown = [key for key in keys if key not in entries]
    if unknown:
        raise unknown_name("citation key", unknown[0], sorted(entries))
    return "\n\n".join(entries[key] for key in dict.fromkeys(keys))


def citation_keys() -> list[str]:
    """Every key of `references.bib`."""
    return list(_entries())
