"""What the emulator serves when nothing is wrong: pages, bounds, late events, and the record of requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from loopback import NOW, RawClient, event

from trailkeep.demo.emulator import ORGANIZATION_ID, SECRET_KEY, Emulator
from trailkeep.demo.faults import Faults
from trailkeep.demo.serve import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SINCE = (NOW - timedelta(hours=12)).isoformat()
ASCENDING = {"recorded_after": SINCE, "order_by": "recorded_at_asc", "page_size": 10}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(clock: Clock) -> Iterator[RawClient]:
    """A client of an emulator whose clock the test moves; 35 events, one a minute until a minute ago."""
    emulator = Emulator(clock=clock)
    fill(emulator, 35)
    with serve(emulator) as served:
        raw = RawClient(served, emulator)
        yield raw
        raw.connection.close()


def fill(emulator: Emulator, count: int) -> list[str]:
    """Add `count` events, one a minute, the last a minute ago; return their ids, oldest first."""
    added = [event(number, NOW - timedelta(minutes=count - number)) for number in range(count)]
    for each in added:
        emulator.add("api", "fr-par", each)
    return [each["id"] for each in added]


def test_an_empty_page_is_exactly_the_recorded_one(client: RawClient, recordings: Path) -> None:
    answered = client.events(recorded_after=SINCE)
    assert answered.body == (recordings / "empty.body.json").read_bytes()
    assert answered.headers["Content-Length"] == "13"


@pytest.mark.parametrize("name", ["baremetal-reboot", "instance-server-action-2", "secret-manager-create"])
def test_recorded_events_are_served_byte_for_byte(name: str, recordings: Path) -> None:
    recorded = (recordings / f"{name}.body.json").read_bytes()
    now = datetime(2026, 8, 1, tzinfo=UTC) if "instance" in name else datetime(2026, 1, 1, tzinfo=UTC)
    emulator = Emulator(clock=lambda: now)
    inner = recorded.removeprefix(b'{"events":[').removesuffix(b"]}")
    for raw in inner.replace(b']}, {"id":"', b']}\n{"id":"').split(b"\n"):
        assert emulator.add("api", "fr-par", raw) == raw
    with serve(emulator) as served:
        raw_client = RawClient(served, emulator)
        assert raw_client.events(recorded_after="2025-11-01T00:00:00Z").body == recorded
        raw_client.connection.close()


def test_every_answer_has_a_date_and_a_request_id_of_its_own(client: RawClient) -> None:
    answers = [client.events(), client.events(region="it-mil"), client.get("/nowhere"), client.events(key=None)]
    assert [answered.status for answered in answers] == [200, 404, 404, 401]
    assert {answered.headers["Date"] for answered in answers} == {"Tue, 01 Sep 2026 13:05:07 GMT"}
    assert len({answered.headers["X-Request-Id"] for answered in answers}) == 4


@pytest.mark.parametrize("order", ["recorded_at_asc", "recorded_at_desc"])
def test_pages_end_to_end_hold_every_event_once(client: RawClient, emulator: Emulator, order: str) -> None:
    ids = fill(emulator, 35)
    pages = list(client.pages(recorded_after=SINCE, order_by=order, page_size=10))
    assert [len(page.ids) for page in pages] == [10, 10, 10, 5]
    assert [event_id for page in pages for event_id in page.ids] == (ids if order == "recorded_at_asc" else ids[::-1])
    assert "next_page_token" not in pages[-1].page


def test_a_full_last_page_has_no_token(client: RawClient, emulator: Emulator) -> None:
    fill(emulator, 20)
    assert [len(page.ids) for page in client.pages(**ASCENDING)] == [10, 10]


def test_events_of_one_moment_keep_one_order_across_pages(client: RawClient, emulator: Emulator) -> None:
    for number in range(25):
        emulator.add("api", "fr-par", event(number, NOW - timedelta(minutes=1)))
    ascending = client.read(recorded_after=SINCE, order_by="recorded_at_asc", page_size=7)
    descending = client.read(recorded_after=SINCE, order_by="recorded_at_desc", page_size=4)
    assert len(set(ascending)) == 25
    assert descending == ascending[::-1]


def test_the_default_is_the_last_hour_newest_first_twenty_a_page(client: RawClient, emulator: Emulator) -> None:
    ids = fill(emulator, 90)
    assert client.events().ids == ids[:-21:-1]
    assert len(client.read()) == 60


def test_a_larger_page_than_the_maximum_is_clamped_or_refused(client: RawClient, emulator: Emulator) -> None:
    fill(emulator, 30)
    emulator.faults = Faults(max_page_size=15)
    assert len(client.events(recorded_after=SINCE, page_size=16).ids) == 15
    emulator.faults = Faults(max_page_size=15, oversize="refused")
    assert client.events(recorded_after=SINCE, page_size=16).status == 400
    assert client.events(recorded_after=SINCE, page_size=15).status == 200


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [("inclusive", "exclusive", [1, 2]), ("exclusive", "exclusive", [2]), ("inclusive", "inclusive", [1, 2, 3])],
)
def test_each_bound_can_be_inclusive_or_exclusive(
    client: RawClient, emulator: Emulator, after: str, before: str, expected: list[int]
) -> None:
    moments = [NOW - timedelta(seconds=60 - number) for number in range(5)]
    for number, moment in enumerate(moments):
        emulator.add("api", "fr-par", event(number, moment))
    emulator.faults = Faults(after_bound=after, before_bound=before)  # type: ignore[arg-type]
    ids = client.read(recorded_after=moments[1].isoformat(), recorded_before=moments[3].isoformat())
    assert sorted(int(event_id[-3:]) for event_id in ids) == expected


def test_bounds_are_read_to_the_nanosecond(client: RawClient, emulator: Emulator) -> None:
    emulator.add("api", "fr-par", {"id": "a", "recorded_at": "2026-09-01T13:00:00.123456789Z"})
    for bound, ids in (("2026-09-01T13:00:00.123456789Z", ["a"]), ("2026-09-01T13:00:00.123456790Z", [])):
        assert client.read(recorded_after=bound) == ids


def test_what_is_older_than_ninety_days_is_gone(timed: RawClient, clock: Clock) -> None:
    old = timedelta(days=200)
    assert len(timed.read(recorded_after=(NOW - old).isoformat())) == 35
    clock.now = NOW + timedelta(days=90) - timedelta(minutes=10)
    assert len(timed.read(recorded_after=(NOW - old).isoformat())) == 10
    assert len(timed.emulator.truth("api", "fr-par")) == 10
    timed.emulator.faults = Faults(refuse_old_bounds=True)
    assert timed.events(recorded_after=(NOW - old).isoformat()).status == 400


def test_a_late_event_appears_at_its_own_time_when_it_becomes_visible(timed: RawClient, clock: Clock) -> None:
    late = event(99, NOW - timedelta(minutes=20, seconds=30))
    timed.emulator.add("api", "fr-par", late, visible_at=NOW + timedelta(seconds=2))
    assert late["id"] not in timed.read(**ASCENDING)
    assert len(timed.emulator.truth("api", "fr-par")) == 35
    clock.now += timedelta(seconds=2)
    assert timed.read(**ASCENDING).index(late["id"]) == 15
    assert len(timed.emulator.truth("api", "fr-par")) == 36


@pytest.mark.parametrize(("paging", "repeated"), [("cursor", 0), ("offset", 1)])
def test_an_event_that_appears_behind_the_reader_shifts_offset_pages_only(
    timed: RawClient, paging: str, repeated: int
) -> None:
    timed.emulator.faults = Faults(paging=paging)  # type: ignore[arg-type]
    seen: list[str] = []
    for page in timed.pages(**ASCENDING):
        if not seen:
            timed.emulator.add("api", "fr-par", event(99, NOW - timedelta(hours=2)))
        seen += page.ids
    assert len(seen) - len(set(seen)) == repeated
    assert event(99, NOW)["id"] not in seen


def test_now_stays_what_it_was_when_a_read_began(timed: RawClient, clock: Clock) -> None:
    pages = timed.pages(recorded_after=SINCE, page_size=10, order_by="recorded_at_asc")
    next(pages)
    timed.emulator.add("api", "fr-par", event(99, NOW + timedelta(seconds=10)))
    clock.now += timedelta(minutes=1)
    assert event(99, NOW)["id"] not in [event_id for page in pages for event_id in page.ids]


def test_a_token_is_good_for_its_own_request_only(client: RawClient, emulator: Emulator) -> None:
    fill(emulator, 30)
    emulator.add("system", "fr-par", event(99, NOW - timedelta(minutes=1)))
    token = client.events(**ASCENDING).page["next_page_token"]
    assert client.events(**ASCENDING, page_token=token).status == 200
    assert client.events(**ASCENDING | {"page_size": 5}, page_token=token).status == 200
    for refused in (
        client.events(**ASCENDING | {"recorded_after": NOW.isoformat()}, page_token=token),
        client.events(stream="system-events", **ASCENDING, page_token=token),
        client.events(**ASCENDING, page_token=token[:-2] + "AA"),
    ):
        assert refused.status == 400
        assert refused.page["details"][0]["argument_name"] == "page_token"


def test_bytes_are_served_verbatim_whatever_they_hold(client: RawClient, emulator: Emulator) -> None:
    odd = [b'{"id" : 1,\t"recorded_at":"never"}', b"42", b'"text"', b"null", b'{"id":"\\u00e9"}', b"[]"]
    for number, raw in enumerate(odd):
        emulator.add("api", "fr-par", raw, recorded_at=NOW - timedelta(seconds=60 - number))
    assert client.events(order_by="recorded_at_asc").body == b'{"events":[' + b", ".join(odd) + b"]}"
    assert emulator.truth("api", "fr-par") == odd
    assert client.events(method_name="CreateServer").page == {"events": []}


def test_combined_events_wrap_each_kind(client: RawClient, emulator: Emulator) -> None:
    for number, kind in enumerate(("api", "authentication", "system")):
        emulator.add(kind, "fr-par", event(number, NOW - timedelta(seconds=60 - number)))  # type: ignore[arg-type]
    asked = {"stream": "combined-events", "order_by": "recorded_at_asc"}
    assert [list(each) for each in client.events(**asked).page["events"]] == [["api"], ["auth"], ["system"]]
    emulator.add("system", "fr-par", event(3, NOW - timedelta(seconds=30)))
    assert len(client.events(**asked).page["events"]) == 4
    assert [json.loads(raw) for raw in emulator.truth("combined", "fr-par")] == client.events(**asked).page["events"]


def test_replacing_an_event_keeps_its_place(client: RawClient, emulator: Emulator) -> None:
    ids = fill(emulator, 5)
    emulator.replace("api", "fr-par", ids[2], {"id": ids[2], "recorded_at": NOW.isoformat(), "status_code": 500})
    assert client.read(recorded_after=SINCE, order_by="recorded_at_asc") == ids
    assert json.loads(emulator.truth("api", "fr-par")[2])["status_code"] == 500
    with pytest.raises(KeyError):
        emulator.replace("api", "fr-par", "no-such-id", {})


def test_a_missing_organization_is_required_and_a_missing_key_denied(client: RawClient) -> None:
    path = "/audit-trail/v1alpha1/regions/fr-par/events"
    assert client.get(path).page["details"] == [
        {"argument_name": "organization_id", "help_message": "", "reason": "required"}
    ]
    assert client.get(path, key=None, organization_id=ORGANIZATION_ID).page["reason"] == "invalid_argument"
    assert client.get("/iam/v1alpha1/rules").page["details"][0]["argument_name"] == "policy_id"


def test_the_directory_can_change_between_two_snapshots(client: RawClient, emulator: Emulator) -> None:
    def users() -> object:
        return client.get("/iam/v1alpha1/users", organization_id=emulator.organization_id).page

    assert users() == {"users": [], "total_count": 0}
    emulator.directory.users.append({"id": "u"})
    assert users() == {"users": [{"id": "u"}], "total_count": 1}


def test_requests_are_recorded_without_the_secret(client: RawClient, emulator: Emulator) -> None:
    client.events(page_size=5)
    client.get("/nowhere", key=None)
    first, second = emulator.requests
    assert (first.number, first.method, first.status, first.with_key) == (1, "GET", 200, True)
    assert first.query == {"organization_id": ORGANIZATION_ID, "page_size": "5"}
    assert (second.path, second.status, second.with_key, second.in_flight) == ("/nowhere", 401, False, 1)
    assert all(a.number < b.number for a, b in pairwise(emulator.requests))
    assert SECRET_KEY not in repr(emulator.requests)


def test_a_large_story_is_served_from_every_stream(organization: object, story_emulator: Emulator) -> None:
    for region in story_emulator.regions:
        combined = story_emulator.truth("combined", region)
        kinds = [story_emulator.truth(kind, region) for kind in ("api", "authentication", "system")]
        assert len(combined) == sum(map(len, kinds))
