"""Wrong usage in one sentence: an unknown subcommand, option or choice, with the one that was likely meant."""

import io
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from typing import TypeVar

from .._names import close_names, did_you_mean, unknown_name

T = TypeVar("T")


def require_subcommand(given: list[str], names: Iterable[str]) -> None:
    """Raise ``UnknownNameError`` if the first words name no subcommand; an option there is left to the parser."""
    names = list(names)
    name, second = [*given, "", ""][:2]
    if name.startswith("-") or (name in names and name != "code"):
        return
    if name != "code":
        raise unknown_name("subcommand", name, names, owner="neucollapse")
    seconds = [other.removeprefix("code ") for other in names if other.startswith("code ")]
    if second and not second.startswith("-") and second not in seconds:
        raise unknown_name("subcommand", second, seconds, owner="neucollapse code")


def parsed(parse: Callable[[list[str]], T], given: list[str]) -> T:
    """What tyro makes of the arguments, or ``SystemExit`` after a sentence in place of its box where we have a better one."""
    caught = io.StringIO()
    try:
        with redirect_stderr(caught):
            return parse(given)
    except SystemExit as end:
        box = caught.getvalue()
        sentence = _sentence(box, given, lambda: _options(parse, given)) if end.code else None
        sys.stderr.write(f"neucollapse: {sentence}\n" if sentence else box)
        raise


def _sentence(box: str, given: list[str], options: Callable[[], list[str]]) -> str | None:
    words = " ".join(box.replace("│", " ").split())
    if ours := re.search(r"Error parsing __tyro[\w-]*\.\w+: (.*?) ─", words):
        return ours[1]
    if choice := re.search(r"invalid choice '(.*?)' for argument '(.*?)'\. Expected one of \((.*?)\)", words):
        meant = did_you_mean(choice[1], re.findall("'(.*?)'", choice[3]), kind="choice")
        return f"{choice[2]} has no choice {choice[1]!r}; {meant}"
    known = options()
    for name in (part.partition("=")[0].replace("_", "-") for part in given if re.match("--[a-z]", part)):
        if name not in known:
            meant = " or ".join(f"--{other}" for other in close_names(name[2:], [other[2:] for other in known]))
            end = f"did you mean {meant}?" if meant else f"`neucollapse {given[0]} --help` lists what it has"
            return f"neucollapse {given[0]} has no option {name}; {end}"
    return None


def _options(parse: Callable[[list[str]], object], given: list[str]) -> list[str]:
    """The options of the subcommand, from its help."""
    text = io.StringIO()
    try:
        with redirect_stdout(text):
            parse([given[0], "--help"])
    except SystemExit:
        pass
    # An option stands at the start of its line, inside a box or not; elsewhere such a word is prose.
    lines = re.findall(r"^[│ ] (-\S.*)$", text.getvalue(), flags=re.MULTILINE)
    return sorted({name for line in lines for name in re.findall(r"--[a-z][\w-]*", line.partition("  ")[0])})
