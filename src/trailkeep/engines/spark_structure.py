"""Which parts of a query mean the same in Spark as they are; whatever is not named here needs a rule or is refused."""

from __future__ import annotations

_BOTH = "this expression"
_QUERY = "with_ order limit offset"

AS_IT_IS: dict[str, frozenset[str]] = {
    name: frozenset(arguments.split())
    for names, arguments in {
        # The query's frame.
        "From Where Having Qualify Not Paren Neg Null Boolean Identifier Is Distinct": "this expression expressions",
        "With": "expressions recursive",
        "CTE": "this alias",
        "TableAlias": "this columns",
        "Subquery": f"this alias {_QUERY}",
        "Union Except Intersect": f"this expression distinct {_QUERY}",
        "Join": "this on side kind using",
        "Table": "this alias joins",
        "Lateral": "this alias",
        "Values": "expressions alias",
        "Group": "expressions grouping_sets cube rollup all",
        "GroupingSets Cube Rollup": "expressions",
        "Order": "expressions",
        "Ordered": "this desc nulls_first",
        "Limit Offset": "expression",
        "Alias": "this alias",
        "Column": "this table db",
        "Star": "except_",
        "Tuple": "expressions",
        "Literal": "this is_string",
        "Var": "this",
        "DataType": "this expressions nested",
        # Logic.
        "And Or EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Add Sub Mul Mod Dot": _BOTH,
        "BitwiseAnd BitwiseOr BitwiseXor": _BOTH,
        "Between": "this low high",
        "In": "this expressions query",
        "Exists": "this",
        "Case": "this ifs default",
        "If": "this true false",
        # Functions of one value.
        "Lower Upper Abs Sqrt Ln Exp Sign Reverse MD5": "this",
        "Coalesce Greatest Least": "this expressions ignore_nulls",
        "Nullif Repeat": "this expression times",
        # Aggregates and windows.
        "Count": "this expressions big_int",
        "Max Min Sum CountIf LogicalOr LogicalAnd Stddev StddevPop StddevSamp Variance VariancePop": "this",
        "Filter": _BOTH,
        "Window": "this partition_by order spec alias over",
        "WindowSpec": "kind start start_side end end_side",
        "RowNumber Rank DenseRank PercentRank CumeDist": "",
        "Ntile FirstValue LastValue IgnoreNulls Grouping": "this expressions",
        "Lag Lead NthValue": "this offset default",
    }.items()
    for name in names.split()
}
"""By the name of a node's class: the arguments that it may have. Any other, and any other class, is refused."""

JOIN_KINDS = frozenset({"", "INNER", "CROSS", "OUTER", "SEMI", "ANTI"})
FRAME_KINDS = frozenset({"ROWS", "RANGE"})

TYPES = {
    "VARCHAR": "STRING",
    "TEXT": "STRING",
    "CHAR": "STRING",
    "UUID": "STRING",
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INT": "INT",
    "BIGINT": "BIGINT",
    "UINT": "BIGINT",
    "UBIGINT": "DECIMAL(20, 0)",
    "INT128": "DECIMAL(38, 0)",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP_NTZ",
    "TIMESTAMPNTZ": "TIMESTAMP_NTZ",
}
"""Spark's types, by sqlglot's names of DuckDB's."""

PARAMETER_TYPES = {
    "timestamp": "TIMESTAMP_NTZ",
    "duration": "INTERVAL DAY TO SECOND",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
}
"""Spark's types of a query's parameters; text is the rest."""

INTEGERS = frozenset({"TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL(20, 0)", "DECIMAL(38, 0)"})
