"""The rows of events: one Arrow column for each column of the kind's table."""

from __future__ import annotations

from itertools import accumulate, chain
from operator import attrgetter
from typing import TYPE_CHECKING

import pyarrow as pa

from trailkeep.events.arrays import (
    int32_to_arrow,
    json_to_arrow,
    moments_to_arrow,
    raw_to_arrow,
    texts_to_arrow,
    times_to_arrow,
)
from trailkeep.events.fields import LOG_FIELDS, ApiEvent, read_events, read_log
from trailkeep.schema import EVENT_TABLES, RESOURCE, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trailkeep.events.fields import Resource
    from trailkeep.events.identity import Arrival
    from trailkeep.schema import Table
    from trailkeep.streams import Kind

_EVENTS_AT_ONCE = 2_500
"""An event as Python objects takes three times the memory that it takes as a row."""

_GIVEN = frozenset({"id", "recorded_at", "raw", "ledger_seq"})
"""Columns that do not come out of an event's fields: identification has read them, or the commit fills them in."""


def to_rows(kind: Kind, arrivals: Sequence[Arrival]) -> pa.Table:
    """The rows of `arrivals`, in their order, with the columns of the kind's table but ``ledger_seq``."""
    starts = range(0, max(len(arrivals), 1), _EVENTS_AT_ONCE)
    parts = [arrivals[start : start + _EVENTS_AT_ONCE] for start in starts]
    return pa.Table.from_batches(
        [complete(kind, part, columns_of(kind, [each.raw for each in part])) for part in parts]
    )


def columns_of(kind: Kind, raws: Sequence[bytes]) -> pa.RecordBatch:
    """What the events say beside their ids and times, in their order."""
    table = EVENT_TABLES[kind]
    names = [column.name for column in table.columns if column.name not in _GIVEN]
    columns = _log_columns(raws) if kind == "iam" else _event_columns(kind, table, raws)
    return pa.RecordBatch.from_arrays([columns[name] for name in names], names)


def complete(kind: Kind, arrivals: Sequence[Arrival], columns: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of `arrivals`, of which `columns_of` has said `columns`."""
    found = {
        "id": pa.array([arrival.id for arrival in arrivals], pa.string()),
        "recorded_at": moments_to_arrow(arrival.recorded_at for arrival in arrivals),
        "raw": raw_to_arrow([arrival.raw for arrival in arrivals]),
        **dict(zip(columns.schema.names, columns.columns, strict=True)),
    }
    names = [column.name for column in EVENT_TABLES[kind].columns if column.name != "ledger_seq"]
    return pa.RecordBatch.from_arrays([found[name] for name in names], names)


def _log_columns(raws: Sequence[bytes]) -> dict[str, pa.Array]:
    logs = list(map(read_log, raws))
    return {name: texts_to_arrow(list(map(attrgetter(name), logs))) for name in LOG_FIELDS}


def _event_columns(kind: Kind, table: Table, raws: Sequence[bytes]) -> dict[str, pa.Array]:
    events = read_events(kind, raws)
    columns: dict[str, pa.Array] = {
        "resources": _resources_to_arrow([event.resources or () for event in events]),
    }
    for name in (column.name for column in table.columns if column.name not in _GIVEN | {"resources"}):
        if name == "principal_id":
            principals = [event.principal if isinstance(event, ApiEvent) else None for event in events]
            columns[name] = texts_to_arrow([None if each is None else each.id for each in principals])
            continue
        values = list(map(attrgetter(name), events))
        if name == "request_body":
            columns[name] = json_to_arrow(list(map(bytes, values)))
        elif name == "status_code":
            columns[name] = int32_to_arrow(values)
        else:
            columns[name] = texts_to_arrow(values)
    return columns


def _resources_to_arrow(lists: Sequence[Sequence[Resource]]) -> pa.Array:
    flat = list(chain.from_iterable(lists))
    fields: list[pa.Array] = []
    for field in RESOURCE:
        values = list(map(attrgetter(field.name), flat))
        if field.name == "info":
            fields.append(json_to_arrow(list(map(bytes, values))))
        else:
            fields.append(times_to_arrow(values) if field.type == TIMESTAMP else texts_to_arrow(values))
    structs = pa.StructArray.from_arrays(fields, fields=list(RESOURCE))
    offsets = pa.array(accumulate(map(len, lists), initial=0), pa.int32())
    return pa.ListArray.from_arrays(offsets, structs)
