"""How the archive's last looks at the directory's lists stand, as reports and `trailkeep status` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.store import Ledger

WELL = frozenset({"read", "not_offered"})
"""Outcomes that leave nothing to be done."""


def status_of(ledger: Ledger) -> list[dict[str, Any]]:
    """When each list of the directory was looked at last, and what came of it, as JSON values."""
    return [
        {
            "organization_id": organization_id,
            "resource": look.last.resource,
            "region": look.last.region,
            "outcome": look.last.outcome,
            "status": look.last.status,
            "objects": look.last.objects,
            "looked_at": look.last.at,
            "read_at": look.whole.at if look.whole else None,
        }
        for organization_id in organizations_in(ledger)
        for look in ledger.looks.values()
        if look.last.organization_id == organization_id
    ]


def status_lines(looks: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each Organization of whose directory something could not be read."""
    organizations = list(dict.fromkeys(each["organization_id"] for each in looks))
    for organization_id in organizations:
        own = [each for each in looks if each["organization_id"] == organization_id]
        if all(each["outcome"] in WELL for each in own):
            continue
        name = f"directory {organization_id}" if len(organizations) > 1 else "directory"
        objects = sum(each["objects"] for each in own)
        line = f"{name}: {objects:,} objects, recorded at {max(each['looked_at'] for each in own)[:19]}Z"
        yield line + others(
            [(each["outcome"], " ".join(filter(None, (each["resource"], each["region"])))) for each in own]
        )


def others(outcomes: list[tuple[str, str]]) -> str:
    """The lists that were not read in full, by what came of them."""
    kinds = dict.fromkeys(outcome for outcome, _name in outcomes if outcome not in WELL)
    return "".join(
        f"; {kind.replace('_', ' ')}: {', '.join(name for outcome, name in outcomes if outcome == kind)}"
        for kind in kinds
    )


def organizations_in(ledger: Ledger) -> list[str]:
    """The Organizations whose directory the archive holds."""
    return sorted({organization_id for organization_id, _resource, _region in ledger.looks})
