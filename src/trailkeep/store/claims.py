"""What the ledger's entries claim of one stream, folded: a few spans, however many entries there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from trailkeep.timespan import Span, add_span, parse_moment

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.seal import CoverageRecord, Entry, StreamRecord

# An entry names the same moments again for every stream, and its check has read them before the fold does.
moment_of = lru_cache(maxsize=1024)(parse_moment)
"""`parse_moment`, which remembers the last ones."""


@dataclass(slots=True, kw_only=True)
class Claims:
    """All that the entries say about one stream; spans are in ascending order, without touching neighbours."""

    covered: list[Span] = field(default_factory=list)
    """What was read in full, be it purged since or not."""
    asked: list[Span] = field(default_factory=list)
    """What runs before `run` set out to read."""
    run: str | None = None
    """The run that asked for something of the stream last."""
    run_asked: Span | None = None
    """What that run set out to read, as its newest entry says: the retention moves on while it goes on."""
    purged: list[Span] = field(default_factory=list)
    unreadable: list[Span] = field(default_factory=list)
    """What was recorded as lost."""
    known_from: datetime | None = None
    """The first moment of anything that was covered, asked for or lost."""
    not_offered_since: str | None = None
    denied_since: str | None = None
    last_read_at: str | None = None

    def cover(self, claim: CoverageRecord, entry: Entry) -> None:
        """Take in that a span was read in full."""
        add_span(self.covered, self._known(span_of(claim)))
        self.last_read_at = entry.finished_at
        self.not_offered_since = self.denied_since = None

    def lose(self, lost: CoverageRecord) -> None:
        """Take in that a span can be read no more."""
        add_span(self.unreadable, self._known(span_of(lost)))

    def purge(self, purged: CoverageRecord) -> None:
        """Take in that a span's rows were deleted on purpose."""
        add_span(self.purged, span_of(purged))

    def ask(self, record: StreamRecord, entry: Entry) -> None:
        """Take in what a run set out to read of the stream, and what came of it."""
        if record.outcome in ("not_offered", "denied"):
            self.not_offered_since = entry.finished_at if record.outcome == "not_offered" else None
            self.denied_since = entry.finished_at if record.outcome == "denied" else None
        if entry.run != self.run:
            if self.run_asked is not None:
                add_span(self.asked, self.run_asked)
            self.run = entry.run
        self.run_asked = None
        if record.start and record.end:
            self.run_asked = self._known(Span(moment_of(record.start), moment_of(record.end)))

    def _known(self, span: Span) -> Span:
        if self.known_from is None or span.start < self.known_from:
            self.known_from = span.start
        return span


def span_of(record: CoverageRecord) -> Span:
    """The span that a record names. Raises ValueError for none."""
    return Span(moment_of(record.start), moment_of(record.end))
