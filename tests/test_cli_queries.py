"""`trailkeep queries`: what it lists, what it finds wrong, and what it begins."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from archives import empty_archive
from demo_archive import ROOT, run
from trailkeep.cli import register_commands
from trailkeep.cli.app import app
from trailkeep.cli.checking import problems_of
from trailkeep.queries import QueryFile, discover, load, query_folders

register_commands()

if TYPE_CHECKING:
    from trailkeep.store import Archive

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))
BOUNDS = "recorded_at >= $since AND recorded_at < $until"
SOUND = f"SELECT recorded_at, id FROM events WHERE {BOUNDS} ORDER BY recorded_at, id"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return empty_archive(tmp_path_factory.mktemp("empty") / "data")


def front(toml: str = 'title = "T"', sql: str = SOUND) -> str:
    return f"/* ---\n{toml}\n--- */\n{sql}\n"


def found_in(folder: Path, archive: Archive, text: str | bytes) -> list[str]:
    """What is wrong with a file, as it is printed, without the folder."""
    path = folder / "q.sql"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems = problems_of(QueryFile(name="q", path=path), archive, NOW)
    return [problem.text.removeprefix(f"{folder}/") for problem in problems]


class TestCheck:
    @pytest.mark.parametrize("name", SHIPPED)
    def test_every_shipped_query_passes(self, archive: Archive, name: str) -> None:
        assert [problem.text for problem in problems_of(SHIPPED[name], archive, NOW)] == []

    def test_a_sound_query_passes(self, tmp_path: Path, archive: Archive) -> None:
        assert found_in(tmp_path, archive, front()) == []

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (front('title = "T"\nattack = ["T1078", "T1562.008"]'), r"q\.sql:3:20: ATT&CK v19 has no T1562\.008"),
            (front('title = "T"\nquestion = 0'), r"q\.sql:3:1: there is no question 0"),
            (front('title = "a\\nb"'), r"q\.sql:2:1: the title has more than one line"),
            (front('title = "T"\n[params.a]\ntype = "text"'), r"q\.sql:3:1: the SQL does not use \$a"),
            (front(sql="SELECT '$b', /* $b */\n $b AS b"), r"q\.sql:5:2: \$b is not declared"),
            (front(sql="SELECT 1,,"), r"q\.sql:4:10: syntax error"),
            (front(sql="DROP TABLE events"), r"q\.sql: the SQL was refused: this is a DROP statement"),
            (front(sql="SELECT 1; SELECT 2"), r"q\.sql: the SQL was refused: it holds 2 statements"),
            (front(sql=""), r"q\.sql: the SQL was refused: there is no statement"),
            (front(sql=SOUND.replace("id FROM", "idd FROM")), r"q\.sql:4:21: there is no column 'idd'"),
            (front(sql=SOUND.replace("events", "event")), r"q\.sql:4:29: there is no table 'event'"),
            (front(sql=SOUND.replace(BOUNDS, "true")), r"q\.sql:4:29: events is not bounded in time"),
            (front(sql=SOUND.replace(", id F", " F").replace(", id", "")), None),
            (front(sql=SOUND.replace("ORDER BY recorded_at, id", "")), r"q\.sql:4:\d+: the rows have no order"),
            (front(sql=SOUND.replace("ORDER BY recorded_at, id", "ORDER BY id || ''")), r"q\.sql:4:\d+: the ORDER BY"),
            (front(sql="SELECT now() AS at"), r"q\.sql:4:\d+: now is another moment"),
            ("SELECT 1", r"q\.sql:1:1: there is no front matter"),
            (b"/* ---\n\xff", r"q\.sql:2:1: not UTF-8"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(
        self, tmp_path: Path, archive: Archive, text: str | bytes, problem: str | None
    ) -> None:
        problems = found_in(tmp_path, archive, text)
        if problem is None:
            assert problems == []
        else:
            (said,) = problems
            assert re.match(problem, said), said

    def test_places_are_right_behind_tabs_wide_characters_windows_lines_and_a_byte_order_mark(
        self, tmp_path: Path, archive: Archive
    ) -> None:
        for wrong, message in (
            ("SELECT 'é日本\t👍' AS a, 1 AS b c", "syntax error"),
            ("SELECT 'é日本\t👍' AS a, nope FROM ledger ORDER BY ALL", "there is no column"),
            ("SELECT 'é日本\t👍' AS a, id FROM events ORDER BY ALL", "events is not bounded"),
        ):
            text = "\ufeff" + front("# é日\n" * 1000 + 'title = "é日"', f"\t\tSELECT 1 FROM (\n{wrong}\n)")
            text = text.replace("SELECT 1 FROM (\n", "WITH x AS (SELECT 1 AS z)\n").replace("\n)\n", "\n")
            (said, *_) = found_in(tmp_path, archive, text.replace("\n", "\r\n"))
            culprit = {"s": "c", "t": "nope", "e": "events"}[message[0]]
            column = wrong.rindex(culprit) + 1
            assert said.startswith(f"q.sql:1005:{column}: {message}"), said

    def test_everything_wrong_in_a_file_is_said_at_once(self, tmp_path: Path, archive: Archive) -> None:
        text = front(
            'title = "T"\nseverity = "dire"\nattack = ["T9999"]\n[params.a]\ntype = "text"\ndefault = 1',
            "SELECT list(id) AS ids, random() AS r FROM api_events GROUP BY region",
        )
        lines = [int(said.split(":")[1]) for said in found_in(tmp_path, archive, text)]
        assert lines == sorted(lines)
        assert len(lines) == 8

    def test_a_parameter_of_every_type_binds(self, tmp_path: Path, archive: Archive) -> None:
        kinds = ["timestamp", "duration", "integer", "number", "text", "uuid", "ip", "cidr", "boolean", "ioc_file"]
        kinds += ["list[text]", "list[cidr]", "list[integer]", "list[indicator]"]
        tables = "\n".join(f'[params.p{n}]\ntype = "{kind}"\nrequired = true' for n, kind in enumerate(kinds))
        selected = ", ".join(f"typeof($p{n}) AS c{n}" for n in range(len(kinds)))
        assert found_in(tmp_path, archive, front(f'title = "T"\n{tables}', f"SELECT {selected}")) == []

    def test_a_pipe_in_place_of_a_file_is_not_waited_for(self, tmp_path: Path, archive: Archive) -> None:
        os.mkfifo(tmp_path / "pipe.sql")
        (problem,) = problems_of(QueryFile(name="pipe", path=tmp_path / "pipe.sql"), archive, NOW)
        assert "not a regular file" in problem.message

    def test_exit_codes_and_forms(self, tmp_path: Path) -> None:
        folder = tmp_path / "queries" / "hunt"
        folder.mkdir(parents=True)
        (folder / "good.sql").write_text(front())
        done = run(tmp_path, "queries", "check", "hunt/good")
        assert (done.returncode, done.stdout) == (0, "1 query, nothing wrong\n")
        (folder / "bad.sql").write_text(front('title = "\\u001b[31m"\nwhat = "\\u001b"', "SELECT 1;\x1b[31mx"))
        done = run(tmp_path, "queries", "check", "bad", "good")
        assert done.returncode == 2
        assert done.stdout.splitlines()[-1] == "2 queries, 1 wrong"
        assert done.stdout.startswith(f"{folder.relative_to(folder.parents[1])}/bad.sql:3:1: unknown key 'what'") or (
            f"{folder}/bad.sql:3:1: unknown key 'what'" in done.stdout
        )
        assert "\x1b" not in done.stdout + done.stderr
        done = run(tmp_path, "queries", "check", "bad", "--format", "json")
        assert done.returncode == 2
        report = json.loads(done.stdout)
        assert (report["ok"], report["queries"]) == (False, 1)
        assert report["problems"][0]["query"] == "hunt/bad"
        assert report["problems"][0]["line"] == 3
        assert run(tmp_path, "queries", "check", "no-such").returncode == 2


def ran(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["queries", *arguments])


class TestNew:
    @pytest.mark.parametrize("name", ["mine", "access/my-query-2"])
    def test_it_passes_the_check_and_is_found(
        self, tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        done = ran("new", name)
        assert done.stdout == f"queries/{name}.sql\n"
        found = discover(query_folders((), directory=tmp_path))[name]
        assert [problem.text for problem in problems_of(found, archive, NOW)] == []
        assert load(name, found.path).title == name.rpartition("/")[2].replace("-", " ").capitalize()

    def test_what_is_there_is_never_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "x.sql").write_text("mine")
        (tmp_path / "link.sql").symlink_to(tmp_path / "elsewhere")
        for name in ("x", "link", "x.sql/y"):
            done = ran("new", name, "--queries", str(tmp_path))
            assert done.exit_code != 0
        assert (tmp_path / "x.sql").read_text() == "mine"
        assert not (tmp_path / "elsewhere").exists()

    @pytest.mark.parametrize(
        "name", ["", "X", "a b", "../x", "a/b/c", "/x", "a//b", "-a", "a-", "a_b", "é", "a\n", "x" * 101, "a.sql"]
    )
    def test_a_name_is_lower_case_words_with_dashes(self, tmp_path: Path, name: str) -> None:
        done = ran("new", "--queries", str(tmp_path / "queries"), "--", name)
        assert done.exit_code != 0
        assert "cannot be called" in str(done.exception)
        assert not (tmp_path / "queries").exists()

    def test_a_name_of_a_shipped_query_is_said(self, tmp_path: Path) -> None:
        done = run(tmp_path, "queries", "new", "scope/principal-timeline")
        assert done.returncode == 0
        assert "hides the query scope/principal-timeline" in done.stderr

    def test_a_file_where_the_folder_belongs_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "queries").write_text("")
        done = run(tmp_path, "queries", "new", "a/b")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


class TestList:
    def test_columns_stand_below_each_other(self) -> None:
        lines = ran("list").stdout.splitlines()
        assert [line.split()[0] for line in lines] == sorted(SHIPPED)
        titles = {name: load(name, found.path).title for name, found in SHIPPED.items()}
        assert len({line.index(titles[line.split()[0]]) for line in lines}) == 1

    def test_a_title_of_several_lines_does_not_look_like_several_queries(self, tmp_path: Path) -> None:
        (tmp_path / "x.sql").write_text(front('title = "a\\nscope/fake  -  b"'))
        done = ran("list", "--queries", str(tmp_path))
        assert not any(line.startswith("scope/fake") for line in done.stdout.splitlines())

    def test_dates_of_toml_are_shown_in_json(self, tmp_path: Path) -> None:
        (tmp_path / "x.sql").write_text(
            front('title = "T"\n[params.a]\ntype = "timestamp"\ndefault = 2026-01-31\n', "SELECT $a AS a")
        )
        (described,) = [
            each
            for each in json.loads(ran("list", "--queries", str(tmp_path), "--format", "json").stdout)
            if each["name"] == "x"
        ]
        assert described["parameters"][-1]["default"] == "2026-01-31"

    def test_show_prints_the_file_byte_for_byte(self, tmp_path: Path) -> None:
        name = "scope/principal-timeline"
        assert run(tmp_path, "queries", "show", name).stdout == SHIPPED[name].path.read_text(encoding="utf-8")


def test_the_wheel_s_layout_has_the_queries_and_the_list_of_techniques(tmp_path: Path) -> None:
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    ignored = shutil.ignore_patterns("__pycache__")
    for package in included["packages"]:
        shutil.copytree(ROOT / package, tmp_path / Path(package).name, ignore=ignored)
    for source, target in included["force-include"].items():
        shutil.copytree(ROOT / source, tmp_path / target, ignore=ignored)
    done = run(tmp_path, "queries", "check", "scope/indicators", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "1 query, nothing wrong\n"), done.stderr
    shown = run(tmp_path, "queries", "list", "--format", "json", PYTHONPATH=str(tmp_path))
    paths = {each["path"] for each in json.loads(shown.stdout)}
    assert len(paths) == len(SHIPPED)
    assert all(path.startswith(str(tmp_path)) for path in paths)
