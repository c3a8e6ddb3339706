"""Whether a SQL text may run: one SELECT that reads the archive's tables, and nothing else.

The layers, each able to refuse on its own:

1. The engine's parser says how many statements there are and of what type.
2. The engine's own syntax tree is walked. It is needed: ``WITH x AS (COPY t TO 'f') SELECT 1`` has the type SELECT
   (DuckDB 2.0), and only the tree shows what is inside. Whatever kind of query node is not known is refused.
3. sqlglot parses the text a second time, and may only tighten. It is asked wherever it could have an objection: a
   text without any of the words and signs that one begins with is not parsed again, since loading sqlglot takes as long
   as many a query.

What passes is run on a locked connection (`trailkeep.catalog`), which is the fourth layer.
"""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from trailkeep.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

MAX_SQL_CHARACTERS = 1_000_000
"""The longest text that is parsed at all."""

MAX_BRACKET_DEPTH = 250
"""The deepest nesting of brackets: some hundred thousand nested subqueries crash the engine's parser."""

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_TABLE_FUNCTIONS = frozenset(
    "duckdb_columns duckdb_constraints duckdb_databases duckdb_functions duckdb_keywords duckdb_schemas duckdb_tables "
    "duckdb_types duckdb_views generate_series generate_subscripts histogram histogram_values icu_calendar_names "
    "json_each json_tree pg_timezone_names pragma_show pragma_table_info pragma_version range repeat repeat_row "
    "summary test_all_types unnest".split()
)
_FORBIDDEN_FUNCTIONS = frozenset(
    "add_parquet_key checkpoint currval copy_database enable_logging disable_logging force_checkpoint getenv glob "
    "import_database json_execute_serialized_sql json_serialize_plan nextval parquet_scan pg_sleep query query_table "
    "setseed setval sleep_ms sniff_csv sql_auto_complete truncate_duckdb_logs which_secret write_log".split()
)
_FORBIDDEN_PREFIXES = ("read_", "parquet_", "duckdb_secret", "enable_", "disable_", "from_substrait", "scan_")
_FORBIDDEN_SUFFIXES = ("_scan", "_scan_dumb", "_external_resource", "_external_resource_type", "_checkpoint")
_WRITING_WORDS = frozenset(
    "alter analyze attach call checkpoint comment copy create deallocate delete detach drop execute export import "
    "insert install into load merge pragma prepare reset set truncate update use vacuum".split()
)
"""Words that end a PIVOT's chances: its syntax tree cannot be had from the engine."""

_SECOND_OPINION = rf"""
    \b(?: {"|".join(sorted(_WRITING_WORDS | _FORBIDDEN_FUNCTIONS))} | replace\s+into )\b
    | \b(?: {"|".join(_FORBIDDEN_PREFIXES)} ) | (?: {"|".join(_FORBIDDEN_SUFFIXES)} )\b
    | \b(?: pivot | unpivot | describe | desc | show | summarize | explain )\b
    | ["`\\\\] | \$\w*\$ | [^\x00-\x7f]  # quoted names, dollar quoting, other letters
    # a text that may stand for a file:
    | (?: \b(?: from | join | table | using | in | as ) | [,(] | \*/ | --[^\n]*\n )\s*[a-z]?'
    """
"""Where sqlglot may object: nothing that it refuses can be written without one of these, wherever its and the engine's
parser think that strings and comments begin and end."""

_PLAIN_TABLE_FUNCTIONS = frozenset(
    "generate_series generate_subscripts json_each json_tree range repeat repeat_row unnest".split()
)
"""Table functions that tell nothing of what tables there are."""

_NAMED_BY_TEXT = frozenset("histogram histogram_values pragma_show pragma_table_info".split())
"""Table functions that take the name of a table as text, and open a file where it is the name of one."""

_TABLES_FOLLOW = frozenset("describe desc from join pivot show summarize table unpivot".split())
_TABLES_END = frozenset("group having limit offset on order qualify select using values where window".split())
"""The words of a query after which tables are named, and after which no more are."""

_ASKS_NAMES = re.compile(r"actor_(?:name|type)", re.IGNORECASE)

_PATH_LIKE = re.compile(r"[/\\:*?\[\]{}~%]|^\.|\.[A-Za-z0-9]+$")
_FILE_EXTENSIONS = frozenset("csv tsv txt json jsonl ndjson parquet gz zst db duckdb sqlite xlsx arrow feather".split())
_BLANK = r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"
_EXPLAIN_WORDS = rf"explain\b{_BLANK}(?P<analyze>analyze\b|analyse\b)?{_BLANK}"
_EXPLAIN = re.compile(rf"{_EXPLAIN_WORDS}(?:\((?P<options>[a-z_,\s]*)\){_BLANK}(?=\S))?", re.IGNORECASE | re.DOTALL)
_EXPLAIN_PLAIN = re.compile(_EXPLAIN_WORDS, re.IGNORECASE | re.DOTALL)
_EXPLAIN_OPTIONS = frozenset({"analyze", "format", "json", "text", "html", "graphviz", "mermaid", "yaml", "default"})

_ONE_SELECT = "Write one SELECT; the archive cannot be changed from SQL."
_SYNTAX_HINT = "Correct the SQL at the place shown; `trailkeep queries show NAME` prints queries that work."


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """SQL that may run."""

    sql: str
    """What to run; an EXPLAIN is written anew around the text that was checked."""
    parameters: frozenset[str]
    """The names, in lower case as written, that must be bound."""
    tables: frozenset[str] | None
    """The tables named, common table expressions included; None where the engine does not say (PIVOT)."""
    common: frozenset[str] = frozenset()
    """The names of the common table expressions."""
    functions: frozenset[str] = frozenset()
    """The functions named, in lower case; meaningless where `tables` is None."""
    is_select: bool = False
    """Whether it is one SELECT, and neither an EXPLAIN nor a PIVOT that the engine makes several statements of."""
    asks_what_there_is: bool = False
    """Whether the answer may depend on what tables there are, as that of SHOW TABLES does."""
    asks_names: bool = True
    """Whether the answer may depend on who acted: on ``actor_name`` or ``actor_type`` of the events."""
    select: str | None = None
    """The text of the one SELECT that it is or explains; None for a PIVOT that the engine makes several statements of.
    """


_KEPT, _KEPT_CHARACTERS = 256, 100_000
_ACCEPTED: dict[str, Statement] = {}
"""What was accepted of late: a saved query that is asked again with other values is not parsed again."""


def check(sql: str, *, source: str | None = None, parser: duckdb.DuckDBPyConnection | None = None) -> Statement:
    """The statement of `sql` if it may run; `source` is the file it was read from.

    A connection that the caller has anyway can be the `parser`: nothing of `sql` is run on it.

    Raises QueryError, with a hint, for everything else; the message begins with the place where there is one.
    """
    statement = _ACCEPTED.get(sql)
    if statement is not None:
        return statement
    try:
        statement = _check(sql, source, parser or _parser())
    except QueryError as error:
        if source is None or error.message.startswith(f"{source}:"):
            raise
        raise QueryError(f"{source}: {error.message}", hint=error.hint) from error
    if len(sql) <= _KEPT_CHARACTERS:
        if len(_ACCEPTED) >= _KEPT:
            _ACCEPTED.clear()
        _ACCEPTED[sql] = statement
    return statement


def located(source: str | None, place: tuple[int, int] | None) -> str:
    """What a message about SQL begins with: FILE:LINE:COLUMN, or less where less is known."""
    if place is None:
        return f"{source}: " if source else ""
    line, column = place
    return f"{source}:{line}:{column}: " if source else f"line {line}, column {column}: "


def _check(sql: str, source: str | None, parser: duckdb.DuckDBPyConnection) -> Statement:
    _check_size(sql)
    kind, parameters, text = _one_statement(sql, source, parser)
    if kind == "EXPLAIN":
        return _check_explain(text, source, parser)
    # The text stays as it was given, comments before it included: places in errors count from its beginning.
    if kind == "MULTI":
        words = _check_words(sql)
        if not _check_with_sqlglot(sql, is_pivot=True):
            _check_files(words)
        return Statement(sql=sql, parameters=parameters, tables=None, asks_what_there_is=True)
    if kind != "SELECT":
        raise _refused(f"this is a {kind.replace('_', ' ')} statement")
    named = _check_tree(sql, parser)
    if may_be_objected_to(sql):
        _check_with_sqlglot(sql, is_pivot=False)
    return Statement(
        sql=sql,
        parameters=parameters,
        tables=frozenset(named.tables),
        common=frozenset(named.common),
        functions=frozenset(named.functions),
        is_select=True,
        select=sql,
        asks_what_there_is=named.asks_what_there_is,
        asks_names=named.whole_rows or named.rows_of_tables or names_actors(sql),
    )


def names_actors(sql: str) -> bool:
    """Whether `sql` names who acted, by the columns ``actor_name`` or ``actor_type``."""
    return _ASKS_NAMES.search(sql) is not None


def place_of(sql: str, message: str) -> tuple[int, int] | None:
    """Line and column, from 1, that the engine's `message` about `sql` points at, or None."""
    match = re.search(r"LINE (\d+): ([^\n]*)\n( *)\^", message)
    if match is None:
        return None
    line, excerpt = int(match[1]), match[2]
    offset = len(match[3]) - len(f"LINE {line}: ")
    lines = sql.split("\n")
    if not 1 <= line <= len(lines) or offset < 0:
        return None
    # A long line is shown as an excerpt between dots.
    shown = excerpt.removeprefix("...").removesuffix("...")
    start = lines[line - 1].find(shown)
    if start < 0:
        return None
    wanted = offset - (3 if excerpt.startswith("...") else 0)
    # The marker stands below what a terminal shows: a wide character takes two columns, a tab or a mark none.
    width, count = 0, 0
    while count < len(shown) and (width < wanted or (width == wanted and _columns(shown[count]) == 0)):
        width += _columns(shown[count])
        count += 1
    return line, start + count + 1


def _columns(character: str) -> int:
    """How many columns the engine counts for a character where it points at a place."""
    if unicodedata.category(character) in {"Cc", "Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _refused(what: str, hint: str = _ONE_SELECT) -> QueryError:
    return QueryError(f"the SQL was refused: {what}", hint=hint)


def _check_size(sql: str) -> None:
    if len(sql) > MAX_SQL_CHARACTERS:
        raise _refused(
            f"it has {len(sql)} characters, more than {MAX_SQL_CHARACTERS}", "Bind long lists as parameters instead."
        )
    if "\x00" in sql:
        raise _refused("it holds a NUL character")
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise _refused("it is not valid Unicode", "Save the SQL as UTF-8.") from None
    depth = 0
    for bracket in re.findall(r"[()\[\]{}]", sql):
        depth += 1 if bracket in "([{" else -1
        if depth > MAX_BRACKET_DEPTH:
            raise _too_deep()


def _too_deep() -> QueryError:
    return _refused("it is nested too deeply", "Break it up with common table expressions: WITH name AS (...).")


_PARSING = threading.Lock()
"""Held while the parser's connection is used: statements may be checked on several threads."""


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A connection that is only asked to parse: nothing is ever run on it but functions over SQL text."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"python_enable_replacements": False, "threads": 1})
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
    return connection


def _one_statement(sql: str, source: str | None, parser: duckdb.DuckDBPyConnection) -> tuple[str, frozenset[str], str]:
    """Type, parameters and text of the one statement in `sql`."""
    import duckdb

    try:
        with _PARSING:
            statements = parser.extract_statements(sql)
        kinds = [str(statement.type).rpartition(".")[2] for statement in statements]
    except duckdb.Error as error:
        message = str(error)
        where = located(source, place_of(sql, message))
        first = message.removeprefix("Parser Error: ").split("\n")[0]
        if "expression depth limit" in message:
            raise _too_deep() from error
        raise QueryError(f"{where}{first}", hint=_SYNTAX_HINT) from error
    except (ValueError, RuntimeError) as error:  # a type of statement that the Python client has no name for
        raise _refused("its type of statement is not known") from error
    if not statements:
        raise _refused("there is no statement in it", "Write a SELECT.")
    if len(statements) > 1:
        raise _refused(f"it holds {len(statements)} statements")
    return kinds[0], frozenset(statements[0].named_parameters), statements[0].query


def _check_explain(sql: str, source: str | None, parser: duckdb.DuckDBPyConnection) -> Statement:
    """An EXPLAIN of a SELECT that may run, rebuilt around the checked text so that nothing else can be explained."""
    body = _without_leading_comments(sql)
    match = _EXPLAIN.match(body)
    if match is None:
        raise _refused("its EXPLAIN could not be read")
    options = set((match["options"] or "").lower().replace(",", " ").split())
    if not options <= _EXPLAIN_OPTIONS:
        match = _EXPLAIN_PLAIN.match(body)
        assert match is not None
        options = set()
    kind, _, text = _one_statement(body[match.end() :], source, parser)
    if kind != "SELECT":
        raise _refused(f"it explains a {kind.replace('_', ' ')} statement", "EXPLAIN takes one SELECT.")
    inner = _check(text, source, parser)
    analyze = "ANALYZE " if match["analyze"] or "analyze" in options else ""
    formats = sorted(options - {"analyze", "format"})
    form = f"(FORMAT {formats[0]}) " if "format" in options and len(formats) == 1 else ""
    if form and analyze:
        analyze, form = "", f"(ANALYZE, FORMAT {formats[0]}) "
    return replace(inner, is_select=False, sql=f"EXPLAIN {analyze}{form}{inner.sql}")


def _without_leading_comments(sql: str) -> str:
    import duckdb

    for offset, kind in duckdb.tokenize(sql):
        if kind != duckdb.token_type.comment:
            # The tokenizer counts bytes.
            return sql.encode()[offset:].decode()
    return sql


@dataclass(slots=True)
class _Named:
    """What a syntax tree names."""

    tables: set[str] = field(default_factory=set)
    common: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    asks_what_there_is: bool = False
    whole_rows: bool = False
    """Whether it takes columns that it does not name: a star, COLUMNS, a NATURAL JOIN, a column's number or alias."""
    columns: set[str] = field(default_factory=set)
    """The last parts of the names of columns, in lower case."""
    references: set[str] = field(default_factory=set)
    """The names under which it knows its tables, in lower case."""

    @property
    def rows_of_tables(self) -> bool:
        """Whether it takes a table's row as one value."""
        return bool(self.columns & self.references)


def _check_tree(sql: str, parser: duckdb.DuckDBPyConnection) -> _Named:
    """Walk the engine's syntax tree; return what it names."""
    import duckdb

    try:
        with _PARSING:
            row = parser.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
        tree = json.loads(row[0]) if row else {"error": True}
    except RecursionError:
        raise _too_deep() from None
    except (duckdb.Error, ValueError) as error:
        raise _refused("the engine cannot describe it") from error
    if tree.get("error"):
        raise _refused(f"the engine cannot describe it: {tree.get('error_message', 'no reason given')}")
    named = _Named()
    for node in _nodes(tree):
        _check_node(node, named)
    return named


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value; without recursion, since the depth is an attacker's choice."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_node(node: dict[str, Any], named: _Named) -> None:
    if isinstance(expressions := node.get("cte_map"), dict):
        named.common.update(str(entry.get("key")) for entry in expressions.get("map") or [])
    kind = node.get("type")
    if not isinstance(kind, str):
        return
    _note_columns(node, named)
    if kind.endswith("_NODE") and kind not in _QUERY_NODES:
        what = kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")
        raise _refused(f"it holds a {what} inside a query")
    if kind in {"BASE_TABLE", "SHOW_REF"}:
        path = [str(part) for part in node.get("qualified_name", {}).get("path", [])]
        names = [*path, *(str(node.get(key) or "") for key in ("table_name", "schema_name", "catalog_name"))]
        _check_table_name(path or names[:1], [name for name in names if name])
        named.tables.update(name.strip('"') for name in names if name)
        named.asks_what_there_is |= kind == "SHOW_REF"
    elif kind == "TABLE_FUNCTION":
        name = _function_name(node.get("function") or {})
        named.asks_what_there_is |= name not in _PLAIN_TABLE_FUNCTIONS
        named.functions.add(name)
        if name not in _TABLE_FUNCTIONS:
            _check_function(name)
            raise _refused(
                f"the table function {name} is not allowed",
                "Query the archive's tables; `SHOW TABLES` lists them.",
            )
        if name in _NAMED_BY_TEXT:
            _check_named_by_text(name, (node.get("function") or {}).get("arguments") or [])
    elif kind == "FUNCTION" and not node.get("is_operator"):
        name = _function_name(node)
        named.functions.add(name)
        if name not in _TABLE_FUNCTIONS:
            _check_function(name)


def _note_columns(node: dict[str, Any], named: _Named) -> None:
    """Note what a node says of the columns that are taken."""
    kind = node.get("type")
    if kind == "COLUMN_REF":
        # Of several parts the last is the column, or a field of it; a row as one value has no field after it.
        named.columns.update(str(part).lower() for part in (node.get("column_names") or [])[-1:])
    elif kind in {"STAR", "POSITIONAL_REFERENCE", "PIVOT"} or node.get("ref_type") == "NATURAL":
        named.whole_rows = True
    elif kind == "BASE_TABLE" and node.get("column_name_alias"):
        named.whole_rows = True  # FROM events AS e(a, b, c) gives its columns other names
    if kind in {"BASE_TABLE", "SUBQUERY"}:
        named.references.update(str(node.get(key) or "").lower() for key in ("alias", "table_name"))
        named.references.update(str(part).lower() for part in node.get("qualified_name", {}).get("path", []))


def _function_name(node: dict[str, Any]) -> str:
    return str(node.get("function_name") or "").lower()


def _check_named_by_text(name: str, arguments: list[dict[str, Any]]) -> None:
    """The table must be named plainly: what is put together could be a file's name."""
    told = next((each for each in arguments if each.get("name") == "source"), arguments[0] if arguments else {})
    table = told.get("expression") or {}
    literal = table.get("literal") or {}
    if table.get("type") == "COLUMN_REF":
        names = [str(part) for part in table.get("column_names") or []]
    elif literal.get("kind") == "STRING":
        names = [str(literal.get("text"))]
    else:
        raise _refused(f"{name} wants the name of a table", f"Write it as it is: {name}('events').")
    _check_table_name(names, names)


def allows_function(name: str) -> bool:
    """Whether SQL may call the function `name`, in lower case, if the engine has it."""
    return not (
        name in _FORBIDDEN_FUNCTIONS or name.startswith(_FORBIDDEN_PREFIXES) or name.endswith(_FORBIDDEN_SUFFIXES)
    )


def _check_function(name: str) -> None:
    if not allows_function(name):
        raise _refused(
            f"the function {name} is not allowed: it reaches outside the archive's tables",
            "Query the archive's tables; `SHOW TABLES` lists them.",
        )


def _check_table_name(path: Iterable[str], names: Iterable[str]) -> None:
    parts = [part for part in path if part]
    dotted_file = len(parts) > 1 and parts[-1].lower() in _FILE_EXTENSIONS
    for name in names:
        if dotted_file or _PATH_LIKE.search(name):
            raise _refused(
                f"{'.'.join(parts) or name!r} names a file, not a table of the archive",
                "Query the archive's tables; `SHOW TABLES` lists them.",
            )


def _check_words(sql: str) -> list[tuple[str, bool]]:
    """The check of a PIVOT that the engine makes several statements of: no word of it may write or reach out.

    Returns its words, names, signs and texts as the engine takes them apart, and which are texts.
    """
    import duckdb

    content = sql.encode()
    words = [
        (content[start:end].decode(errors="replace").strip(), kind == duckdb.token_type.string_const)
        for (start, kind), (end, _) in _pairs(duckdb.tokenize(sql), len(content))
        if kind != duckdb.token_type.comment
    ]
    for (word, is_text), (following, _) in zip(words, [*words[1:], ("", False)], strict=True):
        if is_text:
            continue
        if word.lower() in _WRITING_WORDS:
            raise _refused(f"a PIVOT may not hold the word {word}", "Name the values: PIVOT ... ON x IN ('a', 'b').")
        if following.startswith("("):
            _check_called(word.removeprefix('"').removesuffix('"').lower())
    return words


def _check_called(name: str) -> None:
    """The check of a function in a PIVOT; which of them are table functions the words do not say."""
    tells = name.startswith(("duckdb_", "pragma_", "python_")) and name not in _TABLE_FUNCTIONS
    if tells or name in _NAMED_BY_TEXT:
        raise _refused(f"the table function {name} is not allowed in a PIVOT")
    _check_function(name)


def _check_files(words: list[tuple[str, bool]]) -> None:
    """The check of a PIVOT that sqlglot cannot read: where a table is named, nothing looks like a file."""
    among_tables = [False]  # inside of each bracket that is open
    before = ""
    for word, is_text in words:
        name = word.strip("eE'\"$")
        if is_text or word.startswith('"'):
            if among_tables[-1] and (before[-1:] in {"(", ","} or before in _TABLES_FOLLOW):
                _check_table_name([name], [name])
        elif word.lower() in _TABLES_FOLLOW | _TABLES_END:
            among_tables[-1] = word.lower() in _TABLES_FOLLOW
        for sign in "" if is_text else word:
            if sign == "(":
                # The brackets of a function hold values, those after a word of the syntax what it has there.
                is_call = before.isidentifier() and before not in _TABLES_FOLLOW
                among_tables.append(among_tables[-1] and not is_call)
            elif sign == ")" and len(among_tables) > 1:
                among_tables.pop()
        before = "" if is_text else word.lower()


def _pairs(tokens: list[tuple[int, Any]], end: int) -> Iterator[tuple[tuple[int, Any], tuple[int, Any]]]:
    return zip(tokens, [*tokens[1:], (end, None)], strict=True)


def may_be_objected_to(sql: str) -> bool:
    """Whether sqlglot could refuse what the engine's own syntax tree has passed."""
    return re.search(_SECOND_OPINION, sql, re.IGNORECASE | re.VERBOSE) is not None


def _check_with_sqlglot(sql: str, *, is_pivot: bool) -> bool:
    """Whether sqlglot could read the statement; it has nothing against it then."""
    import logging

    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it talks on stderr about what it cannot parse
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
        nodes = [node for statement in statements if statement is not None for node in statement.walk()]
    except (SqlglotError, RecursionError):
        nodes = [exp.Command()]  # what it cannot read it has no opinion on
    writing = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Copy, exp.Create, exp.Drop, exp.Alter, exp.Attach)
    for node in nodes:
        if isinstance(node, writing):
            raise _refused(f"it holds a {type(node).__name__.upper()}")
        if isinstance(node, exp.Func):
            name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
            if name not in _TABLE_FUNCTIONS:
                _check_function(name)
        elif isinstance(node, exp.Table) and node.name:
            parts = [part for part in (node.catalog, node.db, node.name) if part]
            _check_table_name(parts, parts)
            if is_pivot and isinstance(node.this, exp.Func) and node.name.lower() not in _TABLE_FUNCTIONS:
                raise _refused(f"the table function {node.name} is not allowed")
    return not any(isinstance(node, exp.Command) for node in nodes)
