"""Docstrings of this project, made ready for Markdown: formulas of Sphinx roles get the marks that arithmatex reads."""

import re
from typing import Any

import griffe

_BLOCK = re.compile(r"^([ ]*)\.\. math::[ ]*(.*(?:\n(?:\1[ ]+\S.*|[ ]*(?=\n\1[ ]+\S)))*)", re.MULTILINE)
_RULE = re.compile(r"^[ ]*=+(?:[ ]+=+)+[ ]*$")


def to_markdown(text: str) -> str:
    """Replace the few directives and roles that docstrings here use by their Markdown."""
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)  # the name under which doctests become code
    text = re.sub(r":math:`\s*([^`]*?)\s*`", lambda match: rf"\({' '.join(match[1].split())}\)", text)
    text = re.sub(r":(?:class|func|meth|mod|data|attr):`~?([^`]*)`", r"`\1`", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return _tables(_BLOCK.sub(_formula, text))


def _formula(match: re.Match[str]) -> str:
    indent, body = match[1], match[2]
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    return "\n".join([f"{indent}$$", *(indent + line for line in lines), f"{indent}$$"])


def _tables(text: str) -> str:
    """Simple tables with === rules: the first row is the head; columns begin where the rules do."""
    lines, found, starts, row = text.splitlines(), [], [], 0
    for line in lines:
        if _RULE.match(line):
            edges = [match.start() for match in re.finditer(r"=+", line)]
            starts, row = ([], 0) if starts and row > 1 else (edges, row)
        elif starts:
            ends = [*starts[1:], None]
            cells = [line[a:b].strip() for a, b in zip(starts, ends, strict=True)]
            indent = " " * starts[0]
            found.append(f"{indent}| {' | '.join(cells)} |")
            if not row:
                found.append(f"{indent}|{' --- |' * len(starts)}")
            row += 1
        else:
            found.append(line)
    return "\n".join(found)


class MarkdownDocstrings(griffe.Extension):
    """Hands every docstring to ``to_markdown`` as it is collected."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
