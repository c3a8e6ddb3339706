"""What is found at any depth of a request body, in Spark's terms: by the text itself, since Spark has no such path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trailkeep.engines.constants import camel
from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.spark_text import literal, parsed, shown

if TYPE_CHECKING:
    from sqlglot import exp

    from trailkeep.engines.spark_rules import SparkRules

_TEXT = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf'(\[(?:[^\[\]{{}}"]|{_TEXT})*\]|{_TEXT}|\{{|[^\s,\[\]{{}}"]+)'
_EVERY = """
IF(body IS NULL OR NOT body RLIKE named, CAST(array() AS ARRAY<STRING>),
    IF(size(regexp_extract_all(body, named, 0)) <> size(regexp_extract_all(body, valued, 1)),
        CAST(raise_error('a list of lists or objects where texts are expected') AS ARRAY<STRING>),
        array_sort(array_distinct(filter(
            flatten(transform(
                filter(regexp_extract_all(body, valued, 1), v -> v <> '{'),
                v -> coalesce(
                    from_json(IF(startswith(v, '['), v, concat('[', v, ']')), 'ARRAY<STRING>'),
                    CAST(array() AS ARRAY<STRING>)))),
            t -> t IS NOT NULL)))))
"""


def every(rules: SparkRules, body: Any, name: Any) -> exp.Expr:
    """All texts of a field at any depth; a body that would need more than its text to be read ends the query."""
    from sqlglot import exp

    if not isinstance(name, exp.Literal) or not name.is_string:
        raise Untranslatable(f"a name that is not written in the query: {shown(name)}")
    names = "|".join(sorted({re.escape(name.name), re.escape(camel(name.name))}))
    # A quote that a backslash escapes ends no name: it would stand before the one that does.
    named = rf'(?d)"(?:{names})"\s*:'
    return parsed(
        _EVERY,
        body=rules.rewrite(body),
        named=literal(named),
        valued=literal(rf"{named}\s*{_VALUE}"),
    )
