"""Single JSON values that a strict parser may refuse: each is read as far as it can be, and none raises."""

from __future__ import annotations

import json

import msgspec

from trailkeep import jsonscan

UNFIT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the strict parser raises for an event that does not fit its struct."""


MOST_LEVELS = 800
"""JSON nested deeper is not read: how deep a parser gets depends on who calls it, and what is read must not."""


def text_or_none(value: bytes | None) -> str | None:
    """The string that a JSON value is, or None for another type, an empty string, or what cannot be read."""
    if value is None or not value.startswith(b'"'):
        return None
    try:
        text = json.loads(value, strict=False)
    except ValueError:
        return None
    return _replace_surrogates(text) if isinstance(text, str) else None


def integer_or_none(value: bytes | None) -> int | None:
    """The whole number that a JSON value is, or None."""
    try:
        number = json.loads(value or b"null")
    except (ValueError, RecursionError):
        return None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def members_or_none(value: bytes | None) -> dict[str, bytes]:
    """The members of the object that a JSON value is; none where it is no object."""
    try:
        return jsonscan.members(value or b"")
    except ValueError:
        return {}


def safe_json(text: bytes | None) -> bytes | None:
    """JSON text that every parser takes, or None: what no parser reads stays in ``raw`` alone.

    DuckDB refuses a whole query for one malformed text, so one hostile event could blind every question.
    """
    if text is None or text == b"null" or jsonscan.is_nested_deeper(text, MOST_LEVELS):
        return None
    try:
        msgspec.json.decode(text)
        return bytes(text)
    except UNFIT:
        pass
    try:
        value = json.loads(text, strict=False, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return None
    return _replace_surrogates(json.dumps(value, ensure_ascii=False)).encode()


def _replace_surrogates(text: str) -> str:
    """Lone surrogates cannot be stored as text; each becomes U+FFFD, and ``raw`` keeps what it was."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
