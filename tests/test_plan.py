"""What a run sets out to read follows from what is covered, what is asked, and the API's clock alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trailkeep.coverage import EDGE_MARGIN, Gap, GapReason, StreamCoverage, readable_from
from trailkeep.errors import UsageError
from trailkeep.streams import KINDS, Stream
from trailkeep.sync.plan import (
    Request,
    StreamPlan,
    check_not_future,
    check_order,
    cut,
    plan_stream,
)
from trailkeep.timespan import Span, intersect, subtract, union

STREAM = Stream(organization_id="11111111-1111-4111-8111-111111111111", kind="api", region="fr-par")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EDGE = NOW - timedelta(days=90) + EDGE_MARGIN
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def request(**asked: Any) -> Request:
    defaults = {
        "organization_id": STREAM.organization_id,
        "kinds": KINDS,
        "regions": ("fr-par",),
        "overlap": HOUR,
    }
    return Request(**defaults | asked)


def known(*covered: Span, gaps: tuple[Gap, ...] = (), recorded: tuple[Span, ...] = ()) -> StreamCoverage:
    return StreamCoverage(
        stream=STREAM,
        covered=covered,
        asked=tuple(gap.span for gap in gaps),
        gaps=gaps,
        purged=(),
        recorded_unreadable=recorded,
        not_offered_since=None,
        last_read_at=None,
    )


def plan(coverage: StreamCoverage | None, **asked: Any) -> StreamPlan:
    return plan_stream(STREAM, coverage, request(**asked), NOW)


def test_the_first_run_reads_all_that_is_readable() -> None:
    assert plan(None).read == (Span(EDGE, NOW),)
    assert plan(None).asked == Span(EDGE, NOW)
    assert readable_from(NOW) == EDGE


def test_a_later_run_reads_from_the_covered_end_less_the_overlap() -> None:
    assert plan(known(Span(EDGE, NOW - DAY))).read == (Span(NOW - DAY - HOUR, NOW),)
    assert plan(known(Span(EDGE, NOW - DAY)), overlap=timedelta(0)).read == (Span(NOW - DAY, NOW),)


def test_the_overlap_reaches_no_further_than_what_is_covered_or_readable() -> None:
    assert plan(
        known(Span(NOW - 30 * timedelta(minutes=1), NOW - timedelta(minutes=10))), since=NOW - HOUR / 2
    ).read == (Span(NOW - HOUR / 2, NOW),)
    assert plan(known(Span(EDGE - DAY, EDGE + HOUR / 2))).read == (Span(EDGE, NOW),)


def test_nothing_is_read_where_all_is_covered() -> None:
    assert plan(known(Span(EDGE - DAY, NOW))).read == ()
    assert plan(known(Span(EDGE - DAY, NOW)), since=NOW - DAY).read == ()


def test_holes_are_read_each_with_its_overlap() -> None:
    coverage = known(Span(EDGE, NOW - 9 * DAY), Span(NOW - 8 * DAY, NOW - DAY))
    assert plan(coverage).read == (
        Span(NOW - 9 * DAY - HOUR, NOW - 8 * DAY),
        Span(NOW - DAY - HOUR, NOW),
    )


def test_what_is_asked_is_cut_to_what_is_readable_and_past() -> None:
    assert plan(None, since=NOW - 200 * DAY).asked == Span(EDGE, NOW)
    assert plan(None, until=NOW + DAY).asked == Span(EDGE, NOW)
    assert plan(None, since=2 * HOUR, until=HOUR).asked == Span(NOW - 2 * HOUR, NOW - HOUR)
    nothing = plan(None, since=NOW - 200 * DAY, until=NOW - 100 * DAY)
    assert (nothing.asked, nothing.read) == (None, ())


def test_what_fell_behind_the_edge_is_lost_once() -> None:
    end = EDGE - 10 * DAY
    coverage = known(Span(end - DAY, end))
    assert plan(coverage).unreadable == (Span(end, EDGE),)
    assert plan(coverage).read == (Span(EDGE, NOW),)
    again = known(Span(end - DAY, end), recorded=(Span(end, EDGE),))
    assert plan(again).unreadable == ()
    gap = Gap(span=Span(EDGE - DAY, EDGE + DAY), reason=GapReason.UNREAD)
    assert plan(known(Span(EDGE + DAY, NOW), gaps=(gap,))).unreadable == (Span(EDGE - DAY, EDGE),)


def test_the_edge_is_read_as_a_window_of_its_own() -> None:
    assert cut(Span(EDGE, NOW), EDGE + HOUR) == [Span(EDGE, EDGE + HOUR), Span(EDGE + HOUR, NOW)]
    assert cut(Span(EDGE, NOW), EDGE) == [Span(EDGE, NOW)]
    assert cut(Span(EDGE, NOW), NOW + DAY) == [Span(EDGE, NOW)]


@pytest.mark.parametrize(
    ("since", "until"),
    [(NOW - DAY, NOW - DAY), (NOW, NOW - DAY), (HOUR, DAY), (HOUR, NOW - DAY), (NOW - HOUR, DAY)],
)
def test_a_span_that_ends_before_it_begins_is_refused(since: Any, until: Any) -> None:
    with pytest.raises(UsageError, match="is not before --until"):
        check_order(request(since=since, until=until), NOW)


def test_the_future_is_refused() -> None:
    check_not_future(request(since=NOW - HOUR, until=NOW), NOW)
    check_not_future(request(since=HOUR, until=timedelta(0)), NOW)
    for asked in ({"since": NOW + HOUR}, {"until": NOW + HOUR}):
        with pytest.raises(UsageError, match="is in the future"):
            check_not_future(request(**asked), NOW)


def test_streams_come_region_by_region() -> None:
    streams = request(kinds=("api", "system"), regions=("b-b", "a-a")).streams
    assert [str(stream) for stream in streams] == ["api b-b", "system b-b", "api a-a", "system a-a"]


hours = st.integers(-100 * 24, 0).map(lambda hour: NOW + hour * HOUR)
spans = st.tuples(hours, hours).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: Span(*pair))


@given(st.lists(spans, max_size=5), st.none() | hours, st.none() | hours, st.integers(0, 48))
def test_a_plan_reads_every_hole_and_beyond_it_only_the_overlap(
    covered: list[Span], since: datetime | None, until: datetime | None, overlap: int
) -> None:
    joined = union(covered)
    made = plan(known(*joined), since=since, until=until, overlap=overlap * HOUR)
    if made.asked is None:
        assert made.read == ()
        return
    holes = subtract([made.asked], joined)
    assert subtract(holes, made.read) == []
    again = intersect(made.read, joined)
    assert all(any(span.end == hole.start for hole in holes) for span in again if span.end <= NOW) or not again
    assert all(span.length <= overlap * HOUR for span in again)
    assert all(span.start >= EDGE and span.end <= NOW for span in made.read)
    assert list(made.read) == union(made.read)
