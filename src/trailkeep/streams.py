"""What is collected: the kinds of records, and the stream that one kind of one region of one Organization is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable

EventKind = Literal["api", "authentication", "system"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
"""The kinds of the Audit Trail, of which there is a stream in every region."""

Kind = Literal["api", "authentication", "system", "iam"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Those, and IAM's own log."""

TABLE_NAMES: dict[Kind, str] = {
    "api": "api_events",
    "authentication": "authentication_events",
    "system": "system_events",
    "iam": "iam_logs",
}
"""The table that holds each kind's records, as `schema.EVENT_TABLES` has it; here for who asks for no column of it."""

GLOBAL = "global"
"""The region of a stream that an Organization has once: IAM's log. No region of Scaleway's has such a name."""

RETENTION_DAYS = 90
"""How long the API keeps an event (Scaleway's documentation); older moments can never be read again."""

LOG_KEPT_DAYS = 7
"""How long IAM surely keeps a record of its log. How long it really does is not documented: where nothing shows that it
still has what is older, silence there is not taken for a proof that nothing was logged."""

_REGION = re.compile(r"[a-z]{2,8}-[a-z]{2,8}(-[0-9]{1,2})?")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Stream:
    """One kind of records of one region of one Organization: the unit that is read, covered and proven."""

    organization_id: str
    kind: Kind
    region: str

    def __str__(self) -> str:
        return f"{self.kind} {self.region}"


def streams_of(organization_id: str, kinds: Iterable[Kind], regions: Iterable[str]) -> list[Stream]:
    """The streams of these kinds, region by region; the one that is of no region comes last."""
    asked = list(kinds)
    streams = [
        Stream(organization_id=organization_id, kind=kind, region=region)
        for region in regions
        for kind in asked
        if kind in EVENT_KINDS
    ]
    if "iam" in asked:
        streams.append(Stream(organization_id=organization_id, kind="iam", region=GLOBAL))
    return streams


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
