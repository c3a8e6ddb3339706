"""From the row of a detection to a finding, by the columns that it has."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trailkeep.detections.wording import commands, summary
from trailkeep.errors import QueryError
from trailkeep.seal import FindingRecord
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trailkeep.detections.choosing import Detection
    from trailkeep.queries import SavedQuery

WHO = ("principal_id", "user_id", "actor_id")
"""The columns that say who acted; the first of them that there is counts."""

MAX_EVENT_IDS = 100
MAX_ADDRESSES = 100
MAX_AGENTS = 20
"""How many of each a finding lists."""

ID_DIGITS = 16
"""Hexadecimal digits of a finding's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row of a detection, as it was found."""

    finding_id: str
    detection: Detection
    organization_id: str | None
    actor_id: str | None
    source_ips: tuple[str, ...]
    user_agents: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    count: int
    event_ids: tuple[str, ...]
    row: Mapping[str, Any]

    def recorded(self, actor_name: str | None, queries: Mapping[str, SavedQuery]) -> FindingRecord:
        """The finding in its last form, with who acted by name; `queries` are those that it may lead to."""
        saved = self.detection.saved
        return FindingRecord(
            finding_id=self.finding_id,
            detection=saved.name,
            question=saved.question,
            title=saved.title,
            severity=self.detection.severity,
            attack=list(saved.attack),
            organization_id=self.organization_id,
            actor_id=self.actor_id,
            actor_name=actor_name,
            source_ips=list(self.source_ips),
            user_agents=list(self.user_agents),
            first_seen=format_time(self.first_seen),
            last_seen=format_time(self.last_seen),
            count=self.count,
            summary=summary(saved, self.row, self.actor_id, actor_name),
            event_ids=list(self.event_ids),
            next=commands(saved, self.row, self.first_seen, queries),
        )


def row_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the engine's intervals, which Arrow has as months, days and nanoseconds, as lengths of time."""
    return {name: _length(value) if hasattr(value, "nanoseconds") else value for name, value in row.items()}


def _length(value: Any) -> timedelta:
    # As long as the engine takes a month to be where it compares intervals.
    return timedelta(days=30 * value.months + value.days, microseconds=value.nanoseconds // 1000)


def check_columns(saved: SavedQuery, columns: Sequence[str]) -> None:
    """Refuse a result whose rows are no findings. Raises QueryError that says which column is missing."""
    form = saved.finding
    assert form is not None
    needed = [*form.key, *(name for name in form.placeholders if name != "principal")]
    missing = [name for name in dict.fromkeys(needed) if name not in columns]
    if not missing and "recorded_at" not in columns and not {"first_at", "last_at"} <= set(columns):
        missing = ["recorded_at"]
    if missing:
        raise QueryError(
            f"{saved.path}: the result has no column {missing[0]}, which makes its rows findings",
            hint="`trailkeep queries check` says what a detection needs.",
        )


def finding_of(detection: Detection, row: Mapping[str, Any]) -> Finding:
    """The finding that a row is. Raises QueryError where it says no time."""
    saved, row = detection.saved, row_of(row)
    assert saved.finding is not None
    first, last = (_moment(saved, row, name) for name in ("first_at", "last_at"))
    event_ids = _texts(row.get("event_ids")) or _texts(row.get("id"))
    events = row.get("events")
    return Finding(
        finding_id=finding_id(saved.name, row, saved.finding.key),
        detection=detection,
        organization_id=_text(row.get("organization_id")),
        actor_id=actor_of(row),
        source_ips=_texts(row.get("source_ips"), row.get("source_ip"))[:MAX_ADDRESSES],
        user_agents=_texts(row.get("user_agents"), row.get("user_agent"))[:MAX_AGENTS],
        first_seen=min(first, last),
        last_seen=max(first, last),
        count=int(events) if isinstance(events, int | Decimal) else max(1, len(event_ids)),
        event_ids=event_ids[:MAX_EVENT_IDS],
        row=row,
    )


def finding_id(name: str, row: Mapping[str, Any], key: Sequence[str]) -> str:
    """The id of the finding that a row of the detection `name` is: by its Organization and key, and nothing else."""
    said = [name, _text(row.get("organization_id")), {column: plain(row.get(column)) for column in key}]
    text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def actor_of(row: Mapping[str, Any]) -> str | None:
    """Who acted; None where that is not known."""
    column = next((name for name in WHO if name in row), None)
    return None if column is None else _text(row[column])


def plain(value: Any) -> Any:
    """A value of a result as JSON has it, the same in every run."""
    if isinstance(value, datetime):
        return format_time(value.replace(tzinfo=UTC) if value.tzinfo is None else value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)}us"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _moment(saved: SavedQuery, row: Mapping[str, Any], name: str) -> datetime:
    value = row.get(name) or row.get("recorded_at") or row.get("last_at") or row.get("first_at")
    if not isinstance(value, datetime):
        raise QueryError(
            f"{saved.path}: a row says no time, so it is no finding",
            hint="The column recorded_at, or first_at and last_at, is a time in every row.",
        )
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _texts(*values: Any) -> tuple[str, ...]:
    """The texts of the first of `values` that is there, each once, in their order."""
    value = next((each for each in values if each is not None), None)
    listed = value if isinstance(value, list | tuple) else [value]
    return tuple(dict.fromkeys(str(each) for each in listed if each is not None))
