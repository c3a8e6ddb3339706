"""The archive's tables as Spark's data frames: exactly the live files, with the types that the schema says."""

from __future__ import annotations

import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

from trailkeep import schema
from trailkeep.catalog import views
from trailkeep.catalog.quoting import name_of
from trailkeep.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from trailkeep.catalog import Catalog
    from trailkeep.store import Archive, LiveFile
    from trailkeep.timespan import Span


def register(
    session: Any, archive: Archive, catalog: Catalog, tables: Iterable[str], span: Span | None
) -> dict[str, str]:
    """Make each of `tables` a view of `session`; the views' names, by those of the tables.

    Tables of the archive's files are read by Spark, the others are small and come from `catalog`.
    """
    names: dict[str, str] = {}
    for name in tables:
        table = schema.TABLES.get(name)
        if table is None or table is schema.REVISIONS:
            frame = _from_catalog(session, catalog, name)
        else:
            files = {path: file for path, file in catalog.files.items() if file.table == name}
            frame = _from_files(session, archive, table, files)
            if span is not None and table in schema.EVENT_TABLES.values():
                start, end = (f"TIMESTAMP_NTZ '{moment.replace(tzinfo=None)}'" for moment in (span.start, span.end))
                frame = frame.where(f"{table.time} >= {start} AND {table.time} < {end}")
        names[name] = f"trailkeep_{uuid.uuid4().hex}"
        frame.createTempView(names[name])
    return names


def spark_type(arrow: pa.DataType) -> str:
    """Spark's name of an Arrow type. Raises QueryError for one that it does not have."""
    import pyarrow as pa

    plain = {
        pa.string(): "STRING",
        pa.large_string(): "STRING",
        pa.binary(): "BINARY",
        pa.bool_(): "BOOLEAN",
        pa.int8(): "TINYINT",
        pa.int16(): "SMALLINT",
        pa.int32(): "INT",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.date32(): "DATE",
        pa.timestamp("us"): "TIMESTAMP_NTZ",
    }
    if arrow in plain:
        return plain[arrow]
    if pa.types.is_decimal(arrow):
        return f"DECIMAL({arrow.precision}, {arrow.scale})"
    if pa.types.is_list(arrow):
        return f"ARRAY<{spark_type(arrow.value_type)}>"
    if pa.types.is_struct(arrow):
        return f"STRUCT<{', '.join(f'`{field.name}`: {spark_type(field.type)}' for field in arrow)}>"
    raise QueryError(f"Spark has no type for {arrow}")


def columns_of(table: schema.Table) -> list[tuple[str, str]]:
    """Names and types of a table's columns in Spark, its partition keys last."""
    typed = [(column.name, spark_type(column.type)) for column in table.columns]
    return [*typed, *((key, "STRING") for key in views.partition_columns(table))]


def _from_files(session: Any, archive: Archive, table: schema.Table, files: dict[str, LiveFile]) -> Any:
    """Those in their place all at once, with the partition in their paths; any other by itself, with its own beside."""
    columns = columns_of(table)
    described = ", ".join(f"`{name}` {kind}" for name, kind in columns)
    names = [f"`{name}`" for name, _kind in columns]
    root = archive.path.resolve()
    in_place = [path for path, file in files.items() if path == str(root / file.record.path)]
    frames = []
    if in_place:
        reader = session.read.schema(described).option("basePath", f"file:{root / table.name}")
        frame = reader.parquet(*(f"file:{path}" for path in in_place))
        frames.append(_complete(frame, in_place).selectExpr(*names))
    keys = views.partition_columns(table)
    own = ", ".join(f"`{name}` {kind}" for name, kind in columns if name not in keys)
    for path in files.keys() - set(in_place):
        frame = _complete(session.read.schema(own).parquet(f"file:{path}"), [path])
        values = {key: files[path].partition.get(key, "") for key in keys}
        frames.append(frame.withColumns(_constants(values)).selectExpr(*names))
    if not frames:
        return session.createDataFrame([], described)
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionAll(frame)
    return whole


def _constants(values: dict[str, str]) -> dict[str, Any]:
    functions = import_module("pyspark.sql.functions")
    return {key: functions.lit(value) for key, value in values.items()}


def _complete(frame: Any, paths: list[str]) -> Any:
    """The frame, if it reads every file: Spark passes over names that it takes for hidden, without a word."""
    read = len(frame.inputFiles())
    if read != len(paths):
        raise QueryError(
            f"Spark would read {read} of {len(paths)} files", hint="Run the query without --engine; please report this."
        )
    return frame


def _from_catalog(session: Any, catalog: Catalog, name: str) -> Any:
    schema_name, _, view = views.place_of(name).partition(".")
    sql = f"SELECT * FROM {schema_name}.{name_of(view)}"  # noqa: S608 - quoted
    rows = catalog.connection.sql(sql).to_arrow_table()
    described = ", ".join(f"`{field.name}` {spark_type(field.type)}" for field in rows.schema)
    return session.createDataFrame(rows, described) if rows.num_rows else session.createDataFrame([], described)
