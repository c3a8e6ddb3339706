"""`trailkeep connect`: what another tool needs to read the archive."""

from __future__ import annotations

import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import now, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.connect import LiveArchive
    from trailkeep.store import Ledger


class ConnectFormat(StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"
    DUCKDB = "duckdb"
    POLARS = "polars"
    SPARK = "spark"
    PYTHON = "python"


@app.command()
def connect(
    context: typer.Context,
    *,
    form: Annotated[
        ConnectFormat, typer.Option("--format", help="The files as text or JSON, or a script for a tool.")
    ] = ConnectFormat.TEXT,
) -> None:
    """Print what DuckDB, Polars, Spark and others need to read the archive.

    text and json list the live files of each table; the others are scripts that open exactly these: `duckdb -init`
    takes the first, Python runs the rest. A later sync or purge needs a new script. Nothing is written.
    """
    from trailkeep.connect import live_archive
    from trailkeep.store import Archive

    archive = Archive.open(state_of(context).settings().archive)
    live, ledger = archive.read_consistently(lambda ledger: (live_archive(archive, ledger), ledger))
    if form is ConnectFormat.JSON:
        output.write_json(live.as_json())
    elif form is ConnectFormat.TEXT:
        for line in _lines(live):
            output.write_text(line)
    elif output.stdout_is_terminal():
        output.write_text(_script(form, live, ledger, now()).rstrip("\n"))
    else:
        output.write_verbatim(_script(form, live, ledger, now()))
    diagnostics.say(f"the files of head {live.head}: run this again after a sync or a purge")
    diagnostics.say("other tools can write: segments are read-only files, which COPY TO and the like still replace")


def _script(form: ConnectFormat, live: LiveArchive, ledger: Ledger, at: datetime) -> str:
    from trailkeep.connect import duckdb_script, polars_script, python_script, spark_script

    match form:
        case ConnectFormat.DUCKDB:
            return duckdb_script(live, ledger, at)
        case ConnectFormat.POLARS:
            return polars_script(live)
        case ConnectFormat.SPARK:
            return spark_script(live)
        case _:
            return python_script(live)


def _lines(live: LiveArchive) -> Iterator[str]:
    """The tables, how each tool opens them, and every file."""
    from trailkeep.connect import python_script

    rows = [["TABLE", "FILES", "ROWS", "BYTES", "FOLDER"]]
    for each in live.tables:
        counts = (len(each.files), sum(file.rows for file in each.files), sum(file.bytes for file in each.files))
        rows.append([each.name, *(f"{count:,}" for count in counts), _one_line(str(each.folder))])
    yield from output.columns(rows, right_aligned={1, 2, 3})
    yield ""
    command = f"trailkeep --archive {shlex.quote(str(live.path))} connect --format"
    for tool, use in (
        ("DuckDB", f"{command} duckdb > connect.sql && duckdb -init connect.sql"),
        ("Polars", f"{command} polars > connect.py && python -i connect.py"),
        ("Spark", f"{command} spark > connect.py, then exec(open('connect.py').read()) where spark is a session"),
        ("Python", python_script(live).strip().replace("\n\n", "; ")),
    ):
        yield f"{tool:6}  {_one_line(use)}"
    for each in live.tables:
        if each.files:
            yield ""
            yield each.name
            yield from (f"  {_one_line(str(file.path))}" for file in each.files)


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")
