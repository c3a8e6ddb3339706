"""The Spark statements of `trailkeep connect`: frames with the rows and types that Trailkeep has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from archives import NOW, empty_archive
from test_connect import filled, unfinished
from trailkeep import connect, schema
from trailkeep import reading as api

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.store import Archive


@pytest.fixture(scope="module")
def spark() -> Any:
    """A session as a notebook has one; it is left to whoever else uses it in this process."""
    from pyspark.sql import SparkSession

    return SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()


def frames(archive: Archive, spark: Any) -> dict[str, Any]:
    names: dict[str, Any] = {"spark": spark}
    text = connect.spark_script(connect.live_archive(archive, archive.ledger()))
    exec(compile(text, "connect.py", "exec"), names)
    return names


def assert_same(archive: Archive, names: dict[str, Any]) -> None:
    """Every table has the same columns and, whatever their order, the same rows; its view too."""
    with api.Archive(archive.path, now=NOW) as own, own.connect() as connection:
        for table in schema.TABLES:
            frame = names[table]
            selected = ", ".join(f'"{name}"' for name in frame.columns)
            expected = connection.sql(f"SELECT {selected} FROM {table}").to_arrow_table().to_pylist()
            found = [row.asDict(recursive=True) for row in frame.collect()]
            for row in found:
                row.update({name: bytes(value) for name, value in row.items() if isinstance(value, bytearray)})
            assert sorted(found, key=repr) == sorted(expected, key=repr), table
            assert names["spark"].table(table).columns == frame.columns


@pytest.mark.parametrize(("name", "staged"), [("plain", False), ("it's; a=b %20 é", True)])
def test_its_frames_hold_the_same_rows_and_types(spark: Any, tmp_path: Path, name: str, staged: bool) -> None:
    archive = filled(tmp_path / name)
    if staged:
        unfinished(archive)
    assert_same(archive, frames(archive, spark))


def test_an_empty_archive_has_typed_frames(spark: Any, tmp_path: Path) -> None:
    archive = empty_archive(tmp_path / "archive")
    names = frames(archive, spark)
    for table in schema.STORED_TABLES.values():
        frame = names[table.name.replace("/", "_")]
        assert frame.count() == 0
        assert frame.columns[: len(table.columns)] == [column.name for column in table.columns]
