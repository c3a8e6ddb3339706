"""When a value was first and last seen, by the index alone; where a segment has none, by its rows."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from trailkeep.errors import ArchiveDamaged
from trailkeep.pivots.file import Unusable
from trailkeep.pivots.hashing import Hasher
from trailkeep.pivots.kinds import COLUMNS
from trailkeep.pivots.opened import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trailkeep.pivots.file import Occurrence
    from trailkeep.pivots.narrowing import Record

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH_ROWS = 65_536


class File(Protocol):
    """A live file."""

    @property
    def record(self) -> Record:
        """What the ledger says of it."""

    @property
    def table(self) -> str:
        """Whose rows it has."""

    @property
    def partition(self) -> Mapping[str, str]:
        """What all of its rows have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """When a value occurs as what it is, in the events of one kind of one Organization."""

    value: str
    kind: str
    """What the value is: one of `kinds.KINDS`."""
    table: str
    organization_id: str
    first: datetime
    last: datetime
    events: int


@dataclass(slots=True)
class Seen:
    """All sightings of some values, and what was read for them."""

    sightings: list[Sighting]
    from_index: int
    """Files of which the index told."""
    from_rows: int
    """Files whose rows were read, since they have no index that can be used."""


_Key = tuple[str, str, str, str]


def seen(cache: Path, archive_id: str, files: Iterable[tuple[File, Callable[[], Path]]], values: Sequence[str]) -> Seen:
    """When each of `values` occurs in `files`, each with what tells where it lies.

    Raises ArchiveDamaged for a file that has no index and cannot be read. The index compares hashes of 56 bits: with n
    values in it, it takes another value for one that is asked for with a probability of n / 2**56.
    """
    hasher = Hasher(archive_id)
    hashes = {value: hasher.of(value) for value in values}
    found: dict[_Key, list[Occurrence]] = defaultdict(list)
    outcome = Seen([], 0, 0)
    for file, locate in files:
        if file.table not in COLUMNS:
            continue
        organization = file.partition.get("organization_id", "")
        try:
            occurrences = _by_index(cache, archive_id, file, hashes)
            outcome.from_index += 1
        except (OSError, Unusable):
            occurrences = list(_by_rows(locate(), file, values))
            outcome.from_rows += 1
        for value, kind, occurrence in occurrences:
            found[value, kind, file.table, organization].append(occurrence)
    for (value, kind, table, organization), each in sorted(found.items()):
        first, last = min(one[0] for one in each), max(one[1] for one in each)
        outcome.sightings.append(
            Sighting(
                value=value,
                kind=kind,
                table=table,
                organization_id=organization,
                first=_EPOCH + timedelta(microseconds=first),
                last=_EPOCH + timedelta(microseconds=last),
                events=sum(one[2] for one in each),
            )
        )
    return outcome


def _by_index(cache: Path, archive_id: str, file: File, hashes: Mapping[str, int]) -> list[tuple[str, str, Occurrence]]:
    index, descriptor = opened(str(cache), archive_id, file.table, file.record.sha256, file.record.rows)
    try:
        return [
            (value, kind, occurrence)
            for value, hashed in hashes.items()
            for kind in sorted(set(COLUMNS[file.table].values()))
            for occurrence in index.find(descriptor, kind, hashed)
        ]
    finally:
        os.close(descriptor)


def _by_rows(path: Path, file: File, values: Sequence[str]) -> Iterator[tuple[str, str, Occurrence]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from trailkeep.pivots.occurrences import batches, values_of

    wanted = pa.array(values, pa.string())
    try:
        for rows in batches(path, file.table, _BATCH_ROWS):
            times = rows["recorded_at"].cast(pa.int64())
            for column, kind in COLUMNS[file.table].items():
                held, where = values_of(rows, column)
                held = held.cast(pa.string())
                hits = pc.indices_nonzero(pc.is_in(held, value_set=wanted, skip_nulls=True))
                at = hits if where is None else where.take(hits)
                # An event that names a value twice is one event.
                hit = {
                    (str(value), int(str(row)))
                    for value, row in zip(held.take(hits).to_pylist(), at.to_pylist(), strict=True)
                }
                for value, row in sorted(hit):
                    time = int(str(times[row]))
                    yield value, kind, (time, time, 1)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ArchiveDamaged(
            f"{file.record.path} cannot be read: {error}",
            hint="Run `trailkeep repair --from DIR` with a copy of the archive; the file's SHA-256 is in the ledger.",
        ) from error
