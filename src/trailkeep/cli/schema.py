"""`trailkeep schema`: every table, view and macro, with columns, types, meaning and JSON paths."""

from __future__ import annotations

import difflib
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import output
from trailkeep.cli.app import app
from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trailkeep.schema.macros import Macro
    from trailkeep.schema.relations import Relation

_LONGEST_TYPE = 20
"""Types of more characters are written below the table, so that the meanings stay on the screen."""


class SchemaFormat(StrEnum):
    """How the schema is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


@app.command()
def schema(
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="One table, view or macro; all of them where not given.")
    ] = None,
    *,
    schema_format: Annotated[
        SchemaFormat, typer.Option("--format", help="How to write the result.")
    ] = SchemaFormat.TEXT,
) -> None:
    """Print what SQL can ask: tables, views and macros, with columns, types, meaning and JSON paths.

    No archive is needed: an empty one has them all.
    """
    from trailkeep.schema.macros import MACROS
    from trailkeep.schema.relations import RELATIONS

    relations: Iterable[Relation] = RELATIONS.values()
    macros: Iterable[Macro] = MACROS.values()
    if table is not None:
        name = _find(table, [*RELATIONS, *MACROS])
        relations = [RELATIONS[name]] if name in RELATIONS else []
        macros = [MACROS[name]] if name in MACROS else []
    if schema_format is SchemaFormat.JSON:
        output.write_json({"tables": [*map(_table_json, relations)], "macros": [*map(_macro_json, macros)]})
        return
    lines = markdown if schema_format is SchemaFormat.MARKDOWN else _text
    for line in lines(relations, macros):
        output.write_text(line)


def _find(written: str, names: list[str]) -> str:
    name = written.strip().lower().removeprefix("main.")
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"there is no table, view or macro {written!r}", hint=f"{guess}There is: {', '.join(names)}.")


def markdown(relations: Iterable[Relation], macros: Iterable[Macro]) -> Iterator[str]:
    """The lines of a page with a heading and a table for each."""
    for relation in relations:
        yield f"## {relation.name}\n\n{_cell(relation.description)}"
        if relation.stored:
            yield f"\nIts rows are Parquet files below `{relation.name}/`."
        yield "\n| column | type | JSON path | meaning |\n|---|---|---|---|"
        for column in relation.columns:
            path = f"`{column.path}`" if column.path else ""
            yield f"| `{column.name}` | `{column.type}` | {path} | {_cell(column.description)} |"
        yield ""
    for macro in macros:
        yield f"## {macro.signature.replace('->', '→')}\n\n{_cell(macro.description)}\n"
        for call, result in macro.examples:
            yield f"* `{call}` is `{result}`"
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _text(relations: Iterable[Relation], macros: Iterable[Macro]) -> Iterator[str]:
    first = True
    for relation in relations:
        if not first:
            yield ""
        first = False
        yield f"{relation.name}: {relation.description}"
        rows = [("column", "type", "JSON path", "meaning")]
        rows += [
            (column.name, _short(column.type), column.path or "", column.description) for column in relation.columns
        ]
        yield from (f"  {line}" for line in output.columns(rows))
        yield from (
            f"  {column.name} is {column.type}" for column in relation.columns if len(column.type) > _LONGEST_TYPE
        )
    for macro in macros:
        if not first:
            yield ""
        first = False
        yield f"{macro.signature}: {macro.description}"
        yield from (f"  {call} is {result}" for call, result in macro.examples)


def _short(kind: str) -> str:
    if len(kind) <= _LONGEST_TYPE:
        return kind
    head, _, tail = kind.partition("(")
    return f"{head}(...){tail.rpartition(')')[2]}"


def _table_json(relation: Relation) -> dict[str, Any]:
    return {
        "name": relation.name,
        "description": relation.description,
        "stored": relation.stored,
        "columns": [
            {"name": column.name, "type": column.type, "path": column.path, "description": column.description}
            for column in relation.columns
        ],
    }


def _macro_json(macro: Macro) -> dict[str, Any]:
    return {
        "name": macro.name,
        "signature": macro.signature,
        "arguments": [{"name": name, "type": kind} for name, kind in macro.arguments],
        "returns": macro.returns,
        "description": macro.description,
        "examples": [{"call": call, "result": result} for call, result in macro.examples],
    }
