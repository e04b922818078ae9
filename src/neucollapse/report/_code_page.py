"""The page of a code: its angles in pictures, its numbers, and what is proved of it in words."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec import to_builtins

from .._files import write_text
from ._html import fill
from ._text import clean
from .figures.code import code_figures


@dataclass(frozen=True)
class Number:
    """A key number: its name, its value as it is read, and a phrase that says what it means."""

    title: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class CodePage:
    """What a page about K unit vectors shows, as plain numbers and sentences: the page works nothing out but angles.

    Attributes:
        points: unit rows (K, d).
        title: which code this is.
        headline: the most important sentence; `tone` (good, fair, note) gives its colour.
        sentences: what else is known, a sentence an entry.
        numbers: the key numbers.
        facts: names and values for the end of the page.
        lines: whether the rows stand for lines, so that the absolute cosine counts.
        least_cosine: a proved lower bound on the largest cosine of so many points, marked in the histogram; None for none.
        least_cosine_name: whose bound it is.
    """

    points: np.ndarray
    title: str
    headline: str
    tone: str = "note"
    sentences: list[str] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    lines: bool = False
    least_cosine: float | None = None
    least_cosine_name: str = ""


def write_code_page(page: CodePage, path: str | Path) -> Path:
    """Write the page of a code: one HTML file that opens without a network. The same code gives the same bytes.

    Returns:
        The path of the page.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = write_code_page(CodePage(np.eye(3), "Three axes", "Every two at a right angle."), f"{folder}/a.html")
        ...     print("Every two at a right angle." in page.read_text(encoding="utf-8"))
        True
    """
    drawn, missing = code_figures(page.points, page.lines, page.least_cosine, page.least_cosine_name)
    words = to_builtins({name: value for name, value in vars(page).items() if name != "points"})
    write_text(path, fill("code_page.html.j2", drawn, page=clean(words), missing=missing))
    return Path(path)
