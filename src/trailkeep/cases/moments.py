"""Moments and lengths of time as case files write them: most often a time of one day, or of a day around it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from trailkeep.timespan import format_time, parse_time

DAY = datetime(2026, 3, 2, tzinfo=UTC)
"""What ``10:00`` is a time of: a Monday."""

NOW = datetime(2026, 4, 1, tzinfo=UTC)
SINCE, UNTIL = "2026-03-01", "2026-04-01"
"""What a case asks about unless it says otherwise."""

WANTED = '"10:00", "10:00:00.000001", "+1d 10:00", a date, or 2026-03-02T10:00:00Z'

_OF_DAY = re.compile(r"(?:([+-]\d{1,5})d )?([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6}))?)?")
_LENGTH = re.compile(r"(\d{1,15})(us|ms|s|m|h|d)")
_UNITS = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def is_of_day(text: str) -> bool:
    """Whether a text is a time of day, or one of some days before or after."""
    return _OF_DAY.fullmatch(text) is not None


def moment(text: object) -> datetime:
    """The moment that a text means. Raises ValueError for anything else."""
    if not isinstance(text, str) or text == "now":
        raise ValueError(f"{text!r} is no time: write {WANTED}")
    if match := _OF_DAY.fullmatch(text):
        days, hours, minutes, seconds, fraction = match.groups(default="0")
        try:
            return DAY + timedelta(
                days=int(days),
                hours=int(hours),
                minutes=int(minutes),
                seconds=int(seconds),
                microseconds=int(fraction.ljust(6, "0")),
            )
        except OverflowError:
            raise ValueError(f"{text!r} is outside the years that can be told") from None
    return parse_time(text, NOW)


def as_sent(text: object) -> str:
    """The moment as the API would write it; with all its decimals where it is written out. Raises ValueError."""
    found = moment(text)
    return text if isinstance(text, str) and "T" in text else format_time(found)


def length(text: object) -> timedelta:
    """The length of time that a text means. Raises ValueError for anything else."""
    match = _LENGTH.fullmatch(text) if isinstance(text, str) else None
    try:
        return int(match[1]) * _UNITS[match[2]] if match else _no_length(text)
    except OverflowError:
        return _no_length(text)


def _no_length(text: object) -> timedelta:
    raise ValueError(f"{text!r} is no length of time such as 1us, 10s, 15m, 12h or 2d")
