"""What the schema says of tables, views and macros is what the engine says of them."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from typer.testing import CliRunner

from archives import NOW, Archives, a_resource, empty_archive
from demo_archive import run
from trailkeep.analysis import Question, open_result
from trailkeep.catalog import open_catalog
from trailkeep.catalog.macros import statements as macro_statements
from trailkeep.cli import register_commands
from trailkeep.cli.app import app
from trailkeep.coverage import coverage_tables
from trailkeep.geo import FUNCTIONS
from trailkeep.schema import TABLES
from trailkeep.schema.macros import MACROS
from trailkeep.schema.relations import RELATIONS

register_commands()

if TYPE_CHECKING:
    from trailkeep.store import Archive, Ledger


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return empty_archive(tmp_path_factory.mktemp("empty") / "data")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    rows = Archives(tmp_path_factory.mktemp("filled") / "data")
    rows.api(NOW - timedelta(days=1), "CreateServer", resources=[a_resource("instance_server", "web", {"a": 1})])
    rows.login(NOW - timedelta(days=2), "alice")
    rows.system(NOW - timedelta(days=3))
    return rows.commit()


def described(archive: Archive) -> dict[str, list[tuple[str, str]]]:
    """Every table and view that a connection has, with its columns and their types."""

    def read(ledger: Ledger) -> dict[str, list[tuple[str, str]]]:
        with open_catalog(archive, ledger, extra=coverage_tables(ledger, NOW)) as catalog:
            return {
                name: [
                    (str(row[0]), str(row[1]))
                    for row in catalog.connection.execute(f'DESCRIBE main."{name}"').fetchall()
                ]
                for name in catalog.tables()
            }

    return archive.read_consistently(read)


def answer(archive: Archive, sql: str) -> list[dict[str, Any]]:
    with open_result(archive, Question(sql=sql), now=NOW) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


@pytest.mark.parametrize("kind", ["empty", "filled"])
def test_every_table_and_view_has_the_columns_and_types_that_are_written(
    kind: str, request: pytest.FixtureRequest
) -> None:
    archive: Archive = request.getfixturevalue(kind)
    written = {name: [(c.name, c.type) for c in relation.columns] for name, relation in RELATIONS.items()}
    assert described(archive) == written


def test_the_stored_tables_are_those_of_the_archive() -> None:
    assert {name for name, relation in RELATIONS.items() if relation.stored} == set(TABLES)


def test_every_column_and_macro_says_what_it_means() -> None:
    for relation in RELATIONS.values():
        assert relation.description.endswith(".")
        for column in relation.columns:
            assert column.description.endswith("."), f"{relation.name}.{column.name}"
            assert column.path is None or column.path.startswith("$")
    for macro in MACROS.values():
        assert macro.description.endswith(".")
        assert macro.examples


def test_a_column_that_two_relations_share_has_one_type() -> None:
    kinds: dict[tuple[str, str | None], set[str]] = {}
    for relation in RELATIONS.values():
        for column in relation.columns:
            if column.path not in (None, "$"):
                kinds.setdefault((column.name, column.path), set()).add(column.type)
    assert all(len(found) == 1 for found in kinds.values())


def test_every_public_macro_is_documented() -> None:
    created = {statement.split("CREATE MACRO ")[1].split("(")[0] for statement in macro_statements()}
    assert {name for name in created if not name.startswith("_")} | set(FUNCTIONS) == set(MACROS)


@pytest.mark.parametrize(
    ("call", "result"), [example for macro in MACROS.values() for example in macro.examples], ids=lambda text: text
)
def test_a_macro_s_example_gives_what_is_written(empty: Archive, call: str, result: str) -> None:
    assert answer(empty, f"SELECT {call} IS NOT DISTINCT FROM {result} AS same") == [{"same": True}]


@pytest.mark.parametrize("macro", MACROS.values(), ids=lambda macro: macro.name)
def test_a_macro_takes_and_returns_the_types_that_are_written(empty: Archive, macro: Any) -> None:
    arguments = ", ".join(f"CAST(NULL AS {kind})" for _name, kind in macro.arguments)
    assert answer(empty, f"SELECT typeof({macro.name}({arguments})) AS kind") == [{"kind": macro.returns}]


class TestTheCommand:
    def test_it_needs_no_archive_and_prints_everything(self, tmp_path: Path) -> None:
        done = run(tmp_path, "schema")
        assert (done.returncode, done.stderr) == (0, "")
        for relation in RELATIONS.values():
            assert f"{relation.name}: {relation.description}" in done.stdout
        for macro in MACROS.values():
            assert macro.signature in done.stdout

    def test_one_table_as_json(self) -> None:
        shown = json.loads(self.shown("API_EVENTS", "--format", "json"))
        assert shown["macros"] == []
        (table,) = shown["tables"]
        assert [column["name"] for column in table["columns"]] == [c.name for c in RELATIONS["api_events"].columns]
        (status,) = [column for column in table["columns"] if column["name"] == "status_code"]
        assert (status["type"], status["path"]) == ("INTEGER", "$.status_code")

    def test_one_macro(self) -> None:
        assert self.shown("verb").splitlines()[1] == "  verb('DeleteSnapshot') is 'Delete'"

    def test_a_long_type_does_not_push_the_meanings_off_the_screen(self) -> None:
        lines = self.shown("system_events").splitlines()
        assert any(line.split()[:2] == ["resources", "STRUCT(...)[]"] for line in lines)
        assert any(line.startswith("  resources is STRUCT(id VARCHAR") for line in lines)

    def test_markdown_shows_what_looks_like_html(self) -> None:
        page = self.shown("--format", "markdown")
        assert "&lt;type>_info" in page
        assert page.count("\n## ") + 1 == len(RELATIONS) + len(MACROS)

    def test_a_misspelt_table_names_the_nearest_and_all(self, tmp_path: Path) -> None:
        done = run(tmp_path, "schema", "evnts\x1b[31m")
        assert done.returncode == 2
        assert "Did you mean events" in done.stderr
        assert "\x1b" not in done.stderr
        assert "user_agent_family" in done.stderr

    @staticmethod
    def shown(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["schema", *arguments])
        assert done.exit_code == 0
        return done.output


def test_no_lambda_in_a_macro_can_mistake_a_table_of_the_query_for_its_own_parameter() -> None:
    """The engine takes `r.type` for the column of a table `r` where there is one, even inside a lambda over r."""
    parameters = {
        name.strip()
        for statement in macro_statements()
        for names in re.findall(r"lambda ([\w, ]+):", statement)
        for name in names.split(",")
    }
    assert len(parameters) > 5
    assert {name for name in parameters if not re.fullmatch(r"_[a-z]+_", name)} == set()
    with duckdb.connect() as connection:
        for statement in macro_statements():
            connection.execute(statement)
        found = connection.execute(
            "SELECT resource_of(r.resources, 'iam_user') FROM"
            " (SELECT 'x' AS type, 'y' AS id, [{id: 'alice', type: 'iam_user'}] AS resources) AS r"
        ).fetchone()
        assert found == ("alice",)
