"""Pieces of Spark's syntax tree, and the text that a whole tree is."""

from __future__ import annotations

import typing
from functools import cache
from typing import TYPE_CHECKING, Any

from trailkeep.engines.portable import Untranslatable, prepend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlglot import exp

    from trailkeep.engines.spark_rules import SparkRules


SHOWN_CHARACTERS = 60


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A call of Spark's function `name`, as it is: sqlglot has no opinion on it."""
    from sqlglot import exp

    return exp.Anonymous(this=name, expressions=list(arguments))


def literal(text: str) -> exp.Literal:
    """A text."""
    from sqlglot import exp

    return exp.Literal.string(text)


def number(value: int | str) -> exp.Expr:
    """A number."""
    from sqlglot import exp

    return exp.Literal.number(value)


def cast(value: exp.Expr, kind: str, *, attempt: bool = False) -> exp.Expr:
    """`value` as Spark's type `kind`; NULL where that cannot be, for an `attempt`."""
    from sqlglot import exp

    if attempt:
        return exp.TryCast(this=value, to=_type(kind).copy(), safe=True)
    return exp.Cast(this=value, to=_type(kind).copy())


@cache
def _type(kind: str) -> exp.DataType:
    made: exp.DataType = parsed(f"CAST(x AS {kind})").args["to"]
    return made


def structure(**fields: exp.Expr) -> exp.Expr:
    """A struct of these fields."""
    arguments: list[exp.Expr] = []
    for name, value in fields.items():
        arguments += [literal(name), value]
    return call("named_struct", *arguments)


def parsed(text: str, /, **named: exp.Expr) -> exp.Expr:
    """The tree of an expression written in Spark's SQL, with the names in it replaced by what is given for them."""
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(text, dialect="spark")

    def replaced(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and not node.table and node.name in named:
            given = named[node.name].copy()
            return exp.paren(given, copy=False) if isinstance(given, (exp.Binary, exp.Unary, exp.Between)) else given
        return node

    return tree.transform(replaced, copy=False) if named else tree


def comparison(keys: Sequence[tuple[str, bool, bool]]) -> Any:
    """A function that compares two structs by these fields: each name, whether descending, whether NULL comes first."""
    written = "0"
    for name, descending, nulls_first in reversed(keys):
        left, right = f"l.{name}", f"r.{name}"
        before, after = ("1", "-1") if descending else ("-1", "1")
        null_left, null_right = ("-1", "1") if nulls_first else ("1", "-1")
        written = (
            f"CASE WHEN {left} IS NOT DISTINCT FROM {right} THEN {written} WHEN {left} IS NULL THEN {null_left} "
            f"WHEN {right} IS NULL THEN {null_right} WHEN {left} < {right} THEN {before} ELSE {after} END"
        )
    return parsed(f"f((l, r) -> {written})").expressions[0]  # elsewhere the arrow would be read as JSON's


@cache
def _writer() -> type:
    from sqlglot.dialects.spark import Spark

    class SparkAsBuilt(Spark):
        """Spark's dialect that leaves the numbers of elements as the rules wrote them."""

        INDEX_OFFSET = 0

    return SparkAsBuilt


def text_of(tree: exp.Expr, *, pretty: bool = False) -> str:
    """The tree as Spark's SQL."""
    return str(tree.sql(dialect=_writer(), pretty=pretty))


def table_parameter(name: str) -> str:
    """The parameter that says where a table lies."""
    return f"table_{name}"


def place_tables(tree: exp.Query, tables: Sequence[str]) -> None:
    """Begin `tree` with a CTE for each of `tables` that reads what the parameter of the table names."""
    for name in reversed(tables):
        body = parsed(f"SELECT * FROM IDENTIFIER(:{table_parameter(name)})")  # noqa: S608 - a name of the schema
        prepend(tree, name, typing.cast("exp.Query", body))


def shown(node: exp.Expr) -> str:
    """The beginning of a node's own text, for messages."""
    text = str(node.sql("duckdb"))
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def renamed(name: str, *keys: str) -> Callable[[SparkRules, Any], exp.Expr]:
    """The rule of a function that has another name in Spark, and nothing else."""

    def rule(rules: SparkRules, node: Any) -> exp.Expr:
        extra = [key for key, value in node.args.items() if value and key not in keys]
        if extra:
            raise Untranslatable(f"{extra[0]} in {shown(node)}")
        return call(name, *[rules.rewrite(node.args[key]) for key in keys if node.args.get(key) is not None])

    return rule
