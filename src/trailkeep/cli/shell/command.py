"""`trailkeep shell`: from the command line to a session, at a terminal or on a script."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from trailkeep.cli.app import app
from trailkeep.cli.limits import MemoryOption, SealedOption, TempDirectoryOption, TempDiskOption, ThreadsOption
from trailkeep.cli.results import ResultFormat
from trailkeep.cli.state import limits_of, moment_option, now, state_of


@app.command()
def shell(
    context: typer.Context,
    *,
    result_format: Annotated[
        ResultFormat, typer.Option("--format", help="How to write results, until .format says otherwise.")
    ] = ResultFormat.TABLE,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From this time on, until .since says otherwise.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Before this time, until .until says otherwise.")
    ] = None,
    queries: Annotated[
        list[Path] | None, typer.Option("--queries", metavar="DIR", help="Another folder of saved queries; repeatable.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Give up a query after this long, such as 30s or 10m.")
    ] = None,
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    temp_directory: TempDirectoryOption = None,
    temp_disk: TempDiskOption = None,
    sealed: SealedOption = False,
) -> None:
    """Ask the archive in SQL, at a prompt, or statement by statement from a pipe.

    A statement ends with a semicolon; .help lists the commands that begin with a dot. From a pipe there is no prompt,
    and the first error ends the shell with its exit code.
    """
    settings = state_of(context).settings(
        memory=memory, threads=threads, timeout=timeout, temp_directory=temp_directory, temp_disk=temp_disk
    )
    moment = now()
    for option, text in (("--since", since), ("--until", until)):
        moment_option(option, text, moment)

    from trailkeep.cli.shell.options import Options
    from trailkeep.cli.shell.saved import SavedQueries
    from trailkeep.cli.shell.session import Session
    from trailkeep.queries import query_folders
    from trailkeep.store import Archive

    archive = Archive.open(settings.archive)
    folders = (*(queries or ()), *settings.queries)
    query_folders(folders, directory=Path.cwd())  # a folder that is none is told now, not at the first .run
    session = Session(
        archive=settings.archive,
        queries=SavedQueries(folders),
        options=Options(form=result_format, since=since, until=until),
        now=now,
        limits=limits_of(settings, sealed=sealed),
        timeout_seconds=None if settings.timeout is None else settings.timeout.total_seconds(),
    )
    if sys.stdin.isatty() and (sys.stderr.isatty() or sys.stdout.isatty()):
        from trailkeep.cli.shell.terminal import converse

        converse(session, archive)
    else:
        from trailkeep.cli.shell.script import run_script

        run_script(session, sys.stdin.buffer)
