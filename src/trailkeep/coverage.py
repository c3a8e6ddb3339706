"""What the ledger proves to have been read of each stream, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from trailkeep.streams import EVENT_KINDS, RETENTION_DAYS, Stream, streams_of
from trailkeep.timespan import Span, intersect, parse_moment, span_or_none, subtract, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa

    from trailkeep.store import Ledger
    from trailkeep.store.claims import Claims

RETENTION = timedelta(days=RETENTION_DAYS)

BEGINNING = timedelta(hours=1)
"""So much of the oldest time may leave the retention while a first run goes on, or is repeated after a failure. The
stream's archive then begins that much later; nothing is called lost."""

EDGE_MARGIN = timedelta(seconds=1)
"""The API's clock is known to the second: what is asked for lies this far inside its retention."""

STALE = timedelta(hours=24)
"""How old the last sync may be before a question up to now is told that the newest events are missing."""


class GapReason(StrEnum):
    """Why a span is missing."""

    UNREAD = "unread"
    """It was to be read and was not; the API still has it."""
    UNREADABLE = "unreadable"
    """It fell behind the API's retention before it was read: nothing can bring it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A span that a run set out to read, or that lies between spans that were read, and that was never read."""

    span: Span
    reason: GapReason


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCoverage:
    """All that the ledger says about one stream."""

    stream: Stream
    covered: tuple[Span, ...]
    """What was read in full, in ascending order, without touching neighbours."""
    asked: tuple[Span, ...]
    """What runs set out to read."""
    gaps: tuple[Gap, ...]
    edge: datetime | None = None
    """The first moment that the API still has, when this was told."""
    purged: tuple[Span, ...] = ()
    """What was deleted on purpose: neither covered nor a gap, and never to be read again."""
    recorded_unreadable: tuple[Span, ...]
    """What entries have recorded as lost."""
    not_offered_since: str | None
    """When the region last answered that it has no such stream, if that was its last answer."""
    denied_since: str | None = None
    """When the API last answered that the key may not read the stream, if that was its last answer."""
    last_read_at: str | None
    """When an entry last added coverage."""

    @property
    def last_answer(self) -> str | None:
        """When the API last answered that there is nothing to be read, be it not offered or denied."""
        return self.not_offered_since or self.denied_since

    @property
    def end(self) -> datetime | None:
        """The moment up to which the stream was read, wherever gaps lie before it."""
        return self.covered[-1].end if self.covered else None

    def oldest_unread(self) -> datetime | None:
        """The first moment that is still to be read: the first readable gap's, or else the covered end.

        Never one that has fallen behind the API's retention: nothing can read that any more.
        """
        readable = [gap.span.start for gap in self.gaps if gap.reason is GapReason.UNREAD]
        first = min(readable) if readable else self.end
        return max(first, self.edge) if first and self.edge else first


def readable_from(now: datetime) -> datetime:
    """The first moment that the API can be asked about, `now` being its own clock."""
    return now - RETENTION + EDGE_MARGIN


def stream_coverage(ledger: Ledger, now: datetime) -> list[StreamCoverage]:
    """The coverage of every stream that the ledger knows, in order. `now` decides what is still readable."""
    return [_coverage_of(stream, ledger.streams[stream], now) for stream in sorted(ledger.streams)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A part of an asked span that a stream does not cover."""

    stream: Stream | None
    """None where nothing of any stream was ever read."""
    span: Span
    reason: str
    """In words that follow "it was": why an answer over the span may be incomplete."""

    def __str__(self) -> str:
        return f"{self.stream or 'every stream'}: {self.span} is not in the archive: it was {self.reason}"


OF_EVENTS = frozenset(
    "api_events authentication_events system_events events event_resources logins grants creations first_seen "
    "revisions principals principal_history resources_seen".split()
)
OF_LOGS = frozenset({"iam_logs"})
"""The tables whose rows are missing where a stream of the trail, or IAM's log, was not read."""


def missing_for(
    tables: frozenset[str] | None, ledger: Ledger, asked: Span | None, now: datetime, *, open_ended: bool
) -> list[Missing]:
    """Where an answer that reads `tables` may be incomplete; None stands for tables that are not known."""
    found: list[Missing] = []
    if tables is None or tables & OF_EVENTS:
        found += missing_in(ledger, asked, now, open_ended=open_ended)
    if tables is not None and tables & OF_LOGS:
        found += missing_logs_in(ledger, asked, now, open_ended=open_ended)
    return found


def missing_in(ledger: Ledger, asked: Span | None, now: datetime, *, open_ended: bool) -> list[Missing]:
    """Where an answer over the events of `asked` may be incomplete, by stream; None asks over all that was ever read.

    With `open_ended` the span ends at the query's now, not at a moment that somebody named: then the time since the
    last sync counts only when that was more than `STALE` ago.
    """
    streams = [each for each in stream_coverage(ledger, now) if each.stream.kind in EVENT_KINDS]
    if not any(each.covered or each.purged for each in streams):
        return [Missing(stream=None, span=asked or Span(now - RETENTION, now), reason="never read")]
    return [missing for each in streams for missing in _missing_of(each, asked, now, open_ended=open_ended)]


def missing_logs_in(ledger: Ledger, asked: Span | None, now: datetime, *, open_ended: bool) -> list[Missing]:
    """Where an answer over the records of IAM's log may be incomplete, like `missing_in`.

    An archive that was never told to read it, or with a key that may not, lacks it all.
    """
    known = {each.stream: each for each in stream_coverage(ledger, now) if each.stream.kind == "iam"}
    logs = {log for organization_id in ledger.organizations for log in streams_of(organization_id, ["iam"], [])}
    span = asked or Span(now - RETENTION, now)
    if not (logs or known):
        return [Missing(stream=None, span=span, reason="never read")]
    found: list[Missing] = []
    for log in sorted(logs | set(known)):
        coverage = known.get(log)
        if coverage is not None:
            found += _missing_of(coverage, asked, now, open_ended=open_ended)
        if coverage is None or not (coverage.covered or coverage.purged or coverage.gaps or coverage.last_answer):
            found.append(Missing(stream=log, span=span, reason="never read"))
    return found


def _missing_of(known: StreamCoverage, asked: Span | None, now: datetime, *, open_ended: bool) -> Iterator[Missing]:
    """The parts of `asked` that one stream lacks."""
    if not known.covered and known.not_offered_since:
        return
    if not known.covered and not known.purged and known.denied_since:
        whole = asked or Span(now - RETENTION, now)
        yield Missing(stream=known.stream, span=whole, reason="never read, since the key may not")
        return
    held = union([*known.covered, *known.purged])
    first, last = (held[0].start, held[-1].end) if held else (None, None)
    reasons = {gap.span: "never read" if gap.reason is GapReason.UNREAD else "lost" for gap in known.gaps}
    if asked is not None and first is not None and last is not None:
        if head := span_or_none(asked.start, min(first, asked.end, *(gap.start for gap in reasons))):
            reasons[head] = "before the archive begins"
        tail = span_or_none(max(last, asked.start), asked.end)
        if tail and not (open_ended and tail.length <= STALE):
            reasons[tail] = "not read yet"
        reasons |= dict.fromkeys(known.purged, "purged")
    for span, reason in sorted(reasons.items()):
        part = span if asked is None else span.intersection(asked)
        if part is not None:
            yield Missing(stream=known.stream, span=part, reason=reason)


def coverage_tables(ledger: Ledger, now: datetime) -> dict[str, pa.Table]:
    """The tables ``coverage`` and ``gaps`` (spans by stream, half-open, UTC) and ``streams`` (one row for each)."""
    streams = stream_coverage(ledger, now)
    covered = [(each.stream, span) for each in streams for span in each.covered]
    gaps = [(each.stream, gap) for each in streams for gap in each.gaps]
    return {
        "coverage": _table(covered),
        "gaps": _table([(stream, gap.span) for stream, gap in gaps], [str(gap.reason) for _stream, gap in gaps]),
        "streams": _stream_table(streams),
    }


def is_beginning(lost: Span, asked_from: datetime, covered: Sequence[Span]) -> bool:
    """Whether a lost span only makes the archive of its stream begin a little later than was first asked for."""
    return lost.end - asked_from < BEGINNING and (not covered or lost.end <= covered[0].start)


def _coverage_of(stream: Stream, claims: Claims, now: datetime) -> StreamCoverage:
    covered, purged = subtract(claims.covered, claims.purged), claims.purged
    asked = union([*claims.asked, claims.run_asked] if claims.run_asked is not None else claims.asked)
    hull = union([*covered, *asked])
    edge = readable_from(now)
    # A stream that nobody reads any more goes on losing what falls behind the edge.
    extent = [Span(hull[0].start, max(hull[-1].end, edge))] if hull else []
    missing = subtract(extent, [*covered, *purged])
    # What a run recorded as lost stays lost, and what is behind the edge now is lost, recorded or not.
    lost = [*claims.unreadable, *(Span(gap.start, edge) for gap in missing if gap.start < edge)]
    unreadable = [span for span in intersect(missing, lost) if not is_beginning(span, hull[0].start, covered)]
    gaps = [
        *(Gap(span=span, reason=GapReason.UNREADABLE) for span in unreadable),
        *(Gap(span=span, reason=GapReason.UNREAD) for span in subtract(missing, lost)),
    ]
    return StreamCoverage(
        stream=stream,
        covered=tuple(covered),
        asked=tuple(asked),
        gaps=tuple(sorted(gaps, key=lambda gap: gap.span)),
        purged=tuple(purged),
        edge=edge,
        recorded_unreadable=tuple(claims.unreadable),
        not_offered_since=claims.not_offered_since,
        denied_since=claims.denied_since,
        last_read_at=claims.last_read_at,
    )


def _stream_table(streams: list[StreamCoverage]) -> pa.Table:
    import pyarrow as pa

    from trailkeep.schema import TIMESTAMP

    def moments(texts: Iterable[str | None]) -> pa.Array:
        return pa.array([_moment_or_none(text) for text in texts], TIMESTAMP)

    return pa.table(
        {
            "organization_id": pa.array([each.stream.organization_id for each in streams], pa.string()),
            "kind": pa.array([each.stream.kind for each in streams], pa.string()),
            "region": pa.array([each.stream.region for each in streams], pa.string()),
            "last_read_at": moments(each.last_read_at for each in streams),
            "not_offered_at": moments(each.not_offered_since for each in streams),
        }
    )


def _moment_or_none(text: str | None) -> datetime | None:
    """A ledger may come from a stranger: a time that is none must not end a query."""
    try:
        return parse_moment(text or "")
    except ValueError:
        return None


def _table(spans: Iterable[tuple[Stream, Span]], reasons: list[str] | None = None) -> pa.Table:
    import pyarrow as pa

    from trailkeep.schema import TIMESTAMP

    rows = list(spans)
    columns: dict[str, pa.Array] = {
        "organization_id": pa.array([stream.organization_id for stream, _span in rows], pa.string()),
        "kind": pa.array([stream.kind for stream, _span in rows], pa.string()),
        "region": pa.array([stream.region for stream, _span in rows], pa.string()),
        "start_at": pa.array([span.start.replace(tzinfo=None) for _stream, span in rows], TIMESTAMP),
        "end_at": pa.array([span.end.replace(tzinfo=None) for _stream, span in rows], TIMESTAMP),
    }
    if reasons is not None:
        columns["reason"] = pa.array(reasons, pa.string())
    return pa.table(columns)
