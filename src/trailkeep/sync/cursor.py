"""Where in its window a reading stands: what all ways of paging share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.api import PAGE_SIZE
from trailkeep.coverage import readable_from
from trailkeep.events import Arrival, Reject, identify
from trailkeep.sync.window import Piece
from trailkeep.timespan import Span, span_or_none

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.api import Page
    from trailkeep.errors import TokenRefused
    from trailkeep.sync.window import Window

MARGIN = timedelta(seconds=1)
"""How much wider than the window is asked for: whether the API counts its bounds is not known."""

RESTART_MARGIN = timedelta(milliseconds=1)
"""How far before the last event reading goes on by time. Whether that was far enough, the answer must show."""

STALLS = 5
"""How often reading may start again without getting further before the API is taken to be in a loop."""

REMEMBERED_PAGES = 5
"""Events of so many pages back are recognized when a page repeats them."""

AGAIN_LATER = "What was read in full is kept. Run the command again later."


class Cursor(ABC):
    """Says what to ask next, and takes in what is answered."""

    def __init__(self, window: Window, edge: datetime, now: datetime) -> None:
        self.window = window
        self.token: str | None = None
        """What leads to the next page; None for the first."""
        self.finished = False
        self.size = PAGE_SIZE
        # A bound is never beyond what the API has: it might refuse the request.
        self._after = self._first_after = max(window.start - MARGIN, edge)
        self._before = max(window.end, min(window.end + MARGIN, now))
        self._number = 0
        self._recent: deque[set[str]] = deque(maxlen=REMEMBERED_PAGES)
        self._last: datetime | None = None
        """The time of the latest event since reading last started."""
        self._has_begun = False

    @property
    def has_read(self) -> bool:
        """Whether a page of the window has been answered."""
        return self._has_begun

    @property
    def bounds(self) -> Span:
        """The span to ask for."""
        return Span(self._after, self._before)

    def take(self, page: Page) -> Piece:
        """Account for an answered page, and decide what to ask next."""
        arrivals, rejects = identify(page.events, self.window.stream.kind)
        with self.window.lock:
            return self._take(page, arrivals, rejects)

    @abstractmethod
    def restart(self, cause: TokenRefused) -> None:
        """Go on although the API no longer takes the page token. Raises RemoteUnavailable where that leads nowhere."""

    @abstractmethod
    def _account(self, page: Page, arrivals: list[Arrival], rejects: list[Reject]) -> datetime | None:
        """Decide what to ask next; the moment up to which all is now proven to be read, if there is one."""

    def _take(self, page: Page, arrivals: list[Arrival], rejects: list[Reject]) -> Piece:
        self._number += 1
        bounds = self.bounds
        if not self._has_begun:
            self._begin_where_answered(page)
        self._has_begun = True
        if page.server_date is not None and page.server_date < self.window.end:
            # No server can know what its clock has not reached.
            self.window.clock_end = page.server_date
            self.window.lower_end(page.server_date)
        end = self.window.end
        inside = [each for each in arrivals if self.window.start <= each.recorded_at < end]
        self._check_order(arrivals)
        reached = self._account(page, arrivals, rejects)
        proven = span_or_none(self.window.proven, reached) if reached is not None else None
        if proven is not None:
            self.window.proven = proven.end
        piece = Piece(
            window=self.window,
            bounds=bounds,
            number=self._number,
            page=page,
            arrivals=inside,
            rejects=rejects,
            proven=None if self.window.beyond else proven,
        )
        self.window.note_taken(arrivals, inside)
        return piece

    def _begin_where_answered(self, page: Page) -> None:
        """Move the window's start up to what the answer can hold: nothing behind the server's retention."""
        start = self.window.start
        if page.server_date is not None and not self.window.beyond:
            start = max(start, readable_from(page.server_date))
        if self._after >= start:
            # The bound could not be asked wider, so the moment itself may have been left out.
            start = self._after + timedelta(microseconds=1)
        self.window.start = self.window.proven = min(start, self.window.end)

    def _check_order(self, arrivals: list[Arrival]) -> None:
        """Follow the times of events that were not sent before; one that goes back ends the trust in the order."""
        recent: set[str] = set().union(*self._recent)
        seen: set[str] = set()
        for arrival in arrivals:
            identifier, recorded_at = arrival.id, arrival.recorded_at
            if identifier in recent or identifier in seen:
                continue
            seen.add(identifier)
            if self._last is None or recorded_at > self._last:
                self.window.ascending = self.window.ascending or self._last is not None
                self._last = recorded_at
            elif recorded_at < self._last:
                self.window.ordered = False
        if seen:
            self._recent.append(seen)
