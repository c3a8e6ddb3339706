"""`trailkeep queries test`: the cases of saved queries, run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import output
from trailkeep.cli.queries import Folders, Format, find_queries, group
from trailkeep.cli.state import ReportFormat
from trailkeep.errors import ExitCode, UsageError
from trailkeep.hostile import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.queries import QueryFile


@group.command("test")
def try_queries(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|FOLDER]...",
            help="Queries, stages, case files, or folders of them; every query where nothing is given.",
        ),
    ] = None,
    *,
    folders: Folders = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """Run the cases of saved queries: small archives, each with the whole answer that is wanted; exit code 1 where an
    answer differs, 2 where a case file is wrong or there is none at all.

    The cases of NAME.sql lie in NAME.yaml beside it.
    """
    every = find_queries(context, folders)
    tried: list[dict[str, Any]] = []
    for query, path in _chosen(names or [], every):
        tried.append(_try(query, path))
        if report_format is ReportFormat.TEXT:
            _write(tried[-1])
            output.flush()
    if report_format is ReportFormat.JSON:
        output.write_json({"ok": all(map(_is_good, tried)), "queries": tried})
    else:
        output.write_text(_summary(tried))
    if any(each["error"] for each in tried):
        raise typer.Exit(int(ExitCode.USAGE))
    if not all(map(_is_good, tried)):
        raise typer.Exit(int(ExitCode.QUERY))
    if not any(each["cases"] for each in tried):
        raise UsageError("there is no case to run", hint="Write NAME.yaml beside NAME.sql; see docs/sql.md.")


def _chosen(names: list[str], every: dict[str, QueryFile]) -> Iterator[tuple[QueryFile, Path]]:
    """The queries that are meant, each once, with the files of their cases."""
    from trailkeep.cases import case_file_of

    if not names:
        yield from ((query, case_file_of(query)) for query in every.values())
        return
    chosen: dict[Path, tuple[QueryFile, Path]] = {}
    for name in names:
        for query, path in _meant(name, every):
            chosen.setdefault(path.absolute(), (query, path))
    yield from chosen.values()


def _meant(name: str, every: dict[str, QueryFile]) -> Iterator[tuple[QueryFile, Path]]:
    """What one argument means: a query, a stage, a case file, or a folder of case files."""
    from trailkeep.cases import case_file_of, case_files_in
    from trailkeep.queries import QueryFile, find

    stage = [query for full, query in every.items() if full.rpartition("/")[0] == name.rstrip("/")]
    if stage and "/" not in name.rstrip("/"):
        yield from ((query, case_file_of(query)) for query in stage)
    elif name.endswith((".yaml", ".sql")):
        path = Path(name).with_suffix(".yaml")
        yield _of_file(path, every), path
    elif Path(name).is_dir():
        files = case_files_in(Path(name))
        if not files:
            raise UsageError(f"{name} has no case files", hint="They are called NAME.yaml or stage/NAME.yaml.")
        for full, path in files.items():
            beside = path.with_suffix(".sql")
            if beside.exists():
                yield QueryFile(name=full, path=beside), path
            else:
                yield (every[full] if full in every else _of_file(path, every)), path
    else:
        query = find(name, every)
        yield query, case_file_of(query)


def _of_file(path: Path, every: dict[str, QueryFile]) -> QueryFile:
    """The query that a case file is about: the one beside it, else the one of its name."""
    from trailkeep.queries import QueryFile, find

    beside = path.with_suffix(".sql")
    if beside.exists():
        return QueryFile(name=path.stem, path=beside)
    full = f"{path.absolute().parent.name}/{path.stem}"
    return every[full] if full in every else find(path.stem, every)


def _try(query: QueryFile, path: Path) -> dict[str, Any]:
    """Run the cases of one query: what came of each, as JSON values."""
    from trailkeep.cases import read_cases, run_alone
    from trailkeep.queries import load

    tried: dict[str, Any] = {"query": query.name, "file": None, "cases": [], "error": None, "hint": None}
    if not path.exists():
        return tried | {"wanted": str(path)}
    tried["file"] = str(path)
    try:
        saved = load(query.name, query.path)
        cases = read_cases(path, saved.parameters).cases
    except UsageError as error:
        return tried | {"error": error.message, "hint": error.hint}
    for case in cases:
        outcome = run_alone(saved, case)
        tried["cases"].append(
            {
                "name": case.name,
                "line": case.line,
                "passed": outcome.passed,
                "differences": list(outcome.differences),
            }
        )
    return tried


def _is_good(tried: dict[str, Any]) -> bool:
    return tried["error"] is None and all(case["passed"] for case in tried["cases"])


def _write(tried: dict[str, Any]) -> None:
    """Say what is wrong with one query's cases, as soon as it is known."""
    if tried["error"] is not None:
        output.write_text(one_line(tried["error"]))
        if tried["hint"]:
            output.write_text(f"  {one_line(tried['hint'])}")
    elif tried["file"] is None:
        output.write_text(f"{tried['query']}: no cases; they would lie in {one_line(tried['wanted'])}")
    for case in tried["cases"]:
        if not case["passed"]:
            output.write_text(one_line(f"{tried['file']}:{case['line']}: {tried['query']}: {case['name']}"))
            for difference in case["differences"]:
                output.write_text(f"  {one_line(difference)}")


def _summary(tried: list[dict[str, Any]]) -> str:
    passed = [case["passed"] for each in tried for case in each["cases"]]
    differ = passed.count(False)
    wrong = f"{differ} with another answer" if differ else "all as wanted" if passed else "nothing to tell"
    return f"{len(passed)} case{'' if len(passed) == 1 else 's'}, {wrong}"
