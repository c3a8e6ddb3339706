"""What those who acted in findings were called then, by the directory and by events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.analysis import Question, open_result
from trailkeep.errors import Interrupted, TrailkeepError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from trailkeep.catalog import Limits
    from trailkeep.detections.finding import Finding
    from trailkeep.detections.run import RunStop
    from trailkeep.store import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Somebody at a moment."""

    id: str
    organization_id: str | None
    """None where it is not known."""
    moment: datetime


def actor_of(finding: Finding) -> Actor | None:
    """Who acted in a finding, as of its last event."""
    if finding.actor_id is None:
        return None
    return Actor(id=finding.actor_id, organization_id=finding.organization_id, moment=finding.last_seen)


_SQL = """
SELECT organization_id, id, name, valid_from
FROM principal_history
WHERE name IS NOT NULL AND list_contains($ids, id)
ORDER BY organization_id, id, valid_from
"""


def names_of_actors(
    archive: Archive, actors: Iterable[Actor], *, now: datetime, limits: Limits, stop: RunStop
) -> tuple[dict[Actor, str], TrailkeepError | None]:
    """The names of those that have one, and what kept them from being looked up.

    An id that bears names in several Organizations has none. A finding without a name is a finding.
    """
    wanted = set(actors)
    ids = sorted({each.id for each in wanted})
    if not ids:
        return {}, None
    versions: dict[str, dict[str, list[tuple[datetime, str]]]] = {}
    try:
        question = Question(sql=_SQL, given={"ids": ids})
        with open_result(archive, question, now=now, limits=limits, stop=stop.next()) as result:
            for batch in result.batches():
                for row in batch.to_pylist():
                    places = versions.setdefault(row["id"], {})
                    places.setdefault(row["organization_id"], []).append((row["valid_from"], row["name"]))
    except Interrupted:
        raise
    except TrailkeepError as error:
        return {}, error
    names: dict[Actor, str] = {}
    for each in wanted:
        places = versions.get(each.id, {})
        if each.organization_id is not None:
            places = {place: known for place, known in places.items() if place == each.organization_id}
        if len(places) == 1:
            (known,) = places.values()
            names[each] = _as_of(known, each.moment.replace(tzinfo=None))
    return names, None


def _as_of(versions: Sequence[tuple[datetime, str]], moment: datetime) -> str:
    """The name that was borne at a moment, or else the first that is known."""
    before = [name for since, name in versions if since <= moment]
    return before[-1] if before else versions[0][1]
