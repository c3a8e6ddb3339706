"""Everything that is said on stderr, and the exit code that a command ends with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trailkeep.errors import ExitCode, TrailkeepError
from trailkeep.hostile import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["detail", "problems", "report", "say", "set_verbosity", "stderr_is_terminal", "visible", "warn"]

_verbosity = 0


def set_verbosity(level: int) -> None:
    """-1 is errors only, 0 the normal talk, 1 and more adds detail."""
    global _verbosity  # noqa: PLW0603 - one process, one terminal
    _verbosity = level


def say(message: str) -> None:
    """Tell the user something that matters to the result."""
    if _verbosity >= 0:
        _write(message)


def detail(message: str) -> None:
    """Tell the user more, with -v."""
    if _verbosity >= 1:
        _write(message)


def warn(message: str) -> None:
    """Tell the user what may make the result other than expected; not silenced by -q."""
    _write(f"warning: {message}")


def problems(messages: Iterable[str]) -> None:
    """Print one line for each problem; not silenced by -q."""
    for message in messages:
        _write(message)


def report(error: TrailkeepError) -> ExitCode:
    """Print an error with its hint, and return the exit code that it stands for."""
    _write(f"error: {error.message}")
    if error.hint:
        _write(f"hint: {error.hint}")
    return error.exit_code


def stderr_is_terminal() -> bool:
    """Whether progress can be drawn."""
    return sys.stderr.isatty() and _verbosity >= 0


def _write(message: str) -> None:
    print(visible(message), file=sys.stderr, flush=True)  # noqa: T201 - this module alone writes stderr
