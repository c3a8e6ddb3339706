"""The options of `trailkeep query` that say which engine it is for: printed in its dialect, or run on it."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trailkeep.analysis import Question


class Dialect(StrEnum):
    """The dialects that a query can be printed in: those of `trailkeep.engines`, which is heavy to load."""

    DUCKDB = "duckdb"
    SPARK = "spark"
    TRINO = "trino"
    BIGQUERY = "bigquery"
    CLICKHOUSE = "clickhouse"
    SNOWFLAKE = "snowflake"


class Engine(StrEnum):
    """The engines that a query can be run on."""

    DUCKDB = "duckdb"
    SPARK = "spark"


DialectOption = Annotated[
    Dialect | None, typer.Option("--dialect", help="With --print: the engine whose SQL is printed.")
]
PrintOption = Annotated[
    bool, typer.Option("--print", help="Print the query for --dialect (default: duckdb), and run nothing.")
]
EngineOption = Annotated[Engine | None, typer.Option("--engine", help="Run it on this engine (default: duckdb).")]
MasterOption = Annotated[
    str | None,
    typer.Option(
        "--master",
        envvar="TRAILKEEP_SPARK_MASTER",
        show_envvar=False,
        metavar="URL",
        help="With --engine spark: where Spark runs (default: local[2]).",
    ),
]


def check_options(
    dialect: Dialect | None, engine: Engine | None, master: str | None, *, printed: bool, given: dict[str, bool]
) -> None:
    """Refuse options that would have no effect. `given` are others, by name, that an engine but DuckDB cannot heed."""
    if dialect is not None and not printed:
        raise UsageError("--dialect only says what is printed", hint="Add --print, or run it with --engine spark.")
    if printed and engine is not None:
        raise UsageError("--print runs nothing, so --engine has no meaning", hint="Leave out one of them.")
    if printed and (useless := [name for name, was in given.items() if was]):
        raise UsageError(f"--print and {useless[0]} do not go together", hint="--print writes SQL to stdout.")
    if engine is Engine.SPARK and given.get("--record"):
        raise UsageError("--record is for DuckDB, which can be made to give the same bytes again")
    if engine is Engine.SPARK and given.get("--sealed"):
        raise UsageError("--sealed is for DuckDB: Spark cannot be kept from opening files")
    if master is not None and engine is not Engine.SPARK and given.get("--master"):
        raise UsageError("--master says where Spark runs", hint="Add --engine spark.")


def print_query(question: Question, dialect: Dialect | None, moment: datetime) -> None:
    """Write the query in a dialect to stdout, and what is doubtful about it to stderr."""
    from trailkeep import engines

    printed = engines.print_query(question, engines.Dialect(dialect or Dialect.DUCKDB), moment)
    if output.stdout_is_terminal():
        output.write_text(printed.sql.rstrip("\n"))
    else:
        output.write_verbatim(printed.sql)
    for note in printed.notes:
        diagnostics.warn(f"not translated, or not known to mean the same: {note}")


def opener_of(engine: Engine | None, master: str | None) -> Callable[..., Any] | None:
    """What opens a result on the engine; None for DuckDB, which is the default of who delivers."""
    if engine is not Engine.SPARK:
        return None
    from trailkeep.engines.spark import open_result

    return partial(open_result, master=master)
