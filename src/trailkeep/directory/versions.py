"""The rules by which sights of a list become versions of its objects; without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from trailkeep.directory.objects import (
    Seen,
    fields_of,
    moment_of,
    moments_or_nulls,
    rows_of_objects,
    same_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trailkeep.directory.held import Version

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """When a list was looked at, and when it had been before, by the API's clock."""

    at: datetime
    """When its last answer came."""
    looked_at: datetime | None = None
    """When the last look before began that read the whole list and is in the ledger; None where there was none."""
    listed_at: datetime | None = None
    """When that look ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A new row: how an object is from `valid_from` on."""

    change: str
    """``first``, ``changed``, ``gone`` or ``back``."""
    seen: Seen
    """For ``gone``, as it was seen last."""
    observed_at: datetime
    valid_from: datetime
    last_seen_at: datetime | None = None


def changes(
    resource: str,
    held: Mapping[str, Version],
    seen: Mapping[str, Seen],
    observation: Observation,
    *,
    whole: bool,
) -> Iterator[Change]:
    """What a look at a list changes, given the newest version that is held of each object.

    That an object is not in `seen` says something only where the list was read in full (`whole`). Every new version
    starts after the one before it.
    """
    for identifier, now in seen.items():
        before = held.get(identifier)
        if before is None:
            change = Change(
                change="first", seen=now, observed_at=observation.at, valid_from=_first_valid_from(now, observation.at)
            )
        elif before.change == "gone":
            change = _change("back", before, now, _back_from(before, now, observation), observation)
        elif not same_version(resource, before.seen, now):
            change = _change("changed", before, now, _changed_from(before, now, observation), observation)
        else:
            continue
        yield change
    if not whole:
        return
    for identifier, before in held.items():
        if identifier in seen or before.change == "gone":
            continue
        last_seen_at = max(before.observed_at, observation.listed_at or before.observed_at)
        yield _change("gone", before, before.seen, observation.at, observation, last_seen_at=last_seen_at)


def rows_of_changes(resource: str, made: Sequence[Change]) -> pa.Table:
    """The rows of the resource's table, without ``ledger_seq``."""
    rows = rows_of_objects(resource, [each.seen for each in made])
    columns = {
        "observed_at": moments_or_nulls([each.observed_at for each in made]),
        "valid_from": moments_or_nulls([each.valid_from for each in made]),
        "last_seen_at": moments_or_nulls([each.last_seen_at for each in made]),
        "change": pa.array([each.change for each in made], pa.string()),
    }
    for name, column in columns.items():
        rows = rows.append_column(name, column)
    return rows


def _change(
    change: str,
    before: Version,
    seen: Seen,
    valid_from: datetime,
    observation: Observation,
    *,
    last_seen_at: datetime | None = None,
) -> Change:
    return Change(
        change=change,
        seen=seen,
        observed_at=observation.at,
        # Two looks in one second of the API's clock, or a clock set back, must not turn the order round.
        valid_from=max(valid_from, before.valid_from + _MICROSECOND),
        last_seen_at=last_seen_at,
    )


def _first_valid_from(seen: Seen, observed_at: datetime) -> datetime:
    """Since when an object is as it is seen first: since its last update, which most often made it."""
    fields = fields_of(seen)
    created, updated = moment_of(fields.get("created_at")), moment_of(fields.get("updated_at"))
    known = updated if created is None or (updated is not None and updated > created) else created
    return known if known is not None and known <= observed_at else observed_at


def _changed_from(before: Version, seen: Seen, observation: Observation) -> datetime:
    """When an object became what it is now: its update, where that explains the change."""
    updated = moment_of(fields_of(seen).get("updated_at"))
    # An update that had been seen before did not make this change, and one that was looked past did not either.
    if updated is None or updated == moment_of(fields_of(before.seen).get("updated_at")):
        return observation.at
    looked_at = observation.looked_at or before.observed_at
    return updated if max(looked_at, before.valid_from) < updated <= observation.at else observation.at


def _back_from(before: Version, seen: Seen, observation: Observation) -> datetime:
    """When an object that had gone came back: its creation or last update, where they lie after it was missed."""
    missed_at = max(before.observed_at, before.valid_from)
    fields = fields_of(seen)
    known = [moment_of(fields.get(name)) for name in ("created_at", "updated_at")]
    after = [moment for moment in known if moment is not None and missed_at < moment <= observation.at]
    return max(after, default=observation.at)
