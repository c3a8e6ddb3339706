"""Events in the order of their times: insertion, late arrival, and search by time."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, insort
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})")
_ORDINAL_BITS = 32


def nanoseconds(text: str) -> int:
    """An RFC 3339 time as nanoseconds since 1970, further decimals cut; raises ValueError for other text."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    second = datetime.fromisoformat((match[1] + match[3]).upper())
    return int(second.timestamp()) * 10**9 + int((match[2] or "0")[:9].ljust(9, "0"))


def nanoseconds_of(moment: datetime) -> int:
    """An aware datetime as nanoseconds since 1970, without the rounding of a float."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def recorded_at_of(raw: bytes) -> int | None:
    """The time an event, or a record of IAM's log, carries, in nanoseconds; None where none can be read."""
    try:
        event: Any = json.loads(raw)
        return nanoseconds(event["recorded_at"] if "recorded_at" in event else event["created_at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


class Timeline:
    """The events of one stream by (time, order of arrival).

    A key is a single integer, the time in nanoseconds above the ordinal of arrival: it compares quickly, and
    is unique among all timelines whose ordinals come from one counter.
    """

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.rows: list[bytes] = []
        self.version = 0
        """Changes whenever the rows do."""
        self._late: list[tuple[int, int, bytes]] = []

    def load(self, times: Sequence[int], raws: Sequence[bytes], first_ordinal: int) -> None:
        """Fill an empty timeline with many events at once; `times` are nanoseconds, in any order."""
        keyed = [time << _ORDINAL_BITS | ordinal for ordinal, time in enumerate(times, first_ordinal)]
        if all(map(int.__le__, keyed, keyed[1:])):
            self.keys, self.rows = keyed, list(raws)
        else:
            order = sorted(range(len(keyed)), key=keyed.__getitem__)
            self.keys, self.rows = [keyed[at] for at in order], [raws[at] for at in order]
        self.version += 1

    def add(self, time: int, ordinal: int, raw: bytes, *, visible_at: int | None = None) -> None:
        """Put one event in its place, at once or when `reveal` reaches `visible_at` (nanoseconds)."""
        key = time << _ORDINAL_BITS | ordinal
        if visible_at is not None:
            insort(self._late, (visible_at, key, raw))
        else:
            self._insert(key, raw)

    def reveal(self, now: int) -> None:
        """Put in place what has become visible by `now`; a clock that goes back hides nothing again."""
        while self._late and self._late[0][0] <= now:
            _, key, raw = self._late.pop(0)
            self._insert(key, raw)

    def replace(self, event_id: str, raw: bytes) -> None:
        """Give the event with this id other bytes in its place; raises KeyError where it is not visible."""
        needle = event_id.encode()
        for at, row in enumerate(self.rows):
            if needle in row and json.loads(row).get("id") == event_id:
                self.rows[at] = raw
                self.version += 1
                return
        raise KeyError(event_id)

    def remove(self, event_id: str) -> None:
        """Take the event with this id out; raises KeyError where it is not visible."""
        needle = event_id.encode()
        for at, row in enumerate(self.rows):
            if needle in row and json.loads(row).get("id") == event_id:
                del self.keys[at], self.rows[at]
                self.version += 1
                return
        raise KeyError(event_id)

    def between(self, start: int, end: int) -> range:
        """The positions of the rows with ``start <= time < end``, in nanoseconds."""
        first = bisect_left(self.keys, max(start, 0) << _ORDINAL_BITS)
        return range(first, max(first, bisect_left(self.keys, max(end, 0) << _ORDINAL_BITS)))

    def matching(self, positions: range, accept: Callable[[bytes], bool]) -> list[int]:
        """Those of `positions` whose row `accept` takes, in the same order."""
        return [at for at in positions if accept(self.rows[at])]

    def _insert(self, key: int, raw: bytes) -> None:
        at = bisect_left(self.keys, key)
        self.keys.insert(at, key)
        self.rows.insert(at, raw)
        self.version += 1


def merged(parts: Iterable[tuple[str, Timeline]]) -> Timeline:
    """One timeline of all events, each wrapped as ``{"<name>": event}``."""
    wrapped = [
        (key, b'{"%s":%s}' % (name.encode(), row))
        for name, timeline in parts
        for key, row in zip(timeline.keys, timeline.rows, strict=True)
    ]
    wrapped.sort(key=lambda each: each[0])
    whole = Timeline()
    whole.keys = [key for key, _ in wrapped]
    whole.rows = [row for _, row in wrapped]
    return whole
