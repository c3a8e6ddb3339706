"""What could have left an event, since when, and what could not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from archives import empty_archive
from demo_archive import run
from directories import NOW, World, product
from trailkeep.analysis.directory import directory_of
from trailkeep.demo.faults import Faults
from trailkeep.directory.loggable import blind_spots
from trailkeep.directory.unlogged import UNLOGGED, covers
from trailkeep.queries.attack import mistake
from trailkeep.store import Archive
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def found(world: World) -> dict[str, Any]:
    archive = Archive.open(world.archive)
    return blind_spots(directory_of(archive, archive.ledger(), ("products",)))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.new(tmp_path_factory.mktemp("blind") / "data", regions=("fr-par", "nl-ams"))
    lists = world.emulator.products
    lists["fr-par"] = [product("iam", "CreateAPIKey", "DeleteAPIKey")]
    lists["nl-ams"] = [product("instance", "CreateServer")]
    world.snapshot()
    lists["fr-par"] = [product("iam", "CreateAPIKey"), product("secret_manager", "AccessSecretVersion")]
    world.snapshot(hours=24)
    return world


def test_each_method_has_the_time_since_which_it_leaves_events(world: World) -> None:
    methods = {(each["region"], each["method"]): each for each in found(world)["methods"]}
    begun, later = format_time(NOW), format_time(NOW + timedelta(hours=24))
    assert {key: (each["from"], each["or_earlier"], each["to"]) for key, each in methods.items()} == {
        ("fr-par", "CreateAPIKey"): (begun, True, None),
        ("fr-par", "DeleteAPIKey"): (begun, True, later),
        ("fr-par", "AccessSecretVersion"): (later, False, None),
        ("nl-ams", "CreateServer"): (begun, True, None),
    }


def test_what_changed_after_the_first_list_is_told(world: World) -> None:
    changes = [(each["region"], each["method"], each["change"]) for each in found(world)["changes"]]
    assert changes == [
        ("fr-par", "DeleteAPIKey", "no longer listed"),
        ("fr-par", "AccessSecretVersion", "loggable"),
    ]


def test_what_is_said_to_be_unlogged_is_taken_back_where_the_list_has_it(world: World) -> None:
    listed = {each["name"]: each["listed"] for each in found(world)["not_logged"]}
    assert [each["method"] for each in listed.pop("secret values read")] == ["AccessSecretVersion"]
    assert not any(listed.values())
    done = run(world.archive.parent, "status", "--blind-spots")
    assert (done.returncode, done.stderr) == (0, "")
    assert "but on the list now: AccessSecretVersion (fr-par)" in done.stdout
    assert "2026-09-02 12:00:00Z" in done.stdout


def test_lists_that_were_denied_are_said(tmp_path: Path) -> None:
    world = World.new(tmp_path / "data")
    world.emulator.faults = Faults(denied_permissions={"AuditTrailReadOnly"})
    world.snapshot()
    told = found(world)["lists"]
    assert {(each["last_outcome"], each["first_read_at"], each["methods"]) for each in told} == {("denied", None, 0)}
    done = run(tmp_path, "status", "--blind-spots")
    assert "not known" in done.stderr
    assert "last: denied" in done.stdout


def test_without_a_snapshot_it_is_not_known_and_the_rest_is_said(tmp_path: Path) -> None:
    empty_archive(tmp_path / "data")
    done = run(tmp_path, "status", "--blind-spots")
    assert done.returncode == 0
    assert "not known: the archive holds no list of products" in done.stdout
    assert "secret values read" in done.stdout
    assert "trailkeep directory sync" in done.stderr
    shown = json.loads(run(tmp_path, "status", "--blind-spots", "--format", "json").stdout)
    assert (shown["lists"], shown["methods"]) == ([], [])
    assert {"Object Storage", "kubeconfig downloaded"} <= {each["name"] for each in shown["not_logged"]}


@pytest.mark.parametrize("option", [["--max-age", "1d"], ["--format", "prometheus"]])
def test_it_goes_with_no_alarm_and_no_metrics(tmp_path: Path, option: list[str]) -> None:
    assert run(tmp_path, "status", "--blind-spots", *option).returncode == 2


def test_the_names_of_a_list_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    world = World.new(tmp_path / "data", regions=("fr-par",))
    world.snapshot()
    world.emulator.products["fr-par"] = [product("x\x1b[2J\ny", "Get\x1b[31mThing")]
    world.snapshot(hours=24)
    done = run(tmp_path, "status", "--blind-spots")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "x\\x1b[2J\\ny" in done.stdout


def test_the_techniques_exist_and_the_names_differ() -> None:
    assert len({each.name for each in UNLOGGED}) == len(UNLOGGED)
    for each in UNLOGGED:
        assert each.products or each.methods or each.verbs
        assert not [mistake(one) for one in each.attack if mistake(one)], each.name


def test_what_begins_like_a_verb_is_not_taken_for_one() -> None:
    (reads,) = [each for each in UNLOGGED if each.verbs]
    assert covers(reads, "iam", "ListUsers")
    assert not covers(reads, "iam", "ListenSomewhere")
