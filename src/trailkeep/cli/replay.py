"""Running a recorded query again, on the archive as it was then, to tell whether the result is the same."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep.analysis import Question
from trailkeep.cli.record import Bounds, Record, read_value, tools
from trailkeep.cli.running import Delivery, Screen, deliver
from trailkeep.errors import IntegrityViolated, QueryError, UsageError
from trailkeep.queries import STANDARD
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from trailkeep.analysis import Stop
    from trailkeep.catalog import Limits
    from trailkeep.cli.running import Delivered
    from trailkeep.store import Archive, Ledger

_REPEATABLE = "now(), random() and rows without a total ORDER BY are not the same every time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A result that is the same as the recorded one."""

    delivered: Delivered
    as_of_head: bool
    """Whether it ran on the archive as it was then; else on what it is now, which gave the same bytes all the same."""
    recorded_head: int
    """The ledger's newest entry then, 0 where there was none,"""
    head_now: int
    """and now."""


def replay(
    archive: Archive, record: Record, output_file: Path | None, *, limits: Limits, stop: Stop | None = None
) -> Replayed:
    """Run the recorded query again, its result going to `output_file` or nowhere.

    It sees the ledger up to the recorded head. Only where files of that state are gone, since later commits have
    replaced or purged them, it runs on the archive as it is now.

    Raises IntegrityViolated where the archive does not hold the recorded head, or the same archive gives other bytes;
    QueryError where the bytes differ and the archive is not the same any more; UsageError where it is another archive.
    """
    present = archive.ledger()
    past, as_of_head = _state(archive, present, record)
    result = record.result
    delivery = Delivery(
        form=result.format,
        output_file=output_file or Path(os.devnull),
        limit=record.limits.rows,
        full=result.full,
        vertical=result.vertical,
        names=result.names,
        spreadsheet_safe=result.spreadsheet_safe,
        screen=Screen(terminal=result.terminal, width=result.width),
        measured=True,
        talk=False,
        limits=limits,
    )
    delivered = deliver(past, question_of(record), parse_moment(record.started_at), delivery, stop)
    if (delivered.sha256, delivered.bytes) != (result.sha256, result.bytes):
        raise _differs(record, delivered, as_of_head=as_of_head)
    return Replayed(
        delivered=delivered,
        as_of_head=as_of_head,
        recorded_head=record.archive.head.seq if record.archive.head else 0,
        head_now=present.head.seq if present.head else 0,
    )


def question_of(record: Record) -> Question:
    """The recorded question, every value bound as it was. Raises UsageError for values that are none."""
    given = {name.lower(): read_value(name, value) for name, value in record.parameters.items()}
    bounds: Bounds | None = record.limited_to
    if bounds is not None:
        for name in STANDARD:
            given.setdefault(name, getattr(bounds, name))
    return Question(sql=record.query.text, given=given)


def _state(archive: Archive, present: Ledger, record: Record) -> tuple[Archive, bool]:
    """The archive to run on, and whether that is the recorded state of it."""
    recorded = record.archive
    if recorded.id != archive.archive_id:
        raise UsageError(
            f"the record is of another archive: {recorded.id}, and this is {archive.archive_id}",
            hint="Name that archive, or a copy of it, with --archive.",
        )
    if recorded.head is None:
        return archive.as_of(0), True
    past_archive = archive.as_of(recorded.head.seq)
    past = past_archive.ledger()
    if past.head is None or past.head.seq != recorded.head.seq:
        raise IntegrityViolated(
            f"the record is of the ledger's entry {recorded.head.seq}, and the ledger ends before it",
            hint="This is an older copy of the archive, or its newest entries were cut off: run `trailkeep verify`.",
        )
    if past.head.sha256 != recorded.head.sha256:
        raise IntegrityViolated(
            f"the ledger's entry {recorded.head.seq} is not the one that was recorded: its history was rewritten",
            hint="Run `trailkeep verify --expect-head "
            f"{recorded.head.seq}:{recorded.head.sha256}`, and compare with a copy of the archive.",
        )
    if _still_there(past, present):
        return past_archive, True
    return archive, False


def _still_there(past: Ledger, present: Ledger) -> bool:
    """Whether every file that was live then is live now, with the same content."""
    return all(path in present.live and present.live[path].record == file.record for path, file in past.live.items())


def _differs(record: Record, delivered: Delivered, *, as_of_head: bool) -> IntegrityViolated | QueryError:
    recorded = record.result
    found = f"{delivered.rows} rows, SHA-256 {delivered.sha256}"
    what = f"{found}; recorded are {recorded.rows} rows, SHA-256 {recorded.sha256}"
    now = tools()
    changed = [f"{name} {was} then, {now.get(name)} now" for name, was in record.tools.items() if now.get(name) != was]
    versions = f" Other versions: {'; '.join(changed)}." if changed else ""
    if as_of_head:
        return IntegrityViolated(
            f"the archive is the recorded one, and the result is another: {what}",
            hint=f"Run `trailkeep verify --deep`; {_REPEATABLE}.{versions}",
        )
    return QueryError(
        f"the result is another: {what}",
        hint="The archive has changed since and does not hold the files of that time any more: replay the record on a "
        f"copy from then.{versions}",
    )
