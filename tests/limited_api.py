"""An API with a limit, in virtual time: what a pace asks of it, and what comes of that."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from trailkeep.api.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable


class Bucket:
    """A bucket of tokens that fills at the limit's rate and holds `seconds` of it, and one at least."""

    def __init__(self, limit: Callable[[float], float], seconds: float = 1.0) -> None:
        self.limit = limit
        self.seconds = seconds
        self.level: float | None = None
        self.filled_at = 0.0

    def take(self, at: float) -> bool:
        rate = self.limit(at)
        most = max(1.0, rate * self.seconds)
        level = most if self.level is None else min(most, self.level + (at - self.filled_at) * rate)
        self.filled_at = at
        taken = level >= 1
        self.level = level - taken
        return taken

    def wait(self, at: float) -> float:
        return (1 - (self.level or 0.0)) / self.limit(at)


class Seconds:
    """So many requests in each second of the clock; the counts begin `phase` after it."""

    def __init__(self, limit: Callable[[float], float], phase: float = 0.3) -> None:
        self.limit = limit
        self.phase = phase
        self.second = -1
        self.taken = 0

    def take(self, at: float) -> bool:
        second = int(at + self.phase)
        if second != self.second:
            self.second, self.taken = second, 0
        if self.taken + 1 > self.limit(at):
            return False
        self.taken += 1
        return True

    def wait(self, at: float) -> float:
        return 1 - (at + self.phase) % 1


@dataclass
class Outcome:
    """When requests were answered and refused."""

    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def share(self, limit: Callable[[float], float], start: float, end: float) -> float:
        """What was answered from `start` to `end`, of what might have been."""
        steps = 1000
        possible = sum(limit(start + (end - start) * step / steps) for step in range(steps)) * (end - start) / steps
        return sum(start <= at < end for at in self.taken) / possible

    @property
    def refused_share(self) -> float:
        return len(self.refused) / (len(self.taken) + len(self.refused))


def simulate(
    limiter: Bucket | Seconds,
    *,
    seconds: float,
    latency: float = 0.1,
    jitter: float = 0.2,
    connections: int = 16,
    retry_after: str = "none",
    seed: int = 1,
) -> Outcome:
    """What becomes of `connections` workers that ask for ever; `retry_after` is none, exact or whole (seconds)."""
    pace, outcome, luck, order = Pace(), Outcome(), Random(seed), count()
    events: list[tuple[float, int, str, float, bool, float | None]] = []
    waiting = connections
    wakes: float | None = None
    now = 0.0

    def look() -> None:
        """Send what may be sent now, and look again when the next may."""
        nonlocal waiting, wakes
        while waiting:
            moment = pace.moment(now)
            if moment > now:
                if wakes is None or not now < wakes <= moment:
                    wakes = moment
                    heapq.heappush(events, (moment, next(order), "look", 0.0, False, None))
                return
            pace.take(now)
            waiting -= 1
            way = latency * (1 - jitter / 2 + jitter * luck.random())
            heapq.heappush(events, (now + way / 2, next(order), "arrives", now, False, None))

    look()
    while events and events[0][0] < seconds:
        now, _order, what, asked_at, taken, after = heapq.heappop(events)
        if what == "arrives":
            taken = limiter.take(now)
            (outcome.taken if taken else outcome.refused).append(now)
            wait = 0.0 if taken else limiter.wait(now)
            told = None if taken or retry_after == "none" else wait if retry_after == "exact" else float(int(wait) + 1)
            way = latency * (1 - jitter / 2 + jitter * luck.random())
            heapq.heappush(events, (now + way / 2, next(order), "answer", asked_at, taken, told))
        elif what == "answer":
            waiting += 1
            if taken:
                pace.answered(now)
            else:
                pace.refused(now, asked_at, after)
            look()
        else:
            wakes = None
            look()
    return outcome
