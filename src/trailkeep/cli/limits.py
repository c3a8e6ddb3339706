"""The options that say what a query may use of the machine, for every command that runs one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MemoryOption = Annotated[
    str | None, typer.Option("--memory", metavar="SIZE", help="Memory that the engine may use (default: 1GiB).")
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", metavar="N", help="Threads that the engine may run.")]
TempDirectoryOption = Annotated[
    Path | None, typer.Option("--temp-directory", metavar="DIR", help="Where it puts what memory cannot hold.")
]
TempDiskOption = Annotated[
    str | None, typer.Option("--temp-disk", metavar="SIZE", help="How much it may put there (default: 20GiB).")
]
SealedOption = Annotated[
    bool, typer.Option("--sealed", help="Let the SQL open no file at all; for SQL from strangers. Slower.")
]
