"""Nothing unread is claimed of a window, whatever an API's page tokens, bounds and order are worth.

A real window and cursor read a made-up API in its own time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from trailkeep.api import Page
from trailkeep.errors import RemoteError, RemoteUnavailable, TokenRefused
from trailkeep.streams import Stream
from trailkeep.sync.reading import read_window
from trailkeep.sync.window import Window
from trailkeep.timespan import Span, union

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
MILLISECOND, MICROSECOND = timedelta(milliseconds=1), timedelta(microseconds=1)
SIZE = 10
PAR = Stream(organization_id="o", kind="api", region="fr-par")
WHOLE = Span(NOW - 30 * DAY, NOW - 10 * DAY)
TIMES = [WHOLE.start + HOUR + number * 290 * MILLISECOND for number in range(300)]


class Trail:
    """An API whose tokens count events; subclasses bend it."""

    def __init__(self, times: Sequence[datetime]) -> None:
        self.times = sorted(times)
        self.events = list(enumerate(self.times))
        self.now = NOW
        self.pages = 0

    def selected(self, bounds: Span) -> list[tuple[int, datetime]]:
        edge = self.now - 90 * DAY
        return [each for each in self.events if max(bounds.start, edge) <= each[1] < bounds.end]

    def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
        events = self.selected(bounds)
        first = int(token or 0)
        return events[first : first + SIZE], str(first + SIZE) if first + SIZE < len(events) else None

    def page(self, _stream: Stream, bounds: Span, token: str | None = None, **_more: Any) -> Page:
        self.pages += 1
        events, following = self.answer(bounds, token)
        return Page(
            events=[b'{"id":"%d","recorded_at":"%b"}' % (id_, at.isoformat().encode()) for id_, at in events],
            next_token=following,
            status=200,
            bytes=1,
            sha256="",
            request_id=None,
            server_date=self.now.replace(microsecond=0),
            received_at=self.now,
            attempts=1,
        )

    def read(self, span: Span = WHOLE, *, at_edge: bool = False) -> list[Span]:
        """What is claimed of `span`, each event of which that the API has at the end must have come."""
        came: set[int] = set()
        claims: list[Span] = []
        try:
            for piece in self.pieces(Window(PAR, span, at_edge=at_edge)):
                came |= {int(each.id) for each in piece.arrivals}
                claims += [piece.proven] if piece.proven else []
        finally:
            missing = [at for id_, at in self.events if id_ not in came and any(at in claim for claim in claims)]
            assert missing == [], "claimed, and not read"
        return union(claims)

    def pieces(self, window: Window) -> Iterator[Any]:
        return read_window(self, window, lambda: self.now, lambda: True)  # type: ignore[arg-type]


class ShortLived(Trail):
    """A token leads five pages far."""

    def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
        if int(token or 0) > 5 * SIZE:
            raise TokenRefused("old")
        return super().answer(bounds, token)


class WholeSeconds(ShortLived):
    """Bounds are compared by whole seconds, exclusively."""

    def selected(self, bounds: Span) -> list[tuple[int, datetime]]:
        first = bounds.start.replace(microsecond=0) + SECOND
        return [each for each in self.events if first <= each[1] < bounds.end]


class Forgetful(Trail):
    """A token that is no longer known is answered as if it led to the end: every third is."""

    def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
        return ([], None) if token and self.pages % 3 == 0 else super().answer(bounds, token)


class NewestFirst(Trail):
    """Pages lead from the newest to the oldest, and each is in ascending order."""

    def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
        events = self.selected(bounds)
        end = len(events) - int(token or 0)
        return events[max(0, end - SIZE) : end], str(len(events) - end + SIZE) if end > SIZE else None


class Leaving(Trail):
    """Time goes by from page to page, and the oldest events leave the retention."""

    a_page = SECOND

    def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
        self.now += self.a_page
        return super().answer(bounds, token)


class Unbound(Trail):
    """Whatever is asked for, all events are answered."""

    def selected(self, _bounds: Span) -> list[tuple[int, datetime]]:
        return self.events


class Searching(Trail):
    """Each page is an hour of the trail, mostly without an event."""

    def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
        start = datetime.fromisoformat(token) if token else bounds.start
        end = min(start + HOUR, bounds.end)
        return self.selected(Span(start, end)), end.isoformat() if end < bounds.end else None


def test_reading_on_after_a_lost_token_misses_nothing_where_bounds_are_whole_seconds() -> None:
    trail = WholeSeconds(TIMES)
    assert trail.read() == [WHOLE]
    assert trail.pages < 2 * len(TIMES) / SIZE


@pytest.mark.parametrize("times", [TIMES, [TIMES[0] + number * 5 * MILLISECOND for number in range(300)]])
def test_reading_on_after_a_lost_token_costs_one_page_where_bounds_are_exact(times: list[datetime]) -> None:
    trail = ShortLived(times)
    assert trail.read() == [WHOLE]
    assert trail.pages <= 1.4 * len(times) / SIZE


def test_more_events_in_a_second_than_tokens_lead_to_end_in_an_error_where_bounds_are_whole_seconds() -> None:
    trail = WholeSeconds([TIMES[0] + number * MILLISECOND for number in range(300)])
    with pytest.raises(RemoteUnavailable):
        trail.read()
    assert trail.pages < 100


def test_more_events_in_a_millisecond_than_tokens_lead_to_end_in_an_error() -> None:
    trail = ShortLived([TIMES[0] + number * MICROSECOND for number in range(300)])
    with pytest.raises(RemoteUnavailable):
        trail.read()
    assert trail.pages < 100


def test_an_empty_page_that_a_token_led_to_is_no_end() -> None:
    trail = Forgetful(TIMES)
    assert trail.read() == [WHOLE]


def test_an_empty_page_that_a_token_led_to_costs_one_more_where_it_is_the_end() -> None:
    class Trailing(Trail):
        def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
            events, following = super().answer(bounds, token)
            return events, following or (str(int(token or 0) + SIZE) if events else None)

    trail = Trailing(TIMES)
    assert trail.read() == [WHOLE]
    assert trail.pages <= len(TIMES) / SIZE + 3


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_one_page_in_order_proves_nothing(pages: int) -> None:
    class Failing(NewestFirst):
        def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
            if self.pages > pages:
                raise RemoteError("gone")
            return super().answer(bounds, token)

    with pytest.raises(RemoteError, match="gone"):
        Failing(TIMES).read()
    assert NewestFirst(TIMES).read() == [WHOLE]


def test_newest_pages_first_with_a_lost_token_are_not_taken_for_the_whole() -> None:
    class Refusing(NewestFirst):
        def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
            if self.pages == 2:
                raise TokenRefused("old")
            return super().answer(bounds, token)

    assert Refusing(TIMES).read() == [WHOLE]


@pytest.mark.parametrize("every", [200 * MILLISECOND, SECOND, 20 * SECOND])
def test_what_leaves_the_retention_takes_no_other_event_with_it(every: timedelta) -> None:
    """Where tokens count events, one is skipped for each that leaves."""
    edge = Span(NOW - 90 * DAY, NOW - 90 * DAY + HOUR)
    trail = Leaving([edge.start + number * every for number in range(180)])
    (claimed,) = trail.read(edge, at_edge=True)
    assert claimed.end == edge.end
    assert claimed.start <= edge.start + 3 * SECOND
    assert trail.pages < 1.5 * 180 / SIZE


def test_what_leaves_faster_than_it_can_be_read_is_not_claimed() -> None:
    """All that left between two answers is a gap; what is still there is read and claimed."""

    class Fast(Leaving):
        a_page = MINUTE

    edge = Span(NOW - 90 * DAY, NOW - 90 * DAY + HOUR)
    trail = Fast([edge.start + number * SECOND for number in range(3600)])
    every = list(trail.events)
    claims = trail.read(edge, at_edge=True)
    assert trail.now - NOW >= 55 * MINUTE
    assert all(claim.start >= edge.start for claim in claims)
    assert sum(any(at in claim for claim in claims) for _id, at in every) <= 10 * trail.pages


@pytest.mark.parametrize("start", [NOW - 90 * DAY, NOW - 60 * DAY])
def test_bounds_that_are_ignored_lead_nowhere_behind_the_window(start: datetime) -> None:
    span = Span(start, start + HOUR)
    (claimed,) = Unbound(TIMES).read(span, at_edge=True)
    assert claimed.end == span.end


def test_hundreds_of_empty_pages_with_new_tokens_are_followed() -> None:
    trail = Searching([NOW - 11 * DAY + number * MINUTE for number in range(300)])
    assert trail.read() == [WHOLE]
    assert trail.pages < 30 * 24
