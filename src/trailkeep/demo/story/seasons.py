"""The calendar of working people: summer time, weekends, public holidays, and the empty weeks of the year."""

from __future__ import annotations

from datetime import date, timedelta

from trailkeep.demo.story.writer import DAY, HOUR

_HOLIDAYS = {(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25), (12, 26)}


def date_of(day: int) -> date:
    """The date of a day that begins at `day` (nanoseconds since 1970)."""
    return date(1970, 1, 1) + timedelta(days=day // DAY)


def is_off(day: int) -> bool:
    """Whether it is a weekend or a public holiday."""
    found = date_of(day)
    return found.weekday() >= 5 or (found.month, found.day) in _HOLIDAYS


def season(day: int) -> float:
    """Which share of the people is there at all: few in August and between the years."""
    found = date_of(day)
    if found.month == 8:
        return 0.55
    if (found.month, found.day) >= (12, 23) or (found.month, found.day) <= (1, 2):
        return 0.15
    return 1.0


def summer_time(day: int) -> int:
    """What clocks in Europe are ahead of winter, in nanoseconds: from the last Sunday of March to that of October."""
    found = date_of(day)
    begins, ends = (_last_sunday(found.year, month) for month in (3, 10))
    return HOUR if begins <= found < ends else 0


def _last_sunday(year: int, month: int) -> date:
    last = date(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)
