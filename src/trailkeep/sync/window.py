"""Reading one window of a stream, page by page, and what each page proves."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.coverage import readable_from
from trailkeep.errors import RemoteUnavailable, RequestRefused, TokenRefused
from trailkeep.events import Arrival, Reject, identify
from trailkeep.timespan import Span, span_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from trailkeep.api import Client, Page
    from trailkeep.streams import Stream

MARGIN = timedelta(seconds=1)
"""How much wider than the window is asked for: whether the API counts its bounds is not known."""

RESTART_MARGIN = timedelta(milliseconds=1)
"""How far before the last event reading starts again when a page token is lost."""

REFUSED_EDGE_MARGIN = timedelta(minutes=1)
"""How far inside the retention reading starts where the API refused a bound that is nearer to its edge."""

STALLS = 5
"""How often reading may start again without getting further before the API is taken to be in a loop."""

EMPTY_PAGES = 100
"""How many empty pages in a row may promise a further one."""

REMEMBERED_PAGES = 5
"""Events of so many pages back are recognized when a page repeats them."""


class Window:
    """A window being read. Its end may be lowered while it is read: the part cut off is read by another."""

    def __init__(self, stream: Stream, span: Span, *, beyond: bool = False) -> None:
        self.stream = stream
        self.beyond = beyond
        """It lies behind the API's retention: nothing is claimed of it, whatever comes."""
        self.planned_start = span.start
        self.start = span.start
        """Moves up where moments leave the API's retention before they are asked for."""
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


def read_window(
    client: Client, window: Window, server_now: Callable[[], datetime], goes_on: Callable[[], bool]
) -> Iterator[Piece]:
    """Read `window` to its end. Raises a RemoteError where the API does not let that happen.

    Stops quietly, with what was proven, when `goes_on` answers no.
    """
    edge = window.start - MARGIN if window.beyond else readable_from(server_now())
    window.start = window.proven = max(window.start, edge)
    if window.start >= window.end:
        return
    cursor = _Cursor(window, edge, server_now())
    moved = False
    while goes_on():
        try:
            page = client.page(window.stream, cursor.bounds, cursor.token)
        except TokenRefused as error:
            cursor.restart(error)
            continue
        except RequestRefused:
            if window.beyond:
                return
            # While the request waited, its bound may have left the retention, which the API may refuse.
            edge = readable_from(server_now()) + REFUSED_EDGE_MARGIN
            if moved or cursor.has_read or window.start >= edge:
                raise
            window.start = window.proven = edge
            moved = True
            if window.start >= window.end:
                return
            cursor = _Cursor(window, edge, server_now())
            continue
        yield cursor.take(page)
        if cursor.finished:
            return


class _Cursor:
    """Where in its window the reading stands."""

    def __init__(self, window: Window, edge: datetime, now: datetime) -> None:
        self.window = window
        self.token: str | None = None
        self.finished = False
        # A bound is never beyond what the API has: it might refuse the request.
        self._after = self._first_after = max(window.start - MARGIN, edge)
        self._before = max(window.end, min(window.end + MARGIN, now))
        self._number = 0
        self._used: set[str] = set()
        """Page tokens that were followed since reading last started."""
        self._pages: set[int] = set()
        """Hashes of the event ids of every page since then."""
        self._recent: deque[set[str]] = deque(maxlen=REMEMBERED_PAGES)
        self._last: datetime | None = None
        self._last_at_restart: datetime | None = None
        self._stalls = 0
        self._empty = 0

    @property
    def has_read(self) -> bool:
        """Whether a page has been answered."""
        return self._number > 0

    @property
    def bounds(self) -> Span:
        """The span to ask for."""
        return Span(self._after, self._before)

    def take(self, page: Page) -> Piece:
        """Account for an answered page, and decide what to ask next."""
        arrivals, rejects = identify(page.events)
        with self.window.lock:
            return self._take(page, arrivals, rejects)

    def _take(self, page: Page, arrivals: list[Arrival], rejects: list[Reject]) -> Piece:
        self._number += 1
        bounds = self.bounds
        if self._number == 1:
            self._begin_where_answered(page)
        if page.server_date is not None and page.server_date < self.window.end:
            # No server can know what its clock has not reached.
            self.window.clock_end = page.server_date
            self.window.lower_end(page.server_date)
        end = self.window.end
        inside = [each for each in arrivals if self.window.start <= each.recorded_at < end]
        self._check_order(arrivals)
        proven = self._prove(page, end)
        piece = Piece(
            window=self.window,
            bounds=bounds,
            number=self._number,
            page=page,
            arrivals=inside,
            rejects=rejects,
            proven=None if self.window.beyond else proven,
        )
        self.window.events += len(inside)
        if inside and self.window.first_event is None:
            self.window.first_event = inside[0].recorded_at
        if not self.finished:
            self._follow(page, arrivals)
        return piece

    def restart(self, cause: TokenRefused | None) -> None:
        """Go on without a page token, from the last event's time; from the start where the order is not trusted."""
        got_further = self.window.trusted and self._last != self._last_at_restart
        self._pages.clear()
        self._stalls = 0 if got_further else self._stalls + 1
        if self._stalls > STALLS:
            raise RemoteUnavailable(
                f"{self.window.stream}: the API sends the same pages again and again, or takes none of its page tokens",
                hint="What was read in full is kept. Run the command again later.",
            ) from cause
        self._last_at_restart = self._last
        self.token = None
        self._used.clear()
        self._after = self._first_after
        if self.window.trusted and self._last is not None:
            self._after = max(self._after, self._last - RESTART_MARGIN)

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
        for _raw, identifier, recorded_at in arrivals:
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

    def _prove(self, page: Page, end: datetime) -> Span | None:
        """The span that this page proves to be read, if it proves more than the pages before."""
        reached = self.window.proven
        if page.next_token is None:
            # Where reading went on from an event's time, and the order then proved wrong, something may lie before.
            if self.window.ordered or self._after == self._first_after:
                reached, self.finished = end, True
        elif self.window.trusted and self._last is not None:
            reached = max(reached, min(self._last, end))
            self.finished = self._last >= end
        span = span_or_none(self.window.proven, reached)
        self.window.proven = max(self.window.proven, reached)
        return span

    def _follow(self, page: Page, arrivals: list[Arrival]) -> None:
        """Take up the next page's token, unless the API leads round in a circle, be it with ever new tokens."""
        self._empty = 0 if page.events else self._empty + 1
        content = hash(tuple(each.id for each in arrivals))
        repeated = bool(arrivals) and content in self._pages
        token = page.next_token
        if self._empty > EMPTY_PAGES or token is None or token in self._used or repeated:
            self.restart(None)
        else:
            self._used.add(token)
            self._pages.add(content)
            self.token = token
