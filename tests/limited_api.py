"""An API with a limit, in virtual time: what a pace asks of it, and what comes of that."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Protocol

from trailkeep.api.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Limiter(Protocol):
    """Takes a request or refuses it."""

    def take(self, at: float) -> bool:
        """Whether the request of this moment is taken."""
        ...

    def wait(self, at: float) -> float:
        """How long it will take none, as far as it knows."""
        ...


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
    """So many requests in each second of the clock, or each `length` of it; the counts begin `phase` after it."""

    def __init__(self, limit: Callable[[float], float], phase: float = 0.3, length: float = 1.0) -> None:
        self.limit = limit
        self.phase = phase
        self.length = length
        self.number = -1
        self.taken = 0

    def take(self, at: float) -> bool:
        number = int((at + self.phase) / self.length)
        if number != self.number:
            self.number, self.taken = number, 0
        if self.taken + 1 > self.limit(at) * self.length:
            return False
        self.taken += 1
        return True

    def wait(self, at: float) -> float:
        return self.length - (at + self.phase) % self.length


class Sliding:
    """So many requests in the `length` before any moment."""

    def __init__(self, limit: Callable[[float], float], length: float = 1.0) -> None:
        self.limit = limit
        self.length = length
        self.log: deque[float] = deque()

    def take(self, at: float) -> bool:
        while self.log and self.log[0] <= at - self.length:
            self.log.popleft()
        if len(self.log) + 1 > self.limit(at) * self.length:
            return False
        self.log.append(at)
        return True

    def wait(self, at: float) -> float:
        return self.log[0] + self.length - at if self.log else 0.0


class Leaky:
    """A request each so often, and up to `burst` of them before their time."""

    def __init__(self, limit: Callable[[float], float], burst: int) -> None:
        self.limit = limit
        self.burst = burst
        self.due = 0.0

    def take(self, at: float) -> bool:
        if self.wait(at) > 1e-9:
            return False
        self.due = max(at, self.due) + 1 / self.limit(at)
        return True

    def wait(self, at: float) -> float:
        return self.due - at - (self.burst - 1) / self.limit(at)


class Together:
    """So many requests at once, each for `seconds`."""

    def __init__(self, most: int, seconds: float = 0.1) -> None:
        self.most = most
        self.seconds = seconds
        self.ends: list[float] = []

    def take(self, at: float) -> bool:
        self.ends = [end for end in self.ends if end > at]
        if len(self.ends) >= self.most:
            return False
        self.ends.append(at + self.seconds)
        return True

    def wait(self, at: float) -> float:
        return min(self.ends) - at


class Stormy:
    """Another limiter, which takes nothing at all in some spans."""

    def __init__(self, inner: Limiter, storms: Sequence[tuple[float, float]]) -> None:
        self.inner = inner
        self.storms = storms

    def take(self, at: float) -> bool:
        return not any(start <= at < end for start, end in self.storms) and self.inner.take(at)

    def wait(self, at: float) -> float:
        return max([end - at for start, end in self.storms if start <= at < end], default=0.5)


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
    limiter: Limiter,
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
                pace.answered(now, asked_at)
            else:
                pace.refused(now, asked_at, after)
            look()
        else:
            wakes = None
            look()
    return outcome
