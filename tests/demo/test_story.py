"""The story is the same every time, looks like the real trail, and holds the incident it says it holds."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from loopback import NOW

from trailkeep.demo.story import demo_organization
from trailkeep.demo.timeline import nanoseconds

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.demo.story import Organization

DOCUMENTATION = [
    ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def digest(organization: Organization) -> str:
    whole = hashlib.sha256()
    for stream, raws in sorted(organization.events.items()):
        whole.update(repr(stream).encode())
        for raw in raws:
            whole.update(hashlib.sha256(raw).digest())
    records = [organization.users, organization.api_keys, organization.logs, organization.rules]
    whole.update(json.dumps(records).encode())
    whole.update(repr(organization.incident).encode())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def events(organization: Organization) -> dict[tuple[str, str], list[dict[str, Any]]]:
    return {stream: [json.loads(raw) for raw in raws] for stream, raws in organization.events.items()}


def test_the_same_arguments_give_the_same_bytes(organization: Organization) -> None:
    again = demo_organization(now=NOW, days=12, events_per_day=90)
    assert digest(again) == digest(organization)


def test_another_seed_or_moment_gives_other_bytes(organization: Organization) -> None:
    assert digest(demo_organization(now=NOW, days=12, events_per_day=90, seed=2)) != digest(organization)
    later = NOW + timedelta(seconds=1)
    assert digest(demo_organization(now=later, days=12, events_per_day=90)) != digest(organization)


def test_the_default_story_has_twenty_to_thirty_thousand_events() -> None:
    assert 20_000 <= sum(map(len, demo_organization(now=NOW).events.values())) <= 30_000


@pytest.mark.parametrize("days", [1, 2, 30])
@pytest.mark.parametrize("hour", [0, 9, 23])
def test_the_incident_fits_into_any_story(days: int, hour: int) -> None:
    now = datetime(2026, 3, 1, hour, tzinfo=UTC)
    story = demo_organization(now=now, days=days, events_per_day=20)
    held = {json.loads(raw)["id"] for raws in story.events.values() for raw in raws}
    assert all(event_id in held for step in story.incident.steps for event_id in step.event_ids)
    assert now - timedelta(days=days) <= story.incident.began_at < story.incident.ended_at < now


def test_a_story_of_no_days_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        demo_organization(now=NOW, days=0)


def test_an_organization_id_that_is_given_is_used() -> None:
    mine = "105bdce1-64c0-48ab-899d-868455867ecf"
    story = demo_organization(now=NOW, days=1, organization_id=mine, events_per_day=20)
    assert story.organization_id == mine
    assert {json.loads(raw)["organization_id"] for raws in story.events.values() for raw in raws} == {mine}


def test_ids_are_unique(events: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    counted = Counter(event["id"] for stream in events.values() for event in stream)
    assert counted.most_common(1)[0][1] == 1


def test_instance_ids_are_random_and_other_ids_carry_their_time(
    events: dict[tuple[str, str], list[dict[str, Any]]],
) -> None:
    for (kind, _), stream in events.items():
        for event in stream:
            version = uuid.UUID(event["id"]).version
            decimals = len(event["recorded_at"].partition(".")[2]) - 1
            if kind == "api" and event["product_name"] == "instance":
                assert (version, decimals) == (4, 6)
            else:
                assert (version, decimals) == (7, 9)
                milliseconds = int(event["id"].replace("-", "")[:12], 16)
                assert milliseconds == nanoseconds(event["recorded_at"]) // 10**6


def test_events_lie_in_the_story_and_their_times_are_told_in_order(organization: Organization) -> None:
    begin = NOW - timedelta(days=organization.days)
    for stream, raws in organization.events.items():
        times = organization.times[stream]
        assert list(times) == sorted(times)
        assert [nanoseconds(json.loads(raw)["recorded_at"]) for raw in raws] == list(times)
        assert all(begin.timestamp() * 1e9 <= each < NOW.timestamp() * 1e9 for each in times)


def test_kubernetes_events_carry_no_address_and_others_one_for_documentation(
    events: dict[tuple[str, str], list[dict[str, Any]]], organization: Organization
) -> None:
    probed = {event_id for step in organization.incident.steps for event_id in step.event_ids}
    seen = Counter[str]()
    for (kind, _), stream in events.items():
        for event in stream:
            if kind == "api" and event["product_name"] == "kubernetes" and event["id"] not in probed:
                assert "source_ip" not in event
                seen["kubernetes"] += 1
            elif kind != "system":
                address = ipaddress.ip_address(event["source_ip"])
                assert any(address in network for network in DOCUMENTATION if network.version == address.version)
    assert seen["kubernetes"] > 50


def test_localities_belong_to_the_region_and_global_products_to_fr_par(
    events: dict[tuple[str, str], list[dict[str, Any]]],
) -> None:
    for (kind, region), stream in events.items():
        for event in stream:
            if kind != "authentication":
                assert re.fullmatch(rf"{region}(-\d)?", event["locality"])
                assert region == "fr-par" or event["product_name"] not in {"iam", "account"}
    assert all(events["api", region] for region in ("fr-par", "nl-ams", "pl-waw"))
    assert events["authentication", "fr-par"]


def test_api_events_have_the_keys_and_the_key_order_of_real_ones(
    events: dict[tuple[str, str], list[dict[str, Any]]], recordings: Path
) -> None:
    recorded = json.loads((recordings / "secret-manager-create.body.json").read_bytes())["events"][0]
    alphabetical = json.loads((recordings / "baremetal-reboot.body.json").read_bytes())["events"][0]
    orders = {"baremetal": list(alphabetical)}
    optional: set[str] = set()
    for (kind, _), stream in events.items():
        for event in stream if kind == "api" else []:
            order = orders.get(event["product_name"], list(recorded))
            assert list(event) == [key for key in order if key in event]
            optional |= set(recorded) - set(event)
            for resource in event["resources"]:
                assert {"id", "type", "created_at", "updated_at", "deleted_at", "name"} <= set(resource)
                assert all(resource[key] for key in resource if key.endswith("_info"))
    assert optional == {"project_id", "source_ip", "user_agent"}


def test_bodies_come_in_both_spellings_and_statuses_include_202(
    events: dict[tuple[str, str], list[dict[str, Any]]],
) -> None:
    api = [event for (kind, _), stream in events.items() if kind == "api" for event in stream]
    keys = {key for event in api for key in event["request_body"]}
    assert {"project", "secret_id", "nodeId", "serverId"} <= keys
    assert {200, 201, 202, 204, 403, 404} <= {event["status_code"] for event in api}


def test_every_kind_of_login_outcome_occurs(events: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    logins = events["authentication", "fr-par"]
    assert {event.get("failure_reason") for event in logins} >= {None, "invalid_password"}
    assert {event.get("mfa_type") for event in logins} == {None, "totp"}


def test_only_the_attacker_comes_from_the_attackers_addresses(
    events: dict[tuple[str, str], list[dict[str, Any]]], organization: Organization
) -> None:
    began = organization.incident.began_at
    foreign = [
        event
        for stream in events.values()
        for event in stream
        if event.get("source_ip") in organization.incident.attacker_ips
    ]
    assert {event["source_ip"] for event in foreign} == set(organization.incident.attacker_ips)
    assert all(nanoseconds(event["recorded_at"]) >= began.timestamp() * 1e9 for event in foreign)


def test_the_steps_show_what_they_say(
    events: dict[tuple[str, str], list[dict[str, Any]]], organization: Organization
) -> None:
    by_id = {event["id"]: event for stream in events.values() for event in stream}
    incident = organization.incident

    def step(label: str) -> list[dict[str, Any]]:
        return [by_id[event_id] for event_id in incident.step(label).event_ids]

    stuffed = {event["resources"][0]["id"] for event in step("stuffing")}
    assert stuffed == {user["id"] for user in organization.users}
    assert [event["result"] for event in step("brute-force")][-2:] == ["failure", "success"]
    assert "mfa_type" not in step("login-without-mfa")[0]
    probes = step("denied-probes")
    assert {event["status_code"] for event in probes} == {403}
    assert len(probes) > 20
    assert nanoseconds(probes[-1]["recorded_at"]) - nanoseconds(probes[0]["recorded_at"]) < 300 * 10**9
    backdoor = step("backdoor")
    assert [event["method_name"] for event in backdoor] == [
        "CreateApplication",
        "CreateAPIKey",
        "CreateAPIKey",
        "CreatePolicy",
    ]
    assert nanoseconds(backdoor[-1]["recorded_at"]) - nanoseconds(backdoor[0]["recorded_at"]) < 900 * 10**9
    assert {event["request_body"]["application_id"] for event in backdoor[1:]} == {incident.backdoor_application_id}
    first = min(
        (event for event in events["api", "pl-waw"] if event["locality"] == "pl-waw-2"),
        key=lambda event: nanoseconds(event["recorded_at"]),
    )
    assert step("new-zone") == [first]
    assert {event["method_name"] for event in step("data-exported")} == {"ExportSnapshot", "ExportDatabaseBackup"}
    assert not any(incident.step(label).event_ids for label in ("secret-read", "silent-backup"))


def test_the_nightly_backup_stays_away_after_the_incident(
    events: dict[tuple[str, str], list[dict[str, Any]]], organization: Organization
) -> None:
    backup = next(each["id"] for each in organization.applications if each["name"] == "nightly-backup")
    ended = organization.incident.ended_at.replace(tzinfo=None)
    silent = {str((ended + timedelta(days=day)).date()) for day in (1, 2, 3)}
    nights = {
        event["recorded_at"][:10]
        for (kind, _), stream in events.items()
        for event in stream
        if kind == "api" and event["principal"]["id"] == backup
    }
    assert not nights & silent
    assert len(nights) > 5


def test_what_the_attacker_left_is_in_the_directory(organization: Organization) -> None:
    incident = organization.incident
    assert incident.backdoor_application_id in {each["id"] for each in organization.applications}
    assert [
        key["creation_ip"]
        for key in organization.api_keys
        if key.get("application_id") == incident.backdoor_application_id
    ] == ["198.51.100.23"]
    assert [user["locked"] for user in organization.users if user["id"] == incident.stolen_user_id] == [True]
    assert {"created", "deleted", "updated"} >= {log["action"] for log in organization.logs}
    assert incident.backdoor_application_id in {log["resource_id"] for log in organization.logs}
