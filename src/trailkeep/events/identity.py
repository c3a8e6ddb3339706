"""What identifies an event and puts it in order, and what among the events is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from trailkeep import jsonscan
from trailkeep.events.values import UNFIT, text_or_none
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trailkeep.streams import Kind

_TOGETHER = 128
"""So many events are read in one go; where one of them does not fit, each of them is read alone."""
_PLAIN_TIMES = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z\n)*")
"""Times that `datetime.fromisoformat` reads as `parse_moment` does, a line each."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """An event as it arrived: its bytes, and what identifies it and puts it in order.

    Tens of thousands live while a batch fills, so the garbage collector is told that none of them is in a cycle.
    """

    raw: bytes
    id: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Something among the events that is not a JSON object with an id and a time."""

    raw: bytes
    reason: str


class _Identity(msgspec.Struct, gc=False):
    id: str
    recorded_at: str


class _LogIdentity(msgspec.Struct, gc=False):
    id: str
    recorded_at: str = msgspec.field(name="created_at")


_decoder = msgspec.json.Decoder(_Identity)
_log_decoder = msgspec.json.Decoder(_LogIdentity)


def identify(raws: Iterable[bytes | msgspec.Raw], kind: Kind = "api") -> tuple[list[Arrival], list[Reject]]:
    """Tell events from what is none, and read each event's id and time."""
    items = list(map(bytes, raws))
    arrivals: list[Arrival] = []
    rejects: list[Reject] = []
    for start in range(0, len(items), _TOGETHER):
        some = items[start : start + _TOGETHER]
        try:
            arrivals += _identify_together(some, kind)
        except (*UNFIT, ValueError):
            for raw in some:
                try:
                    arrivals.append(_identify_alone(raw, kind))
                except ValueError as error:
                    rejects.append(Reject(raw=raw, reason=str(error)))
    return arrivals, rejects


def _identify_together(raws: Sequence[bytes], kind: Kind) -> Iterable[Arrival]:
    """What `_identify_alone` says of each. Raises where one of them may need a closer look."""
    decode = (_log_decoder if kind == "iam" else _decoder).decode
    if not all(map(bytes.isascii, raws)):
        for raw in raws:
            raw.decode()
    identities = list(map(decode, raws))
    ids = list(map(attrgetter("id"), identities))
    if not all(ids):
        raise ValueError("an id is empty")
    texts = list(map(attrgetter("recorded_at"), identities))
    plain = _PLAIN_TIMES.fullmatch("\n".join([*texts, ""]))
    moments = list(map(datetime.fromisoformat if plain else parse_moment, texts))
    return map(Arrival, raws, ids, moments)


def _identify_alone(raw: bytes, kind: Kind) -> Arrival:
    """Read an event's id and time. Raises ValueError saying what is missing."""
    decode = (_log_decoder if kind == "iam" else _decoder).decode
    try:
        raw.decode()
        identity = decode(raw)
        if identity.id:
            return Arrival(raw, identity.id, parse_moment(identity.recorded_at))
    except (*UNFIT, ValueError):
        pass
    return _identify_slowly(raw, "created_at" if kind == "iam" else "recorded_at")


def _identify_slowly(raw: bytes, time_field: str) -> Arrival:
    """Read the id and the time of what the strict parser refuses. Raises ValueError saying what is missing."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    try:
        fields = jsonscan.members(raw)
    except ValueError as error:
        raise ValueError(f"it is not a JSON object: {error}") from None
    identifier = text_or_none(fields.get("id"))
    if not identifier:
        raise ValueError("it has no id")
    recorded_at = text_or_none(fields.get(time_field))
    if not recorded_at:
        raise ValueError(f"it has no {time_field}")
    try:
        return Arrival(raw, identifier, parse_moment(recorded_at))
    except ValueError:
        raise ValueError(f"its {time_field} is not an RFC 3339 time") from None
