"""What a user would keep calls in instead, and how quickly it finds one: NDJSON, daily Parquet, dlt's Parquet, SQLite.

Runs in the environment of the peers, without Trailkeep: ``build STORE NDJSON PLACE`` makes a store of a file with one
event in each line, ``ask STORE PLACE COLUMN VALUE`` finds all calls with a value in it. Both print one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

WHERE = {
    "address": "source_ip",
    "principal": "principal.id",
    "request": "request_id",
    "resource": "resources",
}
"""What is looked for, and where an event of the API has it."""

_ROUNDS = 5
_AT_ONCE = 10_000


def _json_reader(place: Path) -> str:
    return f"read_json('{place}', format = 'newline_delimited', sample_size = -1)"


def build_ndjson(events: Path, place: Path) -> None:
    """The file as the loop of the SDK writes it."""
    place.write_bytes(events.read_bytes())


def build_daily(events: Path, place: Path) -> None:
    """Parquet in a folder for each day, by DuckDB."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(
        f"COPY (SELECT *, strftime(recorded_at, '%Y-%m-%d') AS day FROM {_json_reader(events)} ORDER BY recorded_at)"
        f" TO '{place}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day))"
    )


def build_sqlite(events: Path, place: Path) -> None:
    """A table with an index on each column that is looked for, and one of the events' resources."""
    import sqlite_utils

    database = sqlite_utils.Database(place)

    def rows() -> Iterator[dict[str, Any]]:
        with events.open("rb") as lines:
            for line in lines:
                event = json.loads(line)
                yield {
                    "id": event["id"],
                    "recorded_at": event["recorded_at"],
                    "principal_id": (event.get("principal") or {}).get("id"),
                    "source_ip": event.get("source_ip"),
                    "user_agent": event.get("user_agent"),
                    "product_name": event.get("product_name"),
                    "method_name": event.get("method_name"),
                    "request_id": event.get("request_id"),
                    "status_code": event.get("status_code"),
                    "resources": [each.get("id") for each in event.get("resources") or ()],
                    "raw": line.decode(),
                }

    waiting = rows()
    while some := list(islice(waiting, _AT_ONCE)):
        links = [{"event_id": row["id"], "resource_id": each} for row in some for each in row.pop("resources")]
        database["events"].insert_all(some, pk="id", batch_size=_AT_ONCE)
        database["event_resources"].insert_all(links, batch_size=_AT_ONCE)
    for column in ("recorded_at", "principal_id", "source_ip", "request_id", "method_name"):
        database["events"].create_index([column])
    database["event_resources"].create_index(["resource_id"])


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, value: str) -> int:
    """How many rows there are; as Arrow has them, since Python objects would take longer than the search."""
    rows: int = connection.sql(sql, params={"value": value}).to_arrow_table().num_rows
    return rows


def _duckdb(source: str, *, nested: bool = True) -> Callable[[str, str], int]:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")

    def ask(what: str, value: str) -> int:
        if what == "resource":
            condition = "list_contains(list_transform(resources, lambda x: CAST(x.id AS VARCHAR)), $value)"
        else:
            column = WHERE[what] if nested else WHERE[what].replace(".", "__")
            condition = f"CAST({column} AS VARCHAR) = $value"
        return _rows(connection, f"SELECT * FROM {source} WHERE {condition}", value)

    return ask


def _dlt(place: Path) -> Callable[[str, str], int]:
    import duckdb

    connection = duckdb.connect()
    (events,) = place.rglob("events_fr_par/")
    parent = events.parent

    def ask(what: str, value: str) -> int:
        # Each region is a table, and each list in an event one more.
        calls = f"read_parquet('{parent}/events_??_???/*.parquet', union_by_name = true)"
        if what == "resource":
            links = f"read_parquet('{parent}/events_??_???__resources/*.parquet', union_by_name = true)"
            condition = f"_dlt_id IN (SELECT _dlt_parent_id FROM {links} WHERE id = $value)"
        else:
            condition = f"{WHERE[what].replace('.', '__')} = $value"
        return _rows(connection, f"SELECT * FROM {calls} WHERE {condition}", value)

    return ask


def _sqlite(place: Path) -> Callable[[str, str], int]:
    import sqlite_utils

    database = sqlite_utils.Database(place)

    def ask(what: str, value: str) -> int:
        if what == "resource":
            condition = "id IN (SELECT event_id FROM event_resources WHERE resource_id = ?)"
        else:
            condition = f"{WHERE[what].replace('.', '_')} = ?"
        return len(list(database["events"].rows_where(condition, [value])))

    return ask


BUILD: dict[str, Callable[[Path, Path], None]] = {
    "ndjson": build_ndjson,
    "daily-parquet": build_daily,
    "sqlite": build_sqlite,
}
ASK: dict[str, Callable[[Path], Callable[[str, str], int]]] = {
    "ndjson": lambda place: _duckdb(_json_reader(place)),
    "daily-parquet": lambda place: _duckdb(f"read_parquet('{place}/**/*.parquet', hive_partitioning = true)"),
    "dlt": _dlt,
    "sqlite": _sqlite,
}


def bytes_of(place: Path) -> int:
    """What a file or a folder takes on disk."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def main() -> None:
    """Build or ask, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    building = steps.add_parser("build")
    building.add_argument("store", choices=BUILD)
    building.add_argument("events", type=Path)
    building.add_argument("place", type=Path)
    asking = steps.add_parser("ask")
    asking.add_argument("store", choices=ASK)
    asking.add_argument("place", type=Path)
    asking.add_argument("needles", nargs="+", metavar="WHAT=VALUE")
    given = parser.parse_args()
    told: dict[str, Any] = {}
    if given.step == "build":
        began = time.perf_counter()
        BUILD[given.store](given.events, given.place)
        told["seconds"] = time.perf_counter() - began
        told["bytes"] = bytes_of(given.place)
    else:
        ask = ASK[given.store](given.place)
        for needle in given.needles:
            what, _, value = needle.partition("=")
            rows, seconds = 0, []
            for _ in range(_ROUNDS):
                began = time.perf_counter()
                rows = ask(what, value)
                seconds.append(time.perf_counter() - began)
            told[what] = {"rows": rows, "milliseconds": 1000 * statistics.median(seconds)}
    spent = os.times()
    told["cpu_seconds"] = spent.user + spent.system
    # `ru_maxrss` would count what the process that started this one had at that moment.
    (peak,) = (int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    told["peak_mib"] = peak / 1024
    json.dump(told, sys.stdout)
    print()


if __name__ == "__main__":
    main()
