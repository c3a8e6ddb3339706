"""How wide text is on a terminal, and how wide the columns of a table are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.cli.diagnostics import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

SEPARATOR = "   "
"""Between two columns of a table."""
MIN_COLUMN_WIDTH = 8
"""No column is made narrower than this, unless it is the only one."""


def shown(text: str | None) -> str:
    """The text of a cell in one line, with nothing in it that a terminal would obey; ``""`` for the empty string."""
    if text is None:
        return ""
    if text == "":
        return '""'
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def width_of(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """The text in at most `width` columns, with an ellipsis where something is left out."""
    if width_of(text) <= width:
        return text
    if text.isascii():
        return text[: width - 1] + "…"
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1).rstrip() + "…"


def folded(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns: all of it, broken wherever a line is full."""
    if width_of(text) <= width:
        return [text]
    if text.isascii():
        return [text[start : start + width] for start in range(0, len(text), width)]
    from rich.cells import chop_cells

    return chop_cells(text, width)


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text with blanks up to `width` columns, before it where it is to stand at the `right`."""
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def fitting(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """The widths of the columns, from the first on, that fit `width` with at least their `least` each.

    What is left over goes to the columns that want more, the narrow ones first. One column is always there.
    """
    total, count = 0, 0
    for want in least:
        total += want + (len(SEPARATOR) if count else 0)
        if total > width and count:
            break
        count += 1
    if count <= 1:
        return [min(natural[0], width)] if natural else []
    widths = list(least[:count])
    left = width - sum(widths) - len(SEPARATOR) * (count - 1)
    wanting = sorted((at for at in range(count) if natural[at] > widths[at]), key=lambda at: natural[at] - widths[at])
    for index, at in enumerate(wanting):
        more = min(natural[at] - widths[at], left // (len(wanting) - index))
        widths[at] += more
        left -= more
    return widths
