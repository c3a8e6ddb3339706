"""DuckDB's functions and operators in Spark's terms, one rule for each that is not the same in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.engines import spark_bodies, spark_json, spark_lists, spark_strings, spark_times
from trailkeep.engines.addresses import in_cidr, label_of, network_of
from trailkeep.engines.kinds import DATE, INTEGER, INTERVAL, TIME
from trailkeep.engines.portable import IN_CIDR, Untranslatable
from trailkeep.engines.spark_lists import any_of, is_count, reverse_sorted
from trailkeep.engines.spark_strings import as_text, java_literal
from trailkeep.engines.spark_structure import INTEGERS, TYPES
from trailkeep.engines.spark_text import call, cast, literal, number, parsed, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot import exp

    from trailkeep.engines.spark_rules import SparkRules

_DATE_TEXT = r"(?d)\A\s*\d{4}-\d{1,2}-\d{1,2}(\z|[ T\s])"
_WHOLE_NUMBER = r"(?d)\A\s*[+-]?[0-9]+\s*\z"


# Numbers


def _divided(rules: SparkRules, node: Any) -> exp.Expr:
    """DuckDB divides as DOUBLE; intervals are divided as they are."""
    from sqlglot import exp

    left, right = rules.rewrite(node.this), rules.rewrite(node.expression)
    if rules.kinds.of(node.this) != INTERVAL:
        left, right = cast(left, "DOUBLE"), cast(right, "DOUBLE")
    return exp.Div(this=left, expression=right, typed=False, safe=False)


def _whole_division(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    if {rules.kinds.of(node.this), rules.kinds.of(node.expression)} - {INTEGER}:
        raise Untranslatable(f"{shown(node)}: only of whole numbers")
    return parsed(
        "(a DIV b)",
        a=exp.paren(rules.rewrite(node.this), copy=False),
        b=exp.paren(rules.rewrite(node.expression), copy=False),
    )


def _round(rules: SparkRules, node: Any) -> exp.Expr:
    """Half away from zero, computed as DuckDB computes it; Spark rounds the decimal digits that it would print."""
    decimals = node.args.get("decimals")
    if decimals is not None and not is_count(decimals) and getattr(decimals, "name", "") != "0":
        raise Untranslatable(f"{shown(node)}")
    power = number(f"1e{decimals.name if decimals is not None else 0}")
    value = cast(rules.rewrite(node.this), "DOUBLE")
    return parsed(
        "(sign(value) * CAST(floor(abs(value) * power + CAST(0.5 AS DOUBLE)) AS DOUBLE) / power)",
        value=value,
        power=power,
    )


def _power(rules: SparkRules, node: Any) -> exp.Expr:
    return call("power", cast(rules.rewrite(node.this), "DOUBLE"), cast(rules.rewrite(node.expression), "DOUBLE"))


def _rounded(rules: SparkRules, node: Any) -> exp.Expr:
    if node.args.get("decimals") is not None:
        raise Untranslatable(f"{shown(node)}")
    return call(type(node).__name__.lower(), rules.rewrite(node.this))


# Casts and comparisons


def _cast(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    if node.args.get("format") is not None:
        raise Untranslatable(f"{shown(node)}")
    attempt = isinstance(node, exp.TryCast)
    kind = _spark_type(node.to)
    given = rules.kinds.of(node.this)
    if kind == "STRING":
        return as_text(rules, node.this)
    value = rules.rewrite(node.this)
    if kind in INTEGERS:
        return _to_integer(value, kind, attempt=attempt) if given != INTEGER else cast(value, kind, attempt=attempt)
    if kind in ("TIMESTAMP_NTZ", "DATE"):
        if given in (TIME, DATE):
            return cast(value, kind, attempt=attempt)
        # Both pass over an offset in the text. Spark takes years and months for times too, DuckDB does not.
        moment = cast(value, kind, attempt=attempt)
        if isinstance(node.this, exp.Literal):
            return moment
        if not attempt:
            refused = "raise_error('this text is not a time')"
            return parsed(
                f"IF(value IS NULL OR CAST(value AS STRING) RLIKE pattern, moment, {refused})",
                value=value,
                pattern=literal(_DATE_TEXT),
                moment=moment,
            )
        return parsed(
            "IF(CAST(value AS STRING) RLIKE pattern, moment, NULL)",
            value=value,
            pattern=literal(_DATE_TEXT),
            moment=moment,
        )
    return cast(value, kind, attempt=attempt)


def _to_integer(value: exp.Expr, kind: str, *, attempt: bool) -> exp.Expr:
    """By way of text: DuckDB rounds a fraction, Spark cuts it or takes it for no number, and so it ends the query."""
    text = cast(value, "STRING")
    if not attempt:
        return cast(text, kind)
    return parsed(
        "IF(text RLIKE pattern OR TRY_CAST(text AS DOUBLE) IS NULL, whole, raise_error('a number with a fraction'))",
        text=text,
        pattern=literal(_WHOLE_NUMBER),
        whole=cast(text.copy(), kind, attempt=True),
    )


def _spark_type(to: Any) -> str:
    from sqlglot import exp

    name = to.this.name if hasattr(to.this, "name") else str(to.this)
    if name in ("ARRAY", "LIST") and to.expressions:
        return f"ARRAY<{_spark_type(to.expressions[0])}>"
    if name == "DECIMAL":
        return str(to.sql("spark")) if to.expressions else "DECIMAL(18, 3)"
    if name == "INTERVAL":
        raise Untranslatable("text as an INTERVAL")
    if name not in TYPES:
        raise Untranslatable(f"the type {to.sql('duckdb')}")
    assert isinstance(to, exp.DataType)
    return TYPES[name]


def compared(rules: SparkRules, node: Any) -> Any:
    """A comparison; a text that is compared with a time is read as one."""
    from sqlglot import exp

    sides = [value for value in node.args.values() if isinstance(value, exp.Expr)]
    sides += [each for value in node.args.values() if isinstance(value, list) for each in value]
    if any(rules.kinds.of(side) in (TIME, DATE) for side in sides):
        for side in sides:
            if isinstance(side, exp.Literal) and side.is_string:
                side.replace(exp.cast(side.copy(), "TIMESTAMP", dialect="duckdb"))
    return rules.as_it_is(node)


def _equals(rules: SparkRules, node: Any) -> Any:
    from sqlglot import exp

    if isinstance(node.expression, exp.Any):
        return any_of(rules, node)
    return compared(rules, node)


def _subtracted(rules: SparkRules, node: Any) -> Any:
    if (rules.kinds.of(node.this), rules.kinds.of(node.expression)) == (DATE, DATE):
        return call("datediff", rules.rewrite(node.this), rules.rewrite(node.expression))
    return rules.as_it_is(node)


def _try(rules: SparkRules, node: Any) -> exp.Expr:
    """NULL instead of an error, for reading JSON and casts of it: Spark has no TRY for expressions in general."""
    from sqlglot import exp

    harmless = (
        exp.JSONExtractScalar,
        exp.JSONExtract,
        exp.Column,
        exp.Placeholder,
        exp.Identifier,
        exp.Literal,
        exp.JSONPath,
        exp.Cast,
    )
    parts = (exp.JSONPathPart, exp.DataType, exp.Paren, exp.Dot)
    inner = node.this.copy()
    for each in inner.walk():
        if not isinstance(each, (*harmless, *parts)):
            raise Untranslatable(f"TRY of more than JSON and casts: {shown(node)}")
    attempted = exp.Paren(this=inner).transform(
        lambda each: exp.TryCast(this=each.this, to=each.to) if type(each) is exp.Cast else each, copy=False
    )
    strict, rules.strict = rules.strict, False
    try:
        made: exp.Expr = rules.rewrite(attempted)
    finally:
        rules.strict = strict
    return made


# Functions that the parser has no class for


def _anonymous(rules: SparkRules, node: Any) -> exp.Expr:
    name = node.name.lower()
    if name == IN_CIDR:
        address, network = (rules.rewrite(each) for each in node.expressions)
        return in_cidr(address, network)
    rule = _BY_NAME.get(name) or spark_times.BY_NAME.get(name) or spark_json.BY_NAME.get(name)
    if rule is None:
        raise Untranslatable(f"the function {name}")
    return rule(rules, *node.expressions)


def _expression(text: str) -> Callable[..., exp.Expr]:
    """The rule of a function that is an expression of its arguments a, b, c."""

    def rule(rules: SparkRules, *arguments: exp.Expr) -> exp.Expr:
        names = "abc"[: len(arguments)]
        if len(arguments) > 3:
            raise Untranslatable(f"so many arguments: {', '.join(shown(each) for each in arguments)}")
        return parsed(text, **{name: rules.rewrite(each) for name, each in zip(names, arguments, strict=True)})

    return rule


_BY_NAME: dict[str, Callable[..., exp.Expr]] = {
    "ip_label": lambda rules, address: label_of(rules.rewrite(address)),
    "ip_network": lambda rules, address: network_of(rules.rewrite(address)),
    "body_every": spark_bodies.every,
    "prefix": _expression("startswith(a, b)"),
    "suffix": _expression("endswith(a, b)"),
    "list_value": lambda rules, *items: call("array", *[rules.rewrite(item) for item in items]),
    "list_extract": _expression("try_element_at(a, CAST(b AS INT))"),
    "list_has_all": _expression("size(array_except(filter(b, e -> e IS NOT NULL), a)) = 0"),
    "list_unique": _expression("CAST(size(array_distinct(filter(a, e -> e IS NOT NULL))) AS BIGINT)"),
    "list_reverse": _expression("reverse(a)"),
    "list_count": _expression("CAST(size(filter(a, e -> e IS NOT NULL)) AS BIGINT)"),
    "list_reverse_sort": lambda rules, values: reverse_sorted(rules.rewrite(values)),
    "list_intersect": _expression("filter(array_intersect(a, b), e -> e IS NOT NULL)"),
    "list_sum": _expression(
        "aggregate(filter(a, e -> e IS NOT NULL), CAST(NULL AS BIGINT), (s, e) -> coalesce(s, 0) + e)"
    ),
    "iff": _expression("IF(a, b, c)"),
    "regexp_split_to_array": lambda rules, value, pattern: call("split", rules.rewrite(value), java_literal(pattern)),
}

RULES: dict[str, Callable[[SparkRules, Any], Any]] = {
    "Anonymous": _anonymous,
    "Between": compared,
    "Cast": _cast,
    "Ceil": _rounded,
    "Div": _divided,
    "EQ": _equals,
    "Floor": _rounded,
    "GT": compared,
    "GTE": compared,
    "IntDiv": _whole_division,
    "LT": compared,
    "LTE": compared,
    "NEQ": compared,
    "Pow": _power,
    "Round": _round,
    "Sub": _subtracted,
    "Try": _try,
    "TryCast": _cast,
    **spark_json.RULES,
    **spark_lists.RULES,
    **spark_strings.RULES,
    **spark_times.RULES,
}
"""By the name of a node's class."""
