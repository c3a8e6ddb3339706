"""How often a detection would have told of something, month by month, and about whom; nothing is put on record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.detections.names import Actor, names_of_actors
from trailkeep.detections.run import run_detections
from trailkeep.timespan import month_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from trailkeep.catalog import Limits
    from trailkeep.catalog.shared import Listener
    from trailkeep.detections.choosing import Detection
    from trailkeep.detections.run import Outcome, Run, RunStop
    from trailkeep.errors import TrailkeepError
    from trailkeep.store import Archive

MAX_PRINCIPALS = 5
"""How many are named for a month, those with most findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Somebody, and how many findings were about them."""

    actor_id: str | None
    """None for nobody who is known."""
    name: str | None
    findings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What a detection would have told in one month."""

    month: str
    findings: int
    whom: tuple[Whom, ...]
    """At most `MAX_PRINCIPALS`."""
    others: int
    """How many more there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a detection would have told."""

    outcome: Outcome
    months: tuple[Month, ...]
    """Every month of the span."""

    @property
    def findings(self) -> int:
        """In all."""
        return sum(each.findings for each in self.months)


def backtest(
    archive: Archive,
    detections: Sequence[Detection],
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    limits: Limits,
    stop: RunStop,
    listener: Listener,
    open_ended: bool = False,
) -> tuple[Run, list[Backtest], TrailkeepError | None]:
    """Run the detections as they are tuned over all of the time; the last value is why nobody is named, if so."""
    run = run_detections(
        archive,
        [(each, since) for each in detections],
        until,
        now=now,
        limits=limits,
        stop=stop,
        listener=listener,
        state_of=lambda _finding_id: "new",
        keep=lambda _state: False,
        open_ended=open_ended,
    )
    ids = {actor for each in run.outcomes for _month, actor in each.by_month if actor is not None}
    actors = {each: Actor(id=each, organization_id=None, moment=until) for each in ids}
    names, nameless = names_of_actors(archive, actors.values(), now=now, limits=limits, stop=stop)
    called = {each: names[actor] for each, actor in actors.items() if actor in names}
    tests = [
        Backtest(outcome=each, months=tuple(_month(each, month, called) for month in _months(since, until)))
        for each in run.outcomes
    ]
    return run, tests, nameless


def _month(outcome: Outcome, month: str, called: dict[str, str]) -> Month:
    counts = Counter({actor: count for (of, actor), count in outcome.by_month.items() if of == month})
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0] is None, each[0] or ""))
    return Month(
        month=month,
        findings=counts.total(),
        whom=tuple(
            Whom(actor_id=actor, name=called.get(actor or ""), findings=count)
            for actor, count in ordered[:MAX_PRINCIPALS]
        ),
        others=max(0, len(ordered) - MAX_PRINCIPALS),
    )


def _months(since: datetime, until: datetime) -> Iterator[str]:
    month, last = month_of(since), month_of(until - timedelta(microseconds=1))
    while month <= last:
        yield month
        year, number = int(month[:4]), int(month[5:])
        month = f"{year + number // 12:04d}-{number % 12 + 1:02d}"
