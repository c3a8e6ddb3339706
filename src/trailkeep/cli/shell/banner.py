"""What the shell says when it begins: which archive this is, and what of the time it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.store import Archive


def banner(archive: Archive, now: datetime) -> Iterator[str]:
    """The lines of the banner, from the ledger alone. Raises StoreError where the archive cannot be read."""
    from trailkeep.coverage import stream_coverage
    from trailkeep.schema import EVENT_TABLES

    ledger = archive.ledger()
    events = sum(file.record.rows for table in EVENT_TABLES.values() for file in ledger.files(table.name))
    streams = stream_coverage(ledger, now)
    covered = [span for each in streams for span in each.covered]
    gaps = sum(len(each.gaps) for each in streams)
    head = f"head {ledger.head.seq}:{ledger.head.sha256[:12]}" if ledger.head else "no ledger entry yet"
    yield f"Trailkeep {__version__}: {archive.path}, {head}"
    if covered:
        first, last = min(span.start for span in covered), max(span.end for span in covered)
        holes = f"; {gaps} gap{'' if gaps == 1 else 's'}, in the table gaps" if gaps else ", no gap"
        yield f"{events:,} events, covered from {_minute(first)} to {_minute(last)}{holes}"
    elif events:
        yield f"{events:,} events; nothing says which spans were read in full"
    else:
        yield "the archive holds no event: run `trailkeep sync`"
    yield "A statement ends with ;   Tab completes   .help lists the commands   Ctrl-D leaves"


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%MZ")
