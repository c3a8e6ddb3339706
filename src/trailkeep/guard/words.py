"""The check of a PIVOT that the engine makes several statements of: by its words, as there is no tree of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.guard.allowed import (
    NAMED_BY_TEXT,
    TABLE_FUNCTIONS,
    WRITING_WORDS,
    check_function,
    check_table_name,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLES_FOLLOW = frozenset("describe desc from join pivot show summarize table unpivot".split())

_TABLES_END = frozenset("group having limit offset on order qualify select using values where window".split())
"""The words of a query after which tables are named, and after which no more are."""


def check_words(sql: str) -> list[tuple[str, bool]]:
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
        if word.lower() in WRITING_WORDS:
            raise refused(f"a PIVOT may not hold the word {word}", "Name the values: PIVOT ... ON x IN ('a', 'b').")
        if following.startswith("("):
            _check_called(word.removeprefix('"').removesuffix('"').lower())
    return words


def _check_called(name: str) -> None:
    """The check of a function in a PIVOT; which of them are table functions the words do not say."""
    tells = name.startswith(("duckdb_", "pragma_", "python_")) and name not in TABLE_FUNCTIONS
    if tells or name in NAMED_BY_TEXT:
        raise refused(f"the table function {name} is not allowed in a PIVOT")
    check_function(name)


def check_files(words: list[tuple[str, bool]]) -> None:
    """The check of a PIVOT that sqlglot cannot read: where a table is named, nothing looks like a file."""
    among_tables = [False]  # inside of each bracket that is open
    before = ""
    for word, is_text in words:
        name = word.strip("eE'\"$")
        if is_text or word.startswith('"'):
            if among_tables[-1] and (before[-1:] in {"(", ","} or before in _TABLES_FOLLOW):
                check_table_name([name], [name])
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
