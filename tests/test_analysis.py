"""Running a question: what is bound, what is limited, what streams, and what an error says."""

from __future__ import annotations

import shutil
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archives import NOW, ORGANIZATION, Archives
from trailkeep.analysis import Question, Stop, open_result
from trailkeep.analysis.plain import PlainSchema
from trailkeep.analysis.result import BATCH_ROWS
from trailkeep.catalog import Limits
from trailkeep.coverage import OF_EVENTS, OF_LOGS
from trailkeep.errors import (
    ArchiveDamaged,
    ExitCode,
    IntegrityViolated,
    Interrupted,
    QueryError,
    TimeLimitReached,
    UsageError,
)
from trailkeep.queries import discover, find, load, parse, query_folders
from trailkeep.schema import EVENT_TABLES
from trailkeep.seal import CoverageRecord
from trailkeep.store import Archive
from trailkeep.timespan import Span, format_time

DAY, MINUTE, SECOND = timedelta(days=1), timedelta(minutes=1), timedelta(seconds=1)
SHIPPED = discover(query_folders((), directory=Path("/nowhere")))


def ask(archive: Archive, sql: str, **asked: Any) -> list[dict[str, Any]]:
    with open_result(archive, Question(sql=sql, **asked), now=NOW) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


def ask_saved(archive: Archive, name: str, **given: Any) -> list[dict[str, Any]]:
    found = find(name, SHIPPED)
    times = {key: given.pop(key) for key in ("since", "until") if key in given}
    with open_result(archive, Question.of(load(found.name, found.path), given=given, **times), now=NOW) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    rows = Archives(tmp_path / "archive")
    for days in range(1, 6):
        rows.api(NOW - days * DAY, "CreateServer", id=f"d{days}")
    rows.login(NOW - DAY, "alice", id="in")
    return rows.commit()


class TestSpans:
    def test_sql_of_the_moment_sees_everything_unless_asked(self, archive: Archive) -> None:
        assert ask(archive, "SELECT count(*) AS n FROM events") == [{"n": 6}]

    def test_since_and_until_limit_the_event_tables_half_open(self, archive: Archive) -> None:
        sql = "SELECT list(id ORDER BY id) AS ids FROM events"
        assert ask(archive, sql, since="3d") == [{"ids": ["d1", "d2", "d3", "in"]}]
        assert ask(archive, sql, since="3d", until="1d") == [{"ids": ["d2", "d3"]}]
        assert ask(archive, sql, until="3d") == [{"ids": ["d4", "d5"]}]

    def test_where_the_sql_uses_them_they_are_bound_and_limit_nothing(self, archive: Archive) -> None:
        sql = (
            "SELECT count(*) FILTER (recorded_at >= $since AND recorded_at < $until) AS asked, count(*) AS n "
            "FROM events"
        )
        with open_result(archive, Question(sql=sql, since="2d"), now=NOW) as result:
            assert result.span is None
            assert result.parameters["since"] == datetime(2026, 2, 27, 12)  # noqa: DTZ001 - as the columns are
            (batch,) = result.batches()
            assert batch.to_pylist() == [{"asked": 3, "n": 6}]

    def test_where_it_uses_one_of_them_the_other_limits(self, archive: Archive) -> None:
        sql = "SELECT list(id ORDER BY id) AS ids FROM events WHERE recorded_at >= $since"
        assert ask(archive, sql, since="4d", until="2d") == [{"ids": ["d3", "d4"]}]

    def test_used_without_being_given_they_have_their_defaults(self, archive: Archive) -> None:
        with open_result(archive, Question(sql="SELECT $since AS a, $until AS b"), now=NOW) as result:
            assert result.parameters["until"] - result.parameters["since"] == 90 * DAY

    @pytest.mark.parametrize("given", [{"since": "1d", "until": "2d"}, {"since": "2030-01-01"}, {"until": "90d"}])
    def test_a_span_without_a_moment_is_an_error(self, archive: Archive, given: dict[str, str]) -> None:
        with pytest.raises(UsageError, match="is not before until"):
            ask(archive, "FROM events WHERE recorded_at BETWEEN $since AND $until", **given)

    def test_a_time_given_twice_is_an_error(self, archive: Archive) -> None:
        with pytest.raises(UsageError, match="given twice"):
            ask(archive, "SELECT $since", since="1d", given={"since": "2d"})

    def test_coverage_and_gaps_come_from_the_ledger(self, tmp_path: Path) -> None:
        rows = Archives(tmp_path / "archive")
        rows.api(NOW - DAY, "CreateServer")
        spans = [Span(NOW - 9 * DAY, NOW - 6 * DAY), Span(NOW - 4 * DAY, NOW)]
        archive = rows.commit(
            [
                CoverageRecord(
                    organization_id=ORGANIZATION,
                    kind="api",
                    region="fr-par",
                    start=format_time(span.start),
                    end=format_time(span.end),
                )
                for span in spans
            ]
        )
        assert ask(archive, "SELECT count(*) AS n FROM coverage") == [{"n": 2}]
        held = sorted(ask_saved(archive, "what-is-held", since="8d"), key=lambda row: row["start_at"])
        assert [(row["state"], row["end_at"] - row["start_at"], row["events"]) for row in held] == [
            ("held", 2 * DAY, 0),
            ("missing", 2 * DAY, 0),
            ("held", 4 * DAY, 1),
        ]


class TestParameters:
    def test_values_are_bound_and_never_pasted(self, archive: Archive) -> None:
        hostile = "d1' OR true; DROP VIEW events; --"
        assert ask(archive, "SELECT id FROM events WHERE id = $x", given={"x": hostile}) == []
        assert ask(archive, "SELECT $x AS x", given={"x": hostile}) == [{"x": hostile}]

    def test_a_missing_one_is_named(self, archive: Archive) -> None:
        with pytest.raises(UsageError, match="the parameter x is missing") as caught:
            ask(archive, "SELECT $x")
        assert caught.value.hint == "Add -p x=VALUE."

    def test_an_unused_one_is_an_error(self, archive: Archive) -> None:
        with pytest.raises(UsageError, match=r"the SQL has no parameter \$y"):
            ask(archive, "SELECT 1", given={"y": "1"})

    def test_a_saved_query_that_uses_an_undeclared_one_names_its_file(self, archive: Archive) -> None:
        saved = parse("q", Path("q.sql"), '/* ---\ntitle = "T"\n--- */\nSELECT $x')
        with pytest.raises(UsageError, match=r"^q\.sql: the SQL uses \$x"):
            open_result(archive, Question.of(saved), now=NOW)

    def test_an_empty_list_and_null_bind(self, archive: Archive) -> None:
        text = (
            '/* ---\ntitle = "T"\n[params.ids]\ntype = "list[text]"\ndefault = []\n[params.one]\ntype = "text"\n'
            "--- */\nSELECT count(*) AS n FROM events "
            "WHERE list_contains($ids, id) OR ($one IS NULL AND id = 'd1') OR id = $one"
        )
        saved = parse("q", Path("q.sql"), text)
        with open_result(archive, Question.of(saved), now=NOW) as result:
            assert next(result.batches()).to_pylist() == [{"n": 1}]


class TestErrors:
    @pytest.mark.parametrize(
        ("sql", "message", "hint"),
        [
            ("FROM event", "line 1, column 6: there is no table 'event'", "Did you mean events"),
            ("SELECT\n  idd FROM events", "line 2, column 3: there is no column 'idd'", "Did you mean id"),
            ("SELECT e.idd FROM events e", "there is no column 'idd'", "Did you mean id"),
            ("SELECT x.id FROM events e", "there is no table 'x' in this FROM", "Tables in it are: e"),
            ("WITH c AS (SELECT 1 AS numbr) SELECT number FROM c", "there is no column 'number'", "Did you mean numbr"),
            (
                "SELECT r.nam FROM (SELECT unnest(resources) AS r FROM api_events)",
                "no field 'nam'",
                "Did you mean name",
            ),
            ("SELECT * EXCLUDE (rawx) FROM events", "there is no column 'rawx'", "Did you mean raw"),
            ("SELECT ip_in_cdr('a', 'b')", "there is no function 'ip_in_cdr'", "Did you mean ip_in_cidr"),
            ("SELECT lenth('a')", "line 1, column 8: there is no function 'lenth'", "Did you mean"),
            ("SELECT 'x'::INT", "Could not convert string 'x'", None),
            ("SELECT raw->>'$.a' FROM (SELECT '{' AS raw)", "Malformed JSON", "TRY"),
        ],
    )
    def test_what_is_wrong_and_what_is_near(self, archive: Archive, sql: str, message: str, hint: str | None) -> None:
        with pytest.raises(QueryError) as caught:
            ask(archive, sql)
        assert message in caught.value.message
        assert (hint or "") in (caught.value.hint or "")
        assert caught.value.exit_code == ExitCode.QUERY

    def test_in_a_saved_query_the_place_is_in_its_file(self, archive: Archive) -> None:
        saved = parse("q", Path("q.sql"), '/* ---\ntitle = "idd"\n--- */\nSELECT id,\n    idd\nFROM events')
        with pytest.raises(QueryError, match=r"^q\.sql:5:5: there is no column 'idd'"):
            open_result(archive, Question.of(saved), now=NOW)

    def test_too_little_memory_says_what_helps(self, archive: Archive) -> None:
        sql = "SELECT list(i) AS l FROM range(100000000) t(i)"
        with pytest.raises(QueryError, match="more memory"):
            open_result(archive, Question(sql=sql), now=NOW, limits=Limits(memory="50MiB"))

    def test_a_damaged_file_fails_the_query_with_its_name(self, archive: Archive) -> None:
        spoilt = next(archive.path.rglob("month=2026-02/*.parquet"))
        spoilt.chmod(0o600)
        content = bytearray(spoilt.read_bytes())
        content[len(content) // 2 : -8] = b"\xff" * (len(content) - 8 - len(content) // 2)
        spoilt.write_bytes(content)
        with pytest.raises(IntegrityViolated, match=spoilt.name) as caught:
            ask(archive, "SELECT count(id) FROM events")
        assert caught.value.exit_code == ExitCode.INTEGRITY

    @pytest.mark.parametrize("sealed", [False, True])
    def test_an_error_that_sql_makes_up_is_no_damage(self, archive: Archive, *, sealed: bool) -> None:
        sound = next(archive.path.rglob("month=2026-02/*.parquet"))
        sql = f"SELECT count(error('{sound} is corrupt')) FROM events"
        with pytest.raises(QueryError, match="is corrupt"):
            open_result(archive, Question(sql=sql), now=NOW, limits=Limits(sealed=sealed))

    def test_a_missing_file_fails_the_query_with_its_name(self, archive: Archive) -> None:
        gone = next(archive.path.rglob("month=2026-02/*.parquet"))
        gone.unlink()
        with pytest.raises(ArchiveDamaged, match=gone.name):
            ask(archive, "SELECT count(*) FROM events")

    def test_a_file_that_comes_to_its_place_in_the_meantime_is_found(self, archive: Archive) -> None:
        """As when a commit is being finished while the archive is opened."""
        place = next((archive.path / "api_events").rglob("month=2026-02/*.parquet"))

        class Late(Archive):
            looked = 0

            def locate(self, file: Any) -> Path:
                if file.record.path.endswith(place.name):
                    Late.looked += 1
                    if Late.looked == 2:
                        shutil.move(aside, place)
                return super().locate(file)

        aside = archive.path.parent / "aside.parquet"
        shutil.move(place, aside)
        late = Late(archive.path, archive.archive_id)
        assert ask(late, "SELECT count(*) AS n FROM api_events") == [{"n": 5}]
        assert Late.looked == 2


class TestStreaming:
    def test_rows_come_in_batches_and_all_of_them(self, archive: Archive) -> None:
        with open_result(archive, Question(sql="SELECT i FROM range(100000) t(i)"), now=NOW) as result:
            sizes = [batch.num_rows for batch in result.batches()]
        assert sum(sizes) == 100_000
        assert max(sizes) <= BATCH_ROWS

    def test_the_first_rows_do_not_wait_for_the_last(self, archive: Archive) -> None:
        with open_result(archive, Question(sql="SELECT i FROM range(1000000000000) t(i)"), now=NOW) as result:
            assert next(result.batches()).num_rows > 0

    def test_columns_named_alike_are_told_apart(self, archive: Archive) -> None:
        with open_result(archive, Question(sql="SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a"), now=NOW) as result:
            (batch,) = result.batches()
            assert result.schema.names == ["a", "a_3", "a_2", "a_4"]
            assert batch.to_pylist() == [{"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}]

    def test_no_rows_still_have_columns(self, archive: Archive) -> None:
        with open_result(archive, Question(sql="SELECT id FROM events WHERE false"), now=NOW) as result:
            assert result.schema.names == ["id"]
            assert list(result.batches()) == []

    def test_an_interrupt_stops_the_query_at_once(self, archive: Archive) -> None:
        """Even before there is a first row."""
        stop = Stop()
        sql = "SELECT sum(i % 7) FROM range(1000000000000) t(i)"
        timer = threading.Timer(0.5, stop)
        timer.start()
        with pytest.raises(Interrupted):
            open_result(archive, Question(sql=sql), now=NOW, stop=stop)
        timer.join()

    def test_an_interrupt_stops_the_reading(self, archive: Archive) -> None:
        stop = Stop()
        with open_result(
            archive, Question(sql="SELECT i FROM range(1000000000000) t(i)"), now=NOW, stop=stop
        ) as result:
            batches = result.batches()
            next(batches)
            stop()
            with pytest.raises(Interrupted):
                list(batches)

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT sum(i % 7) FROM range(1000000000000) t(i)",
            "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3",
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
            "SELECT i FROM range(1000000000000) t(i)",
        ],
    )
    @pytest.mark.parametrize("plain", [False, True])
    def test_a_time_limit_ends_the_query_wherever_it_is(self, archive: Archive, sql: str, *, plain: bool) -> None:
        stop = Stop(timeout_seconds=0.2)

        def read() -> None:
            limits = Limits(memory="200MiB", threads=1)
            with open_result(archive, Question(sql=sql), now=NOW, limits=limits, stop=stop, plain=plain) as result:
                for _batch in result.batches():
                    pass

        with pytest.raises(TimeLimitReached, match=r"its time limit of 0\.2 s") as caught:
            read()
        assert caught.value.exit_code == ExitCode.TIME_LIMIT
        assert caught.value.hint

    def test_a_query_that_ends_in_time_leaves_no_watchman(self, archive: Archive) -> None:
        with open_result(archive, Question(sql="SELECT 1"), now=NOW, stop=Stop(timeout_seconds=1000)):
            assert any(thread.name == "time limit" for thread in threading.enumerate())
        for thread in threading.enumerate():
            if thread.name == "time limit":
                thread.join(10)
                assert not thread.is_alive()

    def test_a_stop_before_the_beginning_opens_nothing(self, archive: Archive) -> None:
        stop = Stop()
        stop()
        with pytest.raises(Interrupted):
            open_result(archive, Question(sql="SELECT 1"), now=NOW, stop=stop)

    def test_temporary_disk_is_limited(self, archive: Archive) -> None:
        limits = Limits(memory="64MiB", threads=1, temporary_disk="1MiB")
        sql = "SELECT repeat('x', 200) || (i * 7919 % 1000003) AS s FROM range(2000000) t(i) ORDER BY s"
        with pytest.raises(QueryError, match="more memory than it may use") as caught:
            open_result(archive, Question(sql=sql), now=NOW, limits=limits)
        assert caught.value.hint

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT i, i % 3 = 0 AS b, 'x' || i AS t, NULL::INTEGER AS n FROM range(20000) t(i)",
            "SELECT 1 AS a, 2 AS a, 3 AS a_2",
            "SELECT kind, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL",
            "SELECT id FROM events WHERE false",
        ],
    )
    def test_plain_rows_are_those_of_arrow(self, archive: Archive, sql: str) -> None:
        with open_result(archive, Question(sql=sql), now=NOW) as result:
            names, types = result.schema.names, [str(field.type) for field in result.schema]
            expected = [row for batch in result.batches() for row in zip(*batch.to_pydict().values(), strict=True)]
        with open_result(archive, Question(sql=sql), now=NOW, plain=True) as result:
            assert isinstance(result.schema, PlainSchema)
            assert (result.schema.names, [field.type for field in result.schema]) == (names, types)
            batches = list(result.batches())
        assert all(batch.num_rows <= BATCH_ROWS for batch in batches)
        found = [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]
        assert found == expected

    def test_what_is_more_than_plain_comes_by_arrow(self, archive: Archive) -> None:
        for sql in ("SELECT now()", "SELECT 1.5", "SELECT NULL", "SELECT [1]", "EXPLAIN SELECT 1", "SHOW TABLES"):
            with open_result(archive, Question(sql=sql), now=NOW, plain=True) as result:
                assert list(result.batches())

    def test_every_table_of_events_is_known_as_one(self) -> None:
        assert {table.name for table in EVENT_TABLES.values()} <= OF_EVENTS | OF_LOGS

    def test_the_head_is_the_ledger_s(self, archive: Archive) -> None:
        with open_result(archive, Question(sql="SELECT 1"), now=NOW) as result:
            assert result.head == archive.ledger().head

    def test_the_same_question_gives_the_same_rows(self, archive: Archive) -> None:
        assert ask_saved(archive, "address-activity", address="192.0.2.1") == ask_saved(
            archive, "address-activity", address="192.0.2.0/24"
        )
