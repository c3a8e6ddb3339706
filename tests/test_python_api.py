"""The Python API: what an analyst's notebook may count on."""

from __future__ import annotations

import ast
import doctest
import gc
import hashlib
import ipaddress
import os
import re
import runpy
import subprocess
import sys
import threading
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import trailkeep
from archives import NOW, ORGANIZATION, Archives, an_id, empty_archive
from demo_archive import ROOT, DemoArchive, demo_archive, environment
from trailkeep import Answer, Archive, CoverageWarning, Limits
from trailkeep.analysis import Stop
from trailkeep.analysis import stop as stop_module
from trailkeep.errors import (
    ArchiveDamaged,
    ArchiveMissing,
    CoverageIncomplete,
    QueryError,
    StoreError,
    TimeLimitReached,
    UsageError,
)
from trailkeep.reading import answer as answer_module
from trailkeep.reading import archive as archive_module
from trailkeep.reading.working import Worker
from trailkeep.seal import CoverageRecord
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
MANY = "SELECT range AS n FROM range(100000)"
"""More rows than are read when the question is asked."""
ENDLESS = "SELECT count(*) AS n FROM range(10000000) AS a, range(10000000) AS b WHERE a.range * b.range % 7 = 8"


def covered(start: datetime, end: datetime) -> CoverageRecord:
    return CoverageRecord(
        organization_id=ORGANIZATION, kind="api", region="fr-par", start=format_time(start), end=format_time(end)
    )


def filled(path: Path) -> Path:
    rows = Archives(path)
    for days in range(1, 6):
        rows.api(NOW - days * DAY, "CreateServer", id=f"d{days}", status_code=None if days == 1 else 200)
    rows.commit([covered(NOW - 10 * DAY, NOW)])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For reading only."""
    return filled(tmp_path_factory.mktemp("archive") / "data")


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    with Archive(folder, now=NOW) as opened:
        yield opened


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return demo_archive(tmp_path_factory)


def tree(path: Path) -> dict[str, str]:
    return {
        str(each.relative_to(path)): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in path.rglob("*")
        if each.is_file()
    }


class TestImport:
    def loaded(self, program: str) -> set[str]:
        printed = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
        done = subprocess.run(
            [sys.executable, "-c", f"{program}; {printed}"],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return set(done.stdout.split())

    def test_the_package_alone_loads_nothing(self) -> None:
        heavy = {"duckdb", "pyarrow", "sqlglot", "msgspec", "pandas", "polars", "numpy", "httpx", "typer", "rich"}
        assert not self.loaded("import trailkeep; trailkeep.__version__") & heavy

    def test_the_archive_loads_neither_the_frames_nor_the_network_nor_the_terminal(self) -> None:
        others = {"pandas", "polars", "httpx", "stamina", "typer", "rich", "prompt_toolkit"}
        assert not self.loaded("from trailkeep import Archive") & others

    def test_every_public_name_is_there_and_no_other(self) -> None:
        for name in trailkeep.__all__:
            assert getattr(trailkeep, name) is not None
            assert name in dir(trailkeep)
        with pytest.raises(AttributeError, match="no attribute 'archive'"):
            trailkeep.archive  # noqa: B018

    def test_it_is_typed(self, tmp_path: Path) -> None:
        example = tmp_path / "example.py"
        example.write_text(
            "import pyarrow as pa\nfrom trailkeep import Answer, Archive, Limits\n\n"
            "def newest(path: str) -> list[dict[str, object]]:\n"
            "    with Archive(path, limits=Limits(memory='2GiB')) as archive:\n"
            "        answer: Answer = archive.sql('SELECT $n AS n', {'n': 1}, since='7d')\n"
            "        table: pa.Table = answer.arrow()\n"
            "        assert archive.verify().is_valid and table.num_rows\n"
            "        return answer.rows()\n\n"
            "Archive(1)\n"
        )
        # With the options and the cache of the whole check: what it has read need not be read again.
        done = subprocess.run(
            [sys.executable, "-m", "mypy", str(example)],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=280,
        )
        told = [line for line in done.stdout.splitlines() if "example.py" in line]
        assert len(told) == 1, done.stdout + done.stderr
        assert "example.py:11" in told[0]
        assert 'Argument 1 to "Archive" has incompatible type "int"' in told[0]


class TestAnswers:
    def test_every_form_has_the_same_rows(self, archive: Archive) -> None:
        answer = archive.sql("SELECT id, recorded_at, status_code FROM events ORDER BY id")
        rows = answer.rows()
        assert [row["id"] for row in rows] == ["d1", "d2", "d3", "d4", "d5"]
        assert answer.arrow().to_pylist() == rows
        assert answer.pl().to_dicts() == rows
        assert answer.df()["id"].tolist() == [row["id"] for row in rows]
        assert [row for batch in answer for row in batch.to_pylist()] == rows
        assert pl.DataFrame(answer).to_dicts() == rows
        assert pa.table(answer) == answer.arrow()

    def test_null_turns_no_number_into_a_fraction(self, archive: Archive) -> None:
        frame = archive.sql("SELECT status_code, true AS yes, recorded_at FROM events ORDER BY id").df()
        assert frame["status_code"].tolist() == [pd.NA, 200, 200, 200, 200]
        assert [str(kind) for kind in frame.dtypes] == ["Int32", "boolean", "datetime64[us]"]
        assert str(archive.sql("SELECT 9007199254740993 AS n UNION ALL SELECT NULL ORDER BY n").df()["n"][0])[-1] == "3"

    def test_many_rows_come_in_batches_as_often_as_asked(self, archive: Archive) -> None:
        answer = archive.sql(MANY)
        for _turn in range(2):
            sizes = [batch.num_rows for batch in answer.batches()]
            assert sum(sizes) == 100_000
            assert max(sizes) < 50_000
        assert answer.arrow()["n"].to_pylist() == list(range(100_000))
        assert answer.arrow() is answer.arrow()

    def test_a_reading_that_is_broken_off_leaves_the_answer_whole(self, archive: Archive) -> None:
        answer = archive.sql(MANY)
        for batch in answer:
            assert batch["n"][0].as_py() == 0
            break
        assert answer.arrow().num_rows == 100_000

    def test_no_rows_still_have_their_columns_and_types(self, archive: Archive) -> None:
        answer = archive.sql("SELECT id, recorded_at, status_code FROM events WHERE false")
        assert answer.arrow().schema == answer.schema
        assert answer.pl().schema == {"id": pl.String, "recorded_at": pl.Datetime("us"), "status_code": pl.Int32}
        assert answer.df().shape == (0, 3)
        assert list(answer.batches()) == []

    def test_it_says_what_it_was_made_of(self, archive: Archive) -> None:
        answer = archive.sql("SELECT id FROM events WHERE recorded_at < $until", since="2d", until=NOW)
        assert answer.parameters == {"until": NOW.replace(tzinfo=None)}
        assert answer.span is not None
        assert answer.span.start == NOW - 2 * DAY
        assert answer.head == archive.head
        assert answer.missing == ()
        assert answer.columns == ["id"]

    def test_the_rows_stay_those_of_the_head_they_were_asked_at(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "data")
        with Archive(path, now=NOW) as archive:
            answer = archive.sql("SELECT e.id, r.range AS n FROM api_events AS e, range(5000) AS r")
            assert sum(batch.num_rows for batch in answer) == 25_000
            more = Archives(path, count=100)
            more.api(NOW - DAY, "DeleteServer")
            more.commit()
            assert archive.head != answer.head
            assert sum(batch.num_rows for batch in answer) == 25_000
            assert archive.sql("SELECT count(*) AS n FROM api_events").rows() == [{"n": 6}]

    def test_files_that_were_replaced_since_are_told_from_damage(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "data")
        with Archive(path, now=NOW) as archive:
            answer = archive.sql("SELECT e.id, r.range AS n FROM api_events AS e, range(5000) AS r")
            list(answer)
            gone = archive.files("api_events")[0]
            gone.unlink()
            with pytest.raises(ArchiveDamaged, match=gone.name):
                list(answer)
            more = Archives(path, count=100)
            more.api(NOW - DAY, "DeleteServer", region="nl-ams")
            more.commit()
            with pytest.raises(StoreError, match="moved on"):
                list(answer)

    def test_a_time_that_python_cannot_tell_is_said(self, archive: Archive) -> None:
        answer = archive.sql("SELECT 'infinity'::TIMESTAMP AS t, [{'u': '-infinity'::TIMESTAMP}] AS l")
        with pytest.raises(QueryError, match="none that Python can tell"):
            answer.rows()
        assert "9223372036854775807" in answer._repr_html_()
        assert "timestamp" in repr(answer)
        assert answer.arrow().num_rows == 1

    @pytest.mark.parametrize("method", ["df", "pl"])
    def test_a_type_that_a_frame_does_not_have_is_said(self, archive: Archive, method: str) -> None:
        answer = archive.sql("SELECT union_value(k := 1) AS u, INTERVAL 1 DAY AS i")
        with pytest.raises(QueryError, match="cannot hold these rows"):
            getattr(answer, method)()
        assert answer.arrow().num_rows == 1

    @pytest.mark.parametrize(("package", "method"), [("pandas", "df"), ("polars", "pl")])
    def test_a_missing_extra_is_named(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch, package: str, method: str
    ) -> None:
        answer = archive.sql("SELECT 1 AS one")
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UsageError, match=f"{package} is not installed") as caught:
            getattr(answer, method)()
        assert f"trailkeep[{package}]" in "".join(caught.value.__notes__)


class TestErrors:
    @pytest.mark.parametrize(
        ("sql", "match"),
        [
            ("SELEC 1", "syntax error"),
            ("SELECT 1; SELECT 2", "2 statements"),
            ("COPY events TO 'x.csv'", "COPY|SELECT"),
            ("SELECT idd FROM events", "no column 'idd'"),
            ("SELECT * FROM '/etc/passwd'", "refused|no table"),
        ],
    )
    def test_sql_that_may_not_run_or_does_not_bind_is_refused_when_it_is_asked(
        self, archive: Archive, sql: str, match: str
    ) -> None:
        with pytest.raises(QueryError, match=match):
            archive.sql(sql)

    def test_a_hint_is_shown_with_the_error(self, archive: Archive) -> None:
        with pytest.raises(QueryError) as caught:
            archive.sql("SELECT idd FROM events")
        assert any("Did you mean id" in note for note in caught.value.__notes__)

    def test_a_failure_in_the_midst_is_raised_and_nothing_is_kept(self, archive: Archive) -> None:
        answer = archive.sql(
            "SELECT CASE WHEN range < 4000000 THEN range ELSE error('bad') END AS n FROM range(5000000)"
        )
        for form in (answer.arrow, answer.rows, answer.df, lambda: list(answer)):
            with pytest.raises(QueryError, match="bad"):
                form()

    def test_a_damaged_file_is_named_and_gives_no_answer(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "data")
        with Archive(path, now=NOW) as archive:
            file = archive.files("api_events")[0]
            file.chmod(0o600)
            file.write_bytes(file.read_bytes()[:-7])
            with pytest.raises(ArchiveDamaged, match=file.name):
                archive.sql("SELECT count(*) FROM events")
            assert not archive.verify().is_valid

    @pytest.mark.parametrize("path", ["nothing", "file"])
    def test_where_there_is_no_archive_it_says_so(self, tmp_path: Path, path: str) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ArchiveMissing):
            Archive(tmp_path / path)

    def test_arguments_of_wrong_types_are_usage_errors(self, archive: Archive, folder: Path) -> None:
        wrong: list[Any] = [
            lambda: archive.sql(b"SELECT 1"),  # type: ignore[arg-type]
            lambda: archive.sql("SELECT $1", ["a"]),  # type: ignore[arg-type]
            lambda: archive.sql("SELECT $a", {1: 2}),  # type: ignore[dict-item]
            lambda: archive.sql("SELECT $a", {"a": 1, "A": 2}),
            lambda: archive.sql("SELECT $a", {"a": 1, "b": 2}),
            lambda: archive.sql("SELECT 1", since=7),  # type: ignore[arg-type]
            lambda: archive.sql("SELECT 1", since=True),  # type: ignore[arg-type]
            lambda: archive.sql("SELECT 1", since=[NOW]),  # type: ignore[arg-type]
            lambda: archive.sql("SELECT 1", since="yesterday"),
            lambda: archive.sql("SELECT 1", since=timedelta.max),
            lambda: archive.sql("SELECT 1", timeout_seconds=0),
            lambda: archive.sql("SELECT 1", timeout_seconds=float("nan")),
            lambda: archive.sql("SELECT 1", timeout_seconds="1m"),  # type: ignore[arg-type]
            lambda: archive.sql("SELECT 1", limits=Limits(memory="much")),
            lambda: archive.sql("SELECT 1", limits=Limits(threads=0)),
            lambda: archive.sql("SELECT 1", limits=Limits(temporary_disk="")),
            lambda: archive.sql("SELECT 1", limits=Limits(temporary_directory=folder / "nowhere")),
            lambda: archive.query(7),  # type: ignore[arg-type]
            lambda: archive.query("nothing-like-it"),
            lambda: archive.files("events"),
            lambda: archive.schema("evnts"),
            lambda: archive.verify(expect_head="12"),
            lambda: Archive(folder, queries="folder"),
            lambda: Archive(folder, queries=["no/such/folder"]).queries,
        ]
        for each in wrong:
            with pytest.raises(UsageError):
                each()


class TestParameters:
    @pytest.mark.parametrize(
        ("value", "bound"),
        [
            ("'; DROP TABLE events; --", "'; DROP TABLE events; --"),
            ("a\0b", "a\0b"),
            (None, None),
            (True, True),
            (7, 7),
            (2**100, Decimal(2**100)),
            (1.5, 1.5),
            (Decimal("1.10"), Decimal("1.10")),
            (b"\xff", b"\xff"),
            (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 2, 1)),  # noqa: DTZ001
            (datetime(2026, 1, 2, 3), datetime(2026, 1, 2, 3)),  # noqa: DTZ001
            (date(2026, 1, 2), date(2026, 1, 2)),
            (UUID(an_id("x")), an_id("x")),
            (ipaddress.ip_address("2001:db8::1"), "2001:db8::1"),
            (ipaddress.ip_network("192.0.2.0/24"), "192.0.2.0/24"),
            (("a", UUID(an_id("x"))), ["a", an_id("x")]),
            ({"b", "a"}, ["a", "b"]),
            (np.int64(7), 7),
            (np.float64(1.5), 1.5),
            (np.bool_(1), True),
            (np.str_("a"), "a"),
            (np.datetime64("2026-01-02T03:00:00.000000001", "ns"), datetime(2026, 1, 2, 3)),  # noqa: DTZ001
            (np.array([1, 2]), [1, 2]),
            (pd.Timestamp("2026-01-02T03:00:00.000000001Z"), datetime(2026, 1, 2, 3)),  # noqa: DTZ001
            (pd.NaT, None),
            (pd.NA, None),
            (pd.Series([1, 2], dtype="Int64"), [1, 2]),
            (pl.Series(["a", None]), ["a", None]),
            (pa.scalar(7), 7),
            (pa.array(["a"]), ["a"]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_a_value_of_python_is_bound_as_what_it_means(self, archive: Archive, value: Any, bound: Any) -> None:
        assert archive.sql("SELECT $x AS x", {"X": value}).rows() == [{"x": bound}]

    @pytest.mark.parametrize(
        "value",
        [object(), {"a": 1}, "\ud800", 2**127, ["\ud800"], pd.DataFrame({"a": [1]}), lambda: 1, np.array(object())],
        ids=lambda value: type(value).__name__,
    )
    def test_another_is_refused_by_the_parameters_name(self, archive: Archive, value: Any) -> None:
        with pytest.raises(UsageError, match="the parameter x cannot be"):
            archive.sql("SELECT $x AS x", {"x": value})

    @pytest.mark.parametrize(
        "since", ["3d", 3 * DAY, NOW - 3 * DAY, date(2026, 2, 26), "2026-02-26", pd.Timedelta("3D")]
    )
    def test_times_may_be_ages_dates_and_moments(self, archive: Archive, since: Any) -> None:
        answer = archive.sql("SELECT list(id ORDER BY id) AS ids FROM events", since=since, until=NOW - DAY)
        assert answer.rows() == [{"ids": ["d2", "d3"]}]

    def test_a_saved_query_takes_pythons_values(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "mine").mkdir()
        types = {
            "moment": "timestamp",
            "moments": "list[timestamp]",
            "length": "duration",
            "address": "ip",
            "network": "cidr",
            "who": "uuid",
            "text": "text",
            "several": "list[ip]",
        }
        declared = "".join(f'[params.{name}]\ntype = "{kind}"\n' for name, kind in types.items())
        selected = ", ".join(f"${name} AS {name}" for name in types)
        (tmp_path / "mine" / "all.sql").write_text(f'/* ---\ntitle = "All"\n{declared}--- */\nSELECT {selected}')
        given: dict[str, Any] = {
            "moment": DAY,
            "moments": [NOW, date(2026, 1, 1), DAY],
            "length": DAY,
            "address": ipaddress.ip_address("192.0.2.1"),
            "network": ipaddress.ip_network("192.0.2.0/24"),
            "who": UUID(an_id("x")),
            "text": UUID(an_id("x")),
            "several": {ipaddress.ip_address("192.0.2.1")},
        }
        with Archive(folder, queries=[tmp_path], now=NOW) as archive:
            assert archive.queries["mine/all"] == "All"
            bound = archive.query("all", **given).parameters
            naive = NOW.replace(tzinfo=None)
            assert bound == {
                "moment": naive - DAY,
                "moments": [naive, datetime(2026, 1, 1), naive - DAY],  # noqa: DTZ001
                "length": DAY,
                "address": "192.0.2.1",
                "network": "192.0.2.0/24",
                "who": an_id("x"),
                "text": an_id("x"),
                "several": ["192.0.2.1"],
            }
            for name, value in {"address": "nowhere", "who": 7, "text": 7, "moment": "soon", "nobody": 1}.items():
                with pytest.raises(UsageError, match=name):
                    archive.query("mine/all", **{name: value})

    def test_a_required_parameter_that_is_missing_says_what_it_wants(self, archive: Archive) -> None:
        with pytest.raises(UsageError, match="address is missing") as caught:
            archive.query("address-activity")
        assert "address=" in "".join(caught.value.__notes__)

    def test_a_file_that_is_no_query_gives_a_warning(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "bad.sql").write_text("SELECT 1")
        with Archive(folder, queries=[tmp_path]) as archive, pytest.warns(UserWarning, match="front matter"):
            assert "bad" not in archive.queries


class TestCoverage:
    def test_a_span_that_is_not_covered_warns_where_it_is_asked(self, archive: Archive) -> None:
        with pytest.warns(CoverageWarning, match="before the archive begins") as warned:
            answer = archive.sql("SELECT count(*) AS n FROM events", since="30d")
        assert warned[0].filename == __file__
        assert [each.span.start for each in answer.missing] == [NOW - 30 * DAY]
        assert ".missing" in repr(answer)

    def test_strictly_it_is_an_error(self, archive: Archive) -> None:
        with pytest.raises(CoverageIncomplete, match="before the archive begins"):
            archive.sql("SELECT count(*) AS n FROM events", since="30d", strict=True)
        assert archive.sql("SELECT count(*) AS n FROM events", since="3d", strict=True).rows() == [{"n": 3}]

    def test_an_archive_that_holds_nothing_warns_too(self, tmp_path: Path) -> None:
        empty_archive(tmp_path / "data")
        with Archive(tmp_path / "data", now=NOW) as archive:
            with pytest.warns(CoverageWarning, match="never read"):
                assert archive.sql("FROM events").rows() == []
            assert archive.coverage().num_rows == 0

    def test_it_is_a_table_of_spans_with_gaps(self, tmp_path: Path) -> None:
        rows = Archives(tmp_path / "data")
        rows.api(NOW - DAY, "CreateServer")
        rows.commit([covered(NOW - 9 * DAY, NOW - 6 * DAY), covered(NOW - 4 * DAY, NOW)])
        with Archive(tmp_path / "data", now=NOW) as archive:
            spans = [(row["start_at"], row["end_at"], row["state"]) for row in archive.coverage().to_pylist()]
        at = NOW.replace(tzinfo=None)
        assert spans == [
            (at - 9 * DAY, at - 6 * DAY, "covered"),
            (at - 6 * DAY, at - 4 * DAY, "unread"),
            (at - 4 * DAY, at, "covered"),
        ]


class TestVerify:
    def test_the_outcome_has_the_problems(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "data")
        with Archive(path) as archive:
            assert archive.verify(expect_head=archive.head).is_valid
            outcome = archive.verify(expect_head=f"1:{'0' * 64}")
            assert not outcome.is_valid
            assert {str(problem.kind) for problem in outcome.problems} == {"head"}


class TestConnection:
    def test_all_tables_and_macros_are_there(self, archive: Archive) -> None:
        with archive.connect() as connection:
            for table, columns in archive.tables().items():
                assert [each[0] for each in connection.execute(f'DESCRIBE "{table}"').fetchall()] == columns
            inside = connection.execute("SELECT count(*) FROM events WHERE ip_in_cidr(source_ip, '192.0.2.0/24')")
            assert inside.fetchall() == [(5,)]

    def test_it_takes_tables_and_frames_of_ones_own(self, archive: Archive) -> None:
        with archive.connect() as connection:
            connection.execute("CREATE TABLE mine AS SELECT id FROM events WHERE id = 'd1'")
            connection.register("iocs", pl.DataFrame({"id": ["d2"]}).to_arrow())
            found = connection.execute("SELECT id FROM events WHERE id IN (FROM mine) OR id IN (FROM iocs) ORDER BY id")
            assert found.fetchall() == [("d1",), ("d2",)]

    def test_nothing_that_is_run_on_it_reaches_the_disk(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "data")
        outside = tmp_path / "outside.csv"
        outside.write_text("mine")
        spill = tmp_path / "spill"
        spill.mkdir()
        with Archive(path, limits=Limits(temporary_directory=spill)) as archive:
            live = str(archive.files("api_events")[0]).replace("'", "''")
            before = tree(path)
            targets = [live, str(outside), str(tmp_path / "new.csv"), str(path / "api_events" / "new.parquet")]
            statements = [
                f"COPY (SELECT 1 AS a) TO '{target}' ({options})"
                for target in targets
                for options in (
                    "FORMAT parquet",
                    "FORMAT parquet, USE_TMP_FILE false",
                    "FORMAT csv, USE_TMP_FILE false",
                )
            ]
            statements += [f"EXPLAIN ANALYZE {statement}" for statement in statements]
            statements += [
                f"FROM read_parquet('{live}')",
                f"FROM '{outside}'",
                f"FROM read_text('{path}/archive.json')",
                "FROM glob('/etc/*')",
                f"ATTACH '{tmp_path}/new.duckdb'",
                f"EXPORT DATABASE '{tmp_path}/new'",
                f"COPY FROM DATABASE memory TO '{tmp_path}/new'",
                "SET enable_external_access = true",
                "RESET enable_external_access",
                "SET lock_configuration = false",
                f"SET allowed_directories = ['{tmp_path}']",
                f"SET temp_directory = '{path}'",
                f"SET log_query_path = '{outside}'",
                f"PRAGMA enable_logging('QueryLog', storage='file', storage_path='{tmp_path}/new')",
                f"CALL enable_logging(storage := 'file', storage_config := {{'path': '{tmp_path}/new'}})",
                f"PRAGMA profiling_output = '{outside}'",
                "INSTALL httpfs",
                "LOAD httpfs",
            ]
            with archive.connect() as connection:
                for statement in statements:
                    try:
                        connection.execute(statement).fetchall()
                    except Exception as error:  # noqa: BLE001 - whatever it is, it is refused
                        assert type(error).__module__ == "_duckdb", error  # noqa: PT017
                    else:
                        pytest.fail(f"it was run: {statement}")
                    assert outside.read_text() == "mine", statement
                    assert tree(path) == before, statement
            assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "outside.csv", "spill"]
            assert archive.verify(deep=True).rows == 5

    def test_its_configuration_is_that_of_the_guarded_one(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        frame = pd.DataFrame({"secret": ["of the notebook"]})
        with archive.connect(limits=Limits(memory="512MiB", threads=1)) as connection:
            settings = "current_setting('TimeZone'), current_setting('threads'), current_setting('memory_limit')"
            assert connection.execute(f"SELECT {settings}").fetchone() == ("UTC", 1, "512.0 MiB")
            with pytest.raises(Exception, match="does not exist"):
                connection.execute("FROM frame")
        assert len(frame) == 1
        monkeypatch.undo()
        time.tzset()

    def test_it_gives_back_its_temporary_folder_when_it_is_let_go(self, tmp_path: Path, folder: Path) -> None:
        with Archive(folder, limits=Limits(temporary_directory=tmp_path)) as archive:
            connection = archive.connect()
            assert list(tmp_path.iterdir())
            del connection
            gc.collect()
            assert not list(tmp_path.iterdir())


class TestLife:
    def test_a_closed_archive_says_so(self, folder: Path) -> None:
        archive = Archive(folder, now=NOW)
        small, large, connection = archive.sql("SELECT 1 AS one"), archive.sql(MANY), archive.connect()
        archive.close()
        archive.close()
        assert "closed" in repr(archive)
        assert small.rows() == [{"one": 1}]
        for use in (
            large.arrow,
            lambda: list(large),
            lambda: archive.sql("SELECT 1"),
            lambda: archive.query("login-failures"),
            lambda: archive.head,
            archive.tables,
            lambda: archive.schema("events"),
            archive.files,
            archive.coverage,
            archive.verify,
            archive.connect,
        ):
            with pytest.raises(UsageError, match="closed"):
                use()
        with pytest.raises(Exception, match=r"[Cc]onnection.*closed"):
            connection.execute("SELECT 1")

    def test_a_closed_answer_says_so(self, archive: Archive) -> None:
        with archive.sql(MANY) as answer:
            pass
        with pytest.raises(UsageError, match="the answer is closed"):
            answer.arrow()
        assert repr(answer)

    def test_an_answer_that_is_let_go_gives_back_its_engine(self, tmp_path: Path, folder: Path) -> None:
        with Archive(folder, limits=Limits(temporary_directory=tmp_path)) as archive:
            answer = archive.sql(MANY)
            assert list(tmp_path.iterdir())
            del answer
            gc.collect()
            assert not list(tmp_path.iterdir())
            # From the second question of a shape on it is given to the next.
            for _round in range(3):
                reading = iter(archive.sql(MANY))
                next(reading)
                assert len(list(tmp_path.iterdir())) == 1
                del reading
                gc.collect()
            [kept] = tmp_path.iterdir()
            assert not list(kept.iterdir())
        assert not list(tmp_path.iterdir())

    def test_two_answers_are_read_in_turns(self, archive: Archive) -> None:
        pairs = list(zip(archive.sql(MANY), archive.sql(f"{MANY} ORDER BY n DESC"), strict=True))
        assert len(pairs) > 3
        assert {one["n"][0].as_py() + other["n"][0].as_py() for one, other in pairs} == {99_999}

    def test_threads_may_share_an_archive_and_an_answer(self, archive: Archive) -> None:
        shared = archive.sql(MANY)
        found: list[tuple[int, int, bool]] = []

        def work(number: int) -> None:
            own = archive.sql("SELECT $n AS n, count(*) AS c FROM events", {"n": number}).rows()[0]
            found.append((own["n"], own["c"], shared.arrow() is shared.arrow()))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [(number, 5, True) for number in range(6)]

    def test_a_time_limit_ends_the_query(self, archive: Archive) -> None:
        with pytest.raises(TimeLimitReached, match=r"0\.2 s") as caught:
            archive.sql(ENDLESS, timeout_seconds=0.2)
        assert "timeout_seconds" in "".join(caught.value.__notes__)
        assert archive.sql("SELECT 1 AS one").rows() == [{"one": 1}]

    def test_what_does_not_stop_is_waited_for_by_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One call of one function may take the engine minutes (``levenshtein`` of two long texts)."""
        monkeypatch.setattr(stop_module, "PATIENCE_SECONDS", 0.1)
        over, closed = threading.Event(), threading.Event()
        worker = Worker(Stop(), 0.1)
        try:
            with pytest.raises(TimeLimitReached):
                worker.run(lambda: over.wait(60))
            worker.when_idle(closed.set)
            assert not over.is_set()
            assert not closed.is_set(), "the engine was closed while it was at work"
        finally:
            over.set()
        assert closed.wait(60)

    def test_time_that_nobody_asks_for_rows_does_not_count(self, archive: Archive) -> None:
        answer = archive.sql(MANY, timeout_seconds=2)
        threading.Event().wait(2.1)
        assert answer.arrow().num_rows == 100_000

    def test_ctrl_c_stops_the_query_and_nothing_else(self, folder: Path) -> None:
        program = (
            "import os, signal, sys, threading\n"
            # Whoever runs the tests in the background may have it ignored.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from trailkeep import Archive\n"
            "archive = Archive(sys.argv[1])\n"
            "archive.sql('SELECT 1')\n"
            "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
            "try:\n"
            f"    archive.sql({ENDLESS!r})\n"
            "except KeyboardInterrupt:\n"
            "    print('stopped', [thread.name for thread in threading.enumerate() if 'query' in thread.name])\n"
            "print(archive.sql('SELECT count(*) AS n FROM api_events').rows())\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, str(folder)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "stopped []\n[{'n': 5}]\n"

    def test_ctrl_c_that_meets_the_start_of_the_thread_stops_it_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        start = threading.Thread.start

        def interrupted(thread: threading.Thread) -> None:
            monkeypatch.undo()
            threading.Timer(0.2, start, [thread]).start()
            raise KeyboardInterrupt

        stop, seen = Stop(), threading.Event()
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Worker(stop, None).run(lambda: stop.stopped and seen.set())
        assert seen.wait(10)


class TestShown:
    HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\n$x$ &amp; \"'"

    def test_text_executes_nothing(self, archive: Archive) -> None:
        shown = repr(
            archive.sql("SELECT $x AS x, 1 AS \"\x1b[2Jname\", NULL AS nothing, '' AS empty", {"x": self.HOSTILE})
        )
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert shown.count("\n") == 2
        assert "NULL" in shown
        assert '""' in shown

    def test_html_holds_no_tag_of_an_event(self, archive: Archive) -> None:
        answer = archive.sql(
            "SELECT $x AS \"<img src=x onerror=alert(1)>\", [$x] AS l, {'<b>': $x} AS s", {"x": self.HOSTILE}
        )
        shown = answer._repr_html_()
        tags: list[tuple[str, Any]] = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attributes: tags.append((tag, attributes))  # type: ignore[method-assign]
        parser.feed(shown)
        assert {tag for tag, _attributes in tags} == {"p", "table", "thead", "tbody", "tr", "th", "td"}
        assert all(attributes == [] for _tag, attributes in tags)
        assert "$" not in shown
        assert "\x1b" not in shown
        assert "&lt;script&gt;" in shown

    def test_to_show_an_answer_reads_nothing(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "data")
        with Archive(path, now=NOW) as archive:
            answer = archive.sql("SELECT e.id, r.range AS n FROM api_events AS e, range(5000) AS r")
            list(answer)
            for file in archive.files():
                file.unlink()
            assert "the others not read yet" in repr(answer)
            assert answer._repr_html_().count("<tr>") == 11

    def test_many_columns_and_long_values_are_cut(self, archive: Archive) -> None:
        shown = repr(archive.sql("SELECT repeat('x', 100000) AS a, * FROM api_events"))
        assert max(map(len, shown.splitlines())) <= 120
        assert len(archive.sql("SELECT repeat('<', 100000) AS a")._repr_html_()) < 2_000


# What is written about it


def public(kind: type) -> list[str]:
    return [name for name, value in vars(kind).items() if not name.startswith("_") and callable(value)]


class TestDocumentation:
    @pytest.fixture
    def desk(self, demo: DemoArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "data").symlink_to(demo.path)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_the_examples_of_the_docstrings_run(self, desk: Path) -> None:
        ran = 0
        with Archive("data") as archive:
            for module in (archive_module, answer_module):
                for test in doctest.DocTestFinder().find(module, extraglobs={"archive": archive}):
                    told: list[str] = []
                    outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
                    assert not outcome.failed, "".join(told)
                    ran += outcome.attempted
        assert ran >= 15

    @pytest.mark.parametrize("kind", [Archive, Answer])
    def test_everything_public_has_a_docstring(self, kind: type) -> None:
        for name in public(kind):
            assert getattr(kind, name).__doc__, name

    def test_the_guide_runs_from_top_to_bottom(self, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
        page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        assert len(blocks) >= 6
        names: dict[str, Any] = {}
        for block in blocks:
            ast.parse(block)
            exec(compile(block, "docs/python.md", "exec"), names)
        for name in public(Archive):
            assert f"{name}(" in page, name
        names["archive"].close()

    @pytest.mark.parametrize("example", sorted((ROOT / "docs" / "examples").glob("*.py")), ids=lambda path: path.name)
    def test_an_example_runs_and_finds_the_incident(
        self, desk: Path, example: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "argv", [str(example)])
        runpy.run_path(str(example), run_name="__main__")
        printed = capsys.readouterr().out
        assert "203.0.113.66" in printed
        assert os.fspath(desk) not in printed
