"""``neucollapse code``: solve or look up the best code of K classes in d dimensions."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .._errors import InputError
from . import _codes
from ._targets import require_file

if TYPE_CHECKING:
    from ..geometry import Solution

INTERRUPTED = 130


@dataclass(frozen=True)
class Code:
    """Find where K classes in d dimensions should collapse to: solve or look up the best code.

    Closed forms, constructions, the atlas of known codes and a search; the best of them is kept, with a certificate of
    what is proved about it. Ctrl-C ends the search, prints the best code so far, writes the files, and exits with code 130.

    Examples:
      neucollapse code --classes 10 --dim 3 --budget 10s -o code.safetensors --plot code.html
      neucollapse code table --dim 3-4                      what is known
      neucollapse code verify mine.npy                      certify a code of your own
      neucollapse code required-dim --classes 1000 --margin 0.9
    """

    classes: int
    """Number of classes K, at least 2."""
    dim: int
    """Dimension d, at least 1."""
    kind: _codes.Kind = "softmax"
    """What to make best: softmax the margin, spherical the largest cosine, grassmannian the largest absolute cosine."""
    exponent: float = 1.0
    """Exponent s of the energy; 0 is the logarithmic one."""
    budget: str | None = None
    """Time to do better than what is known, such as 60, 60s, 2m or 1h; 0 only looks up. By default 60s where no code of this
    size is known, else 0. What is proved best or as good as the record is printed at once."""
    starts: int | None = None
    """Search with so many starts, which bounds it by work: the same seed then finds the same code on any machine."""
    seed: int = 0
    """Seed of the search."""
    workers: int | None = None
    """Processes of the search, at most 16 are of use; by default one for small codes, else one a core."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Write the code to this .safetensors file, as a classifier weight (K, d)."""
    plot: Path | None = None
    """Write an .html page that shows it."""
    atlas: Path | None = None
    """Atlas file of your own codes, to look in beside the one shipped."""
    save_to_atlas: Path | None = None
    """Add the code to this atlas file, made if need be, where it beats what is there."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Solve, write, print."""
        budget = None if self.budget is None else _codes.seconds(self.budget)
        require_file(self.out, "--out", ".safetensors")
        require_file(self.plot, "--plot", ".html")
        require_file(self.save_to_atlas, "--save-to-atlas", ".safetensors")
        _codes.check_atlas(self.save_to_atlas, self.kind)
        solution, interrupted = self._solve(budget)
        if solution is None:
            sys.stderr.write("neucollapse: interrupted before the search had a first code\n")
            return INTERRUPTED
        code = _codes.facts(solution.points, self.kind, solution.value, solution.certificate, s=self.exponent)
        told = {"source": solution.source, "result": solution.result.name, "ended": solution.result.value}
        self._print(solution, code, told)
        for sentence in self._write(solution, code, told):
            _codes.say(sentence, quiet=self.json)
        return INTERRUPTED if interrupted else 0

    def _solve(self, budget: float | None) -> "tuple[Solution | None, bool]":
        """The code, and whether Ctrl-C ended the search. A second Ctrl-C ends the command."""
        from ..geometry import Outcome, best_code

        names = ("starts", "seed", "atlas", "workers")
        options: dict[str, Any] = {"s": self.exponent, **{name: getattr(self, name) for name in names}}
        with _noted_interrupts() as noted:
            try:
                solution = best_code(self.classes, self.dim, self.kind, budget=budget, **options)
            except KeyboardInterrupt:
                if len(noted) > 1 or budget == 0:
                    raise
                try:  # no batch was done: what is known without a search
                    solution = best_code(self.classes, self.dim, self.kind, budget=0, **options)
                except InputError:
                    return None, True
        if noted and solution.result is not Outcome.PROVED:
            solution = replace(solution, result=Outcome.INTERRUPTED)
        return solution, bool(noted)

    def _print(self, solution: "Solution", code: _codes.Facts, told: dict[str, str]) -> None:
        if self.json:
            code.show_json(**told, stats=_plain(solution.stats))
            return
        code.show(code.title, [("source", solution.source), ("how it ended", solution.result.value)])

    def _write(self, solution: "Solution", code: _codes.Facts, told: dict[str, str]) -> Iterator[str]:
        if self.out is not None:
            code.save(self.out, solution.points, **told, stats=_plain(solution.stats))
            yield f"Code: {self.out}"
        if self.plot is not None:
            from ._code_page import write_page

            facts = {"Source": solution.source, "How it ended": solution.result.value, **_settings(self)}
            write_page(self.plot, solution.points, code, facts)
            yield f"Page: {self.plot}"
        if self.save_to_atlas is not None:
            yield _codes.keep(self.save_to_atlas, solution.points, self.kind, solution.source.removesuffix("."))


def _plain(stats: dict[str, Any]) -> dict[str, Any]:
    """The statistics of a search without its list of every start."""
    return {key: value for key, value in stats.items() if key != "values"}


def _settings(command: Code) -> dict[str, str]:
    settings = {"Problem": command.kind, "Budget": command.budget or "as needed", "Seed": str(command.seed)}
    return settings | ({"Exponent": f"{command.exponent:g}"} if command.kind == "energy" else {})


@contextmanager
def _noted_interrupts() -> Iterator[list[int]]:
    """A list that grows with every Ctrl-C, as a search that catches the exception does not always say so."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted  # signals are the main thread's
        return

    def note(number: int, _: Any) -> None:
        noted.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
