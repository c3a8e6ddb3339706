"""A segment's rows: in order, where they belong, and each of them what its own ``raw`` says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailkeep import events, seal
from trailkeep.directory import Seen, read_object, rows_of_objects
from trailkeep.schema import DIRECTORY, DIRECTORY_TABLES, EVENT_TABLES, QUARANTINE, STORED_TABLES
from trailkeep.store.segments import raw_digests
from trailkeep.streams import KINDS
from trailkeep.timespan import format_time, month_of

if TYPE_CHECKING:
    from io import FileIO

    from trailkeep.schema import Table
    from trailkeep.store import LiveFile
    from trailkeep.streams import Kind

BATCH_ROWS = 4_096
"""Rows in memory at once, besides the pages of Parquet that they come from."""

REWRITING = frozenset({"compact", "purge"})
"""Operations whose files hold rows that earlier entries brought."""

CHANGES = frozenset({"first", "changed", "gone", "back"})
"""What a row of the directory can say happened."""

_KIND_OF: dict[str, Kind] = {table.name: kind for kind, table in EVENT_TABLES.items()}


class _Place(msgspec.Struct, gc=False):
    """What an event's bytes say about where it belongs."""

    organization_id: str | None = None
    locality: str | None = None


_place_decoder = msgspec.json.Decoder(_Place)


@dataclass(slots=True, kw_only=True)
class RowsChecked:
    """What was found in one file; each sort of fault once, with its first row."""

    rows: int = 0
    reasons: list[str] = field(default_factory=list)
    strangers: int = 0
    """Rows that name another Organization than the file's path: worth knowing, and not wrong."""
    elsewhere: int = 0
    """Rows whose locality is of another region than the file: worth knowing, and not wrong."""


def check_rows(stream: FileIO, file: LiveFile, operation: str) -> RowsChecked:
    """Read a file of a known table, row group by row group, and compare it with the ledger and with itself.

    `operation` is that of the entry which added it. Nothing that the file holds makes this raise but what the
    system refuses.
    """
    checker = _Checker(file, operation)
    try:
        checker.read(stream)
    except Exception as error:  # noqa: BLE001 - a hostile file can make Arrow raise anything
        words = " ".join(str(error).split())[:200] or type(error).__name__
        checker.fault("unreadable", f"its rows cannot be read: {words}")
    return RowsChecked(
        rows=checker.rows,
        reasons=list(checker.faults.values()),
        elsewhere=checker.elsewhere,
        strangers=checker.strangers,
    )


class _Checker:
    def __init__(self, file: LiveFile, operation: str) -> None:
        self.file = file
        self.operation = operation
        self.table: Table = STORED_TABLES[file.table]
        self.kind = _KIND_OF.get(file.table)
        self.rows = 0
        self.elsewhere = 0
        self.strangers = 0
        self.faults: dict[str, str] = {}
        self.digests = seal.EventDigests()
        self.last_key: tuple[Any, ...] | None = None
        self.first: datetime | None = None
        self.last: datetime | None = None

    def fault(self, sort: str, reason: str) -> None:
        """Report the first of each sort; the others would say the same."""
        self.faults.setdefault(sort, reason)

    def read(self, stream: FileIO) -> None:
        with pq.ParquetFile(stream, page_checksum_verification=True, pre_buffer=False) as parquet:
            if not parquet.schema_arrow.equals(self.table.arrow_schema, check_metadata=False):
                self.fault("schema", f"its columns are not those of {self.table.name}")
                return
            for number in range(parquet.num_row_groups):
                extents: dict[str, tuple[Any, Any]] = {}
                for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[number], use_threads=False):
                    rows = pa.Table.from_batches([batch])
                    self.take(rows)
                    _widen(extents, rows)
                self.check_statistics(parquet.metadata.row_group(number), extents)
        self.finish()

    def check_statistics(self, group: pq.RowGroupMetaData, extents: dict[str, tuple[Any, Any]]) -> None:
        """Compare what a row group says of its values with them: readers skip a group by it, and all of its rows."""
        for index in range(group.num_columns):
            column = group.column(index)
            statistics, extent = column.statistics, extents.get(column.path_in_schema)
            if statistics is None or extent is None or not statistics.has_min_max:
                continue
            if statistics.min > extent[0] or statistics.max < extent[1]:
                self.fault("statistics", f"its statistics of {column.path_in_schema} would hide rows from a query")

    def take(self, rows: pa.Table) -> None:
        """Check the next rows, and remember what the whole file is to be compared with."""
        rows.validate(full=True)
        for column in self.table.columns:
            if not column.nullable and rows[column.name].null_count:
                self.fault("null", f"a row has no {column.name}")
                self.rows += rows.num_rows
                return
        self.check_order(rows)
        self.check_extent(rows)
        self.check_seqs(rows)
        if "raw" in rows.schema.names:
            self.digests.add(raw_digests(rows["raw"]))
            self.check_raw(rows)
        if "kind" in rows.schema.names and self.kind is None:
            strangers = {str(kind) for kind in rows["kind"].unique().to_pylist()} - set(KINDS)
            if strangers:
                self.fault("kind", f"it holds rows of a kind that there is not: {min(strangers)!r}")
        self.rows += rows.num_rows

    def check_order(self, rows: pa.Table) -> None:
        keys = list(zip(*(_sortable(rows[name]) for name in self.table.order), strict=True))
        before = self.last_key
        for index, key in enumerate(keys):
            if before is not None and key < before:
                self.fault("order", f"row {self.rows + index + 1} stands before the row above it in order")
                break
            before = key
        self.last_key = keys[-1] if keys else self.last_key

    def check_extent(self, rows: pa.Table) -> None:
        extent = pc.min_max(rows[self.table.time])
        low, high = extent["min"].as_py().replace(tzinfo=UTC), extent["max"].as_py().replace(tzinfo=UTC)
        self.first = low if self.first is None else min(self.first, low)
        self.last = high if self.last is None else max(self.last, high)

    def check_seqs(self, rows: pa.Table) -> None:
        extent = pc.min_max(rows["ledger_seq"])
        low, high = extent["min"].as_py(), extent["max"].as_py()
        lowest = 1 if self.operation in REWRITING else self.file.seq
        if low < lowest or high > self.file.seq:
            wrong = low if low < lowest else high
            self.fault("ledger_seq", f"a row says that entry {wrong} brought it, the file came with {self.file.seq}")

    def check_raw(self, rows: pa.Table) -> None:
        """Compare every column that follows from ``raw`` with what follows from it now."""
        raws: list[Any] = rows["raw"].cast(pa.binary()).to_pylist()
        if self.table.name in DIRECTORY_TABLES:
            self.check_objects(rows, raws)
            return
        if self.table is QUARANTINE:
            hashes = [hashlib.sha256(raw).hexdigest() for raw in raws]
            self.compare(rows, pa.table({"sha256": pa.array(hashes, pa.string())}))
            return
        arrivals, rejects = self.identified(rows, raws)
        if rejects:
            self.fault("raw", f"a row's raw is not an event: {rejects[0].reason}")
            return
        if self.kind is not None:
            self.compare(rows, events.to_rows(self.kind, arrivals))
        else:
            ids = pa.array([arrival.id for arrival in arrivals], pa.string())
            moments = events.moments_to_arrow(arrival.recorded_at for arrival in arrivals)
            self.compare(rows, pa.table({"id": ids, "recorded_at": moments}))
        self.check_places(raws)

    def check_objects(self, rows: pa.Table, raws: list[bytes]) -> None:
        """Compare the columns of a directory's table with what follows from each object's bytes, without secrets."""
        resource = self.table.name.removeprefix(f"{DIRECTORY}/")
        nothing = [None] * rows.num_rows
        regions = rows["region"].to_pylist() if "region" in rows.schema.names else nothing
        rules = rows["rules_raw"].to_pylist() if "rules_raw" in rows.schema.names else nothing
        objects: list[Seen] = []
        for raw, region, text in zip(raws, regions, rules, strict=True):
            try:
                seen = read_object(resource, raw, region=region)
            except ValueError as error:
                self.fault("raw", f"a row's raw is not an object of the directory: {error}")
                return
            if seen.raw != raw:
                self.fault("secret", "a row's raw holds a secret key")
            objects.append(replace(seen, raw=raw, rules_raw=None if text is None else text.encode()))
        self.compare(rows, rows_of_objects(resource, objects))
        strangers = set(rows["change"].unique().to_pylist()) - CHANGES
        if strangers:
            self.fault("change", f"it holds a change that there is not: {min(map(str, strangers))!r}")

    def identified(self, rows: pa.Table, raws: list[bytes]) -> tuple[list[events.Arrival], list[events.Reject]]:
        """What the rows' bytes are as events of the table's kind, or of the kind that each row names."""
        if self.kind is not None:
            return events.identify(raws, self.kind)
        arrivals: list[events.Arrival] = []
        rejects: list[events.Reject] = []
        for raw, kind in zip(raws, rows["kind"].to_pylist(), strict=True):
            found, refused = events.identify([raw], kind or "api")
            arrivals += found
            rejects += refused
        return arrivals, rejects

    def compare(self, rows: pa.Table, recomputed: pa.Table) -> None:
        for name in recomputed.column_names:
            held, made = rows[name], recomputed[name]
            if held.equals(made):
                continue
            pairs = zip(held.to_pylist(), made.to_pylist(), strict=True)
            index = next((index for index, (one, other) in enumerate(pairs) if one != other), 0)
            identifier = rows[self.table.order[-1]][index].as_py()
            self.fault(
                f"column {name}",
                f"column {name} does not agree with raw in row {self.rows + index + 1}, {identifier}",
            )

    def check_places(self, raws: list[bytes]) -> None:
        """Compare the Organization, and the region, that events name with the file's path.

        Events are kept where they were read, whatever they say of themselves: that they differ is worth a note.
        """
        organization_id = self.file.partition.get("organization_id")
        region = self.file.partition.get("region", "")
        for raw in raws:
            try:
                place = _place_decoder.decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            if place.organization_id and place.organization_id != organization_id:
                self.strangers += 1
            if place.locality and not place.locality.startswith(region):
                self.elsewhere += 1

    def finish(self) -> None:
        """Compare the file as a whole with the ledger's record of it and with its path."""
        record = self.file.record
        if self.rows != record.rows:
            self.fault("rows", f"row count is {self.rows}, the ledger says {record.rows}")
        if "null" in self.faults or self.first is None or self.last is None:
            return
        for name, found, said in (("first", self.first, record.first), ("last", self.last, record.last)):
            if format_time(found) != said:
                self.fault(name, f"its {name} row is of {format_time(found)}, the ledger says {said}")
        month = self.file.partition.get("month")
        if "month" in self.table.partitions and {month_of(self.first), month_of(self.last)} != {month}:
            self.fault("month", f"it holds rows outside its month, {month}")
        digest = self.digests.hexdigest() if "raw" in self.table.arrow_schema.names else None
        if digest != record.events_digest:
            self.fault("digest", "the digest of its events does not match")


def _widen(extents: dict[str, tuple[Any, Any]], rows: pa.Table) -> None:
    """Take the least and the greatest value of each plain column into account."""
    for column in rows.schema:
        if pa.types.is_nested(column.type):
            continue
        extent = pc.min_max(rows[column.name])
        low, high = extent["min"].as_py(), extent["max"].as_py()
        if low is not None:
            known = extents.get(column.name, (low, high))
            extents[column.name] = (min(known[0], low), max(known[1], high))


def _sortable(column: pa.ChunkedArray) -> list[Any]:
    """A column's values as they sort; times as whole numbers, which are made faster."""
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
