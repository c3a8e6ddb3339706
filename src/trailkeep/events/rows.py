"""The rows of events: one Arrow column for each column of the kind's table."""

from __future__ import annotations

from itertools import accumulate, chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from msgspec.structs import astuple

from trailkeep.events.arrays import (
    Raws,
    int32_to_arrow,
    json_to_arrow,
    moments_to_arrow,
    texts_to_arrow,
    times_to_arrow,
)
from trailkeep.events.fields import LOG_FIELDS, STRUCTS, read_events, read_log
from trailkeep.schema import EVENT_TABLES, RESOURCE, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trailkeep.events.fields import Resource
    from trailkeep.events.identity import Arrival
    from trailkeep.streams import Kind

_EVENTS_AT_ONCE = 2_500
"""An event as Python objects takes three times the memory that it takes as a row."""

_GIVEN = frozenset({"id", "recorded_at", "raw", "ledger_seq"})
"""Columns that do not come out of an event's fields: identification has read them, or the commit fills them in."""


def to_rows(kind: Kind, arrivals: Sequence[Arrival]) -> pa.Table:
    """The rows of `arrivals`, in their order, with the columns of the kind's table but ``ledger_seq``."""
    starts = range(0, max(len(arrivals), 1), _EVENTS_AT_ONCE)
    parts = [arrivals[start : start + _EVENTS_AT_ONCE] for start in starts]
    return pa.Table.from_batches([_to_rows(kind, part) for part in parts])


def _to_rows(kind: Kind, arrivals: Sequence[Arrival]) -> pa.RecordBatch:
    raws = [arrival.raw for arrival in arrivals]
    return complete(kind, identities_of(arrivals, Raws(raws)), columns_of(kind, raws))


def columns_of(kind: Kind, raws: Sequence[bytes]) -> pa.RecordBatch:
    """What the events say beside their ids and times, in their order."""
    table = EVENT_TABLES[kind]
    names = [column.name for column in table.columns if column.name not in _GIVEN]
    columns = _log_columns(raws) if kind == "iam" else _event_columns(kind, raws)
    return pa.RecordBatch.from_arrays([columns[name] for name in names], names)


def identities_of(arrivals: Sequence[Arrival], raws: Raws) -> pa.RecordBatch:
    """What identifies events, their times and their bytes, which are `raws`."""
    columns = {
        "id": pa.array([arrival.id for arrival in arrivals], pa.string()),
        "recorded_at": moments_to_arrow([arrival.recorded_at for arrival in arrivals]),
        "raw": raws.to_arrow(),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def complete(kind: Kind, identities: pa.RecordBatch, columns: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of events of which `identities_of` and `columns_of` have said these."""
    found = {
        name: each for some in (identities, columns) for name, each in zip(some.schema.names, some.columns, strict=True)
    }
    names = [column.name for column in EVENT_TABLES[kind].columns if column.name != "ledger_seq"]
    return pa.RecordBatch.from_arrays([found[name] for name in names], names)


def _log_columns(raws: Sequence[bytes]) -> dict[str, pa.Array]:
    logs = map(astuple, map(read_log, raws))
    return {name: texts_to_arrow(values) for name, values in _by_name(LOG_FIELDS, logs).items()}


def _event_columns(kind: Kind, raws: Sequence[bytes]) -> dict[str, pa.Array]:
    names = STRUCTS[kind].__struct_fields__
    values = _by_name(names, map(astuple, read_events(kind, raws)))
    columns: dict[str, pa.Array] = {}
    for name, some in values.items():
        if name == "resources":
            columns[name] = _resources_to_arrow([each or () for each in some])
        elif name == "principal":
            columns["principal_id"] = texts_to_arrow([None if each is None else each.id for each in some])
        elif name == "request_body":
            columns[name] = json_to_arrow(some)
        elif name == "status_code":
            columns[name] = int32_to_arrow(some)
        else:
            columns[name] = texts_to_arrow(some)
    return columns


def _resources_to_arrow(lists: Sequence[Sequence[Resource]]) -> pa.Array:
    values = _by_name(RESOURCE.names, map(attrgetter(*RESOURCE.names), chain.from_iterable(lists)))
    fields: list[pa.Array] = []
    for field in RESOURCE:
        some = values[field.name]
        if field.name == "info":
            fields.append(json_to_arrow(some))
        else:
            fields.append(times_to_arrow(some) if field.type == TIMESTAMP else texts_to_arrow(some))
    structs = pa.StructArray.from_arrays(fields, fields=list(RESOURCE))
    offsets = pa.array(accumulate(map(len, lists), initial=0), pa.int32())
    return pa.ListArray.from_arrays(offsets, structs)


def _by_name(names: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> dict[str, Sequence[Any]]:
    """The values of each name, of rows with a value for each. One name after the other would take twice as long."""
    names = list(names)
    return dict(zip(names, list(zip(*rows, strict=True)) or [()] * len(names), strict=True))
