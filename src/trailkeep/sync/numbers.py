"""Reading a window of IAM's log, whose pages have numbers and shift when a record before them comes or goes.

Three rules keep a claim true, whatever happens between two answers:

1. One answer is one moment of the log. Reading steps from answer to answer by time: each asks for the first page from
   just before the last record of the one before. It must hold that record again, and the counts of both answers must
   leave no room for a record between them. Only then is the time up to that record proven.
2. The end is believed only when as many records were read as the API counts, and a further page brings nothing new;
   where that repeats records, the count must be the same when one record is asked for.
3. Where time does not lead on (more records at one moment than a page holds, bounds or order that are ignored), the
   pages are read by their numbers. Nothing is proven until one pass over all pages brought as many records as every
   page counted, and, where it took several pages, the next pass brought the very same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trailkeep.api import PAGE_SIZE
from trailkeep.errors import RemoteUnavailable
from trailkeep.events import Arrival, Reject, identify
from trailkeep.streams import LOG_KEPT_DAYS
from trailkeep.sync.cursor import AGAIN_LATER, RESTART_MARGIN, STALLS, Cursor
from trailkeep.sync.window import Piece
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from trailkeep.api import Page
    from trailkeep.errors import TokenRefused
    from trailkeep.sync.window import Window

LOG_KEPT = timedelta(days=LOG_KEPT_DAYS)
STUMBLES = 2
"""How often a step is tried again before the pages are read by their numbers."""

MOST_PAGES = 10_000
"""Pages that are read by their numbers in one pass."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """The first page of a query."""

    keys: frozenset[int]
    times: dict[int, datetime]
    """Of those that have a time."""
    total: int

    @property
    def last(self) -> datetime:
        return max(self.times.values())

    def leads_to(self, after: datetime, following: _Step) -> bool:
        """Whether the query from `after` on begins where this page ended, with no record between the two."""
        lost = any(at > after and key not in following.keys for key, at in self.times.items())
        return not lost and self.total == len(self.keys - following.keys) + following.total


class NumberCursor(Cursor):
    """Trusts neither the numbers of pages, nor their order, nor the count alone: only what they prove together."""

    def __init__(self, window: Window, edge: datetime, now: datetime) -> None:
        super().__init__(window, edge, now)
        self._kept_from = now - LOG_KEPT
        self._reaches_back = window.beyond or window.start >= self._kept_from
        """The API still has what was logged before the window, or the window is so young that all of it is there."""
        self._earliest: datetime | None = None
        """The time of the earliest record that any answer held."""
        self._page_number = 1
        self._step: _Step | None = None
        """The answer that the next one must follow; None at the beginning, and after a stumble."""
        self._proven_after = self._after
        """Reading starts again from here: all before is proven to be read."""
        self._stumbles = 0
        self._counting = False
        """Whether the pages are read by their numbers."""
        self._seen: set[int] = set()
        """What the pages since page 1 held."""
        self._total: int | None = None
        """What page 1 counted."""
        self._pages = 0
        self._last_pass: set[int] | None = None
        self._refused: int | None = None
        """The number of a page that the API refused: there is none, if what was read before it adds up."""
        self._stalls = 0
        self._asks_count = False
        """Whether one record is asked for, only to see that the count is not that of an answer."""
        self.looks_back = not self._reaches_back
        if self.looks_back:
            self.size = 1

    @property
    def bounds(self) -> Span:
        """The span to ask for."""
        return Span(_BEGINNING, self.window.start) if self.looks_back else super().bounds

    def take(self, page: Page) -> Piece:
        """Account for an answered page, and decide what to ask next."""
        if not self.looks_back:
            return super().take(page)
        arrivals, rejects = identify(page.events, self.window.stream.kind)
        bounds = self.bounds
        with self.window.lock:
            self._number += 1
            self._reaches_back = any(each.recorded_at < self.window.start for each in arrivals)
            self.look_no_further()
        return Piece(
            window=self.window,
            bounds=bounds,
            number=self._number,
            page=page,
            arrivals=[],
            rejects=rejects,
            proven=None,
        )

    def look_no_further(self) -> None:
        """Go on to the window itself; what lies before it was asked for, or cannot be."""
        self.looks_back = False
        self.size = PAGE_SIZE

    def restart(self, cause: TokenRefused) -> None:
        """Go on although a page with a higher number is refused: that may be how the API says that there is none."""
        with self.window.lock:
            if self._refused == self._page_number:
                self._stall(cause)
                return
            self._refused = self._page_number
            self._ask(1)

    def _account(self, page: Page, arrivals: list[Arrival], rejects: list[Reject]) -> datetime | None:
        times = {hash((each.id, each.recorded_at)): each.recorded_at for each in arrivals}
        keys = frozenset([*times, *(hash(each.raw) for each in rejects)])
        if times:
            self._earliest = min([*times.values(), *([self._earliest] if self._earliest else [])])
        if self._asks_count:
            reached = self._check_count(page, keys)
        else:
            reached = self._count(page, keys) if self._counting else self._walk(page, keys, times)
        if reached is not None and not self._reaches_back:
            # Nothing tells a silence before the earliest record from records that the API no longer keeps.
            begin = min(self._earliest or self._kept_from, self._kept_from)
            self.window.start = self.window.proven = min(max(self.window.start, begin), self.window.end)
            self._reaches_back = True
        return reached

    def _walk(self, page: Page, keys: frozenset[int], times: dict[int, datetime]) -> datetime | None:
        """Step on by time, if this answer follows the one before; the moment that is proven by that."""
        if self._page_number > 1:
            return self._confirm(page, keys)
        before = self._step
        step = _Step(keys=keys, times=times, total=page.total or 0)
        if (
            page.total is None
            or not self.window.ordered
            or len(keys) > step.total
            or (not keys and step.total)
            or (before is not None and not before.leads_to(self._after, step))
        ):
            self._stumble()
            return None
        reached: datetime | None = None
        if before is not None and before.times:
            self._proven_after, self._stumbles = self._after, 0
            reached = min(before.last, self.window.end)
            if before.last >= self.window.end:
                self.finished = True
                return reached
        self._step = step
        if len(keys) == step.total:
            if not keys or self._refused == 2:
                self.finished = True
                return self.window.end
            self._seen, self._total = set(keys), step.total
            self._ask(2)
        elif times and self._after < (after := _just_before_last(step)) < self._before:
            self._after = after
            self._refused = None
            self._ask(1)
        else:
            self._counting = True
            self._seen, self._total, self._pages = set(keys), step.total, 1
            self._ask(2)
        return reached

    def _confirm(self, page: Page, keys: frozenset[int]) -> datetime | None:
        """Take a further page for the proof that there is none; the window's end, if it is one."""
        if keys <= self._seen and (page.total == self._total or not (keys or page.total)):
            return self._end(keys)
        self._stumble()
        return None

    def _end(self, keys: frozenset[int]) -> datetime | None:
        """The window's end, where the last answer held no records.

        Where it repeats some, only the count tells that they are all; and that might be of what an answer holds.
        """
        if not keys:
            self.finished = True
            return self.window.end
        self._asks_count, self.size = True, 1
        self._ask(1)
        return None

    def _check_count(self, page: Page, keys: frozenset[int]) -> datetime | None:
        self._asks_count, self.size = False, PAGE_SIZE
        if len(keys) <= 1 and page.total == self._total:
            self.finished = True
            return self.window.end
        self._stall(None)
        return None

    def _count(self, page: Page, keys: frozenset[int]) -> datetime | None:
        """Read on by the pages' numbers; the window's end, once two passes agree with the count and each other."""
        if self._page_number == 1:
            self._seen, self._total, self._pages = set(), page.total, 0
        is_behind_the_last = self._page_number > 1 and not keys and not page.total
        new = keys - self._seen
        self._seen |= new
        self._pages += bool(new)
        counts_nothing = self._total is None and page.total is None
        if not counts_nothing and (
            self._total is None
            or len(self._seen) > self._total
            or not (page.total == self._total or is_behind_the_last)
        ):
            self._stall(None)
        elif new and self._page_number + 1 != self._refused and self._page_number < MOST_PAGES:
            self._ask(self._page_number + 1)
        elif counts_nothing:
            # All that there seems to be is kept, and nothing is claimed.
            raise RemoteUnavailable(
                f"{self.window.stream}: the API does not count its records: nothing tells whether all were read",
                hint="What was read is kept.",
            )
        elif len(self._seen) != self._total:
            self._stall(None)
        elif self._pages <= 1 or self._seen == self._last_pass:
            return self._end(keys)
        else:
            self._last_pass = self._seen
            self._ask(1)
        return None

    def _stumble(self) -> None:
        """An answer does not follow the one before: read again from what is proven, at last by the pages' numbers."""
        self._stumbles += 1
        self._step = None
        self._refused = None
        self._after = self._proven_after
        # Records that came unordered once will do so again.
        self._counting = self._stumbles > STUMBLES or not self.window.ordered
        self._ask(1)

    def _stall(self, cause: TokenRefused | None) -> None:
        """A pass over all pages does not add up: make another. Raises RemoteUnavailable after some of them."""
        self._stalls += 1
        if self._stalls > STALLS:
            raise RemoteUnavailable(
                f"{self.window.stream}: the API's pages do not add up to the {self._total} records that it counts",
                hint=AGAIN_LATER,
            ) from cause
        self._counting = True
        self._last_pass = self._refused = None
        self._ask(1)

    def _ask(self, number: int) -> None:
        self._page_number = number
        self.token = None if number == 1 else str(number)


def _just_before_last(step: _Step) -> datetime:
    """A bound shortly before the last record, at which no known record lies: whether bounds count is not known."""
    times = set(step.times.values())
    after = step.last - RESTART_MARGIN
    while after in times:
        after -= _MICROSECOND
    return after
