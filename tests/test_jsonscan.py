"""The scanner finds the same parts as a JSON parser, byte for byte, and refuses what is cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trailkeep.jsonscan import elements, members

REFUSED = "it |its |a member|a colon|an element"
"""How every refusal begins."""

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
objects = st.dictionaries(st.text(), values, max_size=5)
layouts = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 0, 1, 3]), "separators": st.just((" , ", " : "))}
) | st.just({"separators": (",", ":"), "ensure_ascii": False})


def written(value: Any, layout: dict[str, Any]) -> bytes:
    return json.dumps(value, **layout).encode("utf-8", "surrogatepass")


@given(objects, layouts)
def test_members_are_those_of_a_parser_and_verbatim(value: dict[str, Any], layout: dict[str, Any]) -> None:
    text = written(value, layout)
    found = members(text)
    assert {key: json.loads(part) for key, part in found.items()} == value
    assert all(part in text and part == part.strip() for part in found.values())


@given(st.lists(values, max_size=5), layouts)
def test_elements_are_those_of_a_parser_and_verbatim(value: list[Any], layout: dict[str, Any]) -> None:
    text = written(value, layout)
    found = elements(text)
    assert [json.loads(part) for part in found] == value
    assert all(part in text and part == part.strip() for part in found)


@given(objects, layouts, st.data())
def test_text_that_is_cut_off_anywhere_is_refused(value: dict[str, Any], layout: dict[str, Any], data: Any) -> None:
    text = written(value, layout)
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ValueError, match=REFUSED):
        members(text[:cut])


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:\\a1 \n', max_size=25).map(str.encode))
def test_garbage_is_refused_where_a_parser_takes_another_shape(text: bytes) -> None:
    """Only the structure is judged: whatever a parser takes as an object is taken, with the same keys."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        value = None
    for read, shape in ((members, dict), (elements, list)):
        try:
            found = read(text)
        except ValueError:
            assert not isinstance(value, shape)
        else:
            assert value is None or len(found) == len(value)


def test_the_last_of_several_same_keys_counts() -> None:
    assert members(b'{"a":1, "b":2, "a":3}') == {"a": b"3", "b": b"2"}
    assert members(b'{"a":1, "\\u0061":2}') == {"a": b"2"}


def test_depth_is_no_limit() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert members(b'{"a":' + deep + b"}") == {"a": deep}
    assert elements(b"[" + deep + b",1]") == [deep, b"1"]


def test_strings_may_hold_brackets_quotes_surrogates_and_raw_control_characters() -> None:
    assert members(b'{"a":"}]\\"{", "b":"\\ud800\x01\n"}') == {"a": b'"}]\\"{"', "b": b'"\\ud800\x01\n"'}
    assert elements(b'["\\\\", "\\\\\\""]') == [b'"\\\\"', b'"\\\\\\""']


def test_a_long_string_is_read_in_one_go() -> None:
    text = b'"' + b"x\\n" * 700_000 + b'"'
    assert members(b'{"a":' + text + b"}")["a"] == text
    with pytest.raises(ValueError, match="not JSON"):
        members(b'{"a":' + text[:-1] + b"}")


@pytest.mark.parametrize(
    "text",
    b"""| |null|[]|"{}"|{|{}{}|{} x|x{}|{"a"}|{"a":}|{"a":1,}|{,}|{"a":1]|{1:2}|{"a":1:2}|{:"a"}|{"a":[}]|{"a":1"b":2}
|\xef\xbb\xbf{}""".split(b"|"),
)
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=REFUSED):
        members(text)


@pytest.mark.parametrize("text", [b"", b"{}", b"[", b"[1,]", b"[,1]", b"[1,,2]", b"[1]2", b'["a":1]', b"[1}", b"null"])
def test_what_is_no_array_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=REFUSED):
        elements(text)


def test_empty_objects_and_arrays_hold_nothing() -> None:
    assert members(b" { } ") == {}
    assert elements(b"\n[\t]") == []
