"""`trailkeep shell`: what is a statement, what can follow the cursor, what each command does, and a real terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from archives import Archives, a_resource, empty_archive
from demo_archive import ROOT, environment, run
from shell_pty import terminal
from trailkeep import guard
from trailkeep.catalog import open_catalog
from trailkeep.cli import diagnostics
from trailkeep.cli.shell import dots, history, vocabulary
from trailkeep.cli.shell.actions import ACTIONS
from trailkeep.cli.shell.completion import complete
from trailkeep.cli.shell.options import Options
from trailkeep.cli.shell.saved import SavedQueries
from trailkeep.cli.shell.scanning import tokens
from trailkeep.cli.shell.script import run_script
from trailkeep.cli.shell.session import Session
from trailkeep.cli.shell.splitting import split
from trailkeep.cli.shell.told import Told
from trailkeep.cli.shell.wording import in_the_shell
from trailkeep.coverage import Missing
from trailkeep.errors import ExitCode, QueryError, TrailkeepError, UsageError
from trailkeep.guard.parsing import own_parser
from trailkeep.seal import CoverageRecord
from trailkeep.store import Archive
from trailkeep.timespan import Span, format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTILE = "\x1b[31mred\x1b[0m"
QUERY = """/* ---
title = "Calls of a method"
description = "Which."
blind_spots = ["calls that failed before they were recorded"]
[params.method]
type = "text"
required = true
description = "The method."
[params.many]
type = "integer"
default = 5
description = "At least so many."
--- */
SELECT method_name, $many AS many, recorded_at FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until AND method_name = $method
ORDER BY recorded_at, id
"""


def covered(start: datetime, end: datetime) -> CoverageRecord:
    return CoverageRecord(
        organization_id="11111111-1111-4111-8111-111111111111",
        kind="api",
        region="fr-par",
        start=format_time(start),
        end=format_time(end),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with an archive, by the real clock, in ``data``, and a saved query."""
    folder = tmp_path_factory.mktemp("shell")
    rows = Archives(folder / "data")
    now = datetime.now(UTC)
    rows.api(now - timedelta(days=1), "CreateServer", id="new", user_agent=HOSTILE)
    rows.api(now - timedelta(days=200), "DeleteServer", id="old", resources=[a_resource("instance_server", "web")])
    rows.commit([covered(now - timedelta(days=300), now - timedelta(minutes=1))])
    (folder / "queries" / "mine").mkdir(parents=True)
    (folder / "queries" / "mine" / "calls.sql").write_text(QUERY)
    return folder


class TestWhatIsAStatement:
    @pytest.mark.parametrize(
        ("text", "pieces", "rest"),
        [
            ("SELECT 1; SELECT 2", ["SELECT 1"], "SELECT 2"),
            ("SELECT ';' ;", ["SELECT ';'"], ""),
            ("SELECT 'it''s;' ;", ["SELECT 'it''s;'"], ""),
            (r"SELECT E'a\';b';", [r"SELECT E'a\';b'"], ""),
            (r"SELECT 'a\';b", [r"SELECT 'a\'"], "b"),
            ('SELECT "a;""b";', ['SELECT "a;""b"'], ""),
            ("SELECT $$a;b$$; SELECT $t$;$$;$t$;", ["SELECT $$a;b$$", "SELECT $t$;$$;$t$"], ""),
            ("SELECT 1 -- ; no\n;", ["SELECT 1 -- ; no"], ""),
            ("SELECT 1 /* ; /* ; */ ; */;", ["SELECT 1 /* ; /* ; */ ; */"], ""),
            ("SELECT 'open;", [], "SELECT 'open;"),
            ("/* open ;", [], "/* open ;"),
            ("SELECT $a; SELECT $b", ["SELECT $a"], "SELECT $b"),
            (";; -- nothing\n ;", [], ""),
            ("", [], ""),
            (".tables", [".tables"], ""),
            (".tables ;", [".tables"], ""),
            ("SELECT 1;\n.format csv\nSELECT 2;", ["SELECT 1", ".format csv", "SELECT 2"], ""),
            ("SELECT 1\n.tables", [], "SELECT 1\n.tables"),
            ("-- first\n.tables", [".tables"], ""),
            ("SELECT .5;", ["SELECT .5"], ""),
        ],
    )
    def test_it_ends_where_the_engine_ends_it(self, text: str, pieces: list[str], rest: str) -> None:
        found = split(text)
        assert [piece.text for piece in found.pieces] == pieces
        assert found.rest == rest
        assert found.complete == (not rest)

    @given(st.lists(st.sampled_from(["'", '"', "$$", "$t$", "E'", "\\", "--", "/*", "*/", "\n", ";", " a ", "1", "é"])))
    def test_whatever_the_engine_reads_it_cuts_alike(self, parts: list[str]) -> None:
        import duckdb

        text = "SELECT 1 AS x " + "".join(parts)
        assert "".join(token.text for token in tokens(text)) == text
        try:
            statements = own_parser().extract_statements(text)
        except (duckdb.Error, ValueError):
            return
        found = split(text)
        said = [*(piece.text for piece in found.pieces), *([found.rest] if found.rest else [])]
        assert len(said) == len(statements)

    @given(st.text(), st.text())
    def test_cutting_never_fails_and_loses_nothing_that_is_typed_later(self, text: str, more: str) -> None:
        first = split(text)
        again = split(text + more)
        assert again.pieces[: len(first.pieces)] == first.pieces or any(piece.is_dot for piece in first.pieces)

    def test_a_piece_knows_its_line(self) -> None:
        found = split("\n\nSELECT 1;\n\n  SELECT\n2;.tables\nSELECT 3")
        assert [piece.line for piece in found.pieces] == [3, 5, 6]
        assert found.rest_line == 7


WORDS = vocabulary.of_schema((vocabulary.Named(name="count", note="()"), vocabulary.Named(name="contains", note="()")))


FRAGMENTS = "SELECT FROM WHERE WITH AS JOIN UNION events e . , ( ) ; ' \" $ $$ -- /* */ \n * .run .schema".split(" ")


class SomeQueries:
    def names(self) -> Mapping[str, str]:
        return {"access/logins": "Logins", "scope/address": "What came\x1b[2J from", "x/\x1b[31mred": "hostile"}

    def parameters(self, name: str) -> Mapping[str, str]:
        return {"address": "an IP address", "since": "a time"} if name == "scope/address" else {}


def completed(marked: str, *, asked: bool = True) -> list[str]:
    """What is offered at the mark."""
    cursor = marked.index("|")
    found = complete(marked.replace("|", "", 1), cursor, WORDS, SomeQueries(), asked=asked)
    return [candidate.text for candidate in found]


class TestCompletion:
    @pytest.mark.parametrize(
        ("marked", "first"),
        [
            ("SELECT * FROM ev|", ["events", "event_resources"]),
            ("SELECT * FROM main.gap|", ["gaps"]),
            ("SELECT * FROM events e JOIN ga|", ["gaps"]),
            ("SELECT e.so| FROM events AS e", ["source_ip"]),
            ("SELECT * FROM events e JOIN api_events a ON e.id = a.meth|", ["method_name"]),
            ("SELECT * FROM gaps g WHERE g.|", ["organization_id", "kind", "region", "start_at", "end_at", "reason"]),
            ("SELECT reas| FROM gaps", ["reason"]),
            ("SELECT ip_i| FROM events", ["ip_in_cidr("]),
            ("SELECT coun|(1)", ["country_code", "counters", "count"]),
            ("SELECT region, count(*) FROM gaps GROUP BY reas|", ["reason"]),
            ("WITH late AS (SELECT id, now() - recorded_at AS age FROM events) SELECT ag| FROM late", ["age"]),
            ("WITH late(a, b) AS (SELECT 1, 2) SELECT late.| FROM late", ["a", "b"]),
            ("WITH late AS (SELECT 1) SELECT * FROM la|", ["late"]),
            ("SELECT s.| FROM (SELECT start_at, end_at AS stop FROM gaps) s", ["start_at", "stop"]),
            ("SELECT * FROM events WHERE id IN (SELECT reas| FROM gaps)", ["reason"]),
            ("SELECT 1; SELECT reas| FROM gaps; SELECT 2", ["reason"]),
            ("select kind from events wh|", ["where", "when"]),
            ("SELECT kind FROM events WH|", ["WHERE", "WHEN"]),
            ("SELECT $s|", ["$since"]),
            ("DESCRIBE led|", ["ledger"]),
            (".ta|", [".tables"]),
            (".schema ga|", ["gaps"]),
            (".run log|", ["access/logins"]),
            (".run scope/address |", ["address=", "since="]),
            (".run scope/address address=1 |", ["since="]),
            (".format nd|", ["ndjson"]),
            (".timing |", ["on", "off"]),
            ("SELECT 1;\n.fo|", [".format"]),
        ],
    )
    def test_it_offers_what_can_stand_there(self, marked: str, first: list[str]) -> None:
        assert completed(marked)[: len(first)] == first

    @pytest.mark.parametrize(
        "marked",
        [
            "SELECT 'ev|",
            "SELECT 'ev|ents'",
            "SELECT 1 -- ev|",
            "SELECT 1 /* ev|",
            "SELECT id AS ev|",
            "SELECT 12|",
            ".timing on o|",
            ".once ev|",
            "SELECT 1\n.ta|",
            "SELECT nobody.|",
        ],
    )
    def test_it_offers_nothing_where_nothing_is_known(self, marked: str) -> None:
        assert completed(marked) == []

    def test_a_column_of_another_table_is_not_offered(self) -> None:
        assert "reason" not in completed("SELECT re| FROM events")
        assert "resource_ids" not in completed("SELECT re| FROM gaps UNION SELECT kind FROM events")

    def test_a_menu_opens_by_itself_only_after_a_letter_or_where_a_table_belongs(self) -> None:
        assert completed("SELECT | FROM events", asked=False) == []
        assert "events" in completed("SELECT * FROM |", asked=False)
        assert "kind" in completed("SELECT e.| FROM events e", asked=False)

    def test_no_menu_shows_what_a_terminal_would_obey(self) -> None:
        found = complete(".run ", 5, WORDS, SomeQueries(), asked=True)
        assert [candidate.text for candidate in found] == ["access/logins", "scope/address"]
        assert all("\x1b" not in candidate.text + candidate.shown + candidate.note for candidate in found)

    @given(
        st.lists(
            st.one_of(
                st.sampled_from(FRAGMENTS),
                st.text(max_size=3),
            ),
            max_size=25,
        ),
        st.integers(-3, 120),
        st.booleans(),
    )
    def test_it_never_fails(self, parts: list[str], cursor: int, asked: bool) -> None:
        for text in ("".join(parts), " ".join(parts)):
            for candidate in complete(text, cursor, WORDS, SomeQueries(), asked=asked):
                assert 0 <= candidate.start <= max(0, cursor)

    def test_deep_brackets_do_not_end_it(self) -> None:
        assert "reason" in completed("SELECT " + "(" * 20_000 + "reas|")
        nested = completed("SELECT x.| FROM " + "(SELECT * FROM " * 200 + "gaps" + ") x" * 200)
        assert set(nested) <= set(WORDS.columns_of("gaps"))

    def test_the_words_are_those_of_a_connection(self, folder: Path) -> None:
        archive = Archive.open(folder / "data")
        with open_catalog(archive, archive.ledger()) as catalog:
            held = catalog.tables()
            known = {name: [column.name for column in columns] for name, columns in WORDS.tables.items()}
            missing = {name for name in held if held[name] != known.get(name)}
            assert missing <= {"coverage", "gaps", "streams"}  # which come from the ledger, not from the catalog
            keywords = {
                str(row[0]).lower()
                for row in catalog.connection.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
            }
        written = {word.lower() for keyword in vocabulary.KEYWORDS for word in keyword.split()}
        assert written - keywords == {"date"}  # the name of a type

    def test_every_function_that_is_offered_may_be_called(self) -> None:
        names = [each.name for each in vocabulary.engine_functions()]
        assert {"count", "regexp_matches", "json_extract_string", "date_trunc"} <= set(names)
        assert not {"read_csv", "getenv", "glob"} & set(names)
        calls = ", ".join(f'"{name}"(1)' for name in names)
        assert guard.check(f"SELECT {calls}").tables == frozenset()

    def test_every_column_can_be_written_as_it_is_offered(self, folder: Path) -> None:
        for table in WORDS.tables:
            columns = completed(f"SELECT t.| FROM {table} t")
            assert columns
            guard.check(f"SELECT {', '.join(columns)} FROM {table}")


class TestDotCommands:
    def test_each_does_something_and_is_documented(self) -> None:
        assert set(ACTIONS) == set(dots.COMMANDS)
        page = (ROOT / "docs" / "shell.md").read_text(encoding="utf-8")
        for command in dots.COMMANDS.values():
            assert f"`{dots.usage_of(command).replace('|', chr(92) + '|')}`" in page, command.name

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (".run a b='x y' c=1", ("a", "b=x y", "c=1")),
            (".RUN a", ("a",)),
            (".tables", ()),
            (".format\tcsv", ("csv",)),
        ],
    )
    def test_words_are_split_as_a_shell_does(self, line: str, words: tuple[str, ...]) -> None:
        assert dots.parse_dot(line).words == words

    @pytest.mark.parametrize(
        ("line", "hint"),
        [
            (".tabels", ".tables"),
            (".quries", ".queries"),
            (".output x", ".once"),
            (".zzzzzz", ".help"),
            (".tables now", ".tables"),
            (".format csv json", ".format"),
            (".run 'open", "quotes"),
        ],
    )
    def test_what_is_not_a_command_names_the_nearest(self, line: str, hint: str) -> None:
        with pytest.raises(UsageError) as caught:
            dots.parse_dot(line)
        assert caught.value.hint
        assert hint in caught.value.hint

    @given(st.text())
    def test_a_line_is_a_command_or_a_usage_error(self, text: str) -> None:
        with contextlib.suppress(UsageError):
            dots.pairs(dots.parse_dot("." + text).words)

    def test_hints_name_the_commands_of_the_shell(self) -> None:
        late = UsageError("x", hint="Select less, or allow more time: --timeout 10m.")
        assert in_the_shell(late).hint == "Select less, or start the shell with --timeout 10m."
        error = UsageError("x", hint="Add -p ip=VALUE. Use --since or -p since=, `trailkeep queries` lists them.")
        assert in_the_shell(error).hint == "Write .param ip=VALUE first. Use .since or since=, `.queries` lists them."
        assert in_the_shell(QueryError("x")).hint is None


class TestHistory:
    @pytest.fixture
    def umask(self) -> Any:
        before = os.umask(0)
        yield
        os.umask(before)

    def test_it_is_for_its_owner_alone_from_the_start(self, tmp_path: Path, umask: None) -> None:
        path = tmp_path / "state" / "trailkeep" / "history"
        kept = history.HistoryFile(path)
        kept.append("SELECT 1;\nSELECT 'ü\x1b';")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert b"\x1b" not in path.read_bytes()
        assert kept.load() == ["SELECT 1;\nSELECT 'ü\x1b';"]

    def test_a_file_that_others_could_read_is_closed_to_them(self, tmp_path: Path) -> None:
        path = tmp_path / "history"
        path.write_text('"old"\n')
        path.chmod(0o644)
        history.HistoryFile(path).append("new")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert history.HistoryFile(path).load() == ["old", "new"]

    def test_it_is_bounded(self, tmp_path: Path) -> None:
        path = tmp_path / "history"
        path.write_text("".join(f'"{number}"\n' for number in range(3 * history.KEPT_ENTRIES)))
        loaded = history.HistoryFile(path).load()
        assert len(loaded) == history.KEPT_ENTRIES
        assert loaded[-1] == str(3 * history.KEPT_ENTRIES - 1)
        assert len(path.read_text().splitlines()) == history.KEPT_ENTRIES
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_nothing_of_it_ever_fails(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
        for path in (tmp_path, tmp_path / "file" / "history", tmp_path / "pipe", tmp_path / "link", None):
            kept = history.HistoryFile(path)
            kept.append("SELECT 1;")
            assert kept.load() == []
        assert not (tmp_path / "elsewhere").exists()
        (tmp_path / "file").write_bytes(b'\xff\n{}\n"good"\n[[[[')
        assert history.HistoryFile(tmp_path / "file").load() == ["good"]

    def test_it_lies_where_state_belongs(self, tmp_path: Path) -> None:
        home = str(tmp_path)
        here = tmp_path / ".local" / "state" / "trailkeep" / "history"
        assert history.history_file({"XDG_STATE_HOME": "/s", "HOME": home}) == Path("/s/trailkeep/history")
        assert history.history_file({"XDG_STATE_HOME": "s", "HOME": home}) == here
        assert history.history_file({"HOME": str(tmp_path / "nowhere")}) is None
        assert history.history_file({}) is None

    def test_a_blank_before_a_line_keeps_it_out(self) -> None:
        assert history.worth_keeping("SELECT 1;")
        assert not history.worth_keeping(" SELECT 'secret';")
        assert not history.worth_keeping("  ")
        assert not history.worth_keeping("x" * (history.LONGEST_CHARACTERS + 1))


class TestWhatIsTold:
    def test_a_hole_is_told_once_until_it_is_another(self) -> None:
        told = Told()
        start = datetime(2026, 1, 1, tzinfo=UTC)
        hole = Missing(stream=None, span=Span(start, start + timedelta(days=2)), reason="never read")
        assert told.news([hole]) == [hole]
        assert told.news([hole]) == []
        grown = replace(hole, span=Span(start, hole.span.end + timedelta(minutes=5)))
        assert told.news([grown]) == []
        inside = replace(hole, span=Span(start + timedelta(days=1), hole.span.end))
        assert told.news([inside]) == []
        other = replace(hole, span=Span(start, hole.span.end + timedelta(days=3)))
        assert told.news([other]) == [other]
        lost = replace(hole, reason="lost")
        assert told.news([lost]) == [lost]
        tiny = replace(hole, reason="purged", span=Span(start, start + timedelta(seconds=1)))
        assert told.news([tiny]) == [tiny]
        assert told.news([tiny]) == []


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of a script, as a process would show it."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a script in this process."""

    def execute(folder: Path, text: str, **options: Any) -> Done:
        monkeypatch.chdir(folder)
        code = 0
        try:
            run_script(session_in(folder, **options), io.BytesIO(text.encode()))
        except TrailkeepError as error:
            code = int(diagnostics.report(error))
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Done(returncode=code, stdout=out, stderr=err)

    return execute


def session_in(folder: Path, **options: Any) -> Session:
    return Session(
        archive=folder / "data", queries=SavedQueries(()), options=Options(**options), now=lambda: datetime.now(UTC)
    )


Script = Callable[..., Done]


class TestScripts:
    def test_a_pipe_gets_data_alone(self, folder: Path) -> None:
        done = run(
            folder,
            "shell",
            stdin="SELECT 1 AS a;\n.format csv\nSELECT ';' AS b -- c;\n, 2\nAS c;\n.format json\nSELECT 3 AS d",
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == 'a\n─\n1\nb,c\n;,2\n[\n{"d":3}\n]\n'
        assert done.stderr == "1 row\n"

    def test_the_first_error_ends_it_with_its_code_and_line(self, script: Script, folder: Path) -> None:
        done = script(folder, ".format csv\n\nSELECT 1 AS a;\nSELECT\n  nope FROM events;\nSELECT 2;\n")
        assert done.returncode == ExitCode.QUERY
        assert done.stdout == "a\n1\n"
        assert "there is no column 'nope'" in done.stderr
        assert "line 4" in done.stderr
        done = script(folder, "SELECT 1;.tabels\n")
        assert done.returncode == ExitCode.USAGE
        assert ".tables" in done.stderr

    def test_all_that_the_guard_refuses_is_refused(self, script: Script, folder: Path) -> None:
        for sql in ("COPY events TO 'x'", "ATTACH 'x'", "SET threads=1", "SELECT * FROM read_csv('x')"):
            done = script(folder, f"{sql};")
            assert done.returncode == ExitCode.QUERY, sql
            assert not done.stdout

    def test_a_saved_query_runs_with_typed_parameters(self, script: Script, folder: Path) -> None:
        done = script(folder, ".format csv\n.run calls method=CreateServer many=7 since=30d\n")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[1].startswith("CreateServer,7,")
        done = script(folder, ".run calls many=7\n")
        assert done.returncode == ExitCode.USAGE
        assert "method=VALUE" in done.stderr
        assert "-p" not in done.stderr
        done = script(folder, ".run calls method=x many=seven\n")
        assert done.returncode == ExitCode.USAGE
        assert "whole number" in done.stderr
        done = script(folder, ".run calls method=None\n")
        assert "does not rule this out: calls that failed" in done.stderr

    def test_spans_limits_and_parameters_hold_for_what_follows(self, script: Script, folder: Path) -> None:
        asked = ".format csv\nSELECT id FROM events ORDER BY id;\n"
        assert script(folder, asked).stdout == "id\nnew\nold\n"
        assert script(folder, ".since 30d\n" + asked).stdout == "id\nnew\n"
        assert script(folder, ".since 30d\n.since off\n" + asked).stdout == "id\nnew\nold\n"
        assert script(folder, asked, since="30d").stdout == "id\nnew\n"
        assert script(folder, ".limit 1\n" + asked).stdout == "id\nnew\n"
        assert (
            script(folder, ".format csv\n.param n=a\nSELECT $n AS n, 1 AS one;SELECT 2 AS b").stdout
            == "n,one\na,1\nb\n2\n"
        )
        assert script(folder, ".since yesterday\n").returncode == ExitCode.USAGE

    def test_the_next_result_goes_to_a_file_and_only_that(self, script: Script, folder: Path, tmp_path: Path) -> None:
        target = tmp_path / "my rows.ndjson"
        done = script(folder, f".once '{target}'\nSELECT 1 AS a;\n.format csv\nSELECT 2 AS a;\n")
        assert done.returncode == 0, done.stderr
        assert target.read_text() == '{"a":1}\n'
        assert done.stdout == "a\n2\n"
        assert f"wrote 1 row to {target}" in done.stderr
        done = script(folder, ".once data/x.csv\nSELECT 1;\n")
        assert done.returncode == ExitCode.USAGE
        assert not (folder / "data" / "x.csv").exists()

    def test_timing_says_rows_and_seconds(self, script: Script, folder: Path) -> None:
        done = script(folder, ".timing on\n.format csv\nSELECT 1 AS a;\n")
        assert done.stdout == "a\n1\n"
        assert " in " in done.stderr.splitlines()[-1]
        assert done.stderr.splitlines()[-1].startswith("1 row in ")

    def test_lists_are_data(self, script: Script, folder: Path) -> None:
        done = script(folder, ".tables\n.schema gaps\n.queries CALLS\n.head\n.show\n.help .run\n")
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        for text in ("event_resources", "reason", "mine/calls", "method=...", "format", ".run NAME"):
            assert text in done.stdout
        assert str(Archive.open(folder / "data").ledger().head) in done.stdout

    def test_a_hole_in_the_coverage_is_told_once(self, script: Script, folder: Path) -> None:
        done = script(folder, ".since 2024-01-01\n" + "SELECT count(*) AS n FROM events;\n" * 3)
        assert done.returncode == 0
        assert done.stderr.count("before the archive begins") == 1

    def test_strings_of_events_are_shown(self, script: Script, folder: Path) -> None:
        done = script(folder, "SELECT user_agent FROM events WHERE id = 'new';\n.vertical on\nSELECT * FROM events;\n")
        assert done.returncode == 0
        assert "\x1b" not in done.stdout + done.stderr
        assert "\\x1b[31mred" in done.stdout

    def test_quitting_ends_it(self, script: Script, folder: Path) -> None:
        assert script(folder, ".quit\nSELECT nope;").returncode == 0

    def test_text_that_is_not_sql_is_an_error_of_use(self, folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "trailkeep", "shell"],
            cwd=folder,
            env=environment(),
            input=b"SELECT 1 AS a;\nSELECT '\xff';",
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == ExitCode.USAGE
        assert b"line 2" in done.stderr
        assert done.stdout == "a\n─\n1\n".encode()

    def test_an_archive_that_is_not_there_is_said_at_once(self, tmp_path: Path) -> None:
        done = run(tmp_path, "shell", stdin="SELECT 1;")
        assert done.returncode == ExitCode.STORE
        assert "trailkeep sync" in done.stderr
        assert run(tmp_path, "shell", "--since", "soon", stdin="").returncode == ExitCode.USAGE

    def test_an_archive_that_holds_nothing_answers(self, script: Script, tmp_path: Path) -> None:
        empty_archive(tmp_path / "data")
        done = script(tmp_path, ".format csv\nSELECT count(*) AS n FROM events;\nSELECT count(*) AS n FROM api_events;")
        assert done.stdout == "n\n0\nn\n0\n"
        assert done.stderr.count("never read") == 1

    def test_a_reader_that_has_seen_enough_ends_it(self, folder: Path) -> None:
        asked = ".format csv\n" + "SELECT range AS r FROM range(100000);\n" * 2 + "SELECT nope;\n"
        with subprocess.Popen(
            [sys.executable, "-m", "trailkeep", "shell"],
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            process.stdin.write(asked.encode())
            process.stdin.close()
            assert process.stdout.readline() == b"r\n"
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(120) == 0

    def test_a_script_needs_no_line_editor(self, folder: Path) -> None:
        program = (
            "import sys\nfrom trailkeep.cli import main\n"
            "try:\n main()\nexcept SystemExit:\n pass\n"
            "print([name for name in ('prompt_toolkit', 'pygments') if name in sys.modules])"
        )
        for arguments in (["--help"], ["shell", "--help"], ["shell", "--format", "csv"]):
            done = subprocess.run(
                [sys.executable, "-c", program, *arguments],
                cwd=folder,
                env=environment(),
                input="SELECT 1;",
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.stdout.splitlines()[-1] == "[]", arguments


def typed(folder: Path, keys: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Type into a shell in this process, until it ends."""
    from trailkeep.cli.shell.terminal import converse

    monkeypatch.chdir(folder)
    session = session_in(folder, **options)
    with create_pipe_input() as pipe:
        pipe.send_text(keys)
        converse(session, Archive.open(folder / "data"), keys=pipe, screen=DummyOutput())


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "trailkeep" / "history"


class TestPrompt:
    def test_an_error_is_told_and_the_shell_goes_on(
        self, folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        keys = "SELECT nope FROM events;\r.tabels\r.format csv\rSELECT 'a;'\r AS a, 1\rAS b;\r.quit\r"
        typed(folder, keys, monkeypatch)
        out, err = (stream.decode() for stream in capfdbinary.readouterr())
        assert out == "a,b\na;,1\n"
        assert "there is no column 'nope'" in err
        assert "Did you mean .tables" in err
        assert "2 events, covered from" in err

    def test_control_c_at_the_prompt_drops_what_is_written(
        self, folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        typed(folder, "SELECT nope\r, more\x03SELECT 1 AS a;\r\x04", monkeypatch)
        out, err = capfd.readouterr()
        assert out == "a\n─\n1\n"
        assert "error" not in err

    def test_history_keeps_what_was_typed_and_not_what_begins_with_a_blank(
        self, folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        typed(folder, "SELECT 1;\r SELECT 'secret';\rSELECT 1;\r.show\r\x04", monkeypatch)
        assert [json.loads(line) for line in state.read_text().splitlines()] == ["SELECT 1;", ".show"]
        assert stat.S_IMODE(state.stat().st_mode) == 0o600
        capfd.readouterr()
        typed(folder, "\x1b[A\x1b[A\r\x04", monkeypatch)
        assert capfd.readouterr().out == "1\n─\n1\n"

    def test_control_c_right_after_enter_keeps_the_query_from_running(
        self, folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        typed(folder, ".format csv\rSELECT 1 AS a;\r\x03SELECT 2 AS b;\r\x04", monkeypatch)
        out, err = capfd.readouterr()
        assert out == "b\n2\n"
        assert "stopped" in err

    def test_alt_enter_runs_what_has_no_semicolon(
        self, folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        typed(folder, ".format csv\rSELECT 1 AS a\x1b\r\x04", monkeypatch)
        assert capfd.readouterr().out == "a\n1\n"

    @pytest.mark.parametrize("word", [".quit", ".exit", "exit", "quit;", "\x04"])
    def test_there_are_several_ways_out(
        self, folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch, word: str
    ) -> None:
        typed(folder, f"{word}\r", monkeypatch)

    def test_every_statement_sees_the_newest_head(
        self, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        rows = Archives(tmp_path / "data")
        rows.api(datetime.now(UTC) - timedelta(days=2), "A")
        rows.commit()
        session = session_in(tmp_path)
        (piece,) = split("SELECT count(*) AS n FROM events;").pieces
        session.execute(piece)
        rows.api(datetime.now(UTC) - timedelta(days=1), "B")
        rows.commit()
        session.execute(piece)
        assert capfd.readouterr().out.split() == ["n", "─", "1", "n", "─", "2"]


class TestTerminal:
    def test_a_day_at_the_terminal(self, folder: Path, tmp_path: Path) -> None:
        with terminal(folder, environment(XDG_STATE_HOME=str(tmp_path)), "shell") as screen:
            screen.expect("2 events, covered from")
            screen.expect("trailkeep>")
            screen.type("SELECT count(*) FROM range(1000000000000);\r")
            screen.expect("1000000000000);")
            screen.press_until("\x03", "stopped")
            screen.expect("trailkeep>")
            screen.type("SELECT user_agent,\r")
            screen.expect("-> ")
            screen.type("41 + 1 AS answer FROM events WHERE id = 'new';\r")
            assert "\\x1b[31mred\\x1b[0m" in screen.expect("42")
            assert "\x1b[31mred" not in screen.raw
            screen.expect("trailkeep>")
            screen.type("SELECT reas")
            screen.expect("reason")
            screen.type("\x03")
            screen.expect("trailkeep>")
            screen.type(".exit\r")
            assert screen.ended() == 0
        kept = (tmp_path / "trailkeep" / "history").read_text()
        assert "answer" in kept
        assert "reas" not in kept

    def test_no_control_c_ends_the_shell(self, folder: Path, tmp_path: Path) -> None:
        with terminal(folder, environment(XDG_STATE_HOME=str(tmp_path)), "shell") as screen:
            screen.expect("trailkeep>")
            for _ in range(3):
                screen.type("SELECT count(*) FROM range(1000000000000);\r")
                screen.expect("1000000000000);")
                screen.type("\x03" * 5)
                screen.press_until("\x03", "stopped")
                screen.expect("trailkeep>")
            screen.type("SELECT 40 + 2 AS answer;\r")
            screen.expect("1 row")
            screen.expect("trailkeep>")
            screen.type(".quit\r")
            assert screen.ended() == 0

    def test_no_color_writes_no_colours(self, folder: Path, tmp_path: Path) -> None:
        with terminal(folder, environment(NO_COLOR="1", XDG_STATE_HOME=str(tmp_path)), "shell") as screen:
            screen.expect("trailkeep>")
            screen.type("SELECT 'text' AS a; -- 1\r")
            screen.expect("1 row")
            screen.expect("trailkeep>")
            screen.type("\x04")
            assert screen.ended() == 0
            codes = {code for codes in _colours(screen.raw) for code in codes}
        assert not {code for code in codes if 30 <= code <= 38 or 40 <= code <= 48 or 90 <= code <= 107}


def _colours(raw: str) -> list[list[int]]:
    return [[int(code or 0) for code in codes.split(";")] for codes in re.findall(r"\x1b\[([0-9;]*)m", raw)]
