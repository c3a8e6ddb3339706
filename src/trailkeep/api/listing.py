"""The answers of numbered lists: their elements verbatim, and how many there are in all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from trailkeep import jsonscan

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One answered page of a list."""

    elements: list[bytes]
    """Each element's bytes, as the API sent them."""
    total: int | None
    """How many elements the whole list has, as the API says; None where it does not."""
    server_date: datetime | None
    received_at: datetime


def split_listing(body: bytes, key: str) -> tuple[list[bytes], int | None]:
    """The elements under `key`, and ``total_count``.

    Raises ValueError for a body without such a list: it is never taken for an empty one.
    """
    try:
        members: dict[str, bytes | msgspec.Raw] = dict(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))
        elements = [bytes(each) for each in msgspec.json.decode(members.get(key, b""), type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        members = dict(jsonscan.members(body))
        elements = jsonscan.elements(bytes(members.get(key, b"")))
    return elements, _count(bytes(members.get("total_count", b"")))


def _count(text: bytes) -> int | None:
    """A number of elements, also as the text that JSON of 64-bit numbers uses."""
    digits = text.strip().strip(b'"')
    return int(digits) if digits.isdigit() and len(digits) < 19 else None
