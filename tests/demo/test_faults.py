"""Every fault can be seen over a real connection, strikes when it is told to, and leaves the next request alone."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from dataclasses import fields
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from loopback import NOW, RawClient, event

from trailkeep.demo.faults import ALWAYS, NEVER, Faults, Injector, When
from trailkeep.demo.serve import serve
from trailkeep.demo.wire import WireFault

if TYPE_CHECKING:
    from trailkeep.demo.emulator import Emulator

SINCE = (NOW - timedelta(minutes=59)).isoformat()
ASCENDING = {"recorded_after": SINCE, "order_by": "recorded_at_asc", "page_size": 10}
ONCE = When(first=1)


@pytest.fixture
def ids(emulator: Emulator) -> list[str]:
    """Thirty-five events, one a minute until a minute ago, oldest first."""
    added = [event(number, NOW - timedelta(minutes=35 - number)) for number in range(35)]
    for each in added:
        emulator.add("api", "fr-par", each)
    return [each["id"] for each in added]


def struck(when: When, requests: int = 20, path: str = "/x", seed: int = 0) -> list[int]:
    injector = Injector(Faults(reset=when), seed)
    return [number for number in range(1, requests + 1) if injector.strike(path)]


def test_a_condition_strikes_the_requests_it_names() -> None:
    assert struck(NEVER) == []
    assert struck(ALWAYS, 3) == [1, 2, 3]
    assert struck(When(requests={3, 4})) == [3, 4]
    assert struck(When(every=5)) == [5, 10, 15, 20]
    assert struck(When(first=2)) == [1, 2]
    assert struck(When(first=2, path="/y")) == []
    assert struck(When(first=1, requests=[9], every=8)) == [1, 8, 9, 16]


def test_a_rate_depends_on_the_seed_and_on_nothing_else() -> None:
    assert struck(When(rate=0.3)) == struck(When(rate=0.3))
    assert struck(When(rate=0.3)) != struck(When(rate=0.3), seed=1)
    assert 200 < len(struck(When(rate=0.3), 1000)) < 400


def test_ordinals_count_only_the_requests_of_the_path() -> None:
    injector = Injector(Faults(reset=When(requests={2}, path="system")), 0)
    assert [bool(injector.strike(path)) for path in ("/system", "/api", "/api", "/system", "/system")] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_assigning_faults_starts_their_ordinals_again(client: RawClient, emulator: Emulator) -> None:
    for _ in range(2):
        emulator.faults = Faults(server_error=ONCE, server_error_statuses=(500,))
        assert [client.events().status for _ in range(2)] == [500, 200]


def test_every_condition_is_evaluated() -> None:
    names = {each.name for each in fields(Faults) if each.default == NEVER}
    injector = Injector(Faults(**dict.fromkeys(names, ALWAYS)), 0)
    assert injector.strike("/") == names


# Time


def test_latency_delays_the_answer(client: RawClient, emulator: Emulator) -> None:
    emulator.faults = Faults(latency=ONCE, latency_seconds=0.15)
    began = time.monotonic()
    assert client.events().status == 200
    assert time.monotonic() - began >= 0.15
    assert emulator.requests[0].seconds >= 0.15
    assert emulator.requests[0].faults == ("latency",)


def test_a_slow_body_arrives_whole_but_late(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(slow_body=ONCE, slow_body_seconds=0.16)
    began = time.monotonic()
    assert client.events(**ASCENDING).ids == ids[:10]
    assert time.monotonic() - began >= 0.16


def test_the_date_is_skewed_or_missing(client: RawClient, emulator: Emulator) -> None:
    emulator.faults = Faults(clock_skew=timedelta(minutes=-7), no_date=When(requests={2}))
    first, second = client.events(), client.events()
    assert parsedate_to_datetime(first.headers["Date"]) == NOW - timedelta(minutes=7)
    assert second.headers["Date"] is None


# Refusals


@pytest.mark.parametrize(
    ("form", "expected"), [("seconds", "3"), ("http-date", "Tue, 01 Sep 2026 13:05:10 GMT"), ("none", None)]
)
def test_a_rate_limit_says_when_to_come_back_or_does_not(
    client: RawClient, emulator: Emulator, form: str, expected: str | None
) -> None:
    emulator.faults = Faults(rate_limit=ONCE, retry_after=form, retry_after_seconds=3)  # type: ignore[arg-type]
    answered = client.events()
    assert (answered.status, answered.headers["Retry-After"]) == (429, expected)
    assert answered.page["type"] == "too_many_requests"
    assert client.events().status == 200


def test_a_token_bucket_refuses_what_exceeds_the_rate(client: RawClient, emulator: Emulator) -> None:
    emulator.faults = Faults(requests_per_second=10)
    statuses = Counter(client.events().status for _ in range(40))
    assert statuses[200] >= 10
    assert statuses[429] >= 10
    assert emulator.requests[-1].faults == ("requests_per_second",)
    time.sleep(0.15)
    assert client.events().status == 200


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_html_and_only_503_says_when(client: RawClient, emulator: Emulator, status: int) -> None:
    emulator.faults = Faults(server_error=ONCE, server_error_statuses=(status,))
    answered = client.events()
    assert answered.status == status
    assert answered.body.startswith(b"<html>")
    assert answered.headers["Content-Type"] == "text/html"
    assert answered.headers["Retry-After"] == ("1" if status == 503 else None)


def test_a_key_can_be_revoked_in_the_middle(client: RawClient, emulator: Emulator) -> None:
    emulator.faults = Faults(revoked_key=When(requests={2}))
    assert [client.events().status for _ in range(2)] == [200, 401]


def test_regions_and_streams_can_be_absent(client: RawClient, emulator: Emulator) -> None:
    emulator.faults = Faults(absent_regions={"pl-waw"}, absent_streams={"nl-ams/system-events", "combined-events"})
    assert client.events("pl-waw").page["type"] == "not_found"
    assert client.events("nl-ams", "system-events").status == 501
    assert client.events("nl-ams", "system-events").page["message"] == "unknown method"
    assert client.events("fr-par", "system-events").status == 200
    assert client.events("fr-par", "combined-events").status == 501


def test_a_redirect_leads_to_the_other_host_with_path_and_query(client: RawClient, emulator: Emulator) -> None:
    emulator.faults = Faults(redirect=ONCE, redirect_to="http://127.0.0.2:1")
    answered = client.events(page_size=1)
    assert answered.status == 307
    assert answered.headers["Location"].startswith("http://127.0.0.2:1/audit-trail/v1alpha1/regions/fr-par/events?")
    assert answered.headers["Location"].endswith("page_size=1")


# The connection


@pytest.mark.parametrize("after", [0, 7])
def test_a_reset_breaks_the_connection_before_or_amid_the_body(
    client: RawClient, emulator: Emulator, ids: list[str], after: int
) -> None:
    emulator.faults = Faults(reset=ONCE, reset_after_bytes=after)
    with pytest.raises(ConnectionResetError):
        client.events(**ASCENDING)
    assert client.events(**ASCENDING).ids == ids[:10]
    assert [request.status for request in emulator.requests] == [200 if after else 0, 200]


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_a_truncated_body_ends_before_it_should(
    client: RawClient, emulator: Emulator, ids: list[str], form: str
) -> None:
    emulator.faults = Faults(truncate=ONCE, truncate_form=form)  # type: ignore[arg-type]
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.events(**ASCENDING)
    assert caught.value.partial.startswith(b'{"events":[')
    assert client.events(**ASCENDING).ids == ids[:10]


@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_in_plain_wsgi_use_a_broken_connection_is_an_exception(emulator: Emulator, fault: str) -> None:
    emulator.faults = Faults(**{fault: ONCE})
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/nowhere", "QUERY_STRING": ""}
    with pytest.raises(WireFault):
        emulator(environ, lambda *_: None)  # type: ignore[arg-type,return-value]
    statuses: list[str] = []
    assert emulator(environ, lambda status, _headers: statuses.append(status))  # type: ignore[arg-type,return-value]
    assert statuses == ["401 Unauthorized"]


# Bodies


def test_invalid_json_has_a_right_length_and_a_wrong_end(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(invalid_json=ONCE)
    answered = client.events(**ASCENDING)
    assert answered.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answered.body)
    assert client.events(**ASCENDING).ids == ids[:10]


def test_an_answer_can_be_json_and_no_page(client: RawClient, emulator: Emulator) -> None:
    emulator.faults = Faults(not_a_page=ONCE)
    assert client.events().page == {"message": "ok"}


def test_keys_can_come_in_another_order_with_the_same_content(
    client: RawClient, emulator: Emulator, ids: list[str]
) -> None:
    emulator.faults = Faults(sorted_keys=ONCE)
    other, usual = client.events(**ASCENDING), client.events(**ASCENDING)
    assert other.body != usual.body
    assert other.page["events"] == usual.page["events"]


# Pages


def test_a_token_expires_by_the_emulators_clock(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    now = NOW
    emulator.clock = lambda: now
    emulator.faults = Faults(token_seconds=30)
    token = client.events(**ASCENDING).page["next_page_token"]
    now = NOW + timedelta(seconds=30)
    assert client.events(**ASCENDING, page_token=token).ids == ids[10:20]
    now = NOW + timedelta(seconds=31)
    refused = client.events(**ASCENDING, page_token=token)
    assert (refused.status, refused.page["details"][0]["argument_name"]) == (400, "page_token")


def test_a_read_can_be_limited_to_so_many_pages(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(token_pages=2)
    second = client.events(**ASCENDING, page_token=client.events(**ASCENDING).page["next_page_token"])
    assert second.ids == ids[10:20]
    assert client.events(**ASCENDING, page_token=second.page["next_page_token"]).status == 400


def test_a_good_token_can_be_refused_at_random(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(refused_token=ALWAYS)
    first = client.events(**ASCENDING)
    assert first.ids == ids[:10]
    assert client.events(**ASCENDING, page_token=first.page["next_page_token"]).status == 400


def test_a_token_can_lead_back_to_the_page_it_came_with(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(repeated_token=When(requests={1, 3}))
    pages = list(client.pages(**ASCENDING))
    assert [page.ids for page in pages] == [ids[:10], ids[:10], ids[10:20], ids[10:20], ids[20:30], ids[30:]]
    assert pages[2].page["next_page_token"] == pages[1].page["next_page_token"]


def test_a_token_can_lead_back_to_the_first_of_the_read(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(repeated_token=When(requests={3}), repeat_leads_to="first")
    pages = list(client.pages(**ASCENDING))
    assert [page.ids[0] for page in pages] == [ids[0], ids[10], ids[20], ids[10], ids[20], ids[30]]
    assert pages[2].page["next_page_token"] == pages[0].page["next_page_token"]


def test_repeated_tokens_go_on_for_ever_when_they_always_strike(
    client: RawClient, emulator: Emulator, ids: list[str]
) -> None:
    emulator.faults = Faults(repeated_token=ALWAYS)
    with pytest.raises(AssertionError, match="no last page among 12"):
        list(client.pages(12, **ASCENDING))


@pytest.mark.parametrize(
    ("form", "end"), [("null", b', "next_page_token":null}'), ("empty", b', "next_page_token":""}')]
)
def test_the_last_page_can_say_so_in_other_ways(client: RawClient, emulator: Emulator, form: str, end: bytes) -> None:
    emulator.faults = Faults(last_page=form)  # type: ignore[arg-type]
    assert client.events(**ASCENDING).body == b'{"events":[]' + end


def test_a_trailing_empty_page_can_follow(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(trailing_page=True)
    assert [len(page.ids) for page in client.pages(**ASCENDING)] == [10, 10, 10, 5, 0]


def test_an_empty_page_in_the_middle_loses_nothing(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(empty_page=When(requests={1, 3}))
    pages = list(client.pages(**ASCENDING))
    assert [len(page.ids) for page in pages] == [0, 10, 0, 10, 10, 5]
    assert [event_id for page in pages for event_id in page.ids] == ids


@pytest.mark.parametrize("paging", ["cursor", "offset"])
def test_a_short_page_loses_nothing(client: RawClient, emulator: Emulator, ids: list[str], paging: str) -> None:
    emulator.faults = Faults(short_page=When(every=2), paging=paging)  # type: ignore[arg-type]
    pages = list(client.pages(**ASCENDING))
    assert [len(page.ids) for page in pages] == [10, 5, 10, 5, 5]
    assert [event_id for page in pages for event_id in page.ids] == ids


# Rows


@pytest.mark.parametrize("paging", ["cursor", "offset"])
@pytest.mark.parametrize("k", [3, 50])
def test_rows_repeat_at_the_seams_of_pages_and_none_is_lost(
    client: RawClient, emulator: Emulator, ids: list[str], paging: str, k: int
) -> None:
    emulator.faults = Faults(repeated_rows=k, paging=paging)  # type: ignore[arg-type]
    pages = list(client.pages(**ASCENDING))
    assert list(dict.fromkeys(event_id for page in pages for event_id in page.ids)) == ids
    kept = min(k, 9)
    assert pages[1].ids[:kept] == pages[0].ids[-kept:]


def test_an_omitted_row_is_there_when_asked_again(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(omitted_row=ONCE)
    first = client.read(**ASCENDING)
    assert len(first) == 34
    assert client.read(**ASCENDING) == ids


def test_rows_can_be_shuffled_within_a_page(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(shuffled=ALWAYS)
    pages = list(client.pages(**ASCENDING))
    assert pages[0].ids != ids[:10]
    assert [sorted(page.ids) for page in pages] == [ids[:10], ids[10:20], ids[20:30], ids[30:]]


def test_order_by_can_be_ignored(client: RawClient, emulator: Emulator, ids: list[str]) -> None:
    emulator.faults = Faults(ignore_order=True)
    assert client.read(**ASCENDING) == ids[::-1]


def test_the_same_seed_and_requests_meet_the_same_faults(emulator: Emulator, ids: list[str]) -> None:
    outcomes = []
    for _ in range(2):
        emulator.faults = Faults(
            rate_limit=When(rate=0.2), reset=When(rate=0.1), truncate=When(rate=0.1), invalid_json=When(rate=0.2)
        )
        emulator.requests.clear()
        with serve(emulator) as served:
            client = RawClient(served, emulator)
            for _ in range(60):
                try:
                    client.events(**ASCENDING)
                except (OSError, http.client.HTTPException):
                    continue
            client.connection.close()
        outcomes.append([(request.status, request.faults) for request in emulator.requests])
    assert outcomes[0] == outcomes[1]
    assert len({status for status, _ in outcomes[0]}) == 3
