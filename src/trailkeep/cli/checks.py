"""What the API says to the settings: one finding for each thing that a sync needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from trailkeep.errors import (
    AuthenticationFailed,
    ExitCode,
    NotOffered,
    PermissionDenied,
    RemoteError,
    RemoteUnavailable,
)
from trailkeep.streams import GLOBAL, Stream, streams_of
from trailkeep.timespan import Span

if TYPE_CHECKING:
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
    "users": ("/iam/v1alpha1/users", "IAMReadOnly"),
    "applications": ("/iam/v1alpha1/applications", "IAMReadOnly"),
    "Projects": ("/account/v3/projects", "ProjectReadOnly"),
}
"""The lists that turn ids into names: path and the permission set that opens it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings of one check, in the order of the checks."""

    findings: list[Finding]
    clock_offset: timedelta | None = None
    """How far the API's clock is ahead of this machine's, to about a second; None where it was not told."""

    @property
    def exit_code(self) -> ExitCode:
        """That of the first check that failed."""
        return next((each.exit_code for each in self.findings if each.exit_code), ExitCode.DONE)


def check_settings(settings: Settings) -> list[Finding]:
    """The checks that need no API: whether there are credentials, and where they come from."""
    findings = []
    for subject, name, variable in (
        ("secret key", "secret_key", "SCW_SECRET_KEY"),
        ("Organization id", "organization_id", "SCW_DEFAULT_ORGANIZATION_ID"),
    ):
        if getattr(settings, name) is not None:
            origin = settings.origins[name]
            findings.append(Finding(subject=subject, outcome=Outcome.OK, message=f"set by {origin}"))
            continue
        findings.append(
            Finding(
                subject=subject,
                outcome=Outcome.FAILED,
                message="not set",
                hint=f"set {variable}, or run `scw init`, which writes {settings.scw_file}",
                exit_code=ExitCode.USAGE,
            )
        )
    return findings


def check_api(client: Client, settings: Settings, now: datetime) -> Report:
    """Ask for one page of every stream that a sync would read, and for the first names."""
    conversation = _Conversation(client, settings)
    conversation.streams(Span(now - PROBED, now))
    conversation.judge_what_is_not_offered()
    conversation.names()
    conversation.clock()
    return Report(findings=conversation.findings, clock_offset=conversation.clock_offset)


def _subject(stream: Stream) -> str:
    return "IAM's log" if stream.region == GLOBAL else f"{stream} events"


class _Conversation:
    """What is asked in turn; once nobody answers, or the key is not accepted, nothing more is."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.findings: list[Finding] = []
        self.clock_offset: timedelta | None = None
        self._client = client
        self._settings = settings
        self._answered = False
        self._stopped = False
        self._offered: dict[str, bool] = {}
        """By region, whether it has any of the streams."""

    def streams(self, span: Span) -> None:
        """Try every stream of every region."""
        for stream in streams_of(self._client.organization_id, self._settings.kinds, self._settings.regions):
            if self._stopped:
                self._add(_subject(stream), Outcome.SKIPPED, "not tried")
            else:
                self._stream(stream, span)

    def _stream(self, stream: Stream, span: Span) -> None:
        subject = _subject(stream)
        if stream.region != GLOBAL:
            self._offered.setdefault(stream.region, False)
        try:
            page = self._client.page(stream, span)
        except NotOffered as error:
            self._hear("accepted")
            names = ("kinds",) if stream.region == GLOBAL else ("regions", "kinds")
            asked_by_name = any(self._settings.origins[name].startswith("flag") for name in names)
            where = "not offered" if stream.region == GLOBAL else "not offered in this region"
            self._add(
                subject,
                Outcome.FAILED if asked_by_name else Outcome.WARNING,
                f"{where} (HTTP {error.status})",
                exit_code=error.exit_code if asked_by_name else ExitCode.DONE,
            )
            return
        except AuthenticationFailed as error:
            self._hear("")
            self._fail("API key", error)
            self._stop(subject)
            return
        except RemoteUnavailable as error:
            if self._answered:
                self._fail(subject, error)
            else:
                self._fail(f"API {self._client.base_url}", error)
                self._stop(subject)
            return
        except RemoteError as error:
            self._note_offered(stream)
            self._hear("accepted" if isinstance(error, PermissionDenied) else "")
            asked_by_name = self._settings.origins["kinds"].startswith("flag") or self._settings.kinds == ("iam",)
            if isinstance(error, PermissionDenied) and stream.region == GLOBAL and not asked_by_name:
                self._add(subject, Outcome.WARNING, "not readable: the rest is read without it", hint=error.hint)
            else:
                self._fail(subject, error)
            return
        self._note_offered(stream)
        self._hear("accepted")
        if page.server_date is not None:
            # The header has whole seconds: on average the API's clock was half a second further.
            self.clock_offset = page.server_date + timedelta(seconds=0.5) - page.received_at
        self._add(subject, Outcome.OK, "readable")

    def _note_offered(self, stream: Stream) -> None:
        if stream.region != GLOBAL:
            self._offered[stream.region] = True

    def judge_what_is_not_offered(self) -> None:
        """A region that somebody chose and that offers nothing is a mistake; so is to have nothing at all."""
        empty = [region for region, offered in self._offered.items() if not offered]
        if (
            self._stopped
            or not empty
            or (self._settings.origins["regions"] == "default" and any(self._offered.values()))
        ):
            return
        self._add(
            f"regions {', '.join(empty)}",
            Outcome.FAILED,
            f"no stream is offered there ({self._settings.origins['regions']})",
            hint="check the names of the regions, and api_url",
            exit_code=ExitCode.REMOTE,
        )

    def names(self) -> None:
        """Try the lists that turn ids into names; a sync works without them."""
        for subject, (path, permission) in _NAMES.items():
            if self._stopped:
                self._add(subject, Outcome.SKIPPED, "not tried")
                continue
            parameters = {"organization_id": self._client.organization_id, "page": "1", "page_size": "1"}
            try:
                self._client.json(path, parameters)
            except PermissionDenied:
                self._add(
                    subject,
                    Outcome.WARNING,
                    "not readable: their ids will have no names",
                    hint=f"grant {permission} at Organization scope; `trailkeep config policy` prints the policy",
                )
            except RemoteError as error:
                self._add(subject, Outcome.WARNING, error.message, hint=error.hint)
            else:
                self._add(subject, Outcome.OK, "readable")

    def clock(self) -> None:
        """Compare the API's clock with this machine's."""
        if self.clock_offset is None:
            if self._answered and not self._stopped:
                self._add("clock", Outcome.WARNING, "no answer told the API's time")
            return
        seconds = self.clock_offset.total_seconds()
        close = abs(self.clock_offset) <= TOLERATED_OFFSET
        message = f"this machine is {abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} the API"
        self._add(
            "clock",
            Outcome.OK if close else Outcome.WARNING,
            "within a second of the API's" if abs(seconds) < 1 else message,
            hint=None if close else "a sync goes by the API's clock, so nothing is lost; set this one all the same",
        )

    def _hear(self, key: str) -> None:
        """The API answered; the first answer is worth a line, and so is that it took the key."""
        if not self._answered:
            self._add(f"API {self._client.base_url}", Outcome.OK, "answers")
            if key:
                self._add("API key", Outcome.OK, key)
        self._answered = True

    def _stop(self, subject: str) -> None:
        """Ask nothing more: it would end as `subject` did."""
        self._stopped = True
        self._add(subject, Outcome.SKIPPED, "not tried")

    def _fail(self, subject: str, error: RemoteError) -> None:
        self._add(subject, Outcome.FAILED, error.message, hint=error.hint, exit_code=error.exit_code)

    def _add(
        self,
        subject: str,
        outcome: Outcome,
        message: str,
        *,
        hint: str | None = None,
        exit_code: ExitCode = ExitCode.DONE,
    ) -> None:
        self.findings.append(Finding(subject=subject, outcome=outcome, message=message, hint=hint, exit_code=exit_code))
