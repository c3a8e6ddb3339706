"""The error tree: every failure a user can meet, its exit code, and what to do next.

::

    TrailkeepError
    ├── QueryError (1)            rejected or failed SQL
    ├── UsageError (2)            arguments, names, parameters
    │   └── ConfigError           settings and credentials
    ├── RemoteError (3)           the API
    │   ├── AuthenticationFailed  401
    │   ├── PermissionDenied      403
    │   ├── RequestRefused        400 and other 4xx
    │   ├── TokenRefused          a page token the API no longer takes
    │   ├── NotOffered            404 and 501: the region has no such stream
    │   └── RemoteUnavailable     unreachable, or still failing after all retries
    ├── StoreError (4)            the archive's folder
    │   ├── ArchiveMissing
    │   ├── ArchiveLocked
    │   ├── ArchiveTooNew
    │   └── ArchiveDamaged
    ├── IntegrityViolated (5)
    ├── CoverageIncomplete (6)
    ├── TimeLimitReached (7)
    ├── FindingsPresent (10)
    └── Interrupted (130)
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller; the whole list is part of the interface."""

    DONE = 0
    """The command did all that was asked."""
    QUERY = 1
    """A query was rejected by the guard or failed while it ran."""
    USAGE = 2
    """The command line, a setting or a credential is wrong."""
    REMOTE = 3
    """The API refused, failed, could not be reached, or sent an event that had to be set aside."""
    STORE = 4
    """The archive's folder is busy, missing, full, unreadable or damaged."""
    INTEGRITY = 5
    """The archive does not match its ledger."""
    COVERAGE = 6
    """Part of the asked span was never read."""
    TIME_LIMIT = 7
    """The time limit ran out."""
    FINDINGS = 10
    """Detections found something."""
    INTERRUPTED = 130
    """Stopped by SIGINT or SIGTERM, after what was proven had been committed."""


class TrailkeepError(Exception):
    """Base of every error that Trailkeep raises on purpose."""

    exit_code: ExitCode = ExitCode.QUERY

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        """What the user can do next, in one sentence, or None."""


class QueryError(TrailkeepError):
    """SQL that was rejected, does not bind, or failed while it ran."""

    exit_code = ExitCode.QUERY


class UsageError(TrailkeepError):
    """An argument, a name or a parameter that cannot be used."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A setting or a credential that is missing, malformed or contradictory."""


class RemoteError(TrailkeepError):
    """The API did not give what was asked."""

    exit_code = ExitCode.REMOTE


class AuthenticationFailed(RemoteError):
    """The API does not know the secret key (401)."""


class PermissionDenied(RemoteError):
    """The key is known and may not read this (403)."""


class RequestRefused(RemoteError):
    """The API refused the request as it was written (400 and other 4xx)."""


class TokenRefused(RemoteError):
    """The API no longer takes a page token; reading goes on from the last event's time."""


class NotOffered(RemoteError):
    """The region does not have this stream (404 or 501)."""

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RemoteUnavailable(RemoteError):
    """The API could not be reached, or still failed after every retry."""


class StoreError(TrailkeepError):
    """The archive's folder could not be read or written."""

    exit_code = ExitCode.STORE


class ArchiveMissing(StoreError):
    """There is no archive in the folder."""


class ArchiveLocked(StoreError):
    """Another process is writing to the archive."""


class ArchiveTooNew(StoreError):
    """The archive was written by a later version in a format this one does not know."""


class ArchiveDamaged(StoreError):
    """The ledger or a live file cannot be read as what it should be."""


class IntegrityViolated(TrailkeepError):
    """The archive does not match its ledger."""

    exit_code = ExitCode.INTEGRITY


class CoverageIncomplete(TrailkeepError):
    """Part of the asked span was never read."""

    exit_code = ExitCode.COVERAGE


class TimeLimitReached(TrailkeepError):
    """The time limit ran out before the answer was complete."""

    exit_code = ExitCode.TIME_LIMIT


class FindingsPresent(TrailkeepError):
    """Detections found something new."""

    exit_code = ExitCode.FINDINGS


class Interrupted(TrailkeepError):
    """The user or the system stopped the command."""

    exit_code = ExitCode.INTERRUPTED
