"""Texts in Spark's terms, regular expressions among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.engines.kinds import INTERVAL, LIST, NUMBER
from trailkeep.engines.patterns import java_pattern, java_replacement
from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.spark_lists import concatenated, is_count
from trailkeep.engines.spark_text import call, cast, literal, number, parsed, renamed, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot import exp

    from trailkeep.engines.spark_rules import SparkRules


def _concat(rules: SparkRules, node: Any) -> exp.Expr:
    """DuckDB passes over NULL, Spark returns it."""
    if any(rules.kinds.of(each) == LIST for each in node.expressions):
        return concatenated(*[rules.rewrite(each) for each in node.expressions])
    texts = [as_text(rules, each) for each in node.expressions]
    return call("concat", *[call("coalesce", text, literal("")) for text in texts])


def _concat_ws(rules: SparkRules, node: Any) -> exp.Expr:
    separator, *values = node.expressions
    return call("concat_ws", rules.rewrite(separator), *[as_text(rules, each) for each in values])


def _pipes(rules: SparkRules, node: Any) -> exp.Expr:
    if LIST in (rules.kinds.of(node.this), rules.kinds.of(node.expression)):
        return concatenated(rules.rewrite(node.this), rules.rewrite(node.expression))
    return call("concat", as_text(rules, node.this), as_text(rules, node.expression))


def as_text(rules: SparkRules, node: exp.Expr) -> exp.Expr:
    """The text of a value; what has another text in Spark is refused."""
    from sqlglot import exp

    kind = rules.kinds.of(node)
    if kind in (LIST, INTERVAL, NUMBER):
        raise Untranslatable(f"the text of a {kind}: {shown(node)}")
    if isinstance(node, exp.Literal) and node.is_string:
        return node.copy()
    return cast(rules.rewrite(node.copy()), "STRING")


def _like(rules: SparkRules, node: Any) -> exp.Expr:
    """In Spark a backslash escapes by default, in DuckDB nothing does."""
    from sqlglot import exp

    pattern = node.expression
    if isinstance(pattern, (exp.Any, exp.All)):
        raise Untranslatable(f"{shown(node)}")
    if isinstance(pattern, exp.Literal):
        written: exp.Expr = literal(pattern.name.replace("\\", "\\\\"))
    else:
        written = call("replace", rules.rewrite(pattern), literal("\\"), literal("\\\\"))
    made: exp.Expr = type(node)(this=rules.rewrite(node.this), expression=written)
    return exp.Not(this=exp.paren(made, copy=False)) if node.args.get("negate") else made


def _escape(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    inner, sign = node.this, node.expression
    if not isinstance(inner, (exp.Like, exp.ILike)) or not isinstance(sign, exp.Literal) or len(sign.name) != 1:
        raise Untranslatable(f"{shown(node)}")
    made = type(inner)(this=rules.rewrite(inner.this), expression=rules.rewrite(inner.expression))
    return exp.Escape(this=made, expression=sign)


def java_literal(node: Any, options: str = "", around: tuple[str, str] = ("", "")) -> exp.Expr:
    """A regular expression that is written in the query, in Java\'s words."""
    from sqlglot import exp

    if not isinstance(node, exp.Literal) or not node.is_string:
        raise Untranslatable(f"a regular expression that is not written in the query: {shown(node)}")
    return literal(around[0] + java_pattern(node.name, options) + around[1])


def _options(node: Any, key: str) -> str:
    from sqlglot import exp

    options = node.args.get(key)
    if options is None:
        return ""
    if not isinstance(options, exp.Literal):
        raise Untranslatable(f"{shown(node)}")
    return str(options.name)


def _regexp_like(rules: SparkRules, node: Any) -> exp.Expr:
    pattern = java_literal(node.expression, _options(node, "flag"))
    return parsed("(value RLIKE pattern)", value=rules.rewrite(node.this), pattern=pattern)


def _full_match(rules: SparkRules, node: Any) -> exp.Expr:
    pattern = java_literal(node.expression, _options(node, "options"), (r"\A(?:", r")\z"))
    return parsed("(value RLIKE pattern)", value=rules.rewrite(node.this), pattern=pattern)


def _similar(rules: SparkRules, node: Any) -> exp.Expr:
    return _full_match(rules, node)


def _regexp_extract(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    group = node.args.get("group") or number(0)
    if (
        not isinstance(group, exp.Literal)
        or group.is_string
        or any(node.args.get(k) for k in ("position", "occurrence"))
    ):
        raise Untranslatable(f"{shown(node)}")
    name = "regexp_extract_all" if isinstance(node, exp.RegexpExtractAll) else "regexp_extract"
    return call(
        name, rules.rewrite(node.this), java_literal(node.expression, _options(node, "parameters")), group.copy()
    )


def _regexp_replace(rules: SparkRules, node: Any) -> exp.Expr:
    """Without the option g DuckDB replaces the first match only."""
    from sqlglot import exp

    options = _options(node, "modifiers")
    replacement = node.args.get("replacement")
    if not isinstance(replacement, exp.Literal) or not replacement.is_string:
        raise Untranslatable(f"{shown(node)}: a replacement that is not written in the query")
    pattern = java_literal(node.expression, options.replace("g", ""))
    value = rules.rewrite(node.this)
    if "g" in options:
        return call("regexp_replace", value, pattern, literal(java_replacement(replacement.name)))
    if "\\" in replacement.name:
        raise Untranslatable(f"{shown(node)}: a group in the replacement of the first match")
    return parsed(
        "IF(regexp_instr(value, pattern) = 0, value, "
        "overlay(value PLACING replacement FROM regexp_instr(value, pattern) "
        "FOR char_length(regexp_substr(value, pattern))))",
        value=value,
        pattern=pattern,
        replacement=replacement.copy(),
    )


def _split(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    if not isinstance(node.expression, exp.Literal) or not node.expression.is_string:
        raise Untranslatable(f"{shown(node)}: a separator that is not written in the query")
    separator = "".join("\\" + each if not each.isalnum() and each.isascii() else each for each in node.expression.name)
    return call("split", rules.rewrite(node.this), literal(separator))


def _regexp_split(rules: SparkRules, node: Any) -> exp.Expr:
    return call("split", rules.rewrite(node.this), java_literal(node.expression))


def _split_part(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    place = node.args["part_index"]
    if not isinstance(place, exp.Literal) or place.name == "0":
        raise Untranslatable(f"{shown(node)}: only a place that is written in the query")
    return call("split_part", rules.rewrite(node.this), rules.rewrite(node.args["delimiter"]), place.copy())


def _substring(rules: SparkRules, node: Any) -> exp.Expr:
    if not is_count(node.args.get("start")) and not isinstance(node.args.get("start"), _negative()):
        raise Untranslatable(f"{shown(node)}: only a start that is written in the query, from 1")
    parts = [rules.rewrite(node.this), rules.rewrite(node.args["start"])]
    length = node.args.get("length")
    return call("substring", *parts, *([cast(rules.rewrite(length), "INT")] if length is not None else []))


def _negative() -> type:
    from sqlglot import exp

    return exp.Neg


def _side(rules: SparkRules, node: Any) -> exp.Expr:
    if not is_count(node.expression):
        raise Untranslatable(f"{shown(node)}: only a number of characters that is written in the query")
    return call(type(node).__name__.lower(), rules.rewrite(node.this), node.expression.copy())


def _pad(rules: SparkRules, node: Any) -> exp.Expr:
    name = "lpad" if node.args.get("is_left") else "rpad"
    fill = node.args.get("fill_pattern")
    if fill is None:
        raise Untranslatable(f"{shown(node)}")
    return call(name, rules.rewrite(node.this), cast(rules.rewrite(node.expression), "INT"), rules.rewrite(fill))


def _trim(rules: SparkRules, node: Any) -> exp.Expr:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or ""), "btrim")
    signs = node.args.get("expression")
    value = rules.rewrite(node.this)
    if signs is None:
        return call(name, value)
    return call(name, rules.rewrite(signs), value) if name != "btrim" else call(name, value, rules.rewrite(signs))


def _position(rules: SparkRules, node: Any) -> exp.Expr:
    if node.args.get("position") is not None or node.args.get("occurrence") is not None:
        raise Untranslatable(f"{shown(node)}")
    return cast(call("instr", rules.rewrite(node.this), rules.rewrite(node.args["substr"])), "BIGINT")


def _sha2(rules: SparkRules, node: Any) -> exp.Expr:
    return call("sha2", rules.rewrite(node.this), node.args["length"].copy())


def _array_to_string(rules: SparkRules, node: Any) -> exp.Expr:
    return call(
        "array_join",
        parsed("transform(xs, e -> CAST(e AS STRING))", xs=rules.rewrite(node.this)),
        rules.rewrite(node.expression),
    )


RULES: dict[str, Callable[[SparkRules, Any], Any]] = {
    "ArrayToString": _array_to_string,
    "Concat": _concat,
    "ConcatWs": _concat_ws,
    "DPipe": _pipes,
    "EndsWith": renamed("endswith", "this", "expression"),
    "Escape": _escape,
    "ILike": _like,
    "Left": _side,
    "Levenshtein": renamed("levenshtein", "this", "expression"),
    "Like": _like,
    "Pad": _pad,
    "RegexpExtract": _regexp_extract,
    "RegexpExtractAll": _regexp_extract,
    "RegexpFullMatch": _full_match,
    "RegexpLike": _regexp_like,
    "RegexpReplace": _regexp_replace,
    "RegexpSplit": _regexp_split,
    "Replace": renamed("replace", "this", "expression", "replacement"),
    "Right": _side,
    "SHA2": _sha2,
    "SimilarTo": _similar,
    "Split": _split,
    "SplitPart": _split_part,
    "StartsWith": renamed("startswith", "this", "expression"),
    "StrPosition": _position,
    "Substring": _substring,
    "Translate": renamed("translate", "this", "from_", "to"),
    "Trim": _trim,
}
"""By the name of a node's class."""
