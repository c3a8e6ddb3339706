"""What a case is: an archive in a few lines, a query's parameters, and the whole answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from trailkeep.streams import Kind, Stream
    from trailkeep.timespan import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent:
    """One event, as the API would send it."""

    id: str
    stream: Stream
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a look at the directory shows of one object."""

    resource: str
    at: datetime
    raw: bytes
    rules: tuple[bytes, ...] | None = None
    """A policy's."""
    region: str | None = None
    """A product's."""
    gone: bool = False
    """Whether the object is not there any more at that time."""
    organization_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is known of a stream in a span."""

    kind: Kind
    region: str
    outcome: str
    """``read``, ``unreadable``, ``purged``, ``not_offered`` or ``denied``."""
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case."""

    name: str
    line: int
    """Where it begins in its file."""
    given: Mapping[str, Any]
    """The values of parameters, as they are written; `since` and `until` are always there."""
    now: datetime
    events: tuple[CaseEvent, ...] = ()
    directory: tuple[Sighting, ...] = ()
    coverage: tuple[Claim, ...] | None = None
    """None for all of the asked span."""
    rows: tuple[Mapping[str, Any], ...]
    """The whole answer; of each row those columns that are to be compared."""
    row_lines: tuple[int, ...] = ()
    """Where each row stands in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """The cases of one query."""

    path: Path
    cases: tuple[Case, ...] = field(default=())
