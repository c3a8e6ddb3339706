"""Real responses of the API go through a sync and come back from SQL as they were."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from trailkeep.analysis import Question, open_result
from trailkeep.api import Client, Pacer
from trailkeep.coverage import stream_coverage
from trailkeep.progress import Silent
from trailkeep.store import Archive
from trailkeep.sync import Report, Request, Run, run_sync
from trailkeep.timespan import parse_moment
from trailkeep.verify import verify_archive

RECORDINGS = Path(__file__).parent / "fixtures" / "recordings"
ORGANIZATION = "105bdce1-64c0-48ab-899d-868455867ecf"
BODIES = sorted(RECORDINGS.glob("*.body.json"))


def events_of(body: bytes) -> list[bytes]:
    """The events' bytes, cut out of the recorded body by what stands between them."""
    text, found, decoder = body.decode(), [], json.JSONDecoder()
    at = text.index("[") + 1
    while text[at] != "]":
        _value, end = decoder.raw_decode(text, at)
        found.append(text[at:end].encode())
        at = end + len(text[end:]) - len(text[end:].lstrip(", "))
    return found


def moment_of(raw: bytes) -> datetime:
    return parse_moment(json.loads(raw)["recorded_at"])


EVENTS = sorted((event for body in BODIES for event in events_of(body.read_bytes())), key=moment_of)


def api(now: datetime) -> httpx.WSGITransport:
    """An API that answers with the recorded events of the asked span, at `now`; it forgets nothing."""

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        after, before = parse_moment(query["recorded_after"]), parse_moment(query["recorded_before"])
        rows = EVENTS if environ["PATH_INFO"].endswith("/fr-par/events") else []
        body = b'{"events":[' + b", ".join(row for row in rows if after <= moment_of(row) <= before) + b"]}"
        start_response("200 OK", [("Content-Type", "application/json"), ("Date", format_datetime(now, usegmt=True))])
        return [body]

    return httpx.WSGITransport(app=answer)


def sync(archive: Path, *, server: datetime, now: datetime, since: datetime | None = None) -> Report:
    with Client(
        base_url="http://127.0.0.1",
        secret_key="a secret",
        organization_id=ORGANIZATION,
        clock=lambda: now,
        pacer=Pacer(threading.Event()),
        transport=api(server),
    ) as client:
        run = Run(
            archive=archive, client=client, clock=lambda: now, stop=threading.Event(), progress=Silent(), concurrency=2
        )
        kinds = ("api", "authentication", "system")
        overlap = timedelta(hours=1)
        return run_sync(
            run,
            Request(
                organization_id=ORGANIZATION, kinds=kinds, regions=("fr-par", "nl-ams"), overlap=overlap, since=since
            ),
        )


def rows(archive: Path, now: datetime) -> list[dict[str, Any]]:
    question = Question(sql="SELECT * FROM api_events ORDER BY recorded_at, id")
    with open_result(Archive.open(archive), question, now=now) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


def check_columns(row: dict[str, Any]) -> None:
    event = json.loads(row["raw"])
    for name in ("id", "locality", "project_id", "source_ip", "user_agent", "product_name", "service_name"):
        assert row[name] == event[name]
    assert (row["method_name"], row["request_id"]) == (event["method_name"], event["request_id"])
    assert row["principal_id"] == event["principal"]["id"]
    assert row["status_code"] == event["status_code"]
    assert row["recorded_at"].replace(tzinfo=UTC) == parse_moment(event["recorded_at"])
    assert json.loads(row["request_body"]) == event["request_body"]
    assert (row["organization_id"], row["region"]) == (ORGANIZATION, "fr-par")
    assert row["month"] == event["recorded_at"][:7]
    for held, sent in zip(row["resources"], event["resources"], strict=True):
        assert (held["id"], held["type"], held["name"]) == (sent["id"], sent["type"], sent["name"])
        info = sent.get(f"{sent['type']}_info")
        assert (json.loads(held["info"]) if held["info"] else None) == info
        for name in ("created_at", "updated_at", "deleted_at"):
            moment = held[name].replace(tzinfo=UTC) if held[name] else None
            assert moment == (parse_moment(sent[name]) if sent[name] else None)


@pytest.mark.parametrize("recording", BODIES, ids=lambda path: path.name.partition(".")[0])
def test_a_recorded_response_comes_back_byte_for_byte_at_the_time_of_its_recording(
    recording: Path, tmp_path: Path
) -> None:
    events = events_of(recording.read_bytes())
    recorded = max(map(moment_of, events), default=datetime(2025, 11, 20, 12, 6, tzinfo=UTC)) + timedelta(minutes=1)
    sync(tmp_path / "data", server=recorded, now=datetime(2026, 11, 22, tzinfo=UTC))
    held = rows(tmp_path / "data", recorded)
    assert {row["raw"].encode() for row in held} >= set(events)
    for row in held:
        check_columns(row)


def test_events_older_than_the_retention_are_kept_when_they_are_asked_for_and_never_claimed(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    report = sync(tmp_path / "data", server=now, now=now, since=datetime(2025, 11, 1, tzinfo=UTC))
    assert report.total["new"] == len(EVENTS)
    held = rows(tmp_path / "data", now)
    assert [row["raw"].encode() for row in held] == EVENTS
    for row in held:
        check_columns(row)
    for stream in stream_coverage(Archive.open(tmp_path / "data").ledger(), now):
        assert stream.covered[0].start > now - timedelta(days=90)
        assert stream.gaps == ()
    assert verify_archive(tmp_path / "data", deep=True).is_valid


def test_what_is_older_than_the_retention_is_recognized_when_it_comes_again(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    sync(tmp_path / "data", server=now, now=now, since=datetime(2025, 11, 1, tzinfo=UTC))
    report = sync(tmp_path / "data", server=now, now=now, since=datetime(2025, 11, 1, tzinfo=UTC))
    assert (report.total["new"], report.total["revised"]) == (0, 0)
    assert len(rows(tmp_path / "data", now)) == len(EVENTS)
