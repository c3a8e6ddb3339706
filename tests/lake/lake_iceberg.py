"""An archive registered in Iceberg without a copy: the same rows and types, pruned by its keys, and kept up to date."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from lakes import add, merge

from archives import NOW, ORGANIZATION
from trailkeep import reading as api
from trailkeep import schema

if TYPE_CHECKING:
    from trailkeep.store import Archive

SqlCatalog = pytest.importorskip("pyiceberg.catalog.sql", reason="pyiceberg comes with `make test-lake`").SqlCatalog
pytestmark = pytest.mark.filterwarnings("ignore")  # other people's, and not ours to mend

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "lake" / "iceberg.py"
KEYS = ["organization_id", "region", "month"]


def register(archive: Archive, warehouse: Path) -> list[str]:
    """Run the documented example; the lines it prints."""
    program = [sys.executable, "-m", "trailkeep", "--archive", str(archive.path), "connect", "--format", "json"]
    listed = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True).stdout
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(warehouse)],
        input=listed,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def loaded(warehouse: Path, name: str) -> Any:
    place = warehouse.resolve()
    return SqlCatalog("trailkeep", uri=f"sqlite:///{place}/catalog.db").load_table(f"trailkeep.{name}")


def own_rows(archive: Archive, table: str) -> list[dict[str, Any]]:
    with api.Archive(archive.path, now=NOW) as own:
        return own.sql(f"FROM {table} ORDER BY recorded_at, id").rows()


def rows_of(found: pa.Table) -> list[dict[str, Any]]:
    return found.sort_by([("recorded_at", "ascending"), ("id", "ascending")]).to_pylist()


@pytest.mark.parametrize("name", ["api_events", "authentication_events"])
def test_it_has_the_same_rows_keys_and_types_and_copied_nothing(archive: Archive, tmp_path: Path, name: str) -> None:
    warehouse = tmp_path / "warehouse"
    register(archive, warehouse)
    found = loaded(warehouse, name).scan().to_arrow()
    with api.Archive(archive.path, now=NOW) as own:
        expected = own.sql(f"SELECT {', '.join(found.schema.names)} FROM {name} ORDER BY recorded_at, id").arrow()
    # pyiceberg reads a list that is null as an empty one.
    assert rows_of(found) == [row | {"resources": row["resources"] or []} for row in expected.to_pylist()]
    assert sorted(found.schema.names) == sorted([*schema.STORED_TABLES[name].arrow_schema.names, *KEYS])
    assert found.schema.field("recorded_at").type == schema.TIMESTAMP
    assert not list(warehouse.rglob("*.parquet"))


def test_keys_and_times_leave_files_out(archive: Archive, tmp_path: Path) -> None:
    register(archive, tmp_path / "warehouse")
    table = loaded(tmp_path / "warehouse", "api_events")
    every = {task.file.file_path for task in table.scan().plan_files()}
    in_region = table.scan(row_filter="region == 'nl-ams' and month == '2026-02'")
    planned = {task.file.file_path for task in in_region.plan_files()}
    assert planned
    assert planned == {path for path in every if "/region=nl-ams/month=2026-02/" in path}
    assert {(row["region"], row["month"]) for row in in_region.to_arrow().to_pylist()} == {("nl-ams", "2026-02")}
    in_span = table.scan(row_filter="recorded_at >= '2026-02-10T00:00:00' and recorded_at < '2026-03-01T00:00:00'")
    assert 0 < len(list(in_span.plan_files())) < len(every)


def test_duckdb_asks_what_it_scans(archive: Archive, tmp_path: Path) -> None:
    register(archive, tmp_path / "warehouse")
    scanned = loaded(tmp_path / "warehouse", "api_events").scan(row_filter="region == 'fr-par'").to_arrow()
    with duckdb.connect() as connection:
        connection.register("calls", scanned)
        query = "SELECT organization_id, month, count(*) FROM calls WHERE source_ip IS NULL GROUP BY ALL ORDER BY ALL"
        assert connection.sql(query).fetchall() == [(ORGANIZATION, "2026-02", 2), (ORGANIZATION, "2026-03", 1)]


def test_after_a_sync_and_a_compaction_it_is_brought_up_to_date_in_a_snapshot_each(
    archive: Archive, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse"
    register(archive, warehouse)
    before = rows_of(loaded(warehouse, "api_events").scan().to_arrow())
    later = add(archive.path, 3)
    register(later, warehouse)
    merge(archive.path)
    register(later, warehouse)
    register(later, warehouse)
    table = loaded(warehouse, "api_events")
    found = rows_of(table.scan().to_arrow())
    assert [row["id"] for row in found] == [row["id"] for row in own_rows(later, "api_events")]
    assert len(found) == 2 * len(before)
    live = {file.record.path for file in later.ledger().files("api_events")}
    assert len(list(table.scan().plan_files())) == len(live)
    assert len(table.metadata.snapshots) == 3


def test_add_files_alone_has_the_rows_and_not_the_keys(archive: Archive, tmp_path: Path) -> None:
    """What docs/scale.md says of it: should it learn to, the example can be shorter."""
    (tmp_path / "w").mkdir()
    catalog = SqlCatalog("t", uri=f"sqlite:///{tmp_path}/w/catalog.db", warehouse=f"file://{tmp_path}/w")
    catalog.create_namespace("plain")
    columns = schema.API_EVENTS.arrow_schema
    files = [f"file://{archive.path / file.record.path}" for file in archive.ledger().files("api_events")]
    table = catalog.create_table("plain.without", columns)
    table.add_files(files)
    assert len(rows_of(table.scan().to_arrow())) == len(own_rows(archive, "api_events"))
    keyed = catalog.create_table("plain.keyed", pa.schema([*columns, *(pa.field(key, pa.string()) for key in KEYS)]))
    with keyed.update_spec() as spec:
        spec.add_identity("region")
    keyed.add_files(files)
    assert set(keyed.scan().to_arrow()["region"].to_pylist()) == {None}
