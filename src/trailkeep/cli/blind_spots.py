"""`trailkeep status --blind-spots`: what could have left an event, since when, and what could not."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from trailkeep.cli import diagnostics, output
from trailkeep.hostile import one_line
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.store import Archive

CHANGES_SHOWN = 50
"""How many changes of the lists are written as text, the newest."""


def report_blind_spots(archive: Archive, at: datetime, *, as_json: bool) -> None:
    """Write what the archive knows of its own blind spots. Reads the archive only."""
    from trailkeep.analysis.directory import directory_of
    from trailkeep.directory.loggable import blind_spots

    history = archive.read_consistently(lambda ledger: directory_of(archive, ledger, ("products",)))
    found = blind_spots(history)
    if as_json:
        output.write_json({"as_of": format_time(at), **found})
    else:
        for line in _lines(found):
            output.write_text(one_line(line))
    if not any(each["first_read_at"] for each in found["lists"]):
        diagnostics.warn(
            "not known: what could leave an event, and since when: no list of products was ever read in full;"
            " `trailkeep directory sync` reads them"
        )


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield "what leaves events, by region:"
    rows = [["REGION", "PRODUCTS", "METHODS", "FIRST READ", "LAST READ", ""]]
    many = len({each["organization_id"] for each in found["lists"]}) > 1
    for each in found["lists"]:
        read = [_second(each["first_read_at"]) or "never", _second(each["last_read_at"]) or "never"]
        outcome = "" if each["last_outcome"] == "read" else f"last: {each['last_outcome'].replace('_', ' ')}"
        rows.append([_region(each, many=many), str(each["products"]), str(each["methods"]), *read, outcome])
    if len(rows) == 1:
        yield "  not known: the archive holds no list of products"
    else:
        yield from (f"  {line}" for line in output.columns(rows, right_aligned=(1, 2)))
    if found["products"]:
        yield "products, with how many of their methods leave events:"
        for (_organization, _name), own in groupby(found["products"], key=_by_region):
            listed = list(own)
            counts = ", ".join(f"{one_line(each['product'])} {each['methods']}" for each in listed)
            yield f"  {_region(listed[0], many=many)}: {counts}"
    yield from _changes(found["changes"], many=many)
    yield "not documented to be logged at all, in any region:"
    for each in found["not_logged"]:
        yield f"  {each['name']}: {each['what']}"
        if listed := [one for one in each["listed"] if one["to"] is None]:
            names = ", ".join(f"{one_line(one['method'])} ({one['region']})" for one in listed)
            yield f"    but on the list now: {names}"


def _changes(changes: list[dict[str, Any]], *, many: bool) -> Iterator[str]:
    if not changes:
        return
    yield "what became loggable, or was no longer listed, after the first list:"
    if len(changes) > CHANGES_SHOWN:
        yield f"  {len(changes) - CHANGES_SHOWN} earlier changes: --format json has them"
    rows = [
        [
            _second(each["at"]),
            _region(each, many=many),
            *(one_line(each[key]) for key in ("product", "service", "method")),
            each["change"],
        ]
        for each in changes[-CHANGES_SHOWN:]
    ]
    yield from (f"  {line}" for line in output.columns(rows))


def _by_region(each: dict[str, Any]) -> tuple[str, str]:
    return each["organization_id"], each["region"]


def _region(each: dict[str, Any], *, many: bool) -> str:
    return f"{one_line(each['region'])} {each['organization_id']}" if many else one_line(each["region"])


def _second(moment: str | None) -> str:
    return f"{moment[:19].replace('T', ' ')}Z" if moment else ""
