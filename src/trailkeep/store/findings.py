"""Findings in the ledger: which are known, muted and told to whom, and the commits that say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from trailkeep import seal
from trailkeep.errors import UsageError
from trailkeep.timespan import format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from trailkeep.store.writer import Writer

FindingState = Literal["new", "known", "muted"]
"""``new`` is what the ledger does not know."""

SHORTEST_PREFIX = 4
"""How much of a finding's id must be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """Somebody's decision that a finding is not to be told."""

    reason: str
    until: datetime | None
    """None for always."""
    by: str
    """The user and the host."""
    at: str
    seq: int

    def holds(self, now: datetime) -> bool:
        """Whether it is on."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A finding that the ledger holds."""

    finding: seal.FindingRecord
    seq: int
    """The entry that brought it."""
    found_at: str


@dataclass(slots=True)
class KnownFindings:
    """What the ledger says about findings after its last entry."""

    by_id: dict[str, Recorded] = field(default_factory=dict)
    """In the order in which they were found."""
    mutes: dict[str, Mute] = field(default_factory=dict)
    """The last word on each finding that was muted and not unmuted."""
    delivered: dict[str, set[str]] = field(default_factory=dict)
    """The ids of the findings that each target was told of."""
    begun: dict[str, int] = field(default_factory=dict)
    """The entry with which each target was told of for the first time: what was found before is not for it."""

    def append(self, entry: seal.Entry) -> None:
        """Take in one more entry. What was found first stands: a finding is recorded once."""
        for found in entry.findings:
            self.by_id.setdefault(found.finding_id, Recorded(finding=found, seq=entry.seq, found_at=entry.finished_at))
        for mute in entry.mutes:
            if mute.muted:
                self.mutes[mute.finding_id] = Mute(
                    reason=entry.reason or "",
                    until=None if mute.until is None else parse_moment(mute.until),
                    by=f"{entry.os_user} on {entry.host}",
                    at=entry.finished_at,
                    seq=entry.seq,
                )
            else:
                self.mutes.pop(mute.finding_id, None)
        for delivery in entry.deliveries:
            self.begun.setdefault(delivery.target, entry.seq)
            self.delivered.setdefault(delivery.target, set()).update(delivery.finding_ids)

    def state(self, finding_id: str, now: datetime) -> FindingState:
        """What is known of a finding; a mute that has run out leaves it known."""
        if self.mute_of(finding_id, now) is not None:
            return "muted"
        return "known" if finding_id in self.by_id else "new"

    def mute_of(self, finding_id: str, now: datetime) -> Mute | None:
        """The mute that is on, or None."""
        mute = self.mutes.get(finding_id)
        return mute if mute is not None and mute.holds(now) else None

    def undelivered(self, target: str, now: datetime) -> list[seal.FindingRecord]:
        """What `target` is still to be told, in the order found: on record since it was begun, and not muted."""
        told, begun = self.delivered.get(target, set()), self.begun.get(target, 0)
        return [
            each.finding
            for finding_id, each in self.by_id.items()
            if each.seq > begun and finding_id not in told and self.mute_of(finding_id, now) is None
        ]

    def find(self, written: str) -> Recorded:
        """The recorded finding whose id is, or begins with, `written`. Raises UsageError."""
        prefix = written.strip().lower()
        if (exact := self.by_id.get(prefix)) is not None:
            return exact
        matches = [each for finding_id, each in self.by_id.items() if finding_id.startswith(prefix)]
        if len(prefix) < SHORTEST_PREFIX or not matches:
            raise UsageError(
                f"there is no recorded finding {written!r}",
                hint="`trailkeep detect findings` lists all that are; four characters of an id are enough.",
            )
        if len(matches) > 1:
            ids = ", ".join(each.finding.finding_id for each in matches[:5])
            raise UsageError(f"{written!r} begins the ids of {len(matches)} findings: {ids}", hint="Write more of it.")
        return matches[0]


def known_findings(entries: Iterable[seal.Entry]) -> KnownFindings:
    """Fold the entries of a ledger."""
    known = KnownFindings()
    for entry in entries:
        known.append(entry)
    return known


def record_findings(
    writer: Writer, findings: Sequence[seal.FindingRecord], detect: seal.DetectRecord, *, started_at: datetime
) -> list[seal.FindingRecord]:
    """Commit those of `findings` that the ledger does not hold yet, and return them; nothing where all are known."""
    from trailkeep.store.writer import Commit

    known = writer.ledger.findings
    new = {each.finding_id: each for each in reversed(findings) if each.finding_id not in known.by_id}
    recorded = [each for each in findings if new.get(each.finding_id) is each]
    if recorded:
        writer.commit(
            Commit(
                operation="detect",
                started_at=started_at,
                findings=recorded,
                detect=detect,
                counters={"findings": len(recorded)},
            )
        )
    return recorded


def mute_findings(
    writer: Writer, written: Sequence[str], *, reason: str, until: datetime | None, started_at: datetime
) -> list[Recorded]:
    """Commit that these recorded findings are muted. Raises UsageError where there is none of an id."""
    known = writer.ledger.findings
    found = [known.find(each) for each in dict.fromkeys(written)]
    until_text = None if until is None else format_time(until)
    _note(writer, found, reason, started_at, muted=True, until=until_text)
    return found


def unmute_findings(
    writer: Writer, written: Sequence[str], *, reason: str | None, started_at: datetime
) -> list[Recorded]:
    """Commit that these findings are no longer muted. Raises UsageError where one is not."""
    known = writer.ledger.findings
    found = [known.find(each) for each in dict.fromkeys(written)]
    for each in found:
        if known.mute_of(each.finding.finding_id, started_at) is None:
            raise UsageError(f"the finding {each.finding.finding_id} is not muted")
    _note(writer, found, reason, started_at, muted=False)
    return found


def record_delivery(
    writer: Writer, target: str, finding_ids: Sequence[str], *, at: datetime, started_at: datetime
) -> seal.Entry:
    """Commit that `target` was told of these findings."""
    from trailkeep.store.writer import Commit

    delivery = seal.DeliveryRecord(target=target, finding_ids=list(finding_ids), at=format_time(at))
    return writer.commit(
        Commit(
            operation="detect",
            started_at=started_at,
            deliveries=[delivery],
            counters={"delivered": len(delivery.finding_ids)},
        )
    )


def begin_targets(writer: Writer, targets: Iterable[str], *, at: datetime) -> list[str]:
    """Commit from when on targets are told of findings, for those that never were; returns these.

    Without it somebody who is added after years would be told of all that was ever found.
    """
    from trailkeep.store.writer import Commit

    begun = writer.ledger.findings.begun
    new = [target for target in dict.fromkeys(targets) if target not in begun]
    if new:
        records = [seal.DeliveryRecord(target=target, finding_ids=[], at=format_time(at)) for target in new]
        writer.commit(Commit(operation="detect", started_at=at, deliveries=records))
    return new


def _note(
    writer: Writer,
    found: Sequence[Recorded],
    reason: str | None,
    started_at: datetime,
    *,
    muted: bool,
    until: str | None = None,
) -> None:
    from trailkeep.store.writer import Commit

    ids = dict.fromkeys(each.finding.finding_id for each in found)
    mutes = [seal.MuteRecord(finding_id=each, muted=muted, until=until) for each in ids]
    writer.commit(Commit(operation="detect", started_at=started_at, mutes=mutes, reason=reason))
