"""The record of a query that ran: all that it takes to run it again, and to tell whether the result is the same."""

from __future__ import annotations

import hashlib
import platform
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from trailkeep import __version__
from trailkeep.cli.results import ResultFormat, target
from trailkeep.cli.results.values import escape_hidden
from trailkeep.errors import UsageError
from trailkeep.timespan import format_time, parse_age, parse_moment

if TYPE_CHECKING:
    from trailkeep.analysis import Question
    from trailkeep.catalog import Limits
    from trailkeep.cli.running import Delivered, Delivery
    from trailkeep.store import Archive
    from trailkeep.timespan import Span

FORMAT = 1
"""The version of records that this version writes, and the only one that it reads."""
MAX_BYTES = 64 * 1024 * 1024
"""A longer file is no record."""
LIBRARIES = ("duckdb", "pyarrow", "sqlglot", "msgspec")
"""What has a say in the bytes of a result."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A value that was bound, in a form that JSON has."""

    type: str
    """null, boolean, integer, number, text, timestamp, duration or list."""
    value: Any
    """Timestamps as RFC 3339, durations in seconds with an ``s``, lists as lists of values like this one."""


class QueryText(msgspec.Struct, frozen=True, kw_only=True):
    """What ran."""

    name: str | None
    """A saved query's name; None for SQL of the moment."""
    sha256: str
    text: str


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """A half-open span of time."""

    since: str
    until: str


class HeadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger's newest entry."""

    seq: int
    sha256: str


class ArchiveRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What it ran on."""

    id: str
    head: HeadRecord | None


class LimitsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What it was allowed to use."""

    memory: str
    threads: int | None
    temporary_disk: str
    timeout_seconds: float | None
    rows: int | None
    sealed: bool


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the result, with its Arrow type."""

    name: str
    type: str


class ResultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    format: ResultFormat
    full: bool
    vertical: bool
    spreadsheet_safe: bool
    terminal: bool
    width: int | None
    columns: list[Column]
    rows: int
    more_rows: bool
    """Whether the limit kept rows back."""
    bytes: int
    sha256: str
    names: bool = False
    """Whether a table has names beside ids; older versions did not write it, and gave ids alone."""


class MissingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the asked span that the archive did not cover."""

    stream: str | None
    since: str
    until: str
    reason: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A query that ran."""

    record: int
    """The version of this form."""
    query: QueryText
    parameters: dict[str, Value]
    asked: Bounds | None
    """What the question was about; None where it was about everything that is held."""
    limited_to: Bounds | None
    """What the event tables were limited to, besides what the SQL itself says."""
    archive: ArchiveRecord
    tools: dict[str, str]
    limits: LimitsRecord
    result: ResultRecord
    missing: list[MissingRecord]
    started_at: str
    """What ages count back from."""
    finished_at: str


def record_of(
    question: Question,
    archive: Archive,
    delivery: Delivery,
    delivered: Delivered,
    *,
    limits: Limits,
    timeout_seconds: float | None,
    started_at: datetime,
    finished_at: datetime,
) -> Record:
    """The record of a result that was delivered, measured."""
    assert delivered.bytes is not None
    assert delivered.sha256 is not None
    head = delivered.head
    return Record(
        record=FORMAT,
        query=QueryText(
            name=question.saved.name if question.saved else None,
            sha256=sha256_of(question.sql),
            text=question.sql,
        ),
        parameters={name: written(name, value) for name, value in delivered.parameters.items()},
        asked=_bounds(delivered.asked),
        limited_to=_bounds(delivered.span),
        archive=ArchiveRecord(
            id=archive.archive_id, head=None if head is None else HeadRecord(seq=head.seq, sha256=head.sha256)
        ),
        tools=tools(),
        limits=LimitsRecord(
            memory=limits.memory,
            threads=limits.threads,
            temporary_disk=limits.temporary_disk,
            timeout_seconds=timeout_seconds,
            rows=delivery.limit,
            sealed=limits.sealed,
        ),
        result=ResultRecord(
            format=delivery.form,
            full=delivery.full,
            vertical=delivery.vertical,
            names=delivery.names,
            spreadsheet_safe=delivery.spreadsheet_safe,
            terminal=delivered.screen.terminal,
            width=delivered.screen.width,
            columns=[Column(name=field.name, type=str(field.type)) for field in delivered.schema],
            rows=delivered.rows,
            more_rows=delivered.cut,
            bytes=delivered.bytes,
            sha256=delivered.sha256,
        ),
        missing=[
            MissingRecord(
                stream=None if each.stream is None else str(each.stream),
                since=format_time(each.span.start),
                until=format_time(each.span.end),
                reason=each.reason,
            )
            for each in delivered.missing
        ],
        started_at=format_time(started_at),
        finished_at=format_time(finished_at),
    )


def write_record(file: Path, record: Record) -> None:
    """Write the record, whole or not at all. Raises UsageError."""
    content = msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=2)
    with target.opened(file, "--record") as sink:
        sink.write(escape_hidden(content) + b"\n")


def read_record(file: Path) -> Record:
    """Read a record that somebody kept. Raises UsageError where it is none."""
    hint = "Name a file that --record has written."
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}", hint=hint) from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{file} is no record of a query: it is longer than {MAX_BYTES} bytes", hint=hint)
    try:
        record = msgspec.json.decode(content, type=Record)
        parse_moment(record.started_at)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no record of a query: {error}", hint=hint) from error
    if record.record != FORMAT:
        raise UsageError(
            f"{file} is a record of version {record.record}; this version reads {FORMAT}",
            hint="Use the version of Trailkeep that its tools name.",
        )
    if sha256_of(record.query.text) != record.query.sha256:
        raise UsageError(f"{file} was altered: the SHA-256 of its query's text is another", hint=hint)
    return record


def sha256_of(text: str) -> str:
    """Of the text as UTF-8, wherever its file lies."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def tools() -> dict[str, str]:
    """The versions of what made the result."""
    found = {"trailkeep": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def written(name: str, value: Any) -> Value:
    """A bound value in the form that a record holds. Raises UsageError for a type that it cannot hold."""
    match value:
        case None:
            return Value(type="null", value=None)
        case bool():
            return Value(type="boolean", value=value)
        case int():
            return Value(type="integer", value=value)
        case float():
            return Value(type="number", value=value)
        case str():
            return Value(type="text", value=value)
        case datetime(tzinfo=None):
            return Value(type="timestamp", value=value.isoformat(timespec="microseconds") + "Z")
        case timedelta() if not value.microseconds and value.days >= 0:
            return Value(type="duration", value=f"{value.days * 86_400 + value.seconds}s")
        case list():
            return Value(type="list", value=[msgspec.to_builtins(written(name, item)) for item in value])
    raise UsageError(f"the parameter {name} has a {type(value).__name__}, which a record cannot hold")


def read_value(name: str, found: Value) -> Any:
    """The value to bind again. Raises UsageError for one that is not as records write it."""
    value = found.value
    try:
        match found.type, value:
            case "null", None:
                return None
            case ("boolean", bool()) | ("integer", int()) | ("number", float()) | ("text", str()):
                return value
            case "number", int():
                return float(value)
            case "timestamp", str():
                return parse_moment(value).replace(tzinfo=None)
            case "duration", str():
                return parse_age(value)
            case "list", list():
                return [read_value(name, msgspec.convert(item, Value)) for item in value]
    except (ValueError, OverflowError):
        pass
    raise UsageError(f"the record's parameter {name} is no {found.type}: {value!r}")


def _bounds(span: Span | None) -> Bounds | None:
    return None if span is None else Bounds(since=format_time(span.start), until=format_time(span.end))
