"""A query without what only Trailkeep's own connection knows: macros written out, views given as preceding CTEs."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from trailkeep.catalog import macros, views
from trailkeep.engines.constants import worked_out
from trailkeep.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlglot import exp

IN_CIDR = "ip_in_cidr"
"""The macro that is never written out: it counts with 128-bit numbers, and every engine has a way of its own."""

OWN_WAYS = frozenset({IN_CIDR, "ip_label", "ip_network", "body_every"})
"""The macros that Spark has a way of its own for."""

_MACRO = re.compile(r"\s*CREATE MACRO (?P<name>\w+)\((?P<parameters>[^)]*)\) AS\s(?P<body>.*)", re.DOTALL)
_VIEW = re.compile(r"\s*CREATE VIEW (?:\w+\.)?(?P<name>\w+) AS\s(?P<body>.*)", re.DOTALL)
_AS_TEXT = frozenset({"every_event", "events", "event_resources", "logins", "grants", "creations", "first_seen"})
"""The views that another engine is told in its own words. The others are small, or say what it cannot: Spark is
given them as tables, and nobody else is given them."""
_ROUNDS = 20
"""How deep macros may use macros."""


class Untranslatable(QueryError):
    """SQL for which the other engine has nothing that is known to mean the same."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the query cannot be said in the other engine's SQL: {reason}",
            hint="Run it without --engine, or say it with what both engines have: see docs/other-engines.md.",
        )
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Portable:
    """A query as a syntax tree of DuckDB's dialect that names base tables only."""

    tree: exp.Query
    tables: tuple[str, ...]
    """The tables that it reads, in the order of their names: those of the archive's files and those of the ledger."""


def parse(sql: str, *, as_written: bool = True) -> exp.Query:
    """The syntax tree of one SELECT. Raises Untranslatable for everything else.

    Positions in lists are `as_written`, from 1, or else as sqlglot counts them for other dialects.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # what it says on stderr is said by the error too
    try:
        tree = sqlglot.parse_one(sql, dialect=_dialect(as_written))
    except SqlglotError as error:
        raise Untranslatable(f"it could not be read: {_first_line(error)}") from error
    except RecursionError:
        raise Untranslatable("it is nested too deeply") from None
    if not isinstance(tree, exp.Query):
        raise Untranslatable(f"it is no SELECT but {type(tree).__name__.upper()}")
    for node in tree.walk():
        node.pop_comments()
    return tree


def _dialect(as_written: bool) -> str | type:
    return _reader() if as_written else "duckdb"


@cache
def _reader() -> type:
    """DuckDB's dialect with the positions in lists left as they are written, from 1."""
    from sqlglot.dialects.duckdb import DuckDB

    class DuckDBAsWritten(DuckDB):
        INDEX_OFFSET = 0

    return DuckDBAsWritten


def expand(
    sql: str,
    *,
    instead: Mapping[str, str] | None = None,
    as_written: bool = True,
    but: frozenset[str] = frozenset({IN_CIDR}),
) -> Portable:
    """The query of `sql` with macros written out, `but` for these, and the views that it uses as CTEs before it.

    `instead` gives other text for a view, by its name.
    """
    from sqlglot import exp

    tree = write_out_macros(parse(sql, as_written=as_written), but=but, as_written=as_written)
    known = dict(view_bodies()) | dict(instead or {})
    own = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    bodies: dict[str, exp.Query] = {}
    base: set[str] = set()
    waiting = [(tree, own)]
    while waiting:
        part, ctes = waiting.pop()
        for table in part.find_all(exp.Table):
            name = _table_name(table)
            if name is None or (name in ctes and not table.db):
                continue
            if name in own:
                raise Untranslatable(f"it has a WITH of the name {name}, which a table of the archive has")
            table.set("db", None)
            if name not in known:
                base.add(name)
            elif name not in bodies:
                body = parse(known[name], as_written=as_written)
                bodies[name] = write_out_macros(body, but=but, as_written=as_written)
                waiting.append((bodies[name], set()))
    # Each goes before all that is there: the last view first, so that it comes after those that it is made of.
    for name in reversed([name for name in known if name in bodies]):
        prepend(tree, name, bodies[name])
    return Portable(tree=tree, tables=tuple(sorted(base)))


def prepend(tree: exp.Query, name: str, body: exp.Query) -> None:
    """Write ``name AS (body)`` before all other CTEs of `tree`."""
    from sqlglot import exp

    cte = exp.CTE(this=body, alias=exp.TableAlias(this=exp.to_identifier(name)))
    existing = tree.args.get("with_")
    if existing is None:
        tree.set("with_", exp.With(expressions=[cte]))
    else:
        existing.set("expressions", [cte, *existing.expressions])


def _table_name(table: exp.Table) -> str | None:
    """The table's name, in lower case; None for a function in a table's place."""
    from sqlglot import exp

    if not isinstance(table.this, exp.Identifier):
        return None
    if table.args.get("catalog") or (table.db and table.db.lower() not in ("main", "parts")):
        raise Untranslatable(f"it names the table {table.sql('duckdb')} of another schema")
    return str(table.name).lower()


@cache
def view_bodies() -> tuple[tuple[str, str], ...]:
    """The SELECT of every view over the tables of the archive, each after those that it uses."""
    found = [match for text in views.OF_VIEWS.values() if (match := _VIEW.fullmatch(text))]
    return tuple((match["name"], match["body"]) for match in found if match["name"] in _AS_TEXT)


@cache
def _macros() -> dict[str, tuple[tuple[str, ...], str]]:
    """Parameters and body of every macro, by its name."""
    written: dict[str, tuple[tuple[str, ...], str]] = {}
    for text in macros.statements():
        if (found := _MACRO.fullmatch(text)) is not None:
            parameters = tuple(each.strip() for each in found["parameters"].split(","))
            written[found["name"].lower()] = parameters, found["body"]
    return written


def write_out_macros(
    tree: exp.Query, *, but: frozenset[str] = frozenset({IN_CIDR}), as_written: bool = True
) -> exp.Query:
    """`tree`, which was parsed in the same way, with every macro, `but` for these, replaced by its body."""
    from sqlglot import exp

    known = _macros()

    def called(node: exp.Expr) -> bool:
        name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
        return name in known and name not in but

    def replaced(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Anonymous) or not called(node):
            return node
        parameters, body = known[node.name.lower()]
        if len(parameters) != len(node.expressions):
            raise Untranslatable(f"{node.name} takes {len(parameters)} argument(s)")
        arguments = dict(zip(parameters, node.expressions, strict=True))
        return _with_arguments(body, arguments, as_written=as_written)

    for _round in range(_ROUNDS):
        if not any(called(node) for node in tree.walk()):
            return tree
        tree = cast("exp.Query", worked_out(tree).transform(replaced, copy=False))
        tree = cast("exp.Query", worked_out(tree))
    raise Untranslatable("its macros use macros without end")


def _with_arguments(body: str, given: dict[str, exp.Expr], *, as_written: bool) -> exp.Expr:
    """A macro's body with its parameters replaced by what was given for them."""
    import sqlglot
    from sqlglot import exp

    def argument(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and not node.table and node.name in given:
            value = given[node.name].copy()
            return exp.paren(value, copy=False) if isinstance(value, (exp.Binary, exp.Unary)) else value
        return node

    return exp.paren(sqlglot.parse_one(body, dialect=_dialect(as_written)).transform(argument, copy=False), copy=False)


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0].split(". Line")[0]
