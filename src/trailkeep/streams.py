"""What is collected: the kinds of events, and the stream that one kind of one region of one Organization is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

Kind = Literal["api", "authentication", "system"]
KINDS: tuple[Kind, ...] = get_args(Kind)

RETENTION_DAYS = 90
"""How long the API keeps an event (Scaleway's documentation); older moments can never be read again."""

_REGION = re.compile(r"[a-z]{2,8}-[a-z]{2,8}(-[0-9]{1,2})?")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Stream:
    """One kind of events of one region of one Organization: the unit that is read, covered and proven."""

    organization_id: str
    kind: Kind
    region: str

    def __str__(self) -> str:
        return f"{self.kind} {self.region}"


def parse_region(text: str) -> str:
    """A region's name such as ``fr-par``, in lower case; unknown regions pass, since their list grows.

    Raises ValueError for what cannot be a region, so that it never reaches a path or a URL.
    """
    region = text.strip().lower()
    if not _REGION.fullmatch(region):
        raise ValueError(f"{text!r} is not a region such as fr-par, nl-ams or pl-waw")
    return region


def parse_organization_id(text: str) -> str:
    """An Organization's id as a lower-case UUID. Raises ValueError for anything else."""
    try:
        return str(UUID(text.strip()))
    except ValueError:
        raise ValueError(f"{text!r} is not an Organization's id, which is a UUID") from None
