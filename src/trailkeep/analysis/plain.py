"""Rows of numbers and text alone, as Python has them: a small answer does not need Arrow.

pyarrow takes half as long to import as the engine itself (measured: 190 of 250 ms, most of it for numpy where that is
installed). What is here has the names and the shape of Arrow's batches, as far as writing text needs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ARROW_NAMES = {
    "BOOLEAN": "bool",
    "TINYINT": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "UTINYINT": "uint8",
    "USMALLINT": "uint16",
    "UINTEGER": "uint32",
    "UBIGINT": "uint64",
    "VARCHAR": "string",
}
"""The engine's types whose values are the same in Python, in Arrow and in JSON, and Arrow's names for them."""


def plain_fields(names: Iterable[str], types: Iterable[object]) -> tuple[PlainField, ...] | None:
    """The columns where each of the engine's `types` is one of these; None where one is not."""
    written = [str(kind) for kind in types]
    if not ARROW_NAMES.keys() >= set(written):
        return None
    return tuple(PlainField(name=name, type=ARROW_NAMES[kind]) for name, kind in zip(names, written, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainField:
    """A column's name and type."""

    name: str
    type: str
    """As Arrow writes it."""


@dataclass(frozen=True, slots=True)
class PlainSchema:
    """The columns of a plain result."""

    fields: tuple[PlainField, ...]

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [field.name for field in self.fields]

    def field(self, at: int) -> PlainField:
        """One column."""
        return self.fields[at]

    def __iter__(self) -> Iterator[PlainField]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)


@dataclass(frozen=True, slots=True)
class PlainColumn:
    """Some values of one column."""

    type: str
    values: Sequence[Any]

    def to_pylist(self) -> list[Any]:
        """The values: None, bool, int or str."""
        return list(self.values)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class PlainBatch:
    """Some rows of a plain result."""

    schema: PlainSchema
    rows: Sequence[tuple[Any, ...]]

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    @property
    def columns(self) -> list[PlainColumn]:
        """The rows by columns."""
        return [self[at] for at in range(len(self.schema))]

    def __getitem__(self, at: int) -> PlainColumn:
        return PlainColumn(self.schema.field(at).type, [row[at] for row in self.rows])

    def slice(self, offset: int, length: int) -> PlainBatch:
        """Some of the rows."""
        return PlainBatch(self.schema, self.rows[offset : offset + length])
