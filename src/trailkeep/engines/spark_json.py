"""JSON in Spark's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.spark_text import call, cast, literal, parsed, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlglot import exp

    from trailkeep.engines.spark_rules import SparkRules

_NO_JSON = "raise_error('this text is not JSON')"


def _steps(node: Any) -> tuple[exp.Expr, list[str | int | None]]:
    """The document that is read, and the path in it: keys, places from 0, and None for all elements of a list."""
    from sqlglot import exp

    document, path = node.this, node.expression
    before: list[str | int | None] = []
    if isinstance(document, exp.Paren):
        document = document.unnest()
    if isinstance(document, exp.JSONExtract):
        document, before = _steps(document)
    if isinstance(path, exp.Literal):
        return document, [*before, path.name if path.is_string else int(path.name)]
    if not isinstance(path, exp.JSONPath):
        raise Untranslatable(f"a JSON path that is not written in the query: {shown(node)}")
    steps: list[str | int | None] = []
    for part in path.expressions:
        if isinstance(part, exp.JSONPathRoot):
            continue
        if (isinstance(part, exp.JSONPathKey) and isinstance(part.this, str)) or (
            isinstance(part, exp.JSONPathSubscript) and isinstance(part.this, int) and part.this >= 0
        ):
            steps.append(part.this)
        elif isinstance(part, exp.JSONPathSubscript) and isinstance(part.this, exp.JSONPathWildcard):
            steps.append(None)
        else:
            raise Untranslatable(f"the JSON path in {shown(node)}")
    return document, [*before, *steps]


def _path(steps: Sequence[str | int | None]) -> exp.Expr:
    """The path as Spark writes it."""
    written = "$"
    for step in steps:
        if isinstance(step, int):
            written += f"[{step}]"
        elif step is None or not step or "'" in step or "?" in step or step == "*":
            raise Untranslatable(f"the JSON key {step!r}")
        elif step.replace("_", "a").isalnum():
            written += f".{step}"
        else:
            written += f"['{step}']"
    return literal(written)


def _read(rules: SparkRules, document: exp.Expr) -> exp.Expr:
    """The whole document; what is no JSON ends the query, as it does in DuckDB."""
    return call("parse_json" if rules.strict else "try_parse_json", document)


def _text(rules: SparkRules, node: Any) -> exp.Expr:
    """A value as text: NULL where it is missing or null."""
    document, steps = _steps(node)
    given = rules.rewrite(document.copy())
    if None in steps:
        return _texts(rules, given, steps, node)
    found = call("get_json_object", given, _path(steps))
    if not rules.strict:
        return found
    check = parsed(f"IF(document IS NOT NULL AND try_parse_json(document) IS NULL, {_NO_JSON}, NULL)", document=given)
    return call("coalesce", found, cast(check, "STRING"))


def _texts(rules: SparkRules, document: exp.Expr, steps: list[str | int | None], node: Any) -> exp.Expr:
    """The texts of all elements of a list; those without the key are left out, those where it is null are NULL."""
    place = steps.index(None)
    before, after = steps[:place], steps[place + 1 :]
    if None in after:
        raise Untranslatable(f"two [*] in {shown(node)}")
    elements = parsed(
        "coalesce(try_variant_get(document, path, 'array<variant>'), array())",
        document=_read(rules, document),
        path=_path(before),
    )
    if after:
        found = parsed("transform(xs, e -> variant_get(e, path, 'variant'))", xs=elements, path=_path(after))
        elements = parsed("filter(xs, e -> e IS NOT NULL)", xs=found)
    texts = parsed(
        "transform(xs, e -> IF(schema_of_variant(e) RLIKE '^(OBJECT|ARRAY)', "
        "raise_error('an object or a list where a text is expected'), CAST(e AS STRING)))",
        xs=elements,
    )
    return parsed("IF(document IS NULL, NULL, texts)", document=document, texts=texts)


def _json(_rules: SparkRules, node: Any) -> exp.Expr:
    raise Untranslatable(f"JSON as a value: {shown(node)}; read it as text with ->> or json_extract_string")


def _keys(rules: SparkRules, node: Any) -> exp.Expr:
    if node.args.get("expression") is not None:
        raise Untranslatable(f"{shown(node)}: only json_keys(TEXT)")
    return parsed(
        "IF(document IS NULL, NULL, IF(parsed IS NULL, NULL, coalesce(json_object_keys(document), array())))",
        document=rules.rewrite(node.this.copy()),
        parsed=_read(rules, rules.rewrite(node.this.copy())),
    )


def _from_json(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    document, steps = (node.this, []) if not isinstance(node.this, exp.JSONExtract) else _steps(node.this)
    shape = node.args.get("expression")
    if not isinstance(shape, exp.Literal) or shape.name.replace(" ", "").upper() != '["VARCHAR"]' or None in steps:
        raise Untranslatable(f"{shown(node)}: only '[\"VARCHAR\"]'")
    return parsed(
        "variant_get(document, path, 'array<string>')",
        document=_read(rules, rules.rewrite(document.copy())),
        path=_path(steps),
    )


def _valid(rules: SparkRules, document: exp.Expr) -> exp.Expr:
    return parsed("IF(document IS NULL, NULL, try_parse_json(document) IS NOT NULL)", document=rules.rewrite(document))


def _array_length(rules: SparkRules, document: exp.Expr, path: exp.Expr | None = None) -> exp.Expr:
    """The number of elements; 0 of what is no list."""
    from sqlglot import exp

    steps: list[str | int | None] = []
    if path is not None:
        if not isinstance(path, exp.Literal) or not path.is_string:
            raise Untranslatable(f"a JSON path that is not written in the query: {shown(path)}")
        _, steps = _steps(_extraction(path.name))
    elif isinstance(document, exp.JSONExtract):
        document, steps = _steps(document)
    value = parsed(
        "variant_get(document, path, 'variant')",
        document=_read(rules, rules.rewrite(document.copy())),
        path=_path(steps),
    )
    return parsed(
        "IF(value IS NULL, NULL, CAST(coalesce(size(try_variant_get(value, '$', 'array<variant>')), 0) AS BIGINT))",
        value=value,
    )


def _extraction(path: str) -> Any:
    import sqlglot

    quoted = path.replace("'", "''")
    return sqlglot.parse_one(f"x ->> '{quoted}'", dialect="duckdb")


RULES: dict[str, Callable[[SparkRules, Any], Any]] = {
    "JSONExtract": _json,
    "JSONExtractScalar": _text,
    "JSONKeys": _keys,
    "FromJson": _from_json,
}
BY_NAME: dict[str, Callable[..., Any]] = {"json_valid": _valid, "json_array_length": _array_length}
