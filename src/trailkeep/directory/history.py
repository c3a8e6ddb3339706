"""Every version of every object of the directory, read from the archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trailkeep.directory.spells import Row
from trailkeep.schema import DIRECTORY, DIRECTORY_TABLES
from trailkeep.store import read_segment
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trailkeep.seal import DirectoryRecord
    from trailkeep.store import Archive, Ledger

_ROWS_AT_ONCE = 5_000
_OWN = frozenset({"id", "change", "observed_at", "valid_from", "last_seen_at", "ledger_seq"})
_TEXTS = frozenset({"raw", "rules_raw"})
"""Columns that say again what the others say."""

PEOPLE = ("users", "applications", "groups", "api_keys", "policies", "ssh_keys", "projects")
"""The lists that tell who somebody is and what they may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The directory as it was from the first look to the last."""

    lists: dict[tuple[str, str], dict[str, list[Row]]] = field(default_factory=dict)
    """By Organization and resource, each object's versions in order, by its id."""
    looks: list[DirectoryRecord] = field(default_factory=list)
    """Of each list the first look that read it whole, the last that did and the last of all, in this order."""

    def of(self, resource: str, organization_id: str) -> Iterable[list[Row]]:
        """The versions of every object of a list."""
        return self.lists.get((organization_id, resource), {}).values()

    def rows(self, resource: str, organization_id: str, identifier: str | None) -> list[Row]:
        """The versions of one object; none where it was never seen."""
        return self.lists.get((organization_id, resource), {}).get(identifier or "", [])

    def everywhere(self, resource: str) -> Iterator[list[Row]]:
        """The versions of every object of these lists of all Organizations."""
        for (_organization, kind), objects in self.lists.items():
            if kind == resource:
                yield from objects.values()


def read_history(archive: Archive, ledger: Ledger, resources: Iterable[str] = PEOPLE) -> History:
    """All versions in the live files of these lists. Raises ArchiveDamaged."""
    found: list[Row] = []
    for resource in resources:
        for file in ledger.files(f"{DIRECTORY}/{resource}"):
            columns = [name for name in DIRECTORY_TABLES[file.table].arrow_schema.names if name not in _TEXTS]
            for batch in read_segment(archive.locate(file), columns).to_batches(max_chunksize=_ROWS_AT_ONCE):
                found += [_row(resource, file.partition["organization_id"], values) for values in batch.to_pylist()]
    looks = [look for looks in ledger.looks.values() for look in looks.records()]
    return history_of(found, looks)


def history_of(rows: Iterable[Row], looks: Iterable[DirectoryRecord] = ()) -> History:
    """The rows, object by object; `looks` at each list in the ledger's order."""
    lists: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in sorted(rows, key=lambda row: (row.organization_id, row.resource, row.id, row.seq, row.valid_from)):
        lists.setdefault((row.organization_id, row.resource), {}).setdefault(row.id, []).append(row)
    return History(lists=lists, looks=list(looks))


def unknowns(history: History, organization_id: str, moment: datetime) -> list[str]:
    """What the looks at the lists leave open about a moment, a sentence each."""
    said: list[str] = []
    for resource in PEOPLE:
        looks = [look for look in history.looks if (look.organization_id, look.resource) == (organization_id, resource)]
        whole = [parse_moment(look.at) for look in looks if look.outcome == "read"]
        name = resource.replace("_", " ")
        if not looks:
            said.append(f"{name}: never asked for")
        elif not whole:
            said.append(f"{name}: never read in full ({_outcome(looks[-1])})")
        elif whole[0] > moment:
            said.append(f"{name}: first read at {_shown(whole[0])}, later than that: the earliest known is shown")
        elif looks[-1].outcome != "read" and moment > whole[-1]:
            said.append(f"{name}: last read in full at {_shown(whole[-1])}, since then {_outcome(looks[-1])}")
    return said


def _outcome(look: DirectoryRecord) -> str:
    return f"{look.outcome.replace('_', ' ')}{f', {look.status}' if look.status else ''}"


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _row(resource: str, organization_id: str, values: dict[str, Any]) -> Row:
    known = {name: _aware(value) for name, value in values.items()}
    return Row(
        resource=resource,
        organization_id=organization_id,
        id=known["id"],
        change=known["change"],
        observed_at=known["observed_at"],
        valid_from=known["valid_from"],
        last_seen_at=known["last_seen_at"],
        seq=known["ledger_seq"],
        fields={name: value for name, value in known.items() if name not in _OWN},
    )


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
