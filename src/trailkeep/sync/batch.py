"""What has been read and not committed yet, and how it becomes a commit without a row that is already held."""

from __future__ import annotations

import hashlib
import sys
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from trailkeep.events import Aside, Columns, complete, moments_to_arrow, raw_to_arrow, same_content, to_rows
from trailkeep.schema import EVENT_TABLES, QUARANTINE, REQUESTS, REVISIONS
from trailkeep.seal import CoverageRecord
from trailkeep.store import NewRows, read_segment
from trailkeep.store.segments import utc
from trailkeep.timespan import Span, format_time, month_of, union

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence
    from datetime import datetime

    from trailkeep.api import Page
    from trailkeep.events import Arrival, Reject
    from trailkeep.store import Archive, Ledger, LiveFile
    from trailkeep.streams import Kind, Stream
    from trailkeep.sync.report import StreamReport
    from trailkeep.sync.window import Piece, Window

_T = TypeVar("_T")

PART_EVENTS = 2_500
PART_BYTES = 4 * 1024 * 1024
"""So many events, or bytes of them, are read as rows in one go while the batch still fills."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of a batch's events, each the first version of its id, and their columns."""

    arrivals: list[Arrival]
    columns: Columns


@dataclass(slots=True)
class _StreamBatch:
    arrivals: dict[str, Arrival] = field(default_factory=dict)
    """The first version that arrived of each event, by id."""
    parts: list[_Part] = field(default_factory=list)
    """The same events, in the same order, as far as their columns are being read."""
    loose: list[Arrival] = field(default_factory=list)
    """Those that are in no part yet."""
    loose_bytes: int = 0
    others: list[Arrival] = field(default_factory=list)
    """Further versions with other content."""
    rejects: list[tuple[Reject, datetime]] = field(default_factory=list)
    claims: list[Span] = field(default_factory=list)
    repeated: int = 0
    """Events that came once more with the same content."""
    extents: dict[Window, Span] = field(default_factory=dict)
    """From the first to the last event of each window."""
    again: list[Arrival] = field(default_factory=list)
    """Events that a window sent no later than others which the run has committed: they may be the same ones."""

    def let_go(self) -> None:
        """Hold no event any more: their rows hold them twice as it is."""
        for part in self.parts:
            part.columns.forget()
        self.arrivals.clear()
        self.parts.clear()
        self.loose.clear()
        self.others.clear()
        self.again.clear()
        self.rejects.clear()


class Batch:
    """Collects pieces. Its memory is bounded by whoever commits it in time."""

    def __init__(self, run: str, first_seq: int, aside: Aside | None = None) -> None:
        self.run = run
        self._aside = aside or Aside(start_after=sys.maxsize)
        self.first_seq = first_seq
        """The first ledger entry of the run: files of earlier ones are looked through wherever windows touch them."""
        self.events = 0
        self.bytes = 0
        self._streams: dict[Stream, _StreamBatch] = defaultdict(_StreamBatch)
        self._pages: list[dict[str, Any]] = []

    @property
    def has_claims(self) -> bool:
        """Whether a commit of the batch would add to what is proven or kept."""
        return any(batch.claims or batch.arrivals or batch.rejects for batch in self._streams.values())

    def add(self, piece: Piece, report: StreamReport) -> None:
        """Take in what one page brought, and count it."""
        stream = piece.window.stream
        batch = self._streams[stream]
        self._take_in(batch, piece.arrivals)
        if len(batch.loose) >= PART_EVENTS or batch.loose_bytes >= PART_BYTES:
            raws = [arrival.raw for arrival in batch.loose]
            batch.parts.append(_Part(batch.loose, self._aside.columns(stream.kind, raws)))
            batch.loose, batch.loose_bytes = [], 0
        if piece.arrivals:
            batch.again += piece.window.may_be_committed(piece.arrivals)
            extent = _extent(piece.arrivals)
            known_extent = batch.extents.get(piece.window, extent)
            batch.extents[piece.window] = Span(min(extent.start, known_extent.start), max(extent.end, known_extent.end))
        batch.rejects += [(reject, piece.page.server_date or piece.page.received_at) for reject in piece.rejects]
        if piece.proven is not None:
            batch.claims.append(piece.proven)
        report.counters["fetched"] += len(piece.arrivals)
        report.counters["pages"] += 1
        self.events += len(piece.arrivals) + len(piece.rejects)
        self.bytes += piece.page.bytes
        self._pages.append(page_row(self.run, stream, piece.bounds, piece.number, piece.page))

    def _take_in(self, batch: _StreamBatch, arrivals: list[Arrival]) -> None:
        """Sort a page's events into first versions, repeated ones, and others of the same id."""
        page = {arrival.id: arrival for arrival in arrivals}
        if len(page) < len(arrivals) or not batch.arrivals.keys().isdisjoint(page):
            page = {}
            for arrival in arrivals:
                first = batch.arrivals.get(arrival.id) or page.setdefault(arrival.id, arrival)
                if first is arrival:
                    continue
                versions = (first, *(each for each in batch.others if each.id == arrival.id))
                if any(same_content(known.raw, arrival.raw) for known in versions):
                    batch.repeated += 1
                else:
                    batch.others.append(arrival)
        batch.arrivals.update(page)
        batch.loose += page.values()
        batch.loose_bytes += sum(len(arrival.raw) for arrival in page.values())

    def note_page(self, row: dict[str, Any]) -> None:
        """Put a page into the acquisition log that belongs to no window."""
        self._pages.append(row)

    def claims(self) -> dict[Stream, list[Span]]:
        """What the batch proves to have been read, by stream."""
        return {stream: union(batch.claims) for stream, batch in self._streams.items() if batch.claims}

    def coverage(self) -> list[CoverageRecord]:
        """The claims as the ledger records them."""
        return [record_span(stream, span) for stream, spans in sorted(self.claims().items()) for span in spans]

    def note_committed(self) -> None:
        """Let the windows remember what of theirs is committed: the same events may be sent again."""
        for batch in self._streams.values():
            for window, extent in batch.extents.items():
                window.note_committed(extent.end)

    def rows(
        self,
        archive: Archive,
        ledger: Ledger,
        report_of: Callable[[Stream], StreamReport],
        covered_before: Callable[[Stream], Sequence[Span]],
    ) -> list[NewRows]:
        """The rows that the archive does not hold yet, by table and partition; counts what it does hold. Asked once.

        `covered_before` tells what earlier runs had covered of a stream, in ascending order.
        """
        rows: list[NewRows] = []
        for stream, batch in sorted(self._streams.items()):
            known = _Known(archive, ledger, stream, self.first_seq)
            counters = report_of(stream).counters
            new, revised = known.sort_out(batch)
            counters["new"] += len(new)
            counters["revised"] += len(revised)
            counters["late"] += _count_inside(new, covered_before(stream))
            counters["duplicate"] += batch.repeated + len(batch.arrivals) + len(batch.others) - len(new) - len(revised)
            last = Columns(stream.kind, [arrival.raw for arrival in batch.loose])
            rows += _event_rows(stream, [*batch.parts, _Part(batch.loose, last)], new)
            rows += _revision_rows(stream, revised)
            rejects = known.unknown_rejects(batch.rejects)
            counters["quarantined"] += len(rejects)
            rows += _quarantine_rows(stream, rejects)
            batch.let_go()
        return [*rows, *_request_rows(self._pages)]


class _Known:
    """What the archive holds of a stream in the time that a batch touches."""

    def __init__(self, archive: Archive, ledger: Ledger, stream: Stream, first_seq: int) -> None:
        self._archive = archive
        self._ledger = ledger
        self._stream = stream
        self._first_seq = first_seq

    def sort_out(self, batch: _StreamBatch) -> tuple[list[Arrival], list[Arrival]]:
        """The arrivals that are new, and those that are a new revision of a held event; known ones are in neither."""
        arrivals = [*batch.arrivals.values(), *batch.others]
        held = self._versions(batch)
        if not held and not batch.others:
            return arrivals, []
        new: list[Arrival] = []
        revised: list[Arrival] = []
        for arrival in sorted(arrivals, key=lambda each: (each.recorded_at, each.id)):
            versions = held.setdefault(arrival.id, [])
            if any(same_content(version, arrival.raw) for version in versions):
                continue
            (revised if versions else new).append(arrival)
            versions.append(arrival.raw)
        return new, revised

    def unknown_rejects(self, rejects: list[tuple[Reject, datetime]]) -> list[tuple[Reject, datetime]]:
        """The rejects whose bytes are not in quarantine yet, each once."""
        if not rejects:
            return []
        known: set[str] = set()
        for file in self._files(QUARANTINE.name):
            rows = read_segment(self._archive.locate(file), ["kind", "sha256"])
            known |= {row["sha256"] for row in rows.to_pylist() if row["kind"] == self._stream.kind}
        found: list[tuple[Reject, datetime]] = []
        for reject, received_at in rejects:
            digest = hashlib.sha256(reject.raw).hexdigest()
            if digest not in known:
                known.add(digest)
                found.append((reject, received_at))
        return found

    def _files(self, table: str, span: Span | None = None) -> Iterator[LiveFile]:
        stream = self._stream
        return self._ledger.files(table, span, organization_id=stream.organization_id, region=stream.region)

    def _versions(self, batch: _StreamBatch) -> dict[str, list[bytes]]:
        """Every held version of the batch's events: the one in the events' table first, then its revisions."""
        versions: dict[str, list[bytes]] = {}
        again = [_extent(batch.again)] if batch.again else []
        for table in (EVENT_TABLES[self._stream.kind], REVISIONS):
            columns = ["id", "raw"] if table is not REVISIONS else ["id", "raw", "kind"]
            for span in union(batch.extents.values()):
                for file in self._files(table.name, span):
                    if file.seq < self._first_seq:
                        self._collect(versions, file, columns, span, batch.arrivals)
            # What this run has committed itself can only come again where a window went back in time.
            for span in again:
                for file in self._files(table.name, span):
                    if file.seq >= self._first_seq:
                        self._collect(versions, file, columns, span, batch.arrivals)
        return versions

    def _collect(
        self,
        versions: dict[str, list[bytes]],
        file: LiveFile,
        columns: list[str],
        span: Span,
        ids: Container[str],
    ) -> None:
        for some in read_segment(self._archive.locate(file), columns, span).to_batches(max_chunksize=10_000):
            wanted = [index for index, each in enumerate(some["id"].to_pylist()) if each in ids]
            for row in some.take(pa.array(wanted, pa.int32())).to_pylist():
                if row.get("kind", self._stream.kind) == self._stream.kind:
                    versions.setdefault(row["id"], []).append(row["raw"].encode())


def _count_inside(arrivals: list[Arrival], spans: Sequence[Span]) -> int:
    """How many of the arrivals lie in one of the spans, which are in order and do not touch."""
    if not spans:
        return 0
    starts = [span.start for span in spans]
    found = 0
    for arrival in arrivals:
        index = bisect_right(starts, arrival.recorded_at) - 1
        found += index >= 0 and arrival.recorded_at < spans[index].end
    return found


def _extent(arrivals: list[Arrival]) -> Span:
    times = [arrival.recorded_at for arrival in arrivals]
    return Span(min(times), max(times) + timedelta(microseconds=1))


def record_span(stream: Stream, span: Span) -> CoverageRecord:
    """A span of a stream as the ledger records it."""
    return CoverageRecord(
        organization_id=stream.organization_id,
        kind=stream.kind,
        region=stream.region,
        start=format_time(span.start),
        end=format_time(span.end),
    )


def _event_rows(stream: Stream, parts: list[_Part], new: list[Arrival]) -> list[NewRows]:
    """The rows of the arrivals that are new: nearly always all those of all parts, and no others."""
    table = EVENT_TABLES[stream.kind]
    if not new:
        return []
    kept = set(map(id, new))
    wanted = [_Part([each for each in part.arrivals if id(each) in kept], part.columns) for part in parts]
    for part in reversed(wanted):
        # While the first parts are read aside, this thread reads the last.
        if part.arrivals and not part.columns.read_here():
            break
    found = [
        _rows_of(stream.kind, part, some.arrivals) for part, some in zip(parts, wanted, strict=True) if some.arrivals
    ]
    others = kept.difference(id(each) for part in wanted for each in part.arrivals)
    if others:
        found.append(to_rows(stream.kind, [each for each in new if id(each) in others]))
    rows = pa.concat_tables(found).combine_chunks()
    return [NewRows(table=table, partition=_partition(stream, month), rows=some) for month, some in _months(rows)]


def _rows_of(kind: Kind, part: _Part, wanted: list[Arrival]) -> pa.Table:
    """The rows of those of a part's events that are wanted."""
    rows = pa.Table.from_batches([complete(kind, part.arrivals, part.columns.result())])
    if len(wanted) == len(part.arrivals):
        return rows
    kept = set(map(id, wanted))
    return rows.filter(pa.array([id(each) in kept for each in part.arrivals], pa.bool_()))


def _months(rows: pa.Table) -> list[tuple[str, pa.Table]]:
    """The rows by the month that they were recorded in."""
    extent = pc.min_max(rows["recorded_at"])
    first, last = utc(extent["min"]), utc(extent["max"])
    if (first.year, first.month) == (last.year, last.month):
        return [(month_of(first), rows)]
    months = pc.add(pc.multiply(pc.year(rows["recorded_at"]), 12), pc.month(rows["recorded_at"]))
    parts = [rows.filter(pc.equal(months, month)) for month in pc.unique(months)]
    return sorted(((month_of(utc(part["recorded_at"][0])), part) for part in parts), key=itemgetter(0))


def _revision_rows(stream: Stream, arrivals: list[Arrival]) -> list[NewRows]:
    return [
        NewRows(
            table=REVISIONS,
            partition=_partition(stream, month),
            rows=pa.table(
                {
                    "kind": pa.array([stream.kind] * len(some), pa.string()),
                    "id": pa.array([each.id for each in some], pa.string()),
                    "recorded_at": moments_to_arrow(each.recorded_at for each in some),
                    "raw": raw_to_arrow([each.raw for each in some]),
                }
            ),
        )
        for month, some in _by_month(arrivals, lambda arrival: arrival.recorded_at)
    ]


def _quarantine_rows(stream: Stream, rejects: list[tuple[Reject, datetime]]) -> list[NewRows]:
    return [
        NewRows(
            table=QUARANTINE,
            partition=_partition(stream, month),
            rows=pa.table(
                {
                    "kind": pa.array([stream.kind] * len(some), pa.string()),
                    "received_at": moments_to_arrow(received_at for _reject, received_at in some),
                    "reason": pa.array([reject.reason for reject, _received_at in some], pa.string()),
                    "sha256": pa.array([hashlib.sha256(each.raw).hexdigest() for each, _at in some], pa.string()),
                    "raw": pa.array([reject.raw for reject, _received_at in some], pa.binary()),
                }
            ),
        )
        for month, some in _by_month(rejects, lambda pair: pair[1])
    ]


def _request_rows(pages: list[dict[str, Any]]) -> list[NewRows]:
    schema = pa.schema([field for field in REQUESTS.arrow_schema if field.name != "ledger_seq"])
    return [
        NewRows(table=REQUESTS, partition={"month": month}, rows=pa.Table.from_pylist(some, schema=schema))
        for month, some in _by_month(pages, lambda row: row["received_at"])
    ]


def page_row(run: str, stream: Stream, window: Span, number: int, page: Page) -> dict[str, Any]:
    """One row of the acquisition log."""
    return {
        "run": run,
        "organization_id": stream.organization_id,
        "kind": stream.kind,
        "region": stream.region,
        "window_start": window.start,
        "window_end": window.end,
        "page": number,
        "received_at": page.received_at,
        "status": page.status,
        "request_id": page.request_id,
        "server_date": page.server_date,
        "bytes": page.bytes,
        "sha256": page.sha256,
        "events": len(page.events),
        "attempts": page.attempts,
    }


def _by_month(items: Iterable[_T], moment: Callable[[_T], datetime]) -> list[tuple[str, list[_T]]]:
    months: dict[tuple[int, int], list[_T]] = defaultdict(list)
    for item in items:
        at = moment(item)
        months[at.year, at.month].append(item)
    return [(month_of(moment(some[0])), some) for _month, some in sorted(months.items())]


def _partition(stream: Stream, month: str) -> dict[str, str]:
    return {"organization_id": stream.organization_id, "region": stream.region, "month": month}
