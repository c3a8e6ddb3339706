"""What the API says to the settings: one finding for each thing that a sync needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from trailkeep.errors import (
    ExitCode,
    NotOffered,
    PermissionDenied,
    RemoteError,
)
from trailkeep.streams import Stream
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.api import Client
    from trailkeep.config import Settings

RETRIES = 2
"""Further tries of a request; a person is waiting, and may simply check again."""
PROBED = timedelta(hours=1)
"""How much of each stream is asked for: one page of it."""
TOLERATED_OFFSET = timedelta(minutes=1)
"""A clock further off than this is pointed out. A sync goes by the API's clock, so nothing is lost by it."""
_NAMES = {
    "users": "/iam/v1alpha1/users",
    "applications": "/iam/v1alpha1/applications",
    "Projects": "/account/v3/projects",
}
_NAME_PERMISSIONS = {"users": "IAMReadOnly", "applications": "IAMReadOnly", "Projects": "ProjectReadOnly"}


class Outcome(StrEnum):
    """What became of one check."""

    OK = "ok"
    WARNING = "warning"
    """A sync works without it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not tried, since something before it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was looked at, what came out, and what to do about it."""

    subject: str
    outcome: Outcome
    message: str
    hint: str | None = None
    exit_code: ExitCode = ExitCode.DONE
    """What the process ends with because of it, if anything."""


@dataclass(slots=True, kw_only=True)
class Report:
    """All findings of one check, in the order of the checks."""

    findings: list[Finding] = field(default_factory=list)
    clock_offset: timedelta | None = None
    """How far the API's clock is ahead of this machine's, to about a second; None where it was not told."""

    @property
    def exit_code(self) -> ExitCode:
        """That of the first check that failed."""
        return next((each.exit_code for each in self.findings if each.exit_code), ExitCode.DONE)


def missing_settings(settings: Settings) -> list[Finding]:
    """The checks that need no API: whether there are credentials, and where they come from."""
    findings = []
    for subject, name, variable in (
        ("secret key", "secret_key", "SCW_SECRET_KEY"),
        ("Organization id", "organization_id", "SCW_DEFAULT_ORGANIZATION_ID"),
    ):
        if getattr(settings, name) is not None:
            findings.append(
                Finding(subject=subject, outcome=Outcome.OK, message=f"from {settings.origins[name]}")
            )
        else:
            findings.append(
                Finding(
                    subject=subject,
                    outcome=Outcome.FAILED,
                    message="not set",
                    hint=f"Set {variable}, or run `scw init`, which writes {settings.scw_file}.",
                    exit_code=ExitCode.USAGE,
                )
            )
    return findings


def try_api(client: Client, settings: Settings, now: datetime) -> Report:
    """Ask for one page of every stream that a sync would read, and for the first names."""
    report = Report()
    span = Span(now - PROBED, now)
    streams = [
        Stream(organization_id=client.organization_id, kind=kind, region=region)
        for region in settings.regions
        for kind in settings.kinds
    ]
    for stream in streams:
        if any(finding.outcome is Outcome.FAILED and finding.subject == "API" for finding in report.findings):
            report.findings.append(Finding(subject=str(stream), outcome=Outcome.SKIPPED, message="not tried"))
            continue
        report.findings.append(_probe(client, stream, span, report, settings))
    return report
