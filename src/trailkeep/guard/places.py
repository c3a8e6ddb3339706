"""Where in a SQL text something is wrong."""

from __future__ import annotations

import re
import unicodedata


def located(source: str | None, place: tuple[int, int] | None) -> str:
    """What a message about SQL begins with: FILE:LINE:COLUMN, or less where less is known."""
    if place is None:
        return f"{source}: " if source else ""
    line, column = place
    return f"{source}:{line}:{column}: " if source else f"line {line}, column {column}: "


def place_of(sql: str, message: str) -> tuple[int, int] | None:
    """Line and column, from 1, that the engine's `message` about `sql` points at, or None."""
    match = re.search(r"LINE (\d+): ([^\n]*)\n( *)\^", message)
    if match is None:
        return None
    line, excerpt = int(match[1]), match[2]
    offset = len(match[3]) - len(f"LINE {line}: ")
    lines = sql.split("\n")
    if not 1 <= line <= len(lines) or offset < 0:
        return None
    # A long line is shown as an excerpt between dots.
    shown = excerpt.removeprefix("...").removesuffix("...")
    start = lines[line - 1].find(shown)
    if start < 0:
        return None
    wanted = offset - (3 if excerpt.startswith("...") else 0)
    # The marker stands below what a terminal shows: a wide character takes two columns, a tab or a mark none.
    width, count = 0, 0
    while count < len(shown) and (width < wanted or (width == wanted and _columns(shown[count]) == 0)):
        width += _columns(shown[count])
        count += 1
    return line, start + count + 1


def _columns(character: str) -> int:
    """How many columns the engine counts for a character where it points at a place."""
    if unicodedata.category(character) in {"Cc", "Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
