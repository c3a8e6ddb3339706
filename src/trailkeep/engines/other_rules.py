"""What sqlglot alone does not say in Trino's, BigQuery's, ClickHouse's and Snowflake's terms.

Nothing here is run: a query for one of these engines is a draft for who knows it, and what is doubtful is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from trailkeep.catalog import people, views
from trailkeep.engines.dialects import Dialect
from trailkeep.engines.portable import IN_CIDR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlglot import exp


def _without_names(view: str) -> str:
    """The SELECT of a view of events with nobody's name: those come from a table that only Trailkeep makes."""
    return people.without_names(view).partition(" AS\n")[2]


def _with_one_unnest() -> str:
    """The view of resources with one table function for its two lists, and no star: every engine has that."""
    before = _without_names(views.EVENT_RESOURCES).partition("FROM (")[0]
    names = re.findall(r"e\.(\w+)", before.partition('e."position"')[0])
    columns = ", ".join("e.id AS event_id" if name == "event_id" else f"e.{name}" for name in names)
    rows = 'every_event AS e CROSS JOIN UNNEST(e.resources) WITH ORDINALITY AS r(resource, "position")'
    return f'{before}FROM (SELECT {columns}, resource, "position" FROM {rows}) AS e'  # noqa: S608 - the schema's own names


WITHOUT_NAMES = {
    "events": _without_names(views.EVENTS),
    "event_resources": _without_names(views.EVENT_RESOURCES),
}
"""Texts of views for whoever has the archive's own tables alone."""

NO_NAMES = "actor_name and actor_type are null: Trailkeep makes them of its directory"

VIEWS_INSTEAD = WITHOUT_NAMES | {"event_resources": _with_one_unnest()}
"""Other texts of views, by their names."""

_NETWORK = {
    Dialect.TRINO: "TRY(CONTAINS(cidr, TRY_CAST(ip AS IPADDRESS)))",
    Dialect.CLICKHOUSE: "isIPAddressInRange(ip, cidr)",
    Dialect.BIGQUERY: (
        "NET.IP_TRUNC(NET.SAFE_IP_FROM_STRING(ip), CAST(SPLIT(cidr, '/')[SAFE_OFFSET(1)] AS INT64)) "
        "= NET.IP_TRUNC(NET.SAFE_IP_FROM_STRING(SPLIT(cidr, '/')[SAFE_OFFSET(0)]), "
        "CAST(SPLIT(cidr, '/')[SAFE_OFFSET(1)] AS INT64))"
    ),
    Dialect.SNOWFLAKE: (
        "PARSE_IP(ip, 'INET', 1):ipv4 BETWEEN PARSE_IP(cidr, 'INET', 1):ipv4_range_start "
        "AND PARSE_IP(cidr, 'INET', 1):ipv4_range_end"
    ),
}
_NETWORK_NOTES = {
    Dialect.TRINO: "ip_in_cidr: a network must be written with its length, as in 192.0.2.1/32",
    Dialect.CLICKHOUSE: "ip_in_cidr: a network must have its length; a text that is no address ends the query",
    Dialect.BIGQUERY: "ip_in_cidr: a network must be written with its length, and be of the addresses' own version",
    Dialect.SNOWFLAKE: "ip_in_cidr: IPv4 only",
}
_CLICKHOUSE_TYPES = {
    "timestamp": "DateTime64(6)",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "Bool",
    "text": "String",
}
_CASTS = {"timestamp": "TIMESTAMP", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "text": "VARCHAR"}
_WITHOUT_FILTER = frozenset({Dialect.BIGQUERY, Dialect.SNOWFLAKE})
_WITHOUT_TIME_RANGES = frozenset({Dialect.BIGQUERY, Dialect.CLICKHOUSE})
_UNNAMED_PREFIX = "trailkeep_parameter_"
_UNNAMED = re.compile(rf"\b{_UNNAMED_PREFIX}(\w+)")


def rewrite(tree: exp.Query, dialect: Dialect) -> tuple[exp.Query, list[str]]:
    """`tree` with what sqlglot would leave as it is, and what is to be said of the rest."""
    notes: list[str] = []

    def changed(node: exp.Expr) -> exp.Expr:
        from sqlglot import exp

        notes.extend(_doubts(node, dialect))
        if isinstance(node, exp.Anonymous):
            return _function(node, dialect, notes)
        if isinstance(node, exp.Filter) and dialect in _WITHOUT_FILTER:
            return _conditional(node, notes)
        if isinstance(node, (exp.ArrayFilter, exp.Transform)) and dialect is Dialect.BIGQUERY:
            return _selected(node)
        if isinstance(node, exp.Group) and node.args.get("all") and dialect is Dialect.TRINO:
            return _by_places(node)
        if isinstance(node, exp.Bracket) and dialect in (Dialect.TRINO, Dialect.BIGQUERY):
            return _element(node, dialect)
        return node

    return cast("exp.Query", tree.copy().transform(changed, copy=False)), notes


def _doubts(node: exp.Expr, dialect: Dialect) -> Iterator[str]:
    """What is to be said of a node that stays as it is."""
    from sqlglot import exp

    if isinstance(node, exp.WindowSpec) and _over_time(node) and dialect in _WITHOUT_TIME_RANGES:
        yield "a window frame over a length of time (RANGE BETWEEN ... PRECEDING)"
    if isinstance(node, exp.Star) and node.args.get("except_") and dialect is Dialect.TRINO:
        yield "SELECT * without some columns: Trino has no EXCEPT there"
    if isinstance(node, exp.ConcatWs) and dialect is Dialect.BIGQUERY:
        yield "concat_ws: use ARRAY_TO_STRING"
    if isinstance(node, exp.Unnest) and node.args.get("offset") is not None and dialect is Dialect.BIGQUERY:
        yield "positions in lists count from 0"
    if isinstance(node, exp.Dot) and dialect is Dialect.SNOWFLAKE:
        yield "lists of structs are VARIANT: write r:type::VARCHAR where this says r.type"
    if isinstance(node, exp.Join) and str(node.args.get("method") or "") == "ASOF":
        yield "ASOF JOIN"


def _function(node: exp.Anonymous, dialect: Dialect, notes: list[str]) -> exp.Expr:
    import sqlglot
    from sqlglot import exp

    if node.name.lower() != IN_CIDR or dialect not in _NETWORK:
        notes.append(f"the function {node.name.lower()} is DuckDB's")
        return node
    notes.append(_NETWORK_NOTES[dialect])
    given = dict(zip(("ip", "cidr"), node.expressions, strict=True))

    def argument(each: exp.Expr) -> exp.Expr:
        return given[each.name].copy() if isinstance(each, exp.Column) and each.name in given else each

    made: exp.Expr = sqlglot.parse_one(_NETWORK[dialect], dialect=dialect.value).transform(argument, copy=False)
    return exp.paren(made, copy=False)


def _element(node: exp.Bracket, dialect: Dialect) -> exp.Expr:
    """An element of a list; NULL, and no error, where there is none."""
    from sqlglot import exp

    place = node.expressions[0] if len(node.expressions) == 1 else None
    if not isinstance(place, exp.Literal) or place.is_string:
        return node
    if dialect is Dialect.TRINO:
        number = exp.Literal.number(int(place.name) + 1)
        return exp.Anonymous(this="ELEMENT_AT", expressions=[node.this, number])
    return exp.Bracket(this=node.this, expressions=[place], offset=0, safe=True)


def _conditional(node: exp.Filter, notes: list[str]) -> exp.Expr:
    """An aggregate over a CASE in the place of its FILTER; all of them but a list pass over NULL."""
    from sqlglot import exp

    aggregate: exp.Expr = node.this.copy()
    condition = node.expression.this
    inner: Any = aggregate.this
    if isinstance(aggregate, exp.Count) and isinstance(inner, exp.Star):
        inner.replace(exp.Case(ifs=[exp.If(this=condition, true=exp.Literal.number(1))]))
        return aggregate
    if isinstance(inner, exp.Distinct) and len(inner.expressions) == 1:
        inner = inner.expressions[0]
    if not isinstance(inner, exp.Expr) or isinstance(inner, exp.Order):
        notes.append(f"FILTER of {type(aggregate).__name__}")
        return node
    inner.replace(exp.Case(ifs=[exp.If(this=condition, true=inner.copy())]))
    if isinstance(aggregate, exp.ArrayAgg):
        return exp.IgnoreNulls(this=aggregate)
    return aggregate


def _selected(node: exp.Expr) -> exp.Expr:
    """A list made of another by a query, where there are no functions of functions."""
    from sqlglot import exp

    function = node.expression
    if not isinstance(function, exp.Lambda) or len(function.expressions) != 1:
        return node
    name = function.expressions[0].name
    rows = exp.Unnest(expressions=[node.this], alias=exp.TableAlias(columns=[exp.to_identifier(name)]))
    if isinstance(node, exp.Transform):
        query = exp.Select(expressions=[function.this], from_=exp.From(this=rows))
    else:
        where = exp.Where(this=function.this)
        query = exp.Select(expressions=[exp.column(name)], from_=exp.From(this=rows), where=where)
    return exp.Array(expressions=[query])


def _by_places(node: exp.Group) -> exp.Expr:
    """GROUP BY ALL as the places of the columns that hold no aggregate."""
    from sqlglot import exp

    select = node.parent
    assert isinstance(select, exp.Select)
    places = [
        exp.Literal.number(place)
        for place, column in enumerate(select.expressions, start=1)
        if not any(not each.find_ancestor(exp.Window) for each in column.find_all(exp.AggFunc))
    ]
    return exp.Group(expressions=places)


def _over_time(node: exp.WindowSpec) -> bool:
    from sqlglot import exp

    bounds = (node.args.get("start"), node.args.get("end"))
    lengths = (exp.Placeholder, exp.Interval, exp.Parameter)
    return str(node.args.get("kind")).upper() == "RANGE" and any(isinstance(bound, lengths) for bound in bounds)


def name_parameters(tree: exp.Query, types: Mapping[str, str], dialect: Dialect) -> None:
    """Write the parameters of `tree` as the dialect does; `number_parameters` goes on where they have no names."""
    from sqlglot import exp

    for node in list(tree.find_all(exp.Placeholder)):
        if node.name and not node.args.get("kind"):
            node.replace(_parameter(node.name, types.get(node.name.lower(), "text"), dialect))


def number_parameters(text: str) -> tuple[str, list[str]]:
    """A text with ``?`` for its parameters, and their names in the order of the text."""
    return _UNNAMED.sub("?", text), _UNNAMED.findall(text)


def _parameter(name: str, declared: str, dialect: Dialect) -> exp.Expr:
    from sqlglot import exp

    item = declared.removeprefix("list[").removesuffix("]")
    listed = declared.startswith("list[")
    if dialect is Dialect.BIGQUERY:
        return exp.Parameter(this=exp.Var(this=name))
    if dialect is Dialect.CLICKHOUSE:
        if item == "duration":
            return exp.Anonymous(
                this="toIntervalSecond", expressions=[exp.Placeholder(this=name, kind=exp.Var(this="Int64"))]
            )
        kind = f"Array({_CLICKHOUSE_TYPES[item]})" if listed else _CLICKHOUSE_TYPES[item]
        return exp.Placeholder(this=name, kind=exp.Var(this=kind))
    if dialect is Dialect.TRINO:
        value: exp.Expr = exp.column(f"{_UNNAMED_PREFIX}{name}")
        return exp.cast(value, _CASTS[item]) if not listed and item in ("timestamp", "integer", "number") else value
    if dialect is Dialect.SNOWFLAKE:
        value = exp.Placeholder(this=name)
        return exp.cast(value, _CASTS[item]) if not listed and item == "timestamp" else value
    return exp.Placeholder(this=name)
