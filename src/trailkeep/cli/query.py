"""`trailkeep query`: one query, run and written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.results import SUFFIXES, ResultFormat
from trailkeep.cli.state import now, state_of
from trailkeep.errors import CoverageIncomplete, UsageError

if TYPE_CHECKING:
    from trailkeep.analysis import Question
    from trailkeep.queries import SavedQuery

TABLE_ROWS = 200
"""Rows of a table where --limit does not say otherwise: it is for eyes, and is laid out as a whole."""


@app.command()
def query(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A saved query, or - to read SQL from stdin.")
    ] = None,
    *,
    sql: Annotated[str | None, typer.Option("--sql", metavar="TEXT", help="Run this SQL.")] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="PATH", help="Run the SQL in this file.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter of the query; repeatable."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From this time on: RFC 3339, a date, or an age such as 90d.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time; now where not given.")] = None,
    result_format: Annotated[
        ResultFormat | None,
        typer.Option("--format", help="How to write the result (default: by --output's name, else table)."),
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file instead of stdout.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=f"At most N rows (default: {TABLE_ROWS} for a table, else all)."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 6 when the asked span touches what was never read.")
    ] = False,
    queries: Annotated[
        list[Path] | None, typer.Option("--queries", metavar="DIR", help="Another folder of saved queries; repeatable.")
    ] = None,
) -> None:
    """Run a saved query, or SQL of your own, on the archive.

    The SQL may be one SELECT. It can use $since and $until; where it does not, --since and --until limit the event
    tables that it sees.
    """
    form = result_format or (SUFFIXES.get(output_file.suffix.lower()) if output_file else None) or ResultFormat.TABLE
    if form is ResultFormat.PARQUET and output_file is None and output.stdout_is_terminal():
        raise UsageError("Parquet is not for a terminal", hint="Add --output FILE.")
    settings = state_of(context).settings()
    moment = now()
    question = _question(
        name,
        sql,
        file,
        extra=(*(queries or ()), *settings.queries),
        given=_given(param or ()),
        since=since,
        until=until,
    )

    from trailkeep.cli.running import Delivery, deliver
    from trailkeep.store import Archive

    delivered = deliver(
        Archive.open(settings.archive),
        question,
        moment,
        Delivery(
            form=form,
            output_file=output_file,
            limit=limit or (TABLE_ROWS if form is ResultFormat.TABLE else None),
            asked_limit=limit is not None,
        ),
    )
    if delivered.rows == 0 and question.saved is not None:
        _say_blind_spots(question.saved)
    if strict and delivered.missing:
        raise CoverageIncomplete(
            "the archive does not cover all of the asked span",
            hint="Run `trailkeep sync`, or ask for a span that is covered; `trailkeep status` shows which is.",
        )


def _say_blind_spots(saved: SavedQuery) -> None:
    """An empty answer proves only so much."""
    for blind_spot in saved.blind_spots:
        diagnostics.say(f"no row does not rule this out: {blind_spot}")


def _question(
    name: str | None,
    sql: str | None,
    file: Path | None,
    *,
    extra: tuple[Path, ...],
    given: dict[str, str],
    since: str | None,
    until: str | None,
) -> Question:
    """What is asked, from exactly one of the four places where SQL can come from."""
    from trailkeep.analysis import Question

    sources = [each for each in (name, sql, file) if each is not None]
    if len(sources) != 1:
        raise UsageError(
            "give one query" if sources else "there is no query",
            hint="Write the NAME of a saved query, or --sql TEXT, or --file PATH, or - for stdin.",
        )
    if name is not None and name != "-":
        from trailkeep.queries import discover, find, load, query_folders

        found = find(name, discover(query_folders(extra, directory=Path.cwd())))
        return Question.of(load(found.name, found.path), given=given, since=since, until=until)
    if file is not None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
        text = _decoded(content, str(file))
        if text.lstrip().startswith("/*"):
            saved = _saved(file, text)
            if saved is not None:
                return Question.of(saved, given=given, since=since, until=until)
    elif sql is not None:
        text = sql
    else:
        text = _decoded(sys.stdin.buffer.read(), "stdin")
    return Question(sql=text, given=given, since=since, until=until)


def _saved(file: Path, text: str) -> SavedQuery | None:
    """The file as a saved query, where it has front matter."""
    import re

    from trailkeep.queries import parse

    return parse(file.stem, file, text) if re.match(r"\s*/\*\s*---", text) else None


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not UTF-8: byte {error.start}", hint="Save the SQL as UTF-8.") from None


def _given(params: list[str] | tuple[()]) -> dict[str, str]:
    given: dict[str, str] = {}
    for param in params:
        key, equals, value = param.partition("=")
        key = key.strip().lower()
        if not equals or not key:
            raise UsageError(f"-p {param!r} is not KEY=VALUE", hint="Write it as in -p principal=VALUE.")
        if key in given:
            raise UsageError(f"the parameter {key} is given twice", hint="A list is written with commas.")
        given[key] = value
    return given
