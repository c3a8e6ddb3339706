"""How fast to ask an API whose limit is not known: rules without a clock of their own; times are in seconds.

The first requests go out one by one, and more of them together with every answer. What is refused sets a ceiling: the
rate that the API was seen to bear. The pace stays just below it and tries from time to time whether more is borne by
now, gently at first and then ever faster. A refusal during such a try confirms the ceiling; one below the ceiling means
that it has come down, the more so the sooner it follows on another.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque

SLOWEST_RATE = 0.2
"""Requests a second below which the pace never falls by itself."""

BELOW_CEILING = 0.96
"""How much of the ceiling is used while it is not being tried."""

FIRST_TOGETHER = 1.0
MORE_TOGETHER = 0.5
"""How many requests may be under way while no limit is known: so many, and so many more for each that was answered."""

MANY_TOGETHER = 8.0
MANY_ANSWERS = 40
MORE_LATER = 0.5
"""So many, and no more until so many were answered: a limit of a few dozen a second would show by then. After that so
many more for each answer."""

TOGETHER_SECONDS = 0.25
"""A request that is not heard of for so long holds up none that come after it."""

PROBED_SECONDS = 1.0
"""While nothing is taken, one request at a time asks whether that is over; for so long at most it is waited for."""

TRIED_AFTER_REQUESTS = (90.0, 30.0, 5.0)
TRIED_AFTER_SECONDS = (18.0, 5.0, 1.0)
TRIED_BY = (0.02, 0.05, 0.2)
"""After how many answers and seconds without a refusal a ceiling is tried, and by how much a try exceeds it at first.

A try costs one or two refusals. The second and third figures are for a ceiling that is in doubt, and in great doubt.
"""

TRIED_AFTER_PAUSES = (40.0, 5.0, 1.0)
"""Nor is it tried before so many times the pause that the last refusal cost."""

TRIED_MORE_REQUESTS = 5.0
TRIED_MORE_SECONDS = 1.5
"""A try exceeds the ceiling by twice as much after as many more answers, and as long."""

DROP = 0.95
STEEP_DROP = (0.9, 0.87, 0.6)
DEEP_DROP = 0.3
"""What is kept of a ceiling at least when it was refused once, and when it is refused again soon."""

FAR_LESS = 0.5
"""Where less than this share of a ceiling was answered since the last refusal, it is not a little too high."""

FEW_ANSWERS = 30
"""Fewer answers between two refusals tell that a ceiling is too high by more than chance."""

NEAR = 0.85
"""How far up to what was refused a ceiling in doubt is raised."""

BEARABLE_ANSWERS = 60
BEARABLE_PAUSES = 20.0
"""A refusal after so many answers, and so many times its pause, is by chance, and costs less than a lower pace."""

FEWEST_ANSWERS = 2
"""Fewer still, and soon, tell only that the pause was too short."""

BURST_SECONDS = 1.0
"""An API that was left alone may bear, at once, what it bears in so long; that is no rate."""

REMEMBERED_SECONDS = 64.0
"""How far back answers are remembered."""

DEFAULT_PAUSE_SECONDS = 1.0
"""The longest pause after a refusal that does not say how long to wait."""

MANY_CLOSED = 5
LONGEST_UNTOLD_PAUSE_SECONDS = 4.0
"""After so many of them in a row with nothing answered it may grow to this: what was allowed for a while is used up."""

LONG_CLOSED = 30
"""After so many, some minutes, the pace is lowered all the same."""

PAUSED_REQUESTS = 1.0
"""Such a pause is as long as so many requests take at the new pace."""

LONGEST_PAUSE_SECONDS = 300.0
"""What a Retry-After is cut to, so that a mistaken one cannot stop a sync for a day."""


class Pace:
    """Hands out moments to ask at, and learns from what comes of them."""

    def __init__(self) -> None:
        self.rate: float | None = None
        """Requests a second that are allowed now, or None where no limit is known."""
        self._ceiling = 0.0
        self._doubt = 0
        self._next = 0.0
        self._last = 0.0
        self._together = 0
        self._answered = 0
        self._answers: deque[float] = deque()
        self._since = 0
        """Answers since asking went on after the last refusal."""
        self._resumed_at = 0.0
        """When it went on; what was asked before says nothing about the pace since then."""
        self._refused_at = 0.0
        """When a refusal last told something; what was asked before that tells nothing more."""
        self._lowered_at = 0.0
        self._open = True
        """Whether something was answered that was asked after the last pause."""
        self._closed = 0
        """Refusals in a row with nothing answered in between: they tell only that the pause was too short."""
        self._raised_from: float | None = None
        """The ceiling before the last try raised it, while that is not confirmed."""
        self._hopes = True
        """Whether the rate at which a try was refused is taken for the ceiling; a burst before it would end that."""
        self._pause = 0.0
        """How long the last refusal kept everybody silent."""

    def moment(self, now: float) -> float:
        """The earliest moment for the next request, as far as is known now."""
        if self.rate is None:
            room = min(MANY_TOGETHER, FIRST_TOGETHER + MORE_TOGETHER * self._answered)
            room += MORE_LATER * max(0, self._answered - MANY_ANSWERS)
            crowded = self._together >= room
            return max(now, self._next, self._last + TOGETHER_SECONDS if crowded else now)
        self._adapt(now)
        return max(now, self._next, self._last + PROBED_SECONDS if self._is_probing else now)

    @property
    def may_be_sooner(self) -> bool:
        """Whether an answer may bring the next moment forward."""
        return self._is_probing or (self.rate is None and self._next <= self._last)

    @property
    def _is_probing(self) -> bool:
        """Whether one request is under way to see if the API takes any again."""
        return (
            self.rate is not None
            and not self._open
            and (self._closed > 0 or self._doubt == 2)
            and self._last >= self._resumed_at
            and self._together > 0
        )

    def take(self, now: float) -> None:
        """A request is sent."""
        self._last = now
        self._together += 1
        self._next = max(self._next, now) + (1 / self.rate if self.rate else 0.0)

    def failed(self) -> None:
        """A request was neither answered nor refused."""
        self._together -= 1

    def answered(self, now: float, asked_at: float | None = None) -> None:
        """The API took a request, which was sent at `asked_at`."""
        self._together -= 1
        self._answered += 1
        self._since += 1
        self._open = self._open or asked_at is None or asked_at >= self._resumed_at
        self._answers.append(now)
        while self._answers[0] < now - REMEMBERED_SECONDS:
            self._answers.popleft()

    def refused(self, now: float, asked_at: float, retry_after_seconds: float | None) -> None:
        """The API refused the request of `asked_at`: pause, and go on slower."""
        self._together -= 1
        pause = retry_after_seconds
        tells = self.rate is None or asked_at >= self._refused_at
        if tells:
            few_since = self.rate is not None and self._since < FEWEST_ANSWERS
            is_closed = self.rate is not None and not self._open
            self._closed = self._closed + 1 if few_since or is_closed else 0
            if is_closed and self._closed > LONG_CLOSED:
                self._ceiling = max(SLOWEST_RATE / BELOW_CEILING, self._ceiling / 2)
                self.rate = self._ceiling * BELOW_CEILING
            elif not is_closed and (not few_since or now >= self._lowered_at + BURST_SECONDS):
                self._lower(now)
            self._refused_at = now
            if pause is None:
                pause = PAUSED_REQUESTS * 2 ** min(self._closed, 30) / self.rate if self.rate else math.inf
                longest = DEFAULT_PAUSE_SECONDS if self._closed < MANY_CLOSED else LONGEST_UNTOLD_PAUSE_SECONDS
                pause = min(longest, pause)
            self._pause = pause
        if pause is not None:
            self._next = max(self._next, now + min(max(0.0, pause), LONGEST_PAUSE_SECONDS))
        if tells:
            self._resumed_at = self._next
            self._open = False

    def _lower(self, now: float) -> None:
        """Set the ceiling by what was answered since the refusal before this one."""
        borne = self._borne(now)
        if self.rate is None:
            if not borne:
                return  # nothing was answered yet, so nothing is known of what the API bears
            self._ceiling, self._doubt = borne, 2
        elif self.rate <= self._ceiling:
            self._come_down(now)
        else:
            self._end_try(now, 0.95 * self.rate, borne)
        self._ceiling = max(SLOWEST_RATE / BELOW_CEILING, self._ceiling)
        self._lowered_at = now
        self._since = 0
        self.rate = self._ceiling * BELOW_CEILING

    def _come_down(self, now: float) -> None:
        """Lower a ceiling that was refused without being tried."""
        raised_from, self._raised_from = self._raised_from, None
        if raised_from is not None and self._since < FEW_ANSWERS:
            self._hopes = False
            self._ceiling = max(raised_from, min(self._ceiling, self._since_per_second(now, 1.0)))
            return
        if self._since >= BEARABLE_ANSWERS and now - self._lowered_at >= BEARABLE_PAUSES * self._pause:
            return
        ceiling, middle = self._ceiling, self._since_per_second(now, 0.5)
        active = self._since_per_second(now, 1.0)
        if middle < FAR_LESS * ceiling:
            self._ceiling = max(DEEP_DROP * ceiling, min(active, 1.3 * middle))
            self._doubt = 1
        else:
            least = DROP if self._since >= FEW_ANSWERS else STEEP_DROP[self._doubt]
            self._ceiling = min(DROP * ceiling, max(least * ceiling, self._since_per_second(now, 0.0)), active)

    def _end_try(self, now: float, near: float, borne: float) -> None:
        """Set the ceiling after a try; `near` is just below what was refused, if that was not a burst's end."""
        ceiling = self._ceiling
        if self._doubt == 2:
            middle = self._since_per_second(now, 0.5)
            self._ceiling = min(near, max(1.05 * middle, (middle * near) ** 0.5))
            self._doubt = 2 if near > 1.6 * self._ceiling else 1
        elif self._doubt == 1:
            self._ceiling = max(ceiling, ceiling + NEAR * (near - ceiling), min(near, borne))
            self._raised_from = ceiling if near > ceiling else None
            self._doubt = 1 if near > 1.25 * self._ceiling else 0
        elif near > 1.8 * ceiling:
            self._ceiling, self._doubt = 0.84 * near, 2  # more than a burst: the limit has risen
        elif near > 1.33 * ceiling:
            self._ceiling, self._doubt = 1.06 * ceiling, 1  # a burst, or a limit that has risen a little
        else:
            self._ceiling = max(ceiling, near if self._hopes else min(near, 1.03 * ceiling))
            self._raised_from = ceiling

    def _since_per_second(self, now: float, paused_share: float) -> float:
        """Answers a second since the refusal before, without this share of the pause after it.

        What the API would have borne in the pause is borne afterwards by a bucket of tokens, and lost in fixed seconds.
        """
        paused = (self._resumed_at - self._lowered_at) * paused_share
        return (self._since + 0.5) / max(now - self._lowered_at - paused, 1e-3)

    def _adapt(self, now: float) -> None:
        """Set the pace for now: up to the ceiling, and once that is to be tried, beyond it."""
        enough = TRIED_AFTER_REQUESTS[self._doubt]
        long = max(TRIED_AFTER_SECONDS[self._doubt], TRIED_AFTER_PAUSES[self._doubt] * self._pause)
        seconds = max(0.0, now - self._resumed_at)
        along = min(self._since / enough, seconds / long)
        if along < 1:
            self.rate = self._ceiling * (BELOW_CEILING + (1 - BELOW_CEILING) * along)
            return
        steps = min((self._since - enough) / TRIED_MORE_REQUESTS, (seconds - long) / TRIED_MORE_SECONDS, 32.0)
        more = TRIED_BY[self._doubt] * 2**steps
        if more > 1:
            more = min(more**3, 1e6)  # no burst could have borne so much: the ceiling is elsewhere
        # Where fewer requests are made than might be, a higher pace would be tried by nobody.
        recent = len(self._answers) - bisect_left(self._answers, now - 2.0)
        self.rate = max(self._ceiling, min(self._ceiling * (1 + more), 2.0 + recent))

    def _borne(self, now: float) -> float:
        """The rate that the API surely bears: what it answered in some time, less what may have been a burst."""
        best, seconds = 0.0, BURST_SECONDS
        while seconds <= REMEMBERED_SECONDS:
            within = len(self._answers) - bisect_left(self._answers, now - seconds)
            best = max(best, within / (seconds + BURST_SECONDS))
            seconds *= 2
        if self._answers and now - self._answers[0] < BURST_SECONDS:
            best = max(best, len(self._answers) / (now - self._answers[0] + BURST_SECONDS))
        return best
