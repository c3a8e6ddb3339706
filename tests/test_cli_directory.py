"""`trailkeep directory` and what `trailkeep sync` does about the directory, as a user sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from scaleway import Client as SdkClient
from scaleway.account.v3 import AccountV3ProjectAPI
from scaleway.account.v3.marshalling import unmarshal_Project
from scaleway.audit_trail.v1alpha1 import AuditTrailV1Alpha1API
from scaleway.audit_trail.v1alpha1.marshalling import unmarshal_Product
from scaleway.iam.v1alpha1 import IamV1Alpha1API
from scaleway.iam.v1alpha1 import marshalling as iam_types

from demo_archive import demo_archive, reaching, run
from directories import api_key, raw_of, record, rows, user
from trailkeep.demo.emulator import ACCESS_KEY, SECRET_KEY, Emulator
from trailkeep.demo.faults import ALWAYS, Faults, When
from trailkeep.demo.serve import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trailkeep.demo.serve import Served


@pytest.fixture
def emulator() -> Emulator:
    emulator = Emulator(clock=lambda: datetime.now(UTC))
    emulator.directory.users = [user("alice"), user("bob", username="b\x1b[31mo\nb")]
    emulator.directory.api_keys = [api_key(1, "alice")]
    emulator.directory.projects = [record("default")]
    return emulator


@pytest.fixture
def served(emulator: Emulator) -> Iterator[Served]:
    with serve(emulator) as served:
        yield served


@pytest.fixture
def trailkeep(tmp_path: Path, served: Served, emulator: Emulator) -> Callable[..., Any]:
    settings = reaching(served, emulator.organization_id)
    return lambda *arguments, **more: run(tmp_path, *arguments, **(settings | more))


def test_a_sync_keeps_the_directory_and_says_so_in_a_line(trailkeep: Any, tmp_path: Path) -> None:
    done = trailkeep("sync")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *_table, line, head = done.stdout.splitlines()
    assert line == "directory: 4 objects, 4 new, 0 changed, 0 gone"
    assert head.startswith("head 3:")
    assert sorted(row["email"] for row in rows(tmp_path / "data", "users")) == ["alice@example.com", "bob@example.com"]
    report = json.loads(trailkeep("sync", "--format", "json").stdout)
    assert report["directory"]["total"]["first"] == 0
    assert report["directory"]["ledger_seq"] is None
    assert report["head"] == report["directory"]["head"]
    status = json.loads(trailkeep("status", "--format", "json").stdout)
    assert {each["outcome"] for each in status["directory"]} == {"read"}
    assert "directory" not in trailkeep("status").stdout


def test_a_sync_leaves_the_directory_out_where_it_is_told_to(
    trailkeep: Any, tmp_path: Path, emulator: Emulator
) -> None:
    assert json.loads(trailkeep("sync", "--no-directory", "--format", "json").stdout)["directory"] is None
    assert trailkeep("sync", TRAILKEEP_DIRECTORY="false").returncode == 0
    (tmp_path / "trailkeep.toml").write_text("directory = false\n")
    assert trailkeep("sync").returncode == 0
    assert not (tmp_path / "data" / "directory").exists()
    assert not [each for each in emulator.requests if each.path.endswith(("/users", "/products"))]
    assert trailkeep("sync", "--directory").returncode == 0
    assert (tmp_path / "data" / "directory").exists()


def test_missing_rights_are_said_once_in_one_line_and_cost_nothing(trailkeep: Any, emulator: Emulator) -> None:
    emulator.faults = Faults(denied_permissions={"IAMReadOnly", "ProjectReadOnly"})
    done = trailkeep("sync")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "add IAMReadOnly and ProjectReadOnly" in line
    assert "trailkeep config policy" in line
    again = trailkeep("sync")
    assert (again.returncode, again.stderr) == (0, "")
    assert "denied: users, applications" in trailkeep("status").stdout
    emulator.faults = Faults()
    assert "directory: 4 objects" in trailkeep("sync").stdout


def test_a_directory_that_fails_costs_no_event_and_ends_with_three(trailkeep: Any, emulator: Emulator) -> None:
    # An hour old: what is recorded within the second of the server's Date is read by the next sync only.
    then = datetime.now(UTC) - timedelta(hours=1)
    emulator.add("api", "fr-par", {"id": "e", "recorded_at": then.isoformat()}, recorded_at=then)
    emulator.faults = Faults(redirect=When(every=1, path="/iam/v1alpha1/users"))
    done = trailkeep("sync")
    assert done.returncode == 3
    assert "failed: directory: users: " in done.stderr
    assert "1 of 10 lists of the directory could not be read" in done.stderr
    assert trailkeep("query", "--sql", "SELECT count(*) FROM events", "--format", "csv").stdout.split() == [
        "count_star()",
        "1",
    ]


def test_the_directory_is_synced_by_itself(trailkeep: Any, tmp_path: Path) -> None:
    done = trailkeep("directory", "sync")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["LIST", "OBJECTS", "FIRST", "CHANGED", "GONE", "BACK", "OUTCOME"]
    assert lines[1].split() == ["users", "2", "2", "0", "0", "0", "read"]
    assert not (tmp_path / "data" / "requests").exists()


def test_a_key_without_any_right_is_an_error_of_the_command_alone(trailkeep: Any, emulator: Emulator) -> None:
    emulator.faults = Faults(denied_permissions={"IAMReadOnly", "ProjectReadOnly", "AuditTrailReadOnly"})
    assert trailkeep("directory", "sync").returncode == 3


def test_a_refused_key_or_no_api_makes_no_archive(trailkeep: Any, tmp_path: Path, emulator: Emulator) -> None:
    emulator.faults = Faults(revoked_key=ALWAYS)
    done = trailkeep("directory", "sync")
    assert (done.returncode, done.stdout) == (3, "")
    assert "secret key" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_list_that_the_api_does_not_have_is_said_once(trailkeep: Any, emulator: Emulator) -> None:
    emulator.faults = Faults(absent_streams={"pl-waw/products"})
    assert trailkeep("directory", "sync").stderr == "", "not every region has products"
    emulator.faults = Faults(absent_streams={"fr-par/products", "pl-waw/products"})
    assert "the API does not offer products fr-par (501)" in trailkeep("directory", "sync").stderr
    done = trailkeep("directory", "sync")
    assert (done.returncode, done.stderr) == (0, "")


def test_policies_whose_rules_are_not_there_are_no_failure(trailkeep: Any, emulator: Emulator) -> None:
    emulator.directory.policies, emulator.directory.rules = [record("one")], {}
    done = trailkeep("directory", "sync")
    assert done.returncode == 0
    assert "the API has no rules of some policies (404)" in done.stderr


def test_a_name_without_end_is_cut_in_the_table_alone(trailkeep: Any, emulator: Emulator) -> None:
    emulator.directory.users[0] = user("alice", username="a" * 10_000)
    trailkeep("directory", "sync")
    assert max(map(len, trailkeep("directory", "list").stdout.splitlines())) < 300
    assert "a" * 10_000 in trailkeep("directory", "list", "--format", "json").stdout


def test_the_directory_is_listed_offline(trailkeep: Any, emulator: Emulator) -> None:
    trailkeep("directory", "sync")
    emulator.directory.users.pop(0)
    trailkeep("directory", "sync")
    emulator.requests.clear()
    listed = trailkeep("directory", "list", "users")
    assert "alice" not in listed.stdout
    assert "\\x1b[31mo\\nb" in listed.stdout
    assert len(listed.stdout.splitlines()) == 2
    everything = json.loads(trailkeep("directory", "list", "--gone", "--format", "json").stdout)
    assert sorted(each["name"] for each in everything["objects"] if each["gone"]) == ["alice"]
    assert trailkeep("directory", "list", "users", "--at", "2020-01-01").stdout == ""
    assert trailkeep("directory", "list", "servers").returncode == 2
    assert trailkeep("directory", "list", "--organization", "x").returncode == 2
    assert emulator.requests == []


def test_the_official_sdk_sees_the_same_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = demo_archive(tmp_path_factory)
    emulator = Emulator(made.organization, clock=lambda: datetime.now(UTC))
    with serve(emulator) as served:
        client = SdkClient(
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            api_url=served.url,
            default_organization_id=emulator.organization_id,
            default_region="fr-par",
        )
        iam = IamV1Alpha1API(client)
        lists: dict[str, tuple[list[Any], Any]] = {
            "users": (iam.list_users_all(), iam_types.unmarshal_User),
            "applications": (iam.list_applications_all(), iam_types.unmarshal_Application),
            "groups": (iam.list_groups_all(), iam_types.unmarshal_Group),
            "api_keys": (iam.list_api_keys_all(), iam_types.unmarshal_APIKey),
            "policies": (iam.list_policies_all(), iam_types.unmarshal_Policy),
            "ssh_keys": (iam.list_ssh_keys_all(), iam_types.unmarshal_SSHKey),
            "projects": (AccountV3ProjectAPI(client).list_projects_all(), unmarshal_Project),
        }
        for resource, (listed, unmarshal) in lists.items():
            held = rows(made.path, resource)
            assert held
            assert _by_text(unmarshal(raw_of(row)) for row in held) == _by_text(listed), resource
        for row in rows(made.path, "policies"):
            listed_rules = iam.list_rules_all(policy_id=row["id"])
            assert [iam_types.unmarshal_Rule(rule) for rule in json.loads(row["rules_raw"])] == listed_rules
            assert [rule["permission_set_names"] for rule in row["rules"]] == [
                rule.permission_set_names for rule in listed_rules
            ]
        audit_trail = AuditTrailV1Alpha1API(client)
        for region in emulator.regions:
            held = [row for row in rows(made.path, "products") if row["region"] == region]
            assert _by_text(unmarshal_Product(raw_of(row)) for row in held) == _by_text(
                audit_trail.list_products(region=region).products
            )


def _by_text(values: Any) -> list[str]:
    return sorted(map(repr, values))
