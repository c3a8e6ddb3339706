"""A table for people: one line a row, as wide as the terminal where one shows it."""

from __future__ import annotations

import os
import re
from itertools import zip_longest
from typing import TYPE_CHECKING, BinaryIO

from trailkeep.cli import diagnostics
from trailkeep.cli.naming import ID
from trailkeep.cli.results.delimited import encoded
from trailkeep.cli.results.layout import (
    MIN_COLUMN_WIDTH,
    SEPARATOR,
    cut,
    fitting,
    folded,
    padded,
    shown,
    width_of,
)
from trailkeep.cli.results.values import cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from trailkeep.cli.results import Naming

MAX_CELL_CHARACTERS = 500
"""A cell is cut here whatever the width, unless the table is to be full: `raw` can hold a megabyte."""
MAX_NAME_WIDTH = 40
"""Values up to this width and without blanks are ids, addresses and names: of no use when they are cut."""
MAX_SHORT_NAME_WIDTH = 16
"""The same where columns would be left out otherwise: an IPv4 address stays whole."""
WIDE = 100
"""From this width on a terminal has room for columns of some use."""
WIDE_COLUMN_WIDTH = 15
"""What a column is not narrowed below there: an IPv4 address, even where a longer one stands in the same column."""
_TEXT = re.compile(r"[\s{\[]")
_NUMBERS = ("int", "uint", "float", "double", "decimal", "halffloat")
_TIMES = ("timestamp", "date", "time")
_FRACTION = re.compile(r"(?<=:\d\d)\.\d+(?=Z$)")
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class TableWriter:
    """Keeps the rows until `close`, so give it few; null is an empty cell and the empty string is ``""``.

    Where the columns do not fit the terminal, times, numbers, ids and names stay whole and longer text is cut. Where
    that is not enough, ids are shown by their beginning or their name, and times to the second; only then are the last
    columns left out and named on stderr. A full table cuts and leaves out nothing: cells go on in the next
    line, and columns that do not fit beside each other stand below each other.
    """

    def __init__(
        self,
        sink: BinaryIO,
        schema: pa.Schema,
        *,
        width: int | None,
        terminal: bool,
        full: bool,
        names: Naming | None = None,
    ) -> None:
        self._sink = sink
        self._naming = names
        self._schema = schema
        self._width = width
        self._terminal = terminal
        self._full = full
        self._names = [shown(name) for name in schema.names]
        self._numeric = [str(field.type).startswith(_NUMBERS) for field in schema]
        self._batches: list[pa.RecordBatch] = []
        self._whole = MAX_NAME_WIDTH

    def write(self, batch: pa.RecordBatch) -> None:
        """Take some rows."""
        self._batches.append(batch)

    def close(self) -> None:
        """Lay the table out and write it."""
        columns = [[shown(text) for batch in self._batches for text in cells(batch[at])] for at in self._places()]
        if not self._full:
            self._say_cut(columns)
            columns = [[_shortened(text) for text in column] for column in columns]
        ids = columns
        columns, widths = self._fitted(columns, self._widths(columns))
        columns, widths = self._with_names(ids, columns, widths)
        if self._full and len(widths) < len(columns):
            self._write_vertically()
            return
        self._write_lines(self._lines(columns, widths))
        if self._whole < MAX_NAME_WIDTH:
            diagnostics.say(
                "ids and times are shortened to fit the terminal: add --full or --vertical to have them whole"
            )
        if hidden := self._names[len(widths) :]:
            diagnostics.say(
                f"{len(hidden)} of {len(columns)} columns do not fit the terminal: {', '.join(hidden)}; "
                "add --full or --vertical, or select fewer"
            )

    def _places(self) -> range:
        return range(len(self._names))

    def _fitted(self, columns: list[list[str]], widths: list[int]) -> tuple[list[list[str]], list[int]]:
        """The columns with shorter ids and times, where more of the columns fit the terminal so."""
        if self._full or len(widths) == len(columns):
            return columns, widths
        shorter = [[_short(text) for text in column] for column in columns]
        self._whole = MAX_SHORT_NAME_WIDTH
        narrower = self._widths(shorter)
        if len(narrower) > len(widths):
            return shorter, narrower
        self._whole = MAX_NAME_WIDTH
        return columns, widths

    def _with_names(
        self, ids: Sequence[Sequence[str]], columns: list[list[str]], widths: list[int]
    ) -> tuple[list[list[str]], list[int]]:
        """The columns with names beside the ids, each column only where that costs no other its place or a cut.

        `ids` are the columns before anything was shortened: what merely looks like the beginning of an id has no name.
        """
        if self._naming is None:
            return columns, widths
        found = self._naming.shown(text for column in ids for text in column)
        named = {each: shown(text) for each, text in found.items()}
        forms = [named]
        if self._whole < MAX_NAME_WIDTH:
            alone = {each: text[: -len(f" ({each})")] for each, text in named.items()}
            forms = [{each: f"{text} ({_short(each)})" for each, text in alone.items()}, alone]
        for at in range(len(widths)):
            if not any(text in named for text in ids[at]):
                continue
            for form in forms:
                column = [form.get(each, text) for each, text in zip(ids[at], columns[at], strict=True)]
                tried = [*columns[:at], column, *columns[at + 1 :]]
                wider = self._widths(tried)
                others = [
                    (new, old) for place, (new, old) in enumerate(zip(wider, widths, strict=False)) if place != at
                ]
                cost = any(new < old for new, old in others)
                if len(wider) == len(widths) and wider[at] >= max(map(width_of, column)) and not cost:
                    columns, widths = tried, wider
                    break
        return columns, widths

    def _widths(self, columns: Sequence[Sequence[str]]) -> list[int]:
        """The widths of the columns that are shown."""
        contents = [max(map(width_of, column), default=0) for column in columns]
        natural = [max(width_of(name), content) for name, content in zip(self._names, contents, strict=True)]
        if self._width is None:
            return [min(width, MAX_CELL_CHARACTERS) for width in natural]
        least = WIDE_COLUMN_WIDTH if self._width >= WIDE and not self._full else MIN_COLUMN_WIDTH
        narrow = [min(width, least) for width in natural]
        whole = [
            max(content, small) if self._stays_whole(at, columns[at], content) else small
            for at, (content, small) in enumerate(zip(contents, narrow, strict=True))
        ]
        widths = fitting(natural, whole, self._width)
        return fitting(natural, narrow, self._width) if self._full and len(widths) < len(columns) else widths

    def _stays_whole(self, at: int, column: Sequence[str], content: int) -> bool:
        if self._numeric[at] or str(self._schema.field(at).type).startswith(_TIMES):
            return True
        return content <= self._whole and not any(_TEXT.search(text) for text in column)

    def _lines(self, columns: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
        fit = folded if self._full and self._width is not None else _cut_to_one
        header = [fit(name, width) for name, width in zip(self._names, widths, strict=False)]
        for line in self._row(header, widths):
            yield f"{_BOLD}{line}{_PLAIN}" if self._terminal and _takes_bold() else line
        yield "─" * (sum(widths) + len(SEPARATOR) * (len(widths) - 1))
        for row in zip(*columns[: len(widths)], strict=True):
            if self._width is None:
                yield from self._row([[text] for text in row], widths)
            else:
                yield from self._row([fit(text, width) for text, width in zip(row, widths, strict=True)], widths)

    def _row(self, parts: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
        for line in zip_longest(*parts, fillvalue=""):
            texts = [
                padded(text, width, right=right)
                for text, width, right in zip(line, widths, self._numeric, strict=False)
            ]
            yield SEPARATOR.join(texts).rstrip()

    def _write_lines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self._sink.write(encoded(line + "\n"))

    def _write_vertically(self) -> None:
        from trailkeep.cli.results.vertical import VerticalWriter

        diagnostics.say(f"{len(self._names)} columns do not fit beside each other: shown below each other")
        writer = VerticalWriter(self._sink, self._schema, width=self._width, names=self._naming)
        for batch in self._batches:
            writer.write(batch)
        writer.close()

    def _say_cut(self, columns: Sequence[Sequence[str]]) -> None:
        """On a terminal every ellipsis is seen; of a table in a file it is said."""
        if self._width is None and any(len(text) > MAX_CELL_CHARACTERS for column in columns for text in column):
            diagnostics.say(
                f"values longer than {MAX_CELL_CHARACTERS} characters are cut: add --full to have them whole"
            )


def _takes_bold() -> bool:
    """Whether the terminal takes it and its user does not mind: https://no-color.org."""
    return os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def _cut_to_one(text: str, width: int) -> list[str]:
    return [cut(text, width)]


def _short(text: str) -> str:
    """An id by its beginning, a time to the second, and anything else as it is."""
    return f"{text[:8]}…" if len(text) == 36 and ID.fullmatch(text) else _FRACTION.sub("", text)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 1] + "…"
