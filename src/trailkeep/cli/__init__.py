"""The command line: one module per command group, and one place each for stdout, stderr and exit codes."""

from __future__ import annotations

import gc
import os
import sys

# What start-up makes stays: looking for garbage among it takes a twentieth of a small query's time.
gc.set_threshold(50_000, *gc.get_threshold()[1:])

MODULES = (
    "compact",
    "config",
    "connect",
    "demo",
    "detect",
    "directory",
    "emulator",
    "products",
    "purge",
    "queries",
    "query",
    "repair",
    "schema",
    "seen",
    "shell",
    "sign",
    "status",
    "sync",
    "trying",
    "verify",
    "who",
)
"""Each registers its commands on `app.app`; none of them imports anything heavy before a command runs."""

ALONE = {"query": "query", "status": "status"}
"""Commands whose own module is all that is loaded for them: asking a small question is to be quick."""

_INTERRUPTED = 130
"""As `errors.ExitCode` has it, which is not to be loaded first."""

_VALUED = frozenset({"--archive", "--config"})
_FLAGS = frozenset({"--verbose", "--quiet", "-v", "-vv", "-q"})


def main() -> None:
    """Run the command line and end the process with the documented exit code."""
    try:
        import signal

        # Who has it ignored, as a shell has for what it runs in the background, means that.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, leave)
        register_commands(sys.argv[1:])
        from trailkeep.cli.app import main as run
    except KeyboardInterrupt:
        leave()
    run()


def leave(*_signal: object) -> None:
    """End the process at once, as interrupted: what hears SIGINT where a command has not begun, or has ended."""
    os._exit(_INTERRUPTED)


def register_commands(arguments: list[str] | None = None) -> None:
    """Register the commands: all of them, unless these arguments are for one that is loaded alone."""
    from importlib import import_module

    alone = ALONE.get(_command_of(arguments or []))
    for name in MODULES if alone is None else (alone,):
        import_module(f"trailkeep.cli.{name}")


def _command_of(arguments: list[str]) -> str:
    """The command that the arguments name; empty where that takes more than a look."""
    left = iter(arguments)
    for argument in left:
        if argument in _VALUED:
            next(left, None)
        elif argument not in _FLAGS and not argument.startswith(tuple(f"{name}=" for name in _VALUED)):
            return argument
    return ""


__all__ = ["ALONE", "MODULES", "leave", "main", "register_commands"]
