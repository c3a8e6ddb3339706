"""What receivers are sent: the same findings, in the shape that each takes."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from trailkeep.hostile import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

Finding = dict[str, Any]
"""A finding as `trailkeep detect --format json` gives it."""

_SUMMARY = 600
_MENTION = re.compile(r"@(?=here\b|channel\b|everyone\b|all\b)")
_COLOURS = {"critical": "#7d1128", "high": "#c0392b", "medium": "#d68910", "low": "#2e86c1", "info": "#7f8c8d"}


def idempotency_key(findings: Sequence[Finding]) -> str:
    """The same for the same findings, so that a receiver can tell a repetition."""
    ids = "\n".join(str(finding["finding_id"]) for finding in findings)
    return hashlib.sha256(ids.encode()).hexdigest()[:32]


def webhook(archive_id: str, findings: Sequence[Finding]) -> bytes:
    """``{"source": "trailkeep", "archive_id": ..., "findings": [...]}``."""
    return json.dumps({"source": "trailkeep", "archive_id": archive_id, "findings": [*findings]}).encode()


def slack(findings: Sequence[Finding]) -> bytes:
    """A message with an attachment for each finding, in Slack's format, which others take as well."""
    plural = "" if len(findings) == 1 else "s"
    body = {
        "text": f"Trailkeep: {len(findings)} new finding{plural}",
        "attachments": [_attachment(finding) for finding in findings],
    }
    return json.dumps(body).encode()


def line(finding: Finding) -> bytes:
    """A finding as one line of NDJSON."""
    return json.dumps(finding).encode() + b"\n"


def _attachment(finding: Finding) -> dict[str, Any]:
    severity = str(finding.get("severity") or "info")
    seen = f"{finding.get('first_seen')} to {finding.get('last_seen')}, events: {finding.get('count')}"
    facts = [finding.get("detection"), finding.get("finding_id"), seen]
    title = _plain(f"{severity.upper()}: {finding.get('title')}")
    return {
        "color": _COLOURS.get(severity, _COLOURS["info"]),
        "fallback": title,
        "title": title,
        "text": _plain(finding.get("summary"), _SUMMARY),
        "footer": _plain(" · ".join(str(fact) for fact in facts), 280),
        # Nothing of it is read as formatting.
        "mrkdwn_in": [],
    }


def _plain(value: object, longest: int = 200) -> str:
    """Text of an event as such a service shows it: it can neither mention anybody nor hide a link behind a text."""
    text = one_line(str(value if value is not None else ""))
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, escaped)
    return _MENTION.sub("@\u200b", text)
