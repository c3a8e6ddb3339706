"""What the dot commands have set, for all that follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from trailkeep.cli.results import ResultFormat


@dataclass(slots=True, kw_only=True)
class Options:
    """How the next statement is asked and its result written; it changes as the user says."""

    form: ResultFormat = ResultFormat.TABLE
    limit: int | None = None
    """None for as many as a table shows, or all rows in any other format."""
    vertical: bool = False
    full: bool = False
    ids: bool = False
    """Whether tables show ids alone, without names."""
    timing: bool = False
    since: str | None = None
    until: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    once: Path | None = None
    """Where the next result goes, and only that one."""
