"""Lists in Spark's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.engines.kinds import LIST
from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.spark_text import call, cast, comparison, number, parsed, renamed, shown, structure

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot import exp

    from trailkeep.engines.spark_rules import SparkRules


def size(values: exp.Expr) -> exp.Expr:
    """The number of elements."""
    return cast(call("size", values), "BIGINT")


def list_contains(rules: SparkRules, values: exp.Expr, value: exp.Expr) -> exp.Expr:
    """Whether a list holds a value; elements that are NULL are passed over, as DuckDB does."""
    return parsed(
        "IF(xs IS NULL OR value IS NULL, NULL, EXISTS(xs, e -> e <=> value))",
        xs=rules.rewrite(values.copy()),
        value=rules.rewrite(value.copy()),
    )


def _contains(rules: SparkRules, node: Any) -> exp.Expr:
    if rules.kinds.of(node.this) == LIST:
        return list_contains(rules, node.this, node.expression)
    return call("contains", rules.rewrite(node.this), rules.rewrite(node.expression))


def _array_contains(rules: SparkRules, node: Any) -> exp.Expr:
    return list_contains(rules, node.this, node.expression)


def _overlaps(rules: SparkRules, node: Any) -> exp.Expr:
    return parsed(
        "EXISTS(xs, e -> e IS NOT NULL AND EXISTS(ys, f -> f <=> e))",
        xs=rules.rewrite(node.this),
        ys=rules.rewrite(node.expression),
    )


def any_of(rules: SparkRules, node: Any) -> exp.Expr:
    """``x = ANY(list)``."""
    from sqlglot import exp

    inner = node.expression.this.unnest() if isinstance(node.expression.this, exp.Paren) else node.expression.this
    if isinstance(inner, (exp.Query, exp.Subquery)):
        raise Untranslatable(f"{shown(node)}")
    return list_contains(rules, inner, node.this)


def _length(rules: SparkRules, node: Any) -> exp.Expr:
    value = rules.rewrite(node.this)
    return size(value) if rules.kinds.of(node.this) == LIST else cast(call("char_length", value), "BIGINT")


def _array_size(rules: SparkRules, node: Any) -> exp.Expr:
    if node.expression is not None and node.args.get("expression") is not None:
        raise Untranslatable(f"{shown(node)}")
    return size(rules.rewrite(node.this))


def _transform(rules: SparkRules, node: Any) -> exp.Expr:
    return _with_lambda(rules, "transform", node)


def _array_filter(rules: SparkRules, node: Any) -> exp.Expr:
    return _with_lambda(rules, "filter", node)


def _with_lambda(rules: SparkRules, name: str, node: Any) -> exp.Expr:
    from sqlglot import exp

    function = node.expression
    if not isinstance(function, exp.Lambda):
        raise Untranslatable(f"{shown(node)}")
    body = rules.rewrite(function.this)
    names = [each.name for each in function.expressions]
    if len(names) == 2:

        def counted(inner: exp.Expr) -> exp.Expr:
            """DuckDB counts the elements from 1, Spark from 0."""
            if isinstance(inner, exp.Identifier) and inner.name == names[1] and not isinstance(inner.parent, exp.Dot):
                whole = inner.parent if isinstance(inner.parent, exp.Column) else inner
                return exp.paren(exp.Add(this=exp.to_identifier(whole.name), expression=number(1)), copy=False)
            return inner

        wrapped = exp.Paren(this=body)
        body = wrapped.transform(counted, copy=False)
    return call(name, rules.rewrite(node.this), exp.Lambda(this=body, expressions=function.expressions))


def _array(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    items = node.expressions
    if len(items) == 1 and isinstance(items[0], exp.Comprehension):
        return _comprehension(rules, items[0])
    return call("array", *[rules.rewrite(item) for item in items])


def _comprehension(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    if node.args.get("position"):
        raise Untranslatable(f"{shown(node)}")
    name = exp.to_identifier(node.expression.name)
    values = rules.rewrite(node.args["iterator"])
    if node.args.get("condition") is not None:
        kept = exp.Lambda(this=rules.rewrite(node.args["condition"]), expressions=[name.copy()])
        values = call("filter", values, kept)
    return call("transform", values, exp.Lambda(this=rules.rewrite(node.this), expressions=[name.copy()]))


def _array_sort(rules: SparkRules, node: Any) -> exp.Expr:
    """NULL comes last, unless the third argument says otherwise."""
    from sqlglot import exp

    values = rules.rewrite(node.this)
    if node.args.get("expression") is not None or (
        node.args.get("asc") not in (None, True) and node.args["asc"] != exp.true()
    ):
        raise Untranslatable(f"{shown(node)}: only list_sort(LIST), or list_reverse_sort(LIST)")
    first = node.args.get("nulls_first")
    if first is not None and first != exp.false():
        raise Untranslatable(f"{shown(node)}: only list_sort(LIST), or list_reverse_sort(LIST)")
    return call("array_sort", values)


def reverse_sorted(values: exp.Expr) -> exp.Expr:
    """From the largest to the smallest, NULL last."""
    fields = parsed("transform(xs, e -> named_struct('v', e))", xs=values)
    ordered = call("array_sort", fields, comparison([("v", True, False)]))
    return parsed("transform(xs, e -> e.v)", xs=ordered)


def _distinct(rules: SparkRules, node: Any) -> exp.Expr:
    return parsed("array_distinct(filter(xs, e -> e IS NOT NULL))", xs=rules.rewrite(node.this))


def concatenated(*lists: exp.Expr) -> exp.Expr:
    """Lists one after the other; NULL is an empty one."""
    return call("concat", *[call("coalesce", each, call("array")) for each in lists])


def _array_concat(rules: SparkRules, node: Any) -> exp.Expr:
    return concatenated(*[rules.rewrite(each) for each in [node.this, *node.expressions]])


def _array_append(rules: SparkRules, node: Any) -> exp.Expr:
    return concatenated(rules.rewrite(node.this), call("array", rules.rewrite(node.expression)))


def _array_prepend(rules: SparkRules, node: Any) -> exp.Expr:
    return concatenated(call("array", rules.rewrite(node.expression)), rules.rewrite(node.this))


def _flatten(rules: SparkRules, node: Any) -> exp.Expr:
    return parsed("flatten(filter(xs, e -> e IS NOT NULL))", xs=rules.rewrite(node.this))


def _bracket(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    (place,) = node.expressions if len(node.expressions) == 1 else (None,)
    value = rules.rewrite(node.this)
    if isinstance(place, exp.Slice):
        start, end = place.this, place.expression
        if not is_count(start) or not is_count(end) or place.args.get("step") is not None:
            raise Untranslatable(f"{shown(node)}: only a part such as [1:3]")
        length = max(0, int(end.name) - int(start.name) + 1)
        return call("slice", value, number(start.name), number(length))
    if isinstance(place, exp.Literal) and place.is_string:
        return exp.Dot(this=value, expression=exp.to_identifier(place.name, quoted=True))
    if place is None or (isinstance(place, exp.Literal) and place.name == "0"):
        raise Untranslatable(f"{shown(node)}")
    return call("try_element_at", value, cast(rules.rewrite(place), "INT"))


def is_count(node: Any) -> bool:
    """Whether it is a whole number from 1 that is written in the query."""
    from sqlglot import exp

    return isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit() and node.name != "0"


def _generated(rules: SparkRules, node: Any) -> exp.Expr:
    """A list of numbers; Spark's own counts down where the end lies before the start."""
    if node.args.get("step") is not None:
        raise Untranslatable(f"{shown(node)} with a step")
    start, end = node.args.get("start"), node.args["end"]
    first = cast(rules.rewrite(start) if start is not None else number(0), "BIGINT")
    last = cast(rules.rewrite(end), "BIGINT")
    compared = "start >= finish" if node.args.get("is_end_exclusive") else "start > finish"
    finish = "finish - 1" if node.args.get("is_end_exclusive") else "finish"
    return parsed(
        f"IF(start IS NULL OR finish IS NULL, NULL, IF({compared}, CAST(array() AS ARRAY<BIGINT>), "
        f"sequence(start, greatest(start, {finish}))))",
        start=first,
        finish=last,
    )


def _struct(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    fields = {}
    for each in node.expressions:
        if not isinstance(each, exp.PropertyEQ):
            raise Untranslatable(f"{shown(node)}")
        fields[each.this.name] = rules.rewrite(each.expression)
    return structure(**fields)


def _struct_extract(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    if not isinstance(node.expression, exp.Literal) or not node.expression.is_string:
        raise Untranslatable(f"{shown(node)}")
    return exp.Dot(this=rules.rewrite(node.this), expression=exp.to_identifier(node.expression.name, quoted=True))


RULES: dict[str, Callable[[SparkRules, Any], Any]] = {
    "Array": _array,
    "ArrayAppend": _array_append,
    "ArrayConcat": _array_concat,
    "ArrayContains": _array_contains,
    "ArrayDistinct": _distinct,
    "ArrayFilter": _array_filter,
    "ArrayMax": renamed("array_max", "this"),
    "ArrayMin": renamed("array_min", "this"),
    "ArrayOverlaps": _overlaps,
    "ArrayPrepend": _array_prepend,
    "ArraySize": _array_size,
    "ArraySort": _array_sort,
    "Bracket": _bracket,
    "Comprehension": _comprehension,
    "Contains": _contains,
    "Flatten": _flatten,
    "GenerateSeries": _generated,
    "Length": _length,
    "Struct": _struct,
    "StructExtract": _struct_extract,
    "Transform": _transform,
}
"""By the name of a node's class."""
