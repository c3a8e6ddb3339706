"""What the names of those who acted cost: queries over ten million events, with and without them, side by side."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from trailkeep import schema
from trailkeep.analysis import Question, open_result
from trailkeep.catalog import Limits
from trailkeep.directory import Change, read_object, rows_of_changes
from trailkeep.store import Archive, Commit, NewRows, Writer

if TYPE_CHECKING:
    import pyarrow as pa

ORGANIZATION = "11111111-1111-4111-8111-111111111111"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS = 10
TURNS = 5

PAIRS = {
    "events by actor": ("SELECT actor_id, count(*) FROM events GROUP BY ALL", "actor_id", "actor_name"),
    "events by actor, with both": (
        "SELECT actor_id, count(*) FROM events GROUP BY ALL",
        "actor_id",
        "actor_id, actor_name",
    ),
    "denied calls by actor and action": (
        "SELECT actor_id, action, count(*), max(recorded_at) FROM events WHERE outcome = 'denied' GROUP BY ALL",
        "actor_id",
        "actor_id, actor_name",
    ),
    "addresses and days of each actor": (
        "SELECT actor_id, count(DISTINCT source_ip), min(recorded_at), max(recorded_at) FROM events GROUP BY ALL",
        "actor_id",
        "actor_id, actor_name",
    ),
    "one day's events in order": (
        (
            "SELECT recorded_at, actor_id, action, source_ip, id FROM events"
            " WHERE recorded_at >= TIMESTAMP '2025-03-02' AND recorded_at < TIMESTAMP '2025-03-03' ORDER BY ALL"
        ),
        "actor_id",
        "actor_id, actor_name, actor_type",
    ),
}


def events(engine: duckdb.DuckDBPyConnection, month: int, count: int, actors: int) -> pa.Table:
    """A month's calls."""
    start = f"TIMESTAMP '2025-{month:02d}-01'"
    actor = f"CAST(CAST(md5('actor ' || hash(i + {month * count}) % {actors}) AS UUID) AS VARCHAR)"
    selected = f"""
        SELECT
            CAST(CAST(md5('{month}/' || i) AS UUID) AS VARCHAR) AS id,
            {start} + to_microseconds(i * {27 * 86_400_000_000 // count}) AS recorded_at,
            'fr-par-1' AS locality, 'p' || i % 20 AS project_id, {actor} AS principal_id,
            '192.0.2.' || hash(i) % 200 AS source_ip, 'scaleway-cli/2.40.0' AS user_agent,
            'instance' AS product_name, 'scaleway.instance.v1.Api' AS service_name,
            'Method' || hash(i) % 300 AS method_name,
            CASE WHEN i % 50 = 7 THEN 403 ELSE 200 END AS status_code,
            [{{id: 'r' || i % 50000, type: CASE WHEN i % 200 = 0 THEN 'iam_user' ELSE 'instance_server' END,
               name: 'server ' || i % 50000}}] AS resources,
            '{{}}' AS raw
        FROM range({count}) AS r(i)
    """
    found = engine.sql(selected).to_arrow_table()
    fields = [each for each in schema.API_EVENTS.arrow_schema if each.name != "ledger_seq"]
    return _filled(found, fields)


def _filled(found: pa.Table, fields: list[pa.Field]) -> pa.Table:
    import pyarrow as pa

    columns = []
    for field in fields:
        if field.name not in found.column_names:
            columns.append(pa.nulls(found.num_rows, field.type))
        elif field.name == "resources":
            columns.append(_resources(found["resources"], field.type))
        else:
            columns.append(found[field.name].cast(field.type))
    return pa.table(columns, schema=pa.schema(fields))


def _resources(found: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    whole = found.combine_chunks()
    items = whole.values
    told = {field.name: items.field(field.name) for field in items.type}
    columns = [told.get(field.name, pa.nulls(len(items), field.type)) for field in kind.value_type]
    return pa.ListArray.from_arrays(
        whole.offsets, pa.StructArray.from_arrays(columns, fields=list(kind.value_type)), type=kind
    )


def users(engine: duckdb.DuckDBPyConnection, actors: int) -> pa.Table:
    """The users; every tenth was renamed in between."""
    import pyarrow as pa

    ids = [
        row[0]
        for row in engine.sql(
            f"SELECT CAST(CAST(md5('actor ' || i) AS UUID) AS VARCHAR) FROM range({actors}) AS r(i)"
        ).fetchall()
    ]
    made: list[Change] = []
    for number, identifier in enumerate(ids):
        versions = ["somebody"] if number % 10 else ["somebody", "somebody.else"]
        for turn, name in enumerate(versions):
            at = datetime(2025, 1 + 4 * turn, 1, tzinfo=UTC)
            seen = read_object("users", f'{{"id": "{identifier}", "username": "{name} {number}"}}'.encode())
            made.append(Change(change="changed" if turn else "first", seen=seen, observed_at=at, valid_from=at))
    rows = rows_of_changes("users", made)
    fields = [each for each in schema.directory_table("users").arrow_schema if each.name != "ledger_seq"]
    return pa.table([rows[field.name].cast(field.type) for field in fields], schema=pa.schema(fields))


def build(place: Path, count: int, actors: int) -> Archive:
    """An archive of `count` events of so many actors."""
    engine = duckdb.connect()
    with Writer(place, clock=lambda: NOW) as writer:
        for month in range(1, MONTHS + 1):
            partition = {"organization_id": ORGANIZATION, "region": "fr-par", "month": f"2025-{month:02d}"}
            added = [
                NewRows(
                    table=schema.API_EVENTS, partition=partition, rows=events(engine, month, count // MONTHS, actors)
                )
            ]
            writer.commit(Commit(operation="sync", started_at=NOW, organization_id=ORGANIZATION, added=added))
        known = users(engine, actors)
        for month in (1, 5):
            import pyarrow.compute as pc

            rows = known.filter(pc.equal(pc.month(known["observed_at"]), month))
            partition = {"organization_id": ORGANIZATION, "month": f"2025-{month:02d}"}
            added = [NewRows(table=schema.directory_table("users"), partition=partition, rows=rows)]
            writer.commit(Commit(operation="directory", started_at=NOW, organization_id=ORGANIZATION, added=added))
    return Archive.open(place)


def seconds(archive: Archive, sql: str) -> float:
    """How long the whole answer takes, opening included."""
    began = time.perf_counter()
    with open_result(archive, Question(sql=sql), now=NOW, limits=Limits()) as result:
        for _batch in result.batches():
            pass
    return time.perf_counter() - began


def main() -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--actors", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="a folder to build in, and to use again")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="trailkeep-names-"))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    try:
        place = folder / "archive"
        archive = Archive.open(place) if place.exists() else build(place, given.events, given.actors)
        print(f"{given.events} events, {given.actors} actors")
        sql, _, _ = next(iter(PAIRS.values()))
        seconds(archive, sql)
        print(f"the first query that asks for names: {seconds(archive, sql.replace('actor_id', 'actor_name')):.2f} s")
        print(f"{'query':40} {'without':>9} {'with':>9} {'ratio':>6}")
        for title, (sql, column, named) in PAIRS.items():
            asked = sql.replace(column, named, 1)
            turns = [(seconds(archive, sql), seconds(archive, asked)) for _ in range(TURNS)]
            without, with_names = (statistics.median(each) for each in zip(*turns, strict=True))
            print(f"{title:40} {without:8.2f}s {with_names:8.2f}s {with_names / without:6.2f}")
        print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    finally:
        if given.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
