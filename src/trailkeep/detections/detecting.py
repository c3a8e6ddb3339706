"""One run of `trailkeep detect`: from when on, what is new, and what is then on record."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from trailkeep.detections.marks import FIRST_SPAN, MarkFile, Marks, make_folder
from trailkeep.detections.names import actor_of, names_of_actors
from trailkeep.detections.run import run_detections
from trailkeep.errors import ArchiveLocked, TrailkeepError
from trailkeep.queries import SEVERITIES
from trailkeep.seal import DetectRecord, FindingRecord
from trailkeep.store.findings import record_findings
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import Self

    from filelock import FileLock

    from trailkeep.catalog import Limits
    from trailkeep.catalog.shared import Listener
    from trailkeep.detections.choosing import Detection, Pack
    from trailkeep.detections.run import Run, RunStop
    from trailkeep.store import Archive, Disk, Writer
    from trailkeep.store.findings import FindingState, KnownFindings, Mute

_T = TypeVar("_T")

_AGAIN_SECONDS = 0.2
"""How often a lock that somebody has is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A finding as it is told."""

    finding: FindingRecord
    state: FindingState
    mute: Mute | None = None
    """Why it is muted, where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detecting:
    """What a run found, before anybody was told."""

    run: Run
    findings: tuple[FindingRecord, ...]
    """The most severe first, then by time."""
    looked: dict[str, str]
    """The detections, with their digests, that have now seen everything until the span's end."""
    nameless: TrailkeepError | None = None
    """Why those who acted are not named, where that went wrong."""
    started_at: datetime
    now: datetime

    def told(self, known: KnownFindings, *, all_of_them: bool) -> list[Told]:
        """The findings by what is known of them; only the new ones without `all_of_them`."""
        told = [
            Told(
                finding=each,
                state=known.state(each.finding_id, self.now),
                mute=known.mute_of(each.finding_id, self.now),
            )
            for each in self.findings
        ]
        return [each for each in told if all_of_them or each.state == "new"]


def detect(
    archive: Archive,
    detections: Sequence[Detection],
    pack: Pack,
    *,
    since: datetime | None,
    until: datetime | None,
    now: datetime,
    limits: Limits,
    stop: RunStop,
    listener: Listener,
    all_of_them: bool = False,
    share: bool = True,
) -> Detecting | None:
    """Run the detections from `since`, or from where each has to look; None where there is nothing to look at.

    With `all_of_them` those that are known and muted are kept, too, and without `since` the whole of `FIRST_SPAN` is
    looked at. Raises as `run_detections` does.
    """
    ledger = archive.ledger()
    known = ledger.findings
    marks = Marks(ledger, MarkFile(archive).read(ledger), now)
    end = until or now
    words = vocabulary()
    digests = {each.name: each.digest(words) for each in detections}
    due = {name: marks.start(name, digest) for name, digest in digests.items()}
    looking = [
        (each, start)
        for each in detections
        if (start := since or _start(due[each.name], end, all_of_them=all_of_them)) < end
    ]
    if not looking:
        return None
    run = run_detections(
        archive,
        looking,
        end,
        now=now,
        limits=limits,
        stop=stop,
        listener=listener,
        state_of=lambda finding_id: known.state(finding_id, now),
        keep=lambda state: all_of_them or state == "new",
        share=share,
        open_ended=until is None,
    )
    actors = [(each, actor_of(each)) for each in run.findings]
    names, nameless = names_of_actors(
        archive, (actor for _finding, actor in actors if actor), now=now, limits=limits, stop=stop
    )
    findings = [each.recorded(names.get(actor) if actor else None, pack.queries) for each, actor in actors]
    findings.sort(
        key=lambda each: (-SEVERITIES.index(each.severity), each.last_seen, each.first_seen, each.detection,
                          each.finding_id)
    )  # fmt: skip
    looked = {
        outcome.detection.name: digests[outcome.detection.name]
        for outcome in run.outcomes
        if outcome.is_whole and outcome.span.start <= due[outcome.detection.name]
    }
    return Detecting(run=run, findings=tuple(findings), looked=looked, nameless=nameless, started_at=now, now=now)


def _start(due: datetime, end: datetime, *, all_of_them: bool) -> datetime:
    return min(due, end - FIRST_SPAN) if all_of_them else due


def vocabulary() -> str:
    """A digest of the views and macros that detections are made of: with others they may find other things."""
    from trailkeep.catalog import macros, views

    texts = [*macros.statements(), *views.OF_VIEWS.values()]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


class Turn:
    """The right to tell findings as new, so that of two runs at once only one does; a context manager.

    Whoever does not get it in time goes on without: better told twice than not at all.
    """

    def __init__(self, archive: Archive, *, wait_seconds: float) -> None:
        self._folder = MarkFile(archive).folder
        self._wait_seconds = wait_seconds
        self._lock: FileLock | None = None

    def __enter__(self) -> Self:
        from filelock import FileLock, Timeout

        try:
            make_folder(self._folder)
            lock = FileLock(self._folder / "turn.lock", timeout=self._wait_seconds, mode=0o600)
            lock.acquire()
            self._lock = lock
        except (OSError, Timeout, NotImplementedError):
            self._lock = None
        return self

    def __exit__(self, *_error: object) -> None:
        if self._lock is not None:
            self._lock.release()


def record(
    archive: Archive,
    detecting: Detecting,
    *,
    clock: Callable[[], datetime],
    wait_seconds: float,
    disk: Disk | None = None,
) -> list[FindingRecord]:
    """Put what was told as new on record, and what was looked at; return the findings that were not yet.

    Waits so long for another writer. Raises ArchiveLocked and StoreError: then nothing is on record, and what was new
    is new the next time.
    """
    run = detecting.run
    seq = run.head.seq if run.head else 0
    recorded: list[FindingRecord] = []
    if detecting.findings:
        looked = DetectRecord(
            start=format_time(run.span.start), end=format_time(run.span.end), head=seq, looked=detecting.looked
        )
        recorded = written(
            archive,
            lambda writer: record_findings(writer, detecting.findings, looked, started_at=detecting.started_at),
            clock=clock,
            wait_seconds=wait_seconds,
            disk=disk,
        )
    ledger = archive.ledger()
    MarkFile(archive).write(ledger, detecting.looked, min(run.span.end, detecting.now), seq)
    return recorded


def written(
    archive: Archive,
    write: Callable[[Writer], _T],
    *,
    clock: Callable[[], datetime],
    wait_seconds: float,
    disk: Disk | None = None,
) -> _T:
    """What `write` returns for the archive's writer, which is waited for so long. Raises ArchiveLocked, StoreError."""
    from trailkeep.store import Writer

    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            with Writer(archive.path, clock=clock, disk=disk) as writer:
                return write(writer)
        except ArchiveLocked:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_AGAIN_SECONDS)
