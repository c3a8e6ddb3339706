"""Aggregates that Spark has in another way than DuckDB, each with its FILTER and its window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.spark_text import call, cast, comparison, literal, number, shown, structure

if TYPE_CHECKING:
    from sqlglot import exp

    from trailkeep.engines.spark_rules import SparkRules


def aggregated(rules: SparkRules, made: exp.Expr, condition: exp.Expr | None, window: exp.Window | None) -> exp.Expr:
    """An aggregate with its FILTER and its window around it."""
    from sqlglot import exp

    if condition is not None:
        made = exp.Filter(this=made, expression=exp.Where(this=rules.rewrite(condition.copy())))
    if window is not None:
        empty = window.copy()
        empty.set("this", exp.Null())
        around = rules.as_it_is(empty)
        around.set("this", made)
        return around
    return made


def values(
    rules: SparkRules,
    inner: exp.Expr,
    condition: exp.Expr | None,
    window: exp.Window | None,
    *,
    skip_null: bool = False,
) -> exp.Expr:
    """The values that an aggregate sees, as a list in its own order; NULL where there are none.

    Spark's collect_list leaves NULL out, has no ORDER BY, and gives an empty list for no rows.
    """
    from sqlglot import exp

    value, keys, distinct = inner, [], False
    if isinstance(value, exp.Order):
        keys, value = value.expressions, value.this
    if isinstance(value, exp.Distinct):
        if len(value.expressions) != 1:
            raise Untranslatable(f"DISTINCT over several values in {shown(inner)}")
        distinct, value = True, value.expressions[0]
        if isinstance(value, exp.Order):
            keys, value = value.expressions, value.this
    if distinct and any(key.this != value for key in keys):
        raise Untranslatable("a list of DISTINCT values in the order of something else")
    if skip_null:
        present = exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))
        condition = present if condition is None else exp.and_(condition.copy(), present)
    fields = {"v": rules.rewrite(value.copy())} | {
        f"k{place}": rules.rewrite(key.this.copy()) for place, key in enumerate(keys)
    }
    rows = aggregated(rules, call("collect_list", structure(**fields)), condition, window)
    if keys:
        order = [
            (f"k{place}", bool(key.args.get("desc")), bool(key.args.get("nulls_first")))
            for place, key in enumerate(keys)
        ]
        rows = call("array_sort", rows, comparison(order))
    item = exp.Dot(this=exp.to_identifier("e"), expression=exp.to_identifier("v"))
    listed = call("transform", rows, exp.Lambda(this=item, expressions=[exp.to_identifier("e")]))
    if distinct:
        listed = call("array_distinct", listed)
    return call("nullif", listed, call("array"))


def _list(rules: SparkRules, node: exp.Expr, condition: Any, window: Any) -> exp.Expr:
    return values(rules, node.this, condition, window)


def _first(rules: SparkRules, node: exp.Expr, condition: Any, window: Any) -> exp.Expr:
    from sqlglot import exp

    if not isinstance(node.this, exp.Order) or node.args.get("expression"):
        raise Untranslatable(f"{shown(node)} without an ORDER BY leaves open which value it gives")
    place = number(1) if type(node).__name__ == "First" else exp.Neg(this=number(1))
    return call("try_element_at", values(rules, node.this, condition, window), place)


def _joined(rules: SparkRules, node: exp.Expr, condition: Any, window: Any) -> exp.Expr:
    from sqlglot import exp

    separator = node.args.get("separator") or literal(",")
    value = node.this
    if isinstance(value, exp.Distinct) and len(value.expressions) == 2:  # the parser takes the separator for a value
        separator = value.expressions[1]
        value = exp.Distinct(expressions=[value.expressions[0]])
    return call("array_join", values(rules, value, condition, window, skip_null=True), rules.rewrite(separator.copy()))


def _extreme(rules: SparkRules, node: exp.Expr, condition: Any, window: Any) -> exp.Expr:
    """The value beside the largest or smallest other; DuckDB passes over rows where either is NULL."""
    from sqlglot import exp

    if node.args.get("count"):
        raise Untranslatable(f"{shown(node)} with a number of values")
    present = exp.Not(this=exp.Is(this=node.this.copy(), expression=exp.Null()))
    condition = present if condition is None else exp.and_(condition.copy(), present)
    name = "max_by" if type(node).__name__ == "ArgMax" else "min_by"
    made = call(name, rules.rewrite(node.this.copy()), rules.rewrite(node.expression.copy()))
    return aggregated(rules, made, condition, window)


def _any(rules: SparkRules, node: exp.Expr, condition: Any, window: Any) -> exp.Expr:
    from sqlglot import exp

    if isinstance(node.this, exp.Order):
        return call("try_element_at", values(rules, node.this, condition, window, skip_null=True), number(1))
    made = call("any_value", rules.rewrite(node.this.copy()), exp.true())
    return aggregated(rules, made, condition, window)


def _average(rules: SparkRules, node: exp.Expr, condition: Any, window: Any) -> exp.Expr:
    from sqlglot import exp

    if isinstance(node.this, exp.Distinct):
        raise Untranslatable(f"{shown(node)}")
    value = rules.rewrite(node.this.copy())
    if rules.kinds.of(node.this) != "interval":
        value = cast(value, "DOUBLE")
    name = "avg" if type(node).__name__ == "Avg" else "median"
    return aggregated(rules, call(name, value), condition, window)


def _percentile(rules: SparkRules, node: exp.Expr, condition: Any, window: Any) -> exp.Expr:
    from sqlglot import exp

    if not isinstance(node.expression, exp.Literal):
        raise Untranslatable(f"{shown(node)}: only one share, written as a number")
    if type(node).__name__ == "PercentileDisc":
        raise Untranslatable("quantile_disc")
    value = rules.rewrite(node.this.copy())
    if rules.kinds.of(node.this) != "interval":
        value = cast(value, "DOUBLE")
    return aggregated(rules, call("percentile", value, node.expression.copy()), condition, window)


AGGREGATES = {
    "ArrayAgg": _list,
    "First": _first,
    "Last": _first,
    "GroupConcat": _joined,
    "ArgMax": _extreme,
    "ArgMin": _extreme,
    "AnyValue": _any,
    "Avg": _average,
    "Median": _average,
    "PercentileCont": _percentile,
    "PercentileDisc": _percentile,
}
"""Aggregates that are written in another way, by the names of their nodes."""
