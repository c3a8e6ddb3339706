"""What the archive holds of the directory: the newest version of each object, and when each list was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trailkeep.directory.objects import Seen
from trailkeep.schema import DIRECTORY, DIRECTORY_TABLES
from trailkeep.store import read_segment
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trailkeep.seal import DirectoryRecord
    from trailkeep.store import Archive, Ledger

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One row of the directory: an object from `valid_from` on."""

    seen: Seen
    """The object; as it was seen last where `change` is ``gone``."""
    change: str
    observed_at: datetime
    valid_from: datetime
    seq: int
    """The ledger entry that brought it: an object's versions follow each other in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The looks at one list that the ledger knows of."""

    last: DirectoryRecord
    """The newest, whatever came of it."""
    whole: DirectoryRecord | None
    """The newest that read the whole list."""


def read_versions(
    archive: Archive, ledger: Ledger, resource: str, organization_id: str, *, at: datetime | None = None
) -> dict[str, Version]:
    """Each object's newest version, or the one that was valid at `at`, by id; what is gone is among them."""
    table = DIRECTORY_TABLES[f"{DIRECTORY}/{resource}"]
    wanted = ["id", "raw", "change", "observed_at", "valid_from", "ledger_seq"]
    wanted += [name for name in ("rules_raw", "region") if name in table.arrow_schema.names]
    newest: dict[str, Version] = {}
    for file in sorted(ledger.files(table.name, organization_id=organization_id), key=lambda file: file.seq):
        for batch in read_segment(archive.locate(file), wanted).to_batches(max_chunksize=_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                known = newest.get(row["id"])
                valid_from = row["valid_from"].replace(tzinfo=UTC)
                if (known is not None and known.seq > row["ledger_seq"]) or (at is not None and valid_from > at):
                    continue
                rules_raw: str | None = row.get("rules_raw")
                newest[row["id"]] = Version(
                    seen=Seen(
                        id=row["id"],
                        raw=row["raw"].encode(),
                        rules_raw=None if rules_raw is None else rules_raw.encode(),
                        region=row.get("region"),
                    ),
                    change=row["change"],
                    observed_at=row["observed_at"].replace(tzinfo=UTC),
                    valid_from=valid_from,
                    seq=row["ledger_seq"],
                )
    return newest


def last_looks(ledger: Ledger, organization_id: str) -> dict[tuple[str, str | None], Look]:
    """The newest looks at each list of an Organization, by resource and region."""
    return {
        (resource, region): Look(last=looks.last, whole=looks.whole)
        for (organization, resource, region), looks in ledger.looks.items()
        if organization == organization_id
    }


def looked_at(looks: Iterable[Look]) -> datetime | None:
    """When anything of the directory was looked at last, by the API's clock."""
    return max((parse_moment(look.last.at) for look in looks), default=None)
