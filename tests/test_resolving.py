"""Names where ids are wanted, and names beside ids that are shown."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from archives import NOW as THEN
from archives import Archives, a_resource, an_id, empty_archive
from demo_archive import run
from directories import NOW, World, api_key, changed, record, user
from trailkeep import Archive as Opened
from trailkeep.analysis import Question, open_result
from trailkeep.cli.naming import Names, safe
from trailkeep.cli.results import ResultFormat, writer_for
from trailkeep.errors import UsageError
from trailkeep.queries import parse
from trailkeep.store import Archive

if TYPE_CHECKING:
    from collections.abc import Iterable

QUERY = """/* ---
title = "What was asked for"
blind_spots = ["Secret values that\\nwere read."]
[params.principal]
type = "principal"
[params.project]
type = "project"
[params.resource]
type = "resource"
[params.several]
type = "list[principal]"
default = []
--- */
SELECT $principal AS principal, $project AS project, $resource AS resource, $several AS several
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Events name things, and the directory is looked at twice."""
    folder = tmp_path_factory.mktemp("resolving")
    built = Archives(folder / "data")
    for name in ("web", "db"):
        resources = [{**a_resource("instance_server", name), "name": "same"}]
        built.api(THEN, "CreateServer", resources=resources)
    built.api(THEN, "CreateServer", resources=[a_resource("instance_server", "only")])
    built.api(THEN, "DeleteUser", resources=[a_resource("iam_user", "before the directory")])
    built.commit()
    world = World.new(folder / "data")
    directory = world.emulator.directory
    directory.users = [user("alice"), user("mallory"), user(an_id("alice"))]
    directory.applications = [record("twin a") | {"name": "twin"}, record("twin b") | {"name": "twin"}]
    directory.projects = [record("production")]
    directory.api_keys = [api_key(1, "mallory")]
    world.snapshot()
    directory.users[0] = changed(directory.users[0], NOW + timedelta(hours=1), username="alice-renamed")
    del directory.users[1], directory.api_keys[0]
    world.snapshot(hours=5)
    (folder / "queries" / "own").mkdir(parents=True)
    (folder / "queries" / "own" / "asked.sql").write_text(QUERY)
    return world


def asked(world: World, **given_: Any) -> tuple[dict[str, Any], list[str]]:
    saved = parse("own/asked", Path("asked.sql"), QUERY)
    with open_result(Archive.open(world.archive), Question.of(saved, given=given_), now=NOW) as result:
        (row,) = [row for batch in result.batches() for row in batch.to_pylist()]
        return row, result.resolved


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mallory", "mallory"),
        ("MALLORY@example.com", "mallory"),
        ("SCW00000000000000001", "mallory"),  # deleted, like its owner
        ("alice", "alice"),  # a name of the past
        ("alice-renamed", "alice"),
        ("before the directory", "before the directory"),  # in an event's resources only
    ],
)
def test_a_name_stands_for_the_principal_s_id_and_that_is_said(world: World, written: str, meant: str) -> None:
    row, said = asked(world, principal=written)
    assert row["principal"] == an_id(meant)
    (sentence,) = said
    assert sentence.startswith(f"principal: {written} is ")
    assert an_id(meant) in sentence


def test_an_id_is_taken_as_it_is_even_where_another_is_called_so(world: World) -> None:
    assert asked(world, principal=an_id("alice")) == (
        {"principal": an_id("alice"), "project": None, "resource": None, "several": []},
        [],
    )
    unknown = an_id("nobody")
    row, (said,) = asked(world, principal=unknown.upper())
    assert row["principal"] == unknown
    assert "in no list of the directory" in said


def test_several_candidates_are_listed(world: World) -> None:
    with pytest.raises(UsageError) as caught:
        asked(world, principal="twin")
    assert an_id("twin a") in caught.value.message
    assert an_id("twin b") in caught.value.message
    with pytest.raises(UsageError, match="may mean any of these 2"):
        asked(world, resource="same")


def test_nothing_is_guessed(world: World) -> None:
    with pytest.raises(UsageError, match="there was never a principal") as caught:
        asked(world, principal="malory\x1b[2J\n")
    assert "\x1b" not in caught.value.message
    assert "mallory" in str(caught.value.hint)
    with pytest.raises(UsageError, match="never a project"):
        asked(world, project="mallory")


def test_projects_resources_and_lists_are_resolved(world: World) -> None:
    row, said = asked(world, project="Production", resource="only", several="mallory,alice")
    assert row == {
        "principal": None,
        "project": an_id("production"),
        "resource": an_id("only"),
        "several": [an_id("mallory"), an_id("alice")],
    }
    assert len(said) == 4
    row, (sentence,) = asked(world, resource="a-bucket")
    assert row["resource"] == "a-bucket"
    assert "no resource 'a-bucket' was ever seen" in sentence


def test_the_command_line_says_what_a_name_stood_for_and_exits_with_2_where_it_cannot_tell(world: World) -> None:
    folder = world.archive.parent
    done = run(folder, "query", "principal-timeline", "-p", "principal=mallory", "--format", "csv")
    assert done.returncode == 0
    assert f"principal: mallory is user {an_id('mallory')} mallory" in done.stderr
    quiet = run(folder, "-q", "query", "principal-timeline", "-p", "principal=mallory", "--format", "csv")
    assert "principal:" not in quiet.stderr
    done = run(folder, "query", "principal-timeline", "-p", "principal=twin")
    assert (done.returncode, done.stdout) == (2, "")
    assert an_id("twin a") in done.stderr
    shell = run(folder, "shell", stdin=".run own/asked principal=mallory\n")
    assert f"principal: mallory is user {an_id('mallory')}" in shell.stderr
    assert run(folder, "queries", "check", "own/asked").returncode == 0


def test_a_program_gives_names_too(world: World) -> None:
    with Opened(world.archive, queries=[world.archive.parent / "queries"], now=NOW) as archive:
        assert archive.query("asked", principal="mallory").rows()[0]["principal"] == an_id("mallory")
        assert archive.query("asked", principal="mallory").parameters["principal"] == an_id("mallory")
        with pytest.raises(UsageError, match="twin"):
            archive.query("asked", principal="twin")


def test_blind_spots_are_said_in_a_line_each_and_silenced_by_q(world: World) -> None:
    folder = world.archive.parent
    done = run(folder, "query", "own/asked", "--format", "csv")
    assert "blind spot: Secret values that were read." in done.stderr.splitlines()
    assert "blind spot" not in run(folder, "-q", "query", "own/asked", "--format", "csv").stderr


@pytest.mark.parametrize("name", ["alice", "an-id-that-is-none"])
def test_without_any_directory_names_come_from_events_or_are_refused(tmp_path: Path, name: str) -> None:
    empty_archive(tmp_path / "data")
    saved = parse("own/asked", Path("asked.sql"), QUERY)
    with pytest.raises(UsageError) as caught:
        open_result(Archive.open(tmp_path / "data"), Question.of(saved, given={"principal": name}), now=NOW)
    assert "directory sync" in str(caught.value.hint)
    with open_result(
        Archive.open(tmp_path / "data"), Question.of(saved, given={"principal": an_id("x")}), now=NOW
    ) as result:
        assert result.resolved == []


# Names in tables

ID, OTHER = an_id("one"), an_id("two")


class Known(dict[str, str]):
    """Names for ids, as the directory gives them."""

    def shown(self, texts: Iterable[str]) -> dict[str, str]:
        return {text: f"{safe(self[text])} ({text})" for text in texts if text in self}


def table(rows: list[dict[str, Any]], names: dict[str, str], **options: Any) -> str:
    sink = io.BytesIO()
    batch = pa.RecordBatch.from_pylist(rows)
    writer = writer_for(ResultFormat.TABLE, sink, batch.schema, names=Known(names), **options)
    writer.write(batch)
    writer.close()
    return sink.getvalue().decode()


def test_a_table_shows_names_where_they_fit_and_ids_alone_where_not() -> None:
    rows = [{"actor_id": ID, "n": 1, "project_id": OTHER, "what": "GetThing"}]
    names = {ID: "alice", OTHER: "production"}
    whole = table(rows, names)
    assert f"alice ({ID})" in whole
    assert f"production ({OTHER})" in whole
    narrow = table(rows, names, width=110)
    assert f"alice ({ID})" in narrow
    assert "production" not in narrow
    assert OTHER in narrow
    narrowest = table(rows, names, width=95)
    assert "alice" not in narrowest
    assert narrowest == table(rows, {}, width=95)


def test_where_ids_are_shortened_only_a_real_id_has_a_name() -> None:
    beginning = f"{ID[:8]}…"
    rows = [{"actor_id": ID, "agent": beginning, "project_id": OTHER, "at": "2026-01-01T00:00:00.123456Z"}]
    names = {ID: "alice", OTHER: "production"}
    lines = table(rows, names, width=60).splitlines()
    assert "alice" in lines[2]
    assert beginning in lines[2].replace(f"alice ({beginning})", "")
    assert lines[2].count("alice") == 1
    whole = table(rows, names, width=70).splitlines()
    assert f"alice ({beginning})" in whole[2]


def test_two_ids_that_begin_alike_keep_their_own_names() -> None:
    twin = ID[:8] + OTHER[8:]
    rows = [{"first_id": ID, "second_id": twin, "project_id": OTHER}]
    shown_row = table(rows, {ID: "alice", twin: "mallory"}, width=60).splitlines()[2]
    assert shown_row.index("alice") < shown_row.index("mallory")


def test_one_row_at_a_time_shows_them_too() -> None:
    rows = [{"actor_id": ID}]
    assert table(rows, {ID: "alice"}, vertical=True).endswith(f"actor_id │ alice ({ID})\n")
    assert table(rows, {ID: "alice"}, vertical=True, width=50).endswith(f"actor_id │ {ID}\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("alice@example.com", "alice@example.com"),
        ("CI deploy", "CI deploy"),
        (OTHER, f'"{OTHER}"'),
        (f"alice ({OTHER})", f'"alice ({OTHER[:32]}…"'),
        ('a" (b', '"a\\" (b"'),
        ("two  blanks", '"two  blanks"'),
        ("x" * 50, f"{'x' * 39}…"),
        ("", '""'),
    ],
)
def test_a_name_cannot_be_taken_for_an_id(name: str, shown: str) -> None:
    assert safe(name) == shown


def test_a_hostile_name_is_shown_and_not_obeyed() -> None:
    for options in ({}, {"vertical": True}, {"width": 100}, {"full": True, "width": 40}):
        text = table([{"id": ID}], {ID: "x\x1b[2J\ny\u202ez"}, **options)
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_the_directory_is_asked_once_for_all_ids_and_not_at_all_where_there_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trailkeep.analysis import directory

    calls: list[set[str]] = []
    read = directory.names_of

    def counted(archive: Any, ledger: Any, wanted: set[str]) -> dict[str, str]:
        calls.append(set(wanted))
        return read(archive, ledger, wanted)

    monkeypatch.setattr(directory, "names_of", counted)
    archive = Archive.open(world.archive)
    names = Names(archive, archive.ledger().head)
    texts = [an_id("alice"), an_id("mallory"), an_id("production"), an_id("nobody"), "", "text"]
    shown = names.shown(texts)
    assert shown == {
        an_id("alice"): f"alice-renamed ({an_id('alice')})",
        an_id("mallory"): f"mallory ({an_id('mallory')})",  # gone, and still who it was
        an_id("production"): f"production ({an_id('production')})",
    }
    assert names.shown(texts) == shown
    assert names.shown(["no id"]) == {}
    assert len(calls) == 1


def test_ids_alone_are_printed_on_demand_and_in_every_other_format(world: World) -> None:
    folder = world.archive.parent
    sql = ("query", "--sql", f"SELECT '{an_id('alice')}' AS actor_id")
    assert f"alice-renamed ({an_id('alice')})" in run(folder, *sql).stdout
    assert "alice-renamed" not in run(folder, *sql, "--ids").stdout
    for form in ("csv", "json", "ndjson", "markdown"):
        assert "alice-renamed" not in run(folder, *sql, "--format", form).stdout
    refused = run(folder, *sql, "--ids", "--format", "csv")
    assert (refused.returncode, refused.stdout) == (2, "")
    shell = run(folder, "shell", stdin=f".ids on\n{sql[2]};\n.ids off\n{sql[2]};\n")
    assert shell.stdout.count("alice-renamed") == 1


def test_a_damaged_directory_costs_the_names_and_not_the_answer(world: World, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(world.archive, tmp_path / "data")
    for file in (tmp_path / "data" / "directory" / "users").rglob("*.parquet"):
        file.chmod(0o600)
        file.write_bytes(b"x" + file.read_bytes()[1:])
    done = run(tmp_path, "query", "--sql", f"SELECT '{an_id('alice')}' AS actor_id")
    assert done.returncode == 0
    assert an_id("alice") in done.stdout
    assert "warning: no names are shown: directory/users/" in done.stderr
    assert run(tmp_path, "directory", "who", "alice").returncode == 5
