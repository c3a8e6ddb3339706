"""What a statement asks of each event table, as far as it says which files can hold rows of any use to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from trailkeep.store import LiveFile

MAX_BOXES = 16
"""How many alternatives are kept apart; more of them become one that takes all that any of them does."""

RESOURCE_IDS = "resource_ids"
"""What stands for the ids of an event's resources among the columns."""

RESOURCE = "resource"
"""What stands for one resource of an event."""

LOGIN_USER = "user_id"
"""What stands for the user of a login, who is one of its resources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What a condition leaves of a column of texts; NULL is none of them."""

    among: frozenset[str] | None = None
    """None for any. Of `RESOURCE_IDS` one of the event's must be among them."""
    least: str | None = None
    before: str | None = None
    """From `least` on and before `before`, in the order of code points, which is the engine's."""

    def takes(self, text: str) -> bool:
        """Whether the condition may hold for `text`."""
        return (
            (self.among is None or text in self.among)
            and (self.least is None or self.least <= text)
            and (self.before is None or text < self.before)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One alternative: a row that is of use to it meets all of this. With nothing in it, it takes every row."""

    since: datetime | None = None
    until: datetime | None = None
    """The time of the row, from `since` on and before `until`; None for any."""
    texts: Mapping[str, Texts] = field(default_factory=dict)
    """By the column's or the partition key's stored name."""

    def takes_file(self, file: LiveFile) -> bool:
        """Whether the file may hold a row that the box takes."""
        return (
            (self.since is None or file.last >= self.since)
            and (self.until is None or file.first < self.until)
            and self.takes_partition(file.partition)
        )

    def takes_partition(self, partition: Mapping[str, str]) -> bool:
        """Whether a row of the partition may be taken."""
        return all(texts.takes(partition[key]) for key, texts in self.texts.items() if key in partition)


Boxes = tuple[Box, ...]
"""Alternatives: a row is of use where any of them takes it. Without one no row is."""

EVERYTHING: Boxes = (Box(),)

Conditions = dict[str, Boxes]
"""By the name of the stored table; a table that is not among them is read whole."""


def takes_file(boxes: Boxes, file: LiveFile) -> bool:
    """Whether a file may hold a row of use."""
    return any(box.takes_file(file) for box in boxes)


def both(left: Boxes, right: Boxes) -> Boxes:
    """What meets a condition of each."""
    met = [box for one in left for other in right if (box := _both(one, other)) is not None]
    return _fewer(met)


def either(several: Iterable[Boxes]) -> Boxes:
    """What meets a condition of any."""
    return _fewer([box for boxes in several for box in boxes])


def hull(boxes: Boxes) -> Box:
    """The box that takes whatever one of `boxes`, at least one, does."""
    since = None if any(box.since is None for box in boxes) else min(box.since for box in boxes if box.since)
    until = None if any(box.until is None for box in boxes) else max(box.until for box in boxes if box.until)
    common = set[str].intersection(*(set(box.texts) for box in boxes))
    texts = {name: _any_of([box.texts[name] for box in boxes]) for name in sorted(common)}
    return Box(since=since, until=until, texts=texts)


def _any_of(several: Sequence[Texts]) -> Texts:
    sets = [each.among for each in several]
    least = [each.least for each in several]
    before = [each.before for each in several]
    return Texts(
        among=None if None in sets else frozenset[str]().union(*(each for each in sets if each is not None)),
        least=None if None in least else min(each for each in least if each is not None),
        before=None if None in before else max(each for each in before if each is not None),
    )


def _fewer(boxes: list[Box]) -> Boxes:
    unique = [box for at, box in enumerate(boxes) if box not in boxes[:at]] if len(boxes) <= MAX_BOXES**2 else boxes
    if any(box == Box() for box in unique):
        return EVERYTHING
    return (hull(tuple(unique)),) if len(unique) > MAX_BOXES else tuple(unique)


def _both(one: Box, other: Box) -> Box | None:
    """The box of the rows that both take; None where there can be none."""
    since = max(filter(None, (one.since, other.since)), default=None)
    until = min(filter(None, (one.until, other.until)), default=None)
    if since is not None and until is not None and since >= until:
        return None
    texts = dict(one.texts)
    for name, more in other.texts.items():
        texts[name] = _all_of(name, texts[name], more) if name in texts else more
        if texts[name].among is not None and not texts[name].among:
            return None
    return Box(since=since, until=until, texts=texts)


def _all_of(name: str, one: Texts, other: Texts) -> Texts:
    if name == RESOURCE_IDS:
        # An event has several: one of them may meet the one condition, and another the other.
        return one if one.among is not None else other
    among = one.among if other.among is None else other.among if one.among is None else one.among & other.among
    return Texts(
        among=among,
        least=max(filter(None, (one.least, other.least)), default=None),
        before=min((each for each in (one.before, other.before) if each is not None), default=None),
    )
