"""What a run sets out to read of a stream, from what is covered, what is asked, and the API's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.coverage import StreamCoverage, is_beginning, readable_from
from trailkeep.errors import UsageError
from trailkeep.streams import GLOBAL, Stream, streams_of
from trailkeep.timespan import Span, format_time, span_or_none, subtract, union

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.streams import Kind

EDGE_WINDOW = timedelta(hours=1)
"""The oldest part of what is readable is read as a window of its own. Events leave it while it is read, and if the
API's page tokens count events, one is skipped for each that leaves: it is read by time where they could. From other
windows none leaves within the first hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asks of a run."""

    organization_id: str
    kinds: tuple[Kind, ...]
    regions: tuple[str, ...]
    overlap: timedelta
    since: datetime | timedelta | None = None
    """None reads everything that the API still has and the archive has not; an age counts back from the API's now."""
    until: datetime | timedelta | None = None
    """None reads up to the API's now."""
    again: bool = False
    """Read also what is covered already, to find events that had been missing and events that changed."""
    named_regions: frozenset[str] = frozenset()
    """Regions asked for by name: one that is not offered is an error."""
    named_kinds: frozenset[Kind] = frozenset()
    """Kinds asked for by name: IAM's log then must be there, and readable."""

    @property
    def streams(self) -> list[Stream]:
        """The streams asked for, region by region; IAM's log, which is of no region, comes last."""
        return streams_of(self.organization_id, self.kinds, self.regions)

    def is_named(self, stream: Stream) -> bool:
        """Whether the stream was asked for by name."""
        return stream.kind in self.named_kinds if stream.region == GLOBAL else stream.region in self.named_regions


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What is to be read of one stream."""

    stream: Stream
    asked: Span | None
    """The span the run answers for; None where nothing of it can be read any more."""
    read: tuple[Span, ...]
    """What is read: what is asked and not covered, with the overlap before it; or all that is asked, covered or not."""
    beyond: tuple[Span, ...] = ()
    """What is asked for by name although it lies behind the API's retention: whatever the API still sends of it is
    kept, and none of it is claimed."""
    unreadable: tuple[Span, ...]
    """What fell behind the API's retention unread, and is not recorded as lost yet."""


def cut(span: Span, moment: datetime) -> list[Span]:
    """The parts of `span` before and from `moment` on."""
    parts = (span_or_none(span.start, min(span.end, moment)), span_or_none(max(span.start, moment), span.end))
    return [part for part in parts if part is not None]


def check_order(request: Request, now: datetime) -> None:
    """Raise UsageError for a span that holds no moment; ages count back from `now`."""
    since, until = _moment(request.since, now), _moment(request.until, now)
    if since is not None and until is not None and since >= until:
        raise UsageError(
            f"--since {format_time(since)} is not before --until {format_time(until)}",
            hint="A span runs from --since up to, but not including, --until.",
        )


def check_not_future(request: Request, now: datetime) -> None:
    """Raise UsageError for a span that starts or ends after `now`, the API's clock."""
    for name, moment in (("--since", _moment(request.since, now)), ("--until", _moment(request.until, now))):
        if moment is not None and moment > now:
            raise UsageError(
                f"{name} {format_time(moment)} is in the future", hint="Times are UTC; leave the option out for now."
            )


def plan_stream(stream: Stream, known: StreamCoverage | None, request: Request, now: datetime) -> StreamPlan:
    """Decide what to read of `stream`; `now` is the API's clock."""
    edge = readable_from(now)
    lost = tuple(_lost(known, edge)) if known else ()
    since, until = _moment(request.since, now), _moment(request.until, now)
    asked = span_or_none(max(since or edge, edge), min(until or now, now))
    covered, purged = (known.covered, known.purged) if known else ((), ())
    old = span_or_none(since or edge, min(until or now, edge))
    # What was deleted on purpose must not come back by being read again.
    beyond = tuple(subtract([old], purged)) if old else ()
    if asked is None:
        return StreamPlan(stream=stream, asked=None, read=(), beyond=beyond, unreadable=lost)
    if request.again:
        read = [asked]
    else:
        holes = subtract([asked], [*covered, *purged])
        read = union(Span(_with_overlap(hole.start, covered, request.overlap, edge), hole.end) for hole in holes)
    return StreamPlan(stream=stream, asked=asked, read=tuple(subtract(read, purged)), beyond=beyond, unreadable=lost)


def _lost(known: StreamCoverage, edge: datetime) -> list[Span]:
    """What lies behind `edge` unread, be it a gap or all since the last run, and is not recorded as lost yet."""
    hull = union([*known.covered, *known.asked, *known.purged])
    if not hull:
        return []
    missing = [gap.span for gap in known.gaps]
    if hull[-1].end < edge:
        missing.append(Span(hull[-1].end, edge))
    behind = [span_or_none(span.start, min(span.end, edge)) for span in missing]
    lost = subtract([span for span in behind if span is not None], known.recorded_unreadable)
    return [span for span in lost if not is_beginning(span, hull[0].start, known.covered)]


def _moment(asked: datetime | timedelta | None, now: datetime) -> datetime | None:
    return now - asked if isinstance(asked, timedelta) else asked


def _with_overlap(start: datetime, covered: tuple[Span, ...], overlap: timedelta, edge: datetime) -> datetime:
    """Where to begin reading a hole: after what was read, earlier by the overlap, since events appear late."""
    for span in covered:
        if span.end == start:
            return max(start - overlap, span.start, edge)
    return start
