"""What kind of value an expression gives, as far as its text tells: other engines have one function for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlglot import exp

LIST, TIME, DATE, INTERVAL, INTEGER, NUMBER = "list", "time", "date", "interval", "integer", "number"

_OF_PARAMETERS = {"timestamp": TIME, "duration": INTERVAL, "integer": INTEGER, "number": NUMBER}
_LISTS = frozenset(
    "Array ArrayAgg ArrayFilter Transform ArraySort ArrayDistinct ArrayConcat ArrayAppend ArrayPrepend "
    "Split RegexpSplit RegexpExtractAll GenerateSeries JSONKeys Flatten Comprehension".split()
)
_LIST_NAMES = frozenset(
    "list_value list_slice list_reverse list_intersect list_reverse_sort string_split "
    "regexp_split_to_array list_zip".split()
)
_INTEGERS = frozenset(
    "Count CountIf Length ArraySize RowNumber Rank DenseRank Ntile DateDiff Hour Minute Second Day Month Year "
    "DayOfWeek DayOfWeekIso Extract StrPosition IntDiv".split()
)
_NUMBERS = frozenset(
    "Div Avg Median PercentileCont Stddev StddevPop Variance VariancePop TimeToUnix Sqrt Ln Exp".split()
)
_SAME_AS_ARGUMENT = frozenset(
    "Paren Max Min First Last AnyValue Lag Lead FirstValue LastValue NthValue ArgMax ArgMin Nullif Sum Filter Window "
    "IgnoreNulls Distinct Order Coalesce Greatest Least Neg Abs Round Floor Ceil Try Subquery".split()
)
_ROUNDS = 10


class Kinds:
    """The kinds of a query's expressions; a name has the kind that everything of that name has."""

    def __init__(self, tree: exp.Query, parameters: Mapping[str, str]) -> None:
        from sqlglot import exp

        self._parameters = parameters
        self._names = _columns()
        aliases = [(node.alias.lower(), node.this) for node in tree.find_all(exp.Alias)]
        for _round in range(_ROUNDS):
            found = {name: kind for name, value in aliases if (kind := self.of(value)) is not None}
            if found.items() <= self._names.items():
                break
            self._names |= found

    def of(self, node: exp.Expr | None) -> str | None:  # noqa: C901 - one line for each kind of node
        """The kind of what `node` gives, or None where its text does not tell: mostly text."""
        from sqlglot import exp

        name = type(node).__name__
        if isinstance(node, (exp.Column, exp.Identifier)):
            return self._names.get(node.name.lower())
        if isinstance(node, exp.Dot):
            return self._names.get(node.expression.name.lower())
        if isinstance(node, exp.Placeholder):
            declared = self._parameters.get(node.name.lower(), "text")
            return LIST if declared.startswith("list[") else _OF_PARAMETERS.get(declared)
        if isinstance(node, exp.Literal):
            return None if node.is_string else (INTEGER if node.name.isdigit() else NUMBER)
        if isinstance(node, exp.Cast):
            return _of_type(node.to)
        if isinstance(node, (exp.Add, exp.Sub, exp.Mul)):
            return self._of_arithmetic(node)
        if isinstance(node, exp.Case):
            values = [branch.args.get("true") for branch in node.args["ifs"]] + [node.args.get("default")]
            return next((kind for value in values if (kind := self.of(value)) is not None), None)
        if isinstance(node, exp.If):
            return self.of(node.args.get("true")) or self.of(node.args.get("false"))
        if isinstance(node, exp.Bracket):
            return LIST if any(isinstance(each, exp.Slice) for each in node.expressions) else None
        if isinstance(node, (exp.TimestampTrunc, exp.DateTrunc, exp.DateBin)):
            return TIME
        if isinstance(node, exp.Interval):
            return INTERVAL
        if isinstance(node, exp.Select) and len(node.expressions) == 1:
            return self.of(node.expressions[0])
        if isinstance(node, exp.Alias) or name in _SAME_AS_ARGUMENT:
            return self.of(node.this) if node is not None and isinstance(node.this, exp.Expr) else None
        if isinstance(node, exp.Anonymous):
            return LIST if node.name.lower() in _LIST_NAMES else None
        return LIST if name in _LISTS else INTEGER if name in _INTEGERS else NUMBER if name in _NUMBERS else None

    def _of_arithmetic(self, node: exp.Binary) -> str | None:
        from sqlglot import exp

        left, right = self.of(node.this), self.of(node.expression)
        if isinstance(node, exp.Sub) and (left, right) == (TIME, TIME):
            return INTERVAL
        if isinstance(node, exp.Sub) and (left, right) == (DATE, DATE):
            return INTEGER
        for kind in (TIME, DATE, INTERVAL, NUMBER, INTEGER):
            if kind in (left, right):
                return kind
        return None


def _columns() -> dict[str, str]:
    """The kinds of the archive's own columns, those of resources and of the views among them."""
    import pyarrow as pa

    found: dict[str, str] = {"resource_ids": LIST, "start_at": TIME, "end_at": TIME, "position": INTEGER}
    fields = [pa.field(column.name, column.type) for table in schema.TABLES.values() for column in table.columns]
    for field in [*fields, *schema.RESOURCE]:
        if pa.types.is_timestamp(field.type):
            found[field.name] = TIME
            found[f"resource_{field.name}"] = TIME
        elif pa.types.is_list(field.type):
            found[field.name] = LIST
        elif pa.types.is_integer(field.type):
            found[field.name] = INTEGER
    return found


def _of_type(to: exp.DataType) -> str | None:
    from sqlglot import exp

    kind = exp.DataType.Type
    if to.this in (kind.ARRAY, kind.LIST):
        return LIST
    if to.this in (kind.TIMESTAMP, kind.TIMESTAMPNTZ, kind.DATETIME):
        return TIME
    if to.this in (kind.INT, kind.BIGINT, kind.SMALLINT, kind.TINYINT, kind.INT128, kind.UBIGINT, kind.UINT):
        return INTEGER
    if to.this in (kind.DOUBLE, kind.FLOAT, kind.DECIMAL):
        return NUMBER
    return {kind.DATE: DATE, kind.INTERVAL: INTERVAL}.get(to.this)
