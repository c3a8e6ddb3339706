"""Nothing unread is claimed of a window, whatever an API's page tokens, bounds and order are worth.

A real window and cursor read a made-up API in its own time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.api import Page
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


class Searching(Trail):
    """Each page is an hour of the trail, mostly without an event."""

    def answer(self, bounds: Span, token: str | None) -> tuple[list[tuple[int, datetime]], str | None]:
        start = datetime.fromisoformat(token) if token else bounds.start
        end = min(start + HOUR, bounds.end)
        return self.selected(Span(start, end)), end.isoformat() if end < bounds.end else None


def test_hundreds_of_empty_pages_with_new_tokens_are_followed() -> None:
    trail = Searching([NOW - 11 * DAY + number * MINUTE for number in range(300)])
    assert trail.read() == [WHOLE]
    assert trail.pages < 30 * 24
