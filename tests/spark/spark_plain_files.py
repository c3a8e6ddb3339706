"""Spark alone over the folders of an archive, without Trailkeep: every value, the keys of the path, and conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trailkeep.store.encoding import ROW_GROUP_ROWS
from written import hive, some_rows

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


@pytest.fixture(scope="module")
def spark() -> Any:
    """A session as a notebook has one; it is left to whoever else uses it in this process."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
    return session


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return some_rows(2 * ROW_GROUP_ROWS + 2000)


@pytest.fixture(scope="module")
def folder(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hive(tmp_path_factory.mktemp("it's") / "an archive", rows)


def test_every_value_comes_back_with_the_keys_of_the_path(spark: Any, folder: Path, rows: pa.Table) -> None:
    frame = spark.read.parquet(str(folder))
    assert frame.columns == [*rows.schema.names, "organization_id", "region", "month"]
    found = [row.asDict(recursive=True) for row in frame.orderBy("recorded_at", "id").collect()]
    half = rows.num_rows // 2
    assert [row.pop("month") for row in found] == ["2026-03"] * half + ["2026-04"] * (rows.num_rows - half)
    assert {(row.pop("organization_id"), row.pop("region")) for row in found} == {("o", "fr-par")}
    for one, other in zip(found, rows.to_pylist(), strict=True):
        assert one == other


def test_times_have_no_zone_and_a_key_leaves_files_out(spark: Any, folder: Path, rows: pa.Table) -> None:
    frame = spark.read.parquet(str(folder))
    assert dict(frame.dtypes)["recorded_at"] == "timestamp_ntz"
    later = frame.where("month = '2026-04'")
    assert later.count() == rows.num_rows - rows.num_rows // 2
    assert "PartitionFilters: [isnotnull(month" in later._jdf.queryExecution().explainString(
        spark._jvm.org.apache.spark.sql.execution.ExplainMode.fromString("simple")
    )


@pytest.mark.parametrize("condition", ["method_name = 'Method7'", "source_ip = '2001:db8::1'", "status_code = 403"])
def test_a_condition_finds_what_it_should(spark: Any, folder: Path, rows: pa.Table, condition: str) -> None:
    column, value = condition.split(" = ")
    expected = sum(repr(each) == value for each in rows[column].to_pylist())
    assert expected
    assert spark.read.parquet(str(folder)).where(condition).count() == expected
