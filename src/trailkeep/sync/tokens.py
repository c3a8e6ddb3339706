"""Reading a window of the Audit Trail, whose pages are led to by tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.errors import RemoteUnavailable, TokenRefused
from trailkeep.sync.cursor import AGAIN_LATER, RESTART_MARGIN, STALLS, Cursor

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.api import Page
    from trailkeep.events import Arrival, Reject
    from trailkeep.sync.window import Window

EMPTY_PAGES = 10_000
"""How many empty pages in a row may promise a further one, each with a new token: an API may look through its time."""


class TokenCursor(Cursor):
    """In ascending order, every page proves that all before its last event has been read."""

    def __init__(self, window: Window, edge: datetime, now: datetime) -> None:
        super().__init__(window, edge, now)
        self._used: set[int] = set()
        """Hashes of the page tokens that were followed since reading last started."""
        self._pages: set[int] = set()
        """Hashes of the event ids of every page since then."""
        self._last_at_restart: datetime | None = None
        self._stalls = 0
        self._empty = 0

    def restart(self, cause: TokenRefused | None) -> None:
        """Go on without a page token, from the last event's time; from the start where the order is not trusted."""
        got_further = self.window.trusted and self._last != self._last_at_restart
        self._pages.clear()
        self._stalls = 0 if got_further else self._stalls + 1
        if self._stalls > STALLS:
            raise RemoteUnavailable(
                f"{self.window.stream}: the API sends the same pages again and again, or takes none of its page tokens",
                hint=AGAIN_LATER,
            ) from cause
        self._last_at_restart = self._last
        self.token = None
        self._used.clear()
        self._after = self._first_after
        if self.window.trusted and self._last is not None:
            self._after = max(self._after, self._last - RESTART_MARGIN)

    def _account(self, page: Page, arrivals: list[Arrival], _rejects: list[Reject]) -> datetime | None:
        end = self.window.end
        reached: datetime | None = None
        if page.next_token is None:
            # Where reading went on from an event's time, and the order then proved wrong, something may lie before.
            if self.window.ordered or self._after == self._first_after:
                reached, self.finished = end, True
        elif self.window.trusted and self._last is not None:
            reached = min(self._last, end)
            self.finished = self._last >= end
        if not self.finished:
            self._follow(page, arrivals)
        return reached

    def _follow(self, page: Page, arrivals: list[Arrival]) -> None:
        """Take up the next page's token, unless the API leads round in a circle, be it with ever new tokens."""
        self._empty = 0 if page.events else self._empty + 1
        content = hash(tuple(each.id for each in arrivals))
        repeated = bool(arrivals) and content in self._pages
        token = page.next_token
        if self._empty > EMPTY_PAGES or token is None or hash(token) in self._used or repeated:
            self.restart(None)
        else:
            self._used.add(hash(token))
            self._pages.add(content)
            self.token = token
