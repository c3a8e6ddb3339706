"""Archives and events to measure with: the story's company at work for months, as many events as are asked for.

Each month is told apart, so that memory holds one month at a time. People, applications and projects are the same in
all of them; what is made and deleted within a month gets other ids in each.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import re
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trailkeep.demo.story import demo_organization
from trailkeep.events import identify, to_rows
from trailkeep.schema import EVENT_TABLES
from trailkeep.store import Archive, Commit, NewRows, Writer
from trailkeep.streams import Stream
from trailkeep.sync.batch import record_span
from trailkeep.timespan import Span, month_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

ORGANIZATION = "cd613e30-d8f1-4adf-91b7-584a2265b1f5"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
"""The end of the last month."""
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


class Month(NamedTuple):
    """A month to tell, and how many events of all kinds it has on an average day."""

    begin: datetime
    end: datetime
    events_per_day: int

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.begin).days


def months_of(count: int, months: int) -> list[Month]:
    """The last `months` months before `NOW`, which have about `count` events together."""
    bounds = [NOW]
    while len(bounds) <= months:
        last = bounds[-1]
        bounds.append(last.replace(year=last.year - (last.month == 1), month=last.month - 1 or 12))
    bounds.reverse()
    per_day = count // (NOW - bounds[0]).days
    return [Month(begin, end, per_day) for begin, end in pairwise(bounds)]


def events_of(month: Month) -> dict[tuple[str, str], list[bytes]]:
    """A month's events as the API would send them, by kind and region, in order of their time."""
    told = demo_organization(
        now=month.end,
        days=month.days,
        events_per_day=month.events_per_day,
        organization_id=ORGANIZATION,
        incident=None,
    )
    known = {ORGANIZATION} | {
        str(each["id"]) for each in (*told.users, *told.applications, *told.groups, *told.projects, *told.policies)
    }
    lasting = {identifier.encode() for identifier in known}
    salt = f"{month.begin:%Y-%m}".encode()

    def other(found: re.Match[bytes]) -> bytes:
        old = found[0]
        # A UUIDv7 begins with its time.
        kept = 14 if old[14:15] == b"7" else 0
        new = hashlib.md5(salt + old, usedforsecurity=False).hexdigest().encode()
        text = b"-".join((new[:8], new[8:12], old[14:15] + new[13:16], b"a" + new[17:20], new[20:]))
        return old if old in lasting else old[:kept] + text[kept:]

    return {
        stream: [_UUID.sub(other, raw) for raw, at in zip(raws, told.times[stream], strict=True) if at is not None]
        for stream, raws in told.events.items()
    }


def story_events(count: int, months: int = 1) -> Iterator[bytes]:
    """About `count` calls of fr-par."""
    for month in months_of(count * 7 // 4, months):
        yield from events_of(month)["api", "fr-par"]


def _rows_of(month: Month) -> list[tuple[str, str, pa.Table]]:
    rows = []
    for (kind, region), raws in events_of(month).items():
        arrivals, rejects = identify(raws)
        assert not rejects
        if arrivals:
            rows.append((kind, region, to_rows(kind, arrivals)))
    return rows


def build(place: Path, count: int, months: int = 12, *, processes: int = 2, files_per_month: int = 1) -> Archive:
    """An archive of about `count` events, with so many files for each month of a stream."""
    context = multiprocessing.get_context("spawn")
    wanted = months_of(count, months)
    with Writer(place, clock=lambda: NOW) as writer, context.Pool(processes, maxtasksperchild=1) as pool:
        for month, tables in zip(wanted, pool.imap(_rows_of, wanted), strict=True):
            for part in range(files_per_month):
                added = [
                    NewRows(
                        table=EVENT_TABLES[kind],
                        partition={
                            "organization_id": ORGANIZATION,
                            "region": region,
                            "month": month_of(month.begin),
                        },
                        rows=some,
                    )
                    for kind, region, rows in tables
                    if (some := _part(rows, part, files_per_month)).num_rows
                ]
                last = part == files_per_month - 1
                covered = [
                    record_span(Stream(organization_id=ORGANIZATION, kind=kind, region=region), Span(*month[:2]))
                    for kind, region, _rows in tables
                    if last
                ]
                writer.commit(
                    Commit(
                        operation="sync",
                        started_at=month.end,
                        organization_id=ORGANIZATION,
                        added=added,
                        coverage=covered,
                    )
                )
    return Archive.open(place)


def _part(rows: pa.Table, part: int, parts: int) -> pa.Table:
    size = -(-rows.num_rows // parts)
    return rows.slice(part * size, size)


def main() -> None:
    """Build one, to be used by several benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--files-per-month", type=int, default=1)
    given = parser.parse_args()
    if given.place.suffix == ".ndjson":
        given.place.write_bytes(b"".join(raw + b"\n" for raw in story_events(given.events, given.months)))
        return
    began = time.perf_counter()
    archive = build(given.place, given.events, given.months, files_per_month=given.files_per_month)
    files = archive.ledger().live.values()
    print(
        f"{sum(file.record.rows for file in files):,} events, {len(files)} files,"
        f" {sum(file.record.bytes for file in files) / 1e6:,.0f} MB, {time.perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
