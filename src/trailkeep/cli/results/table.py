"""A table for people: as wide as the terminal, one line a row."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from trailkeep.cli import diagnostics
from trailkeep.cli.results.values import cells

if TYPE_CHECKING:
    import pyarrow as pa

MIN_COLUMN_WIDTH = 8
"""Columns that would be narrower than this are left out, the last first."""
MAX_CELL_CHARACTERS = 500
"""A cell is cut here whatever the width: `raw` can hold a megabyte."""
_NUMBERS = ("int", "uint", "float", "double", "decimal", "halffloat")


class TableWriter:
    """Keeps the rows until `close`, so give it few; null is an empty cell and the empty string is ``""``."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema, *, width: int | None, terminal: bool) -> None:
        self._sink = sink
        self._width = width
        self._terminal = terminal
        self._names = schema.names
        self._numeric = [str(field.type).startswith(_NUMBERS) for field in schema]
        self._rows: list[list[str]] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Take some rows."""
        columns = [[_shown(text) for text in cells(column)] for column in batch.columns]
        self._rows.extend(map(list, zip(*columns, strict=True)))

    def close(self) -> None:
        """Lay the table out and write it."""
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        shown = self._columns_that_fit()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for at in shown:
            header = Text(_shown(self._names[at]))
            table.add_column(
                header, no_wrap=True, overflow="ellipsis", justify="right" if self._numeric[at] else "left"
            )
        for row in self._rows:
            table.add_row(*(Text(row[at]) for at in shown))
        text = io.StringIO()
        console = Console(
            file=text,
            width=self._width or 1_000_000,
            force_terminal=self._terminal,
            color_system="standard" if self._terminal else None,
            legacy_windows=False,
            markup=False,
            highlight=False,
            emoji=False,
            _environ={},
        )
        console.print(table)
        # Rich pads every line to the table's width; nothing needs the blanks.
        lines = [line.rstrip() for line in text.getvalue().split("\n")]
        self._sink.write("\n".join(lines).encode())
        if hidden := len(self._names) - len(shown):
            names = ", ".join(name for at, name in enumerate(self._names) if at not in shown)
            diagnostics.say(
                f"{hidden} of {len(self._names)} columns do not fit the terminal: {names}; "
                "select fewer, or take another --format"
            )

    def _columns_that_fit(self) -> list[int]:
        """The first columns that can each have their own width, or at least `MIN_COLUMN_WIDTH`."""
        if self._width is None:
            return list(range(len(self._names)))
        from rich.cells import cell_len

        fitting: list[int] = []
        left = self._width
        for at, name in enumerate(self._names):
            widest = max([cell_len(_shown(name)), *(cell_len(row[at]) for row in self._rows)])
            left -= min(widest, MIN_COLUMN_WIDTH) + 2
            if left + 2 < 0 and fitting:
                break
            fitting.append(at)
        return fitting


def _shown(text: str | None) -> str:
    """One line, with nothing in it that a terminal would obey."""
    if text is None:
        return ""
    if text == "":
        return '""'
    cut = text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 1] + "…"
    return diagnostics.visible(cut).replace("\n", "\\n").replace("\t", "\\t")
