"""A saved query as the text that another engine's user would want: comments that explain it, and one SELECT."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from trailkeep import guard
from trailkeep.engines import other_rules, portable, spark_rules, spark_text
from trailkeep.engines.dialects import Dialect
from trailkeep.engines.parameters import text_value, types_of
from trailkeep.engines.portable import Untranslatable
from trailkeep.queries import STANDARD, bind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlglot import exp

    from trailkeep.analysis import Question

_HOW = {
    Dialect.DUCKDB: "DuckDB: the parameters are $name. Each table is a view over its folder of Parquet files.",
    Dialect.SPARK: "Spark 4: spark.sql(text, args={...}) binds the parameters :name.",
    Dialect.TRINO: "Trino: EXECUTE ... USING binds each ? in its turn; tables are looked up in the session's schema.",
    Dialect.BIGQUERY: "BigQuery: the parameters are @name; tables are those of the query's default data set.",
    Dialect.CLICKHOUSE: "ClickHouse: clickhouse client --param_NAME=VALUE binds the parameters {name: Type}.",
    Dialect.SNOWFLAKE: "Snowflake: the parameters are :name, as the variables of a Snowflake Scripting block are.",
}
_TABLES = {
    Dialect.DUCKDB: "read_parquet('ARCHIVE/{table}/**/*.parquet', hive_partitioning = true)",
    Dialect.SPARK: ":table_{table}, such as parquet.`ARCHIVE/{table}`",
    Dialect.TRINO: "an external table {table} over ARCHIVE/{table}",
    Dialect.BIGQUERY: "an external table {table} over ARCHIVE/{table}/*",
    Dialect.CLICKHOUSE: "{{table_{table}: Identifier}}, a table or view over file('ARCHIVE/{table}/**/*.parquet')",
    Dialect.SNOWFLAKE: "IDENTIFIER(:table_{table}), an external table over ARCHIVE/{table}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A query in another dialect."""

    sql: str
    """Comments, and one statement."""
    notes: tuple[str, ...]
    """What could not be translated, or is not known to mean the same."""


def print_query(question: Question, dialect: Dialect, now: datetime) -> Printed:
    """`question` in `dialect`; `now` is what ages count back from. Needs no archive, and no value that is required.

    Raises QueryError for SQL that may not run or cannot be read at all, UsageError for values that do not fit.
    """
    statement = guard.check(question.sql, source=str(question.saved.path) if question.saved else None)
    values, required = _values(question, statement, now)
    types = types_of(question.saved, values)
    tree, tables, notes = _translated(statement.sql, types, dialect)
    if dialect is not Dialect.SPARK:
        other_rules.name_parameters(tree, types, dialect)
    if dialect in (Dialect.SPARK, Dialect.CLICKHOUSE, Dialect.SNOWFLAKE):
        _place(tree, tables, dialect)
    text, more = _text(tree, dialect)
    text, order = other_rules.number_parameters(text) if dialect is Dialect.TRINO else (text, [])
    notes = list(dict.fromkeys([*notes, *more]))
    used = order or sorted(name for name in values if name.lower() in {each.lower() for each in statement.parameters})
    head = _head(question, dialect, _described(used, values, types, required), tables, notes)
    return Printed(sql="".join(f"-- {line}".rstrip() + "\n" for line in head) + text + "\n", notes=tuple(notes))


def _values(question: Question, statement: guard.Statement, now: datetime) -> tuple[dict[str, Any], frozenset[str]]:
    """What the parameters are bound to, and the names of those that nobody gave though they are required."""
    declared = dict(question.saved.parameters) if question.saved else dict(STANDARD)
    times = {name: value for name in STANDARD if (value := getattr(question, name)) is not None}
    given = {**question.given, **times}
    required = frozenset(name for name, each in declared.items() if each.required and name not in given)
    optional = {
        name: dataclasses.replace(each, required=False, default=None) if name in required else each
        for name, each in declared.items()
    }
    if question.saved is None:
        free = {name: value for name, value in given.items() if name not in STANDARD}
        bound = {**free, **bind(optional, {name: given[name] for name in STANDARD if name in given}, now)}
        missing = {name.lower() for name in statement.parameters} - {name.lower() for name in bound}
        return {**bound, **dict.fromkeys(missing)}, frozenset(missing)
    return bind(optional, given, now), required


def _translated(sql: str, types: Mapping[str, str], dialect: Dialect) -> tuple[exp.Query, tuple[str, ...], list[str]]:
    """The tree to be written, the tables that it reads, and what is to be said of it."""
    notes = [other_rules.NO_NAMES] if guard.names_actors(sql) else []
    if dialect is Dialect.SPARK:
        try:
            found = portable.expand(sql, instead=other_rules.WITHOUT_NAMES, but=portable.OWN_WAYS)
            return spark_rules.translate(found.tree, types, strict=False), found.tables, notes
        except Untranslatable as error:
            notes.append(error.reason)
    own = dialect is Dialect.DUCKDB
    instead = other_rules.WITHOUT_NAMES if own else other_rules.VIEWS_INSTEAD
    but: frozenset[str] = frozenset() if own else portable.OWN_WAYS
    found = portable.expand(sql, instead=instead, as_written=False, but=but)
    if own:
        return found.tree, found.tables, notes
    tree, more = other_rules.rewrite(found.tree, dialect)
    if dialect is Dialect.SPARK:
        other_rules.name_parameters(tree, types, dialect)
    return tree, found.tables, [*notes, *more]


def _place(tree: exp.Query, tables: Sequence[str], dialect: Dialect) -> None:
    """Where the tables lie, as parameters, where the engine has such."""
    import sqlglot

    if dialect is Dialect.SPARK:
        spark_text.place_tables(tree, tables)
        return
    for table in reversed(tables):
        parameter = spark_text.table_parameter(table)
        source = f"{{{parameter}: Identifier}}" if dialect is Dialect.CLICKHOUSE else f"IDENTIFIER(:{parameter})"
        body = sqlglot.parse_one(f"SELECT * FROM {source}", dialect=dialect.value)  # noqa: S608 - a name of the schema
        portable.prepend(tree, table, cast("exp.Query", body))


def _text(tree: exp.Query, dialect: Dialect) -> tuple[str, list[str]]:
    """The text, and what sqlglot has to say of it."""
    from sqlglot import ErrorLevel
    from sqlglot.dialects import Dialect as Dialects

    if dialect is Dialect.SPARK:
        return spark_text.text_of(tree, pretty=True), []
    generator = Dialects.get_or_raise(dialect.value).generator(pretty=True, unsupported_level=ErrorLevel.IGNORE)
    return generator.generate(tree), [f"sqlglot: {message}" for message in generator.unsupported_messages]


def _described(
    used: Sequence[str], values: Mapping[str, Any], types: Mapping[str, str], required: frozenset[str]
) -> list[str]:
    """A line for each parameter: its name, its type, its value."""
    lines = []
    by_name = {name.lower(): value for name, value in values.items()}
    for name in used:
        value = "give a value" if name in required else _shown(by_name.get(name.lower()))
        lines.append(f"{name} {types.get(name.lower(), 'text')} = {value}")
    return lines


def _shown(value: Any) -> str:
    """A value on one line, whatever it holds."""
    if isinstance(value, list):
        value = [text_value(each) for each in value]
    text = json.dumps(text_value(value), ensure_ascii=True)
    return "NULL" if value is None else text


def _head(
    question: Question, dialect: Dialect, parameters: Sequence[str], tables: Sequence[str], notes: Sequence[str]
) -> list[str]:
    lines = [_one_line(question.saved.title)] if question.saved else []
    lines += ["", _HOW[dialect], "All times are UTC; recorded_at has no zone."]
    if parameters:
        lines += ["Parameters, in their order:" if dialect is Dialect.TRINO else "Parameters:"]
        lines += [f"  {line}" for line in parameters]
    if tables:
        lines += ["Tables, where ARCHIVE is the archive's folder:"]
        lines += [f"  {table}: {_location(table, dialect)}" for table in tables]
    if notes:
        lines += ["Not translated, or not known to mean the same:"]
        lines += [f"  {_one_line(note)}" for note in notes]
    return lines if question.saved else lines[1:]


def _location(table: str, dialect: Dialect) -> str:
    from trailkeep import schema

    if table in schema.TABLES and table != schema.REVISIONS.name:
        return _TABLES[dialect].format(table=table)
    return f"no Parquet in the archive: write it with trailkeep query --sql 'FROM {table}' --output {table}.parquet"


def _one_line(text: str) -> str:
    """A text as part of one line of a comment: no character of it ends the line, or begins anything."""
    return re.sub(r"[^\x20-\x7e\u00a0-\u024f]+", " ", text).replace("*/", "* /").replace("/*", "/ *")
