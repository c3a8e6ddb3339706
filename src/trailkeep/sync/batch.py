"""What has been read and not committed yet, and how it becomes a commit without a row that is already held."""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from trailkeep.events import Aside, Columns, complete, moments_to_arrow, raw_to_arrow, same_content, to_rows
from trailkeep.schema import EVENT_TABLES, QUARANTINE, REQUESTS, REVISIONS
from trailkeep.seal import CoverageRecord
from trailkeep.store import NewRows, read_segment
from trailkeep.store.segments import held_versions, is_inside, utc
from trailkeep.sync.taken import Part, Taken
from trailkeep.timespan import Span, format_time, month_of, union

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence
    from datetime import datetime

    from trailkeep.api import Page
    from trailkeep.events import Arrival, Reject
    from trailkeep.store import Archive, Ledger, LiveFile
    from trailkeep.streams import Kind, Stream
    from trailkeep.sync.report import StreamReport
    from trailkeep.sync.window import Piece

_T = TypeVar("_T")


class Batch:
    """Collects pieces. Its memory is bounded by whoever commits it in time."""

    def __init__(self, run: str, first_seq: int, aside: Aside | None = None) -> None:
        self.run = run
        self._aside = aside or Aside(start_after=sys.maxsize)
        self.first_seq = first_seq
        """The first ledger entry of the run: files of earlier ones are looked through wherever windows touch them."""
        self.events = 0
        self.bytes = 0
        self._streams: dict[Stream, Taken] = defaultdict(Taken)
        self._pages: list[dict[str, Any]] = []

    @property
    def has_claims(self) -> bool:
        """Whether a commit of the batch would add to what is proven or kept."""
        return any(taken.claims or taken.places or taken.rejects for taken in self._streams.values())

    def add(self, piece: Piece, report: StreamReport) -> None:
        """Take in what one page brought, and count it."""
        stream = piece.window.stream
        taken = self._streams[stream]
        taken.take_in(piece.arrivals)
        if taken.is_full:
            taken.make_part(partial(self._aside.columns, stream.kind))
        if piece.arrivals:
            taken.note_extent(piece.window, piece.arrivals)
        taken.rejects += [(reject, piece.page.server_date or piece.page.received_at) for reject in piece.rejects]
        if piece.proven is not None:
            taken.claims.append(piece.proven)
        report.counters["fetched"] += len(piece.arrivals)
        report.counters["pages"] += 1
        self.events += len(piece.arrivals) + len(piece.rejects)
        self.bytes += piece.page.bytes
        self._pages.append(page_row(self.run, stream, piece.bounds, piece.number, piece.page))

    def note_page(self, row: dict[str, Any]) -> None:
        """Put a page into the acquisition log that belongs to no window."""
        self._pages.append(row)

    def claims(self) -> dict[Stream, list[Span]]:
        """What the batch proves to have been read, by stream."""
        return {stream: union(taken.claims) for stream, taken in self._streams.items() if taken.claims}

    def coverage(self) -> list[CoverageRecord]:
        """The claims as the ledger records them."""
        return [record_span(stream, span) for stream, spans in sorted(self.claims().items()) for span in spans]

    def note_committed(self) -> None:
        """Let the windows remember what of theirs is committed: the same events may be sent again."""
        for taken in self._streams.values():
            for window, extent in taken.extents.items():
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
        for stream, taken in sorted(self._streams.items()):
            known = _Known(archive, ledger, stream, self.first_seq)
            counters = report_of(stream).counters
            sorted_out = known.sort_out(taken)
            arrived = taken.repeated + len(taken.places) + len(taken.others)
            taken.make_part(partial(Columns, stream.kind))
            new = _event_rows(stream.kind, taken.parts, sorted_out)
            counters["new"] += new.num_rows
            counters["revised"] += len(sorted_out.revised)
            counters["late"] += _count_inside(new["recorded_at"], covered_before(stream))
            counters["duplicate"] += arrived - new.num_rows - len(sorted_out.revised)
            rows += _by_partition(stream, new)
            rows += _revision_rows(stream, sorted_out.revised)
            rejects = known.unknown_rejects(taken.rejects)
            counters["quarantined"] += len(rejects)
            rows += _quarantine_rows(stream, rejects)
            taken.let_go()
        return [*rows, *_request_rows(self._pages)]


@dataclass(frozen=True, slots=True)
class _SortedOut:
    """What of the taken events is not new: all first versions are but for some places, and some others are."""

    dropped: set[int] = field(default_factory=set)
    """The places of first versions that are no new events."""
    new: list[Arrival] = field(default_factory=list)
    """Of the others, those that are new events all the same."""
    revised: list[Arrival] = field(default_factory=list)
    """New revisions of events that are held or new."""


class _Known:
    """What the archive holds of a stream in the time that a batch touches."""

    def __init__(self, archive: Archive, ledger: Ledger, stream: Stream, first_seq: int) -> None:
        self._archive = archive
        self._ledger = ledger
        self._stream = stream
        self._first_seq = first_seq

    def sort_out(self, taken: Taken) -> _SortedOut:
        """Tell new events, new revisions of events, and those that are known already, which are neither."""
        held = self._versions(taken)
        found = _SortedOut()
        unclear = [*taken.arrivals(held.keys() | {each.id for each in taken.others}), *taken.others]
        first = len(unclear) - len(taken.others)
        for index, arrival in sorted(enumerate(unclear), key=lambda each: (each[1].recorded_at, each[1].id)):
            versions = held.setdefault(arrival.id, [])
            is_known = any(same_content(version, arrival.raw) for version in versions)
            is_new = not versions
            if index < first and not is_new:
                found.dropped.add(taken.places[arrival.id])
            if is_known:
                continue
            if not is_new:
                found.revised.append(arrival)
            elif index >= first:
                found.new.append(arrival)
            versions.append(arrival.raw)
        return found

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

    def _versions(self, taken: Taken) -> dict[str, list[bytes]]:
        """Every held version of the taken events: the one in the events' table first, then its revisions."""
        versions: dict[str, list[bytes]] = {}
        for table in (EVENT_TABLES[self._stream.kind], REVISIONS):
            for span in union(taken.extents.values()):
                for file in self._files(table.name, span):
                    if file.seq < self._first_seq:
                        self._collect(versions, file, span, taken.places)
            # What this run has committed itself can only come again where a window went back in time.
            if taken.again is not None:
                for file in self._files(table.name, taken.again):
                    if file.seq >= self._first_seq:
                        self._collect(versions, file, taken.again, taken.places)
        return versions

    def _collect(self, versions: dict[str, list[bytes]], file: LiveFile, span: Span, ids: Container[str]) -> None:
        kinds = {self._stream.kind} if file.table == REVISIONS.name else None
        for identifier, raw in held_versions(self._archive.locate(file), span, ids, kinds):
            versions.setdefault(identifier, []).append(raw)


def _count_inside(moments: pa.ChunkedArray, spans: Sequence[Span]) -> int:
    """How many of the moments lie in one of the spans, which are in order and do not touch."""
    if not spans or not len(moments):
        return 0
    extent = pc.min_max(moments)
    first, last = utc(extent["min"]), utc(extent["max"])
    found = 0
    for span in spans:
        if span.start <= last and span.end > first:
            found += pc.sum(is_inside(moments, span)).as_py()
    return found


def record_span(stream: Stream, span: Span) -> CoverageRecord:
    """A span of a stream as the ledger records it."""
    return CoverageRecord(
        organization_id=stream.organization_id,
        kind=stream.kind,
        region=stream.region,
        start=format_time(span.start),
        end=format_time(span.end),
    )


def _event_rows(kind: Kind, parts: list[Part], sorted_out: _SortedOut) -> pa.Table:
    """The rows of new events: nearly always all those of all parts, and no others."""
    wanted: list[tuple[Part, list[bool] | None]] = []
    for part in parts:
        places = range(part.first, part.first + len(part.raws))
        kept = None if sorted_out.dropped.isdisjoint(places) else [each not in sorted_out.dropped for each in places]
        if kept is None or any(kept):
            wanted.append((part, kept))
        else:
            part.columns.forget()
    for part, _kept in reversed(wanted):
        # While the first parts are read aside, this thread reads the last.
        if not part.columns.read_here():
            break
    found = [to_rows(kind, sorted_out.new)]
    for part, kept in wanted:
        rows = pa.Table.from_batches([complete(kind, part.identities, part.columns.result())])
        found.append(rows if kept is None else rows.filter(pa.array(kept, pa.bool_())))
    return pa.concat_tables(found)


def _by_partition(stream: Stream, rows: pa.Table) -> list[NewRows]:
    if not rows.num_rows:
        return []
    table = EVENT_TABLES[stream.kind]
    return [NewRows(table=table, partition=_partition(stream, month), rows=some) for month, some in _months(rows)]


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
