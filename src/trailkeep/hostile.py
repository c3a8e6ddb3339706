"""Text that others wrote, made safe to show."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with control characters, escape sequences and direction marks shown as escapes, never executed.

    Line feeds and tabs stay. Strings from events are written by attackers and must pass here before a terminal.
    """
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """The text as `visible` shows it, its line feeds and tabs as escapes, too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")
