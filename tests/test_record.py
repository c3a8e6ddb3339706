"""What ran is recorded, and a record runs again with the same result, or says why not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archives import NOW, Archives, an_id
from demo_archive import run
from trailkeep.cli.record import Value, read_value, written
from trailkeep.cli.results import ResultFormat
from trailkeep.errors import UsageError
from trailkeep.store import Archive, Commit, Writer

SQL = "SELECT id, recorded_at FROM events ORDER BY recorded_at, id"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with an archive of three events."""
    folder = tmp_path_factory.mktemp("recorded")
    rows = Archives(folder / "data")
    for hours, name in enumerate(("CreateServer", "DeleteServer", "CreateVolume")):
        rows.api(NOW + timedelta(hours=hours), name, id=f"event-{hours}", user_agent="\x1b[31m\u202e")
    rows.commit()
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original / "data", tmp_path / "data")
    return tmp_path


def recorded(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = run(folder, "query", *arguments, "--record", "record.json")
    assert done.returncode == code, done.stderr
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def change(folder: Path, **changes: Any) -> None:
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(record | changes))


class TestRecording:
    def test_a_record_says_what_ran_on_what_and_what_came_of_it(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL, "--since", "2026-01-01", "-o", "rows.csv", "--timeout", "5m")
        head = Archive.open(folder / "data").ledger().head
        content = (folder / "rows.csv").read_bytes()
        assert head is not None
        assert record["query"] == {"name": None, "text": SQL, "sha256": hashlib.sha256(SQL.encode()).hexdigest()}
        assert record["archive"]["head"] == {"seq": head.seq, "sha256": head.sha256}
        assert record["archive"]["id"] == Archive.open(folder / "data").archive_id
        assert record["result"]["sha256"] == hashlib.sha256(content).hexdigest()
        assert (record["result"]["bytes"], record["result"]["rows"]) == (len(content), 3)
        assert record["result"]["format"] == "csv"
        assert [column["name"] for column in record["result"]["columns"]] == ["id", "recorded_at"]
        assert record["limited_to"]["since"] == "2026-01-01T00:00:00.000000Z"
        assert record["limits"]["timeout_seconds"] == 300
        assert {"trailkeep", "python", "duckdb", "pyarrow", "sqlglot"} <= set(record["tools"])
        assert record["started_at"] < record["finished_at"]
        assert record["missing"]

    def test_ages_become_moments_and_values_keep_their_types(self, folder: Path) -> None:
        arguments = ("denied-bursts", "-p", "window=5m", "-p", "more_than=2", "--since", "30d")
        record = recorded(folder, *arguments, "-o", "rows.json")
        assert record["parameters"]["window"] == {"type": "duration", "value": "300s"}
        assert record["parameters"]["more_than"] == {"type": "integer", "value": 2}
        since = datetime.fromisoformat(record["parameters"]["since"]["value"])
        assert since == datetime.fromisoformat(record["started_at"]) - timedelta(days=30)
        assert record["query"]["name"] == "discovery/denied-bursts"

    def test_stdout_is_recorded_byte_for_byte(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", SQL, "--record", "record.json")
        record = json.loads((folder / "record.json").read_text())
        assert record["result"]["sha256"] == hashlib.sha256(done.stdout.encode()).hexdigest()

    def test_it_names_no_place_of_the_machine(self, folder: Path) -> None:
        (folder / "q.sql").write_text(SQL)
        recorded(folder, "--file", str(folder / "q.sql"), "-o", str(folder / "rows.csv"))
        assert str(folder) not in (folder / "record.json").read_text()

    def test_it_can_be_shown_on_a_terminal(self, folder: Path) -> None:
        recorded(folder, "--sql", "SELECT '\u202e\x9b' AS a, $x AS x", "-p", "x=\x1b[31m")
        text = (folder / "record.json").read_text()
        assert not any(character in text for character in "\u202e\x9b\x1b")

    def test_a_query_that_fails_leaves_no_record(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "SELECT error('no')", "--record", "record.json")
        assert done.returncode == 1
        assert not (folder / "record.json").exists()

    def test_an_incomplete_span_is_recorded_and_still_exits_with_6(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL, "--strict", code=6)
        assert record["missing"][0]["reason"]

    def test_a_reader_that_stops_early_leaves_no_record(self, folder: Path) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        import subprocess

        from demo_archive import environment
        from forked import PROGRAM

        with os.fdopen(writing, "wb") as closed:
            done = subprocess.run(
                [*PROGRAM, "query", "--sql", "FROM range(100000)", "--format", "csv", "--record", "record.json"],
                cwd=folder,
                env=environment(),
                stdout=closed,
                stderr=subprocess.PIPE,
                text=True,
                timeout=120,
            )
        assert done.returncode == 0
        assert "record.json was not written" in done.stderr
        assert not (folder / "record.json").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["-o", "same", "--record", "same"], "name the same file"),
            (["-o", "same", "--record", "./sub/../same"], "name the same file"),
            (["-o", "link", "--record", "same"], "name the same file"),
            (["--record", "data/record.json"], "inside the archive"),
            (["--record", "sub"], "is a folder"),
            (["--record", "none/record.json"], "No such file"),
            (["--record", "/dev/full"], "No space left"),
        ],
    )
    def test_where_no_record_can_go_is_said(self, folder: Path, arguments: list[str], message: str) -> None:
        (folder / "sub").mkdir()
        (folder / "link").symlink_to("same")
        done = run(folder, "query", "--sql", "SELECT 1 AS a", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert not (folder / "same").exists()


class TestReplaying:
    @pytest.mark.parametrize("form", ResultFormat)
    def test_the_same_archive_gives_the_same_bytes_in_every_format(self, folder: Path, form: ResultFormat) -> None:
        recorded(folder, "--sql", "SELECT * FROM events ORDER BY id", "--format", form, "-o", "rows")
        done = run(folder, "query", "--replay", "record.json", "-o", "again")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("the result is the same: 3 rows, SHA-256 ")
        assert (folder / "again").read_bytes() == (folder / "rows").read_bytes()

    def test_a_saved_query_runs_again_with_its_values(self, folder: Path) -> None:
        arguments = ("principal-timeline", "-p", f"principal={an_id('alice')}", "--since", "2026-01-01")
        assert recorded(folder, *arguments, "-o", "rows.csv", "--limit", "2")["result"]["rows"] == 2
        done = run(folder, "query", "--replay", "record.json")
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--sql", SQL, "--since", "2026-03-01T13:00:00Z"],
            ["--sql", SQL, "--until", "1h"],
            ["--sql", "SELECT id, $since AS s FROM events WHERE recorded_at >= $since ORDER BY id", "--since", "300d"],
            ["--sql", "SELECT id, $until AS u FROM events ORDER BY id", "--since", "2026-03-01T13:00:00Z"],
            ["--sql", "SELECT $X AS x, $x || '' AS y, $n AS n", "-p", "x=", "-p", "n=5"],
        ],
    )
    def test_bounds_mean_the_same_again(self, folder: Path, arguments: list[str]) -> None:
        recorded(folder, *arguments, "-o", "rows.csv")
        done = run(folder, "query", "--replay", "record.json", "-o", "again.csv")
        assert done.returncode == 0, done.stderr
        assert (folder / "again.csv").read_bytes() == (folder / "rows.csv").read_bytes()

    def test_an_archive_that_has_grown_is_read_as_it_was(self, folder: Path) -> None:
        recorded(folder, "--sql", f"SELECT *, (SELECT count(*) FROM ledger) AS n FROM ({SQL})")
        rows = Archives(folder / "data")
        rows.api(NOW, "CreateServer", id="later")
        rows.commit()
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 0, done.stderr
        assert "has grown from entry" in done.stderr
        assert "read as it was then" in done.stderr

    def replace_files(self, folder: Path, *, add: bool) -> None:
        """As compaction does: the same events in new files, the old ones removed."""
        rows = Archives(folder / "data")
        if add:
            rows.api(NOW, "CreateServer", id="later")
            rows.commit()
        ledger = Archive.open(folder / "data").ledger()
        removed = [path for path, file in ledger.live.items() if file.table == "api_events"][:1]
        with Writer(folder / "data", clock=lambda: NOW) as writer:
            writer.commit(Commit(operation="purge", started_at=NOW, removed=removed))

    def test_where_files_are_gone_another_result_proves_nothing(self, folder: Path) -> None:
        recorded(folder, "--sql", SQL)
        self.replace_files(folder, add=False)
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 1
        assert "does not hold the files of that time" in done.stderr

    def test_where_files_are_gone_the_same_result_is_the_same(self, folder: Path) -> None:
        recorded(folder, "--sql", "SELECT 1 AS a")
        self.replace_files(folder, add=True)
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 0, done.stderr
        assert "files of that time are gone" in done.stderr

    def test_the_same_head_and_another_result_is_a_violation(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL)
        change(folder, result=record["result"] | {"sha256": "0" * 64})
        done = run(folder, "query", "--replay", "record.json", "-o", "again")
        assert done.returncode == 5
        assert "the archive is the recorded one, and the result is another" in done.stderr

    def test_another_version_is_named(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL)
        change(folder, result=record["result"] | {"sha256": "0" * 64}, tools=record["tools"] | {"duckdb": "1.0"})
        assert "duckdb 1.0 then, " in run(folder, "query", "--replay", "record.json").stderr

    def test_a_ledger_that_was_rewritten_is_a_violation(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL)
        change(folder, archive=record["archive"] | {"head": {"seq": 1, "sha256": "0" * 64}})
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 5
        assert "rewritten" in done.stderr

    def test_a_ledger_that_was_cut_is_a_violation(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL)
        change(folder, archive=record["archive"] | {"head": {"seq": 99, "sha256": "0" * 64}})
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 5
        assert "ends before it" in done.stderr

    def test_another_archive_is_not_the_one(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL)
        change(folder, archive=record["archive"] | {"id": an_id("another")})
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 2
        assert "of another archive" in done.stderr

    def test_a_record_s_sql_is_guarded_as_any(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL)
        text = "COPY (SELECT 1) TO 'data/evil'"
        change(folder, query=record["query"] | {"text": text, "sha256": hashlib.sha256(text.encode()).hexdigest()})
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 1
        assert not (folder / "data" / "evil").exists()

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{}",
            b"[" * 100_000,
            b"\xff",
            b'{"record": 1}',
            json.dumps({"record": 2}).encode(),
        ],
    )
    def test_what_is_no_record_is_refused(self, folder: Path, content: bytes) -> None:
        (folder / "record.json").write_bytes(content)
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 2
        assert "no record of a query" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_text_that_was_altered_is_refused(self, folder: Path) -> None:
        record = recorded(folder, "--sql", SQL)
        change(folder, query=record["query"] | {"text": SQL + " "})
        done = run(folder, "query", "--replay", "record.json")
        assert done.returncode == 2
        assert "was altered" in done.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--sql", "SELECT 1"],
            ["what-is-held"],
            ["--format", "csv"],
            ["--limit", "3"],
            ["--record", "r"],
            ["-p", "a=b"],
        ],
    )
    def test_a_record_says_all_by_itself(self, folder: Path, arguments: list[str]) -> None:
        done = run(folder, "query", "--replay", "record.json", *arguments)
        assert done.returncode == 2
        assert "do not go together" in done.stderr

    def test_the_record_is_not_overwritten(self, folder: Path) -> None:
        recorded(folder, "--sql", SQL)
        before = (folder / "record.json").read_bytes()
        assert run(folder, "query", "--replay", "record.json", "-o", "record.json").returncode == 2
        assert (folder / "record.json").read_bytes() == before


class TestValues:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            -(2**63),
            0.1,
            1e300,
            "",
            "\x00\u202e",
            datetime.fromisoformat("2026-01-31T12:00:00.000001"),
            timedelta(days=3, seconds=5),
            [],
            ["a", ""],
            [1, None],
        ],
    )
    def test_what_is_bound_comes_back_as_it_was(self, value: Any) -> None:
        import msgspec

        kept = msgspec.json.decode(msgspec.json.encode(written("x", value)), type=Value)
        back = read_value("x", kept)
        assert back == value
        assert type(back) is type(value)

    @pytest.mark.parametrize("value", [b"bytes", datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=-1), [{}]])
    def test_what_cannot_be_kept_is_refused(self, value: Any) -> None:
        with pytest.raises(UsageError, match="cannot hold"):
            written("x", value)

    @pytest.mark.parametrize(
        "value",
        [
            Value(type="integer", value="1"),
            Value(type="boolean", value=1),
            Value(type="timestamp", value="yesterday"),
            Value(type="duration", value="5"),
            Value(type="list", value=[1]),
            Value(type="text", value=None),
            Value(type="other", value=1),
        ],
    )
    def test_what_is_not_as_it_is_written_is_refused(self, value: Value) -> None:
        with pytest.raises(UsageError, match="the record's parameter x"):
            read_value("x", value)
