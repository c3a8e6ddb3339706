"""What the detections say about a company at its ordinary work: findings of a year without any incident.

Prints, for each detection, how often it fired and on whom, and how many findings of medium severity or more there are
in 10,000 events. Ends with 1 where there are more than one, or where a detection failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from story_archive import outcomes_over, story_archive
from trailkeep.demo.story import demo_organization
from trailkeep.queries import SEVERITIES

if TYPE_CHECKING:
    from trailkeep.demo.story import Organization
    from trailkeep.detections.run import Outcome

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ALLOWED = 1.0
"""False findings of medium severity or more in 10,000 events."""
AT_LEAST = SEVERITIES.index("medium")


def names_of(organization: Organization) -> dict[str, str]:
    """Who is who."""
    called = {str(each["id"]): str(each["username"]) for each in organization.users}
    return called | {str(each["id"]): str(each["name"]) for each in organization.applications}


def shown(outcome: Outcome, called: dict[str, str], examples: int) -> list[str]:
    """A line for the detection, and one for each of the first findings."""
    if outcome.error is not None:
        return [f"{outcome.detection.severity:>8}  failed  {outcome.detection.name}: {outcome.error}"]
    whom = Counter(called.get(each.actor_id or "", "nobody") for each in outcome.findings)
    most = ", ".join(f"{name} {count}" for name, count in whom.most_common(4))
    lines = [f"{outcome.detection.severity:>8} {len(outcome.findings):>7}  {outcome.detection.name}  {most}".rstrip()]
    for each in outcome.findings[:examples]:
        facts = {name: value for name, value in each.row.items() if not name.endswith("event_ids")}
        lines.append(f"{'':>18}{each.last_seen:%Y-%m-%d %H:%M} {str(facts)[:400]}")
    return lines


def main() -> int:
    """Make the year, run the detections, print what they say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events-per-day", type=int)
    parser.add_argument("--examples", type=int, default=0, help="show so many findings of each detection")
    asked = parser.parse_args()
    organization = demo_organization(
        now=NOW, days=asked.days, seed=asked.seed, events_per_day=asked.events_per_day, incident=None
    )
    events = sum(map(len, organization.events.values()))
    with tempfile.TemporaryDirectory(prefix="benign-") as folder:
        archive = story_archive(Path(folder) / "data", organization)
        began = time.perf_counter()
        outcomes = outcomes_over(archive, organization)
        seconds = time.perf_counter() - began
    called = names_of(organization)
    outcomes = tuple(
        sorted(outcomes, key=lambda each: (-SEVERITIES.index(each.detection.severity), each.detection.name))
    )
    for outcome in outcomes:
        for line in shown(outcome, called, asked.examples):
            print(line)
    false = sum(len(each.findings) for each in outcomes if SEVERITIES.index(each.detection.severity) >= AT_LEAST)
    rate = false * 10_000 / events
    failed = sum(each.error is not None for each in outcomes)
    print(f"{events:,} events, {len(outcomes)} detections in {seconds:.1f} s: {false} findings of medium or more,")
    print(f"{rate:.2f} in 10,000 events (at most {ALLOWED:.0f}); {failed} detections failed")
    return int(rate > ALLOWED or failed > 0)


if __name__ == "__main__":
    sys.exit(main())
