"""When something was so, as far as the versions of an object tell: spells of time, and what two of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One version of one object, as its table has it."""

    resource: str
    organization_id: str
    id: str
    change: str
    """``first``, ``changed``, ``gone`` or ``back``."""
    observed_at: datetime
    valid_from: datetime
    last_seen_at: datetime | None
    seq: int
    """The ledger entry that brought it: an object's versions follow each other in this order."""
    fields: Mapping[str, Any]
    """The table's other columns."""

    @property
    def is_there(self) -> bool:
        """Whether the object was listed."""
        return self.change != "gone"

    def text(self, name: str) -> str | None:
        """A column that holds text."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else None

    def moment(self, name: str) -> datetime | None:
        """A column that holds a time."""
        value: datetime | None = self.fields.get(name)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A half-open span of time in which something is known to have been so."""

    start: datetime
    not_before: datetime | None
    """It may have begun as early as this; `start` itself where that is known, None where nothing limits it."""
    end: datetime | None
    """None where it is so still."""
    last_seen: datetime | None
    """The last look that showed it, where the end was only noticed at a later one."""

    def at(self, moment: datetime) -> str | None:
        """``known`` where it was so at the moment, ``earliest`` where it may have been, else None."""
        if self.end is not None and moment >= self.end:
            return None
        if moment >= self.start:
            return "known"
        return "earliest" if self.not_before is None or self.not_before <= moment else None


def spells_where(rows: Sequence[Row], holds: Callable[[Row], bool]) -> list[Spell]:
    """The spells in which one object was there and `holds` of its version, in order; `rows` are all its versions."""
    spells: list[Spell] = []
    begun: Row | None = None
    for place, row in enumerate(rows):
        so = row.is_there and holds(row)
        if so and begun is None:
            begun, first = row, place == 0
        elif not so and begun is not None:
            spells.append(_spell(begun, row, first=first))
            begun = None
    if begun is not None:
        spells.append(_spell(begun, None, first=first))
    return spells


def shared(some: Iterable[Spell], others: Sequence[Spell]) -> list[Spell]:
    """The spells in which both were so. Each list's own spells follow each other without touching."""
    both: list[Spell] = []
    for one in some:
        for other in others:
            start = max(one.start, other.start)
            ending = min((one, other), key=lambda spell: (spell.end is None, spell.end or spell.start))
            if ending.end is not None and ending.end <= start:
                continue
            both.append(
                Spell(
                    start=start,
                    not_before=_later(one.not_before, other.not_before),
                    end=ending.end,
                    last_seen=ending.last_seen,
                )
            )
    return sorted(both, key=lambda spell: spell.start)


def state_at(spells: Iterable[Spell], moment: datetime) -> str | None:
    """``known``, ``earliest`` or None: the best that a spell says of the moment."""
    states = {spell.at(moment) for spell in spells}
    return "known" if "known" in states else "earliest" if "earliest" in states else None


def version_at(rows: Sequence[Row], moment: datetime) -> Row | None:
    """The version that was valid at the moment; before the first, that one, unless the object was made later."""
    valid = [row for row in rows if row.valid_from <= moment]
    if valid:
        return valid[-1]
    first = rows[0]
    created = first.moment("created_at")
    return first if created is None or created <= moment else None


def _spell(begun: Row, ended: Row | None, *, first: bool) -> Spell:
    created = begun.moment("created_at")
    # What an object's first version says may have been so since it was made.
    not_before = begun.valid_from if not first else created and min(created, begun.valid_from)
    return Spell(
        start=begun.valid_from,
        not_before=not_before,
        end=None if ended is None else ended.valid_from,
        last_seen=ended.last_seen_at if ended is not None and not ended.is_there else None,
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
