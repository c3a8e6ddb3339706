"""Cases of saved queries: how their files are read, the archive that each is, and how answers are compared."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trailkeep.analysis import Question, open_result
from trailkeep.cases import read_cases, run_alone, run_case
from trailkeep.cases.building import build
from trailkeep.cases.comparing import MAX_SHOWN, differences, same, shown
from trailkeep.cases.document import MAX_BYTES, MAX_DEPTH, MAX_VALUES, parse_document, read_document
from trailkeep.cases.moments import DAY, as_sent, length, moment
from trailkeep.errors import UsageError
from trailkeep.queries import Next, Parameter, parse
from trailkeep.queries.leading import arguments
from trailkeep.store import Archive
from trailkeep.timespan import Span
from trailkeep.verify import verify_archive

FILE = Path("c.yaml")
MARCH = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
ALL = "SELECT * FROM events WHERE recorded_at >= $since AND recorded_at < $until ORDER BY ALL"


def value_of(text: str) -> Any:
    return parse_document(FILE, text).value


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_document(FILE, text)
    return caught.value.message


class TestDocument:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            *[(each, None) for each in ("", "~", "null", "Null", "NULL")],
            *[(each, True) for each in ("true", "True", "TRUE")],
            *[(each, each) for each in ("yes", "no", "on", "off", "y", "tRUE", "10:00", "2026-03-01", "1_000", "<<")],
            *[(each, each) for each in ("2026-03-01T10:00:00Z", "190:20:30", "0b1", "=", "1.2.3", "+", ".", "e1")],
            *[("12", 12), ("-12", -12), ("+1", 1), ("012", 12), ("0o17", 15), ("0x1F", 31)],
            *[("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("-.inf", float("-inf"))],
            *[("'12'", "12"), ('"null"', "null"), ("! 12", "12"), ("!!str 12", "12")],
        ],
    )
    def test_the_core_schema_of_yaml_1_2(self, written: str, value: Any) -> None:
        assert value_of(f"a: {written}\n") == {"a": value}

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(st.characters(max_codepoint=0xD7FF)),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab:- #", max_size=4), inner),
            max_leaves=12,
        )
    )
    def test_what_json_says_yaml_says(self, value: Any) -> None:
        text = json.dumps(value)  # which is YAML 1.2, in which every text is in quotes
        assert value_of(text) == value

    def test_aliases_repeat_values(self) -> None:
        assert value_of("a: &x [1, {b: 2}]\nc: *x\nd: [*x, *x]") == {
            "a": [1, {"b": 2}],
            "c": [1, {"b": 2}],
            "d": [[1, {"b": 2}]] * 2,
        }

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: 1\nb:\n  c: 1\n  c: 2", "c.yaml:4: 'c' stands twice in the same mapping"),
            ("a: 1\n!!str a: 2", "c.yaml:2: 'a' stands twice"),
            ("a:\n- !!python/object/apply:os.system [id]", "c.yaml:2: the tag tag:yaml.org,2002:python/object/apply"),
            ("a: !!binary aGk=", "c.yaml:1: the tag tag:yaml.org,2002:binary is not allowed"),
            ("a: !!int '1'", "c.yaml:1: the tag tag:yaml.org,2002:int is not allowed"),
            ("a: !own {b: 1}", "c.yaml:1: the tag !own is not allowed"),
            ("a: 1\n[b]: 1", "c.yaml:2: a key must be a text"),
            ("a: 1\n? {b: 1}\n: 1", "c.yaml:2: a key must be a text"),
            ("a: &x 1\n*x : 1", "c.yaml:2: a key must be a text"),
            ("a: *x", "c.yaml:1: "),
            ("a: &x [*x]", "c.yaml:1: nothing whole is called &x before this"),
            ("a: 1\n---\nb: 1", "c.yaml:2: a second document begins here"),
            ("a: [1\nb: 2", "c.yaml:2: "),
            ("a: 'x", "c.yaml:1: "),
            ("a: 1\nb: \0", "c.yaml:2: a character that YAML does not allow"),
            ("a: \ud800", "c.yaml:1: "),
            ("a: " + "1" * 5000, "c.yaml:1: a number of so many digits"),
            ("a: 1\n" + "[" * 100_000, "c.yaml:2: "),
            ("a: " + "[" * 100_000, "c.yaml:1: values lie deeper in each other"),
            ("- " * 100_000, "c.yaml:1: values lie deeper in each other"),
            ("{a: " * (MAX_DEPTH + 2), "c.yaml:1: values lie deeper in each other"),
        ],
    )
    def test_what_is_refused_says_where(self, text: str, message: str) -> None:
        assert refused(text).startswith(message), refused(text)[:200]

    def test_aliases_do_not_blow_up(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
        assert refused("\n".join(lines)) == f"c.yaml:6: more than {MAX_VALUES} values"

    def test_without_the_parser_in_c_it_is_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "a: [1, on, 10:00, ! 2, !!str 3, '4', ~, &x {b: 0x10}, *x]\n"
        with_c = value_of(text)
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
        assert value_of(text) == with_c
        assert refused("a: 1\na: 2").startswith("c.yaml:2: 'a' stands twice")

    def test_a_file_beyond_the_limits_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_text("#" * (MAX_BYTES + 1))
        with pytest.raises(UsageError, match="longer than"):
            read_document(path)
        path.write_bytes(b"a: 1\nb: \xff")
        with pytest.raises(UsageError, match=r"c\.yaml:2:4: not UTF-8"):
            read_document(path)


class TestMoments:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("10:00", DAY + timedelta(hours=10)),
            ("+2d 10:00:01", DAY + timedelta(days=2, hours=10, seconds=1)),
            ("-30d 00:00", DAY - timedelta(days=30)),
            ("23:59:59.000001", DAY + timedelta(days=1) - timedelta(microseconds=999_999)),
            ("10:00:00.5", DAY + timedelta(hours=10, milliseconds=500)),
            ("2026-03-05", datetime(2026, 3, 5, tzinfo=UTC)),
            ("2026-03-05T01:02:03.123456789+01:00", datetime(2026, 3, 5, 0, 2, 3, 123456, tzinfo=UTC)),
        ],
    )
    def test_what_a_text_means(self, written: str, meant: datetime) -> None:
        assert moment(written) == meant
        assert moment(as_sent(written)) == meant

    @pytest.mark.parametrize("written", ["24:00", "9:00", "10:60", "+1 10:00", "soon", "now", "", 10, None, True])
    def test_what_is_none(self, written: Any) -> None:
        with pytest.raises(ValueError, match=r"no time|not a time"):
            moment(written)

    def test_all_decimals_are_sent(self) -> None:
        assert as_sent("2026-03-05T01:02:03.123456789Z") == "2026-03-05T01:02:03.123456789Z"

    def test_lengths(self) -> None:
        assert [length(each) for each in ("1us", "2ms", "3s", "4m", "5h", "6d")] == [
            timedelta(microseconds=1),
            timedelta(milliseconds=2),
            timedelta(seconds=3),
            timedelta(minutes=4),
            timedelta(hours=5),
            timedelta(days=6),
        ]
        for written in ("1", "1w", "-1s", "", None, 5, "9" * 15 + "d"):
            with pytest.raises(ValueError, match="no length of time"):
                length(written)


def saved(sql: str = ALL, toml: str = "") -> Any:
    return parse("hunt/q", Path("q.sql"), f'/* ---\ntitle = "T"\n{toml}\n--- */\n{sql}')


def cases_of(tmp_path: Path, text: str, query: Any = None) -> list[Any]:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return list(read_cases(path, (query or saved()).parameters).cases)


def one(tmp_path: Path, body: str, query: Any = None) -> Any:
    """The only case of a file, whose keys are `body`."""
    indented = "\n".join(f"  {line}" for line in body.strip().splitlines())
    (case,) = cases_of(tmp_path, f"cases:\n- name: one\n{indented}\n", query)
    return case


def rows_of(tmp_path: Path, body: str, sql: str) -> list[dict[str, Any]]:
    """What SQL says of a case's archive."""
    case = one(tmp_path, f"{body}\nrows: []")
    build(case, MARCH, tmp_path / "archive")
    with open_result(Archive.open(tmp_path / "archive"), Question(sql=sql), now=case.now) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


def test_an_archive_that_is_gone_in_a_moment_gets_no_pivot_index(tmp_path: Path) -> None:
    case = one(tmp_path, "events:\n- {api: CreateServer, id: e, at: '10:00'}\nrows: []")
    build(case, MARCH, tmp_path / "archive")
    assert Archive.open(tmp_path / "archive").ledger().files("api_events")
    assert not list(tmp_path.rglob("pivots"))


class TestFiles:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", ":1: a case file holds one list"),
            ("cases: []", ":1: there is no case in it"),
            ("cases: {}", ":1: a case file holds one list"),
            ("case: []", ":1: a case file holds one list"),
            ("cases:\n- 1", ":2: a case is a mapping"),
            ("cases:\n- {nam: x}", ":2: unknown key 'nam'"),
            ("cases:\n- {rows: []}", ":2: a case has no name"),
            ("cases:\n- {name: x}", ":2: a case has no rows"),
            ("cases:\n- name: x\n  rows: 1", ":3: rows must be a list"),
            ("cases:\n- name: x\n  rows:\n  - 1", ":4: each of rows is a mapping"),
            ("cases:\n- {name: x, rows: []}\n- {name: x, rows: []}", ":3: two cases are called 'x'"),
            ("cases:\n- name: x\n  params: {a: 1}\n  rows: []", ":3: the query has no parameter 'a'"),
            ("cases:\n- name: x\n  params: {now: soon}\n  rows: []", ":3: 'soon' is no time"),
            ("cases:\n- name: x\n  events:\n  - {at: '10:00'}\n  rows: []", ":4: an event is one of api, login"),
            ("cases:\n- name: x\n  events:\n  - {id: e, api: A}\n  rows: []", ":4: None is no time"),
            ("cases:\n- name: x\n  events:\n  - {id: 1, api: A, at: '10:00'}\n  rows: []", ":4: an event has no id"),
            ("cases:\n- name: x\n  events:\n  - id: e\n    api: A\n    ipp: 1\n  rows: []", ":6: unknown key 'ipp'"),
            (
                "cases:\n- name: x\n  events:\n  - {id: e, api: A, at: '10:00', repeat: {times: 0}}\n  rows: []",
                ":4: an event can be repeated 1 to",
            ),
            (
                "cases:\n- name: x\n  events:\n  - {id: e, api: A, at: '10:00', repeat: {times: 99999999}}\n  rows: []",
                ":4: an event can be repeated 1 to",
            ),
            (
                "cases:\n- name: x\n  events:\n  - {id: e, api: A, at: '10:00', region: ../x}\n  rows: []",
                ":4: '../x' is no region",
            ),
            (
                "cases:\n- name: x\n  events:\n  - {id: e, api: A, at: '10:00', organization: ../x}\n  rows: []",
                ":4: this cannot be an Organization's id",
            ),
            (
                "cases:\n- name: x\n  events:\n  - &e {id: e, api: A, at: '10:00'}\n  - *e\n  rows: []",
                ":5: two events have the id 'e'",
            ),
            ("cases:\n- name: x\n  directory:\n  - {user: {id: a}}\n  rows: []", ":4: an object of the directory"),
            ("cases:\n- name: x\n  directory:\n  - {users: {}}\n  rows: []", ":4: this cannot be one of users"),
            ("cases:\n- name: x\n  coverage:\n  - {kind: x}\n  rows: []", ":4: 'x' is no kind"),
            ("cases:\n- name: x\n  coverage:\n  - {from: 2026-04-01}\n  rows: []", ":4: from is not before to"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(UsageError) as caught:
            cases_of(tmp_path, text)
        assert caught.value.message.startswith(f"{tmp_path / 'c.yaml'}{message}"), caught.value.message

    def test_times_of_day_are_moments_in_parameters_of_that_type_only(self, tmp_path: Path) -> None:
        query = saved(toml='[params.a]\ntype = "timestamp"\n[params.b]\ntype = "text"\n[params.c]\ntype = "timestamp"')
        case = one(tmp_path, 'params: {a: "10:00", b: "10:00", c: 30d, now: "+1d 00:00"}\nrows: []', query)
        assert (case.given["a"], case.given["b"], case.given["c"]) == ("2026-03-02T10:00:00.000000Z", "10:00", "30d")
        assert case.now == datetime(2026, 3, 3, tzinfo=UTC)
        assert case.given["since"] == "2026-03-01"


class TestArchive:
    def test_what_is_not_written_is_not_in_the_event(self, tmp_path: Path) -> None:
        events = """
events:
- {id: a, api: CreateAPIKey, at: "10:00"}
- {id: b, api: X, at: "10:01", by: null, ip: null, agent: null, status: null, product: null, locality: null}
- {id: c, login: failure, at: "10:02"}
- {id: d, login: success, at: "10:03", user: null, reason: r, country: FR, method: m, mfa: totp, origin: o}
- {id: e, system: cron, at: "10:04"}
- {iam: created, id: f, at: "10:05", resource: {type: api_key, id: SCW}}
"""
        (tmp_path / "x").mkdir()
        api = rows_of(tmp_path / "x", events, "SELECT * EXCLUDE (raw) FROM api_events ORDER BY recorded_at")
        assert [row["principal_id"] for row in api] == ["alice", None]
        assert (api[0]["source_ip"], api[0]["user_agent"], api[0]["status_code"]) == ("192.0.2.1", "scaleway-cli", 200)
        assert (api[0]["product_name"], api[0]["service_name"], api[0]["locality"]) == (
            "iam",
            "scaleway.iam.v1.Api",
            "fr-par",
        )
        absent = {"source_ip", "user_agent", "status_code", "product_name", "service_name", "locality", "request_body"}
        assert {name for name in absent if api[1][name] is not None} == set()
        archive = Archive.open(tmp_path / "x" / "archive")

        def ask(sql: str) -> list[dict[str, Any]]:
            with open_result(archive, Question(sql=sql), now=MARCH.end) as result:
                return [row for batch in result.batches() for row in batch.to_pylist()]

        logins = ask("SELECT * EXCLUDE (raw) FROM authentication_events ORDER BY recorded_at")
        assert [[each["id"] for each in row["resources"]] for row in logins] == [["alice"], []]
        assert [row["failure_reason"] for row in logins] == [None, "r"]
        assert [row["country_code"] for row in logins] == [None, "FR"]
        (system,) = ask("SELECT * EXCLUDE (raw) FROM system_events")
        assert (system["kind"], system["system_name"], system["resources"]) == ("cron", None, [])
        (log,) = ask("SELECT * EXCLUDE (raw) FROM iam_logs")
        assert (log["action"], log["bearer_id"], log["resource_id"]) == ("created", "alice", "SCW")

    def test_events_are_repeated_merged_and_placed(self, tmp_path: Path) -> None:
        events = """
events:
- {id: e, api: A, at: "10:00", repeat: {times: 3, every: 1us}, locality: nl-ams-1, project: p,
   body: {a: {b: 1}}, more: {request_body: {a: {c: 2}}, new: [1]},
   resources: [{type: t, id: r, info: {k: v}, created_at: "-1d 00:00"}], organization: other}
"""
        rows = rows_of(tmp_path, events, "SELECT * FROM api_events ORDER BY id")
        assert [row["id"] for row in rows] == ["e.1", "e.2", "e.3"]
        assert [row["recorded_at"].microsecond for row in rows] == [0, 1, 2]
        assert {row["region"] for row in rows} == {"nl-ams"}
        assert {row["organization_id"] for row in rows} == {"other"}
        assert json.loads(rows[0]["request_body"]) == {"a": {"b": 1, "c": 2}}
        assert json.loads(rows[0]["raw"])["new"] == [1]
        (resource,) = rows[0]["resources"]
        assert (resource["info"], resource["created_at"]) == ('{"k": "v"}', datetime(2026, 3, 1))  # noqa: DTZ001

    def test_the_directory_is_looked_at_at_each_time_that_is_named(self, tmp_path: Path) -> None:
        objects = """
directory:
- {users: {id: a, username: anna}, at: "-30d 00:00"}
- {policies: {id: p, name: p, rules: [{id: r, permission_set_names: [X]}]}, at: "-30d 00:00"}
- {users: {id: a, username: anne}, at: "-20d 00:00"}
- {users: {id: b, username: bob}, at: "-20d 00:00"}
- {users: {id: a}, gone: true, at: "-10d 00:00"}
"""
        sql = "SELECT id, name, deleted_at IS NULL AS there FROM principals ORDER BY id"
        (tmp_path / "x").mkdir()
        assert rows_of(tmp_path / "x", objects, sql) == [
            {"id": "a", "name": "anne", "there": False},
            {"id": "b", "name": "bob", "there": True},
        ]
        sql = "SELECT name, gone_at IS NOT NULL AS gone FROM principal_history WHERE id = 'a' ORDER BY valid_from"
        (tmp_path / "y").mkdir()
        versions = [(row["name"], row["gone"]) for row in rows_of(tmp_path / "y", objects, sql)]
        assert versions == [("anna", False), ("anne", True)]
        sql = "SELECT rules[1].permission_set_names AS names FROM policies"
        (tmp_path / "z").mkdir()
        assert rows_of(tmp_path / "z", objects, sql) == [{"names": ["X"]}]

    def test_all_of_the_asked_span_is_covered_unless_the_case_says(self, tmp_path: Path) -> None:
        sql = "SELECT kind, region, start_at, end_at FROM coverage ORDER BY kind, region"
        event = 'events: [{id: e, api: A, at: "10:00", region: nl-ams}]'
        (tmp_path / "x").mkdir()
        spans = rows_of(tmp_path / "x", event, sql)
        assert {(row["start_at"], row["end_at"]) for row in spans} == {
            (MARCH.start.replace(tzinfo=None), MARCH.end.replace(tzinfo=None))
        }
        assert [(row["kind"], row["region"]) for row in spans] == [
            *[("api", "fr-par"), ("api", "nl-ams"), ("authentication", "fr-par"), ("authentication", "nl-ams")],
            *[("iam", "global"), ("system", "fr-par"), ("system", "nl-ams")],
        ]
        said = 'coverage: [{kind: api, to: "10:00"}, {kind: system, outcome: not_offered}]'
        (tmp_path / "y").mkdir()
        (span,) = rows_of(tmp_path / "y", said, sql)
        assert (span["kind"], span["end_at"]) == ("api", datetime(2026, 3, 2, 10))  # noqa: DTZ001
        (tmp_path / "z").mkdir()
        sql = "SELECT kind, start_at, reason FROM gaps"
        (gap,) = rows_of(tmp_path / "z", said, sql)
        assert (gap["kind"], gap["start_at"], gap["reason"]) == ("api", datetime(2026, 3, 2, 10), "unread")  # noqa: DTZ001

    def test_what_a_case_builds_is_an_archive_like_any_other(self, tmp_path: Path) -> None:
        body = 'events: [{id: e, api: A, at: "10:00", repeat: {times: 50, every: 1d}}]\ndirectory: [{users: {id: a}}]'
        build(one(tmp_path, f"{body}\nrows: []"), MARCH, tmp_path / "archive")
        assert verify_archive(tmp_path / "archive", deep=True).problems == ()


class TestRunning:
    def test_an_answer_that_differs_is_told(self, tmp_path: Path) -> None:
        query = saved(
            "SELECT id, status_code FROM api_events WHERE recorded_at >= $since AND recorded_at < $until ORDER BY ALL"
        )
        case = one(tmp_path, 'events: [{id: e, api: A, at: "10:00"}]\nrows:\n- {id: e, status_code: 403}', query)
        assert run_alone(query, case).differences == ("line 5: row 1: status_code is 200, wanted 403",)
        assert run_case(query, one(tmp_path, "rows: []", query), tmp_path / "empty").passed

    def test_what_a_query_cannot_be_asked_is_told(self, tmp_path: Path) -> None:
        query = saved("SELECT $a + 1 AS b", '[params.a]\ntype = "integer"\nrequired = true')
        (missing,) = run_alone(query, one(tmp_path, "rows: []", query)).differences
        assert missing.startswith("the parameter a is missing")
        (wrong,) = run_alone(query, one(tmp_path, "params: {a: x}\nrows: []", query)).differences
        assert wrong.startswith("the parameter a cannot be 'x'")
        assert run_alone(query, one(tmp_path, "params: {a: 1}\nrows: [{b: 2}]", query)).passed
        broken = saved("SELECT nope FROM api_events")
        (failed,) = run_alone(broken, one(tmp_path, "rows: []", broken)).differences
        assert "nope" in failed

    def test_nothing_is_left_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import tempfile

        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
        (tmp_path / "t").mkdir()
        assert run_alone(saved(), one(tmp_path, "rows: []")).passed
        assert list((tmp_path / "t").iterdir()) == []


class Interval:
    """As Arrow gives the engine's lengths of time."""

    def __init__(self, months: int, days: int, nanoseconds: int) -> None:
        self.months, self.days, self.nanoseconds = months, days, nanoseconds


class TestComparing:
    @pytest.mark.parametrize(
        ("wanted", "got"),
        [
            (None, None),
            (1, 1),
            (1, 1.0),
            (1, Decimal(1)),
            (0.3, 0.1 + 0.2),
            (True, True),
            ("a", "a"),
            ([1, None], [1, None]),
            ({"a": 1}, {"a": 1, "b": 2}),
            ({"a": [1]}, '{"a":[1]}'),
            ("10:00", datetime(2026, 3, 2, 10)),  # noqa: DTZ001
            ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
            ("15m", timedelta(minutes=15)),
            ("1d", Interval(0, 1, 0)),
            ("2ms", Interval(0, 0, 2_000_000)),
        ],
    )
    def test_what_is_the_same(self, wanted: Any, got: Any) -> None:
        assert same(wanted, got)

    @pytest.mark.parametrize(
        ("wanted", "got"),
        [
            (None, ""),
            ("", None),
            (1, True),
            (True, 1),
            (False, 0),
            ("1", 1),
            (1, "1"),
            (2**60, 2**60 + 1),
            ([1], [1, 1]),
            ([1, 2], [2, 1]),
            (["a"], "a"),
            ({"a": 1}, {"b": 1}),
            ({"a": 1}, "not JSON"),
            ("10:00", datetime(2026, 3, 2, 10, 0, 0, 1)),  # noqa: DTZ001
            ("soon", datetime(2026, 3, 2, 10)),  # noqa: DTZ001
            (5, timedelta(seconds=5)),
            (10**400, 1.0),
        ],
    )
    def test_what_is_not(self, wanted: Any, got: Any) -> None:
        assert not same(wanted, got)

    def test_rows_too_many_and_too_few_are_told_by_themselves(self) -> None:
        came = [{"a": "x", "b": 1}, {"a": "y", "b": 2}, {"a": "z", "b": 3}]
        assert differences([{"a": "x"}, {"a": "z"}], [5, 6], came, ["a", "b"]) == [
            "2 rows wanted, 3 rows came",
            'row 2 is not wanted: {"a": "y"}',
        ]
        assert differences([{"a": "x"}, {"a": "n"}, {"a": "y"}, {"a": "z"}], [5, 6, 7, 8], came, ["a", "b"]) == [
            "4 rows wanted, 3 rows came",
            'line 6: no such row: {"a": "n"}',
        ]
        assert differences([], [], came[:1], ["a", "b"]) == [
            "0 rows wanted, 1 row came",
            'row 1 is not wanted: {"a": "x", "b": 1}',
        ]

    def test_the_order_counts(self) -> None:
        assert len(differences([{"a": 1}, {"a": 2}], [1, 2], [{"a": 2}, {"a": 1}], ["a"])) == 2

    def test_a_column_that_is_not_there_is_told_with_those_that_are(self) -> None:
        assert differences([{"c": None}], [1], [{"a": 1}], ["a"]) == ["the result has no column c; it has a"]

    def test_many_differences_are_cut(self) -> None:
        many = [{"a": n} for n in range(100)]
        told = differences(many, list(range(100)), [{"a": -1}] * 100, ["a"])
        assert len(told) == MAX_SHOWN + 1
        assert told[-1] == "and 80 more differences"

    @given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 3), max_size=8))
    def test_nothing_is_told_just_where_the_answers_agree(self, wanted: list[int], came: list[int]) -> None:
        told = differences([{"a": n} for n in wanted], list(range(len(wanted))), [{"a": n} for n in came], ["a"])
        assert (told == []) == (wanted == came)

    def test_hostile_values_are_shown_as_escapes_on_one_line(self) -> None:
        assert shown("\x1b[31m\n\u202e") == '"\\u001b[31m\\n\\u202e"'
        assert len(shown("x" * 10_000)) < 400


class TestLeading:
    LEADING = Next(query="scope/x", why="w", parameters={"principal": "who", "hosts": "ips", "since": "at"})
    LISTS: ClassVar = {"hosts": Parameter(name="hosts", type="list[text]")}

    def test_columns_stand_in_angle_brackets_where_there_is_no_row(self) -> None:
        assert arguments(self.LEADING) == "scope/x -p principal=<who> -p hosts=<ips> --since <at>"

    def test_a_row_s_values_are_quoted_for_a_shell(self) -> None:
        row = {"who": "a b;$(id)", "ips": ["192.0.2.1", "::1"], "at": datetime(2026, 3, 2)}  # noqa: DTZ001
        assert arguments(self.LEADING, row, self.LISTS) == (
            "scope/x -p principal='a b;$(id)' -p hosts=192.0.2.1,::1 --since 2026-03-02T00:00:00.000000Z"
        )

    @pytest.mark.parametrize("value", [None, "", [], "\x1b[31m", "a\nb", "x" * 5_000])
    def test_what_cannot_stand_in_a_command_is_left_to_be_filled_in(self, value: Any) -> None:
        leading = Next(query="scope/x", why="w", parameters={"principal": "who"})
        assert arguments(leading, {"who": value}) == "scope/x -p principal=<who>"

    def test_a_list_of_texts_with_commas_or_an_at_sign_is_not_another_list(self) -> None:
        leading = Next(query="scope/x", why="w", parameters={"hosts": "ips"})
        assert arguments(leading, {"ips": ["a,b"]}, self.LISTS) == "scope/x -p hosts=<ips>"
        assert arguments(leading, {"ips": ["@file"]}, self.LISTS) == "scope/x -p hosts=@@file"
