"""An archive of two regions, three months and two kinds, which grows and is merged."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from archives import NOW, Archives
from trailkeep.store import Archive, Writer
from trailkeep.store.compaction import compact, plan_compaction

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)
HOSTILE = "\x1b[31m'; DROP TABLE x; -- \u202e\r\n\t"


def add(path: Path, first_day: int, runs: int = 3) -> Archive:
    """Events of some days, each committed by a sync of its own."""
    archives = Archives(path, count=first_day * 100)
    for day in range(first_day, first_day + runs):
        for region in ("fr-par", "nl-ams"):
            resources = [{"id": f"{day}", "name": HOSTILE, "created_at": (NOW - DAY).replace(tzinfo=None)}]
            archives.api(NOW - day * 12 * DAY, "CreateServer", region=region, user_agent=HOSTILE, resources=resources)
            archives.api(NOW - day * 12 * DAY, "DeleteServer", region=region, source_ip=None, resources=None)
        archives.login(NOW - day * DAY, "alice")
        archives.commit()
    return Archive.open(path)


def merge(path: Path) -> None:
    """All that can be merged is."""
    with Writer(path, clock=lambda: NOW) as writer:
        assert compact(writer, plan_compaction(writer.ledger, NOW, everything=True), started_at=NOW)
