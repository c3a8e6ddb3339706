"""`trailkeep query` and `trailkeep queries` as a user runs them: stdout, stderr and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import forked
from archives import Archives, a_resource, an_id

ROOT = Path(__file__).resolve().parents[1]
STARTED_SECONDS = 1.5
"""Of processor time: starting takes less than one."""
PROGRAM = (sys.executable, "-c", "from trailkeep.cli import main; main()")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with an archive, by the real clock, in ``data``."""
    folder = tmp_path_factory.mktemp("work")
    rows = Archives(folder / "data")
    now = datetime.now(UTC)
    rows.api(
        now - timedelta(days=1),
        "CreateServer",
        id="new",
        resources=[a_resource("instance_server", "web")],
        user_agent="\x1b[31mred\x1b[0m",
    )
    rows.api(now - timedelta(days=200), "DeleteServer", id="old", status_code=403)
    rows.login(now - timedelta(hours=1), "alice", id="in")
    rows.commit()
    return folder


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SCW_", "TRAILKEEP_", "XDG_"))}
    fixed = {"HOME": "/nonexistent", "PYTHONWARNINGS": "error", "COLUMNS": "100"}
    return kept | fixed | {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]} | more


def run(folder: Path, *arguments: str, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
    return forked.run(arguments, cwd=folder, env=environment(**more), stdin=stdin)


def answered(folder: Path, *arguments: str, **options: Any) -> list[dict[str, Any]]:
    done = run(folder, "query", *arguments, "--format", "json", **options)
    assert done.returncode == 0, done.stderr.decode()
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


class TestWhatIsAsked:
    def test_sql_on_the_command_line(self, folder: Path) -> None:
        assert answered(folder, "--sql", "SELECT count(*) AS n FROM events") == [{"n": 3}]

    def test_sql_from_stdin(self, folder: Path) -> None:
        assert answered(folder, "-", stdin=b"\xef\xbb\xbfSELECT 1 AS a -- no line feed") == [{"a": 1}]

    def test_sql_from_a_file(self, folder: Path, tmp_path: Path) -> None:
        file = tmp_path / "q.sql"
        file.write_text("SELECT $x AS x")
        assert answered(folder, "--file", str(file), "-p", "x=a=b") == [{"x": "a=b"}]

    def test_a_file_with_front_matter_has_typed_parameters(self, folder: Path, tmp_path: Path) -> None:
        file = tmp_path / "q.sql"
        file.write_text('/* ---\ntitle = "T"\n[params.n]\ntype = "integer"\ndefault = 2\n--- */\nSELECT $n + 1 AS n')
        assert answered(folder, "--file", str(file)) == [{"n": 3}]
        assert answered(folder, "--file", str(file), "-p", "n=4") == [{"n": 5}]

    def test_a_saved_query_by_name(self, folder: Path) -> None:
        rows = answered(folder, "principal-timeline", "-p", f"principal={an_id('alice')}")
        assert [row["id"] for row in rows] == ["new", "in"]
        rows = answered(folder, "principal-timeline", "-p", f"principal={an_id('alice')}", "--since", "300d")
        assert [row["id"] for row in rows] == ["old", "new", "in"]

    def test_since_limits_sql_that_does_not_ask(self, folder: Path) -> None:
        assert answered(folder, "--sql", "SELECT id FROM events", "--since", "2h") == [{"id": "in"}]

    def test_a_folder_of_one_s_own(self, folder: Path, tmp_path: Path) -> None:
        mine = tmp_path / "mine" / "hunt"
        mine.mkdir(parents=True)
        (mine / "one.sql").write_text('/* ---\ntitle = "One"\n--- */\nSELECT 1 AS one')
        assert answered(folder, "hunt/one", "--queries", str(tmp_path / "mine")) == [{"one": 1}]

    def test_an_empty_answer_of_a_detection_says_what_it_does_not_rule_out(self, folder: Path) -> None:
        done = run(folder, "query", "data-exported")
        assert done.returncode == 0
        assert b"Reads of Object Storage" in done.stderr


class TestOutput:
    def test_the_default_is_a_table_and_the_count_is_talk(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "SELECT 1 AS a, NULL AS b, '' AS c")
        assert done.stdout.decode() == 'a   b   c\n──────────\n1       ""\n'
        assert done.stderr == b"1 row\n"
        assert run(folder, "-q", "query", "--sql", "SELECT 1").stderr == b""

    def test_a_table_that_was_cut_says_so(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "FROM range(1000)")
        assert len(done.stdout.splitlines()) == 202
        assert b"cut at 200 rows; there are more" in done.stderr
        done = run(folder, "query", "--sql", "FROM range(200)")
        assert b"cut" not in done.stderr

    def test_a_limit_holds_in_every_format(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "FROM range(100000)", "--format", "ndjson", "--limit", "3")
        assert done.stdout == b'{"range":0}\n{"range":1}\n{"range":2}\n'
        assert b"cut at 3 rows, as --limit says" in done.stderr

    def test_without_a_limit_all_rows_come(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "FROM range(100000)", "--format", "csv")
        assert len(done.stdout.splitlines()) == 100_001
        assert done.stderr == b""

    def test_escape_sequences_of_events_are_shown(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "SELECT user_agent FROM api_events WHERE id = 'new'")
        assert rb"\x1b[31mred\x1b[0m" in done.stdout
        assert b"\x1b" not in done.stdout

    def test_a_file_is_written_whole_and_its_name_says_the_format(self, folder: Path, tmp_path: Path) -> None:
        target = tmp_path / "out.parquet"
        done = run(folder, "query", "--sql", "SELECT id FROM events ORDER BY id", "--output", str(target))
        assert done.returncode == 0
        assert done.stdout == b""
        assert pq.read_table(target)["id"].to_pylist() == ["in", "new", "old"]
        assert f"wrote 3 rows to {target}" in done.stderr.decode()
        assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]

    def test_a_query_that_fails_leaves_the_old_file(self, folder: Path, tmp_path: Path) -> None:
        target = tmp_path / "out.csv"
        target.write_text("old")
        sql = "SELECT CASE WHEN i = 50000 THEN error('late') ELSE i END FROM range(100000) t(i)"
        done = run(folder, "query", "--sql", sql, "--output", str(target))
        assert done.returncode == 1
        assert b"late" in done.stderr
        assert target.read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]

    @pytest.mark.parametrize("name", ["data/out.csv", "data/api_events/x.parquet", "sub/../data/out.csv"])
    def test_nothing_is_written_into_the_archive(self, folder: Path, name: str) -> None:
        (folder / "sub").mkdir(exist_ok=True)
        done = run(folder, "query", "--sql", "SELECT 1", "--output", name)
        assert done.returncode == 2
        assert b"inside the archive" in done.stderr
        assert not (folder / name).exists()

    def test_a_link_into_the_archive_is_seen_through(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(folder / "data")
        done = run(folder, "query", "--sql", "SELECT 1", "--output", str(tmp_path / "link" / "out.csv"))
        assert done.returncode == 2

    def test_a_folder_that_is_not_there_is_a_clear_error(self, folder: Path, tmp_path: Path) -> None:
        done = run(folder, "query", "--sql", "SELECT 1", "--output", str(tmp_path / "none" / "out.csv"))
        assert done.returncode == 2
        assert b"No such file or directory" in done.stderr

    def test_a_reader_that_has_seen_enough_is_no_error(self, folder: Path) -> None:
        command = f"{sys.executable} -c 'from trailkeep.cli import main; main()' query --format ndjson "
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command} --sql 'FROM range(1000000)' | head -1"],
            cwd=folder,
            env=environment(),
            capture_output=True,
            timeout=120,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b'{"range":0}\n', b"")

    @pytest.mark.parametrize("form", ["table", "csv", "json", "parquet", "arrow", "markdown"])
    def test_it_is_none_in_any_format(self, folder: Path, form: str) -> None:
        sql = "SELECT i, repeat('x', 100) AS s FROM range(100000) t(i)"
        command = f"{sys.executable} -c 'from trailkeep.cli import main; main()' query --format {form} --limit 100000"
        done = subprocess.run(
            ["bash", "-c", f'{command} --sql "{sql}" | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}'],
            cwd=folder,
            env=environment(),
            capture_output=True,
            timeout=120,
        )
        assert (done.stdout, done.stderr) == (b"0\n", b"")

    @pytest.mark.parametrize("form", ["table", "ndjson", "parquet", "arrow"])
    def test_a_full_disk_is_a_clear_error(self, folder: Path, form: str) -> None:
        asked = ("query", "--sql", "FROM range(100000)", "--format", form)
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*PROGRAM, *asked], cwd=folder, env=environment(), stdout=full, stderr=subprocess.PIPE, timeout=120
            )
        assert done.returncode == 2
        assert done.stderr.startswith(b"error: stdout cannot be written: No space left on device")
        done = run(folder, *asked, "-o", "/dev/full")
        assert done.returncode == 2
        assert b"error: /dev/full cannot be written: No space left on device" in done.stderr
        assert Path("/dev/full").is_char_device()

    def test_a_device_or_a_pipe_is_written_to_and_stays(self, folder: Path, tmp_path: Path) -> None:
        assert (
            run(folder, "query", "--sql", "SELECT 1 AS a", "--format", "csv", "-o", "/dev/stdout").stdout == b"a\n1\n"
        )
        assert run(folder, "query", "--sql", "SELECT 1 AS a", "-o", "/dev/null").returncode == 0
        assert Path("/dev/null").is_char_device()

    def test_a_link_stays_one_and_what_it_leads_to_is_replaced(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "real.csv").write_text("old")
        (tmp_path / "link.csv").symlink_to("real.csv")
        done = run(folder, "query", "--sql", "SELECT 1 AS a", "-o", str(tmp_path / "link.csv"))
        assert done.returncode == 0
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "real.csv").read_text() == "a\n1\n"

    @pytest.mark.parametrize("name", ["-o", "a b", "\x1b[31m.csv", "\udcff.csv", "n" * 251 + ".csv", ".csv"])
    def test_odd_names_of_files(self, folder: Path, tmp_path: Path, name: str) -> None:
        done = run(folder, "query", "--sql", "SELECT 1 AS a", "--format", "csv", "--output", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_the_sql_that_is_read_is_not_written_over(self, folder: Path, tmp_path: Path) -> None:
        file = tmp_path / "q.sql"
        file.write_text("SELECT 1")
        done = run(folder, "query", "--file", str(file), "-o", str(file), "--format", "csv")
        assert done.returncode == 2
        assert file.read_text() == "SELECT 1"

    def test_columns_of_the_same_name_are_all_there(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "SELECT 1 AS a, 2 AS a, 3 AS A", "--format", "csv")
        assert done.stdout == b"a,a_2,A\n1,2,3\n"

    def test_one_event_at_a_time(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "SELECT id, user_agent FROM api_events WHERE id = 'new'", "--vertical")
        assert done.stdout.decode().splitlines()[1:] == ["id         │ new", "user_agent │ \\x1b[31mred\\x1b[0m"]

    def test_a_terminal_is_fitted(self, folder: Path) -> None:
        import pty

        leader, follower = pty.openpty()
        with subprocess.Popen(
            [*PROGRAM, "query", "--sql", "SELECT repeat('word ', 50) AS a, '\x9b31m' AS b"],
            cwd=folder,
            env=environment(COLUMNS="20"),
            stdout=follower,
            stderr=subprocess.PIPE,
        ) as process:
            process.communicate(timeout=60)
        os.close(follower)
        shown = os.read(leader, 100_000).decode().replace("\x1b[1m", "").replace("\x1b[0m", "")
        os.close(leader)
        assert process.returncode == 0
        assert max(map(len, shown.splitlines())) <= 20
        assert "\x9b" not in shown

    def test_a_terminal_gets_no_parquet(self, folder: Path) -> None:
        import pty

        leader, follower = pty.openpty()
        with subprocess.Popen(
            [*PROGRAM, "query", "--sql", "SELECT 1", "--format", "parquet"],
            cwd=folder,
            env=environment(),
            stdout=follower,
            stderr=subprocess.PIPE,
        ) as process:
            _, talk = process.communicate(timeout=60)
        os.close(follower)
        os.close(leader)
        assert process.returncode == 2
        assert b"not for a terminal" in talk

    def test_the_rows_of_an_answer_do_not_sit_in_memory(self, folder: Path, tmp_path: Path) -> None:
        sql = "SELECT i, repeat('x', 4000) || i AS s FROM range(100000) t(i)"
        # The kernel's own figure for the process as it is now: `ru_maxrss` counts what it was forked from, too.
        code = (
            "import re, sys\nfrom pathlib import Path\nfrom trailkeep.cli import main\n"
            "try:\n    main()\nfinally:\n"
            "    text = Path('/proc/self/status').read_text()\n"
            "    print(int(re.search(r'VmHWM:\\s*(\\d+)', text)[1]) // 1024, file=sys.stderr)"
        )
        for name in ("out.ndjson", "out.parquet"):
            done = subprocess.run(
                [sys.executable, "-c", code, "-q", "query", "--sql", sql, "--output", str(tmp_path / name)],
                cwd=folder,
                env=environment(),
                capture_output=True,
                timeout=300,
            )
            assert done.returncode == 0
            assert done.stdout == b""
            # The rows alone would be 400.
            assert int(done.stderr) < 300, name


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ([], 2, "there is no query"),
            (["what-is-held", "--sql", "SELECT 1"], 2, "give one query"),
            (["what-is-hold"], 2, "coverage/what-is-held"),
            (["principal-timeline"], 2, "the parameter principal is missing"),
            (["principal-timeline", "-p", "principal=nobody"], 2, "there was never a principal"),
            (["principal-timeline", "-p", "principle=x"], 2, "Did you mean principal?"),
            (["principal-timeline", "-p", "principal"], 2, "is not KEY=VALUE"),
            (["denied-bursts", "-p", "window=5m", "-p", "window=6m"], 2, "given twice"),
            (["denied-bursts", "--since", "yesterday"], 2, "2026-01-31T12:00:00Z"),
            (["denied-bursts", "--since", "1d", "--until", "2d"], 2, "not before until"),
            (["denied-bursts", "--since", "2999-01-01"], 2, "not before until"),
            (["--sql", "SELEC 1"], 1, "line 1, column 1: syntax error"),
            (["--sql", "DROP VIEW events"], 1, "this is a DROP statement"),
            (["--sql", "SELECT 1; SELECT 2"], 1, "2 statements"),
            (["--sql", "SELECT idd FROM events"], 1, "Did you mean id"),
            (["--sql", "SELECT 1", "-p", "x=1"], 2, "no parameter $x"),
            (["--file", "none.sql"], 2, "No such file"),
            (["--sql", "SELECT 1", "--limit", "0"], 2, "limit"),
            (["--sql", "SELECT 1", "--format", "xml"], 2, "xml"),
            (["--sql", "SELECT 1", "--format", "csv", "--full"], 2, "for tables"),
            (["--sql", "SELECT 1", "-o", "x.json", "--vertical"], 2, "for tables"),
            (["--sql", "SELECT 1", "--spreadsheet-safe"], 2, "for CSV"),
            (["--sql", "SELECT 1", "--memory", "much"], 2, "memory"),
            (["--sql", "SELECT 1", "--threads", "0"], 2, "threads"),
            (["--sql", "SELECT 1", "--timeout", "soon"], 2, "timeout"),
            (["--replay", "none.json"], 2, "No such file"),
            (["--sql", "SELECT count(*) FROM range(100000000000) t(i) WHERE hash(i) = 1", "--timeout", "1s"], 7, "1 s"),
            (["--queries", "none", "what-is-held"], 2, "not a folder"),
        ],
    )
    def test_it_says_why_and_what_next(self, folder: Path, arguments: list[str], code: int, message: str) -> None:
        done = run(folder, "query", *arguments)
        assert done.returncode == code, done.stderr
        assert message in done.stderr.decode()
        assert done.stdout == b""
        assert b"Traceback" not in done.stderr

    def test_bytes_that_are_not_text(self, folder: Path) -> None:
        done = run(folder, "query", "-", stdin=b"SELECT '\xff'")
        assert done.returncode == 2
        assert b"stdin is not UTF-8" in done.stderr

    def test_no_archive(self, tmp_path: Path) -> None:
        done = run(tmp_path, "query", "--sql", "SELECT 1")
        assert done.returncode == 4
        assert b"trailkeep sync" in done.stderr

    def test_a_missing_file(self, tmp_path: Path) -> None:
        rows = Archives(tmp_path / "data")
        rows.api(datetime.now(UTC), "CreateServer")
        rows.commit()
        gone = next((tmp_path / "data" / "api_events").rglob("*.parquet"))
        gone.unlink()
        done = run(tmp_path, "query", "--sql", "SELECT count(*) FROM api_events")
        assert done.returncode == 4
        assert gone.name.encode() in done.stderr


def in_the_middle(process: subprocess.Popen[bytes]) -> None:
    """Wait until it has worked for so long that it is no longer starting."""
    tick = os.sysconf("SC_CLK_TCK")
    while process.poll() is None:
        *_, user, system = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[:13]
        if (int(user) + int(system)) / tick > STARTED_SECONDS:
            return
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("sql", ["SELECT sum(i % 7) FROM range(1000000000000) t(i)", "FROM range(1000000000000)"])
def test_a_signal_stops_the_query_and_leaves_no_file(folder: Path, tmp_path: Path, number: int, sql: str) -> None:
    target = tmp_path / "out.ndjson"
    with subprocess.Popen(
        [*PROGRAM, "query", "--sql", sql, "-o", str(target)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        in_the_middle(process)
        process.send_signal(number)
        _, talk = process.communicate(timeout=30)
    assert process.returncode == 130, talk
    assert talk == b"error: the query was stopped\n"
    assert list(tmp_path.iterdir()) == []


class TestQueries:
    def test_the_list_names_every_query(self, folder: Path) -> None:
        for arguments in ((), ("list",)):
            done = run(folder, "queries", *arguments)
            assert done.returncode == 0
            lines = done.stdout.decode().splitlines()
            assert len(lines) >= 10
            assert any(line.startswith("scope/principal-timeline ") and "-p principal=" in line for line in lines)

    def test_the_list_as_json(self, folder: Path) -> None:
        listed = json.loads(run(folder, "queries", "list", "--format", "json").stdout)
        (burst,) = [query for query in listed if query["name"] == "discovery/denied-bursts"]
        assert burst["attack"] == ["T1526", "T1580", "T1069.003"]
        assert {parameter["name"] for parameter in burst["parameters"]} == {
            *("since", "until", "more_than", "window", "lookback")
        }

    def test_a_broken_query_is_named_and_the_others_are_listed(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "broken.sql").write_text("/* ---\ntitle =\n--- */\nSELECT 1")
        done = run(folder, "queries", "list", "--queries", str(tmp_path))
        assert done.returncode == 2
        assert f"{tmp_path}/broken.sql:2:" in done.stderr.decode()
        assert b"scope/principal-timeline" in done.stdout

    def test_one_is_shown_as_it_stands_in_its_file(self, folder: Path) -> None:
        done = run(folder, "queries", "show", "principal-timeline")
        assert done.stdout == (ROOT / "queries" / "scope" / "principal-timeline.sql").read_bytes()
        shown = json.loads(run(folder, "queries", "show", "principal-timeline", "--format", "json").stdout)
        assert shown["sql"].encode() == done.stdout

    def test_an_unknown_name_gives_the_nearest(self, folder: Path) -> None:
        done = run(folder, "queries", "show", "api-key-created")
        assert done.returncode == 2
        assert b"persistence/api-keys-created" in done.stderr


class TestImports:
    """What is not needed is not loaded."""

    @staticmethod
    def loaded(folder: Path, *arguments: str) -> set[str]:
        code = (
            "import sys\nfrom trailkeep.cli import main\n"
            "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "-q", *arguments],
            cwd=folder,
            env=environment(),
            capture_output=True,
            timeout=60,
        )
        return {name.partition(".")[0] for name in done.stderr.decode().splitlines()[-1].split()}

    def test_help_loads_nothing_heavy(self, folder: Path) -> None:
        heavy = {"duckdb", "pyarrow", "sqlglot", "rich", "httpx", "msgspec"}
        for arguments in (("--help",), ("query", "--help"), ("queries", "--help"), ("--version",)):
            assert not self.loaded(folder, *arguments) & heavy, arguments

    def test_a_query_loads_no_http_client_and_rich_only_to_measure_wide_characters(self, folder: Path) -> None:
        for arguments in (("SELECT 1",), ("SELECT 1", "--format", "csv"), ("SELECT 1", "--vertical")):
            loaded = self.loaded(folder, "query", "--sql", *arguments)
            assert "duckdb" in loaded
            assert not loaded & {"httpx", "rich", "stamina"}, arguments
        assert "rich" in self.loaded(folder, "query", "--sql", "SELECT '日本'")

    def test_the_list_of_queries_loads_no_engine(self, folder: Path) -> None:
        assert not self.loaded(folder, "queries") & {"duckdb", "pyarrow", "sqlglot", "rich", "httpx"}
