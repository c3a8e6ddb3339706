"""What could leave an event, and since when, as far as the snapshots of the product lists tell."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from trailkeep.directory.spells import spells_where
from trailkeep.directory.unlogged import UNLOGGED, covers
from trailkeep.timespan import format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.directory.history import History
    from trailkeep.directory.spells import Row
    from trailkeep.seal import DirectoryRecord

_Method = tuple[str, str]
"""A service and a method of it."""


def blind_spots(history: History) -> dict[str, Any]:
    """The lists, what was on them and when, and what is not documented to be logged, as JSON values."""
    lists = _lists(history)
    first_read = {
        (each["organization_id"], each["region"]): parse_moment(each["first_read_at"])
        for each in lists
        if each["first_read_at"]
    }
    methods = [one for rows in history.everywhere("products") for one in _methods(rows, first_read)]
    methods.sort(key=lambda each: (*_place(each), each["from"]))
    now = [each for each in methods if each["to"] is None]
    for each in lists:
        place = (each["organization_id"], each["region"])
        own = [one for one in now if (one["organization_id"], one["region"]) == place]
        each |= {"products": len({one["product"] for one in own}), "methods": len(own)}
    return {
        "lists": lists,
        "products": list(_products(now)),
        "methods": methods,
        "changes": sorted(_changes(methods), key=lambda each: (each["at"], *_place(each), each["change"])),
        "not_logged": [
            {
                "name": each.name,
                "what": each.what,
                "methods": list(each.methods),
                "attack": list(each.attack),
                "listed": [one for one in methods if covers(each, one["product"], one["method"])],
            }
            for each in UNLOGGED
        ],
    }


def _lists(history: History) -> list[dict[str, Any]]:
    """Each region's list, and when it was read in full, in order."""
    looks: dict[tuple[str, str], list[DirectoryRecord]] = {}
    for look in history.looks:
        if look.resource == "products" and look.region is not None:
            looks.setdefault((look.organization_id, look.region), []).append(look)
    lists = []
    for (organization_id, region), own in sorted(looks.items()):
        whole = [look.at for look in own if look.outcome == "read"]
        lists.append(
            {
                "organization_id": organization_id,
                "region": region,
                "first_read_at": _time(whole[0]) if whole else None,
                "last_read_at": _time(whole[-1]) if whole else None,
                "last_outcome": own[-1].outcome,
            }
        )
    return lists


def _methods(rows: list[Row], first_read: dict[tuple[str, str], datetime]) -> Iterator[dict[str, Any]]:
    """Each spell in which a method of one product was on the list of one region."""
    region = rows[-1].text("region") or ""
    first = first_read.get((rows[0].organization_id, region))
    for service, method in sorted({pair for row in rows for pair in _pairs(row)}):
        for spell in spells_where(rows, partial(_names, (service, method))):
            yield {
                "organization_id": rows[0].organization_id,
                "region": region,
                "product": rows[-1].text("name") or rows[-1].id.partition("/")[2],
                "service": service,
                "method": method,
                "from": format_time(spell.start),
                # What the first list had may have been on it for long.
                "or_earlier": first is None or spell.start <= first,
                "to": None if spell.end is None else format_time(spell.end),
                "last_seen": None if spell.last_seen is None else format_time(spell.last_seen),
            }


def _products(now: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    counts = Counter((each["organization_id"], each["region"], each["product"]) for each in now)
    for (organization_id, region, product), count in sorted(counts.items()):
        yield {"organization_id": organization_id, "region": region, "product": product, "methods": count}


def _changes(methods: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in methods:
        named = {key: each[key] for key in ("organization_id", "region", "product", "service", "method")}
        if not each["or_earlier"]:
            yield {**named, "at": each["from"], "change": "loggable"}
        if each["to"] is not None:
            yield {**named, "at": each["to"], "change": "no longer listed"}


def _place(each: dict[str, Any]) -> tuple[str, ...]:
    return tuple(each[key] for key in ("organization_id", "region", "product", "service", "method"))


def _pairs(row: Row) -> frozenset[_Method]:
    services = row.fields["services"] or ()
    return frozenset((each["name"] or "", method) for each in services for method in each["methods"] or ())


def _names(pair: _Method, row: Row) -> bool:
    return pair in _pairs(row)


def _time(text: str) -> str:
    return format_time(parse_moment(text))
