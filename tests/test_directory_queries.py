"""The saved queries over the directory give the rows that they promise."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archives import NOW, ORGANIZATION, Archives, empty_archive, rows_of
from trailkeep import schema
from trailkeep.analysis import Question, open_result
from trailkeep.queries import discover, load, query_folders
from trailkeep.store import Archive, Commit, NewRows, Writer

DAY = timedelta(days=1)
SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))


def put(path: Path, resource: str, identifier: str, change: str, at: datetime, **columns: Any) -> None:
    """One version of an object, as an entry of its own."""
    table = schema.directory_table(resource)
    moment = at.replace(tzinfo=None)
    row = {"id": identifier, "change": change, "valid_from": moment, "observed_at": moment, "raw": "{}", **columns}
    partition = {"organization_id": ORGANIZATION, "month": f"{moment:%Y-%m}"}
    added = [NewRows(table=table, partition=partition, rows=rows_of(table, [row]))]
    with Writer(path, clock=lambda: NOW) as writer:
        writer.commit(Commit(operation="directory", started_at=NOW, organization_id=ORGANIZATION, added=added))


def ask(path: Path, name: str, **given: Any) -> list[dict[str, Any]]:
    question = Question.of(load(name, SHIPPED[name].path), given=given)
    with open_result(Archive.open(path), question, now=NOW) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two users and an application; one acted lately, one long ago, and a stranger acted, too."""
    made = Archives(tmp_path / "archive")
    made.api(NOW - 2 * DAY, "CreateServer", principal_id="busy")
    made.api(NOW - 80 * DAY, "CreateServer", principal_id="idle")
    made.api(NOW - 3 * DAY, "CreateServer", principal_id="stranger", source_ip="203.0.113.9")
    made.api(NOW - 3 * DAY, "CreateServer", principal_id="stranger", source_ip=None, status_code=403)
    made.commit()
    path = made.path
    put(path, "users", "busy", "first", NOW - 90 * DAY, name="busy.bee")
    put(path, "users", "idle", "first", NOW - 90 * DAY, name="idle.ida")
    put(path, "applications", "machine", "first", NOW - 90 * DAY, name="machine")
    return path


def test_keys_without_expiry_are_shown_with_their_owner_even_when_they_are_gone(archive: Path) -> None:
    until = (NOW + 30 * DAY).replace(tzinfo=None)
    put(archive, "api_keys", "SCWFOREVER", "first", NOW - 9 * DAY, user_id="busy", creation_ip="203.0.113.1")
    put(archive, "api_keys", "SCWLIMITED", "first", NOW - 9 * DAY, user_id="busy", expires_at=until)
    put(archive, "api_keys", "SCWGONE", "first", NOW - 9 * DAY, application_id="machine")
    put(archive, "api_keys", "SCWGONE", "gone", NOW - DAY, application_id="machine")
    rows = {row["access_key"]: row for row in ask(archive, "persistence/keys-without-expiry")}
    assert rows.keys() == {"SCWFOREVER", "SCWGONE"}
    assert rows["SCWFOREVER"]["principal_name"] == "busy.bee"
    assert rows["SCWFOREVER"]["creation_ip"] == "203.0.113.1"
    assert rows["SCWFOREVER"]["deleted_at"] is None
    assert rows["SCWGONE"]["principal_type"] == "application"
    assert rows["SCWGONE"]["deleted_at"] == (NOW - DAY).replace(tzinfo=None)


def test_keys_not_used_are_those_whose_owner_has_not_acted_since(archive: Path) -> None:
    for owner in ("busy", "idle"):
        put(archive, "api_keys", f"SCW{owner}", "first", NOW - 90 * DAY, user_id=owner)
    put(archive, "api_keys", "SCWmachine", "first", NOW - 90 * DAY, application_id="machine")
    put(archive, "api_keys", "SCWgone", "first", NOW - 90 * DAY, application_id="machine")
    put(archive, "api_keys", "SCWgone", "gone", NOW - DAY, application_id="machine")
    rows = ask(archive, "persistence/keys-not-used", unused_since="30d")
    assert {row["access_key"]: row["owner_last_acted_at"] for row in rows} == {
        "SCWidle": (NOW - 80 * DAY).replace(tzinfo=None),
        "SCWmachine": None,
    }
    assert {row["access_key"] for row in ask(archive, "persistence/keys-not-used")} == {"SCWmachine"}
    exactly = (NOW - 80 * DAY).isoformat()
    assert {row["access_key"] for row in ask(archive, "persistence/keys-not-used", unused_since=exactly)} == {
        "SCWmachine"
    }


def test_an_unknown_principal_is_one_that_was_in_no_look_at_the_directory(archive: Path) -> None:
    (row,) = ask(archive, "scope/unknown-principals")
    assert (row["principal_id"], row["events"], row["addresses"]) == ("stranger", 2, 1)
    put(archive, "users", "stranger", "first", NOW - DAY, name="late.lee")
    assert ask(archive, "scope/unknown-principals") == []


def test_policies_are_shown_for_what_is_beyond_the_list_or_could_not_be_read(archive: Path) -> None:
    def rule(*sets: str) -> dict[str, Any]:
        return {"id": "r", "permission_set_names": list(sets), "project_ids": None, "organization_id": ORGANIZATION}

    put(archive, "policies", "fine", "first", NOW - DAY, name="fine", rules=[rule("IAMReadOnly")])
    put(archive, "policies", "none", "first", NOW - DAY, name="none", rules=[])
    put(
        archive,
        "policies",
        "wide",
        "first",
        NOW - DAY,
        name="wide",
        rules=[rule("IAMManager", "IAMReadOnly"), rule("IAMManager")],
    )
    put(archive, "policies", "unread", "first", NOW - DAY, name="unread", rules=None)
    rows = {row["id"]: row["beyond"] for row in ask(archive, "privilege/policies-broader-than")}
    assert rows == {"wide": ["IAMManager"], "unread": None}
    assert "wide" not in {
        row["id"] for row in ask(archive, "privilege/policies-broader-than", allowed="IAMManager,IAMReadOnly")
    }


@pytest.mark.parametrize(
    "name",
    [
        "persistence/keys-without-expiry",
        "persistence/keys-not-used",
        "scope/unknown-principals",
        "privilege/policies-broader-than",
    ],
)
def test_an_empty_archive_gives_no_row(tmp_path: Path, name: str) -> None:
    empty_archive(tmp_path / "archive")
    assert ask(tmp_path / "archive", name) == []
