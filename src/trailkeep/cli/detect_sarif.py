"""Findings as SARIF 2.1.0, which many tools that gather findings read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep import __version__
from trailkeep.cli.detect_report import finding_as_json

if TYPE_CHECKING:
    from trailkeep.cli.detect_report import Report
    from trailkeep.detections.choosing import Detection
    from trailkeep.detections.detecting import Told

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.0"}
"""``security-severity``, by which tools sort."""


def sarif(report: Report) -> dict[str, Any]:
    """The report as one run; rules are the detections, and a muted finding is a suppressed result."""
    rules = sorted(report.ran, key=lambda each: each.name)
    places = {each.name: index for index, each in enumerate(rules)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "trailkeep",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "rules": [_rule(each) for each in rules],
                    }
                },
                "automationDetails": {"id": f"trailkeep/{report.archive_id}/"},
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": not report.failed,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": f"{name}: {error.message}"}}
                            for name, error in report.failed
                        ],
                    }
                ],
                "results": [_result(each, places) for each in report.told],
            }
        ],
    }


def _rule(detection: Detection) -> dict[str, Any]:
    saved = detection.saved
    text = " ".join(saved.description.split()) or saved.title
    return {
        "id": saved.name,
        "shortDescription": {"text": saved.title},
        "fullDescription": {"text": text},
        "defaultConfiguration": {"level": _LEVELS[detection.severity]},
        "properties": {
            "tags": ["security", *(f"attack.{technique}" for technique in saved.attack)],
            "security-severity": _SCORES[detection.severity],
            "question": saved.question,
        },
    }


def _result(told: Told, places: dict[str, int]) -> dict[str, Any]:
    finding = told.finding
    result: dict[str, Any] = {
        "ruleId": finding.detection,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.summary},
        "partialFingerprints": {"trailkeepFindingId/v1": finding.finding_id},
        "baselineState": "new" if told.state == "new" else "unchanged",
        "locations": [_location(told)],
        "properties": finding_as_json(told),
    }
    if finding.detection in places:
        result["ruleIndex"] = places[finding.detection]
    if told.mute is not None:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": told.mute.reason}]
    return result


def _location(told: Told) -> dict[str, Any]:
    """Where it happened: nothing has a file and a line here, but somebody acted."""
    actor = told.finding.actor_id or "unknown"
    return {
        "logicalLocations": [{"fullyQualifiedName": actor, "name": told.finding.actor_name or actor, "kind": "object"}]
    }
