"""`trailkeep queries`: what it lists, what it finds wrong, and what it begins."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from archives import Archives, empty_archive
from demo_archive import ROOT, environment, run
from forked import PROGRAM
from trailkeep.cli import register_commands
from trailkeep.cli.app import app
from trailkeep.cli.checking import problems_of
from trailkeep.cli.describing import as_text
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
    found = QueryFile(name="q", path=path)
    problems = problems_of(found, archive, NOW, {**SHIPPED, "q": found})
    return [problem.text.removeprefix(f"{folder}/") for problem in problems]


class TestCheck:
    @pytest.mark.parametrize("name", SHIPPED)
    def test_every_shipped_query_passes(self, archive: Archive, name: str) -> None:
        assert [problem.text for problem in problems_of(SHIPPED[name], archive, NOW, SHIPPED)] == []

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
    @pytest.mark.parametrize("detection", [False, True])
    @pytest.mark.parametrize("name", ["mine", "access/my-query-2"])
    def test_it_passes_the_check_and_is_found(
        self, tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch, name: str, detection: bool
    ) -> None:
        monkeypatch.chdir(tmp_path)
        done = ran("new", name, *(["--detection"] if detection else []))
        assert done.stdout == f"queries/{name}.sql\nqueries/{name}.yaml\n"
        found = discover(query_folders((), directory=tmp_path))[name]
        assert [problem.text for problem in problems_of(found, archive, NOW, SHIPPED)] == []
        saved = load(name, found.path)
        assert saved.title == name.rpartition("/")[2].replace("-", " ").capitalize()
        assert (saved.severity is not None, saved.finding is not None) == (detection, detection)
        tried = ran("test", name)
        assert (tried.exit_code, tried.stdout) == (0, "2 cases, all as wanted\n")

    def test_what_is_there_is_never_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "x.sql").write_text("mine")
        (tmp_path / "link.sql").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "cases.yaml").write_text("")
        for name in ("x", "link", "x.sql/y", "cases"):
            done = ran("new", name, "--queries", str(tmp_path))
            assert done.exit_code != 0
        assert not (tmp_path / "cases.sql").exists()
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


FINDING = 'severity = "low"\n[finding]\nsummary = "{principal} {id}"\nkey = ["id"]'
ROW = "recorded_at, principal_id, id"


def detection(toml: str = FINDING, columns: str = ROW) -> str:
    sql = f"SELECT {columns} FROM api_events WHERE {BOUNDS} ORDER BY ALL"
    return front(f'title = "T"\n{toml}', sql)


class TestWhatRowsMean:
    def test_a_detection_whose_rows_are_findings_passes(self, tmp_path: Path, archive: Archive) -> None:
        assert found_in(tmp_path, archive, detection()) == []

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (detection('severity = "low"'), r":3:1: a row is a finding, and nothing says how to tell of it"),
            (detection(FINDING.partition("\n")[2]), r":3:1: a query without a severity has no findings"),
            (detection(FINDING.replace("{id}", "{ip}")), r":5:1: the result has no column 'ip'"),
            (detection(FINDING.replace("{id}", "{id")), r":5:1: a { of the summary encloses no name"),
            (detection(FINDING.replace('["id"]', '["id", "idd"]')), r":6:14: the result has no column 'idd'"),
            (detection(FINDING.replace('["id"]', "[]")), r":6:1: the finding has no key"),
            (detection(FINDING.replace("{principal} {id}", "")), r":5:1: the finding has no summary"),
            (detection(f"{FINDING}\nseverty = 1"), r":7:1: unknown key 'severty'"),
            (detection(columns="recorded_at, locality, id"), r":4:1: the rows do not say who acted"),
            (detection(columns="principal_id, id"), r":4:1: the rows do not say when it was"),
            (
                detection(columns="recorded_at AS first_at, recorded_at AS last_at, principal_id, id"),
                r":4:1: the rows do not say how many events",
            ),
            (
                detection(FINDING.replace("id", "principal_id"), "recorded_at, principal_id"),
                r":4:1: the rows do not say which events",
            ),
            (detection(columns=f"{ROW}, source_ip AS source_ips"), r":4:1: source_ips is not VARCHAR\[\]"),
            (detection('[columns]\nrecorded_at = "When."\nprincipal_id = "Who."'), r":3:1: of the result's columns id"),
            (detection('[columns]\nrecorded_at = "W"\nid = "I"\nprincipal_id = "P"'), r":5:1: id stands where the"),
            (
                detection('[columns]\nrecorded_at = "W"\nprincipal_id = "P"\nid = "I"\nip = "?"'),
                r":7:1: the result has no column 'ip'",
            ),
            (detection('[columns]\nrecorded_at = "W"\nprincipal_id = "P"\nid = " "'), r":6:1: the column id is not"),
            (detection('[[next]]\nquery = "scope/none"\nwhy = "w"'), r":4:1: there is no saved query 'scope/none'"),
            (detection('[[next]]\nquery = "scope/none x"\nwhy = "w"'), r":4:1: 'scope/none x' is not the name"),
            (detection('[[next]]\nwhy = "w"'), r":3:1: a \[\[next\]\] has no query"),
            (
                detection('[[next]]\nquery = "scope/principal-timeline"\nwhy = "w"'),
                r":3:1: scope/principal-timeline cannot be asked without principal",
            ),
            (
                detection('[[next]]\nquery = "scope/principal-timeline"\nwhy = "w"\nparams = { principal = "who" }'),
                r":6:12: the result has no column 'who'",
            ),
            (
                detection(
                    '[[next]]\nquery = "scope/principal-timeline"\nwhy = "w"\n'
                    'params = { principal = "id", principle = "id" }'
                ),
                r":6:30: scope/principal-timeline has no parameter 'principle'",
            ),
            (detection('answer = "maybe"'), r":3:1: 'maybe' is no answer"),
            (detection('alert = "Api Key"'), r":3:1: 'Api Key' is not the name of an alert"),
            (detection('finding = "x"'), r":3:1: finding must be a table \[finding\]"),
            (detection('next = ["x"]'), r":3:1: next must be tables \[\[next\]\]"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(
        self, tmp_path: Path, archive: Archive, text: str, problem: str
    ) -> None:
        (said,) = found_in(tmp_path, archive, text)
        assert re.match(rf"q\.sql{problem}", said), said

    def test_a_query_may_lead_to_itself(self, tmp_path: Path, archive: Archive) -> None:
        assert found_in(tmp_path, archive, detection('[[next]]\nquery = "q"\nwhy = "w"')) == []


class TestTest:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        folder = tmp_path / "queries" / "hunt"
        folder.mkdir(parents=True)
        (folder / "mine.sql").write_text(detection())
        return folder

    @staticmethod
    def cases(*rows: str) -> str:
        event = "{id: 'e\x1b[31m', api: CreateServer, at: '10:00'}".replace("\x1b", "\\e").replace("'", '"')
        return f"cases:\n- name: one\n  events:\n  - {event}\n  rows: [{', '.join(rows)}]\n"

    def test_all_as_wanted(self, folder: Path) -> None:
        (folder / "mine.yaml").write_text(self.cases('{id: "e\\e[31m", recorded_at: "10:00"}'))
        for named in ("mine", "hunt/mine", "hunt", "queries", "queries/hunt/mine.yaml", "queries/hunt"):
            done = ran("test", named)
            assert (done.exit_code, done.stdout) == (0, "1 case, all as wanted\n"), named

    def test_a_difference_is_exit_code_1_and_harmless(self, folder: Path) -> None:
        (folder / "mine.yaml").write_text(self.cases("{id: other}"))
        done = ran("test", "mine")
        assert done.exit_code == 1
        assert done.stdout.replace(f"{folder.parents[1]}/", "").splitlines() == [
            "queries/hunt/mine.yaml:2: hunt/mine: one",
            '  line 5: row 1: id is "e\\u001b[31m", wanted "other"',
            "1 case, 1 with another answer",
        ]
        report = json.loads(ran("test", "mine", "--format", "json").stdout)
        assert report["ok"] is False
        assert report["queries"][0]["cases"][0]["passed"] is False

    def test_a_file_that_cannot_be_read_is_exit_code_2(self, folder: Path) -> None:
        (folder / "mine.yaml").write_text("cases:\n- nam: x\n")
        done = ran("test", "mine")
        assert done.exit_code == 2
        assert (
            done.stdout.replace(f"{folder.parents[1]}/", "").splitlines()[0]
            == "queries/hunt/mine.yaml:2: unknown key 'nam'"
        )

    def test_a_query_without_cases_is_said_and_nothing_to_run_is_an_error(self, folder: Path) -> None:
        done = run(folder.parents[1], "queries", "test", "mine")
        assert done.returncode == 2
        assert done.stdout.startswith("hunt/mine: no cases; they would lie in ")
        assert "there is no case to run" in done.stderr
        assert run(folder.parents[1], "queries", "test", "no-such").returncode == 2


class TestList:
    @pytest.mark.parametrize(
        ("options", "matches"),
        [
            (["--question", "25"], lambda saved: saved.question == 25),
            (["--stage", "scope"], lambda saved: saved.stage == "scope"),
            (["--attack", "T1098"], lambda saved: any(each.startswith("T1098") for each in saved.attack)),
            (["--attack", "T1098.001"], lambda saved: "T1098.001" in saved.attack),
        ],
    )
    def test_it_can_be_narrowed(self, options: list[str], matches: Any) -> None:
        wanted = [name for name, found in SHIPPED.items() if matches(load(name, found.path))]
        assert wanted
        for command in ([], ["list"]):
            assert [line.split()[0] for line in ran(*command, *options).stdout.splitlines()] == wanted

    @pytest.mark.parametrize(
        "words",
        [
            ["list", "--question", "0"],
            ["list", "--stage", "nowhere"],
            ["list", "--attack", "T1562.008"],
            ["--stage", "scope", "show", "x"],
        ],
    )
    def test_what_no_query_can_be_about_is_an_error(self, words: list[str]) -> None:
        assert ran(*words).exit_code != 0

    def test_what_cannot_be_answered_is_marked(self, tmp_path: Path) -> None:
        (tmp_path / "x.sql").write_text(front('title = "T"\nanswer = "no"'))
        lines = [" ".join(line.split()) for line in ran("list", "--queries", str(tmp_path)).stdout.splitlines()]
        assert "x - - T [cannot be answered: says why]" in lines

    def test_json_has_all_that_a_query_says(self, tmp_path: Path) -> None:
        toml = (
            f'answer = "partly"\nalert = "ApiKeyCreated"\n{FINDING}\n[columns]\nid = "The event."\n'
            '[[next]]\nquery = "scope/x"\nwhy = "w"\nparams = {principal = "principal_id", since = "recorded_at"}'
        )
        (tmp_path / "x.sql").write_text(front(f'title = "T"\n{toml}'))
        every = json.loads(ran("--queries", str(tmp_path), "--format", "json").stdout)
        (said,) = [each for each in every if each["name"] == "x"]
        assert (said["answer"], said["alert"], said["severity"]) == ("partly", "ApiKeyCreated", "low")
        assert said["columns"] == [{"name": "id", "description": "The event."}]
        assert said["finding"] == {"summary": "{principal} {id}", "key": ["id"]}
        assert said["next"] == [
            {
                "query": "scope/x",
                "why": "w",
                "parameters": {"principal": "principal_id", "since": "recorded_at"},
                "command": "trailkeep query scope/x -p principal=<principal_id> --since <recorded_at>",
            }
        ]

    def test_a_terminal_is_told_what_an_analyst_wants_to_know(self, tmp_path: Path) -> None:
        toml = (
            f'question = 25\nattack = ["T1098.001"]\n{FINDING}\n[columns]\nid = "The event."\n'
            '[[next]]\nquery = "scope/x"\nwhy = "Why."\nparams = {principal = "principal_id"}'
        )
        path = tmp_path / "x.sql"
        path.write_text(front(f'title = "T"\n{toml}'))
        lines = [" ".join(line.split()) for line in as_text(load("x", path))]
        for line in (
            "x: T",
            "Question 25 Which API keys were made, by whom, for whom, and do they expire? (the trail answers it)",
            "ATT&CK T1098.001 Additional Cloud Credentials",
            "since timestamp 90d From this moment on.",
            "id The event.",
            "Why.",
            "trailkeep query scope/x -p principal=<principal_id>",
        ):
            assert line in lines, line

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


@pytest.fixture(scope="module")
def asked_from(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("next")
    (folder / "queries").mkdir()
    toml = (
        '[[next]]\nquery = "scope/principal-timeline"\nwhy = "w"\nparams = { principal = "principal_id" }\n'
        '[[next]]\nquery = "gone/by-now"\nwhy = "w"\nparams = { a = "id" }'
    )
    (folder / "queries" / "mine.sql").write_text(detection(toml))
    archives = Archives(folder / "data")
    archives.api(NOW - timedelta(hours=1), "CreateServer", id="e1", principal_id="it's")
    archives.api(NOW - timedelta(hours=2), "CreateServer", id="e2", principal_id="b")
    archives.commit()
    return folder


class TestNext:
    """What leads on from an answer is told behind a table, and only where somebody sees it."""

    @staticmethod
    def told(folder: Path, *options: str) -> list[str]:
        """What a terminal shows that begins with ``next:``."""
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [*PROGRAM, "query", "mine", *options],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=follower,
        )
        os.close(follower)
        shown = b""
        with os.fdopen(leader, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
            while part := terminal.read(4096):
                shown += part
        assert process.wait(120) == 0, shown
        return [line.strip() for line in shown.decode().splitlines() if line.startswith("next:")]

    def test_one_row_fills_it_in(self, asked_from: Path) -> None:
        asked = ("--since", "2026-03-01T10:30:00Z", "--until", "2026-03-01T12:00:00Z")
        assert self.told(asked_from, *asked) == [
            """next: scope/principal-timeline -p principal='it'"'"'s', gone/by-now -p a=e1"""
        ]

    @pytest.mark.parametrize("options", [[], ["--limit", "1"], ["--since", "2020-01-01", "--until", "2020-01-02"]])
    def test_several_rows_or_none_leave_the_columns_to_be_filled_in(self, asked_from: Path, options: list[str]) -> None:
        since = [] if options[:1] == ["--since"] else ["--since", "2026-02-01"]
        assert self.told(asked_from, *since, *options) == [
            "next: scope/principal-timeline -p principal=<principal_id>, gone/by-now -p a=<id>"
        ]

    def test_other_formats_and_pipes_hear_nothing_of_it(self, asked_from: Path) -> None:
        assert self.told(asked_from, "--since", "2026-02-01", "--format", "csv") == []
        assert "next:" not in run(asked_from, "query", "mine", "--since", "2026-02-01").stderr


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
