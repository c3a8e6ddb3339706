"""A window of a stream while it is read, and what each of its pages brings."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.timespan import Span

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from trailkeep.api import Page
    from trailkeep.events import Arrival, Reject
    from trailkeep.streams import Stream


class Window:
    """A window being read. Its end may be lowered while it is read: the part cut off is read by another."""

    def __init__(self, stream: Stream, span: Span, *, beyond: bool = False) -> None:
        self.stream = stream
        self.beyond = beyond
        """It lies behind the API's retention: nothing is claimed of it, whatever comes."""
        self.planned_start = span.start
        self.start = span.start
        """Moves up where moments leave the API's retention before they are asked for, or may have left it long ago."""
        self.clock_end: datetime | None = None
        """The answering server's clock, where it had not reached the window's end."""
        self._end = span.end
        self.lock = threading.RLock()
        """Held while a page is accounted for, so that the end never moves under it and no event is in two windows."""
        self._committed_until: datetime | None = None
        self.proven = span.start
        """Everything before this moment has been read. Claimed only while the order of the pages can be trusted."""
        self.events = 0
        self.first_event: datetime | None = None
        """The time of the first event: before it, there may have been long silence."""
        self.ordered = True
        """No event has come out of order so far."""
        self.ascending = False
        """Events with growing times have been seen, so the API does sort as asked."""

    @property
    def end(self) -> datetime:
        """The moment after the last that this window is to read."""
        return self._end

    @property
    def left(self) -> timedelta:
        """How much of the window's time is still to be read."""
        return self._end - self.proven

    @property
    def trusted(self) -> bool:
        """Whether a page proves that everything before its last event has been read."""
        return self.ordered and self.ascending

    def note_committed(self, until: datetime) -> None:
        """Events of this window before `until` are in the archive, or are being committed."""
        self._committed_until = max(until, self._committed_until or until)

    def may_be_committed(self, arrivals: list[Arrival]) -> list[Arrival]:
        """Those of the window's events that may have been committed in this run already, by their times."""
        until = self._committed_until
        return [each for each in arrivals if each.recorded_at < until] if until is not None else []

    def lower_end(self, end: datetime) -> None:
        """Read only up to `end`; never raises the end again."""
        with self.lock:
            self._end = max(self.start, min(self._end, end))

    def split(self, shortest: timedelta) -> Window | None:
        """Cut off the later half of what is left, as a window of its own; None where that is not worth a request."""
        with self.lock:
            if not self.trusted or self.left < 2 * shortest:
                return None
            middle = self.proven + self.left / 2
            later = Window(self.stream, Span(middle, self._end), beyond=self.beyond)
            self._end = middle
            return later


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one page brought: events of the window, what is none, and the span that is now proven read."""

    window: Window
    bounds: Span
    """What was asked for."""
    number: int
    page: Page
    arrivals: list[Arrival]
    rejects: list[Reject]
    proven: Span | None
