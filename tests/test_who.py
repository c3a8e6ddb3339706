"""Who somebody is, what they may do, and since when: the rules over versions, and the command."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import an_id, empty_archive
from demo_archive import run
from directories import BEGIN, NOW, OTHER_ORGANIZATION, World, api_key, changed, record, user
from trailkeep.analysis.directory import directory_of
from trailkeep.demo.faults import Faults
from trailkeep.directory.finding import find, nearest
from trailkeep.directory.history import PEOPLE, history_of
from trailkeep.directory.spells import Row, shared, spells_where, state_at, version_at
from trailkeep.directory.who import describe
from trailkeep.store import Archive
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)


def hour(number: int) -> datetime:
    return ORIGIN + timedelta(hours=number)


# Rules over versions


@st.composite
def versions(draw: st.DrawFn) -> list[Row]:
    """The versions of one group: each with or without the member, and now and then gone."""
    rows: list[Row] = []
    at = 0
    for number in range(draw(st.integers(1, 6))):
        at += draw(st.integers(1, 5))
        there = not rows or rows[-1].change == "gone" or draw(st.booleans())
        change = "first" if not rows else ("back" if rows[-1].change == "gone" else "changed") if there else "gone"
        members = ["m"] if draw(st.booleans()) else []
        rows.append(
            Row(
                resource="groups",
                organization_id="o",
                id="g",
                change=change,
                observed_at=hour(at),
                valid_from=hour(at),
                last_seen_at=hour(at - 1) if change == "gone" else None,
                seq=number + 1,
                fields={"user_ids": members, "created_at": draw(st.sampled_from([None, hour(0)]))},
            )
        )
    return rows


def holds(row: Row) -> bool:
    return "m" in row.fields["user_ids"]


@given(versions(), st.integers(0, 40))
def test_a_spell_holds_a_moment_exactly_when_the_version_valid_then_says_so(rows: list[Row], at: int) -> None:
    spells = spells_where(rows, holds)
    valid = [row for row in rows if row.valid_from <= hour(at)]
    known = bool(valid) and valid[-1].is_there and holds(valid[-1])
    assert (state_at(spells, hour(at)) == "known") == known
    for one, other in pairwise(spells):
        assert one.end is not None
        assert one.start < one.end < other.start


@given(versions(), versions(), st.integers(0, 40))
def test_what_two_lists_share_holds_exactly_when_both_hold(some: list[Row], others: list[Row], at: int) -> None:
    one, other = spells_where(some, holds), spells_where(others, holds)
    both = state_at(shared(one, other), hour(at))
    states = {state_at(one, hour(at)), state_at(other, hour(at))}
    assert (both == "known") == (states == {"known"})
    assert both is None or None not in states


@given(versions(), st.integers(-5, 40))
def test_before_the_first_version_the_earliest_is_shown_unless_it_was_made_later(rows: list[Row], at: int) -> None:
    version = version_at(rows, hour(at))
    created = rows[0].fields["created_at"]
    if hour(at) >= rows[0].valid_from:
        assert version is max((row for row in rows if row.valid_from <= hour(at)), key=lambda row: row.seq)
    else:
        assert version is (None if created is not None and created > hour(at) else rows[0])


# An Organization that changes under the eyes of the archive


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Mallory is granted power through a group, uses it, and is deleted; a name goes from one to another."""
    world = World.new(tmp_path_factory.mktemp("who") / "data")
    directory = world.emulator.directory
    directory.users = [
        user("alice"),
        user("mallory"),
        user("hostile", username="x\x1b[2J\nroot", email="h@example.com"),
    ]
    directory.applications = [
        record("ci"),
        record("twin"),
        record("other twin") | {"name": "twin"},
        record(an_id("alice")),
    ]
    directory.projects = [record("production"), record("staging")]
    directory.groups = [
        record("admins", user_ids=[an_id("alice")], application_ids=[]),
        record("everybody", user_ids=[], application_ids=[], all_users=True),
    ]
    directory.policies = [
        record("power", group_id=an_id("admins"), nb_rules=1),
        record("own", user_id=an_id("mallory"), nb_rules=1),
    ]
    whole = {"id": an_id("r1"), "permission_set_names": ["OrganizationManager"], "organization_id": "o"}
    part = {"id": an_id("r2"), "permission_set_names": ["InstancesFullAccess"], "project_ids": [an_id("staging")]}
    directory.rules = {an_id("power"): [whole], an_id("own"): [part | {"condition": "request.ip == '192.0.2.1'"}]}
    directory.api_keys = [
        api_key(1, "mallory", creation_ip="198.51.100.7", default_project_id=an_id("production"), description="night"),
        api_key(2, "alice", expires_at=format_time(NOW + timedelta(hours=30))),
    ]
    directory.ssh_keys = [record("laptop", fingerprint="SHA256:abc", project_id=an_id("production"), disabled=False)]
    world.snapshot()
    admins = directory.groups[0]
    directory.groups[0] = changed(
        admins, NOW + timedelta(hours=9, minutes=30), user_ids=[an_id("alice"), an_id("mallory")]
    )
    world.snapshot(hours=10)
    directory.users[1] = changed(directory.users[1], NOW + timedelta(hours=15), username="mal", email="mal@example.com")
    world.snapshot(hours=10)
    del directory.users[1], directory.api_keys[0]
    directory.groups[0] = changed(admins, NOW + timedelta(hours=29))
    del directory.policies[1]
    world.snapshot(hours=10)
    return world


def described(world: World, asked: str, hours: float) -> dict[str, Any]:
    archive = Archive.open(world.archive)
    history = directory_of(archive, archive.ledger(), PEOPLE)
    (found,) = find(history, asked)
    return describe(history, found, NOW + timedelta(hours=hours))


def sets(who: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [
        (each["permission_set"], each["scope"], each["via_group"] and each["via_group"]["name"])
        for each in who["permissions"]
        if each["state"] == "known"
    ]


def test_permissions_are_those_of_the_time(world: World) -> None:
    own = ("InstancesFullAccess", "projects", None)
    power = ("OrganizationManager", "organization", "admins")
    assert sets(described(world, "mallory", 5)) == [own]
    assert sets(described(world, "mallory", 9.4)) == [own]
    assert sets(described(world, "mallory", 9.6)) == [own, power]
    assert sets(described(world, "mallory", 31)) == []
    assert sets(described(world, "alice", 31)) == [power]
    (grant,) = [each for each in described(world, "mallory", 5)["permissions"] if each["state"]]
    assert [project["name"] for project in grant["projects"]] == ["staging"]
    assert grant["condition"] == "request.ip == '192.0.2.1'"


def test_a_deleted_principal_is_still_told_of_with_all_it_had(world: World) -> None:
    who = described(world, "mallory", 40)
    assert (who["kind"], who["presence"]) == ("user", "gone")
    (spell,) = who["spells"]
    assert (spell["last_seen"], spell["to"]) == tuple(format_time(NOW + timedelta(hours=h)) for h in (20, 30))
    assert [each["names"][0] for each in who["names"]] == ["mallory", "mal"]
    assert who["names"][0]["spells"][0]["to"] == format_time(NOW + timedelta(hours=15))
    (key,) = who["api_keys"]
    assert (key["creation_ip"], key["expires_at"], key["default_project"]["name"]) == (
        "198.51.100.7",
        None,
        "production",
    )
    assert (key["created_at"], key["state"]) == (format_time(BEGIN), None)
    assert [each["fingerprint"] for each in who["ssh_keys"]] == ["SHA256:abc"]
    assert {each["name"]: each["state"] for each in who["groups"]} == {"admins": None, "everybody": None}
    (spell,) = who["groups"][0]["spells"]
    assert spell["from"] == format_time(NOW + timedelta(hours=9, minutes=30))


def test_every_way_to_name_a_principal_leads_to_it(world: World) -> None:
    for asked in ("mallory", "MAL", "mal@example.com", "mallory@example.com", an_id("mallory"), " mallory "):
        assert described(world, asked, 40)["id"] == an_id("mallory")
    by_key = described(world, "SCW00000000000000001", 40)
    assert (by_key["id"], by_key["matched_by"], by_key["access_key"]) == (
        an_id("mallory"),
        "access key",
        "SCW00000000000000001",
    )


def test_a_name_that_is_another_s_id_leads_to_whose_id_it_is(world: World) -> None:
    who = described(world, an_id("alice"), 31)
    assert (who["kind"], who["name"], who["matched_by"]) == ("user", "alice", "id")


def test_expiry_is_told_as_of_the_time(world: World) -> None:
    assert [key["expired"] for key in described(world, "alice", 29)["api_keys"]] == [False]
    assert [key["expired"] for key in described(world, "alice", 31)["api_keys"]] == [True]


def test_before_the_first_look_the_earliest_known_is_shown_and_said(world: World) -> None:
    who = described(world, "alice", -24)
    assert (who["presence"], who["groups"][0]["state"]) == ("there", "known")  # its dates are older than the look
    assert any(line.startswith("users: first read at 2026-09-01T12:00:00Z, later") for line in who["not_known"])
    before = described(world, "alice", -24 * 500)
    assert before["presence"] == "not yet"
    assert sets(before) == []


def test_groups_policies_and_projects_are_described_too(world: World) -> None:
    admins = described(world, "admins", 12)
    assert [(each["name"], each["state"]) for each in admins["members"]] == [("alice", "known"), ("mal", "known")]
    assert sets(admins) == [("OrganizationManager", "organization", None)]
    assert described(world, "production", 12)["kind"] == "project"
    assert sets(described(world, "power", 12)) == [("OrganizationManager", "organization", None)]


def test_nearest_names_are_offered_and_the_empty_history_has_none(world: World) -> None:
    archive = Archive.open(world.archive)
    history = directory_of(archive, archive.ledger(), PEOPLE)
    assert "mallory" in nearest(history, "malory")
    assert find(history, "nobody") == []
    assert (find(history_of([]), "x"), nearest(history_of([]), "x")) == ([], [])


@given(st.text())
def test_no_text_makes_the_search_fail(text: str) -> None:
    row = Row(
        resource="users",
        organization_id="o",
        id="i",
        change="first",
        observed_at=ORIGIN,
        valid_from=ORIGIN,
        last_seen_at=None,
        seq=1,
        fields={"name": text},
    )
    history = history_of([row])
    assert len(find(history, text)) == (1 if text.strip() == text and text else len(find(history, text)))
    nearest(history, text)


# The command


def test_the_command_shows_it_as_text_and_as_json(world: World) -> None:
    done = run(world.archive.parent, "directory", "who", "mallory")
    assert done.returncode == 0, done.stderr
    first, second, *_rest = done.stdout.splitlines()
    assert first.startswith(f"user mal ({an_id('mallory')}) of ")
    assert second.endswith("(since 2025-07-28 12:00:00Z until 2026-09-02 18:00:00Z (last seen 2026-09-02 08:00:00Z))")
    assert "OrganizationManager  the Organization" in done.stdout
    assert "made 2025-07-28 12:00:00Z from 198.51.100.7  no expiry  default Project production" in done.stdout
    then = run(world.archive.parent, "directory", "who", "mallory", "--at", "2026-09-01T20:00:00Z")
    assert "there" in then.stdout.splitlines()[1]
    assert "OrganizationManager" not in then.stdout
    assert "more held at other times only" in then.stdout
    as_json = run(
        world.archive.parent, "directory", "who", "mallory", "--at", "2026-09-01T20:00:00Z", "--format", "json"
    )
    assert json.loads(as_json.stdout)["as_of"] == "2026-09-01T20:00:00.000000Z"
    again = run(world.archive.parent, "directory", "who", "mallory", "--at", "2026-09-01T20:00:00Z", "--format", "json")
    assert as_json.stdout == again.stdout


def test_a_name_that_two_bear_is_listed_and_not_guessed(world: World) -> None:
    done = run(world.archive.parent, "directory", "who", "twin")
    assert (done.returncode, done.stdout) == (2, "")
    assert an_id("twin") in done.stderr
    assert an_id("other twin") in done.stderr


def test_hostile_names_are_shown_and_not_obeyed(world: World) -> None:
    done = run(world.archive.parent, "directory", "who", "h@example.com")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[0].startswith("user x\\x1b[2J\\nroot (")
    asked = run(world.archive.parent, "directory", "who", "no\x1b[2Jbody\nerror: x")
    assert asked.returncode == 2
    assert "\x1b" not in asked.stderr
    assert not any(line.startswith("error: x") for line in asked.stderr.splitlines())


def test_without_a_directory_it_says_how_to_get_one(tmp_path: Path) -> None:
    empty_archive(tmp_path / "data")
    done = run(tmp_path, "directory", "who", "alice")
    assert (done.returncode, done.stdout) == (2, "")
    assert "trailkeep directory sync" in done.stderr


def test_two_organizations_in_one_archive_are_told_apart(tmp_path: Path) -> None:
    first = World.new(tmp_path / "data")
    first.emulator.directory.users = [user("alice", tags=["one"])]
    first.snapshot()
    second = World.new(tmp_path / "data", organization_id=OTHER_ORGANIZATION)
    second.emulator.directory.users = [user("alice", username="eve")]
    second.snapshot(hours=1)
    done = run(tmp_path, "directory", "who", an_id("alice"))
    assert done.returncode == 2
    assert OTHER_ORGANIZATION in done.stderr
    one = run(tmp_path, "directory", "who", an_id("alice"), "--organization", OTHER_ORGANIZATION, "--format", "json")
    assert json.loads(one.stdout)["name"] == "eve"
    table = run(tmp_path, "query", "--sql", f"SELECT '{an_id('alice')}' AS id")
    assert "alice" not in table.stdout
    assert "eve" not in table.stdout


def test_lists_that_may_not_be_read_are_said(tmp_path: Path) -> None:
    world = World.new(tmp_path / "data")
    world.emulator.directory.users = [user("alice")]
    world.emulator.faults = Faults(denied_lists={"policies", "api-keys"})
    world.snapshot()
    who = described(world, "alice", 1)
    assert "policies: never read in full (denied, 403)" in who["not_known"]
