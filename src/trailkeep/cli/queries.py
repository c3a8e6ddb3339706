"""`trailkeep queries`: which saved queries there are, what one says, what is wrong with them, and a new one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, now, state_of
from trailkeep.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from trailkeep.queries import QueryFile, SavedQuery
    from trailkeep.queries.problems import Problem

group = typer.Typer(
    name="queries",
    help="List, show, check, test and begin saved queries.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(group)

Format = Annotated[ReportFormat, typer.Option("--format", help="How to write the result.")]
Folders = Annotated[
    list[Path] | None, typer.Option("--queries", metavar="DIR", help="Another folder of saved queries; repeatable.")
]


OfQuestion = Annotated[
    int | None, typer.Option("--question", metavar="N", help="Only those that answer this question of docs/queries.md.")
]
OfStage = Annotated[str | None, typer.Option("--stage", metavar="STAGE", help="Only those of this stage.")]
OfTechnique = Annotated[
    str | None,
    typer.Option("--attack", metavar="ID", help="Only those about this ATT&CK technique, such as T1098 or T1098.001."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """Which queries are to be listed; None chooses all."""

    question: int | None = None
    stage: str | None = None
    attack: str | None = None

    def check(self, every: dict[str, QueryFile]) -> None:
        """Raise UsageError for what no query could ever be about."""
        from trailkeep.queries import questions
        from trailkeep.queries.attack import mistake

        if self.question is not None and self.question not in questions():
            raise UsageError(f"there is no question {self.question}", hint=f"They are 1 to {max(questions())}.")
        stages = sorted({name.rpartition("/")[0] for name in every} - {""})
        if self.stage is not None and self.stage not in stages:
            raise UsageError(f"there is no stage {self.stage!r}", hint=f"There are: {', '.join(stages)}.")
        if self.attack is not None and (wrong := mistake(self.attack)):
            raise UsageError(wrong[0], hint=wrong[1])

    def has(self, saved: SavedQuery) -> bool:
        """Whether a query is chosen; a technique has its sub-techniques in it."""
        techniques = {*saved.attack, *(each.partition(".")[0] for each in saved.attack), None}
        return (
            self.question in (None, saved.question) and self.stage in (None, saved.stage) and self.attack in techniques
        )


@group.callback()
def queries(
    context: typer.Context,
    *,
    folders: Folders = None,
    question: OfQuestion = None,
    stage: OfStage = None,
    attack: OfTechnique = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """List, show, check, test and begin saved queries; without a command, list them."""
    if context.invoked_subcommand is None:
        _list(context, folders, report_format, _Chosen(question=question, stage=stage, attack=attack))
    elif given := [each.opts[0] for each in context.command.params if _is_given(context, each.name)]:
        raise UsageError(f"{given[0]} stands before {context.invoked_subcommand}", hint="Write it behind the command.")


@group.command("list")
def list_queries(
    context: typer.Context,
    *,
    folders: Folders = None,
    question: OfQuestion = None,
    stage: OfStage = None,
    attack: OfTechnique = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """List the saved queries: the built-in ones, those in ./queries, and those of your own folders.

    Name, question, severity and title; what a query cannot tell at all, or only in part, is said beside the title.
    """
    _list(context, folders, report_format, _Chosen(question=question, stage=stage, attack=attack))


@group.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The query: stage/name, or its name where only one has it.")],
    *,
    folders: Folders = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """Print one saved query: on a terminal what it asks, what its columns say, where to go next, and its SQL; else its
    file as it stands.
    """
    from trailkeep.cli.describing import as_json, as_text
    from trailkeep.queries import find, load

    found = find(name, find_queries(context, folders))
    saved = load(found.name, found.path)
    if report_format is ReportFormat.JSON:
        output.write_json(as_json(saved) | {"sql": saved.text})
    elif output.stdout_is_terminal():
        for line in as_text(saved):
            output.write_text(line)
        output.write_text(f"\nSQL\n{saved.sql.rstrip()}")
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

    every = find_queries(context, folders)
    chosen = {found.name: found for found in (find(name, every) for name in names)} if names else every

    from trailkeep.cli.checking import empty_archive, problems_of

    moment = now()
    with empty_archive(moment) as archive:
        problems = [
            (name, problem) for name, found in chosen.items() for problem in problems_of(found, archive, moment, every)
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
    detection: Annotated[
        bool, typer.Option("--detection", help="A query whose rows are findings, for `trailkeep detect`.")
    ] = False,
) -> None:
    """Write the template of a saved query and of its cases into ./queries, and print where.

    A file that is there is left alone.
    """
    from trailkeep.queries import discover, query_folders
    from trailkeep.queries.template import new_query

    for path in new_query(name, folder, detection=detection):
        output.write_text(str(path))
    if name in discover(query_folders((), directory=folder / "none")):
        diagnostics.say(f"it hides the query {name} that comes with Trailkeep")


def _is_given(context: typer.Context, name: str | None) -> bool:
    source = context.get_parameter_source(name or "")
    return source is not None and source.name == "COMMANDLINE"


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


def find_queries(context: typer.Context, folders: list[Path] | None) -> dict[str, QueryFile]:
    """Every saved query that a command of the group can mean, by its name."""
    from trailkeep.queries import discover, query_folders

    settings = state_of(context).settings()
    return discover(query_folders((*(folders or ()), *settings.queries), directory=Path.cwd()))


def _list(context: typer.Context, folders: list[Path] | None, report_format: ReportFormat, chosen: _Chosen) -> None:
    """List what is chosen of all that can be read, and say what is wrong with the others."""
    from trailkeep.cli.describing import as_json, as_row
    from trailkeep.queries import load

    readable: list[SavedQuery] = []
    problems: list[str] = []
    every = find_queries(context, folders)
    chosen.check(every)
    for found in every.values():
        try:
            readable.append(load(found.name, found.path))
        except UsageError as error:
            problems.append(f"error: {error.message}")
    listed = [saved for saved in readable if chosen.has(saved)]
    if report_format is ReportFormat.JSON:
        output.write_json([as_json(saved) for saved in listed])
    else:
        for line in output.columns([as_row(saved) for saved in listed]):
            output.write_text(line)
    diagnostics.problems(problems)
    if problems:
        raise typer.Exit(int(ExitCode.USAGE))
