"""Spans are sets of moments, and every way of writing a time is either read exactly or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trailkeep.timespan import (
    Span,
    format_age,
    format_time,
    intersect,
    month_of,
    parse_age,
    parse_moment,
    parse_time,
    span_or_none,
    subtract,
    union,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)

hours = st.integers(0, 20)
spans = st.tuples(hours, hours).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: span(*pair))
span_lists = st.lists(spans, max_size=8)
moments = st.datetimes(timezones=st.just(UTC))


def span(start: int, end: int) -> Span:
    return Span(EPOCH + start * HOUR, EPOCH + end * HOUR)


def held(some: Iterable[Span]) -> set[int]:
    """The hours that spans of whole hours hold."""
    return {hour for hour in range(21) if any(EPOCH + hour * HOUR in each for each in some)}


def is_normal(some: list[Span]) -> bool:
    return all(former.end < latter.start for former, latter in pairwise(some))


@given(span_lists)
def test_a_union_holds_the_same_moments_in_the_fewest_spans(some: list[Span]) -> None:
    joined = union(some)
    assert held(joined) == held(some)
    assert is_normal(joined)
    assert union(joined) == joined


@given(span_lists, span_lists)
def test_subtraction_and_intersection_are_those_of_sets(some: list[Span], others: list[Span]) -> None:
    assert held(subtract(some, others)) == held(some) - held(others)
    assert held(intersect(some, others)) == held(some) & held(others)
    assert is_normal(subtract(some, others))
    assert is_normal(intersect(some, others))
    assert union([*subtract(some, others), *intersect(some, others)]) == union(some)


@given(spans, spans)
def test_the_intersection_of_two_spans_is_a_span_or_nothing(one: Span, other: Span) -> None:
    both = one.intersection(other)
    assert held([both] if both else []) == held([one]) & held([other])


def test_a_span_is_half_open_and_never_empty() -> None:
    assert EPOCH in span(0, 1)
    assert EPOCH + HOUR not in span(0, 1)
    with pytest.raises(ValueError, match="not before its end"):
        span(1, 1)
    assert span_or_none(EPOCH, EPOCH) is None
    assert str(span(0, 1)) == "2026-01-01T00:00:00.000000Z to 2026-01-01T01:00:00.000000Z"


@given(moments)
@example(datetime(1, 1, 1, tzinfo=UTC))
@example(datetime(999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
@example(datetime.max.replace(tzinfo=UTC))
def test_what_is_written_reads_back(moment: datetime) -> None:
    text = format_time(moment)
    assert parse_moment(text) == moment
    assert len(text) == 27
    assert month_of(moment) == text[:7]


@given(moments, moments)
def test_written_times_sort_as_the_times_do(one: datetime, other: datetime) -> None:
    assert (format_time(one) < format_time(other)) == (one < other)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2025-12-31T18:22:20.513444701Z", 513444),
        ("2025-12-31T18:22:20.9999999999Z", 999999),
        ("2025-12-31T18:22:20Z", 0),
        ("2025-12-31T18:22:20.1Z", 100000),
        ("2025-12-31t18:22:20.25z", 250000),
        ("2025-12-31 18:22:20+00:00", 0),
        ("2025-12-31T20:22:20.5+02:00", 500000),
        ("2025-12-31T13:22:20.513444999-05:00", 513444),
    ],
)
def test_decimals_are_cut_and_offsets_applied(text: str, microsecond: int) -> None:
    assert parse_moment(text) == datetime(2025, 12, 31, 18, 22, 20, microsecond, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-12-31",
        "2025-12-31T18:22:20",
        "2025-12-31T18:22Z",
        "2025-12-31T18:22:20,5Z",
        "2025-13-31T18:22:20Z",
        "2025-12-31T18:22:60Z",
        "2025-12-31T18:22:20.5+0100Z",
        "2025-12-31T18:22:20 Z",
        " 2025-12-31T18:22:20Z",
        "2025-12-31T18:22:20Z\n",
        "2025-12-31T18:22:20+99:99",
        "٢٠٢٥-12-31T18:22:20Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an RFC 3339 time|must be |outside the years|Invalid isoformat"):
        parse_moment(text)


@given(st.text(alphabet="0123456789-:TtZz+. \ud800٣", max_size=35))
def test_garbage_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        assert parse_moment(text).tzinfo is UTC
    except ValueError:
        return


@given(moments.filter(lambda moment: 1 < moment.year < 9999), st.integers(-23 * 60, 23 * 60))
def test_every_offset_is_the_same_moment(moment: datetime, minutes: int) -> None:
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_moment(there.isoformat()) == moment


@given(st.integers(0, 10_000_000))
def test_ages_read_back(seconds: int) -> None:
    assert parse_age(format_age(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90d", timedelta(days=90)),
        (" 12 h ", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("2w", timedelta(weeks=2)),
        ("1y", timedelta(days=365)),
    ],
)
def test_ages_are_read(text: str, length: timedelta) -> None:
    assert parse_age(text) == length


@pytest.mark.parametrize("text", ["", "d", "-1d", "1.5h", "90", "90 days", "1M", "9" * 30 + "y", "9" * 5000 + "d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a length of time|longer than time itself|Exceeds the limit"):
        parse_age(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("90d", NOW - timedelta(days=90)),
        (" 30m ", NOW - timedelta(minutes=30)),
        ("2026-01-31T12:00:00+01:00", datetime(2026, 1, 31, 11, tzinfo=UTC)),
    ],
)
def test_users_write_times_in_four_ways(text: str, moment: datetime) -> None:
    assert parse_time(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-30", "2026-01-31T12:00:00", "9999y", "99999999999d", "0001-01-01T00:00:00+01:00"],
)
def test_other_ways_are_refused_with_the_accepted_ones(text: str) -> None:
    with pytest.raises(ValueError, match="write 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 90d"):
        parse_time(text, NOW)
