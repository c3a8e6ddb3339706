"""The events of one stream that a batch has taken in and not committed: each held once, in parts that become rows."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.events import Arrival, Raws, identities_of, same_content
from trailkeep.store.segments import utc
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa

    from trailkeep.events import Columns, Reject
    from trailkeep.sync.window import Window

PART_EVENTS = 2_500
PART_BYTES = 4 * 1024 * 1024
"""So many events, or bytes of them, are read as rows in one go while the batch still fills."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some events, each the first version of its id that arrived."""

    first: int
    """The place of the first of them among all of the stream."""
    raws: Raws
    identities: pa.RecordBatch
    """As `trailkeep.events.identities_of` says; the bytes are those of `raws`."""
    columns: Columns

    def arrival(self, place: int) -> Arrival:
        """The event at a place among all of the stream."""
        index = place - self.first
        identities = self.identities
        return Arrival(self.raws[index], identities["id"][index].as_py(), utc(identities["recorded_at"][index]))


@dataclass(slots=True)
class Taken:
    """What has arrived of one stream."""

    places: dict[str, int] = field(default_factory=dict)
    """Each id's place, in the order of arrival."""
    parts: list[Part] = field(default_factory=list)
    """The first version of each, in that order, but for the last ones."""
    loose: list[Arrival] = field(default_factory=list)
    """Those that are in no part yet."""
    loose_bytes: int = 0
    others: list[Arrival] = field(default_factory=list)
    """Further versions with other content."""
    rejects: list[tuple[Reject, datetime]] = field(default_factory=list)
    claims: list[Span] = field(default_factory=list)
    repeated: int = 0
    """Events that came once more with the same content."""
    extents: dict[Window, Span] = field(default_factory=dict)
    """From the first to the last event of each window."""
    again: Span | None = None
    """From the first to the last event that a window sent no later than others which the run has committed: they may
    be the same ones."""

    @property
    def is_full(self) -> bool:
        """Whether it is time to make a part."""
        return len(self.loose) >= PART_EVENTS or self.loose_bytes >= PART_BYTES

    def take_in(self, arrivals: Sequence[Arrival]) -> None:
        """Sort a page's events into first versions, repeated ones, and others of the same id."""
        page = {arrival.id: arrival for arrival in arrivals}
        if len(page) < len(arrivals) or not self.places.keys().isdisjoint(page):
            page = {}
            for arrival in arrivals:
                first = self._first_of(arrival.id) or page.setdefault(arrival.id, arrival)
                if first is arrival:
                    continue
                versions = (first, *(each for each in self.others if each.id == arrival.id))
                if any(same_content(known.raw, arrival.raw) for known in versions):
                    self.repeated += 1
                else:
                    self.others.append(arrival)
        known = len(self.places)
        self.places.update(zip(page, range(known, known + len(page)), strict=True))
        self.loose += page.values()
        self.loose_bytes += sum(len(arrival.raw) for arrival in page.values())

    def note_extent(self, window: Window, arrivals: Sequence[Arrival]) -> None:
        """Keep in mind when the events were that a window sent, of which there are some."""
        self.extents[window] = _hull(self.extents.get(window), arrivals)
        if again := window.may_be_committed(list(arrivals)):
            self.again = _hull(self.again, again)

    def make_part(self, read: Callable[[Raws], Columns]) -> None:
        """Put the loose events, if there are any, into a part, whose columns `read` has read."""
        if not self.loose:
            return
        raws = Raws([arrival.raw for arrival in self.loose])
        first = len(self.places) - len(self.loose)
        self.parts.append(Part(first, raws, identities_of(self.loose, raws), read(raws)))
        self.loose, self.loose_bytes = [], 0

    def arrivals(self, ids: Collection[str]) -> Iterator[Arrival]:
        """The first versions of these ids, as far as they have arrived."""
        return (first for each in ids if (first := self._first_of(each)) is not None)

    def _first_of(self, identifier: str) -> Arrival | None:
        place = self.places.get(identifier)
        if place is None:
            return None
        sealed = len(self.places) - len(self.loose)
        if place >= sealed:
            return self.loose[place - sealed]
        number = bisect_right(self.parts, place, key=lambda part: part.first) - 1
        return self.parts[number].arrival(place)

    def let_go(self) -> None:
        """Hold no event any more: rows hold them."""
        for part in self.parts:
            part.columns.forget()
        self.places.clear()
        self.parts.clear()
        self.loose.clear()
        self.others.clear()
        self.rejects.clear()


def _hull(known: Span | None, arrivals: Iterable[Arrival]) -> Span:
    """From the first to the last of the events, and of the span that is known."""
    times = [arrival.recorded_at for arrival in arrivals]
    start, end = min(times), max(times) + timedelta(microseconds=1)
    return Span(min(start, known.start), max(end, known.end)) if known else Span(start, end)
