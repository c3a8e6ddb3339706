"""The emulator's IAM log is the one that the official SDK reads, and misbehaves only as it is told to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from loopback import sdk_client
from scaleway.iam.v1alpha1 import IamV1Alpha1API, ListLogsRequestOrderBy

from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.demo.faults import ALWAYS, Faults

if TYPE_CHECKING:
    from trailkeep.demo.serve import Served
    from trailkeep.demo.story import Organization

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def emulator() -> Emulator:
    emulator = Emulator(clock=lambda: NOW)
    for number in range(10):
        emulator.add("iam", "global", record(number))
    return emulator


def record(number: int) -> dict[str, Any]:
    return {"id": f"log-{number}", "created_at": (NOW - (10 - number) * HOUR).isoformat(), "action": "created"}


def ask(emulator: Emulator, path: str = "/iam/v1alpha1/logs", **query: str) -> tuple[int, Any]:
    statuses: list[str] = []
    asked = {"organization_id": emulator.organization_id, "order_by": "created_at_asc", **query}
    environ: Any = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": urlencode(asked),
        "HTTP_X_AUTH_TOKEN": SECRET_KEY,
    }
    body = b"".join(emulator(environ, lambda status, _headers: statuses.append(status)))  # type: ignore[arg-type, return-value]
    return int(statuses[0].split()[0]), json.loads(body)


def numbers(answer: tuple[int, Any]) -> list[int]:
    assert answer[0] == 200, answer
    return [int(log["id"].removeprefix("log-")) for log in answer[1]["logs"]]


def test_the_sdk_reads_a_span_in_both_orders(
    story_served: Served, story_emulator: Emulator, organization: Organization
) -> None:
    iam = IamV1Alpha1API(sdk_client(story_served, story_emulator))
    since, until = organization.now - timedelta(days=60), organization.now - timedelta(days=10)
    expected = [
        log["id"]
        for log in organization.logs
        if since <= datetime.fromisoformat(log["created_at"][:19] + "+00:00") < until
    ]
    assert expected
    for order, ids in (("DESC", expected), ("ASC", expected[::-1])):
        listed = iam.list_logs_all(
            order_by=ListLogsRequestOrderBy[f"CREATED_AT_{order}"],
            created_after=since,
            created_before=until,
            page_size=7,
        )
        assert [log.id for log in listed] == ids
    truth = [json.loads(raw)["id"] for raw in story_emulator.truth("iam", "global")]
    assert truth == [log["id"] for log in reversed(organization.logs)]


def test_pages_have_numbers_and_the_count_of_all(emulator: Emulator) -> None:
    assert numbers(ask(emulator, page="2", page_size="4")) == [4, 5, 6, 7]
    assert ask(emulator, page="2", page_size="4")[1]["total_count"] == 10
    assert numbers(ask(emulator, page="4", page_size="4")) == []
    after = (NOW - 4 * HOUR).isoformat()
    assert ask(emulator, created_after=after)[1]["total_count"] == len(numbers(ask(emulator, created_after=after))) == 4
    assert numbers(ask(emulator, created_before=after)) == [0, 1, 2, 3, 4, 5]
    assert numbers(ask(emulator, order_by="created_at_desc", page_size="2")) == [9, 8]


@pytest.mark.parametrize("query", [{"page": "0"}, {"page": "x"}, {"order_by": "id"}, {"created_after": "today"}])
def test_what_cannot_be_asked_is_refused(emulator: Emulator, query: dict[str, str]) -> None:
    assert ask(emulator, **query)[0] == 400


def test_records_come_late_and_go(emulator: Emulator) -> None:
    emulator.add("iam", "global", record(3) | {"id": "log-33"}, visible_at=NOW + HOUR)
    emulator.remove("iam", "global", "log-5")
    assert numbers(ask(emulator)) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    emulator.clock = lambda: NOW + HOUR
    assert numbers(ask(emulator)) == [0, 1, 2, 3, 33, 4, 6, 7, 8, 9]
    with pytest.raises(KeyError):
        emulator.remove("iam", "global", "log-5")


def test_its_faults(emulator: Emulator) -> None:
    def answer(faults: Faults, **query: str) -> tuple[int, Any]:
        emulator.faults = faults
        return ask(emulator, page_size="4", **query)

    assert answer(Faults(denied_permissions=("IAMReadOnly",)))[0] == 403
    assert answer(Faults(denied_lists=("logs",)))[0] == 403
    assert answer(Faults(absent_streams=("logs",)))[0] == 501
    assert numbers(answer(Faults(log_days=0))) == []
    assert numbers(answer(Faults(ignore_log_page=True), page="3")) == [0, 1, 2, 3]
    assert numbers(answer(Faults(ignore_log_bounds=True), created_after=NOW.isoformat())) == [0, 1, 2, 3]
    assert numbers(answer(Faults(ignore_order=True))) == [9, 8, 7, 6]
    assert numbers(answer(Faults(behind_last_page="last"), page="9")) == [8, 9]
    assert answer(Faults(behind_last_page="refused"), page="9")[0] == 400
    assert numbers(answer(Faults(behind_last_page="refused"), page="3")) == [8, 9]
    assert numbers(answer(Faults(doubled_row=ALWAYS))) == [0, 0, 2, 3]
    assert numbers(answer(Faults(repeated_rows=1), page="2")) == [3, 4, 5, 6]
    assert answer(Faults(refused_token=ALWAYS), page="2")[0] == 400
    totals = {"right": 10, "all": 10, "page": 4, "more": 11, "fewer": 9}
    for says, total in totals.items():
        assert answer(Faults(log_total=says))[1]["total_count"] == total  # type: ignore[arg-type]
    assert "total_count" not in answer(Faults(log_total="absent"))[1]
