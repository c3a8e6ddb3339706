"""Tools that know nothing of Trailkeep read its files: every value of every column, by the folder or file by file.

Spark's turn is in tests/spark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from trailkeep import schema
from trailkeep.store.encoding import ROW_GROUP_ROWS
from written import hive, some_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = ("organization_id", "region", "month")


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """More than a row group in each of two files."""
    return some_rows(2 * ROW_GROUP_ROWS + 2000)


@pytest.fixture(scope="module")
def folder(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hive(tmp_path_factory.mktemp("archive"), rows)


def with_duckdb(folder: Path) -> pa.Table:
    with duckdb.connect() as connection:
        sql = "FROM read_parquet($files, hive_partitioning = true, hive_types_autocast = false)"
        return connection.sql(sql, params={"files": f"{folder}/**/*.parquet"}).to_arrow_table()


def with_polars(folder: Path) -> pa.Table:
    frame = pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True, try_parse_hive_dates=False)
    return frame.collect().to_arrow()


def with_pandas(folder: Path) -> pa.Table:
    frames = []
    for file in sorted(folder.rglob("*.parquet")):
        keys = dict(part.split("=", 1) for part in file.parts if "=" in part)
        frames.append(pd.read_parquet(file, partitioning=None, dtype_backend="pyarrow").assign(**keys))
    return pa.Table.from_pandas(pd.concat(frames), preserve_index=False)


def with_pyarrow(folder: Path) -> pa.Table:
    kinds = pa.schema([(key, pa.string()) for key in KEYS])
    return ds.dataset(folder, partitioning=ds.partitioning(kinds, flavor="hive")).to_table()


@pytest.mark.parametrize("read", [with_duckdb, with_polars, with_pandas, with_pyarrow])
def test_every_value_comes_back_with_the_keys_of_the_path(
    read: Callable[[Path], pa.Table], folder: Path, rows: pa.Table
) -> None:
    found = read(folder).sort_by([("recorded_at", "ascending"), ("id", "ascending")])
    assert set(found.schema.names) == {*rows.schema.names, *KEYS}
    for name in rows.schema.names:
        assert found[name].cast(rows.schema.field(name).type).to_pylist() == rows[name].to_pylist(), name
    half = rows.num_rows // 2
    months = found["month"].cast(pa.string()).to_pylist()
    assert months == ["2026-03"] * half + ["2026-04"] * (rows.num_rows - half)


@pytest.mark.parametrize(
    ("condition", "column"),
    [("method_name = 'Method7'", "method_name"), ("source_ip = '2001:db8::1'", "source_ip"), ("id = 'f'", "id")],
)
def test_a_condition_finds_in_all_of_them_what_it_should(
    condition: str, column: str, folder: Path, rows: pa.Table
) -> None:
    """Readers skip row groups and pages by what the file says of them."""
    value: Any = condition.split("'")[1]
    expected = sum(each == value for each in rows[column].to_pylist())
    assert expected
    with duckdb.connect() as connection:
        query = f"SELECT count(*) FROM read_parquet('{folder}/**/*.parquet') WHERE {condition}"
        assert connection.sql(query).fetchall() == [(expected,)]
    lazy = pl.scan_parquet(f"{folder}/**/*.parquet").filter(pl.col(column) == value)
    assert lazy.collect().height == expected
    assert ds.dataset(folder).to_table(filter=ds.field(column) == value).num_rows == expected
    assert len(pd.read_parquet(folder, filters=[(column, "==", value)], columns=[column])) == expected


def test_column_types_are_those_that_are_documented(folder: Path) -> None:
    with duckdb.connect() as connection:
        query = f"DESCRIBE FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = false)"
        found = {name: kind for name, kind, *_ in connection.sql(query).fetchall()}
    assert found == {column.name: schema.engine_type(column.type) for column in schema.API_EVENTS.columns}
