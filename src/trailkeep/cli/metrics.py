"""The status as Prometheus metrics, for a textfile collector."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from datetime import datetime

_METRICS = (
    ("trailkeep_last_read_age_seconds", "Seconds since a sync last read the stream.", "last_read_at"),
    ("trailkeep_covered_until_age_seconds", "Seconds since the end of the stream's coverage.", "covered_until"),
    (
        "trailkeep_oldest_unread_age_seconds",
        "Age of the oldest moment that can still be read and was not.",
        "oldest_unread",
    ),
    ("trailkeep_newest_event_age_seconds", "Age of the newest event.", "newest_event"),
    ("trailkeep_gaps", "Spans that were not read, by what can be done about them.", "gaps"),
    ("trailkeep_events", "Events held.", "rows"),
    ("trailkeep_bytes", "Bytes of the files that hold them.", "bytes"),
    ("trailkeep_files", "Files that hold them.", "files"),
)


def metrics(streams: list[dict[str, Any]], at: datetime) -> str:
    """The text exposition format: a family for each figure, with a sample for each stream that has it."""
    lines: list[str] = []
    for name, meaning, key in _METRICS:
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
        for stream in streams:
            lines += [f"{name}{{{_labels(stream, **more)}}} {value}" for more, value in _samples(stream, key, at)]
    return "\n".join(lines) + "\n"


def _samples(stream: dict[str, Any], key: str, at: datetime) -> list[tuple[dict[str, str], int]]:
    if key == "gaps":
        reasons = [gap["reason"] for gap in stream["gaps"]]
        return [({"reason": reason}, reasons.count(reason)) for reason in ("unread", "unreadable")]
    if key in ("rows", "bytes", "files"):
        return [({}, stream[key])]
    covered = stream["covered"]
    moment = (covered[-1]["to"] if covered else None) if key == "covered_until" else stream[key]
    return [] if moment is None else [({}, (at - parse_moment(moment)) // timedelta(seconds=1))]


def _labels(stream: dict[str, Any], **more: str) -> str:
    labels = {"organization_id": stream["organization_id"], "kind": stream["kind"], "region": stream["region"], **more}
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
