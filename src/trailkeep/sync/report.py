"""What a run did, stream by stream, for people and machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trailkeep.timespan import format_time, union

if TYPE_CHECKING:
    from datetime import timedelta

    from trailkeep.errors import TrailkeepError
    from trailkeep.store import Head
    from trailkeep.streams import Stream
    from trailkeep.timespan import Span

COUNTERS = ("fetched", "new", "duplicate", "revised", "late", "quarantined", "pages")
"""``late`` counts those of the new events that lie in what an earlier run had covered."""


@dataclass(slots=True, kw_only=True)
class StreamReport:
    """What a run asked of one stream and what came of it."""

    stream: Stream
    asked: Span | None = None
    outcome: str = "partial"
    """``read``, ``partial``, ``failed``, ``not_offered``, ``denied``, or ``nothing_to_read``."""
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    covered: list[Span] = field(default_factory=list)
    """What the run added to the coverage, the overlap included."""
    unreadable: tuple[Span, ...] = ()
    error: TrailkeepError | None = None
    status: int | None = None
    denied_before: bool = False
    """The API denied it already when it was last asked."""

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values; times are RFC 3339."""
        return {
            "organization_id": self.stream.organization_id,
            "kind": self.stream.kind,
            "region": self.stream.region,
            "outcome": self.outcome,
            "asked": span_as_json(self.asked) if self.asked else None,
            "covered": [span_as_json(span) for span in union(self.covered)],
            "unreadable": [span_as_json(span) for span in self.unreadable],
            "error": self.error.message if self.error else None,
            "status": self.status,
            **self.counters,
        }


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run did."""

    run: str
    streams: list[StreamReport]
    head: Head | None = None
    clock_offset: timedelta | None = None
    """The API's clock minus ours; None where it did not tell its time."""
    quarantine_files: list[str] = field(default_factory=list)
    interrupted: bool = False
    fatal: TrailkeepError | None = None
    """What ended the run for all streams."""

    @property
    def total(self) -> dict[str, int]:
        """The counters over all streams."""
        return {name: sum(each.counters[name] for each in self.streams) for name in COUNTERS}

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "run": self.run,
            "streams": [each.as_json() for each in self.streams],
            "total": self.total,
            "head": {"seq": self.head.seq, "sha256": self.head.sha256} if self.head else None,
            "clock_offset_seconds": None if self.clock_offset is None else round(self.clock_offset.total_seconds(), 3),
            "quarantine_files": self.quarantine_files,
            "interrupted": self.interrupted,
        }


def span_as_json(span: Span) -> dict[str, str]:
    """A half-open span as JSON values."""
    return {"from": format_time(span.start), "to": format_time(span.end)}
