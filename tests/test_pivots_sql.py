"""SQL with the pivot index and without: the same rows; and engines that are kept give what new ones give."""

from __future__ import annotations

import re
import shutil
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archives import Archives, a_resource, an_id
from trailkeep import Archive as Opened
from trailkeep import schema
from trailkeep.analysis import Question, Stop, open_result
from trailkeep.catalog import Limits, warm
from trailkeep.catalog.warm import Engines
from trailkeep.errors import ArchiveDamaged, QueryError
from trailkeep.pivots import keeping
from trailkeep.pivots.file import IndexFile, Unusable, encode
from trailkeep.pivots.hashing import Hasher
from trailkeep.pivots.occurrences import stretches_of
from trailkeep.store import Archive, layout
from trailkeep.verify import verify_archive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::trailkeep.reading.warned.CoverageWarning")
START = datetime(2025, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MONTHS = 12


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A year of a few calls a day in two regions, with logins and system events."""
    archives = Archives(tmp_path_factory.mktemp("pivots-sql") / "data")
    for month in range(MONTHS):
        for number in range(40):
            at = START + timedelta(days=31 * month + number // 2, hours=number % 24)
            archives.api(
                at,
                f"Method{number % 5}",
                region=("fr-par", "nl-ams")[number % 2],
                source_ip=None if number % 9 == 0 else f"192.0.2.{number % 7}",
                principal_id=an_id(f"principal {number % 3}"),
                user_agent=f"agent/{number % 4}",
                request_id=an_id(f"request {month} {number}"),
                resources=[a_resource("server", f"server {month} {number // 4}"), a_resource("ip", f"ip {number}")],
            )
        archives.login(START + timedelta(days=31 * month + 3), f"user {month % 3}", source_ip=f"203.0.113.{month}")
        archives.system(START + timedelta(days=31 * month + 4), resources=[a_resource("server", f"server {month} 2")])
        archives.commit()
    return Archive.open(archives.path)


def rows_of(archive: Archive, sql: str, given: dict[str, Any] | None = None, **more: Any) -> tuple[list[Any], set[str]]:
    """The rows of an answer, and the event files that were opened for it."""
    with open_result(archive, Question(sql=sql, given=given or {}), now=NOW, **more) as result:
        rows = [row for batch in result.batches() for row in batch.to_pylist()]
        return rows, {file.record.path for file in result._catalog.files.values()}


NEEDLES = [
    ("SELECT id FROM api_events WHERE request_id = $v", an_id("request 3 7"), 1, 1),
    ("SELECT id, action FROM events WHERE kind = 'api' AND source_ip = $v", "203.0.113.4", 0, 0),
    ("SELECT id, action FROM events WHERE source_ip = $v", "203.0.113.4", 1, 1),
    ("SELECT id, result FROM authentication_events WHERE source_ip = $v", "203.0.113.4", 1, 1),
    ("SELECT event_id, region FROM event_resources WHERE resource_id = $v ORDER BY ALL", an_id("server 5 3"), 4, 2),
    ("SELECT id FROM events WHERE list_contains(resource_ids, $v) ORDER BY id", an_id("server 5 2"), 5, 3),
    ("WITH c AS (SELECT * FROM api_events) SELECT id FROM c WHERE request_id IN ($v, 'x')", an_id("request 0 0"), 1, 1),
    ("SELECT id FROM api_events WHERE request_id = $v", "no such request", 0, 0),
    ("SELECT id, result FROM logins WHERE user_id = $v", an_id("user 2"), 4, 4),
    ("SELECT id, action FROM events WHERE actor_id = $v", an_id("user 2"), 4, 4),
]


@pytest.mark.parametrize(("sql", "value", "rows", "files"), NEEDLES)
def test_a_needle_opens_the_files_that_have_it(archive: Archive, sql: str, value: str, rows: int, files: int) -> None:
    found, opened = rows_of(archive, sql, {"v": value})
    assert (len(found), len(opened)) == (rows, files)


def damaged(folder: Path, damage: str) -> Archive:
    archive = Archive.open(folder)
    indexes = sorted((folder / layout.CACHE / keeping.FOLDER).iterdir())
    match damage:
        case "none":
            shutil.rmtree(folder / layout.CACHE)
        case "half":
            for file in indexes[::2]:
                file.unlink()
        case "flipped":
            for number, file in enumerate(indexes):
                content = bytearray(file.read_bytes())
                content[-1 - number * 13 % len(content)] ^= 4
                file.write_bytes(content)
        case "cut":
            for file in indexes:
                file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "swapped":
            for one, other in zip(indexes[::2], indexes[1::2], strict=False):
                content = one.read_bytes()
                one.write_bytes(other.read_bytes())
                other.write_bytes(content)
    return archive


@pytest.fixture(scope="module")
def states(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Archive]:
    """The archive with its index, and copies with less of one."""
    found = {"whole": archive}
    for damage in ("none", "half", "flipped", "cut", "swapped"):
        folder = tmp_path_factory.mktemp(damage) / "data"
        shutil.copytree(archive.path, folder)
        found[damage] = damaged(folder, damage)
    return found


_COLUMN_VALUES = {
    "source_ip": [f"192.0.2.{number}" for number in range(8)] + ["203.0.113.4"],
    "user_agent": ["agent/0", "agent/3", "nobody"],
    "actor_id": [an_id("principal 0"), an_id("user 1"), an_id("nobody")],
    "action": ["Method1", "Login/password", "nothing"],
    "id": [an_id("event 7")],
}
_CONDITIONS = st.recursive(
    st.one_of(
        st.sampled_from([(column, value) for column in _COLUMN_VALUES for value in _COLUMN_VALUES[column]]).map(
            lambda each: f"{each[0]} = '{each[1]}'"
        ),
        st.sampled_from([(column, value) for column in _COLUMN_VALUES for value in _COLUMN_VALUES[column]]).map(
            lambda each: f"{each[0]} IN ('{each[1]}', '192.0.2.3')"
        ),
        st.sampled_from([f"list_contains(resource_ids, '{an_id(f'server {month} 2')}')" for month in range(3)]),
        st.sampled_from(["source_ip IS NULL", "recorded_at < TIMESTAMP '2025-04-01'", "kind = 'api'", "true"]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} AND {pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} OR {pair[1]})"),
        inner.map(lambda each: f"(NOT {each})"),
    ),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(condition=_CONDITIONS, state=st.sampled_from(["none", "half", "flipped", "cut", "swapped"]))
def test_an_index_or_none_or_a_damaged_one_gives_the_same_rows(
    states: dict[str, Archive], condition: str, state: str
) -> None:
    sql = f"SELECT id, kind, region FROM events WHERE {condition} ORDER BY ALL"
    expected, _files = rows_of(states["none"], sql)
    assert rows_of(states["whole"], sql)[0] == expected
    assert rows_of(states[state], sql)[0] == expected


AGENTS = ["a\nb", "a\n\nb", "\n\n", "\n", "x\r\n\r\ny", " a \n\n b ", "it's", "a' OR ('", "é", "a\tb", "\\n", "%"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An event a month, each of a user agent that is hard to write down."""
    archives = Archives(tmp_path_factory.mktemp("odd") / "data")
    for month, agent in enumerate(AGENTS):
        archives.api(START + timedelta(days=31 * month), "Method", user_agent=agent)
    archives.commit()
    return Archive.open(archives.path)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("condition", ["= $v", "IN ($v, 'y')", "BETWEEN $v AND $v || 'a'"])
def test_whatever_a_value_is_made_of_its_rows_are_found(odd: Archive, agent: str, condition: str) -> None:
    rows, _files = rows_of(odd, f"SELECT user_agent FROM api_events WHERE user_agent {condition}", {"v": agent})
    assert {"user_agent": agent} in rows


def test_the_first_and_the_last_moment_that_there_are(tmp_path: Path) -> None:
    archives = Archives(tmp_path / "data")
    for month in range(4):
        archives.api(START + timedelta(days=31 * month), "Method", request_id=an_id("another"))
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    for number, moment in enumerate(ends):
        archives.api(moment, "Method", request_id=an_id(f"request {number}"))
    archive = archives.commit()
    for number, moment in enumerate(ends):
        sql = "SELECT recorded_at FROM api_events WHERE request_id = $v AND recorded_at <= $at"
        rows, _files = rows_of(archive, sql, {"v": an_id(f"request {number}"), "at": moment})
        assert rows == [{"recorded_at": moment.replace(tzinfo=None)}]


@pytest.mark.parametrize("days", [[1, 3, 2], [3, 1], [1, None]])
def test_rows_that_are_not_sorted_by_time_get_no_index(tmp_path: Path, days: list[int | None]) -> None:
    # A stretch of rows would not be the span of time from its first row to its last one.
    rows = [
        {"id": "x", "recorded_at": None if day is None else datetime(2025, 1, day), "request_id": "r"}  # noqa: DTZ001
        for day in days
    ]
    columns = [(each.name, each.type) for each in schema.API_EVENTS.columns]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), path)
    for block_rows in (1, 8192):
        with pytest.raises(Unusable):
            stretches_of(path, "api_events", Hasher("a"), block_rows)


# Engines that are kept


def test_kept_engines_answer_as_new_ones_do(archive: Archive) -> None:
    engines = Engines()
    for _round in range(3):
        for sql, value, count, _files in NEEDLES:
            rows, files = rows_of(archive, sql, {"v": value}, engines=engines)
            expected, opened = rows_of(archive, sql, {"v": value})
            assert (rows, files) == (expected, opened)
            assert len(rows) == count
    assert engines._planners
    assert engines._runners
    engines.close()
    assert not engines._planners
    assert not engines._runners


def test_a_question_finds_nothing_of_the_one_before(archive: Archive) -> None:
    engines = Engines()
    sql = "SELECT count(*) AS n FROM api_events WHERE request_id = $v"
    for month in range(6):
        for number in (3, 4):
            assert rows_of(archive, sql, {"v": an_id(f"request {month} {number}")}, engines=engines)[0] == [{"n": 1}]
    assert rows_of(archive, sql, {"v": "another"}, engines=engines)[0] == [{"n": 0}]
    [runner] = engines._runners
    # Where the rows are was told to the questions, each for itself: without that there is an error, and no empty table.
    with pytest.raises(duckdb.Error, match="NULL"):
        runner.connection.cursor().execute("SELECT count(*) FROM api_events")
    with pytest.raises(Exception, match="locked"):
        runner.connection.execute("SET enable_external_access = true")
    engines.close()


def test_a_question_without_tables_is_answered_by_a_kept_engine(archive: Archive) -> None:
    engines = Engines()
    for number in range(4):
        assert rows_of(archive, "SELECT verb('DeleteKey') AS v, $n AS n", {"n": number}, engines=engines) == (
            [{"v": "Delete", "n": number}],
            set(),
        )
        [row] = rows_of(archive, "SELECT year(now()) >= 2025 AS n", engines=engines)[0]
        assert row == {"n": True}
    assert len(engines._runners) == 2
    with pytest.raises(QueryError, match="no table 'nothing'"):
        rows_of(archive, "SELECT * FROM nothing", engines=engines)
    engines.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM api_events WHERE request_id = $v AND recorded_at < now()",
        "SELECT name FROM principals WHERE id = $v",
        "SELECT actor_name FROM events WHERE actor_id = $v",
        "SELECT seq FROM ledger WHERE sha256 = $v",
        "SELECT reason FROM gaps WHERE region = $v",
    ],
)
def test_what_kept_engines_do_not_know_goes_to_new_ones(archive: Archive, sql: str) -> None:
    engines = Engines()
    for _round in range(3):
        assert rows_of(archive, sql, {"v": "x"}, engines=engines)[0] == rows_of(archive, sql, {"v": "x"})[0]
    assert not engines._runners
    engines.close()


def test_no_function_of_the_engine_tells_the_time_unknown_to_kept_engines() -> None:
    """What a statement needs is remembered from one question to the next, so that its moments must not move on."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name, stability = 'CONSISTENT_WITHIN_QUERY', macro_definition"
            " FROM duckdb_functions()"
        ).fetchall()
    tell = {name for name, within_a_query, _text in rows if within_a_query}
    assert {"now", "today", "get_current_timestamp"} <= tell
    # A macro tells it where it calls what does, or is made of a word such as current_timestamp.
    words = re.compile(r"(?i)\b(?:" + "|".join(map(re.escape, tell)) + r"|current_\w+|localtime\w*)\b")
    tell |= {name for name, _within, text in rows if text and words.search(text)}
    # These tell what is set on a connection, who asks or what.
    others = {"getvariable", "in_search_path", "user"}
    assert {name for name in tell if not warm._TELLS_TIME.search(f"SELECT {name}()")} <= others


def test_a_kept_engine_sees_what_has_come_by_the_present(tmp_path: Path) -> None:
    made = Archives(tmp_path / "data")
    for days in (400, 300, 200, 100):
        made.api(datetime.now(UTC) - timedelta(days=days), "Old")
    made.commit()
    sql = "SELECT method_name FROM api_events WHERE recorded_at <= ago(INTERVAL 0 SECOND)::TIMESTAMP"
    with Opened(made.path) as opened:
        assert [len(opened.sql(sql).rows()) for _ in range(3)] == [4, 4, 4]
        made.api(datetime.now(UTC), "New")
        made.commit()
        assert len(opened.sql(sql).rows()) == 5


def test_what_fails_fails_alike_and_costs_the_next_question_nothing(archive: Archive) -> None:
    with Opened(archive.path, now=NOW) as opened:
        good = "SELECT id FROM api_events WHERE request_id = $v"
        bad = "SELECT CAST(method_name AS INTEGER) FROM api_events WHERE request_id = $v"
        for _round in range(3):
            with pytest.raises(QueryError):
                opened.sql(bad, {"v": an_id("request 3 7")}).rows()
            assert len(opened.sql(good, {"v": an_id("request 3 7")}).rows()) == 1
            # One that is not read to its end, and is forgotten.
            opened.sql("SELECT * FROM api_events")
            opened.sql("SELECT * FROM api_events WHERE source_ip = '192.0.2.1'").close()


def test_several_threads_ask_at_once(archive: Archive) -> None:
    failures: list[Exception] = []
    with Opened(archive.path, now=NOW) as opened:

        def ask(month: int) -> None:
            try:
                for number in range(6):
                    value = an_id(f"request {month} {number}")
                    rows = opened.sql("SELECT request_id FROM api_events WHERE request_id = $v", {"v": value}).rows()
                    assert rows == [{"request_id": value}]
            except Exception as error:  # noqa: BLE001 - told by the thread that waits
                failures.append(error)

        threads = [threading.Thread(target=ask, args=(month,)) for month in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_kept_engines_see_what_came_and_other_limits(archive: Archive, tmp_path: Path) -> None:
    shutil.copytree(archive.path, tmp_path / "data")
    sql = "SELECT id FROM api_events WHERE request_id = $v"
    value = {"v": an_id("request of today")}
    with Opened(tmp_path / "data", now=NOW) as opened:
        for _round in range(3):
            assert opened.sql(sql, value).rows() == []
        more = Archives(tmp_path / "data", count=5000)
        more.api(NOW - timedelta(days=1), "CreateServer", request_id=value["v"])
        more.commit()
        for _round in range(2):
            assert len(opened.sql(sql, value).rows()) == 1
        assert len(opened.sql(sql, value, limits=Limits(memory="300MiB", threads=1)).rows()) == 1


def test_a_file_that_is_gone_is_said_and_never_left_out(archive: Archive, tmp_path: Path) -> None:
    shutil.copytree(archive.path, tmp_path / "data")
    sql, value = "SELECT id FROM api_events WHERE request_id = $v", {"v": an_id("request 3 7")}
    with Opened(tmp_path / "data", now=NOW) as opened:
        for _round in range(3):
            assert len(opened.sql(sql, value).rows()) == 1
        _rows, [path] = rows_of(archive, sql, value)
        (tmp_path / "data" / path).unlink()
        with pytest.raises(ArchiveDamaged):
            opened.sql(sql, value)


def test_a_stop_reaches_a_kept_engine(archive: Archive) -> None:
    engines = Engines()
    sql = "SELECT id FROM api_events WHERE request_id = $v"
    for _round in range(3):
        rows_of(archive, sql, {"v": "x"}, engines=engines)
    stop = Stop()
    stop()
    with pytest.raises(Exception, match=r"interrupted|stopped"):
        rows_of(archive, sql, {"v": "x"}, engines=engines, stop=stop)
    assert rows_of(archive, sql, {"v": an_id("request 3 7")}, engines=engines)[0] != []
    engines.close()


def test_an_archive_that_may_not_be_written_to_is_read_alike(archive: Archive, tmp_path: Path) -> None:
    shutil.copytree(archive.path, tmp_path / "data")
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "data").rglob("*"))
    copy = Archive.open(tmp_path / "data")
    for sql, value, count, _files in NEEDLES[:4]:
        assert len(rows_of(copy, sql, {"v": value})[0]) == count
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "data").rglob("*")) == before


def test_an_index_that_hides_a_row_is_found_by_a_deep_verification(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(archive.path, folder)

    def of_the_index() -> list[str]:
        problems = verify_archive(folder, deep=True).problems
        return [problem.path for problem in problems if problem.path.startswith(layout.CACHE)]

    assert not of_the_index()
    needle = "SELECT id FROM api_events WHERE request_id = $v"
    value = {"v": an_id("request 3 7")}
    (path,) = rows_of(Archive.open(folder), needle, value)[1]
    record = Archive.open(folder).ledger().live[path].record
    place = keeping.place_of(folder / layout.CACHE, record.sha256)
    assert place is not None
    told = IndexFile(place, archive.archive_id, record.sha256).description
    place.chmod(0o600)
    place.write_bytes(encode(msgspec.structs.replace(told, kinds={}), b""))
    assert rows_of(Archive.open(folder), needle, value)[0] == []  # what a forger could do
    assert verify_archive(folder).is_valid
    assert of_the_index() == [f".cache/pivots/{place.name}"]
    # What readers do not take is nothing to worry about.
    place.write_bytes(place.read_bytes()[:-1])
    assert not of_the_index()
