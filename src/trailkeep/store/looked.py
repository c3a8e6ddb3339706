"""What the ledger says about looking: at the lists of the directory, and of detections at events; both folded."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from trailkeep.seal import DirectoryRecord  # noqa: TC001 - msgspec reads the annotations
from trailkeep.store import layout
from trailkeep.store.claims import moment_of
from trailkeep.timespan import month_of

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.seal import DetectRecord, Entry

KEPT_CLAIMS = 4
"""So many claims of each detection are kept, the newest. What is forgotten is looked at again, and nothing told twice.
"""

KEPT_STEPS = 1024
"""So many entries back it is known by the entry what came since, and before that by the month."""

_MOVING = frozenset({"compact", "purge", "repair"})
"""Operations whose files hold rows that were there before."""


class ListLooks(msgspec.Struct, kw_only=True):
    """The looks at one list of the directory that tell something: the others were like one of these."""

    last: DirectoryRecord
    """The newest, whatever came of it."""
    first_whole: DirectoryRecord | None = None
    """The first that read the whole list."""
    whole: DirectoryRecord | None = None
    """The newest that did."""

    def records(self) -> list[DirectoryRecord]:
        """Each of them once, in the ledger's order."""
        found = [each for each in (self.first_whole, self.whole, self.last) if each is not None]
        return [each for index, each in enumerate(found) if index == 0 or each != found[index - 1]]


Looks = dict[tuple[str, str, "str | None"], ListLooks]
"""By Organization, list and region; None for a list that is the same everywhere."""


def note_look(looks: Looks, record: DirectoryRecord) -> None:
    """Take in one more look at a list."""
    key = (record.organization_id, record.resource, record.region)
    known = looks.get(key)
    if known is None:
        known = looks[key] = ListLooks(last=record)
    known.last = record
    if record.outcome == "read":
        known.first_whole = known.first_whole or record
        known.whole = record


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a detection has seen."""

    digest: str
    until: datetime
    seq: int
    """Of the ledger's entries, the newest that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """As much of an entry as `Seen` asks for."""

    seq: int
    firsts: list[tuple[str, str]]
    """The table and the first moment of each file with rows that were not there before."""
    detect: DetectRecord | None


def brought_by(entry: Entry) -> Brought | None:
    """What of an entry `Seen` takes in; None where that is nothing."""
    firsts: list[tuple[str, str]] = []
    if entry.operation not in _MOVING:
        firsts = [(layout.split_segment_path(record.path)[0], record.first) for record in entry.files_added]
    if not firsts and entry.detect is None:
        return None
    return Brought(seq=entry.seq, firsts=firsts, detect=entry.detect)


@dataclass(slots=True)
class Seen:
    """What detections have seen, and the moments that newer entries brought events or versions of."""

    claims: dict[str, list[Claim]] = field(default_factory=dict)
    """By the detection's name, the oldest first."""
    steps: list[tuple[int, datetime]] = field(default_factory=list)
    """Entries with the earliest moment that they or any later one brought, in ascending order of both."""

    def append(self, brought: Brought) -> None:
        """Take in one more entry."""
        from trailkeep.schema import DIRECTORY_TABLES, EVENT_TABLES

        tables = {table.name for table in EVENT_TABLES.values()} | DIRECTORY_TABLES.keys()
        firsts = [moment_of(first) for table, first in brought.firsts if table in tables]
        if firsts:
            first = min(firsts)
            while self.steps and self.steps[-1][1] >= first:
                self.steps.pop()
            self.steps.append((brought.seq, first))
            if len(self.steps) >= 2 * KEPT_STEPS:
                self.steps = [*_by_month(self.steps[:-KEPT_STEPS]), *self.steps[-KEPT_STEPS:]]
        if brought.detect is not None:
            until = moment_of(brought.detect.end)
            for name, digest in brought.detect.looked.items():
                known = self.claims.setdefault(name, [])
                known.append(Claim(digest=digest, until=until, seq=brought.detect.head))
                del known[:-KEPT_CLAIMS]

    def earliest_since(self, seq: int) -> datetime | None:
        """The earliest moment of which entries after `seq` brought something, or one before it; None for none."""
        index = bisect_right(self.steps, seq, key=itemgetter(0))
        return self.steps[index][1] if index < len(self.steps) else None


def _by_month(steps: list[tuple[int, datetime]]) -> list[tuple[int, datetime]]:
    """One step for each month: its last entry, with its earliest moment."""
    months = [list(some) for _month, some in groupby(steps, key=lambda step: month_of(step[1]))]
    return [(some[-1][0], some[0][1]) for some in months]
