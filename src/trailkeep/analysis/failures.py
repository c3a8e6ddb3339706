"""What the engine's errors mean to the person who asked."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from trailkeep import guard
from trailkeep.errors import Interrupted, QueryError, TrailkeepError

if TYPE_CHECKING:
    from trailkeep.analysis.question import Prepared
    from trailkeep.analysis.stop import Stop
    from trailkeep.catalog import Catalog

_COLUMN = re.compile(
    r"""(?:Referenced\ column\ | does\ not\ have\ a\ column\ named\ | Could\ not\ find\ key\ | Column\ )"([^"]+)"
        (?:\ not\ found|\ in\ struct|\ in\ \w+\ list\ not\ found|\ does\ not\ exist\ on|$)""",
    re.VERBOSE | re.MULTILINE,
)
_ALIAS = re.compile(r'Referenced table "([^"]+)" not found')
_CANDIDATES = re.compile(r"Candidate (?:bindings|columns|Entries|tables)[^\n]*", re.IGNORECASE)
_TABLE = re.compile(r'Table with name "?([^\s"]+?)"? does not exist')
_FUNCTION = re.compile(r"Function with name \"?([^\s\"]+?)\"? does not exist")
_USERS_FAULT = re.compile(
    r"(Binder|Catalog|Parser|Conversion|Out of Range|Not implemented|Constraint|Syntax) Error|Malformed JSON"
)
"""Errors that sound files can give; others may come of a file that is damaged in a way the engine does not name."""
_PREFIX = re.compile(r"^(?:[A-Z][A-Za-z ]* Error: )+")


def explain(error: Exception, prepared: Prepared, catalog: Catalog, stop: Stop) -> TrailkeepError:
    """The error to raise for what the engine, or Arrow on its behalf, has raised."""
    message = str(error)
    if stop.stopped:
        return stop.error()
    damage: TrailkeepError | None = catalog.damaged_file(message)
    # SQL can make an error of its own that has a file's name in it: then the file is as it should be.
    if damage and (message.startswith("IO Error") or catalog.find_damaged()):
        return damage
    if "INTERRUPT Error" in message or type(error).__name__ == "InterruptException":
        return Interrupted("the query was stopped")
    source = str(prepared.saved.path) if prepared.saved else None
    sql = prepared.statement.sql
    first = _PREFIX.sub("", message.split("\n")[0])
    if "Out of Memory" in message or type(error).__name__ == "OutOfMemoryException":
        return QueryError(
            f"{guard.located(source, None)}the query needs more memory than it may use: {first}",
            hint="Select fewer columns (raw is the widest), shorten the span, or add a LIMIT.",
        )
    if not _USERS_FAULT.search(message) and (damage := catalog.find_damaged()):
        return damage
    place = guard.place_of(sql, message)
    hint = None
    if match := _TABLE.search(message):
        place = place or _find(sql, match[1])
        first = f"there is no table {match[1]!r}"
        hint = _near(match[1], list(catalog.tables()), "Tables are")
    elif match := _COLUMN.search(message):
        name = match[1]
        place = place or _find(sql, name)
        in_struct = "in struct" in message
        first = f"there is no {'field' if in_struct else 'column'} {name!r}"
        known = [] if in_struct else _columns(prepared, catalog)
        hint = _near(name, [*dict.fromkeys([*_candidates(message), *known])], "Columns are")
    elif match := _ALIAS.search(message):
        place = place or _find(sql, match[1])
        first = f"there is no table {match[1]!r} in this FROM"
        hint = _near(match[1], _candidates(message), "Tables in it are")
    elif match := _FUNCTION.search(message):
        place = place or _find(sql, match[1])
        first = f"there is no function {match[1]!r}"
        from trailkeep.schema.macros import MACROS

        own = difflib.get_close_matches(match[1].lower(), MACROS, n=1)
        guess = own or re.findall(r'Did you mean "([^"]+)"', message)
        hint = f"Did you mean {guess[0]}?" if guess else None
    elif "Malformed JSON" in first:
        hint = "Events are kept as they came, and not every parser takes them all: write TRY(raw->>'$.key')."
    return QueryError(f"{guard.located(source, place)}{first}", hint=hint)


def _candidates(message: str) -> list[str]:
    """What the engine itself offers instead, without the tables that stand before."""
    offered = _CANDIDATES.search(message)
    return [name.rpartition(".")[2] for name in re.findall(r'"([^"]+)"', offered[0])] if offered else []


def _columns(prepared: Prepared, catalog: Catalog) -> list[str]:
    """The columns of the tables that the query names; of none, where the engine does not say which these are."""
    named = prepared.statement.tables or frozenset()
    tables = catalog.tables()
    return list(dict.fromkeys(column for table in tables if table in named for column in tables[table]))


def _near(name: str, names: list[str], introduction: str) -> str | None:
    if not names:
        return None
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{guess}{introduction}: {', '.join(names)}."


def _find(sql: str, name: str) -> tuple[int, int] | None:
    """Where `name` first stands in the SQL as a word of its own, outside the front matter."""
    body = re.match(r"\s*/\*.*?\*/", sql, re.DOTALL)
    match = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE).search(sql, body.end() if body else 0)
    if match is None:
        return None
    before = sql[: match.start()]
    return before.count("\n") + 1, match.start() - (before.rfind("\n") + 1) + 1
