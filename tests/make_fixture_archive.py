"""Writes a small archive with the present version, to be kept under tests/fixtures/archives when a version is released.

``python tests/make_fixture_archive.py tests/fixtures/archives/0.1.0``
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from trailkeep.api import Client, Pacer
from trailkeep.demo.emulator import ORGANIZATION_ID, Emulator
from trailkeep.demo.serve import serve
from trailkeep.progress import Silent
from trailkeep.streams import EVENT_KINDS
from trailkeep.sync import Request, Run, run_sync

if TYPE_CHECKING:
    from trailkeep.streams import Kind

BORN = datetime(2026, 11, 1, 12, tzinfo=UTC)
"""The archive is always written at the same moment, by a clock that stands still for each of its two runs."""


def sync(emulator: Emulator, archive: Path, now: datetime) -> None:
    """One run at `now`, on both sides of the wire."""
    emulator.clock = lambda: now
    with (
        serve(emulator) as served,
        Client(
            base_url=served.url,
            secret_key=emulator.secret_key,
            organization_id=emulator.organization_id,
            clock=lambda: now,
            pacer=Pacer(threading.Event()),
        ) as client,
    ):
        run = Run(
            archive=archive,
            client=client,
            clock=lambda: now,
            stop=threading.Event(),
            progress=Silent(),
            concurrency=2,
        )
        report = run_sync(
            run,
            Request(
                organization_id=emulator.organization_id,
                kinds=EVENT_KINDS,
                regions=("fr-par",),
                overlap=timedelta(hours=1),
            ),
        )
        assert all(each.outcome == "read" for each in report.streams), report.as_json()


def event(kind: Kind, number: int, moment: datetime) -> dict[str, Any]:
    """An event of a kind, the same for the same number."""
    shared = {
        "id": str(UUID(int=number)),
        "recorded_at": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "organization_id": ORGANIZATION_ID,
        "resources": [{"id": str(UUID(int=7)), "type": "iam_user", "name": "ada", "iam_user_info": {"tags": ["é"]}}],
    }
    if kind == "authentication":
        return shared | {"source_ip": "192.0.2.7", "result": "success", "method": "password", "country_code": "FR"}
    if kind == "system":
        return shared | {"locality": "fr-par", "product_name": "instance", "kind": "cron", "system_name": "backups"}
    return shared | {
        "locality": "fr-par-1",
        "principal": {"id": str(UUID(int=9))},
        "method_name": "CreateServer" if number % 2 else "DeleteServer",
        "status_code": 403 if number % 5 == 0 else 200,
        "request_body": {"name": f"server-{number}"},
    }


def emulator_at(now: datetime) -> Emulator:
    """An Organization with a few events of every kind up to `now`, across the end of a month."""
    emulator = Emulator(clock=lambda: now, regions=("fr-par",))
    moment, number = BORN - timedelta(days=3, minutes=30), 0
    while moment < now:
        for kind in EVENT_KINDS:
            number += 1
            emulator.add(kind, "fr-par", event(kind, number, moment + timedelta(seconds=number % 60)))
        moment += timedelta(hours=3)
    return emulator


def make(archive: Path) -> None:
    """The archive of two runs; the second finds an event changed, and something that is no event."""
    sync(emulator_at(BORN), archive, BORN)
    later = emulator_at(BORN + timedelta(hours=6))
    last = later.truth("api", "fr-par")[-3]
    later.replace("api", "fr-par", json.loads(last)["id"], last.replace(b"server-", b"renamed-"))
    later.add("api", "fr-par", b'{"no": "event"}', recorded_at=BORN + timedelta(hours=1))
    sync(later, archive, BORN + timedelta(hours=6))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
