"""Windows are split while they are read: connections stay busy, requests are few, and nothing unread is claimed.

Real windows, board and cursors read a made-up API in virtual time: what is counted is the same in every run.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trailkeep.api import Page
from trailkeep.errors import RemoteError, RemoteUnavailable, TokenRefused
from trailkeep.events import Arrival
from trailkeep.streams import Stream
from trailkeep.sync.board import Board
from trailkeep.sync.plan import EDGE_WINDOW, cut
from trailkeep.sync.reading import read_window
from trailkeep.sync.window import Window
from trailkeep.timespan import Span, subtract, union
from virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SINCE = NOW - timedelta(days=90)
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
LATENCY = 0.1
EXAMPLES = int(os.environ.get("TRAILKEEP_SPLITS", "12"))
"""How many random readings are tried; more in a soak."""
LOOK = 0.02
PAR = Stream(organization_id="o", kind="api", region="fr-par")


@dataclass
class Shelf:
    """An API in virtual time: `events` of each stream in order, and what goes wrong now and then."""

    time: VirtualTime
    events: dict[Stream, list[datetime]]
    latency: float = LATENCY
    jitter: float = 0.0
    refused_tokens: float = 0.0
    failures: float = 0.0
    empty_pages: float = 0.0
    behind: timedelta = timedelta(0)
    """How far the server's clock is behind."""
    size: int = 100
    waits_for_turn: float = 0.0
    luck: Random = field(default_factory=lambda: Random(1))
    pages: int = 0
    busy: list[tuple[float, float]] = field(default_factory=list)

    def page(self, stream: Stream, bounds: Span, token: str | None = None, **_more: Any) -> Page:
        began = self.time.now
        self.pages += 1
        self.time.sleep(self.latency * (1 + self.jitter * self.luck.random()))
        self.busy.append((began, self.time.now))
        if self.luck.random() < self.failures:
            raise RemoteUnavailable("down")
        if token is not None and self.luck.random() < self.refused_tokens:
            raise TokenRefused("old")
        times = self.events[stream]
        first = int(token) if token is not None else bisect_left(times, bounds.start)
        end = bisect_left(times, bounds.end)
        size = 0 if self.luck.random() < self.empty_pages else self.size
        after = min(first + size, end)
        return Page(
            events=[
                b'{"id":"%d","recorded_at":"%b"}' % (n, times[n].isoformat().encode()) for n in range(first, after)
            ],
            next_token=str(after) if after < end else None,
            status=200,
            bytes=1,
            sha256="",
            request_id=None,
            server_date=NOW - self.behind,
            received_at=NOW,
            attempts=1,
            waited_seconds=self.waits_for_turn,
        )


class Reading:
    """Workers that read all streams of a shelf, and what came of it."""

    def __init__(self, shelf: Shelf, *, workers: int = 16, stop_at: float | None = None) -> None:
        self.shelf = shelf
        self.stop_at = stop_at
        edge = SINCE + EDGE_WINDOW
        self.board = Board(
            [
                Window(stream, part, at_edge=part.end <= edge)
                for stream in shelf.events
                for part in cut(Span(SINCE, NOW), edge)
            ]
        )
        self.ids: dict[Stream, set[int]] = {stream: set() for stream in shelf.events}
        self.claims: dict[Stream, list[Span]] = {stream: [] for stream in shelf.events}
        self.owners: dict[tuple[Stream, int], Window] = {}
        self.errors: list[RemoteError] = []
        shelf.time.run(*[self.work] * workers)

    def work(self) -> None:
        while not self.board.finished:
            window = self.board.next()
            if window is None:
                self.shelf.time.sleep(LOOK)
                continue
            try:
                for piece in read_window(self.shelf, window, lambda: NOW, self.goes_on):  # type: ignore[arg-type]
                    self.take(piece)
                    self.board.note(piece)
            except RemoteError as error:
                self.errors.append(error)
            self.board.close(window)
            self.board.done(window)

    def goes_on(self) -> bool:
        return self.stop_at is None or self.shelf.time.now < self.stop_at

    def take(self, piece: Any) -> None:
        stream = piece.window.stream
        times, ids = self.shelf.events[stream], self.ids[stream]
        for arrival in piece.arrivals:
            number = int(arrival.id)
            # A window may start again, and send what it has sent: that is told apart from what is new later on.
            assert self.owners.setdefault((stream, number), piece.window) is piece.window, "an event is in two windows"
            ids.add(number)
        if piece.proven is not None:
            self.claims[stream].append(piece.proven)
            inside = range(bisect_left(times, piece.proven.start), bisect_left(times, piece.proven.end))
            assert ids.issuperset(inside), f"{piece.proven} is claimed with events of it unread"

    def check_whole(self) -> None:
        for stream, times in self.shelf.events.items():
            assert self.ids[stream] == set(range(len(times)))
            (claimed,) = union(self.claims[stream])
            assert claimed.end == NOW
            assert claimed.start <= SINCE + 2 * SECOND

    def fewest(self) -> int:
        """How many pages no reading can do without: full ones, and one for each window of the plan."""
        return sum(len(times) // 100 + 2 for times in self.shelf.events.values())


def spread(count: int, start: datetime, length: timedelta, seed: int = 1) -> list[datetime]:
    luck = Random(seed)
    return sorted(start + length * luck.random() for _ in range(count))


def uneven(count: int, busy: timedelta = DAY) -> dict[Stream, list[datetime]]:
    """Nine of ten events within `busy`, most of them in one region; six streams have none."""
    shares = {("api", "fr-par"): 0.86, ("api", "nl-ams"): 0.06, ("api", "pl-waw"): 0.04, ("system", "fr-par"): 0.04}
    streams = [
        (kind, region) for kind in ("api", "authentication", "system") for region in ("fr-par", "nl-ams", "pl-waw")
    ]
    made = {}
    for kind, region in streams:
        events = round(count * shares.get((kind, region), 0))
        times = spread(events * 9 // 10, NOW - 37 * DAY, busy) + spread(
            events - events * 9 // 10, SINCE + HOUR, 89 * DAY
        )
        made[Stream(organization_id="o", kind=kind, region=region)] = sorted(times)  # type: ignore[arg-type]
    return made


# Busy connections, few requests


@pytest.mark.parametrize(("busy", "times"), [(DAY, 13.5), (10 * MINUTE, 10)])
def test_uneven_events_keep_sixteen_connections_busy(busy: timedelta, times: float) -> None:
    """So many times as fast as page after page; the official SDK's loop has no page less."""
    reading = Reading(Shelf(VirtualTime(), uneven(60_000, busy)))
    reading.check_whole()
    shelf = reading.shelf
    fewest = reading.fewest()
    assert shelf.pages < 1.2 * fewest
    assert shelf.time.now < fewest * LATENCY / times


def test_events_of_one_moment_cannot_be_split_and_cost_little_more() -> None:
    reading = Reading(Shelf(VirtualTime(), {PAR: [NOW - 3 * DAY] * 3000}))
    reading.check_whole()
    assert reading.shelf.pages < 30 + 40


def test_a_small_run_makes_no_request_that_one_worker_would_not_make() -> None:
    events = {PAR: spread(150, NOW - 60 * MINUTE, 60 * MINUTE)}
    pages = [Reading(Shelf(VirtualTime(), events), workers=workers).shelf.pages for workers in (1, 16)]
    assert pages[0] == pages[1]


def test_quiet_streams_cost_one_request_a_window() -> None:
    reading = Reading(Shelf(VirtualTime(), uneven(0)))
    assert reading.shelf.pages == 2 * 9


@pytest.mark.parametrize("count", [500, 2500, 9000])
def test_searching_for_the_dense_part_is_bounded(count: int) -> None:
    reading = Reading(Shelf(VirtualTime(), uneven(count)))
    reading.check_whole()
    assert reading.shelf.pages < 1.2 * reading.fewest() + 45


def test_where_the_pace_keeps_the_workers_no_window_is_split() -> None:
    """More requests at once would not be sent any sooner, and each split costs one of those that the API takes."""
    free = Reading(Shelf(VirtualTime(), uneven(10_000)))
    held = Reading(Shelf(VirtualTime(), uneven(10_000), waits_for_turn=1.0))
    held.check_whole()
    assert held.shelf.pages < free.shelf.pages
    assert len(held.board.windows) == 2 * 9


def test_the_oldest_hour_is_split_into_long_parts_only() -> None:
    """Events leave it while it is read: none may leave a part before that was asked for."""
    events = {PAR: spread(20_000, SINCE + MINUTE, 55 * MINUTE)}
    reading = Reading(Shelf(VirtualTime(), events))
    parts = [window for window in reading.board.windows if window.at_edge]
    assert len(parts) > 1
    assert all(part.end - part.planned_start >= 10 * MINUTE for part in parts[1:])
    reading.check_whole()


def test_a_window_is_not_split_while_the_api_is_not_seen_to_sort() -> None:
    window = Window(PAR, Span(NOW - DAY, NOW))
    assert window.split() is None


def test_events_that_were_taken_in_stay_in_the_front_part_though_nothing_proves_them_yet() -> None:
    """Pages of IAM's log are proven by the page after them; the part that is cut off would bring their events again."""
    window = Window(PAR, Span(NOW - DAY, NOW))
    window.ascending = True
    taken = [Arrival(b"{}", str(minute), NOW - 60 * MINUTE + minute * MINUTE) for minute in range(50)]
    window.note_taken(taken, taken)
    window.note_taken(taken[-2:], taken[-2:])
    later = window.split()
    assert window.proven == NOW - DAY
    assert later is not None
    assert later.start > taken[-1].recorded_at


# Whatever happens

moments = st.one_of(
    st.lists(st.integers(0, 90 * 86_400 - 1), max_size=60),
    st.tuples(st.integers(3600, 89 * 86_400), st.integers(1, 100_000), st.integers(0, 150)).map(
        lambda drawn: [drawn[0] + number % drawn[1] for number in range(drawn[2])]
    ),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seconds=st.lists(moments, min_size=1, max_size=2),
    workers=st.sampled_from([1, 2, 7, 16]),
    size=st.sampled_from([2, 10, 100]),
    jitter=st.sampled_from([0.0, 3.0]),
    seed=st.integers(0, 10_000),
)
def test_every_event_is_read_once_however_windows_are_split(
    seconds: Sequence[list[int]], workers: int, size: int, jitter: float, seed: int
) -> None:
    reading = Reading(shelf_of(seconds, size=size, jitter=jitter, luck=Random(seed)), workers=workers)
    reading.check_whole()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seconds=st.lists(moments, min_size=1, max_size=2),
    workers=st.sampled_from([1, 2, 7, 16]),
    size=st.sampled_from([3, 10, 100]),
    faults=st.fixed_dictionaries(
        {
            "refused_tokens": st.sampled_from([0.0, 0.05, 0.3]),
            "failures": st.sampled_from([0.0, 0.01, 0.1]),
            "empty_pages": st.sampled_from([0.0, 0.2]),
            "behind": st.sampled_from([timedelta(0), 5 * MINUTE, 3 * DAY]),
        }
    ),
    stop_at=st.one_of(st.none(), st.floats(0.1, 6.0)),
    seed=st.integers(0, 10_000),
)
def test_no_claim_goes_beyond_what_was_read_whatever_fails_and_whenever_it_stops(
    seconds: Sequence[list[int]],
    workers: int,
    size: int,
    faults: dict[str, Any],
    stop_at: float | None,
    seed: int,
) -> None:
    shelf = shelf_of(seconds, size=size, jitter=2.0, luck=Random(seed), **faults)
    reading = Reading(shelf, workers=workers, stop_at=stop_at)  # asserts at every piece that its claim is read
    for stream in shelf.events:
        assert sum((span.length for span in union(reading.claims[stream])), timedelta(0)) == sum(
            (span.length for span in reading.claims[stream]), timedelta(0)
        ), "two windows claim the same moment"
        assert subtract(reading.claims[stream], [Span(SINCE, NOW - faults["behind"])]) == []


def shelf_of(seconds: Sequence[list[int]], **more: Any) -> Shelf:
    streams = [Stream(organization_id="o", kind="api", region=f"r{number}") for number in range(len(seconds))]
    # Nothing in the first two seconds: whether the API counts that bound is not known, and it is not claimed.
    events = {
        stream: sorted(SINCE + timedelta(seconds=3 + at) for at in drawn if at < 90 * 86_400 - 3)
        for stream, drawn in zip(streams, seconds, strict=True)
    }
    return Shelf(VirtualTime(), events, **more)
