"""Segments to read with other tools: rows with whatever an event may hold, written as sync and compaction write."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from trailkeep import schema
from trailkeep.store.encoding import ROW_GROUP_ROWS, parquet_options

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "\x1b[31m'; DROP TABLE x; -- \u202e 𝛑 \x00 \r\n\t\"{}"
START = datetime(2026, 3, 1)  # noqa: DTZ001


def some_rows(count: int) -> pa.Table:
    """Api events, sorted, each with another shape: nulls, empty and hostile texts, long ones, no resources and many."""
    noise = Random(count)
    texts = [None, "", "a", HOSTILE, "é" * 300]
    rows: list[dict[str, Any]] = []
    for number in range(count):
        resources = [
            {"id": f"{noise.getrandbits(128):032x}", "name": noise.choice(texts), "created_at": START, "info": "{}"}
            for _ in range(noise.randrange(4))
        ]
        rows.append(
            {
                "id": f"{noise.getrandbits(128):032x}"[: noise.choice((32, 32, 32, 1))],
                "recorded_at": START + timedelta(microseconds=number * 977),
                "source_ip": noise.choice(("192.0.2.1", "2001:db8::1", None)),
                "user_agent": noise.choice(texts),
                "method_name": f"Method{number % 300}",
                "request_id": noise.choice((f"{noise.getrandbits(128):032x}", None)),
                "status_code": noise.choice((200, 403, -1, None)),
                "request_body": noise.choice((None, "{}", '{"x":"' + "y" * noise.randrange(2000) + '"}')),
                "resources": noise.choice((resources, None)),
                "ledger_seq": 1 + number // 1000,
                "raw": raw_of(number, noise),
            }
        )
    table = pa.Table.from_pylist(rows, schema=schema.API_EVENTS.arrow_schema)
    return table.sort_by([(name, "ascending") for name in schema.API_EVENTS.order])


def raw_of(number: int, noise: Random) -> str:
    """An event's JSON: words that repeat, here and there, and an id that does not."""
    names = [f"name-of-a-server-{noise.randrange(50)}" for _ in range(noise.randrange(1, 6))]
    event = {"id": f"{noise.getrandbits(128):032x}", "method_name": f"Method{number % 300}", "resources": names}
    return json.dumps(event)


def content_of(table: schema.Table, rows: pa.Table, *, lasting: bool) -> bytes:
    """The bytes of a segment."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, row_group_size=ROW_GROUP_ROWS, **parquet_options(table, lasting=lasting))
    return sink.getvalue().to_pybytes()


def hive(folder: Path, rows: pa.Table) -> Path:
    """The rows in a folder as an archive has it: the first half as a sync leaves it, the rest as a compaction does."""
    half = rows.num_rows // 2
    for month, part, lasting in (("2026-03", rows.slice(0, half), False), ("2026-04", rows.slice(half), True)):
        place = folder / "api_events" / "organization_id=o" / "region=fr-par" / f"month={month}"
        place.mkdir(parents=True)
        (place / "segment.parquet").write_bytes(content_of(schema.API_EVENTS, part, lasting=lasting))
    return folder / "api_events"
