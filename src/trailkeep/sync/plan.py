"""What a run sets out to read of a stream, from what is covered, what is asked, and the API's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.coverage import RETENTION, GapReason, StreamCoverage
from trailkeep.errors import UsageError
from trailkeep.streams import Stream
from trailkeep.timespan import Span, format_time, span_or_none, subtract, union

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.streams import Kind

EDGE_MARGIN = timedelta(seconds=1)
"""The API's clock is known to the second: what is asked for lies this far inside its retention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asks of a run."""

    organization_id: str
    kinds: tuple[Kind, ...]
    regions: tuple[str, ...]
    overlap: timedelta
    since: datetime | None = None
    """None reads everything that the API still has and the archive has not."""
    until: datetime | None = None
    """None reads up to the API's now."""
    named_regions: frozenset[str] = frozenset()
    """Regions asked for by name: one that is not offered is an error."""

    @property
    def streams(self) -> list[Stream]:
        """The streams asked for, region by region."""
        return [
            Stream(organization_id=self.organization_id, kind=kind, region=region)
            for region in self.regions
            for kind in self.kinds
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What is to be read of one stream."""

    stream: Stream
    asked: Span | None
    """The span the run answers for; None where nothing of it can be read any more."""
    read: tuple[Span, ...]
    """What is read: what is asked and not covered, and before it the overlap. May be empty."""
    unreadable: tuple[Span, ...]
    """What fell behind the API's retention unread, and is not recorded as lost yet."""


def readable_from(now: datetime) -> datetime:
    """The first moment that the API can be asked about, `now` being its own clock."""
    return now - RETENTION + EDGE_MARGIN


def check_order(request: Request) -> None:
    """Raise UsageError for a span that holds no moment."""
    if request.since is not None and request.until is not None and request.since >= request.until:
        raise UsageError(
            f"--since {format_time(request.since)} is not before --until {format_time(request.until)}",
            hint="A span runs from --since up to, but not including, --until.",
        )


def check_not_future(request: Request, now: datetime) -> None:
    """Raise UsageError for a span that starts or ends after `now`, the API's clock."""
    for name, moment in (("--since", request.since), ("--until", request.until)):
        if moment is not None and moment > now:
            raise UsageError(
                f"{name} {format_time(moment)} is in the future", hint="Times are UTC; leave the option out for now."
            )


def plan_stream(stream: Stream, known: StreamCoverage | None, request: Request, now: datetime) -> StreamPlan:
    """Decide what to read of `stream`; `now` is the API's clock."""
    edge = readable_from(now)
    asked = span_or_none(max(request.since or edge, edge), min(request.until or now, now))
    if asked is None:
        return StreamPlan(stream=stream, asked=None, read=(), unreadable=())
    covered = known.covered if known else ()
    read = union(
        Span(_with_overlap(hole.start, covered, request.overlap, edge), hole.end) for hole in subtract([asked], covered)
    )
    lost = [gap.span for gap in known.gaps if gap.reason is GapReason.UNREADABLE] if known else []
    return StreamPlan(
        stream=stream,
        asked=asked,
        read=tuple(read),
        unreadable=tuple(subtract(lost, known.recorded_unreadable if known else ())),
    )


def _with_overlap(start: datetime, covered: tuple[Span, ...], overlap: timedelta, edge: datetime) -> datetime:
    """Where to begin reading a hole: where it follows what was read, earlier by the overlap, since events appear late."""
    for span in covered:
        if span.end == start:
            return max(start - overlap, span.start, edge)
    return start
