"""One row at a time: each column on a line of its own, and JSON laid out over several."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from trailkeep.cli.diagnostics import visible
from trailkeep.cli.results.delimited import encoded
from trailkeep.cli.results.layout import folded, padded, shown, width_of
from trailkeep.cli.results.values import cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from trailkeep.cli.results import Naming

RULE_WIDTH = 80
MAX_NAME_WIDTH = 40
"""A longer column name stands on a line of its own, above its value."""
MIN_VALUE_WIDTH = 8
MAX_LAID_OUT_CHARACTERS, MAX_LAID_OUT_DEPTH = 65_536, 16
"""Larger and deeper JSON stays as it is: its blanks could be many times its size."""
_MARK = " │ "
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(r"[\[\]{}]")


class VerticalWriter:
    """Nothing is cut: long values go on below; null is nothing at all and the empty string is ``""``.

    Valid JSON gets line breaks and indents, and no other change: its keys, their order and every digit stay.
    """

    def __init__(self, sink: BinaryIO, schema: pa.Schema, *, width: int | None, names: Naming | None = None) -> None:
        self._sink = sink
        self._naming = names
        self._names = [shown(name) for name in schema.names]
        self._rule = min(width or RULE_WIDTH, RULE_WIDTH)
        room = MAX_NAME_WIDTH if width is None else min(MAX_NAME_WIDTH, max(width // 2 - len(_MARK), 1))
        self._name_width = max((wide for name in self._names if (wide := width_of(name)) <= room), default=0)
        self._value_width = None if width is None else max(width - self._name_width - len(_MARK), MIN_VALUE_WIDTH)
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""
        columns = [cells(column) for column in batch.columns]
        named = self._named(columns)
        for row in zip(*columns, strict=True):
            self._rows += 1
            texts = tuple(text if text is None else named.get(text, text) for text in row)
            self._sink.write(encoded("".join(line + "\n" for line in self._lines(texts))))

    def close(self) -> None:
        """Nothing comes after the last row."""

    def _named(self, columns: list[list[str | None]]) -> dict[str, str]:
        """The ids with their names, where both fit a line."""
        if self._naming is None:
            return {}
        named = self._naming.shown(text for column in columns for text in column if text is not None)
        room = self._value_width
        return {each: text for each, text in named.items() if room is None or width_of(shown(text)) <= room}

    def _lines(self, row: tuple[str | None, ...]) -> Iterator[str]:
        yield f"─[ {self._rows} ]".ljust(self._rule, "─")
        for column, text in zip(self._names, row, strict=True):
            name = column
            if width_of(name) > self._name_width:
                yield name
                name = ""
            for line in laid_out(text):
                for part in [line] if self._value_width is None else folded(line, self._value_width):
                    yield f"{padded(name, self._name_width)}{_MARK if part else _MARK.rstrip()}{part}"
                    name = ""


def laid_out(text: str | None) -> list[str]:
    """The lines of a value: several for JSON, one for everything else."""
    if text is None or not text.startswith(("{", "[")) or not 2 < len(text) <= MAX_LAID_OUT_CHARACTERS:
        return [shown(text)]
    if _depth(text) > MAX_LAID_OUT_DEPTH:
        return [shown(text)]
    import msgspec

    try:
        formatted = msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return [shown(text)]
    # What is valid JSON has line breaks between its values only: those that are here were just made.
    return [visible(line) for line in formatted.split("\n")]


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
