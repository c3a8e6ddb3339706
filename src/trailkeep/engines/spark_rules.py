"""DuckDB's SQL as Spark's: the query's frame, aggregates and windows. `spark_functions` has the rest.

Every node of the syntax tree either means the same in Spark, as `spark_structure` says, or has a rule, or the query is
refused: rows that differ are worse than none.
"""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from trailkeep.engines import spark_functions
from trailkeep.engines.kinds import LIST, Kinds
from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.spark_aggregates import AGGREGATES, aggregated
from trailkeep.engines.spark_lists import list_contains
from trailkeep.engines.spark_structure import AS_IT_IS, FRAME_KINDS, JOIN_KINDS, PARAMETER_TYPES
from trailkeep.engines.spark_text import call, cast, number, shown, structure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlglot import exp


def translate(tree: exp.Query, parameters: Mapping[str, str], *, strict: bool) -> exp.Query:
    """`tree` in Spark's terms; `parameters` are the types of its parameters by their names.

    `strict` adds checks that end the query where Spark would take as empty what DuckDB refuses. Raises Untranslatable.
    """
    from sqlglot import exp

    translated = SparkRules(Kinds(tree, parameters), parameters, strict=strict).rewrite(tree.copy())
    assert isinstance(translated, exp.Query)
    return translated


class SparkRules:
    """The rewriting of one query."""

    def __init__(self, kinds: Kinds, parameters: Mapping[str, str], *, strict: bool) -> None:
        self.kinds = kinds
        self.strict = strict
        self._parameters = parameters

    def rewrite(self, node: Any) -> exp.Expr:
        """`node` in Spark's terms. Raises Untranslatable."""
        name = type(node).__name__
        made: exp.Expr
        if own := getattr(self, f"_on_{name.lower()}", None):
            made = own(node)
        elif aggregate := AGGREGATES.get(name):
            made = aggregate(self, node, None, None)
        elif rule := spark_functions.RULES.get(name):
            made = rule(self, node)
        else:
            made = self.as_it_is(node)
        return made

    def as_it_is(self, node: Any) -> exp.Expr:
        """`node` with everything below it rewritten, where it may have all that it has."""
        name = type(node).__name__
        allowed = AS_IT_IS.get(name)
        if allowed is None:
            raise Untranslatable(f"{shown(node)} ({name})")
        for key, value in node.args.items():
            if value is None or value is False or value == []:
                continue
            if key not in allowed:
                raise Untranslatable(f"{key.strip('_')} in {shown(node)}")
            if isinstance(value, list):
                node.set(key, [self._below(each) for each in value])
            else:
                node.set(key, self._below(value))
        return typing.cast("exp.Expr", node)

    def _below(self, value: Any) -> Any:
        from sqlglot import exp

        return self.rewrite(value) if isinstance(value, exp.Expr) else value

    # The query's frame

    def _on_select(self, node: exp.Select) -> exp.Expr:
        from sqlglot import exp

        for key in ("kind", "operation_modifiers", "sample", "pivots", "into", "match", "exclude", "locks", "hint"):
            if node.args.get(key):
                raise Untranslatable(f"{key} in {shown(node)}")
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            self._distinct_on(node, distinct.args["on"])
        nested = self._unnested(node)
        allowed = (
            "with_ expressions distinct from_ joins laterals where group having qualify windows order limit offset"
        )
        for key, value in list(node.args.items()):
            if value is None or value is False or value == []:
                continue
            if key not in allowed.split():
                raise Untranslatable(f"{key.strip('_')} in {shown(node)}")
            node.set(key, [self._below(each) for each in value] if isinstance(value, list) else self._below(value))
        if nested:
            self._explode(node, nested)
        assert isinstance(node, exp.Select)
        return node

    @staticmethod
    def _distinct_on(node: exp.Select, on: exp.Expr) -> None:
        """The first row of each key, as the number of the row among those of its key."""
        from sqlglot import exp

        order = node.args.get("order")
        if order is None:
            raise Untranslatable("DISTINCT ON without an ORDER BY leaves open which row it keeps")
        if node.args.get("qualify") or node.args.get("group"):
            raise Untranslatable("DISTINCT ON together with QUALIFY or GROUP BY")
        keys = on.expressions if isinstance(on, exp.Tuple) else [on]
        numbered = exp.Window(
            this=exp.RowNumber(), partition_by=[key.copy() for key in keys], order=order.copy(), over="OVER"
        )
        node.set("distinct", None)
        node.set("qualify", exp.Qualify(this=exp.EQ(this=numbered, expression=number(1))))

    def _unnested(self, node: exp.Select) -> list[tuple[int, exp.Expr]]:
        """The columns of `node` that unnest a list, by their places, taken out of the tree of what is rewritten."""
        from sqlglot import exp

        places = []
        for place, column in enumerate(node.expressions):
            plain = column.this if isinstance(column, exp.Alias) else column
            if isinstance(plain, exp.Explode) and not plain.expressions:
                places.append((place, plain.this))
            elif any(each.find_ancestor(exp.Select) is node for each in column.find_all(exp.Explode)):
                raise Untranslatable(f"unnest inside an expression: {shown(column)}")
        if places and (node.args.get("group") or node.args.get("having") or node.args.get("qualify")):
            raise Untranslatable("unnest among the columns of a query with GROUP BY or QUALIFY")
        if places and places[-1][0] - places[0][0] != len(places) - 1:
            raise Untranslatable("columns between two that are unnested")
        for place, values in places:
            name = node.expressions[place].alias or "unnest"
            replacement = exp.alias_(values.copy(), name, copy=False)
            node.expressions[place].replace(replacement)
        return [(place, values) for place, values in places]

    @staticmethod
    def _explode(node: exp.Select, nested: Sequence[tuple[int, exp.Expr]]) -> None:
        """Make rows of the lists in these columns; a shorter list goes on with NULL, as DuckDB's do."""
        from sqlglot import exp

        first, last = nested[0][0], nested[-1][0]
        columns = node.expressions[first : last + 1]
        lists = [call("coalesce", column.this, call("array")) for column in columns]
        if len(lists) == 1:
            made: exp.Expr = exp.alias_(call("explode", lists[0]), columns[0].args["alias"], copy=False)
        else:
            names = [column.args["alias"] for column in columns]
            made = exp.Aliases(this=call("inline", call("arrays_zip", *lists)), expressions=names)
        node.set("expressions", [*node.expressions[:first], made, *node.expressions[last + 1 :]])

    def _on_join(self, node: exp.Join) -> exp.Expr:
        if str(node.args.get("kind") or "").upper() not in JOIN_KINDS:
            raise Untranslatable(f"{node.args['kind']} JOIN")
        return self.as_it_is(node)

    def _on_with(self, node: exp.With) -> exp.Expr:
        for cte in node.expressions:
            cte.set("materialized", None)  # how, not what
        return self.as_it_is(node)

    def _on_union(self, node: exp.Union) -> exp.Expr:
        from sqlglot import exp

        cte = node.find_ancestor(exp.CTE)
        if cte is not None and node.args.get("distinct"):
            recursive = cte.parent is not None and cte.parent.args.get("recursive")
            if recursive and any(table.name.lower() == cte.alias.lower() for table in node.find_all(exp.Table)):
                raise Untranslatable("a recursive query with UNION; Spark has UNION ALL only")
        return self.as_it_is(node)

    def _on_table(self, node: exp.Table) -> exp.Expr:
        from sqlglot import exp

        if isinstance(node.this, exp.GenerateSeries):
            return self._rows_of(node.this, node.args.get("alias"), None)
        if not isinstance(node.this, exp.Identifier):
            raise Untranslatable(f"the table function {shown(node)}")
        return self.as_it_is(node)

    def _on_unnest(self, node: exp.Unnest) -> exp.Expr:
        if len(node.expressions) != 1 or node.args.get("explode_array"):
            raise Untranslatable(f"{shown(node)}")
        return self._rows_of(node.expressions[0], node.args.get("alias"), node.args.get("offset"))

    def _rows_of(self, values: exp.Expr, alias: exp.TableAlias | None, offset: Any) -> exp.Expr:
        """A list in a table's place."""
        from sqlglot import exp

        name = alias.this if alias is not None else exp.to_identifier("unnested")
        columns = list(alias.args.get("columns") or []) if alias is not None else []
        given = call("coalesce", self.rewrite(values), call("array"))
        if isinstance(offset, exp.Expr):
            # DuckDB counts from 1.
            pair = structure(v=exp.to_identifier("v"), i=_plus_one(exp.to_identifier("i")))
            given = call("transform", given, exp.Lambda(this=pair, expressions=[_name("v"), _name("i")]))
            columns = [*(columns[:1] or [_name("unnest")]), offset]
            made = call("inline", given)
        else:
            columns = columns or [_name("unnest")]
            made = call("explode", given)
        return exp.Lateral(this=made, alias=exp.TableAlias(this=name, columns=columns))

    def _on_from(self, node: exp.From) -> exp.Expr:
        from sqlglot import exp

        made = self.as_it_is(node)
        if isinstance(made.this, exp.Lateral):  # nothing stands before it, so it needs no LATERAL
            made.set("this", exp.Table(this=made.this.this, alias=made.this.args["alias"]))
        return made

    def _on_identifier(self, node: exp.Identifier) -> exp.Expr:
        return node

    def _on_placeholder(self, node: exp.Placeholder) -> exp.Expr:
        if not node.name:
            raise Untranslatable("a parameter without a name")
        declared = self._parameters.get(node.name.lower(), "text")
        item = declared.removeprefix("list[").removesuffix("]")
        kind = PARAMETER_TYPES.get(item, "STRING")
        return cast(node, f"ARRAY<{kind}>" if declared.startswith("list[") else kind)

    # Aggregates and windows

    def _on_windowspec(self, node: exp.WindowSpec) -> exp.Expr:
        if str(node.args.get("kind")).upper() not in FRAME_KINDS:
            raise Untranslatable(f"a window over {node.args.get('kind')}")
        return self.as_it_is(node)

    def _on_window(self, node: exp.Window) -> exp.Expr:
        from sqlglot import exp

        inner = node.this
        condition = None
        if isinstance(inner, exp.Filter):
            condition, inner = inner.expression.this, inner.this
        if isinstance(inner, exp.Count) and isinstance(inner.this, exp.Distinct):
            if len(inner.this.expressions) != 1:
                raise Untranslatable("count(DISTINCT several) OVER a window")
            values = call("collect_set", self.rewrite(inner.this.expressions[0]))
            return cast(call("size", aggregated(self, values, condition, node)), "BIGINT")
        if (aggregate := AGGREGATES.get(type(inner).__name__)) is not None:
            return aggregate(self, inner, condition, node)
        return self.as_it_is(node)

    def _on_filter(self, node: exp.Filter) -> exp.Expr:
        if (aggregate := AGGREGATES.get(type(node.this).__name__)) is not None:
            return aggregate(self, node.this, node.expression.this, None)
        return self.as_it_is(node)

    def _on_in(self, node: exp.In) -> exp.Expr:
        from sqlglot import exp

        field = node.args.get("field")
        values = node.expressions
        if field is not None or (len(values) == 1 and self.kinds.of(values[0]) == LIST):
            return list_contains(self, field if field is not None else values[0], node.this)
        if node.args.get("unnest"):
            unnest = node.args["unnest"]
            return list_contains(self, unnest.expressions[0], node.this)
        for value in values:
            if isinstance(value, exp.Tuple) and not isinstance(node.this, exp.Tuple):
                raise Untranslatable(f"{shown(node)}")
        return typing.cast("exp.Expr", spark_functions.compared(self, node))

    def _on_count(self, node: exp.Count) -> exp.Expr:
        from sqlglot import exp

        if isinstance(node.this, exp.Distinct):
            values = node.this.expressions
            if len(values) == 1 and isinstance(values[0], exp.Tuple):
                values = values[0].expressions
                fields = {f"c{place}": self.rewrite(value) for place, value in enumerate(values)}
                return exp.Count(this=exp.Distinct(expressions=[structure(**fields)]))
            if len(values) != 1:
                raise Untranslatable("count(DISTINCT several)")
        return self.as_it_is(node)


def _name(text: str) -> exp.Identifier:
    from sqlglot import exp

    return exp.to_identifier(text)


def _plus_one(node: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    return cast(exp.Add(this=node, expression=number(1)), "BIGINT")
