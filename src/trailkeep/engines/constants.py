"""Expressions over texts that are written in the query, worked out: paths into JSON are constants elsewhere, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp

_CAMEL = "_camel"


def worked_out(tree: exp.Expr) -> exp.Expr:
    """`tree` with what is made of texts alone as a text, and the texts that are paths into JSON read as paths."""
    for node in reversed(list(tree.walk(bfs=True))):
        value = _value(node)
        if value is not None and node is not tree:
            node.replace(value)
        elif value is not None:
            return value
    return tree


def camel(name: str) -> str:
    """A name in snake_case as camelCase, as the macro ``_camel`` gives it."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _value(node: Any) -> exp.Expr | None:
    """What a node comes down to; None where it does not."""
    from sqlglot import exp

    if isinstance(node, exp.Paren) and (_is_text(node.this) or isinstance(node.this, exp.Null)):
        return _copied(node.this)
    if isinstance(node, exp.Anonymous) and node.name.lower() == _CAMEL and _is_text(node.expressions[0]):
        return exp.Literal.string(camel(node.expressions[0].name))
    if isinstance(node, exp.DPipe) and _is_text(node.this) and _is_text(node.expression):
        return exp.Literal.string(node.this.name + node.expression.name)
    if isinstance(node, exp.Nullif) and _is_text(node.this) and _is_text(node.expression):
        return exp.Null() if node.this.name == node.expression.name else _copied(node.this)
    if isinstance(node, exp.Coalesce) and _is_text(node.this):
        return _copied(node.this)
    if isinstance(node, exp.Coalesce) and isinstance(node.this, exp.Null) and len(node.expressions) == 1:
        return _copied(node.expressions[0])
    if isinstance(node, (exp.JSONExtract, exp.JSONExtractScalar)) and _is_text(node.expression):
        node.set("expression", _path(node.expression))
    return None


def _is_text(node: Any) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Literal) and bool(node.is_string)


def _copied(node: exp.Expr) -> exp.Expr:
    return node.copy()


def _path(text: exp.Expr) -> exp.Expr | None:
    from sqlglot.dialects.duckdb import DuckDB

    # What finds at any depth no other engine has, and sqlglot writes it for none.
    return DuckDB().to_json_path(text) if text.name.startswith("$") and ".." not in text.name else text
