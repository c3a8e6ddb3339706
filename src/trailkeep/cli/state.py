"""What the options before the command say, and the settings and the archive that follow from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep.errors import UsageError
from trailkeep.timespan import parse_time

if TYPE_CHECKING:
    import typer

    from trailkeep.analysis import Stop
    from trailkeep.catalog import Limits
    from trailkeep.config import Settings


class ReportFormat(StrEnum):
    """How a command that reports writes its result."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The options that stand before the command."""

    archive: Path | None
    config: Path | None

    def settings(self, **flags: object) -> Settings:
        """The settings, with the command's own flags (None where not given) over everything else."""
        from trailkeep.cli import diagnostics
        from trailkeep.config import load_settings

        settings = load_settings(
            flags={"archive": self.archive, **flags},
            environ=os.environ,
            config_file=self.config,
            directory=Path.cwd(),
        )
        for warning in settings.warnings:
            diagnostics.warn(warning)
        return settings


def state_of(context: typer.Context) -> State:
    """The state that the application's callback left in the context."""
    state = context.find_object(State)
    if state is None:
        raise UsageError("the command was called without the application around it")
    return state


def limits_of(settings: Settings, *, sealed: bool = False) -> Limits:
    """What a query may use of the machine, by the settings; `sealed` closes the file system to its SQL wholly."""
    from trailkeep.catalog import Limits

    return Limits(
        memory=settings.memory,
        threads=settings.threads,
        temporary_directory=settings.temp_directory,
        temporary_disk=settings.temp_disk,
        sealed=sealed,
        mmdb=settings.mmdb,
    )


def stop_of(settings: Settings) -> Stop:
    """What ends a query, by itself where the settings have a time limit."""
    from trailkeep.analysis import Stop

    return Stop(timeout_seconds=None if settings.timeout is None else settings.timeout.total_seconds())


def now() -> datetime:
    """The laptop's clock; the only place of the command line that reads it."""
    return datetime.now(UTC)


def moment_option(option: str, text: str | None, at: datetime) -> datetime | None:
    """The moment that an option names, ages counted back from `at`. Raises UsageError."""
    if text is None:
        return None
    try:
        return parse_time(text, at)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
