"""A window of a stream while it is read, what each of its pages brings, and where it is best split."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.timespan import Span

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.api import Page
    from trailkeep.events import Arrival, Reject
    from trailkeep.streams import Stream

SHORTEST_PART = timedelta(seconds=5)
"""No window is split into parts shorter than this: each is asked for a second wider on both sides."""

SHORTEST_PART_AT_EDGE = timedelta(minutes=10)
"""The same where events leave the API's retention, which must not catch up with a part while that is read."""

FEWEST_PAGES_LEFT = 3.0
"""Nor is a window of which no more pages than this are expected: a split costs about half a page."""

LONGEST_FORESEEN = 10**6
"""Pages that are expected of a window at most: a burst may promise any number."""


class Window:
    """A window being read. Its end may be lowered while it is read: the part cut off is read by another."""

    def __init__(
        self,
        stream: Stream,
        span: Span,
        *,
        beyond: bool = False,
        at_edge: bool = False,
        like: Window | None = None,
    ) -> None:
        """`at_edge`: events leave it while it is read. A part that was split off is expected to be `like` the rest."""
        self.stream = stream
        self.beyond = beyond
        """It lies behind the API's retention: nothing is claimed of it, whatever comes."""
        self.at_edge = at_edge
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
        self.is_part = like is not None
        """It was split off another window."""
        self.pages = 0
        self.events = 0
        """What has been read of it."""
        self._taken = span.start
        """The time of the latest event that was taken in: what is cut off begins after it, be it proven or not."""
        self.closed = False
        """Nobody reads it any more."""
        self.seconds_a_page: float | None = like.seconds_a_page if like else None
        """How much of the trail's time the last page held, or is expected to hold; None where nothing tells."""
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
        return self._end - max(self.proven, self._taken)

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

    @property
    def is_unread_part(self) -> bool:
        """It was split off, and nothing of it has come yet."""
        return self.is_part and self.pages == 0 and not self.closed

    def note_taken(self, arrivals: list[Arrival], inside: list[Arrival]) -> None:
        """Events of a page, those `inside` the window for what is taken, and all for how dense it is there."""
        self.pages += 1
        self.events += len(inside)
        self._taken = max([self._taken, *(each.recorded_at for each in inside)])
        if not arrivals:
            return
        times = [each.recorded_at for each in arrivals]
        self.seconds_a_page = (max(times) - min(times)).total_seconds()

    @property
    def pages_left(self) -> float:
        """How many pages the rest of the window holds, if it goes on as it is now; that under way is counted."""
        if self.closed or self.seconds_a_page is None:
            return 0.0
        left = max(0.0, self.left.total_seconds())
        return min(left / self.seconds_a_page, LONGEST_FORESEEN) if self.seconds_a_page else LONGEST_FORESEEN

    def split(self) -> Window | None:
        """Cut off half of what is left behind the page under way, as a window of its own.

        None where that is not worth a request, and where it is not known yet that the API sorts.
        """
        shortest = SHORTEST_PART_AT_EDGE if self.at_edge else SHORTEST_PART
        with self.lock:
            pages = self.pages_left
            if (
                pages < FEWEST_PAGES_LEFT
                or not self.ordered
                or not (self.trusted or (self.is_part and self.stream.kind != "iam"))
            ):
                return None
            middle = self._end - self.left * ((pages - 1) / pages / 2)
            if min(middle - max(self.proven, self._taken), self._end - middle) < shortest:
                return None
            later = Window(self.stream, Span(middle, self._end), beyond=self.beyond, at_edge=self.at_edge, like=self)
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
