"""`trailkeep queries`: which saved queries there are, what one says, what is wrong with them, and a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, now, state_of
from trailkeep.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from trailkeep.queries import Parameter, QueryFile, SavedQuery
    from trailkeep.queries.problems import Problem

group = typer.Typer(
    name="queries",
    help="List, show, check and begin saved queries.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(group)

Format = Annotated[ReportFormat, typer.Option("--format", help="How to write the result.")]
Folders = Annotated[
    list[Path] | None, typer.Option("--queries", metavar="DIR", help="Another folder of saved queries; repeatable.")
]


@group.callback()
def queries(context: typer.Context) -> None:
    """List, show, check and begin saved queries; without a command, list them."""
    if context.invoked_subcommand is None:
        _list(context, None, ReportFormat.TEXT)


@group.command("list")
def list_queries(context: typer.Context, *, folders: Folders = None, report_format: Format = ReportFormat.TEXT) -> None:
    """List the saved queries: the built-in ones, those in ./queries, and those of your own folders."""
    _list(context, folders, report_format)


@group.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The query: stage/name, or its name where only one has it.")],
    *,
    folders: Folders = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """Print one saved query, as it stands in its file."""
    from trailkeep.queries import find, load

    found = find(name, _discover(context, folders))
    saved = load(found.name, found.path)
    if report_format is ReportFormat.JSON:
        output.write_json(_described(saved) | {"sql": saved.text})
    elif output.stdout_is_terminal():
        output.write_text(saved.text.rstrip("\n"))
    else:
        output.write_verbatim(saved.text)


@group.command()
def check(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="The queries; all of them where none is given.")
    ] = None,
    *,
    folders: Folders = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """Say what is wrong with saved queries, as FILE:LINE:COLUMN; exit code 2 where something is.

    Front matter, parameters and their defaults, ATT&CK ids, SQL that the guard takes and that runs on an archive that
    holds nothing, time bounds, a total order, the same answer each time.
    """
    from trailkeep.queries import find

    every = _discover(context, folders)
    chosen = {found.name: found for found in (find(name, every) for name in names)} if names else every

    from trailkeep.cli.checking import empty_archive, problems_of

    moment = now()
    with empty_archive(moment) as archive:
        problems = [
            (name, problem) for name, found in chosen.items() for problem in problems_of(found, archive, moment)
        ]
    if report_format is ReportFormat.JSON:
        described = [_problem_json(name, problem) for name, problem in problems]
        output.write_json({"ok": not problems, "queries": len(chosen), "problems": described})
    else:
        for _name, problem in problems:
            output.write_text(_one_line(problem.text))
            if problem.hint:
                output.write_text(f"  {_one_line(problem.hint)}")
        wrong = len({name for name, _problem in problems})
        output.write_text(f"{_counted(len(chosen))}, {f'{wrong} wrong' if wrong else 'nothing wrong'}")
    if problems:
        raise typer.Exit(int(ExitCode.USAGE))


@group.command()
def new(
    name: Annotated[str, typer.Argument(help="Its name, or stage/name: lower-case words with dashes.")],
    *,
    folder: Annotated[
        Path, typer.Option("--queries", metavar="DIR", help="The folder of saved queries that it is written into.")
    ] = Path("queries"),
) -> None:
    """Write the template of a saved query into ./queries, and print where. A file that is there is left alone."""
    from trailkeep.queries import discover, query_folders
    from trailkeep.queries.template import new_query

    output.write_text(str(new_query(name, folder)))
    if name in discover(query_folders((), directory=folder / "none")):
        diagnostics.say(f"it hides the query {name} that comes with Trailkeep")


def _counted(number: int) -> str:
    return f"{number} {'query' if number == 1 else 'queries'}"


def _problem_json(name: str, problem: Problem) -> dict[str, Any]:
    return {
        "query": name,
        "file": str(problem.path),
        "line": problem.line or None,
        "column": problem.column or None,
        "message": problem.message,
        "hint": problem.hint,
    }


def _one_line(text: str) -> str:
    """A message that the words of a file cannot make look like several."""
    return " ".join(text.split("\n"))


def _discover(context: typer.Context, folders: list[Path] | None) -> dict[str, QueryFile]:
    from trailkeep.queries import discover, query_folders

    settings = state_of(context).settings()
    return discover(query_folders((*(folders or ()), *settings.queries), directory=Path.cwd()))


def _list(context: typer.Context, folders: list[Path] | None, report_format: ReportFormat) -> None:
    """List all that can be read, and say what is wrong with the others."""
    from trailkeep.queries import load

    readable: list[SavedQuery] = []
    problems: list[str] = []
    for found in _discover(context, folders).values():
        try:
            readable.append(load(found.name, found.path))
        except UsageError as error:
            problems.append(f"error: {error.message}")
    if report_format is ReportFormat.JSON:
        output.write_json([_described(saved) for saved in readable])
    else:
        rows = [(saved.name, saved.severity or "-", f"{_one_line(saved.title)}{_asked(saved)}") for saved in readable]
        for line in output.columns(rows):
            output.write_text(line)
    diagnostics.problems(problems)
    if problems:
        raise typer.Exit(int(ExitCode.USAGE))


def _asked(saved: SavedQuery) -> str:
    """What must be given, for the list."""
    required = [parameter.name for parameter in saved.parameters.values() if parameter.required]
    return f" (-p {' -p '.join(f'{name}=...' for name in required)})" if required else ""


def _described(saved: SavedQuery) -> dict[str, Any]:
    return {
        "name": saved.name,
        "stage": saved.stage,
        "path": str(saved.path),
        "title": saved.title,
        "description": saved.description,
        "question": saved.question,
        "attack": list(saved.attack),
        "severity": saved.severity,
        "false_positives": list(saved.false_positives),
        "blind_spots": list(saved.blind_spots),
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.type,
                "description": parameter.description,
                "default": _default_json(parameter),
                "required": parameter.required,
            }
            for parameter in saved.parameters.values()
        ],
    }


def _default_json(parameter: Parameter) -> Any:
    """A default as JSON has it: TOML has dates and times besides."""
    default = parameter.default
    if isinstance(default, list):
        return [item if isinstance(item, str | int | float | bool) else str(item) for item in default]
    return default if default is None or isinstance(default, str | int | float | bool) else str(default)
