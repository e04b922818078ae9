"""Text that is safe to print, and numbers that are pleasant to read."""

import json
import math
import re
from html import escape
from typing import Any

# Control characters but tab and newline, surrogates, and what changes the direction of text, but no joiners, which scripts need.
_HOSTILE = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\u202a\\u202b\\u202d\\u202e\\u2066-\\u2068]")
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def clean(content: Any) -> Any:
    """The same JSON content with control characters and lone surrogates in its strings replaced.

    A class name may hold anything; a lone surrogate cannot be written as UTF-8, and a control or direction-changing
    character could rearrange the page around it.
    """
    if isinstance(content, str):
        return _HOSTILE.sub("\ufffd", content)
    if isinstance(content, list):
        return [clean(item) for item in content]
    if isinstance(content, dict):
        return {clean(key): clean(item) for key, item in content.items()}
    return content


def plot_text(text: str) -> str:
    """Text for a plotly label, hover or tick: plotly reads a small HTML, so a class named `<b>` must be escaped."""
    return escape(" ".join(text.split()), quote=False)


def shorten(text: str, limit: int) -> str:
    """The text itself, or its beginning and an ellipsis."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def capital(text: str) -> str:
    """The text with its first letter a capital, the others as they are (unlike `str.capitalize`)."""
    return text[:1].upper() + text[1:]


def number(value: float | None) -> str:
    """Four significant digits, with a power of ten where that is shorter to read.

    Examples:
        >>> number(0.59564), number(3.2e-7), number(-1.0), number(None)
        ('0.5956', '3.2×10⁻⁷', '−1', '—')
    """
    if value is None or not math.isfinite(value):
        return "—"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        digits = max(0, 3 - math.floor(math.log10(abs(value))))
        text = f"{value:.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return text.replace("-", "−")


def embed(content: Any) -> str:
    """JSON that can stand inside a script element: no `</script>`, no `<!--`, no line separators.

    Examples:
        >>> embed("</script>")
        '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
