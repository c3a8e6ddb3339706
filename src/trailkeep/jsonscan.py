"""The members of a JSON object and the elements of an array as verbatim bytes, without recursion or validation.

For what strict parsers refuse and evidence must keep all the same: lone surrogates, raw control characters in strings,
nesting deeper than a parser's stack. Only the structure is read; what stands in a value is the caller's business.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_CLOSING = {b"{": b"}", b"[": b"]"}


def members(text: bytes) -> dict[str, bytes]:
    """The members of the object that `text` is, each value verbatim; the last of several same keys counts.

    Raises ValueError where the text is not one object with balanced brackets.
    """
    found: dict[str, bytes] = {}
    key: str | None = None
    for mark, item in _split(text, b"{"):
        if mark == b":" and key is None:
            key = _key(item)
        elif key is not None and item and mark != b":":
            found[key] = item
            key = None
        elif item or found or key is not None or mark != b"}":
            raise ValueError("a member is not a key, a colon and a value")
    return found


def elements(text: bytes) -> list[bytes]:
    """The elements of the array that `text` is, each verbatim. Raises ValueError where it is not one array."""
    found: list[bytes] = []
    for mark, item in _split(text, b"["):
        if mark == b":":
            raise ValueError("a colon stands between elements")
        if item:
            found.append(item)
        elif found or mark != b"]":
            raise ValueError("an element is empty")
    return found


def is_nested_deeper(text: bytes, levels: int) -> bool:
    """Whether more brackets than that are open at once anywhere in the text, be it whole JSON or not."""
    if len(text) <= levels or text.count(b"{") + text.count(b"[") <= levels:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in _CLOSING) - (token[0] in (b"}", b"]"))
        if depth > levels:
            return True
    return False


def _split(text: bytes, bracket: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every comma and colon directly inside the outer brackets, and their end, with what stands before each."""
    tokens = _TOKEN.finditer(text)
    first = next(tokens, None)
    if first is None or first[0] != bracket or text[: first.start()].strip():
        raise ValueError(f"it does not start with {bracket.decode()}")
    closing = [_CLOSING[bracket]]
    item_start = read = first.end()
    for token in tokens:
        mark = token[0]
        if not closing or text[read : token.start()].strip():
            raise ValueError("it holds what is not JSON, or more than one value")
        read = token.end()
        if mark in _CLOSING:
            closing.append(_CLOSING[mark])
            continue
        outer = len(closing) == 1
        if mark in (b"}", b"]") and closing.pop() != mark:
            raise ValueError("its brackets do not match")
        if outer and mark in (b",", b":", b"}", b"]"):
            yield mark, text[item_start : token.start()].strip()
            item_start = read
    if closing or text[read:].strip():
        raise ValueError("it is cut off")


def _key(text: bytes) -> str:
    try:
        key = json.loads(text, strict=False)
    except ValueError:
        key = None
    if not isinstance(key, str):
        raise ValueError("a member's key is not a string")
    return key
