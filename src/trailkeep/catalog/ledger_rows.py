"""The ledger as a table: one row for every entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.store import Ledger

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("seq", pa.int64()),
    ("sha256", pa.string()),
    ("operation", pa.string()),
    ("run", pa.string()),
    ("started_at", pa.timestamp("us")),
    ("finished_at", pa.timestamp("us")),
    ("organization_id", pa.string()),
    ("trailkeep_version", pa.string()),
    ("host", pa.string()),
    ("os_user", pa.string()),
    ("files_added", pa.int64()),
    ("files_removed", pa.int64()),
    ("rows_added", pa.int64()),
    ("bytes_added", pa.int64()),
    ("fetched", pa.int64()),
    ("new", pa.int64()),
    ("duplicate", pa.int64()),
    ("revised", pa.int64()),
    ("clock_offset_ms", pa.int64()),
    ("counters", pa.string()),
]


def ledger_table(ledger: Ledger) -> pa.Table:
    """Every entry as a row; ``counters`` is the JSON text of all its counters."""
    following = [entry.previous for entry in ledger.entries[1:]]
    digests = [*following, ledger.head.sha256 if ledger.head else None]
    rows = [
        {
            "seq": entry.seq,
            "sha256": digest,
            "operation": entry.operation,
            "run": entry.run,
            "started_at": _naive(entry.started_at),
            "finished_at": _naive(entry.finished_at),
            "organization_id": entry.organization_id,
            "trailkeep_version": entry.tool.get("trailkeep"),
            "host": entry.host,
            "os_user": entry.os_user,
            "files_added": len(entry.files_added),
            "files_removed": len(entry.files_removed),
            "rows_added": sum(record.rows for record in entry.files_added),
            "bytes_added": sum(record.bytes for record in entry.files_added),
            "fetched": entry.counters.get("fetched"),
            "new": entry.counters.get("new"),
            "duplicate": entry.counters.get("duplicate"),
            "revised": entry.counters.get("revised"),
            "clock_offset_ms": entry.clock_offset_ms,
            "counters": msgspec.json.encode(entry.counters, order="sorted").decode(),
        }
        for entry, digest in zip(ledger.entries, digests, strict=False)
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(_COLUMNS))


def _naive(text: str) -> datetime:
    return parse_moment(text).replace(tzinfo=None)
