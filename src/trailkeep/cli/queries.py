"""`trailkeep queries`: which saved queries there are, and what one says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, state_of
from trailkeep.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from trailkeep.queries import QueryFile, SavedQuery

group = typer.Typer(
    name="queries",
    help="List the saved queries, and show one.",
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
    """List the saved queries, and show one."""
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
        width = max((len(saved.name) for saved in readable), default=0)
        for saved in readable:
            output.write_text(f"{saved.name:{width}}  {saved.title}{_asked(saved)}")
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
                "default": parameter.default,
                "required": parameter.required,
            }
            for parameter in saved.parameters.values()
        ],
    }
