"""The pace finds what an API allows, keeps just below it, and finds it again when it changes: all in virtual time."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from limited_api import Bucket, Seconds, simulate
from trailkeep.api.pace import LONGEST_PAUSE_SECONDS, Pace

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITERS: dict[str, Callable[[Callable[[float], float]], Bucket | Seconds]] = {"bucket": Bucket, "seconds": Seconds}


@pytest.mark.parametrize(("limiter", "retry_after"), [*product(LIMITERS, ["none", "exact", "whole"])])
@pytest.mark.parametrize("rate", [2, 3, 5, 10, 20, 35, 50])
def test_nine_tenths_of_a_limit_are_used_and_few_requests_are_refused(
    limiter: str, retry_after: str, rate: float
) -> None:
    """From the first request on, over 600 requests or 90 seconds, for round trips of 50 to 250 ms."""
    for latency in (0.05, 0.1, 0.25):
        seconds = max(90.0, 600 / rate)
        outcome = simulate(
            LIMITERS[limiter](lambda _at: rate), seconds=seconds, latency=latency, retry_after=retry_after
        )
        share = outcome.share(lambda _at: rate, 0, seconds)
        # A pause of a whole second that is asked of us is a second lost where the limit is one of each second.
        least = 0.86 if (limiter, retry_after) == ("seconds", "whole") else 0.9
        assert share >= least, (latency, share)
        assert outcome.refused_share < 0.03, (latency, outcome.refused_share)


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("retry_after", ["none", "whole"])
@pytest.mark.parametrize("levels", [(20, 5, 20), (50, 5, 50), (5, 50, 5), (10, 30, 10), (50, 45, 50)])
def test_a_limit_that_changes_is_found_again(limiter: str, retry_after: str, levels: tuple[float, ...]) -> None:
    """Each level lasts two minutes, and in the second of them most of it is used."""

    def limit(at: float) -> float:
        return levels[min(2, int(at // 120))]

    outcome = simulate(LIMITERS[limiter](limit), seconds=360, retry_after=retry_after)
    for phase in range(3):
        share = outcome.share(limit, phase * 120 + 60, phase * 120 + 120)
        assert share >= 0.8, (phase, share)
    assert outcome.refused_share < 0.03


@pytest.mark.parametrize("connections", [1, 2, 16, 64])
def test_without_a_limit_every_connection_is_used(connections: int) -> None:
    outcome = simulate(Bucket(lambda _at: 1e9), seconds=20, connections=connections, jitter=0.0)
    assert outcome.refused == []
    assert len(outcome.taken) > 0.9 * 20 / 0.1 * connections


def test_first_requests_go_out_a_few_at_a_time() -> None:
    """A limit of a few requests a second is met with a few requests and not with sixteen."""
    for rate in (2, 5, 10, 20):
        outcome = simulate(Bucket(lambda _at, rate=rate: rate), seconds=1.5)
        assert len(outcome.refused) <= 8, rate


def test_nothing_is_sent_before_a_retry_after_has_passed() -> None:
    outcome = simulate(Seconds(lambda _at: 10), seconds=60, retry_after="whole", jitter=0.0)
    for at in outcome.refused:
        # What was under way could not be called back: 50 ms there, 50 ms for the refusal's way here.
        assert not [taken for taken in outcome.taken if at + 0.11 < taken < at + 1.0]


def test_a_retry_after_is_cut_to_what_a_run_can_wait() -> None:
    pace = Pace()
    pace.take(0.0)
    pace.refused(0.1, 0.0, 1e9)
    assert pace.moment(0.2) == pytest.approx(0.1 + LONGEST_PAUSE_SECONDS)


def test_requests_of_before_a_refusal_do_not_lower_the_pace_again() -> None:
    pace = Pace()
    for number in range(16):
        pace.take(number / 10)
        pace.answered(number / 10 + 0.05)
    for _ in range(5):
        pace.take(2.0)
    pace.refused(2.1, 2.0, None)
    lowered = pace.rate
    for _ in range(4):
        pace.refused(2.11, 2.0, None)
    assert lowered is not None
    assert pace.rate == lowered
