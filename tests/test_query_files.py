"""The files that queries are made of: lists of values, indicators, and where in a file something is wrong."""

from __future__ import annotations

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trailkeep.errors import UsageError
from trailkeep.queries import Parameter, bind, load, parse, sample
from trailkeep.queries.files import MAX_LIST_LINES, read_list, read_text
from trailkeep.queries.front_matter import examine
from trailkeep.queries.indicators import indicator, refang
from trailkeep.queries.parameters import TYPES, read
from trailkeep.queries.toml_places import places

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_file(folder: Path, content: str | bytes, name: str = "list.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


class TestLists:
    def test_one_value_a_line_with_comments(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "\ufeff# all of it\r\n\r\n a, b \r\nc#d # why\r\n\t# no\r\nlast")
        assert read_list(path) == [(3, "a, b"), (4, "c#d"), (6, "last")]

    @pytest.mark.parametrize("kind", TYPES)
    def test_any_list_can_lie_in_a_file(self, tmp_path: Path, kind: str) -> None:
        written = {"timestamp": "2026-01-31", "duration": "1h", "boolean": "true"}.get(kind) or str(TYPES[kind].sample)
        path = a_file(tmp_path, f"{written}\n{written}\n")
        parameter = Parameter(name="p", type=f"list[{kind}]")
        assert read(parameter, f"@{path}", NOW) == [TYPES[kind].sample] * 2
        assert read(parameter, path, NOW) == [TYPES[kind].sample] * 2
        assert sample(parameter) == [TYPES[kind].sample]

    def test_what_is_wrong_says_file_and_line_and_what_was_wanted(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "# x\n1\ntwo\n")
        with pytest.raises(UsageError, match=rf"^{path}:3: 'two' cannot be used") as caught:
            read(Parameter(name="p", type="list[integer]"), f"@{path}", NOW)
        assert caught.value.hint == "Each line wants a whole number."

    def test_a_text_that_begins_with_an_at_sign_is_written_with_two(self) -> None:
        parameter = Parameter(name="p", type="list[text]")
        assert read(parameter, "@@alice,bob", NOW) == ["@alice", "bob"]
        assert read(parameter, "bob,@alice", NOW) == ["bob", "@alice"]
        assert read(parameter, ["@alice"], NOW) == ["@alice"]
        assert read(Parameter(name="p", type="text"), "@alice", NOW) == "@alice"

    def test_a_relative_path_is_relative_to_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a_file(tmp_path, "1\n")
        monkeypatch.chdir(tmp_path)
        assert read(Parameter(name="p", type="list[integer]"), "@list.txt", NOW) == [1]

    def test_a_pipe_a_device_and_a_folder_are_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", Path("/dev/zero")):
            with pytest.raises(UsageError, match="not a regular file"):
                read_list(path)
        for path in (tmp_path, tmp_path / "none", tmp_path / "a\0b"):
            with pytest.raises(UsageError):
                read_list(path)

    def test_limits_hold(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="longer than 5 bytes"):
            read_text(a_file(tmp_path, "123456"), 5)
        with pytest.raises(UsageError, match=f"more than {MAX_LIST_LINES}"):
            read_list(a_file(tmp_path, "\n" * MAX_LIST_LINES))

    def test_what_is_not_utf_8_says_where(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"list\.txt:2:3: not UTF-8 at byte 5"):
            read_list(a_file(tmp_path, b"ab\ncd\xff"))


class TestDefaults:
    TEXT = '/* ---\ntitle = "T"\n[params.p]\ntype = "list[text]"\ndefault = "@{path}"\n--- */\nSELECT $p'

    def test_a_default_s_file_lies_beside_the_query(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "lists").mkdir()
        a_file(tmp_path / "lists", "x\n")
        path = a_file(tmp_path, self.TEXT.format(path="lists/list.txt"), "q.sql")
        monkeypatch.chdir("/")
        assert bind(load("q", path).parameters, {}, NOW)["p"] == ["x"]

    @pytest.mark.parametrize("path", ["/etc/passwd", "../list.txt", "link.txt"])
    def test_it_does_not_lead_elsewhere(self, tmp_path: Path, path: str) -> None:
        folder = tmp_path / "queries"
        folder.mkdir()
        (folder / "link.txt").symlink_to(a_file(tmp_path, "secret\n"))
        query = load("q", a_file(folder, self.TEXT.format(path=path), "q.sql"))
        with pytest.raises(UsageError, match="outside of the query's folder"):
            bind(query.parameters, {}, NOW)

    def test_a_missing_one_hinders_only_who_needs_it(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, self.TEXT.format(path="none.txt"), "q.sql")
        query = load("q", path)
        assert bind(query.parameters, {"p": "a"}, NOW)["p"] == ["a"]
        with pytest.raises(UsageError, match="No such file"):
            bind(query.parameters, {}, NOW)
        _query, front = examine("q", path, path.read_text(), files=True)
        (problem,) = front.problems
        assert (problem.line, problem.column) == (5, 1)
        assert "none.txt" in problem.message


class TestIndicators:
    @pytest.mark.parametrize(
        ("written", "compared"),
        [
            ("192.0.2[.]1", "192.0.2.1"),
            ("192(.)0[dot]2{.}1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("2001:DB8[:]0::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("6170692E-7363-616C-6577-61792E636F6D", "6170692e-7363-616c-6577-61792e636f6d"),
            ("hxxps://evil[.]example/x", "https://evil.example/x"),
            ("hXXp[://]evil.example", "http://evil.example"),
            ("SCWABCDEFGHIJKLMNOPQ", "SCWABCDEFGHIJKLMNOPQ"),
            ("Mozilla/5.0 (X11; Linux) (KHTML, like Gecko)", "Mozilla/5.0 (X11; Linux) (KHTML, like Gecko)"),
        ],
    )
    def test_what_is_compared(self, written: str, compared: str) -> None:
        assert indicator(written) == compared

    @pytest.mark.parametrize(
        "written", ["192.0.2.256", "10.0.0.0/33", "192.0.2.1:443", "[2001:db8::1]:443", "1:2:3", "192.0.2.1,evil", ""]
    )
    def test_what_could_never_be_found_is_refused(self, written: str) -> None:
        with pytest.raises(ValueError, match=r"address|several|empty"):
            indicator(written)

    @given(st.text(max_size=40))
    def test_an_indicator_is_its_own_form(self, text: str) -> None:
        try:
            once = indicator(text)
        except ValueError:
            return
        assert indicator(once) == once

    def test_text_without_a_mark_stays(self) -> None:
        assert refang("curl/8.0 (x)") == "curl/8.0 (x)"

    def test_a_file_of_them_is_a_list(self, tmp_path: Path) -> None:
        parameter = Parameter(name="p", type="ioc_file")
        path = a_file(tmp_path, "# list\n192.0.2[.]1 # c2\ncurl\n")
        for written in (str(path), f"@{path}", path, ["192.0.2[.]1", "curl"]):
            assert read(parameter, written, NOW) == ["192.0.2.1", "curl"]
        with pytest.raises(UsageError, match="no indicator in it"):
            read(parameter, a_file(tmp_path, "# nothing\n"), NOW)
        with pytest.raises(UsageError, match="No such file"):
            read(parameter, "192.0.2.1", NOW)


def located(text: str) -> list[tuple[int, int, str]]:
    _query, front = examine("q", Path("q.sql"), text)
    return [(problem.line, problem.column, problem.message) for problem in front.problems]


class TestPlaces:
    def test_all_that_is_wrong_is_said_in_the_order_of_the_file(self) -> None:
        text = (
            '/* ---\ntitle = ""\nattack = ["T1078",\n\t"T1", "TX"]\nquestion = 67\nseverity = "dire"\nwhat = 1\n'
            '[params.a]\ntype = "integer"\ndefault = "x"\n[params.b]\n--- */\nSELECT 1'
        )
        assert [(line, column) for line, column, _message in located(text)] == [
            (2, 1),
            (4, 2),
            (4, 8),
            (5, 1),
            (6, 1),
            (7, 1),
            (10, 1),
            (11, 1),
        ]

    def test_words_inside_of_texts_are_no_keys(self) -> None:
        text = (
            '/* ---\ntitle = "T"\ndescription = """\nseverity = 1 [params.x]\n"""\nseverity = "dire"\n--- */ SELECT 1'
        )
        assert located(text)[0][:2] == (6, 1)

    @pytest.mark.parametrize(
        ("toml", "place"),
        [
            ('params.a.type = "nope"', (3, 1)),
            ('params = {b = {type = "text"}, a = {type = "nope"}}', (3, 37)),
            ('[params]\n"a".type = "nope"', (4, 1)),
            ('["params" . a] # x\n  type = "nope"', (4, 3)),
        ],
    )
    def test_every_way_to_write_a_table(self, toml: str, place: tuple[int, int]) -> None:
        assert located(f'/* ---\ntitle = "T"\n{toml}\n--- */ SELECT 1')[0][:2] == place

    def test_windows_lines_a_mark_of_byte_order_tabs_and_a_thousand_lines(self, tmp_path: Path) -> None:
        lines = ["/* ---", 'title = "é日"', *["# é"] * 1000, '\tseverity = "dire"', "--- */", "SELECT 1"]
        path = a_file(tmp_path, ("\ufeff" + "\r\n".join(lines)).encode(), "q.sql")
        with pytest.raises(UsageError, match=r"q\.sql:1003:2: 'dire'"):
            load("q", path)

    def test_a_number_too_long_and_a_nest_too_deep_are_errors(self) -> None:
        for value in ("1" * 5000, "[" * 100_000):
            with pytest.raises(UsageError, match=r"^q\.sql:\d+:\d+: "):
                parse("q", Path("q.sql"), f'/* ---\ntitle = "T"\nquestion = {value}\n--- */ SELECT 1')

    @given(
        st.dictionaries(
            st.from_regex(r"[a-z]{1,3}", fullmatch=True),
            st.recursive(
                st.one_of(st.integers(), st.booleans(), st.text(max_size=8)),
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]", fullmatch=True), inner)
                ),
                max_leaves=6,
            ),
            min_size=1,
        )
    )
    def test_every_key_and_element_is_found_where_it_stands(self, value: dict[str, Any]) -> None:
        toml = "".join(f"{key} = {written(item)}  # {key} = [\n" for key, item in value.items())
        assert tomllib.loads(toml) == value
        found = places(toml)
        for path, item in walked(value, ()):
            start = found[path]
            shown = written(item)
            assert toml[start:].startswith(shown if isinstance(path[-1], int) else f"{path[-1]} = {shown}")


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08X}" for character in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {written(item)}" for key, item in value.items()) + "}"
    return str(value)


def walked(value: Any, path: tuple[Any, ...]) -> list[tuple[tuple[Any, ...], Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: list[tuple[tuple[Any, ...], Any]] = []
    for key, item in items:
        found += [((*path, key), item), *walked(item, (*path, key))]
    return found
