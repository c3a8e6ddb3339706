"""The rules of the ledger, without I/O: what an entry says, how entries are chained, and digests over events.

An entry is JSON with sorted keys and no floats, ended by a line feed. The chain is over those exact bytes, so whoever
has the files can check it with ``sha256sum`` alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

from trailkeep.errors import ArchiveDamaged, ArchiveTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
"""The version of the ledger's entries that this version writes; later ones are refused, not guessed at."""

_DIGEST_BYTES = 32
"""Of a SHA-256."""

Misplacement = Literal["seq", "previous", "archive_id"]
"""A field by which an entry does not belong where it stands."""


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A file that an entry adds: enough to prove its bytes and, for events, its content."""

    path: str
    """Relative to the archive, with forward slashes."""
    bytes: int
    sha256: str
    rows: int
    first: str
    """The first row's moment, as `trailkeep.timespan.format_time` writes it."""
    last: str
    events_digest: str | None = None
    """`events_digest` of the file's ``raw`` column; None for tables without one."""


class CoverageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A half-open span of a stream that an entry makes a claim about."""

    organization_id: str
    kind: str
    region: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a run asked of one stream and what came of it; written with the run's last entry."""

    organization_id: str
    kind: str
    region: str
    outcome: str
    """``read`` in full, ``partial``, ``failed``, ``not_offered`` or ``denied``."""
    start: str | None = msgspec.field(name="from", default=None)
    """First moment that the run set out to read; None when the stream is not offered."""
    end: str | None = msgspec.field(name="to", default=None)
    status: int | None = None
    """The HTTP status that ended the reading, where one did."""
    counters: dict[str, int] = {}


class DirectoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one list of the directory was when it was looked at, and what that changed."""

    organization_id: str
    resource: str
    """The list: ``users``, ``api_keys``, ..."""
    region: str | None = None
    """None where the list is the same in every region."""
    outcome: str
    """``read`` in full, ``partial``, ``denied``, ``not_offered`` or ``failed``."""
    status: int | None = None
    """The HTTP status that ended the reading, where one did."""
    began_at: str
    at: str
    """When the list was asked for first, and when its last answer came, by the API's clock."""
    objects: int = 0
    """How many objects it had."""
    first: int = 0
    changed: int = 0
    gone: int = 0
    back: int = 0
    sha256: str | None = None
    """`events_digest` over the objects as sent, secrets left out; None where the list was not read in full."""


class FindingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it was when it was found for the first time: whole, so that it can be told again later."""

    finding_id: str
    """The same whenever and over whatever span the finding is found again."""
    detection: str
    """The full name of the saved query."""
    question: int | None = None
    title: str = ""
    severity: str
    attack: list[str] = []
    organization_id: str | None = None
    actor_id: str | None = None
    actor_name: str | None = None
    source_ips: list[str] = []
    user_agents: list[str] = []
    first_seen: str
    last_seen: str
    count: int = 1
    """How many events it is made of."""
    summary: str
    event_ids: list[str] = []
    """Of some of the events, the earliest; `count` says how many there are."""
    next: list[str] = []
    """Commands that tell more."""


class MuteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """That a finding is not to be told any more, or again; why is the entry's reason."""

    finding_id: str
    muted: bool
    """False where a mute is taken back."""
    until: str | None = None
    """From this moment on it is known as any other; None for always muted."""


class DeliveryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody was told of findings."""

    target: str
    finding_ids: list[str]
    at: str


class DetectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of detections has looked at."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    head: int
    """The newest ledger entry that it read."""
    looked: dict[str, str] = {}
    """The detections that have now seen everything before `end` that this head holds, each with its digest."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One commit. Fields that are unknown to this version are kept in its bytes, which are never rewritten."""

    format: int
    seq: int
    previous: str | None
    """SHA-256 of the previous entry's bytes, in hexadecimal; None for the first."""
    archive_id: str
    operation: str
    run: str
    """The run that committed; with `seq` it names the commit's staging folder."""
    started_at: str
    finished_at: str
    tool: dict[str, str]
    host: str
    os_user: str
    organization_id: str | None = None
    coverage: list[CoverageRecord] = []
    unreadable: list[CoverageRecord] = []
    """Spans that fell behind the API's retention before they were read: permanent gaps."""
    streams: list[StreamRecord] = []
    files_added: list[FileRecord] = []
    files_removed: list[str] = []
    counters: dict[str, int] = {}
    clock_offset_ms: int | None = None
    """The API's clock minus ours, in milliseconds; None where the entry asked nothing of the API."""
    reason: str | None = None
    """Why, in the words of whoever asked for it; a purge, a hold and a repair have one."""
    purged: list[CoverageRecord] = []
    """Spans whose rows this entry removed for good: neither a gap nor to be read again."""
    hold: str | None = None
    """``set`` where the entry forbids purging, ``released`` where it allows it again; None where it says nothing."""
    directory: list[DirectoryRecord] = []
    """The lists of the directory that this entry's snapshot looked at."""
    findings: list[FindingRecord] = []
    """What detections found for the first time."""
    mutes: list[MuteRecord] = []
    deliveries: list[DeliveryRecord] = []
    detect: DetectRecord | None = None
    """What the detections looked at that this entry's findings are of."""


def moments_of_findings(entry: Entry) -> list[str]:
    """Every time that an entry names of findings, mutes, deliveries and the run of detections."""
    moments = [moment for found in entry.findings for moment in (found.first_seen, found.last_seen)]
    moments += [mute.until for mute in entry.mutes if mute.until is not None]
    moments += [delivery.at for delivery in entry.deliveries]
    return moments if entry.detect is None else [*moments, entry.detect.start, entry.detect.end]


def encode_entry(entry: Entry) -> bytes:
    """The entry's bytes as they are written and hashed."""
    return msgspec.json.encode(entry, order="sorted") + b"\n"


def entry_hash(content: bytes) -> str:
    """SHA-256 of an entry's exact bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def parse_entry(content: bytes, seq: int) -> Entry:
    """What the bytes of entry `seq` say, whatever its place in the chain.

    Raises ArchiveTooNew for a later format, and ArchiveDamaged where the bytes are no entry.
    """
    name = f"ledger entry {seq}"
    try:
        entry = msgspec.json.decode(content, type=Entry)
        entry_format = entry.format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        damage = ArchiveDamaged(f"{name} is not a ledger entry: {error}")
        try:
            entry_format = msgspec.json.decode(content, type=_FormatOnly).format
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise damage from error
        if entry_format <= FORMAT:
            raise damage from error
    if entry_format > FORMAT:
        raise ArchiveTooNew(
            f"{name} has format {entry_format}; this version reads up to {FORMAT}",
            hint="Use the version of Trailkeep that wrote it, or a later one.",
        )
    return entry


def misplacements(entry: Entry, *, seq: int, previous: str | None, archive_id: str) -> list[Misplacement]:
    """The fields by which an entry does not belong where it stands: behind the entry whose hash is `previous`."""
    expected: dict[Misplacement, object] = {"seq": seq, "previous": previous, "archive_id": archive_id}
    return [field for field, value in expected.items() if getattr(entry, field) != value]


def decode_entry(content: bytes, *, seq: int, previous: str | None, archive_id: str) -> Entry:
    """Read an entry's bytes and check its place in the chain.

    Raises ArchiveTooNew for a later format, and ArchiveDamaged where the bytes are no entry or do not follow the
    entry whose hash is `previous`.
    """
    entry = parse_entry(content, seq)
    name = f"ledger entry {seq}"
    for field in misplacements(entry, seq=seq, previous=previous, archive_id=archive_id):
        if field == "seq":
            raise ArchiveDamaged(f"{name} says that it is entry {entry.seq}")
        if field == "previous":
            raise ArchiveDamaged(f"{name} does not follow entry {seq - 1}: the hash of the previous entry differs")
        raise ArchiveDamaged(f"{name} belongs to archive {entry.archive_id}, not to this one, {archive_id}")
    return entry


class EventDigests:
    """The SHA-256 digests of many events' ``raw``, in any order, on their way to the digest over all of them.

    They are kept by their first byte, end to end: 32 bytes of memory each, and sorted a few at a time.
    """

    def __init__(self) -> None:
        self._by_first: dict[int, bytearray] = {}

    def add(self, raw_digests: Iterable[bytes]) -> None:
        """Take in more of them."""
        by_first = self._by_first
        for digest in raw_digests:
            try:
                by_first[digest[0]] += digest
            except KeyError:
                by_first[digest[0]] = bytearray(digest)

    def hexdigest(self) -> str:
        """SHA-256, in hexadecimal, over all of them in ascending order."""
        whole = hashlib.sha256()
        for _first, some in sorted(self._by_first.items()):
            ends = range(0, len(some), _DIGEST_BYTES)
            whole.update(b"".join(sorted(bytes(some[at : at + _DIGEST_BYTES]) for at in ends)))
        return whole.hexdigest()


def events_digest(raw_digests: Iterable[bytes]) -> str:
    """SHA-256, in hexadecimal, over the SHA-256 digests (32 bytes each) of every ``raw``, in ascending order.

    It depends on the events only, not on their order or on the files they lie in.
    """
    return hashlib.sha256(b"".join(sorted(raw_digests))).hexdigest()


class _FormatOnly(msgspec.Struct):
    format: int
