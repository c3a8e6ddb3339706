"""How a segment is written as Parquet: row groups, encodings, compression and statistics, column by column.

Measured by ``bench/bytes.py``, decided in docs/adr/0012. Every reader of Parquet reads it; files that were
written otherwise stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.schema import Table

ROW_GROUP_ROWS = 16_384
"""What a reader that looks for one event reads of the columns it asks for, and what a merge holds in memory."""

QUICK_LEVEL = 1
"""Of zstd. Higher ones find more repeats, and for random digits, most of what is left, waste bytes on short ones."""

TIME_LEVEL = 3
"""Of columns of times, whose upper bytes repeat from row to row: from here on zstd sees it."""

LASTING_LEVEL = 9
"""Of long texts in a file that is written once and kept for years."""

PAGE_BYTES = 1024 * 1024
"""The unit of compression, and the least that is unpacked for one value."""

_TEXTS = frozenset({"raw", "request_body", "rules_raw"})
"""Columns of long texts, which no dictionary holds, and whose least and greatest value would only fill the footer."""

_RANDOM = frozenset({"id", "request_id", "sha256"})
"""Columns of random digits of one length: written apart from their lengths, they are 5 % smaller and read faster."""

_UNSORTED = frozenset({"request_id", "sha256"})
"""Of these no row group could be ruled out by its least and greatest value."""


def parquet_options(table: Table, *, lasting: bool = False) -> dict[str, Any]:
    """How a segment of the table is written, as `pyarrow.parquet` takes it; its row groups are the caller's.

    With `lasting` it is 3 to 6 % smaller, and takes five times as long to write.
    """
    dictionary: list[str] = []
    encodings: dict[str, str] = {}
    statistics: list[str] = []
    levels: dict[str, int] = {}
    names = table.arrow_schema.names
    for path, kind in leaves(table.arrow_schema):
        levels[path] = QUICK_LEVEL
        nested = path not in names
        if path in _TEXTS:
            encodings[path] = "PLAIN"
            levels[path] = LASTING_LEVEL if lasting else QUICK_LEVEL
        elif path in _RANDOM:
            encodings[path] = "DELTA_LENGTH_BYTE_ARRAY"
        elif path == table.time or (nested and pa.types.is_timestamp(kind)):
            encodings[path] = "PLAIN"
            levels[path] = TIME_LEVEL
        else:
            dictionary.append(path)
        if not nested and path not in _TEXTS | _UNSORTED:
            statistics.append(path)
    return {
        "compression": "zstd",
        "compression_level": levels,
        "use_dictionary": dictionary,
        "column_encoding": encodings,
        "write_statistics": statistics,
        "data_page_size": PAGE_BYTES,
        "write_page_checksum": True,
        "sorting_columns": [pq.SortingColumn(names.index(name)) for name in table.order],
    }


def leaves(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    """The columns that Parquet stores, by their dotted paths, each with its type."""
    for field in schema:
        yield from _leaves(field.name, field.type)


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    if isinstance(kind, pa.ListType):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif isinstance(kind, pa.StructType):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind
