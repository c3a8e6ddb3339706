"""The dot commands: their names, what they take, and what `.help` says of them."""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass
from enum import Enum

from trailkeep.cli.results import ResultFormat
from trailkeep.errors import UsageError


class Takes(Enum):
    """What may follow a dot command."""

    NOTHING = "nothing"
    TABLE = "table"
    QUERY = "query"
    COMMAND = "command"
    CHOICE = "choice"
    WORDS = "words"


@dataclass(frozen=True, slots=True, kw_only=True)
class DotCommand:
    """One dot command."""

    name: str
    usage: str
    """What follows the name."""
    summary: str
    takes: Takes = Takes.NOTHING
    choices: tuple[str, ...] = ()


_SWITCH = ("on", "off")

COMMANDS = {
    command.name: command
    for command in (
        DotCommand(name=".tables", usage="", summary="List the tables and views."),
        DotCommand(
            name=".schema",
            usage="[TABLE]",
            summary="Show a table's columns, types and meanings; without a name, of all.",
            takes=Takes.TABLE,
        ),
        DotCommand(
            name=".queries",
            usage="[TEXT]",
            summary="List the saved queries, those only that hold TEXT in name or title.",
            takes=Takes.WORDS,
        ),
        DotCommand(
            name=".run",
            usage="NAME [KEY=VALUE ...]",
            summary="Run a saved query; since= and until= give its span.",
            takes=Takes.QUERY,
        ),
        DotCommand(
            name=".since",
            usage="[TIME|off]",
            summary="Only from this time on: RFC 3339, a date, or an age such as 90d.",
            takes=Takes.CHOICE,
            choices=("off",),
        ),
        DotCommand(
            name=".until",
            usage="[TIME|off]",
            summary="Only before this time.",
            takes=Takes.CHOICE,
            choices=("off",),
        ),
        DotCommand(
            name=".param",
            usage="[NAME=VALUE ...]",
            summary="Set what $NAME stands for in SQL; NAME= forgets it, nothing lists them.",
            takes=Takes.WORDS,
        ),
        DotCommand(
            name=".format",
            usage="[NAME]",
            summary="How results are written.",
            takes=Takes.CHOICE,
            choices=tuple(form.value for form in ResultFormat),
        ),
        DotCommand(
            name=".limit",
            usage="[N|off]",
            summary="At most N rows of each result.",
            takes=Takes.CHOICE,
            choices=("off",),
        ),
        DotCommand(
            name=".vertical",
            usage="[on|off]",
            summary="Show tables one row at a time, a line for each column.",
            takes=Takes.CHOICE,
            choices=_SWITCH,
        ),
        DotCommand(
            name=".full",
            usage="[on|off]",
            summary="Show every column and value of a table whole, however wide.",
            takes=Takes.CHOICE,
            choices=_SWITCH,
        ),
        DotCommand(
            name=".ids",
            usage="[on|off]",
            summary="Show ids alone in tables, without the names of principals and Projects.",
            takes=Takes.CHOICE,
            choices=_SWITCH,
        ),
        DotCommand(
            name=".timing",
            usage="[on|off]",
            summary="Say after each result how many rows it has and how long it took.",
            takes=Takes.CHOICE,
            choices=_SWITCH,
        ),
        DotCommand(
            name=".once",
            usage="FILE",
            summary="Write the next result to FILE, in the format that its name asks for.",
            takes=Takes.WORDS,
        ),
        DotCommand(
            name=".head", usage="", summary="Show the ledger's head, which the answers are about: for your notes."
        ),
        DotCommand(name=".show", usage="", summary="Show what the commands above are set to."),
        DotCommand(name=".help", usage="[COMMAND]", summary="Show this.", takes=Takes.COMMAND),
        DotCommand(name=".quit", usage="", summary="Leave; so do .exit and Ctrl-D."),
        DotCommand(name=".exit", usage="", summary="Leave."),
    )
}
"""Every dot command by its name, in the order of `.help`."""

BARE_WORDS = {"quit": ".quit", "exit": ".exit", "help": ".help"}
"""What people type alone on a line, used to other shells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A dot command as it was typed."""

    command: DotCommand
    words: tuple[str, ...]


def parse_dot(line: str) -> Called:
    """The command that `line` calls. Raises UsageError that names the nearest for one that there is not."""
    name, _blank, rest = line.strip().replace("\t", " ").partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        raise _unknown(name)
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"{name}: {str(error).lower()}", hint="Close the quotes, or double the backslash.") from None
    most = {Takes.NOTHING: 0, Takes.QUERY: None, Takes.WORDS: None}.get(command.takes, 1)
    if most is not None and len(words) > most:
        raise UsageError(f"{name} takes {'nothing' if most == 0 else 'one word'}", hint=f"Write {usage_of(command)}.")
    return Called(command=command, words=tuple(words))


def usage_of(command: DotCommand) -> str:
    """How a command is written."""
    return f"{command.name} {command.usage}".rstrip()


def pairs(words: tuple[str, ...]) -> dict[str, str]:
    """The values of words such as ``key=value``, by key in lower case. Raises UsageError for any other word."""
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip().lower().removeprefix("$")
        if not equals or not key:
            raise UsageError(f"{word!r} is not KEY=VALUE", hint="Write KEY=VALUE, in quotes where VALUE holds a blank.")
        if key in given:
            raise UsageError(f"the parameter {key} is given twice", hint="A list is written with commas.")
        given[key] = value
    return given


def switched(command: DotCommand, words: tuple[str, ...], *, now: bool) -> bool:
    """What a switch is set to: the word, or the opposite of what it is `now`. Raises UsageError for another word."""
    if not words:
        return not now
    if words[0].lower() not in _SWITCH:
        raise UsageError(f"{command.name} cannot be {words[0]!r}", hint=f"Write {command.name} on or off.")
    return words[0].lower() == "on"


def _unknown(name: str) -> UsageError:
    if name.lower() in (".output", ".o"):
        near = [".once"]
    else:
        near = difflib.get_close_matches(name.lower(), COMMANDS, n=2, cutoff=0.5)
        near = near or [each for each in COMMANDS if name[1:] and each.startswith(name.lower())]
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"there is no command {name}", hint=f"{guess}.help lists them.")
