"""What `trailkeep connect` hands to other tools: with it they read the same rows as Trailkeep does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from archives import NOW, ORGANIZATION, Archives, a_resource, empty_archive, rows_of
from demo_archive import DemoArchive, demo_archive, run
from trailkeep import connect, schema
from trailkeep import reading as api
from trailkeep.errors import ArchiveDamaged, StoreError
from trailkeep.seal import CoverageRecord
from trailkeep.store import Archive, Commit, NewRows, Writer
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The archives here hold a few rows and claim next to nothing: that much is missing is not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::trailkeep.reading.CoverageWarning")

DUCKDB = Path(sys.executable).with_name("duckdb")
DAY = timedelta(days=1)
HOSTILE = '\'; DROP TABLE events; --\n.shell touch /tmp/owned\n\x1b[31m\\ "quoted" \u202e'
FOLDERS = ["plain", "it's; DROP TABLE x; --", "x=y", "line\nfeed", 'a "b" %20 é\u202e']


def filled(folder: Path) -> Archive:
    """Rows in every stored table, in two regions and months, with strings of an attacker."""
    archives = Archives(folder)
    for days in (1, 2, 40):
        archives.api(NOW - days * DAY, "CreateServer", user_agent=HOSTILE, resources=[a_resource("server", HOSTILE)])
        archives.api(NOW - days * DAY, "DeleteServer", region="nl-ams", source_ip=None, status_code=None)
    archives.login(NOW - DAY, "alice")
    archives.system(NOW - DAY, id="revised", raw='{"id": "revised", "n": 1}')
    span = CoverageRecord(
        organization_id=ORGANIZATION,
        kind="api",
        region="fr-par",
        start=format_time(NOW - 50 * DAY),
        end=format_time(NOW),
    )
    archives.commit([span])
    at = NOW.replace(tzinfo=None)
    later = {"kind": "system", "id": "revised", "recorded_at": at, "raw": '{"id": "revised", "n": 2}'}
    strange = {"kind": "api", "received_at": at, "reason": HOSTILE, "sha256": "00", "raw": b"\xff\x00"}
    partition = {"organization_id": ORGANIZATION, "region": "fr-par", "month": "2026-03"}
    with Writer(folder, clock=lambda: NOW) as writer:
        added = [
            NewRows(table=table, partition=partition, rows=rows_of(table, [row]))
            for table, row in ((schema.REVISIONS, later), (schema.QUARANTINE, strange))
        ]
        writer.commit(Commit(operation="sync", started_at=NOW, added=added))
    return Archive.open(folder)


def unfinished(archive: Archive) -> None:
    """As a kill after the commit point leaves it: files of the last entries are still in staging."""
    for file in archive.ledger().live.values():
        if file.table != "api_events" or file.partition["region"] == "nl-ams":
            staged = archive.path / file.staged
            staged.parent.mkdir(parents=True, exist_ok=True)
            (archive.path / file.record.path).rename(staged)


def script(archive: Archive) -> str:
    ledger = archive.ledger()
    return connect.duckdb_script(connect.live_archive(archive, ledger), ledger, NOW)


def digest(table: str) -> str:
    """One row that says all there is in a table, in whatever order."""
    each = f"CAST(to_json(t) AS VARCHAR) FROM {table} AS t"
    return f"SELECT '{table}' AS name, count(*) AS n, md5(string_agg(line, chr(10) ORDER BY line)) AS digest FROM (SELECT {each}) AS s(line)"  # noqa: E501


def everything(tables: Iterable[str]) -> str:
    return " UNION ALL ".join(f"({digest(table)})" for table in tables) + " ORDER BY name"


def own_digests(archive: Path) -> list[dict[str, Any]]:
    with api.Archive(archive, now=NOW) as own:
        return own.sql(everything(own.tables())).rows()


def duckdb_cli(init: Path, sql: str, database: str = ":memory:") -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(DUCKDB), "-init", str(init), "-json", "-bail", database, "-c", sql],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=init.parent,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@dataclass(frozen=True, kw_only=True)
class Read:
    """A filled archive, for reading only, and what Trailkeep reads in it."""

    archive: Archive
    digests: list[dict[str, Any]]
    frames: dict[str, pl.DataFrame]

    def copy(self, folder: Path) -> Archive:
        shutil.copytree(self.archive.path, folder)
        return Archive.open(folder)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return demo_archive(tmp_path_factory)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """What Trailkeep reads in a filled archive: the same wherever a copy of it lies."""
    archive = filled(tmp_path_factory.mktemp("read") / "archive")
    with api.Archive(archive.path, now=NOW) as own:
        whole = {name: own.sql(f"SELECT * FROM {name}").pl() for name in schema.TABLES}
    return Read(archive=archive, digests=own_digests(archive.path), frames=whole)


class TestDuckdb:
    @pytest.mark.parametrize("name", FOLDERS)
    def test_its_command_line_reads_every_table_and_view_alike(self, tmp_path: Path, name: str, read: Read) -> None:
        archive = read.copy(tmp_path / name)
        init = tmp_path / "connect.sql"
        init.write_text(script(archive))
        assert duckdb_cli(init, everything(row["name"] for row in read.digests)) == read.digests
        with api.Archive(archive.path, now=NOW) as own:
            assert own.sql("SELECT count(*) AS n FROM events").rows() == [{"n": 8}]
        assert not Path("/tmp/owned").exists()

    def test_the_digests_are_of_rows(self, read: Read) -> None:
        rows = {row["name"]: row["n"] for row in read.digests}
        assert rows["events"] == 8
        assert rows["ledger"] == 3

    def test_the_engine_that_trailkeep_uses_reads_them_alike(self, read: Read) -> None:
        with duckdb.connect() as connection:
            connection.execute(script(read.archive))
            found = connection.execute(everything(row["name"] for row in read.digests)).fetchall()
        assert found == [tuple(row.values()) for row in read.digests]

    def test_files_that_are_still_in_staging_are_read_there(self, tmp_path: Path, read: Read) -> None:
        archive = read.copy(tmp_path / "archive")
        unfinished(archive)
        init = tmp_path / "connect.sql"
        init.write_text(script(archive))
        assert ".staging" in init.read_text()
        assert duckdb_cli(init, everything(row["name"] for row in read.digests)) == read.digests

    def test_an_empty_archive_has_all_tables_with_their_types(self, tmp_path: Path) -> None:
        archive = empty_archive(tmp_path / "archive")
        init = tmp_path / "connect.sql"
        init.write_text(script(archive))
        columns = (
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'main' ORDER BY table_name, ordinal_position"
        )
        with api.Archive(archive.path, now=NOW) as own, own.connect() as connection:
            expected = connection.execute(columns).fetchall()
        found = [tuple(row.values()) for row in duckdb_cli(init, columns)]
        assert found == expected

    def test_macros_are_there(self, tmp_path: Path) -> None:
        init = tmp_path / "connect.sql"
        init.write_text(script(filled(tmp_path / "archive")))
        sql = "SELECT count(*) FILTER (ip_in_cidr(source_ip, '192.0.2.0/24')) AS inside, count(*) AS n FROM events"
        assert duckdb_cli(init, sql) == [{"inside": 4, "n": 8}]

    def test_it_may_run_again_in_a_database_that_is_kept(self, tmp_path: Path) -> None:
        archive = filled(tmp_path / "archive")
        init = tmp_path / "connect.sql"
        init.write_text(script(archive))
        count = "SELECT count(*) AS n FROM events"
        for _turn in range(2):
            assert duckdb_cli(init, count, str(tmp_path / "case.duckdb")) == [{"n": 8}]

    def test_a_hostile_ledger_cannot_end_the_script(self, tmp_path: Path) -> None:
        rows = Archives(tmp_path / "archive")
        rows.path.mkdir()
        with Writer(rows.path, clock=lambda: NOW) as writer:
            writer.commit(Commit(operation="note", started_at=NOW, organization_id=f"\0{HOSTILE}"))
        archive = Archive.open(rows.path)
        text = script(archive)
        assert "\0" not in text
        assert "\x1b" not in text
        init = tmp_path / "connect.sql"
        init.write_text(text)
        (row,) = duckdb_cli(
            init, "SELECT organization_id = chr(0) || $$" + HOSTILE + "$$ AS same FROM ledger WHERE seq = 2"
        )
        assert row["same"] is True


def frames(text: str) -> Mapping[str, Any]:
    """What a script assigns."""
    names: dict[str, Any] = {}
    exec(compile(text, "connect.py", "exec"), names)
    return names


class TestPolars:
    @pytest.mark.parametrize("name", FOLDERS)
    @pytest.mark.parametrize("staged", [False, True])
    def test_its_frames_hold_the_same_rows_and_types(self, tmp_path: Path, name: str, staged: bool, read: Read) -> None:
        archive = read.copy(tmp_path / name)
        if staged:
            unfinished(archive)
        text = connect.polars_script(connect.live_archive(archive, archive.ledger()))
        assert text.isascii()
        assert text.isprintable() or set(text) - set("\n") == set(filter(str.isprintable, text))
        for table, frame in tables_of(frames(text)).items():
            columns = frame.collect_schema().names()
            expected = read.frames[table].select(columns)
            order = [column for column in (*schema.TABLES[table].order, "region") if column in columns]
            assert_frame_equal(frame.collect().sort(order), expected.sort(order))

    def test_an_empty_archive_has_typed_frames(self, tmp_path: Path) -> None:
        archive = empty_archive(tmp_path / "archive")
        text = connect.polars_script(connect.live_archive(archive, archive.ledger()))
        with api.Archive(archive.path, now=NOW) as own:
            for table, frame in tables_of(frames(text)).items():
                columns = frame.collect_schema().names()
                selected = ", ".join(f'"{column}"' for column in columns)
                assert_frame_equal(frame.collect(), own.sql(f"SELECT {selected} FROM {table}").pl())

    def test_a_partition_prunes_files(self, tmp_path: Path) -> None:
        archive = filled(tmp_path / "archive")
        frame = frames(connect.polars_script(connect.live_archive(archive, archive.ledger())))["api_events"]
        found = frame.filter(pl.col("region") == "nl-ams").select("month").collect()
        assert sorted(found["month"]) == ["2026-01", "2026-02", "2026-02"]


def tables_of(names: Mapping[str, Any]) -> dict[str, pl.LazyFrame]:
    found = {name: value for name, value in names.items() if isinstance(value, pl.LazyFrame)}
    assert set(found) == {name.replace("/", "_") for name in schema.STORED_TABLES}
    return {name: frame for name, frame in found.items() if name in schema.TABLES}


class TestFiles:
    def test_each_tool_counts_the_rows_that_the_ledger_counts(self, demo: DemoArchive, tmp_path: Path) -> None:
        archive = Archive.open(demo.path)
        live = connect.live_archive(archive, archive.ledger())
        rows = {each.name: sum(file.rows for file in each.files) for each in live.tables}
        assert rows["api_events"] > 1000
        init = tmp_path / "connect.sql"
        init.write_text(script(archive))
        # The view of revisions joins; what it is made of is counted.
        apart = {name for name in rows if name == "revisions" or name.startswith("directory_")}
        counts = ", ".join(
            f"(SELECT count(*) FROM {'parts.' if name in apart else ''}{name}) AS {name}" for name in rows
        )
        assert duckdb_cli(init, f"SELECT {counts}") == [rows]
        scans = frames(connect.polars_script(live))
        assert {name: scans[name].select(pl.len()).collect().item() for name in rows} == rows

    def test_they_are_the_live_ones_with_their_hashes(self, demo: DemoArchive, tmp_path: Path) -> None:
        done = run(tmp_path, "--archive", str(demo.path), "connect", "--format", "json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        ledger = Archive.open(demo.path).ledger()
        assert told["head"] == {"seq": ledger.head.seq, "sha256": ledger.head.sha256}  # type: ignore[union-attr]
        listed = {file["path"]: file["sha256"] for table in told["tables"].values() for file in table["files"]}
        assert listed == {str(demo.path.resolve() / path): file.record.sha256 for path, file in ledger.live.items()}
        assert "other tools can write" in done.stderr

    def test_a_file_that_lost_its_end_or_is_gone_is_named(self, tmp_path: Path) -> None:
        archive = filled(tmp_path / "archive")
        ledger = archive.ledger()
        file = next(iter(ledger.live.values()))
        path = archive.path / file.record.path
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ArchiveDamaged, match=path.name):
            connect.live_archive(archive, ledger)
        path.unlink()
        with pytest.raises(ArchiveDamaged, match=path.name):
            connect.live_archive(archive, ledger)

    def test_a_path_that_is_a_pattern_to_others_is_refused(self, tmp_path: Path) -> None:
        archive = filled(tmp_path / "plain")
        shutil.move(archive.path, tmp_path / "a[b]")
        archive = Archive.open(tmp_path / "a[b]")
        with pytest.raises(StoreError, match="pattern"):
            connect.live_archive(archive, archive.ledger())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("connect") / "it's \x1bc"
    folder.mkdir()
    filled(folder / "data")
    return folder


class TestCommand:
    def test_the_duckdb_script_is_data_on_stdout(self, folder: Path) -> None:
        done = run(folder, "connect", "--format", "duckdb")
        assert done.returncode == 0, done.stderr
        init = folder / "connect.sql"
        init.write_text(done.stdout)
        assert duckdb_cli(init, "SELECT count(*) AS n FROM events") == [{"n": 8}]

    def test_text_shows_the_files_and_executes_nothing(self, folder: Path) -> None:
        done = run(folder, "connect")
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        live = connect.live_archive(Archive.open(folder / "data"), Archive.open(folder / "data").ledger())
        for table in live.tables:
            for file in table.files:
                assert file.path.name in done.stdout

    def test_python_opens_it(self, folder: Path) -> None:
        done = run(folder, "connect", "--format", "python")
        assert done.returncode == 0, done.stderr
        with frames(done.stdout)["archive"] as archive:
            assert archive.sql("SELECT count(*) AS n FROM ledger").rows() == [{"n": 3}]

    @pytest.mark.parametrize("form", ["text", "json", "duckdb", "polars", "spark", "python"])
    def test_without_an_archive_it_says_so(self, tmp_path: Path, form: str) -> None:
        done = run(tmp_path, "connect", "--format", form)
        assert (done.returncode, done.stdout) == (4, "")
