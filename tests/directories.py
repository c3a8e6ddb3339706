"""Snapshots of an emulated directory into an archive, with what the API does between two of its answers."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from archives import an_id
from trailkeep.api import Client, Pacer
from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.schema import DIRECTORY_TABLES
from trailkeep.store import Archive, read_segment
from trailkeep.sync.directory import DirectoryReport, Snapshot, take_snapshot
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from trailkeep.store import Disk

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
BEGIN = NOW - timedelta(days=400)
OTHER_ORGANIZATION = "22222222-2222-4222-8222-222222222222"


@dataclass
class World:
    """An Organization whose directory a test changes, and the archive that it is snapshot into."""

    archive: Path
    emulator: Emulator
    at: datetime = NOW
    before: Callable[[str, dict[str, str]], None] | None = None
    """Called before each request is answered, with its path and query."""
    answered: Callable[[str, bytes], bytes] | None = None
    """Called with the path and the body of each answer, for what is sent instead."""
    refused: Callable[[str, dict[str, str]], int | None] = lambda _path, _query: None
    """Called with the path and query of each request; the status that it is refused with, if it is."""
    disk: Disk | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def new(cls, archive: Path, **settings: Any) -> World:
        emulator = Emulator(clock=lambda: NOW, **settings)
        world = cls(archive=archive, emulator=emulator)
        emulator.clock = lambda: world.at
        for region in emulator.regions:
            emulator.products[region] = [product("iam" if region == "fr-par" else "instance", "CreateAPIKey")]
        return world

    def snapshot(self, *, hours: float = 0, retries: int = 1, concurrency: int = 4) -> DirectoryReport:
        """Look at the directory, some hours after the look before."""
        self.at += timedelta(hours=hours)

        def application(environ: Any, start_response: Any) -> Iterable[bytes]:
            query = dict(httpx.QueryParams(environ.get("QUERY_STRING", "")))
            if self.before is not None:
                self.before(environ["PATH_INFO"], query)
            if status := self.refused(environ["PATH_INFO"], query):
                start_response(f"{status} Refused", [])
                return [b""]
            if self.answered is None:
                return self.emulator(environ, start_response)
            # Without the Content-Length, which comes first.
            (body,) = self.emulator(environ, lambda status, headers: start_response(status, headers[1:]))
            return [self.answered(environ["PATH_INFO"], body)]

        with Client(
            base_url="http://127.0.0.1:1",
            secret_key=SECRET_KEY,
            organization_id=self.emulator.organization_id,
            clock=lambda: self.at,
            pacer=Pacer(self.stop),
            retries=retries,
            transport=httpx.WSGITransport(app=application),  # type: ignore[arg-type]
        ) as client:
            return take_snapshot(
                Snapshot(
                    archive=self.archive,
                    client=client,
                    clock=lambda: self.at,
                    organization_id=self.emulator.organization_id,
                    regions=self.emulator.regions,
                    concurrency=concurrency,
                    disk=self.disk,
                )
            )

    def rows(self, resource: str, name: str | None = None) -> list[dict[str, Any]]:
        """The rows of a resource in the order of the ledger, of one object where its id is given."""
        return rows(self.archive, resource, name, organization_id=self.emulator.organization_id)

    def history(self, resource: str, identifier: str) -> list[tuple[str, datetime]]:
        """What became of an object: each change, and from when on it is valid."""
        return [(row["change"], row["valid_from"].replace(tzinfo=UTC)) for row in self.rows(resource, identifier)]


def rows(archive: Path, resource: str, identifier: str | None = None, **partition: str) -> list[dict[str, Any]]:
    opened = Archive.open(archive)
    ledger = opened.ledger()
    table = DIRECTORY_TABLES[f"directory/{resource}"]
    found: list[dict[str, Any]] = []
    for file in ledger.files(table.name, **partition):
        found += read_segment(opened.locate(file), table.arrow_schema.names).to_pylist()
    found.sort(key=lambda row: (row["ledger_seq"], row["id"]))
    return [row for row in found if identifier is None or row["id"] == identifier]


def entries(archive: Path) -> list[Any]:
    return [entry for entry in Archive.open(archive).ledger().entries if entry.operation == "directory"]


def record(name: str, **fields: Any) -> dict[str, Any]:
    """A record as most lists have them, made long before the test begins."""
    at = format_time(BEGIN)
    return {"id": an_id(name), "name": name, "created_at": at, "updated_at": at, **fields}


def user(name: str, **fields: Any) -> dict[str, Any]:
    return record(name, username=name, email=f"{name}@example.com", last_login_at=None, mfa=True, tags=[]) | fields


def api_key(number: int, bearer: str, **fields: Any) -> dict[str, Any]:
    made = record(f"key {number}", access_key=f"SCW{number:017}", secret_key=None, user_id=an_id(bearer))
    del made["id"], made["name"]
    return made | {"description": "", "expires_at": None, "creation_ip": "192.0.2.1", **fields}


def product(name: str, *methods: str) -> dict[str, Any]:
    service = {"name": f"scaleway.{name}.v1.Api", "methods": list(methods)}
    return {"name": name, "title": name.title(), "services": [service]}


def changed(made: dict[str, Any], at: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """The record with other fields, as an update at that time leaves it."""
    return made | fields | ({"updated_at": format_time(at)} if at else {})


def raw_of(row: dict[str, Any]) -> Any:
    return json.loads(row["raw"])
