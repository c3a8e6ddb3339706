"""Small archives that hold together in depth: events as the API sends them, turned into rows by the real code."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from trailkeep import events, schema, seal
from trailkeep.store import Archive, Commit, Head, NewRows, Writer
from trailkeep.timespan import format_time, month_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trailkeep.streams import Kind

ORGANIZATION = "11111111-1111-4111-8111-111111111111"
START = datetime(2026, 1, 31, 23, 0, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_event(number: int, at: datetime, **fields: Any) -> dict[str, Any]:
    """An API event with the number as its id."""
    return {
        "id": str(UUID(int=number)),
        "recorded_at": format_time(at),
        "locality": "fr-par-1",
        "principal": {"id": str(UUID(int=7))},
        "organization_id": ORGANIZATION,
        "source_ip": "192.0.2.1",
        "product_name": "instance",
        "method_name": "CreateServer",
        "status_code": 200,
        "request_body": {"name": f"server {number}"},
        "resources": [{"id": str(UUID(int=number + 1)), "type": "instance_server", "instance_server_info": {"n": 1}}],
        **fields,
    }


def to_bytes(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def new_rows(kind: Kind, raws: Sequence[bytes], region: str = "fr-par", month: str | None = None) -> NewRows:
    """Rows of one month of a stream."""
    arrivals, rejects = events.identify(raws, kind)
    assert not rejects
    partition = {
        "organization_id": ORGANIZATION,
        "region": region,
        "month": month or month_of(arrivals[0].recorded_at),
    }
    return NewRows(table=schema.EVENT_TABLES[kind], partition=partition, rows=events.to_rows(kind, arrivals))


def coverage(kind: str, start: datetime, end: datetime) -> seal.CoverageRecord:
    return seal.CoverageRecord(
        organization_id=ORGANIZATION, kind=kind, region="fr-par", start=format_time(start), end=format_time(end)
    )


def commit(path: Path, added: Sequence[NewRows] = (), operation: str = "sync", **fields: Any) -> seal.Entry:
    """One more entry."""
    with Writer(path, clock=lambda: NOW) as writer:
        return writer.commit(
            Commit(
                operation=operation,
                started_at=NOW - timedelta(minutes=1),
                organization_id=ORGANIZATION,
                added=list(added),
                **fields,
            )
        )


def sealed_archive(path: Path, *, syncs: int = 3, events_each: int = 4) -> Archive:
    """An archive of `syncs` entries with an hour of events each, over a month's end, and a compaction of two files."""
    number = 0
    for index in range(syncs):
        start = START + timedelta(hours=index)
        raws = []
        for _ in range(events_each):
            number += 1
            raws.append(to_bytes(an_event(number, start + timedelta(minutes=number))))
        commit(path, [new_rows("api", raws)], coverage=[coverage("api", start, start + timedelta(hours=1))])
    logins = [to_bytes(an_event(900 + index, START, result="success", method="password")) for index in range(2)]
    first = commit(path, [new_rows("authentication", logins[:1])])
    second = commit(path, [new_rows("authentication", logins[1:])])
    _compact(path, [first.files_added[0].path, second.files_added[0].path], "authentication")
    return Archive.open(path)


def _compact(path: Path, files: list[str], kind: Kind) -> None:
    """Replace files by one with the same events."""
    import pyarrow as pa
    from pyarrow import parquet

    tables = [parquet.read_table(path / file, partitioning=None) for file in files]
    table = schema.EVENT_TABLES[kind]
    rows = pa.concat_tables(tables).select([name for name in table.arrow_schema.names if name != "ledger_seq"])
    partition = Archive.open(path).ledger().live[files[0]].partition
    commit(path, [NewRows(table=table, partition=partition, rows=rows)], operation="compact", removed=files)


def head_of(path: Path) -> Head:
    head = Archive.open(path).ledger().head
    assert head is not None
    return head


def entry_path(path: Path, seq: int) -> Path:
    return path / "ledger" / f"{seq:08d}.json"


def read_entry(path: Path, seq: int) -> seal.Entry:
    return msgspec.json.decode(entry_path(path, seq).read_bytes(), type=seal.Entry)


def rewrite(path: Path, seq: int, **changes: Any) -> None:
    """Change an entry and chain the later ones anew, as somebody would who knows how it works."""
    content = b""
    while entry_path(path, seq).exists():
        entry = msgspec.structs.replace(read_entry(path, seq), **changes)
        if content:
            entry = msgspec.structs.replace(entry, previous=seal.entry_hash(content))
        content = seal.encode_entry(entry)
        overwrite(entry_path(path, seq), content)
        changes, seq = {}, seq + 1


def overwrite(file: Path, content: bytes) -> None:
    """Replace a file's content whatever its permissions."""
    mode = file.stat().st_mode if file.exists() else 0o600
    file.unlink(missing_ok=True)
    file.write_bytes(content)
    file.chmod(mode & 0o777)


def replace_segment(path: Path, old: str, content: bytes, **changes: Any) -> str:
    """Put other bytes in a live file's stead, under the name and the record that they call for; its new path."""
    ledger = Archive.open(path).ledger()
    file = ledger.live[old]
    sha256 = hashlib.sha256(content).hexdigest()
    record = msgspec.structs.replace(file.record, bytes=len(content), sha256=sha256, **changes)
    first = record.first.replace("-", "").replace(":", "").replace(".", "")
    last = record.last.replace("-", "").replace(":", "").replace(".", "")
    folder = old.rpartition("/")[0]
    record = msgspec.structs.replace(record, path=f"{folder}/{first}_{last}_{sha256[:12]}.parquet")
    (path / old).unlink()
    (path / record.path).write_bytes(content)
    (path / record.path).chmod(0o444)
    entry = read_entry(path, file.seq)
    added = [record if each.path == old else each for each in entry.files_added]
    rewrite(path, file.seq, files_added=added)
    return record.path
