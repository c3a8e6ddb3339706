"""Reading a window of the Audit Trail, whose pages are led to by tokens.

Four rules keep a claim true, whatever the API's tokens and bounds are worth:

1. Events in ascending order prove that all before them has been read; but a page is believed only when another was
   seen to follow it, or when there is no further one.
2. Where reading goes on from an event's time, that event must come again; if it does not, the bound is set earlier.
3. An empty last page that a token led to is no end until reading from the last event ends there, too.
4. A token is followed only while all that its query selects is inside the API's retention: if tokens count events, one
   is skipped for each that leaves. Else reading goes on from the last event's time; what has left is not claimed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.coverage import readable_from
from trailkeep.errors import RemoteUnavailable, TokenRefused
from trailkeep.sync.cursor import AGAIN_LATER, MARGIN, RESTART_MARGIN, STALLS, Cursor

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.api import Page
    from trailkeep.events import Arrival, Reject
    from trailkeep.sync.window import Window

EMPTY_PAGES = 10_000
"""How many empty pages in a row may promise a further one, each with a new token: an API may look through its time."""

RESTART_MARGINS = (RESTART_MARGIN, MARGIN, timedelta(minutes=1))
"""How far before the last event reading goes on: further each time that the event does not come again, then from the
window's start. What an API compares its bounds by is not known."""

LEAVING = timedelta(seconds=10)
"""So soon before a query's start leaves the retention its tokens are no longer followed."""


class TokenCursor(Cursor):
    """In ascending order, a page that another follows proves that all before its last event has been read."""

    def __init__(self, window: Window, edge: datetime, now: datetime) -> None:
        super().__init__(window, edge, now)
        self._used: set[int] = set()
        """Hashes of the page tokens that were followed since reading last started."""
        self._pages: set[int] = set()
        """Hashes of the event ids of every page since then."""
        self._anchor: Arrival | None = None
        """The last event up to which pages followed each other: reading can go on from it."""
        self._awaited: str | None = None
        """The anchor's id, until the reading that started from its time brings it again."""
        self._followed = False
        """Whether a page has been seen to follow another, so that one alone may be believed where it is the end."""
        self._ended_at: Arrival | None = None
        """The anchor when a token last led to an empty last page."""
        self._ended_pages: set[int] | None = None
        """What `_pages` was then."""
        self._widened = 0
        self._restarted_at: datetime | None = None
        self._stalls = 0
        self._empty = 0

    def restart(self, cause: TokenRefused | None) -> None:
        """Go on without a page token, from the last event's time; from the start where the order is not trusted."""
        anchor = self._anchor if self.window.trusted else None
        got_further = anchor is not None and anchor.recorded_at != self._restarted_at
        self._stalls = 0 if got_further else self._stalls + 1
        if self._stalls > STALLS:
            raise RemoteUnavailable(
                f"{self.window.stream}: the API sends the same pages again and again, or takes none of its page tokens",
                hint=AGAIN_LATER,
            ) from cause
        self._restarted_at = anchor.recorded_at if anchor is not None else None
        self.token = self._awaited = self._last = None
        self._used.clear()
        self._pages.clear()
        self._recent.clear()
        self._empty = 0
        self._after = self._first_after
        if anchor is not None and self._widened < len(RESTART_MARGINS):
            after = anchor.recorded_at - RESTART_MARGINS[self._widened]
            if self._first_after < after < self._before:
                self._after, self._awaited = after, anchor.id

    def _account(self, page: Page, arrivals: list[Arrival], _rejects: list[Reject]) -> datetime | None:
        if self.token is not None and self._is_leaving(page):
            self.restart(None)
            return None
        if self._awaited is not None:
            if not self._is_anchored(page, arrivals):
                return None
        elif self.token is None:
            self._leave_out_what_left(page)
        reached = self._advance(arrivals)
        if page.next_token is None:
            return self._end(page) or reached
        if self._followed and self.window.trusted and self._anchor and self._anchor.recorded_at >= self.window.end:
            self.finished = True
            return self.window.end
        self._follow(page, arrivals)
        return reached

    def _is_leaving(self, page: Page) -> bool:
        """Whether events that the query selects may leave the retention, and reading can go on by time instead."""
        if self.window.beyond or not self.window.trusted:
            return False
        if self._anchor is not None and self._anchor.recorded_at >= self.window.end:
            return False  # What a token skips behind the window's end is not of it.
        if page.server_date is None:
            return self.window.at_edge
        return self._after < readable_from(page.server_date) + LEAVING

    def _leave_out_what_left(self, page: Page) -> None:
        """Claim nothing that has left the retention before this answer, which no earlier one leads up to."""
        window = self.window
        if page.server_date is None or window.beyond:
            return
        edge = min(readable_from(page.server_date), window.end)
        if window.proven == window.start:
            window.start = max(window.start, edge)
        window.proven = max(window.proven, edge)

    def _is_anchored(self, page: Page, arrivals: list[Arrival]) -> bool:
        """Whether the reading begins where the one before it ended; where it does not, decide what to ask next."""
        anchor = self._anchor
        if anchor is None or any(each.id == self._awaited for each in arrivals):
            self._awaited = None
            return True
        if page.next_token is not None and all(each.recorded_at <= anchor.recorded_at for each in arrivals):
            self._follow(page, arrivals)
            return False
        if self.token is None and page.server_date and anchor.recorded_at < readable_from(page.server_date):
            # It has left, and others after it may have. This answer is where the trail begins now.
            self._awaited = self._anchor = None
            self._leave_out_what_left(page)
            return True
        self._widened += 1
        self.restart(None)
        return False

    def _advance(self, arrivals: list[Arrival]) -> datetime | None:
        """Move the anchor to the page's last event; up to the one before it, all is proven to be read."""
        if not (self.window.ordered and arrivals):
            return None
        anchor, newest = self._anchor, max(reversed(arrivals), key=lambda each: each.recorded_at)
        if anchor is not None and newest.recorded_at <= anchor.recorded_at:
            return None
        self._anchor = newest
        if anchor is None:
            return None
        self._followed = True
        return min(anchor.recorded_at, self.window.end)

    def _end(self, page: Page) -> datetime | None:
        """The window's end, if a page without a further one is its end; else decide what to ask next."""
        is_from_start = self._after == self._first_after
        if self.token is not None and not page.events:
            # A token that is no longer known may be answered so.
            anchor = self._anchor if self.window.trusted else None
            is_end = self._ended_at is anchor if anchor is not None else self._ended_pages == self._pages
            self._ended_at, self._ended_pages = anchor, self._pages.copy()
        elif self.window.ordered and not is_from_start:
            # A token promised more, and from the last event on there is none: the pages may begin with the newest.
            is_end = self.window.ordered = self._followed or self._ended_at is self._anchor
        else:
            # Where reading went on from an event's time, and the order then proved wrong, something may lie before.
            is_end = is_from_start
        if not is_end:
            self.restart(None)
            return None
        self.finished = True
        return self.window.end

    def _follow(self, page: Page, arrivals: list[Arrival]) -> None:
        """Take up the next page's token, unless the API leads round in a circle, be it with ever new tokens."""
        self._empty = 0 if page.events else self._empty + 1
        content = hash(frozenset(each.id for each in arrivals))
        token = hash(page.next_token)
        repeated = token in self._used or (bool(arrivals) and content in self._pages)
        if repeated or self._empty > EMPTY_PAGES or self._is_leaving(page):
            self.restart(None)
        else:
            self._used.add(token)
            self._pages.add(content)
            self.token = page.next_token
