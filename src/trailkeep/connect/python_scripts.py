"""Python text that opens an archive's live files in Polars, in Spark, and with Trailkeep itself."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from trailkeep.connect.live import LiveArchive, LiveTable, PlacedFile

_POLARS = {
    pa.string(): "pl.String",
    pa.binary(): "pl.Binary",
    pa.bool_(): "pl.Boolean",
    pa.int32(): "pl.Int32",
    pa.int64(): "pl.Int64",
    pa.timestamp("us"): 'pl.Datetime("us")',
}
_SPARK = {
    pa.string(): "STRING",
    pa.binary(): "BINARY",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.timestamp("us"): "TIMESTAMP_NTZ",
}


def polars_script(live: LiveArchive) -> str:
    """A script that makes a lazy Polars frame of each table; times are UTC without a zone."""
    return _script(live, "import polars as pl", polars_scan)


def spark_script(live: LiveArchive) -> str:
    """A script that makes a Spark frame and a view of each table, given ``spark``, a session; times as for Polars."""

    def read(table: LiveTable) -> str:
        return f"{spark_read(table)}\n{table.name}.createOrReplaceTempView({_text(table.name)})"

    return _script(live, "from pyspark.sql import functions as F", read)


def python_script(live: LiveArchive) -> str:
    """A script that opens the archive with Trailkeep's own API."""
    return f"from trailkeep import Archive\n\narchive = Archive({_text(live.path)})\n"


def polars_scan(live: LiveTable) -> str:
    """The assignment of one table's lazy frame: its columns, then its partition keys as text."""
    if not live.files:
        columns = [
            *((column.name, column.type) for column in live.table.columns),
            *((key, pa.string()) for key in live.keys),
        ]
        return f"{live.name} = pl.LazyFrame(schema={_polars_fields(columns)})"
    parts = []
    if live.in_place:
        hive = _polars_fields((key, pa.string()) for key in live.keys)
        options = f"hive_partitioning=True, hive_schema={hive}, try_parse_hive_dates=False"
        parts.append(f"pl.scan_parquet({_paths(live.in_place)}, glob=False, {options})")
    for partition, files in _by_partition(live.apart).items():
        told = ", ".join(f"{key}=pl.lit({_text(dict(partition).get(key, ''))})" for key in live.keys)
        selected = f".with_columns({told})" if told else ""
        parts.append(f"pl.scan_parquet({_paths(files)}, glob=False, hive_partitioning=False){selected}")
    joined = parts[0] if len(parts) == 1 else f"pl.concat([{', '.join(parts)}])"
    return f"{live.name} = {joined}"


def spark_read(live: LiveTable) -> str:
    """The assignment of one table's frame: its columns, then its partition keys as text."""
    fields = [(column.name, column.type) for column in live.table.columns]
    keys = [(key, pa.string()) for key in live.keys]
    whole = f"spark.read.schema({_text(_spark_fields([*fields, *keys]))})"
    if not live.files:
        return f"{live.name} = spark.createDataFrame([], {_text(_spark_fields([*fields, *keys]))})"
    parts = []
    if live.in_place:
        parts.append(f"{whole}.option('basePath', {_text(live.folder)}).parquet(*{_paths(live.in_place)})")
    for partition, files in _by_partition(live.apart).items():
        told = "".join(f".withColumn({_text(key)}, F.lit({_text(dict(partition).get(key, ''))}))" for key in live.keys)
        base = f".option('basePath', {_text(files[0].path.parent)})"
        parts.append(f"spark.read.schema({_text(_spark_fields(fields))}){base}.parquet(*{_paths(files)}){told}")
    return f"{live.name} = {parts[0]}" + "".join(f".unionByName({part})" for part in parts[1:])


def _script(live: LiveArchive, imports: str, assignment: Callable[[LiveTable], str]) -> str:
    said = f"# The archive {str(live.path)!a} at head {live.head}: its live files, for reading only.\n"
    return f"{said}{imports}\n\n" + "".join(f"{assignment(table)}\n" for table in live.tables)


def _by_partition(files: Iterable[PlacedFile]) -> dict[tuple[tuple[str, str], ...], list[PlacedFile]]:
    """The files that one call can open: of one partition, and of one folder, which Spark takes for its base."""
    found: defaultdict[tuple[tuple[str, str], ...], list[PlacedFile]] = defaultdict(list)
    for file in files:
        found[(*file.partition.items(), ("", str(file.path.parent)))].append(file)
    return found


def _paths(files: Iterable[PlacedFile]) -> str:
    return f"[{', '.join(_text(file.path) for file in files)}]"


def _text(value: str | Path) -> str:
    """A Python literal of printable ASCII, whatever stands in a path."""
    return ascii(str(value))


def _polars_fields(fields: Iterable[tuple[str, pa.DataType]]) -> str:
    return "{" + ", ".join(f"{_text(name)}: {_polars_type(kind)}" for name, kind in fields) + "}"


def _polars_type(kind: pa.DataType) -> str:
    if isinstance(kind, pa.ListType):
        return f"pl.List({_polars_type(kind.value_type)})"
    if isinstance(kind, pa.StructType):
        return f"pl.Struct({_polars_fields((field.name, field.type) for field in kind)})"
    return _POLARS[kind]


def _spark_fields(fields: Iterable[tuple[str, pa.DataType]]) -> str:
    return ", ".join(f"`{name}` {_spark_type(kind)}" for name, kind in fields)


def _spark_type(kind: pa.DataType) -> str:
    if isinstance(kind, pa.ListType):
        return f"ARRAY<{_spark_type(kind.value_type)}>"
    if isinstance(kind, pa.StructType):
        return "STRUCT<" + ", ".join(_spark_struct(kind)) + ">"
    return _SPARK[kind]


def _spark_struct(kind: pa.StructType) -> Iterator[str]:
    return (f"`{field.name}`: {_spark_type(field.type)}" for field in kind)
