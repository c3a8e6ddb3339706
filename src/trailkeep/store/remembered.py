"""The ledger's fold in the archive's cache, so that a reader takes in the newest entries only.

It is derived, written by writers alone, and may be deleted at any time. It is taken only where the entry that it ends
at is in the ledger with just the bytes that it had then; whatever else is odd about it, the ledger is folded from its
first entry. `trailkeep verify` does without it, and compares it with the entries.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from trailkeep import __version__, seal
from trailkeep.errors import ArchiveDamaged, StoreError
from trailkeep.store import layout
from trailkeep.store.claims import Claims
from trailkeep.store.findings import KnownFindings, Mute, Recorded, known_findings
from trailkeep.store.ledger import Head, Hold, Later, Ledger, live_file, read_chain
from trailkeep.store.looked import Claim, ListLooks, Seen, brought_by
from trailkeep.streams import Kind, Stream
from trailkeep.timespan import Span, format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from trailkeep.store.disk import Disk

FORMAT = 1
"""Of the file; another is not read. Nor is one that another version of Trailkeep wrote, which may fold otherwise."""

NAME = "ledger.json"
"""Below ``.cache``."""

EVERY = 32
"""So many entries are folded anew before the fold is written again: what each costs does not grow with the ledger."""

MOST_BYTES = 1 << 28
"""A larger file is not read: it is nobody's fold."""

_T = TypeVar("_T")
_Times = list[tuple[str, str]]


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """The file's first line: whose fold the rest is, up to which entry, and the rest's digest."""

    format: int
    version: str
    archive_id: str
    seq: int
    entry: str
    """SHA-256 of that entry's bytes."""
    sha256: str


class _File(msgspec.Struct, frozen=True, array_like=True):
    record: seal.FileRecord
    seq: int
    run: str
    index: int
    operation: str
    at: str


class _Stream(msgspec.Struct, frozen=True, kw_only=True):
    organization_id: str
    kind: str
    region: str
    covered: _Times
    asked: _Times
    purged: _Times
    unreadable: _Times
    run: str | None
    run_asked: tuple[str, str] | None
    known_from: str | None
    not_offered_since: str | None
    denied_since: str | None
    last_read_at: str | None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    files: list[_File]
    streams: list[_Stream]
    organizations: list[str]
    hold: Hold | None
    looks: list[ListLooks]
    findings: msgspec.Raw
    seen: msgspec.Raw


class _Found(msgspec.Struct, frozen=True, array_like=True):
    finding: seal.FindingRecord
    seq: int
    found_at: str


class _Mute(msgspec.Struct, frozen=True, array_like=True):
    reason: str
    until: str | None
    by: str
    at: str
    seq: int


class _Findings(msgspec.Struct, frozen=True, kw_only=True):
    found: list[_Found]
    mutes: dict[str, _Mute]
    delivered: dict[str, list[str]]
    begun: dict[str, int]


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    claims: dict[str, list[tuple[str, str, int]]]
    steps: list[tuple[int, str]]


def recall(archive: Path, archive_id: str, *, last: int | None = None) -> Ledger | None:
    """The fold in the archive's cache; None where there is none that is true of an entry up to `last`."""
    try:
        content = _read(archive / layout.CACHE / NAME)
        line, _, body = content.partition(b"\n")
        header = msgspec.json.decode(line, type=_Header)
        if (header.format, header.version, header.archive_id) != (FORMAT, __version__, archive_id):
            return None
        if header.seq < 1 or (last is not None and header.seq > last):
            return None
        folder = archive / layout.LEDGER
        entry = (folder / layout.entry_name(header.seq)).read_bytes()
        if seal.entry_hash(entry) != header.entry or hashlib.sha256(body).hexdigest() != header.sha256:
            return None
        head = Head(seq=header.seq, sha256=header.entry)
        return _ledger_of(msgspec.json.decode(body, type=_Body), archive_id, folder, head)
    except (OSError, ValueError, OverflowError, RecursionError, ArchiveDamaged):
        return None  # msgspec's errors are ValueErrors


def remember(disk: Disk, archive: Path, ledger: Ledger) -> bool:
    """Put the ledger's fold into the archive's cache; False where that cannot be done, which is no error.

    Only the archive's writer may call it. It is not flushed to the disk: what a power cut leaves of it has another
    digest.
    """
    if ledger.head is None:
        return False
    try:
        content = encode(ledger)
    except (OSError, StoreError):
        return False  # what is known of findings is read again for it, and may be damaged
    if not disk.replace(archive / layout.CACHE / NAME, content):
        return False
    ledger.remembered = ledger.head.seq
    return True


def forget(disk: Disk, archive: Path) -> None:
    """Delete what `remember` has written; nothing where that cannot be done."""
    cache = archive / layout.CACHE
    with contextlib.suppress(OSError):
        if not cache.is_symlink() and os.path.lexists(cache / NAME):
            disk.unlink(cache / NAME)


def encode(ledger: Ledger) -> bytes:
    """The file's content for a ledger that has an entry: the same for the same entries."""
    assert ledger.head is not None
    body = msgspec.json.encode(_body_of(ledger))
    header = _Header(
        format=FORMAT,
        version=__version__,
        archive_id=ledger.archive_id,
        seq=ledger.head.seq,
        entry=ledger.head.sha256,
        sha256=hashlib.sha256(body).hexdigest(),
    )
    return msgspec.json.encode(header) + b"\n" + body


def _read(file: Path) -> bytes:
    """The file's bytes, through no symbolic link. Raises OSError, and ValueError where there are too many."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as opened:
        if os.fstat(descriptor).st_size > MOST_BYTES:
            raise ValueError("too large")
        return opened.read()


def _body_of(ledger: Ledger) -> _Body:
    return _Body(
        files=[
            _File(
                record=file.record,
                seq=file.seq,
                run=file.staged.split("/")[1].partition("-")[2],
                index=int(file.staged.split("/")[2].partition("-")[0]),
                operation=file.operation,
                at=file.at,
            )
            for file in ledger.live.values()
        ],
        streams=[_stream_of(stream, claims) for stream, claims in ledger.streams.items()],
        organizations=sorted(ledger.organizations),
        hold=ledger.hold,
        looks=[*ledger.looks.values()],
        findings=msgspec.Raw(msgspec.json.encode(_findings_of(ledger.findings))),
        seen=msgspec.Raw(msgspec.json.encode(_seen_of(ledger.seen))),
    )


def _stream_of(stream: Stream, claims: Claims) -> _Stream:
    return _Stream(
        organization_id=stream.organization_id,
        kind=stream.kind,
        region=stream.region,
        covered=_times(claims.covered),
        asked=_times(claims.asked),
        purged=_times(claims.purged),
        unreadable=_times(claims.unreadable),
        run=claims.run,
        run_asked=_times([claims.run_asked])[0] if claims.run_asked is not None else None,
        known_from=None if claims.known_from is None else format_time(claims.known_from),
        not_offered_since=claims.not_offered_since,
        denied_since=claims.denied_since,
        last_read_at=claims.last_read_at,
    )


def _findings_of(known: KnownFindings) -> _Findings:
    return _Findings(
        found=[_Found(each.finding, each.seq, each.found_at) for each in known.by_id.values()],
        mutes={
            finding_id: _Mute(
                mute.reason, None if mute.until is None else format_time(mute.until), mute.by, mute.at, mute.seq
            )
            for finding_id, mute in known.mutes.items()
        },
        delivered={target: sorted(ids) for target, ids in known.delivered.items()},
        begun=known.begun,
    )


def _seen_of(seen: Seen) -> _Seen:
    return _Seen(
        claims={
            name: [(claim.digest, format_time(claim.until), claim.seq) for claim in claims]
            for name, claims in seen.claims.items()
        },
        steps=[(seq, format_time(first)) for seq, first in seen.steps],
    )


def _ledger_of(body: _Body, archive_id: str, folder: Path, head: Head) -> Ledger:
    """The ledger that a file's body tells of. Raises ValueError and ArchiveDamaged for what no fold can be."""
    ledger = Ledger(archive_id, folder=folder, head=head, remembered=head.seq)
    for each in body.files:
        if not (1 <= each.seq <= head.seq and each.index >= 0 and each.record.bytes >= 0):
            raise ValueError("a file of no entry")
        staging = layout.staging_name(each.seq, each.run)
        file = live_file(each.record, each.seq, staging, each.index, each.operation, each.at)
        parse_moment(each.at)
        if file.first > file.last:
            raise ValueError("a file that ends before it starts")
        ledger.live[each.record.path] = file
    for stream in body.streams:
        key = Stream(organization_id=stream.organization_id, kind=cast("Kind", stream.kind), region=stream.region)
        ledger.streams[key] = _claims_of(stream)
    ledger.organizations = set(body.organizations)
    ledger.hold = body.hold
    for looks in body.looks:
        ledger.looks[looks.last.organization_id, looks.last.resource, looks.last.region] = looks
        for record in looks.records():
            parse_moment(record.at)
    ledger.later_findings = Later(_or_from_entries(ledger, lambda: _findings_in(body.findings), known_findings))
    ledger.later_seen = Later(_or_from_entries(ledger, lambda: _seen_in(body.seen), _seen_from))
    return ledger


def _claims_of(stream: _Stream) -> Claims:
    for moment in (stream.not_offered_since, stream.denied_since, stream.last_read_at):
        if moment is not None:
            parse_moment(moment)
    return Claims(
        covered=_spans(stream.covered),
        asked=_spans(stream.asked),
        purged=_spans(stream.purged),
        unreadable=_spans(stream.unreadable),
        run=stream.run,
        run_asked=_spans([stream.run_asked])[0] if stream.run_asked is not None else None,
        known_from=None if stream.known_from is None else parse_moment(stream.known_from),
        not_offered_since=stream.not_offered_since,
        denied_since=stream.denied_since,
        last_read_at=stream.last_read_at,
    )


def _times(spans: Iterable[Span]) -> _Times:
    return [(format_time(span.start), format_time(span.end)) for span in spans]


def _spans(times: _Times) -> list[Span]:
    spans = [Span(parse_moment(start), parse_moment(end)) for start, end in times]
    if any(one.end >= other.start for one, other in pairwise(spans)):
        raise ValueError("spans that are not in order")
    return spans


def _or_from_entries(
    ledger: Ledger, read: Callable[[], _T], fold: Callable[[Iterable[seal.Entry]], _T]
) -> Callable[[], _T]:
    """`read`, or where what it reads is no such fold, `fold` over the entries that the file was made of."""
    assert ledger.folder is not None
    assert ledger.head is not None
    folder, archive_id, head = ledger.folder, ledger.archive_id, ledger.head

    def get() -> _T:
        try:
            return read()
        except (ValueError, OverflowError, RecursionError):
            return fold(read_chain(folder, archive_id, head))

    return get


def _findings_in(content: msgspec.Raw) -> KnownFindings:
    read = msgspec.json.decode(content, type=_Findings)
    for each in read.found:
        for moment in (each.found_at, each.finding.first_seen, each.finding.last_seen):
            parse_moment(moment)
    return KnownFindings(
        by_id={
            each.finding.finding_id: Recorded(finding=each.finding, seq=each.seq, found_at=each.found_at)
            for each in read.found
        },
        mutes={
            finding_id: Mute(
                reason=mute.reason,
                until=None if mute.until is None else parse_moment(mute.until),
                by=mute.by,
                at=mute.at,
                seq=mute.seq,
            )
            for finding_id, mute in read.mutes.items()
        },
        delivered={target: set(ids) for target, ids in read.delivered.items()},
        begun=read.begun,
    )


def _seen_in(content: msgspec.Raw) -> Seen:
    read = msgspec.json.decode(content, type=_Seen)
    steps = [(seq, parse_moment(first)) for seq, first in read.steps]
    if any(one >= other for one, other in pairwise(steps)):
        raise ValueError("steps that are not in order")
    return Seen(
        claims={
            name: [Claim(digest=digest, until=parse_moment(until), seq=seq) for digest, until, seq in claims]
            for name, claims in read.claims.items()
        },
        steps=steps,
    )


def _seen_from(entries: Iterable[seal.Entry]) -> Seen:
    seen = Seen()
    for entry in entries:
        if (brought := brought_by(entry)) is not None:
            seen.append(brought)
    return seen
