"""The application: the options before the command, the commands, and how an error ends the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep import __version__
from trailkeep.cli import diagnostics, leave, output
from trailkeep.cli.state import State
from trailkeep.errors import ExitCode, TrailkeepError

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(
    name="trailkeep",
    help="Keep a Scaleway Organization's Audit Trail for years, and question it in SQL.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(asked: bool) -> None:
    if asked:
        output.write_text(f"trailkeep {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    *,
    archive: Annotated[
        Path | None, typer.Option("--archive", metavar="DIR", help="The archive's folder (default: data).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The settings file (default: trailkeep.toml).")
    ] = None,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more on stderr.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only warnings and errors on stderr.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback has acted before the command begins
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep a Scaleway Organization's Audit Trail for years, and question it in SQL."""
    diagnostics.set_verbosity(-1 if quiet else verbose)
    context.obj = State(archive=archive, config=config)


UNNEEDED = {"pandas"}
"""No command needs pandas, which pyarrow imports (300 ms, 60 MB) at the first Python object where it is there."""


class _WithoutUnneeded:
    """Keeps libraries that are installed for others from being imported by those that would only look at them."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        """Say of what is not needed that it is not installed, and nothing of other modules."""
        if name in UNNEEDED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> None:
    """Run the command line and end the process with the documented exit code."""
    _open_what_is_closed()
    sys.meta_path.insert(0, _WithoutUnneeded())
    code = _run()
    output.flush()
    if any(thread.name == "query" for thread in threading.enumerate()):
        # The engine is in the middle of what it cannot be stopped in: waiting for it is not "at once".
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Lead the standard streams that were closed when this process was started (``2>&-``) from and to nowhere.

    Otherwise what is said would be an error, or go to stdout, and a file of the archive would take the stream's number:
    a library that complains would write into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _run() -> int:
    try:
        with _interruptible():
            return int(app(standalone_mode=False) or 0)
    except TrailkeepError as error:
        return int(diagnostics.report(error))
    except (typer.Abort, KeyboardInterrupt):
        return int(ExitCode.INTERRUPTED)
    except Exception as error:  # click's own errors carry their exit code and know how to show themselves
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return int(ExitCode.USAGE)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt where it would end the process at once: a command may have to clean up."""
    at_once = signal.getsignal(signal.SIGINT) is leave
    if at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if at_once:
            signal.signal(signal.SIGINT, leave)
