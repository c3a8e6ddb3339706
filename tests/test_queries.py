"""Saved queries: where they are found, what their front matter may say, and how parameters are read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trailkeep.coverage import OF_EVENTS
from trailkeep.errors import ExitCode, UsageError
from trailkeep.guard import check
from trailkeep.queries import Parameter, bind, discover, find, load, parse, query_folders, time_span
from trailkeep.queries.discovery import built_in_folder
from trailkeep.queries.parameters import TYPES, read

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHIPPED = discover(query_folders((), directory=Path("/nowhere")))


def front(toml: str, sql: str = "SELECT 1") -> str:
    return f"/* ---\n{toml}\n--- */\n{sql}\n"


def place(folder: Path, name: str, text: str | None = None) -> Path:
    path = folder / f"{name}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(front(f'title = "{name}"') if text is None else text)
    return path


class TestDiscovery:
    def test_the_shipped_queries_are_found(self) -> None:
        assert built_in_folder() is not None
        assert len(SHIPPED) >= 10
        assert "scope/principal-timeline" in SHIPPED

    def test_a_short_name_is_enough_when_it_is_unique(self) -> None:
        assert find("principal-timeline", SHIPPED).name == "scope/principal-timeline"
        assert find("scope/principal-timeline", SHIPPED).name == "scope/principal-timeline"

    def test_an_ambiguous_short_name_lists_the_full_ones(self, tmp_path: Path) -> None:
        place(tmp_path, "a/same")
        place(tmp_path, "b/same")
        with pytest.raises(UsageError, match="several") as caught:
            find("same", discover([tmp_path]))
        assert caught.value.hint == "Write one of: a/same, b/same."

    def test_an_unknown_name_gives_the_nearest(self) -> None:
        with pytest.raises(UsageError) as caught:
            find("principle-timeline", SHIPPED)
        assert "scope/principal-timeline" in (caught.value.hint or "")
        assert caught.value.exit_code == ExitCode.USAGE

    def test_one_s_own_query_hides_a_later_one_of_the_same_name(self, tmp_path: Path) -> None:
        mine, theirs = tmp_path / "mine", tmp_path / "theirs"
        place(mine, "scope/x")
        place(theirs, "scope/x")
        place(theirs, "scope/y")
        found = discover([mine, theirs])
        assert [query.path.parent.parent.name for query in found.values()] == ["mine", "theirs"]

    def test_a_file_directly_in_its_folder_has_no_stage(self, tmp_path: Path) -> None:
        path = place(tmp_path, "alone")
        found = discover([tmp_path])
        assert list(found) == ["alone"]
        assert load("alone", path).stage == ""

    def test_the_working_directory_s_queries_come_before_the_built_in_ones(self, tmp_path: Path) -> None:
        (tmp_path / "queries").mkdir()
        folders = query_folders((), directory=tmp_path)
        assert folders[0] == tmp_path / "queries"
        assert folders[-1] == built_in_folder()

    def test_a_folder_that_is_named_twice_is_searched_once(self) -> None:
        built_in = built_in_folder()
        assert built_in is not None
        assert len(query_folders((built_in,), directory=built_in.parent)) == 1

    def test_a_missing_extra_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="not a folder"):
            query_folders((tmp_path / "none",), directory=tmp_path)


class TestFrontMatter:
    def test_everything_it_can_say(self) -> None:
        query = parse(
            "stage/x",
            Path("x.sql"),
            front(
                'title = "T"\ndescription = "D"\nquestion = 25\nattack = ["T1098.001"]\nseverity = "medium"\n'
                'false_positives = ["f"]\nblind_spots = ["b"]\n[params.principal]\ntype = "uuid"\nrequired = true\n'
                '[params.since]\ntype = "timestamp"\ndefault = "30d"'
            ),
        )
        assert (query.title, query.description, query.question) == ("T", "D", 25)
        assert (query.attack, query.severity) == (("T1098.001",), "medium")
        assert query.stage == "stage"
        assert query.parameters["principal"].required
        assert query.parameters["since"].default == "30d"
        assert query.parameters["until"].default == "now"

    def test_windows_line_ends_are_read(self) -> None:
        text = front('title = "T"\nquestion = 1').replace("\n", "\r\n")
        assert parse("x", Path("x.sql"), text).question == 1

    @pytest.mark.parametrize(
        ("toml", "message"),
        [
            ('title = "T"\nquestion = = 1', r"^q\.sql:3:12: "),
            ('title = "T"\n\nsevrity = "low"', r"^q\.sql:4:1: unknown key 'sevrity'"),
            ('title = "T"\nseverity = "dire"', r"^q\.sql:3:1: 'dire' is no severity"),
            ('title = "T"\nattack = ["TA004"]', r"^q\.sql:3:11: 'TA004' is not an ATT&CK technique"),
            ('title = "T"\nattack = "T1098"', r"^q\.sql:3:1: attack must be a list"),
            ('title = "T"\nquestion = true', r"^q\.sql:3:1: question must be a whole number"),
            ('description = "D"', r"^q\.sql:2:1: the front matter has no title"),
            ('title = "T"\n[params.a]\ntype = "integr"', r"^q\.sql:4:1: the parameter a has no known type"),
            ('title = "T"\n[params.a]\ntype = "integer"\n  default = "x"', r"^q\.sql:5:3: the default of a cannot"),
            ('title = "T"\n[params.a]\ndefault = 1', r"^q\.sql:3:1: the parameter a has no known type"),
            ('title = "T"\n[params.a]\ntype = "text"\nwhat = 1', r"^q\.sql:5:1: unknown key 'what'"),
            ('title = "T"\n[params.a]\ntype = "text"\nrequired = true\ndefault = "x"', r"^q\.sql:6:1: a is required"),
            ('title = "T"\n[params.since]\ntype = "text"', r"^q\.sql:4:1: since is always a timestamp"),
            ('title = "T"\n[params.A-b]\ntype = "text"', r"^q\.sql:\d+:\d+: 'A-b' is not declared"),
            ('title = "T"\nparams = 1', r"^q\.sql:3:1: params must be tables"),
            ('title = """', r"^q\.sql:\d+:\d+: "),
        ],
    )
    def test_an_error_says_file_line_and_column(self, toml: str, message: str) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            parse("q", Path("q.sql"), front(toml))
        assert caught.value.exit_code == ExitCode.USAGE

    @pytest.mark.parametrize("text", ["SELECT 1", "", "/* a comment */ SELECT 1", "/* --- title = 1"])
    def test_a_file_without_front_matter_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"^q\.sql:1:1: there is no front matter"):
            parse("q", Path("q.sql"), text)

    def test_a_file_that_is_not_utf_8_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.sql"
        path.write_bytes(b"/* ---\xff")
        with pytest.raises(UsageError, match="not UTF-8 at byte 6"):
            load("x", path)

    def test_a_file_that_is_gone_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No such file"):
            load("x", tmp_path / "x.sql")


class TestParameters:
    @pytest.mark.parametrize(
        ("kind", "written", "value"),
        [
            ("timestamp", "2026-01-31", datetime(2026, 1, 31)),  # noqa: DTZ001 - columns have no zone
            ("timestamp", "2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10)),  # noqa: DTZ001
            ("timestamp", "36h", datetime(2026, 2, 28, 0)),  # noqa: DTZ001
            ("timestamp", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)),  # noqa: DTZ001
            ("duration", "15m", timedelta(minutes=15)),
            ("integer", " -7 ", -7),
            ("integer", 2**63 - 1, 2**63 - 1),
            ("number", "1.5e3", 1500.0),
            ("text", " as it is ", " as it is "),
            ("text", "", ""),
            ("uuid", "6170692E-7363-616c-6577-61792e636f6d", "6170692e-7363-616c-6577-61792e636f6d"),
            ("uuid", "6170692e7363616c657761792e636f6d", "6170692e-7363-616c-6577-61792e636f6d"),
            ("ip", "2001:DB8:0::1", "2001:db8::1"),
            ("cidr", "192.0.2.7/24", "192.0.2.0/24"),
            ("cidr", "192.0.2.7", "192.0.2.7/32"),
            ("boolean", "Yes", True),
            ("boolean", False, False),
            ("list[integer]", "1, 2,3", [1, 2, 3]),
            ("list[integer]", [1, 2], [1, 2]),
            ("list[text]", "", []),
            ("list[cidr]", "192.0.2.1,2001:db8::/32", ["192.0.2.1/32", "2001:db8::/32"]),
            ("text", None, None),
        ],
    )
    def test_what_is_written_becomes_a_value(self, kind: str, written: Any, value: Any) -> None:
        assert read(Parameter(name="p", type=kind), written, NOW) == value

    @pytest.mark.parametrize(
        ("kind", "written"),
        [
            ("timestamp", "yesterday"),
            ("timestamp", 7),
            ("timestamp", "999999999999999y"),
            ("duration", "soon"),
            ("integer", "1.5"),
            ("integer", "0x1f"),
            ("integer", str(2**63)),
            ("integer", True),
            ("integer", "1_000"),
            ("number", "nan"),
            ("number", "much"),
            ("number", True),
            ("text", 1),
            ("text", "\udc80"),
            ("uuid", "alice"),
            ("uuid", "{6170692e-7363-616c-6577-61792e636f6d}"),
            ("ip", "192.0.2.256"),
            ("ip", "192.0.2.0/24"),
            ("cidr", "192.0.2.0/33"),
            ("cidr", 5),
            ("boolean", "maybe"),
            ("list[integer]", "1,x"),
            ("list[integer]", 5),
        ],
    )
    def test_what_does_not_fit_says_what_is_wanted(self, kind: str, written: Any) -> None:
        parameter = Parameter(name="p", type=kind)
        with pytest.raises(UsageError, match="the parameter p cannot be") as caught:
            read(parameter, written, NOW)
        assert caught.value.hint == f"It wants {parameter.wanted}."

    def test_every_type_says_what_it_wants(self) -> None:
        for kind in TYPES:
            assert Parameter(name="p", type=kind).wanted
            assert Parameter(name="p", type=f"list[{kind}]").wanted

    def test_a_missing_parameter_says_how_to_give_it(self) -> None:
        declared = {"principal": Parameter(name="principal", type="uuid", required=True, description="Who.")}
        with pytest.raises(UsageError, match="the parameter principal is missing") as caught:
            bind(declared, {}, NOW)
        assert (caught.value.hint or "").startswith("Add -p principal=VALUE: a UUID")

    def test_an_unknown_parameter_gives_the_nearest(self) -> None:
        declared = {"principal": Parameter(name="principal", type="uuid")}
        with pytest.raises(UsageError, match="no parameter 'principle'") as caught:
            bind(declared, {"principle": "x"}, NOW)
        assert caught.value.hint == "Did you mean principal? There is: principal."

    def test_an_optional_parameter_without_default_is_null(self) -> None:
        assert bind({"a": Parameter(name="a", type="text")}, {}, NOW) == {"a": None}

    def test_a_span_without_a_moment_is_refused(self) -> None:
        day = datetime(2026, 1, 1)  # noqa: DTZ001
        with pytest.raises(UsageError, match="not before until"):
            time_span({"since": day, "until": day})


class TestTheShippedPack:
    @pytest.mark.parametrize("name", SHIPPED)
    def test_a_query_is_whole(self, name: str) -> None:
        query = load(name, SHIPPED[name].path)
        assert query.title
        assert query.description
        if query.severity:
            assert query.attack
            assert query.false_positives
        sql = re.sub(r"/\*.*?\*/", "", query.text, flags=re.DOTALL)
        statement = check(query.text, source=str(query.path))
        # What only the directory answers is of now, and no question of the list of investigations.
        of_spans = OF_EVENTS - {"principals", "principal_history", "resources_seen"}
        if statement.tables is None or statement.tables & of_spans:
            assert query.question is not None
            assert {"since", "until"} <= statement.parameters, "it is bounded in time"
        assert statement.parameters <= set(query.parameters), "what it uses is declared"
        assert set(query.parameters) - {"since", "until"} <= statement.parameters, "what is declared is used"
        assert sql.rstrip().splitlines()[-1].startswith("ORDER BY "), "its order is total"
        assert "raw" not in statement.parameters
        assert "->" not in sql, "JSON that the engine's parser refuses would fail the whole query"
