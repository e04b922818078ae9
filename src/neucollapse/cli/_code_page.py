"""From the facts of a code to its page."""

from pathlib import Path
from typing import TYPE_CHECKING

from ._codes import Facts

if TYPE_CHECKING:
    from torch import Tensor


def write_page(path: Path, points: "Tensor", code: Facts, about: dict[str, str]) -> None:
    """Write the page; ``about`` holds what to say at its end, by name."""
    from ..geometry.bounds import best_bound
    from ..report import CodePage, Number, write_code_page

    bound = best_bound(code.K, code.d, "grassmannian" if code.lines else "spherical")
    optimal = bool(code.certificate.get("optimal"))
    page = CodePage(
        points=points.numpy(),
        title=code.title,
        headline=_headline(code, optimal),
        tone="good" if optimal else "note",
        sentences=_sentences(code.words),
        numbers=[Number(*row) for row in code.rows()],
        facts=[("Classes K", f"{code.K:,}"), ("Dimension d", f"{code.d:,}"), *about.items()],
        lines=code.lines,
        least_cosine=bound.value,
        least_cosine_name=bound.name,
    )
    write_code_page(page, path)


def _headline(code: Facts, optimal: bool) -> str:
    apart = f"The closest two of {code.K:,} {'lines' if code.lines else 'classes'} are {code.angle:.6g}° apart"
    if optimal:
        return f"{apart}, and no code does better."
    if code.certificate.get("local_optimum"):
        return f"{apart}: a local optimum."
    return f"{apart}."


def _sentences(words: str) -> list[str]:
    """The certificate, a sentence an entry."""
    return [f"{sentence.removesuffix('.')}." for sentence in words.split(". ") if sentence]
