"""What `trailkeep detect --notify` does after a run: whoever is to be told of findings is told, once."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from trailkeep.cli import diagnostics
from trailkeep.cli.state import now
from trailkeep.errors import ConfigError, ExitCode, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trailkeep.config import Receiver, Settings
    from trailkeep.seal import FindingRecord
    from trailkeep.store import Archive


def receivers_of(settings: Settings, names: Sequence[str]) -> list[Receiver]:
    """The receivers of the settings, or those of these names. Raises UsageError where there is none."""
    known = settings.receivers
    if not known:
        raise UsageError(
            "nobody is to be told: the settings have no table [notify.NAME]",
            hint="Add one to trailkeep.toml; docs/alerting.md shows how.",
        )
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"there is no receiver {unknown[0]!r}", hint=f"The settings have: {', '.join(known)}.")
    return [known[name] for name in dict.fromkeys(names)] or [*known.values()]


def begin(archive: Archive, receivers: Sequence[Receiver], wait_seconds: float) -> None:
    """See to it that the receivers are told of what is found from now on. Raises StoreError."""
    from trailkeep.detections.detecting import written
    from trailkeep.store.findings import begin_targets

    names = [receiver.name for receiver in receivers]
    if set(names) - archive.ledger().findings.begun.keys():
        written(archive, lambda writer: begin_targets(writer, names, at=now()), clock=now, wait_seconds=wait_seconds)


def tell(archive: Archive, receivers: Sequence[Receiver], wait_seconds: float) -> ExitCode:
    """Tell each receiver what it was not told of yet, severe enough for it; say who could not be told.

    What was taken is recorded at once; what was not, also because a URL or a token is missing, stays on record as not
    told, and is tried again with the next run.
    """
    from trailkeep.detections.detecting import written
    from trailkeep.notifying import deliver
    from trailkeep.store.findings import record_delivery

    worst = ExitCode.DONE
    known = archive.ledger().findings
    for receiver in receivers:
        owed = [each for each in known.undelivered(receiver.name, now()) if _is_for(receiver, each)]
        if not owed:
            continue

        def taken(ids: list[str], name: str = receiver.name) -> None:
            moment = now()
            written(
                archive,
                lambda writer: record_delivery(writer, name, ids, at=moment, started_at=moment),
                clock=now,
                wait_seconds=wait_seconds,
            )

        try:
            done = deliver(
                receiver,
                [_as_json(each) for each in owed],
                archive_id=archive.archive_id,
                environ=os.environ,
                clock=now,
                taken=taken,
                sleep=time.sleep,
            )
        except StoreError as error:
            diagnostics.warn(
                f"{receiver.name} was told, but that could not be recorded, so it may be told again: {error.message}"
            )
            worst = error.exit_code
            continue
        except ConfigError as error:
            # The others are told all the same.
            diagnostics.warn(f"{receiver.name} was not told of {_findings(len(owed))}: {error.message}. {error.hint}")
            worst = error.exit_code
            continue
        if done.delivered:
            diagnostics.say(f"told {receiver.name} of {_findings(len(done.delivered))}")
        if done.waiting:
            diagnostics.warn(
                f"{receiver.name} was not told of {_findings(len(done.waiting))}, and will be with the next run:"
                f" {done.problem}"
            )
            worst = ExitCode.REMOTE
    return worst


def _is_for(receiver: Receiver, finding: FindingRecord) -> bool:
    from trailkeep.config.detections import SEVERITIES

    return SEVERITIES.index(finding.severity) >= SEVERITIES.index(receiver.severity)


def _as_json(finding: FindingRecord) -> dict[str, object]:
    import msgspec

    values: dict[str, object] = msgspec.to_builtins(finding)
    return values


def _findings(count: int) -> str:
    return f"{count} finding" if count == 1 else f"{count} findings"
