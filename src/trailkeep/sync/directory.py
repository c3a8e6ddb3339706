"""One snapshot of the directory: every list read, compared with what is held, and its changes committed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trailkeep import seal
from trailkeep.api import Stopped
from trailkeep.directory import Observation, changes, last_looks, read_object, read_versions, rows_of_changes
from trailkeep.directory.held import looked_at
from trailkeep.errors import (
    AuthenticationFailed,
    Interrupted,
    NotOffered,
    PermissionDenied,
    RemoteError,
    RemoteUnavailable,
)
from trailkeep.schema import directory_table
from trailkeep.store import Archive, Commit, NewRows, Writer
from trailkeep.store.segments import raw_digests
from trailkeep.sync.lists import ListRead, NumberedList
from trailkeep.timespan import format_time, month_of, parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from trailkeep.api import Client
    from trailkeep.directory import Change, Look, Version
    from trailkeep.store import Disk, Head

RECORD_EVERY = timedelta(hours=24)
"""How often the ledger says that the directory was looked at where nothing has changed."""

RULES_AT_ONCE = 500
"""Policies whose rules are asked for before the next ones are: what is in flight is in memory."""

_PATHS = {
    "users": ("/iam/v1alpha1/users", "IAMReadOnly"),
    "applications": ("/iam/v1alpha1/applications", "IAMReadOnly"),
    "groups": ("/iam/v1alpha1/groups", "IAMReadOnly"),
    "api_keys": ("/iam/v1alpha1/api-keys", "IAMReadOnly"),
    "policies": ("/iam/v1alpha1/policies", "IAMReadOnly"),
    "ssh_keys": ("/iam/v1alpha1/ssh-keys", "IAMReadOnly"),
    "projects": ("/account/v3/projects", "ProjectReadOnly"),
}
_RULES_PATH = "/iam/v1alpha1/rules"
_PRODUCTS_PATH = "/audit-trail/v1alpha1/regions/{region}/products"
_PRODUCTS_PERMISSION = "AuditTrailReadOnly"
_COUNTERS = ("objects", "first", "changed", "gone", "back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a snapshot is made of, and with: everything from outside comes through here."""

    archive: Path
    client: Client
    clock: Callable[[], datetime]
    organization_id: str
    regions: tuple[str, ...]
    """Whose products are listed."""
    concurrency: int
    disk: Disk | None = None


@dataclass(slots=True, kw_only=True)
class ListReport:
    """What a snapshot saw of one list and what that changed."""

    resource: str
    region: str | None = None
    outcome: str = "read"
    """``read`` in full, ``partial``, ``denied``, ``not_offered`` or ``failed``."""
    permission: str
    """The permission set that reading it needs."""
    status: int | None = None
    error: RemoteError | None = None
    rejected: int = 0
    """Elements that are no JSON objects with an id, and are not kept."""
    began_at: datetime | None = None
    at: datetime | None = None
    before: str | None = None
    """The outcome that the ledger had of it; None where it had none."""
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTERS, 0))
    sha256: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "resource": self.resource,
            "region": self.region,
            "outcome": self.outcome,
            "status": self.status,
            "error": self.error.message if self.error else None,
            "rejected": self.rejected,
            **self.counters,
        }

    def __str__(self) -> str:
        return f"{self.resource} {self.region}" if self.region else self.resource


@dataclass(slots=True, kw_only=True)
class DirectoryReport:
    """What a snapshot did."""

    lists: list[ListReport] = field(default_factory=list)
    head: Head | None = None
    seq: int | None = None
    """The ledger entry that it made; None where nothing had changed and none was due."""

    @property
    def total(self) -> dict[str, int]:
        """The counters over all lists."""
        return {name: sum(each.counters[name] for each in self.lists) for name in _COUNTERS}

    @property
    def failed(self) -> list[ListReport]:
        """The lists that could not be read although they may be."""
        return [each for each in self.lists if each.outcome == "failed"]

    @property
    def denied(self) -> list[ListReport]:
        """The lists that the key may not read."""
        return [each for each in self.lists if each.outcome == "denied"]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "lists": [each.as_json() for each in self.lists],
            "total": self.total,
            "ledger_seq": self.seq,
            "head": {"seq": self.head.seq, "sha256": self.head.sha256} if self.head else None,
        }


def take_snapshot(snapshot: Snapshot) -> DirectoryReport:
    """Look at every list of the directory, and commit what has changed since it was looked at last.

    A list that may not be read, or fails, is reported in its place, and the others go on. An archive is made only after
    the API has answered. Raises RemoteError where nothing at all could be read for another reason than missing rights,
    Interrupted when it was stopped, and StoreError.
    """
    try:
        if not Archive.exists(snapshot.archive):
            _probe(snapshot)
        with (
            Writer(snapshot.archive, clock=snapshot.clock, disk=snapshot.disk) as writer,
            ThreadPoolExecutor(max_workers=snapshot.concurrency, thread_name_prefix="directory") as pool,
        ):
            return _Taking(snapshot, writer, pool).run()
    except Stopped:
        raise Interrupted(
            "stopped before the directory had been read; nothing of it was recorded",
            hint="Run `trailkeep directory sync`.",
        ) from None


def _probe(snapshot: Snapshot) -> None:
    """Ask for something small. Raises RemoteError where the API does not answer, or not this key."""
    try:
        snapshot.client.listing(
            _PATHS["users"][0], "users", {"organization_id": snapshot.organization_id, "page": "1", "page_size": "1"}
        )
    except (PermissionDenied, NotOffered):
        return


class _Taking:
    """A snapshot while it is taken. Lists are read one after the other, and the pages of each side by side."""

    def __init__(self, snapshot: Snapshot, writer: Writer, pool: ThreadPoolExecutor) -> None:
        self._snapshot = snapshot
        self._writer = writer
        self._pool = pool
        self._started_at = snapshot.clock()
        self._looks = last_looks(writer.ledger, snapshot.organization_id)
        self._unavailable = False
        self._refused: AuthenticationFailed | None = None
        self._offset_ms: int | None = None
        self._rows: list[NewRows] = []
        self._report = DirectoryReport()

    def run(self) -> DirectoryReport:
        for report in self._planned():
            look = self._looks.get((report.resource, report.region))
            report.before = look.last.outcome if look else None
            self._report.lists.append(report)
            self._look(report, look)
        failed = self._report.failed
        if failed and len(failed) == len(self._report.lists) and failed[0].error is not None:
            raise failed[0].error
        if self._is_news():
            self._commit()
        self._report.head = self._writer.ledger.head
        return self._report

    def _planned(self) -> Iterator[ListReport]:
        for resource, (_path, permission) in _PATHS.items():
            yield ListReport(resource=resource, permission=permission)
        for region in self._snapshot.regions:
            yield ListReport(resource="products", region=region, permission=_PRODUCTS_PERMISSION)

    # Reading

    def _look(self, report: ListReport, look: Look | None) -> None:
        """Read one list, and compare it with what is held."""
        if self._refused is not None:
            report.outcome, report.error = "failed", self._refused
            return
        try:
            read = self._read(report)
            held = self._held(report)
            if read.whole and _missing(held, read):
                # Records that come and go while pages are read can hide another even from a count that adds up; so can
                # a count of one short page.
                read.take(self._read(report, to_the_end=True))
            if report.resource == "policies":
                self._add_rules(report, read)
        except RemoteError as error:
            self._fail(report, error)
            return
        self._note(report, read)
        self._compare(report, look, read, held)

    def _list(self, report: ListReport, **parameters: str) -> NumberedList:
        shared = {"organization_id": self._snapshot.organization_id, **parameters}
        if report.resource == "products":
            return NumberedList(
                client=self._snapshot.client,
                path=_PRODUCTS_PATH.format(region=report.region),
                key="products",
                parameters=shared,
                resource="products",
                region=report.region,
                in_one_answer=True,
            )
        return NumberedList(
            client=self._snapshot.client,
            path=_PATHS[report.resource][0],
            key=report.resource,
            parameters={**shared, "order_by": "created_at_asc"},
            resource=report.resource,
        )

    def _read(self, report: ListReport, *, to_the_end: bool = False) -> ListRead:
        # Where the API has just failed again and again, the other lists are not given as long.
        retries = 0 if self._unavailable else None
        side_by_side, run = self._snapshot.concurrency, self._pool.map
        read = self._list(report).read(side_by_side, run, retries=retries, to_the_end=to_the_end)
        if report.resource == "ssh_keys":
            # Whether the list has disabled keys, or only this one has, is not known: whatever either shows is there.
            disabled = self._list(report, disabled="true")
            read.take(disabled.read(side_by_side, run, retries=retries, to_the_end=to_the_end))
        return read

    def _held(self, report: ListReport) -> dict[str, Version]:
        writer = self._writer
        held = read_versions(writer.archive, writer.ledger, report.resource, self._snapshot.organization_id)
        return {each: version for each, version in held.items() if version.seen.region == report.region}

    def _add_rules(self, report: ListReport, read: ListRead) -> None:
        """Add each policy's rules. A policy without them was listed all the same: it may have gone meanwhile."""
        for identifier, rules in self._rules_of(list(read.elements)):
            if isinstance(rules, RemoteError) or not rules.whole:
                report.outcome = "partial"
                report.error = report.error or (rules if isinstance(rules, RemoteError) else None)
            else:
                policy = read.elements[identifier]
                raws = [rule.raw for rule in rules.elements.values()]
                read.elements[identifier] = read_object("policies", policy.raw, rules=raws)

    def _rules_of(self, policy_ids: list[str]) -> Iterator[tuple[str, ListRead | RemoteError]]:
        for start in range(0, len(policy_ids), RULES_AT_ONCE):
            some = policy_ids[start : start + RULES_AT_ONCE]
            yield from zip(some, self._pool.map(self._read_rules, some), strict=True)

    def _read_rules(self, policy_id: str) -> ListRead | RemoteError:
        rules = NumberedList(
            client=self._snapshot.client,
            path=_RULES_PATH,
            key="rules",
            parameters={"policy_id": policy_id},
            resource="rules",
        )
        try:
            return rules.read(1, map, retries=0 if self._unavailable else None)
        except RemoteUnavailable as error:
            self._unavailable = True
            return error
        except AuthenticationFailed:
            raise
        except RemoteError as error:
            return error

    def _fail(self, report: ListReport, error: RemoteError) -> None:
        report.outcome, report.error = "failed", error
        if isinstance(error, PermissionDenied):
            report.outcome, report.status = "denied", 403
        elif isinstance(error, NotOffered):
            report.outcome, report.status = "not_offered", error.status
        elif isinstance(error, AuthenticationFailed):
            report.status, self._refused = 401, error
        elif isinstance(error, RemoteUnavailable):
            self._unavailable = True

    def _note(self, report: ListReport, read: ListRead) -> None:
        report.began_at, report.at = read.began_at, read.at
        report.rejected = read.rejected
        report.counters["objects"] = len(read.elements)
        if self._offset_ms is None:
            self._offset_ms = read.offset_ms
        if not read.whole:
            report.outcome = "partial"
        if report.outcome == "read":
            raws = pa.chunked_array([pa.array([each.raw for each in read.elements.values()], pa.binary())])
            report.sha256 = seal.events_digest(raw_digests(raws))

    # Comparing

    def _compare(
        self,
        report: ListReport,
        look: Look | None,
        read: ListRead,
        held: dict[str, Version],
    ) -> None:
        observation = Observation(
            at=read.at or self._started_at,
            looked_at=parse_moment(look.whole.began_at) if look and look.whole else None,
            listed_at=parse_moment(look.whole.at) if look and look.whole else None,
        )
        made = list(changes(report.resource, held, read.elements, observation, whole=read.whole))
        for change in made:
            report.counters[change.change] += 1
        if made:
            self._rows.append(self._new_rows(report, made))

    def _new_rows(self, report: ListReport, made: list[Change]) -> NewRows:
        partition = {"organization_id": self._snapshot.organization_id, "month": month_of(made[0].observed_at)}
        return NewRows(
            table=directory_table(report.resource), partition=partition, rows=rows_of_changes(report.resource, made)
        )

    # Committing

    def _is_news(self) -> bool:
        """Whether the ledger lacks something: a change, an outcome, or that the directory was looked at lately."""
        if self._rows or any(each.outcome != each.before for each in self._report.lists):
            return True
        last = looked_at(self._looks.values())
        now = max((each.at for each in self._report.lists if each.at), default=self._started_at)
        return last is None or abs(now - last) >= RECORD_EVERY

    def _commit(self) -> None:
        entry = self._writer.commit(
            Commit(
                operation="directory",
                started_at=self._started_at,
                organization_id=self._snapshot.organization_id,
                added=_joined(self._rows),
                directory=[self._record(each) for each in self._report.lists],
                counters=self._report.total,
                clock_offset_ms=self._offset_ms,
            )
        )
        self._report.seq = entry.seq

    def _record(self, report: ListReport) -> seal.DirectoryRecord:
        return seal.DirectoryRecord(
            organization_id=self._snapshot.organization_id,
            resource=report.resource,
            region=report.region,
            outcome=report.outcome,
            status=report.status,
            began_at=format_time(report.began_at or self._started_at),
            at=format_time(report.at or self._started_at),
            sha256=report.sha256,
            **report.counters,
        )


def _missing(held: dict[str, Version], read: ListRead) -> set[str]:
    """The objects that were there and are not listed now."""
    there = {identifier for identifier, version in held.items() if version.change != "gone"}
    return there - read.elements.keys()


def _joined(rows: list[NewRows]) -> list[NewRows]:
    """One file for each table and month: the regions' products lie in one."""
    joined: dict[tuple[str, str], NewRows] = {}
    for each in rows:
        key = (each.table.name, each.partition["month"])
        known = joined.get(key)
        if known is not None:
            each = NewRows(  # noqa: PLW2901 - the same rows and those before them
                table=each.table, partition=each.partition, rows=pa.concat_tables([known.rows, each.rows])
            )
        joined[key] = each
    return list(joined.values())
