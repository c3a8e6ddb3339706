"""Whether two versions of an event say the same."""

from __future__ import annotations

import json


def same_content(one: bytes, other: bytes) -> bool:
    """Whether two versions of an event are the same JSON; the order of keys differs between the API's answers."""
    if one == other:
        return True
    try:
        return _canonical(one) == _canonical(other)
    except (ValueError, RecursionError):
        return False


def _canonical(raw: bytes) -> str:
    return json.dumps(json.loads(raw, strict=False, parse_int=_number), sort_keys=True)


def _number(text: str) -> int | str:
    """An integer, or its digits where Python refuses to convert so many."""
    try:
        return int(text)
    except ValueError:
        return text
