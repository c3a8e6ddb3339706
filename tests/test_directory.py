"""The directory is kept as versions: what changes makes a row, what vanishes is closed, and nothing is guessed."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archives import an_id
from directories import (
    BEGIN,
    NOW,
    OTHER_ORGANIZATION,
    World,
    api_key,
    changed,
    entries,
    product,
    raw_of,
    record,
    user,
)
from make_fixture_archive import BORN
from trailkeep.demo.emulator import SECRET_KEY
from trailkeep.demo.faults import ALWAYS, Faults, When
from trailkeep.errors import AuthenticationFailed, Interrupted, RemoteUnavailable
from trailkeep.schema import directory_table
from trailkeep.store import Archive, Commit, NewRows, Writer, read_segment
from trailkeep.store.purge import plan_purge, purge
from trailkeep.store.repair import repair
from trailkeep.verify import verify_archive

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = timedelta(hours=1)
SECRET = "0badc0de-dead-4bad-8bad-0ddba11c0de5"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.new(tmp_path / "data")


def problems(world: World) -> list[str]:
    return [str(each) for each in verify_archive(world.archive, deep=True).problems]


def outcomes(report: Any) -> dict[str, str]:
    return {str(each): each.outcome for each in report.lists}


def counts(report: Any, name: str) -> dict[str, int]:
    (found,) = [each.counters for each in report.lists if str(each) == name]
    return {key: value for key, value in found.items() if value and key != "objects"}


class TestVersions:
    def test_an_unchanged_directory_adds_no_row_and_no_entry(self, world: World) -> None:
        world.emulator.directory.users = [user("alice"), user("bob")]
        first = world.snapshot()
        assert (first.total["first"], first.seq) == (5, 2)
        again = world.snapshot(hours=1)
        assert (again.seq, again.head) == (None, first.head)
        assert again.total == {"objects": 5, "first": 0, "changed": 0, "gone": 0, "back": 0}
        assert len(world.rows("users")) == 2

    def test_a_day_later_the_ledger_says_that_nothing_changed(self, world: World) -> None:
        world.snapshot()
        assert world.snapshot(hours=23.9).seq is None
        assert world.snapshot(hours=0.1).seq == 3
        assert Archive.open(world.archive).ledger().entries[-1].files_added == []
        assert world.snapshot(hours=1).seq is None

    def test_a_clock_that_was_years_ahead_does_not_silence_the_ledger(self, world: World) -> None:
        world.at = NOW + timedelta(days=3000)
        world.snapshot()
        world.at = NOW
        assert world.snapshot().seq == 3
        assert world.snapshot(hours=1).seq is None

    def test_a_rename_is_a_version_from_the_update_on(self, world: World) -> None:
        users = world.emulator.directory.users
        users.append(user("alice"))
        world.snapshot()
        world.snapshot(hours=5)
        renamed_at = world.at + timedelta(minutes=20)
        users[0] = changed(users[0], renamed_at, username="mallory")
        report = world.snapshot(hours=1)
        assert counts(report, "users") == {"changed": 1}
        assert world.history("users", an_id("alice")) == [("first", BEGIN), ("changed", renamed_at)]
        assert [row["name"] for row in world.rows("users")] == ["alice", "mallory"]

    @pytest.mark.parametrize("updated", [None, "unchanged", "before the look", "after this look", "no time"])
    def test_a_change_that_no_update_explains_is_valid_from_when_it_was_seen(self, world: World, updated: str) -> None:
        users = world.emulator.directory.users
        users.append(user("alice"))
        world.snapshot()
        value = {
            None: None,
            "unchanged": users[0]["updated_at"],
            "before the look": (NOW - HOUR).isoformat(),
            "after this look": (NOW + 9 * HOUR).isoformat(),
            "no time": "yesterday",
        }[updated]
        users[0] = users[0] | {"mfa": False, "updated_at": value}
        world.snapshot(hours=1)
        assert world.history("users", an_id("alice"))[-1] == ("changed", NOW + HOUR)
        assert problems(world) == []

    @pytest.mark.parametrize(
        ("created", "updated", "valid_from"),
        [
            (BEGIN, BEGIN, BEGIN),
            (BEGIN, BEGIN + HOUR, BEGIN + HOUR),
            (BEGIN, None, BEGIN),
            (None, BEGIN, BEGIN),
            (None, None, NOW),
            (NOW + HOUR, NOW + HOUR, NOW),
            (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), NOW),
        ],
    )
    def test_what_is_seen_first_is_valid_from_its_last_update(
        self, world: World, created: datetime | None, updated: datetime | None, valid_from: datetime
    ) -> None:
        dates = {"created_at": created and created.isoformat(), "updated_at": updated and updated.isoformat()}
        world.emulator.directory.users = [user("alice") | dates]
        world.snapshot()
        assert world.history("users", an_id("alice")) == [("first", valid_from)]

    def test_the_year_1_is_no_time(self, world: World) -> None:
        world.emulator.directory.api_keys = [api_key(1, "alice", expires_at="0001-01-01T00:00:00Z")]
        world.snapshot()
        assert world.rows("api_keys")[0]["expires_at"] is None
        assert "0001-01-01" in world.rows("api_keys")[0]["raw"]
        assert problems(world) == []

    def test_what_is_no_longer_listed_is_closed_with_its_last_content(self, world: World) -> None:
        users = world.emulator.directory.users
        users += [user("alice"), user("bob")]
        world.snapshot()
        del users[0]
        assert counts(world.snapshot(hours=2), "users") == {"gone": 1}
        gone = world.rows("users", an_id("alice"))[-1]
        assert (gone["change"], gone["email"]) == ("gone", "alice@example.com")
        assert gone["observed_at"] == gone["valid_from"] == (NOW + 2 * HOUR).replace(tzinfo=None)
        assert gone["last_seen_at"] == NOW.replace(tzinfo=None)
        assert world.snapshot(hours=1).seq is None

    def test_what_comes_back_with_its_id_is_one_object_with_a_hole(self, world: World) -> None:
        users = world.emulator.directory.users
        users.append(user("alice"))
        world.snapshot()
        kept = users.pop()
        world.snapshot(hours=1)
        users.append(kept)
        assert counts(world.snapshot(hours=1), "users") == {"back": 1}
        assert world.history("users", kept["id"]) == [("first", BEGIN), ("gone", NOW + HOUR), ("back", NOW + 2 * HOUR)]
        assert world.snapshot(hours=1).seq is None

    def test_what_is_made_again_with_its_id_is_valid_from_its_creation(self, world: World) -> None:
        users = world.emulator.directory.users
        users.append(user("alice"))
        world.snapshot()
        users.clear()
        world.snapshot(hours=1)
        made_at = (NOW + 1.5 * HOUR).isoformat()
        users.append(user("alice", created_at=made_at, updated_at=made_at))
        world.snapshot(hours=1)
        assert world.history("users", an_id("alice"))[-1] == ("back", NOW + 1.5 * HOUR)

    def test_the_same_name_with_another_id_is_another_object(self, world: World) -> None:
        users = world.emulator.directory.users
        users.append(user("alice"))
        world.snapshot()
        users[0] = user("alice", id=an_id("another alice"))
        assert counts(world.snapshot(hours=1), "users") == {"first": 1, "gone": 1}
        assert {row["id"]: row["name"] for row in world.rows("users")} == {
            an_id("alice"): "alice",
            an_id("another alice"): "alice",
        }

    def test_looks_within_one_second_of_the_api_keep_their_order(self, world: World) -> None:
        users = world.emulator.directory.users
        users.append(user("alice"))
        for _ in range(2):
            world.snapshot()
            kept = users.pop()
            world.snapshot()
            users.append(kept | {"tags": [*kept["tags"], "x"]})
        world.snapshot()
        history = world.history("users", an_id("alice"))
        assert [change for change, _at in history] == ["first", "gone", "back", "gone", "back"]
        assert sorted({at for _change, at in history}) == [at for _change, at in history]
        assert problems(world) == []

    def test_members_that_come_and_go_are_versions_of_their_group(self, world: World) -> None:
        groups = world.emulator.directory.groups
        groups.append(record("admins", user_ids=["a", "b"], application_ids=[]))
        world.snapshot()
        groups[0] = groups[0] | {"user_ids": ["b", "a"]}
        assert world.snapshot(hours=1).seq is None, "the order of members says nothing"
        groups[0] = groups[0] | {"user_ids": ["b", "a", "mallory"]}
        world.snapshot(hours=1)
        groups[0] = groups[0] | {"user_ids": ["b"]}
        world.snapshot(hours=1)
        assert [row["user_ids"] for row in world.rows("groups")] == [["a", "b"], ["b", "a", "mallory"], ["b"]]

    def test_a_login_alone_makes_no_version_and_an_update_does(self, world: World) -> None:
        users = world.emulator.directory.users
        users.append(user("alice"))
        world.snapshot()
        for fields in ({"last_login_at": "2026-08-01T00:00:00Z"}, {"last_login_at": NOW.isoformat()}):
            users[0] = users[0] | fields
            assert world.snapshot(hours=1).seq is None
        users[0] = changed(users[0], world.at, last_login_at=world.at.isoformat())
        assert world.snapshot(hours=1).seq is None, "an update that a login explains"
        users[0] = changed(users[0], world.at + HOUR / 2)
        assert counts(world.snapshot(hours=1), "users") == {"changed": 1}, "something was changed, and changed back"
        assert world.rows("users")[-1]["last_login_at"] is not None

    def test_the_order_and_the_spelling_of_json_make_no_version(self, world: World) -> None:
        world.emulator.directory.users = [user("alice"), user("bob")]
        world.snapshot()
        world.emulator.faults = Faults(sorted_keys=ALWAYS)
        assert world.snapshot(hours=1).seq is None

    def test_fields_that_nobody_knows_are_kept_and_their_changes_are_versions(self, world: World) -> None:
        users = world.emulator.directory.users
        users.append(user("alice", quantum={"spin": [1, {"up": None}]}))
        world.snapshot()
        users[0] = users[0] | {"quantum": {"spin": [1, {"up": True}]}}
        assert counts(world.snapshot(hours=1), "users") == {"changed": 1}
        assert raw_of(world.rows("users")[-1])["quantum"] == {"spin": [1, {"up": True}]}
        del users[0]["quantum"]
        assert counts(world.snapshot(hours=1), "users") == {"changed": 1}

    def test_a_policy_has_its_rules_and_their_changes_are_versions(self, world: World) -> None:
        directory = world.emulator.directory
        directory.policies.append(record("admin", nb_rules=2, user_id=an_id("alice")))
        rules = [
            {
                "id": f"r{n}",
                "permission_set_names": ["A", "B"],
                "project_ids": None,
                "organization_id": "o",
                "condition": "",
            }
            for n in (1, 2)
        ]
        directory.rules[an_id("admin")] = rules
        world.snapshot()
        assert [rule["permission_set_names"] for rule in world.rows("policies")[0]["rules"]] == [["A", "B"]] * 2
        directory.rules[an_id("admin")] = [rules[1], rules[0] | {"permission_set_names": ["B", "A"]}]
        assert world.snapshot(hours=1).seq is None, "the order of rules and of permission sets says nothing"
        directory.rules[an_id("admin")] = [rules[0] | {"permission_set_names": ["IAMManager"]}]
        assert counts(world.snapshot(hours=1), "policies") == {"changed": 1}
        last = world.rows("policies")[-1]
        assert last["rules"] == [
            {
                "id": "r1",
                "permission_set_names": ["IAMManager"],
                "project_ids": None,
                "organization_id": "o",
                "condition": None,
            }
        ]
        assert json.loads(last["rules_raw"])[0]["id"] == "r1"
        assert problems(world) == []

    def test_products_are_kept_for_each_region(self, world: World) -> None:
        products = world.emulator.products
        products["nl-ams"] = [product("rdb", "CreateInstance"), product("iam", "CreateUser")]
        world.snapshot()
        assert [row["id"] for row in world.rows("products")] == [
            "fr-par/iam",
            "nl-ams/iam",
            "nl-ams/rdb",
            "pl-waw/instance",
        ]
        products["nl-ams"] = [product("rdb", "DeleteInstance", "CreateInstance")]
        report = world.snapshot(hours=1)
        assert counts(report, "products nl-ams") == {"changed": 1, "gone": 1}
        assert counts(report, "products fr-par") == {}
        (service,) = world.rows("products", "nl-ams/rdb")[-1]["services"]
        assert service == {"name": "scaleway.rdb.v1.Api", "methods": ["DeleteInstance", "CreateInstance"]}

    def test_a_region_that_is_not_asked_closes_nothing(self, world: World) -> None:
        world.snapshot()
        world.emulator.regions = ("fr-par",)
        world.snapshot(hours=1)
        assert [row["change"] for row in world.rows("products")] == ["first"] * 3

    def test_disabled_ssh_keys_are_there(self, world: World) -> None:
        keys = world.emulator.directory.ssh_keys
        keys += [record("one", disabled=False), record("two", disabled=True)]
        world.snapshot()
        assert {row["name"]: row["disabled"] for row in world.rows("ssh_keys")} == {"one": False, "two": True}
        keys[0] = keys[0] | {"disabled": True}
        assert counts(world.snapshot(hours=1), "ssh_keys") == {"changed": 1}

    def test_two_organizations_share_an_archive_and_nothing_else(self, tmp_path: Path) -> None:
        one = World.new(tmp_path / "data")
        two = World.new(tmp_path / "data", organization_id=OTHER_ORGANIZATION)
        one.emulator.directory.users = [user("alice"), user("bob")]
        two.emulator.directory.users = [user("alice", mfa=False)]
        one.snapshot()
        assert counts(two.snapshot(), "users") == {"first": 1}
        assert one.snapshot(hours=1).seq is None
        assert two.snapshot(hours=1).seq is None
        two.emulator.directory.users.clear()
        two.snapshot(hours=1)
        assert [row["change"] for row in one.rows("users")] == ["first", "first"]
        assert [row["change"] for row in two.rows("users")] == ["first", "gone"]
        assert problems(one) == []

    def test_an_archive_of_the_first_version_gets_a_directory(self, tmp_path: Path) -> None:
        fixture = Path(__file__).parent / "fixtures" / "archives" / "0.1.0"
        world = World.new(Path(shutil.copytree(fixture, tmp_path / "data")))
        world.at = BORN + 24 * HOUR
        world.emulator.directory.users = [user("alice")]
        assert world.snapshot().total["first"] == 4
        assert [row["name"] for row in world.rows("users")] == ["alice"]
        assert problems(world) == []


class TestListsThatChange:
    """Pages are numbered, so whatever comes or goes while they are read shifts the rest."""

    def many(self, world: World, count: int = 250) -> list[dict[str, Any]]:
        world.emulator.directory.users = [user(f"user {number}") for number in range(count)]
        return world.emulator.directory.users

    def before_page(self, world: World, page: str, act: Callable[[], None], times: int = 1) -> None:
        left = [times]

        def hook(path: str, query: dict[str, str]) -> None:
            if path.endswith("/users") and query.get("page") == page and left[0]:
                left[0] -= 1
                act()

        world.before = hook

    def test_what_is_deleted_between_pages_hides_nobody(self, world: World) -> None:
        users = self.many(world)
        self.before_page(world, "2", lambda: users.pop(0))
        assert outcomes(world.snapshot(concurrency=1))["users"] == "read"
        assert len({row["id"] for row in world.rows("users")}) == 250

    def test_one_gone_and_one_new_between_pages_close_nobody_who_is_there(self, world: World) -> None:
        users = self.many(world)
        world.snapshot()

        def swap() -> None:
            users.pop(5)
            users.append(user("a new one"))

        self.before_page(world, "2", swap)
        report = world.snapshot(hours=1, concurrency=1)
        world.before = None
        world.snapshot(hours=1)
        gone = [row["name"] for row in world.rows("users") if row["change"] == "gone"]
        assert gone == ["user 5"]
        assert counts(report, "users")["first"] == 1

    def test_a_list_that_never_holds_still_is_kept_as_far_as_it_was_seen(self, world: World) -> None:
        users = self.many(world)
        world.snapshot()
        added = iter(range(10_000))
        self.before_page(world, "2", lambda: users.insert(0, user(f"more {next(added)}")), times=10_000)
        users.pop()
        report = world.snapshot(hours=1)
        assert outcomes(report)["users"] == "partial"
        assert "gone" not in counts(report, "users")
        world.before = None
        assert counts(world.snapshot(hours=1), "users")["gone"] == 1
        assert [entry.directory[0].outcome for entry in entries(world.archive)] == ["read", "partial", "read"]

    def test_a_wrong_count_closes_nobody(self, world: World) -> None:
        users = self.many(world)
        world.snapshot()
        users.pop(3)
        world.emulator.faults = Faults(wrong_total_count=When(every=1, path="/users"))
        report = world.snapshot(hours=1)
        assert outcomes(report)["users"] == "partial"
        assert counts(report, "users") == {}

    @pytest.mark.parametrize("total", [100, 30, 0, None, "many", -1])
    def test_a_count_that_is_too_low_or_none_closes_nobody(self, world: World, total: Any) -> None:
        self.many(world)
        world.snapshot()

        def miscount(path: str, body: bytes) -> bytes:
            value = json.loads(body)
            value["total_count"] = total
            if total is None:
                del value["total_count"]
            return json.dumps(value).encode() if path.endswith("/users") else body

        world.answered = miscount
        report = world.snapshot(hours=1)
        assert outcomes(report)["users"] == "partial"
        assert counts(report, "users") == {}

    @pytest.mark.parametrize("status", [400, 404])
    @pytest.mark.parametrize("count", [20, 100, 250])
    def test_an_api_that_refuses_pages_behind_the_last_is_read_in_full(
        self, world: World, status: int, count: int
    ) -> None:
        users = self.many(world, count)
        world.refused = lambda path, query: (
            status if path.endswith("/users") and (int(query["page"]) - 1) * 100 >= len(users) else None
        )
        report = world.snapshot()
        assert (outcomes(report)["users"], counts(report, "users")) == ("read", {"first": count})
        users.pop()
        assert counts(world.snapshot(hours=1), "users") == {"gone": 1}

    def test_a_further_page_that_is_refused_closes_nobody(self, world: World) -> None:
        self.many(world)
        world.snapshot()
        world.refused = lambda path, query: 404 if path.endswith("/users") and query["page"] == "2" else None
        report = world.snapshot(hours=1)
        assert (outcomes(report)["users"], counts(report, "users")) == ("partial", {})

    @pytest.mark.parametrize("cap", [7, 20, 50])
    @pytest.mark.parametrize("is_paged", [True, False])
    def test_a_count_of_what_an_answer_holds_closes_nobody(self, world: World, cap: int, is_paged: bool) -> None:
        self.many(world, 2 * cap + 1)
        world.snapshot()
        asked: list[dict[str, str]] = []
        world.before = lambda _path, query: asked.append(query)

        def shortened(path: str, body: bytes) -> bytes:
            if not path.endswith("/users"):
                return body
            size = min(cap, int(asked[-1]["page_size"]))
            start = (int(asked[-1]["page"]) - 1) * size if is_paged else 0
            part = world.emulator.directory.users[start : start + size]
            return json.dumps({"users": part, "total_count": len(part)}).encode()

        world.answered = shortened
        report = world.snapshot(hours=1, concurrency=1)
        assert (outcomes(report)["users"], counts(report, "users")) == ("partial", {})

    def test_an_api_that_knows_no_pages_and_counts_right_is_believed(self, world: World) -> None:
        users = self.many(world, 60)
        world.snapshot()
        users.pop()
        asked: list[dict[str, str]] = []
        world.before = lambda _path, query: asked.append(query)

        def first_page(path: str, body: bytes) -> bytes:
            if not path.endswith("/users"):
                return body
            part = users[: int(asked[-1]["page_size"])]
            return json.dumps({"users": part, "total_count": len(users)}).encode()

        world.answered = first_page
        assert counts(world.snapshot(hours=1, concurrency=1), "users") == {"gone": 1}

    def test_a_list_without_a_count_is_read_to_its_end(self, world: World) -> None:
        self.many(world, 25)
        asked: list[dict[str, str]] = []
        world.before = lambda _path, query: asked.append(query)

        def shortened(path: str, body: bytes) -> bytes:
            if not path.endswith("/users"):
                return body
            start = (int(asked[-1]["page"]) - 1) * 10
            return json.dumps({"users": world.emulator.directory.users[start : start + 10]}).encode()

        world.answered = shortened
        assert counts(world.snapshot(concurrency=1), "users") == {"first": 25}

    def test_elements_that_are_no_objects_with_an_id_close_nobody(self, world: World) -> None:
        users: list[Any] = self.many(world, 3)
        world.snapshot()
        users[1:] = [{"name": "nobody"}, 7]
        report = world.snapshot(hours=1)
        assert outcomes(report)["users"] == "partial"
        assert report.lists[0].rejected == 2
        assert counts(report, "users") == {}

    def test_policies_of_an_api_without_rules_are_kept(self, world: World) -> None:
        directory = world.emulator.directory
        directory.policies, directory.rules = [record("one")], {}
        report = world.snapshot()
        assert (outcomes(report)["policies"], counts(report, "policies")) == ("partial", {"first": 1})
        assert world.rows("policies")[0]["rules_raw"] is None

    def test_a_policy_that_goes_before_its_rules_are_read_is_closed_by_the_next_look(self, world: World) -> None:
        directory = world.emulator.directory
        directory.policies += [record("one"), record("two")]
        directory.rules = {an_id("one"): [], an_id("two"): []}
        world.snapshot()

        def hook(path: str, query: dict[str, str]) -> None:
            if path.endswith("/rules"):
                directory.rules.pop(an_id("two"), None)
                directory.policies[:] = [directory.policies[0]]

        world.before = hook
        assert counts(world.snapshot(hours=1, concurrency=1), "policies") == {}
        assert counts(world.snapshot(hours=1), "policies") == {"gone": 1}


class TestRights:
    def test_without_rights_the_rest_is_read_and_the_lack_is_on_record(self, world: World) -> None:
        world.emulator.directory.users = [user("alice")]
        world.emulator.faults = Faults(denied_permissions={"IAMReadOnly"})
        report = world.snapshot()
        assert {name for name, outcome in outcomes(report).items() if outcome == "denied"} == {
            "users",
            "applications",
            "groups",
            "api_keys",
            "policies",
            "ssh_keys",
        }
        assert world.rows("users") == []
        assert len(world.rows("products")) == 3
        assert [(each.resource, each.outcome, each.status) for each in entries(world.archive)[0].directory[:1]] == [
            ("users", "denied", 403)
        ]
        assert world.snapshot(hours=1).seq is None, "it is said once"
        world.emulator.faults = Faults()
        assert counts(world.snapshot(hours=1), "users") == {"first": 1}

    def test_rights_that_are_taken_away_close_nobody(self, world: World) -> None:
        directory = world.emulator.directory
        directory.users, directory.groups = [user("alice")], [record("admins", user_ids=[])]
        directory.projects = [record("default")]
        world.snapshot()
        world.emulator.faults = Faults(denied_lists={"groups", "projects"})
        directory.users.append(user("bob"))
        directory.groups.clear()
        report = world.snapshot(hours=1)
        assert (outcomes(report)["users"], outcomes(report)["groups"]) == ("read", "denied")
        assert [row["change"] for row in world.rows("groups") + world.rows("projects")] == ["first", "first"]
        world.emulator.faults = Faults()
        world.snapshot(hours=1)
        assert [row["change"] for row in world.rows("groups")] == ["first", "gone"]
        assert [row["change"] for row in world.rows("projects")] == ["first"]

    def test_policies_without_their_rules_are_kept_and_say_so(self, world: World) -> None:
        directory = world.emulator.directory
        directory.policies, directory.rules = [record("admin")], {an_id("admin"): [{"id": "r"}]}
        world.emulator.faults = Faults(denied_lists={"rules"})
        assert outcomes(world.snapshot())["policies"] == "partial"
        assert world.rows("policies")[0]["rules"] is None
        assert world.snapshot(hours=1).seq is None
        world.emulator.faults = Faults()
        assert counts(world.snapshot(hours=1), "policies") == {"changed": 1}
        assert [rule["id"] for rule in world.rows("policies")[-1]["rules"]] == ["r"]
        world.emulator.faults = Faults(denied_lists={"rules"})
        assert counts(world.snapshot(hours=1), "policies") == {}, "rules that cannot be read have not changed"

    def test_a_region_without_products_is_on_record(self, world: World) -> None:
        world.emulator.faults = Faults(absent_streams={"pl-waw/products"})
        assert outcomes(world.snapshot())["products pl-waw"] == "not_offered"
        assert world.snapshot(hours=1).seq is None

    def test_a_refused_key_makes_no_archive(self, world: World) -> None:
        world.emulator.faults = Faults(revoked_key=ALWAYS)
        with pytest.raises(AuthenticationFailed):
            world.snapshot()
        assert not world.archive.exists()

    def test_a_key_that_is_revoked_midway_ends_the_asking_and_closes_nobody(self, world: World) -> None:
        world.emulator.directory.users = [user("alice")]
        world.emulator.directory.groups = [record("admins")]
        world.snapshot()
        world.emulator.requests.clear()
        world.emulator.faults = Faults(revoked_key=When(every=1, path="/groups"))
        report = world.snapshot(hours=1)
        assert {outcomes(report)[name] for name in ("groups", "projects", "products fr-par")} == {"failed"}
        assert len(world.emulator.requests) == 3
        assert [row["change"] for row in world.rows("groups")] == ["first"]


class TestFaults:
    @pytest.mark.parametrize("fault", ["server_error", "rate_limit", "invalid_json"])
    def test_failures_that_pass_lose_nothing(self, world: World, fault: str) -> None:
        world.emulator.directory.users = [user(f"user {number}") for number in range(250)]
        # Late, so that the pace which a refusal sets is that of many answers before it.
        struck: dict[str, Any] = {fault: When(requests=(2, 12) if fault == "invalid_json" else (12,))}
        world.emulator.faults = Faults(server_error_statuses=(500,), retry_after="none", **struck)
        assert set(outcomes(world.snapshot(retries=3)).values()) == {"read"}
        assert len(world.rows("users")) == 250

    def test_a_list_that_fails_closes_nobody_and_the_others_are_read(self, world: World) -> None:
        world.emulator.directory.users = [user("alice")]
        world.emulator.directory.applications = [record("ci")]
        world.snapshot()
        world.emulator.directory.applications.append(record("cd"))
        world.emulator.faults = Faults(server_error=When(every=1, path="/users"), server_error_statuses=(500,))
        report = world.snapshot(hours=1)
        assert outcomes(report)["users"] == "failed"
        assert counts(report, "applications") == {"first": 1}
        assert [row["change"] for row in world.rows("users")] == ["first"]

    def test_what_answers_200_and_no_list_closes_nobody(self, world: World) -> None:
        world.emulator.directory.users = [user("alice")]
        world.snapshot()
        world.emulator.faults = Faults(not_a_page=When(every=1, path="/users"))
        assert outcomes(world.snapshot(hours=1))["users"] == "failed"
        assert [row["change"] for row in world.rows("users")] == ["first"]

    def test_an_api_that_is_gone_is_an_error_and_changes_nothing(self, world: World) -> None:
        world.snapshot()
        head = Archive.open(world.archive).ledger().head
        world.emulator.faults = Faults(server_error=ALWAYS, server_error_statuses=(500,))
        world.emulator.requests.clear()
        with pytest.raises(RemoteUnavailable):
            world.snapshot(hours=1)
        assert Archive.open(world.archive).ledger().head == head
        assert len(world.emulator.requests) == len(outcomes(world_report())) + 1, "only the first list is tried again"

    def test_a_stop_records_nothing(self, world: World) -> None:
        world.snapshot()
        world.emulator.directory.users = [user("alice")]
        world.before = lambda path, _query: world.stop.set() if path.endswith("/groups") else None
        with pytest.raises(Interrupted):
            world.snapshot(hours=1)
        assert world.rows("users") == []

    def test_hostile_values_are_kept_and_harm_nobody(self, world: World) -> None:
        hostile = [
            user("a", username="\x1b[31mred\x00\u202e", tags=[None, {"a": 1}, "x"], mfa="yes", type=7),
            user("b", id="../../etc/passwd", username=["a"], created_at=12, updated_at="0001-01-01T00:00:00+23:59"),
            user("c", username="LONE", email="LONE@x", n=10**400, f=1e300),
            user("d", deep=json.loads("[" * 400 + "]" * 400)),
            user("e", created_at="9999-12-31T23:59:59.999999Z", email="x" * 1_000_000),
        ]
        world.emulator.directory.users = hostile
        world.answered = lambda _path, body: body.replace(b"LONE", b"\\ud800")
        report = world.snapshot()
        assert counts(report, "users") == {"first": 5}
        assert problems(world) == []
        assert world.snapshot(hours=1).seq is None
        assert raw_of(world.rows("users", an_id("a"))[0])["username"] == "\x1b[31mred\x00\u202e"


def world_report() -> Any:
    """The lists of a snapshot, for their number."""
    from trailkeep.sync.directory import DirectoryReport, ListReport

    names = ["users", "applications", "groups", "api_keys", "policies", "ssh_keys", "projects"]
    lists = [ListReport(resource=name, permission="") for name in names]
    lists += [
        ListReport(resource="products", region=region, permission="") for region in ("fr-par", "nl-ams", "pl-waw")
    ]
    return DirectoryReport(lists=lists)


SPELLINGS = (
    b'"secret_key":"%s"',
    b'"secretKey":"%s"',
    b'"SECRET-KEY":"%s"',
    b'"secret\\u005fkey":"%s"',
    b'"secret_key":{"value":"%s"}',
    b'"secret_key":"%s","secret_key":null',
    b'"inner":[{"deeper":{"secret_key":"%s"}}]',
    b'"inner":"{\\"deeper\\":{\\"secret_key\\":\\"%s\\"}}"',
    b'"inner":["[{\\"secret_key\\":\\"%s\\"}]"]',
)


class TestSecrets:
    @pytest.mark.parametrize(
        ("resource", "spelling"),
        [
            *(("api_keys", spelling) for spelling in SPELLINGS),
            *((resource, SPELLINGS[0]) for resource in ("users", "policies", "rules", "products")),
        ],
    )
    def test_a_secret_in_an_answer_is_nowhere_in_the_archive(
        self, world: World, capfd: pytest.CaptureFixture[str], resource: str, spelling: bytes
    ) -> None:
        directory = world.emulator.directory
        directory.users, directory.api_keys = [user("alice")], [api_key(1, "alice")]
        directory.policies, directory.rules = [record("admin")], {an_id("admin"): [{"id": "r"}]}
        member = spelling % SECRET.encode()

        def leak(path: str, body: bytes) -> bytes:
            leaks = path.rpartition("/")[2].replace("-", "_") == resource
            return body.replace(b"[{", b"[{" + member + b",", 1) if leaks else body

        world.answered = leak
        report = world.snapshot()
        assert set(outcomes(report).values()) == {"read"}
        files = [file for file in world.archive.rglob("*") if file.is_file()]
        assert len(files) == 8
        assert not [file for file in files if SECRET.encode() in file.read_bytes()]
        table = "policies" if resource == "rules" else resource
        assert world.rows(table)
        held = [pq.ParquetFile(file).read().to_pylist() for file in files if file.suffix == ".parquet"]
        assert SECRET not in str(held)
        assert SECRET not in str(report.as_json()) + str(report)
        assert SECRET not in "".join(capfd.readouterr())
        assert SECRET_KEY not in str(held)
        assert problems(world) == []
        assert world.snapshot(hours=1).seq is None
        world.answered = None
        assert world.snapshot(hours=1).total["gone"] == 0

    def test_a_null_secret_key_stays_as_it_was_sent(self, world: World) -> None:
        world.emulator.directory.api_keys = [api_key(1, "alice")]
        world.snapshot()
        assert raw_of(world.rows("api_keys")[0]) == api_key(1, "alice")


class TestTheArchive:
    @pytest.fixture
    def grown(self, world: World) -> World:
        """Three looks, a day apart: alice is renamed, bob goes, carol comes."""
        users = world.emulator.directory.users
        users += [user("alice"), user("bob")]
        world.emulator.directory.api_keys = [api_key(1, "alice")]
        world.snapshot()
        users[0] = changed(users[0], NOW + 2 * HOUR, username="mallory")
        world.snapshot(hours=24)
        users.pop(1)
        users.append(user("carol", created_at=(NOW + 30 * HOUR).isoformat(), updated_at=None))
        world.snapshot(hours=24)
        return world

    def test_it_verifies_in_depth(self, grown: World) -> None:
        verified = verify_archive(grown.archive, deep=True)
        assert verified.problems == ()
        assert verified.rows_checked == 3 + 3 + 1 + 1 + 1 + 0 + 0  # users, products, key, renamed, gone, carol

    def test_every_table_of_the_directory_is_a_plain_folder_of_parquet(self, grown: World) -> None:
        pattern = grown.archive / "directory" / "users" / "**" / "*.parquet"
        found = duckdb.sql(
            f"SELECT organization_id, month, name, change FROM read_parquet('{pattern}', hive_partitioning = true)"
            " ORDER BY ledger_seq, id"
        ).fetchall()
        assert len(found) == 5
        assert sorted(row[3] for row in found) == ["changed", "first", "first", "first", "gone"]

    @pytest.mark.parametrize("column", ["name", "email", "observed_at", "change", "raw"])
    def test_a_row_that_was_altered_with_all_hashes_is_found(self, grown: World, column: str) -> None:
        """An attacker who rewrites a file, and the ledger after it, must still make the columns agree with raw."""
        opened = Archive.open(grown.archive)
        table = directory_table("users")
        (file, *_others) = opened.ledger().files("directory/users")
        held = read_segment(opened.locate(file), table.arrow_schema.names)
        values = held[column].to_pylist()
        forged = {
            "name": "eve",
            "email": None,
            "observed_at": datetime(2020, 1, 1, tzinfo=UTC),
            "change": "vanished",
            "raw": '{"id":"x"}',
        }[column]
        held = held.set_column(
            held.schema.get_field_index(column),
            held.schema.field(column),
            pa.array([forged, *values[1:]], held.schema.field(column).type),
        )
        with Writer(grown.archive, clock=lambda: grown.at) as writer:
            if column == "observed_at":
                held = held.drop_columns(["ledger_seq"])
            writer.commit(
                Commit(
                    operation="compact",
                    started_at=grown.at,
                    added=[NewRows(table=table, partition=file.partition, rows=held)],
                    removed=[file.record.path],
                )
            )
        assert problems(grown)

    def test_a_planted_file_is_found_and_set_aside(self, grown: World) -> None:
        for place in ("directory/users/planted.parquet", "directory/planted.parquet", "directory/nobody/x.parquet"):
            file = grown.archive / place
            file.parent.mkdir(exist_ok=True, mode=0o700)
            file.write_bytes(b"planted")
        assert len(problems(grown)) == 3
        report = repair(grown.archive, clock=lambda: grown.at)
        assert len(report.set_aside) == 3
        assert [each for each in problems(grown) if "planted" in each or "x.parquet" in each] == []

    def test_a_lost_file_comes_back_from_a_copy(self, grown: World, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(grown.archive, tmp_path / "copy"))
        (lost, *_others) = sorted((grown.archive / "directory" / "users").rglob("*.parquet"))
        lost.unlink()
        assert problems(grown)
        report = repair(grown.archive, clock=lambda: grown.at, source=copy)
        assert report.problems == []
        assert problems(grown) == []

    @pytest.mark.parametrize(
        ("days", "left"),
        [
            (-1, ["first alice", "first bob", "changed mallory", "first carol", "gone bob"]),
            (0.05, ["first alice", "first bob", "changed mallory", "first carol", "gone bob"]),
            (0.5, ["first bob", "changed mallory", "first carol", "gone bob"]),
            (2, ["changed mallory", "first carol"]),
            (90, ["changed mallory", "first carol"]),
        ],
    )
    def test_a_purge_removes_what_was_over_before_and_keeps_what_was_still_so(
        self, grown: World, days: float, left: list[str]
    ) -> None:
        before = NOW + timedelta(days=days)
        with Writer(grown.archive, clock=lambda: grown.at) as writer:
            plan = plan_purge(writer.archive, writer.ledger, before)
            entry = purge(writer, plan, reason="kept long enough", started_at=grown.at)
        assert (entry is None) == (len(left) == 5)
        found = [f"{row['change']} {row['name']}" for row in grown.rows("users")]
        assert sorted(found) == sorted(left)
        assert plan.counters["rows_removed"] == 5 - len(left)
        assert problems(grown) == []
        assert grown.snapshot(hours=1).seq is None, "what was purged is not read again as new"

    def test_an_old_version_of_the_ledger_has_no_looks(self, grown: World) -> None:
        entry = entries(grown.archive)[0]
        assert {each.resource for each in entry.directory} == {
            "users",
            "applications",
            "groups",
            "api_keys",
            "policies",
            "ssh_keys",
            "projects",
            "products",
        }
        assert all(each.sha256 for each in entry.directory)


def test_any_history_of_changes_is_told_back(tmp_path: Path) -> None:
    """After each of many random looks, the newest rows that are not gone are exactly what the API lists."""
    random = Random(5)
    world = World.new(tmp_path / "data")
    users = world.emulator.directory.users
    for _look in range(15):
        for _change in range(random.randrange(4)):
            known = {each["username"]: index for index, each in enumerate(users)}
            name = f"user {random.randrange(6)}"
            if name not in known:
                users.insert(random.randrange(len(users) + 1), user(name, tags=[str(random.random())]))
            elif random.random() < 0.5:
                users.pop(known[name])
            else:
                users[known[name]] = changed(users[known[name]], world.at, tags=[str(random.random())])
        world.snapshot(hours=random.choice([0, 0.0001, 1, 30]))
        newest = {row["id"]: row for row in world.rows("users")}
        listed = [raw_of(row) for row in newest.values() if row["change"] != "gone"]
        assert sorted(listed, key=lambda each: each["id"]) == sorted(users, key=lambda each: each["id"])
    for identifier in {row["id"] for row in world.rows("users")}:
        times = [at for _change, at in world.history("users", identifier)]
        assert all(before < after for before, after in pairwise(times))
    assert problems(world) == []
