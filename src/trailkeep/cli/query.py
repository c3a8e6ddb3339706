"""`trailkeep query`: one query, run and written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import dialects, output
from trailkeep.cli.app import app
from trailkeep.cli.limits import MemoryOption, SealedOption, TempDirectoryOption, TempDiskOption, ThreadsOption
from trailkeep.cli.results import BINARY, SUFFIXES, ResultFormat
from trailkeep.cli.state import limits_of, now, state_of, stop_of
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
    full: Annotated[
        bool, typer.Option("--full", help="A table with every column and value whole, in as many lines as it takes.")
    ] = False,
    vertical: Annotated[
        bool, typer.Option("--vertical", help="One row at a time, each column on a line of its own.")
    ] = False,
    ids: Annotated[
        bool, typer.Option("--ids", help="A table with ids alone, and no names of principals and Projects.")
    ] = False,
    spreadsheet_safe: Annotated[
        bool, typer.Option("--spreadsheet-safe", help="CSV in which no text begins a formula; changes such texts.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 6 when the asked span touches what was never read.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="No answer: which files and row groups it would read, and how.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Write to this file what ran, and on what.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="FILE", help="Run a recorded query again: is the result still the same?"),
    ] = None,
    queries: Annotated[
        list[Path] | None, typer.Option("--queries", metavar="DIR", help="Another folder of saved queries; repeatable.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Give up after this long, such as 30s or 10m; exit code 7.")
    ] = None,
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    temp_directory: TempDirectoryOption = None,
    temp_disk: TempDiskOption = None,
    sealed: SealedOption = False,
    printed: dialects.PrintOption = False,
    dialect: dialects.DialectOption = None,
    engine: dialects.EngineOption = None,
    master: dialects.MasterOption = None,
) -> None:
    """Run a saved query, or SQL of your own, on the archive.

    The SQL may be one SELECT. It can use $since and $until; where it does not, --since and --until limit the event
    tables that it sees.
    """
    settings = state_of(context).settings(
        memory=memory, threads=threads, timeout=timeout, temp_directory=temp_directory, temp_disk=temp_disk
    )
    if replay is not None:
        _check_alone("--replay", context, beside=_WITH_REPLAY)
        from trailkeep.cli.answer import run_again

        run_again(replay, output_file, settings, sealed=sealed)
        return
    if explain:
        _check_alone("--explain", context, beside=_WITH_EXPLAIN)
    form = result_format or (SUFFIXES.get(output_file.suffix.lower()) if output_file else None) or ResultFormat.TABLE
    if explain:
        _check_explained(form)
    _check_format(form, to_stdout=output_file is None, table=full or vertical or ids, csv=spreadsheet_safe)
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
    dialects.check_options(
        dialect,
        engine,
        master,
        printed=printed,
        given={
            "--record": record is not None,
            "--sealed": sealed,
            "--output": output_file is not None,
            "--format": result_format is not None,
            "--limit": limit is not None,
            "--master": _given_on_command_line(context, "master"),
        },
    )
    if printed:
        dialects.print_query(question, dialect, moment)
        return
    if explain:
        from trailkeep.cli import explaining
        from trailkeep.store import Archive

        limits = limits_of(settings, sealed=sealed)
        explaining.explain(Archive.open(settings.archive), question, moment, limits, form=form, stop=stop_of(settings))
        return

    from trailkeep.cli.answer import answer
    from trailkeep.cli.running import Delivery, say_blind_spots

    delivered = answer(
        question,
        moment,
        Delivery(
            form=form,
            output_file=output_file,
            limit=limit or (TABLE_ROWS if form is ResultFormat.TABLE else None),
            asked_limit=limit is not None,
            full=full,
            vertical=vertical,
            names=not ids,
            spreadsheet_safe=spreadsheet_safe,
            measured=record is not None,
            limits=limits_of(settings, sealed=sealed),
            opened=dialects.opener_of(engine, master),
        ),
        settings,
        record=record,
        file=file,
    )
    say_blind_spots(question, delivered)
    if form is ResultFormat.TABLE and question.saved is not None and question.saved.next:
        from trailkeep.cli.pivots import say_next

        say_next(question, delivered, _folders((*(queries or ()), *settings.queries)))
    if strict and delivered.missing:
        raise CoverageIncomplete(
            "the archive does not cover all of the asked span",
            hint="Run `trailkeep sync`, or ask for a span that is covered; `trailkeep status` shows which is.",
        )


_WITH_REPLAY = frozenset(
    {"replay", "output_file", "timeout", "memory", "threads", "temp_directory", "temp_disk", "sealed"}
)


_WITH_EXPLAIN = frozenset(
    {"explain", "name", "sql", "file", "param", "since", "until", "result_format", "queries", *_WITH_REPLAY}
) - {"replay", "output_file"}


def _check_explained(form: ResultFormat) -> None:
    if form not in (ResultFormat.TABLE, ResultFormat.JSON):
        raise UsageError(f"--explain has no format {form}", hint="Write --format table or --format json.")


def _given_on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _check_alone(option: str, context: typer.Context, *, beside: frozenset[str]) -> None:
    """Refuse what has no meaning beside an option that says all by itself."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if given is not None and given.name == "COMMANDLINE" and parameter.name not in beside:
            shown = parameter.opts[0] if parameter.param_type_name == "option" else "NAME"
            raise UsageError(f"{option} and {shown} do not go together", hint=f"{option} says what runs, and how.")


def _check_format(form: ResultFormat, *, to_stdout: bool, table: bool, csv: bool) -> None:
    """Refuse bytes on a terminal, and options that another format has."""
    if form in BINARY and to_stdout and output.stdout_is_terminal():
        raise UsageError(f"{BINARY[form]} is not for a terminal", hint="Add --output FILE.")
    if table and form is not ResultFormat.TABLE:
        raise UsageError(f"--full, --vertical and --ids are for tables, and this is {form}", hint="Add --format table.")
    if csv and form is not ResultFormat.CSV:
        raise UsageError(f"--spreadsheet-safe is for CSV, and this is {form}", hint="Add --format csv.")


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
        from trailkeep.queries import discover, find, load

        found = find(name, discover(_folders(extra)))
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


def _folders(extra: tuple[Path, ...]) -> list[Path]:
    from trailkeep.queries import query_folders

    return query_folders(extra, directory=Path.cwd())


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
