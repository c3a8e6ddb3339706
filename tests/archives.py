"""Archives for tests: events written as the API would send them, committed by the real writer."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import pyarrow as pa

from trailkeep import schema
from trailkeep.store import Archive, Commit, NewRows, Writer
from trailkeep.timespan import format_time, month_of

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.seal import CoverageRecord
    from trailkeep.streams import Kind

ORGANIZATION = "11111111-1111-4111-8111-111111111111"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_id(name: str) -> str:
    """A UUID that stands for `name`, the same in every run."""
    return str(uuid5(NAMESPACE_URL, name))


@dataclass
class Archives:
    """Rows waiting to be committed, by kind, region and month."""

    path: Path
    waiting: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    count: int = 0

    def api(self, at: datetime, method: str, region: str = "fr-par", **columns: Any) -> str:
        """One API event; a body is given as a value and written as JSON text."""
        if "body" in columns:
            columns["request_body"] = json.dumps(columns.pop("body"))
        defaults = {
            "locality": region,
            "principal_id": an_id("alice"),
            "source_ip": "192.0.2.1",
            "user_agent": "scaleway-cli/2.40.0 (go1.24; linux; amd64)",
            "product_name": "instance",
            "service_name": "scaleway.instance.v1.Api",
            "method_name": method,
            "status_code": 200,
            "project_id": an_id("project"),
        }
        return self.add("api", region, at, defaults | columns)

    def login(self, at: datetime, user: str | None, result: str = "success", **columns: Any) -> str:
        """One authentication event of the user named `user`."""
        resources = [] if user is None else [a_resource("iam_user", user)]
        defaults = {
            "source_ip": "192.0.2.1",
            "result": result,
            "method": "password",
            "failure_reason": None if result == "success" else "invalid_password",
            "country_code": "FR",
            "origin": "public_api",
            "resources": resources,
        }
        return self.add("authentication", "fr-par", at, defaults | columns)

    def system(self, at: datetime, **columns: Any) -> str:
        """One system event."""
        return self.add("system", "fr-par", at, {"kind": "cron", "system_name": "rotation"} | columns)

    def add(self, kind: Kind, region: str, at: datetime, columns: dict[str, Any]) -> str:
        """One row of a kind's table; its id, and raw where it is not given, follow from its number."""
        self.count += 1
        event_id = str(columns.pop("id", an_id(f"event {self.count}")))
        row = {"id": event_id, "recorded_at": at.replace(tzinfo=None), **columns}
        row.setdefault("raw", json.dumps({"id": event_id, "recorded_at": format_time(at)}))
        self.waiting[kind, region, month_of(at)].append(row)
        return event_id

    def commit(self, coverage: list[CoverageRecord] | None = None) -> Archive:
        """Commit what waits as one entry."""
        tables = {kind: schema.EVENT_TABLES[kind] for kind in schema.EVENT_TABLES}
        added = [
            NewRows(
                table=tables[kind],  # type: ignore[index]
                partition={"organization_id": ORGANIZATION, "region": region, "month": month},
                rows=rows_of(tables[kind], rows),  # type: ignore[index]
            )
            for (kind, region, month), rows in sorted(self.waiting.items())
        ]
        with Writer(self.path, clock=lambda: NOW, run=f"{self.count:032x}") as writer:
            writer.commit(
                Commit(
                    operation="sync",
                    started_at=NOW - timedelta(minutes=1),
                    organization_id=ORGANIZATION,
                    added=added,
                    coverage=coverage or [],
                    counters={"fetched": self.count, "new": self.count},
                )
            )
        self.waiting.clear()
        return Archive.open(self.path)


def a_resource(kind: str, name: str, info: Any = None) -> dict[str, Any]:
    """One element of an event's resources."""
    return {"id": an_id(name), "type": kind, "name": name, "info": None if info is None else json.dumps(info)}


def rows_of(table: schema.Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as the writer takes them: the table's columns but ``ledger_seq``."""
    fields = [f for f in table.arrow_schema if f.name != "ledger_seq"]
    return pa.Table.from_pylist(rows, schema=pa.schema([f.with_nullable(nullable=True) for f in fields])).cast(
        pa.schema(fields)
    )


def empty_archive(path: Path) -> Archive:
    """An archive that holds nothing."""
    with Writer(path, clock=lambda: NOW):
        pass
    return Archive.open(path)
