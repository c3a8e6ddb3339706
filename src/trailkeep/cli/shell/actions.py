"""What each dot command does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep.cli import diagnostics, output
from trailkeep.cli.results import ResultFormat
from trailkeep.cli.shell.dots import COMMANDS, pairs, switched, usage_of
from trailkeep.cli.state import moment_option
from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trailkeep.cli.shell.dots import Called
    from trailkeep.cli.shell.session import Session


def _tables(_session: Session, _called: Called) -> None:
    from trailkeep.schema.relations import RELATIONS

    rows = [(relation.name, relation.description) for relation in RELATIONS.values()]
    for line in output.columns(rows):
        output.write_text(line)


def _schema(_session: Session, called: Called) -> None:
    from trailkeep.cli.schema import SchemaFormat, schema

    schema(called.words[0] if called.words else None, schema_format=SchemaFormat.TEXT)


def _queries(session: Session, called: Called) -> None:
    session.queries.look_again()
    wanted = " ".join(called.words).lower()
    queries, problems = session.queries.all()
    rows = []
    for saved in queries:
        if wanted in saved.name.lower() or wanted in saved.title.lower():
            required = [each.name for each in saved.parameters.values() if each.required]
            asked = f" ({' '.join(f'{name}=...' for name in required)})" if required else ""
            rows.append((saved.name, " ".join(saved.title.split()) + asked))
    for line in output.columns(rows):
        output.write_text(line)
    if not rows:
        diagnostics.say(f"no saved query holds {wanted!r}" if wanted else "there is no saved query")
    diagnostics.problems(f"error: {problem}" for problem in problems)


def _run(session: Session, called: Called) -> None:
    from trailkeep.analysis import Question

    if not called.words:
        raise UsageError(".run needs the name of a saved query", hint=".queries lists them.")
    saved = session.queries.load(called.words[0])
    given = pairs(called.words[1:])
    times = {
        name: value
        for name, value in (("since", session.options.since), ("until", session.options.until))
        if name not in given
    }
    session.ask(Question.of(saved, given=given, **times))


def _time(session: Session, called: Called) -> None:
    name = called.command.name.removeprefix(".")
    if called.words:
        text = None if called.words[0].lower() == "off" else called.words[0]
        moment_option(called.command.name, text, session.now())
        setattr(session.options, name, text)
    else:
        output.write_text(f"{name} {getattr(session.options, name) or 'off'}")


def _param(session: Session, called: Called) -> None:
    held = session.options.parameters
    for name, value in pairs(called.words).items():
        if name in ("since", "until"):
            raise UsageError(f"${name} has a command of its own", hint=f"Write .{name} TIME.")
        if value:
            held[name] = value
        else:
            held.pop(name, None)
    if not called.words:
        for name, value in sorted(held.items()):
            output.write_text(f"{name}={value}")


def _format(session: Session, called: Called) -> None:
    if not called.words:
        output.write_text(session.options.form.value)
        return
    try:
        session.options.form = ResultFormat(called.words[0].lower())
    except ValueError:
        known = ", ".join(called.command.choices)
        raise UsageError(f"there is no format {called.words[0]!r}", hint=f"There is: {known}.") from None


def _limit(session: Session, called: Called) -> None:
    if not called.words:
        output.write_text(str(session.options.limit or "off"))
        return
    word = called.words[0].lower().replace("_", "").replace(",", "")
    if word == "off":
        session.options.limit = None
    elif word.isascii() and word.isdigit() and 0 < len(word) < 19 and int(word) > 0:
        session.options.limit = int(word)
    else:
        raise UsageError(f"the limit cannot be {called.words[0]!r}", hint="Write a whole number from 1 on, or off.")


def _switch(session: Session, called: Called) -> None:
    name = called.command.name.removeprefix(".")
    value = switched(called.command, called.words, now=getattr(session.options, name))
    setattr(session.options, name, value)
    diagnostics.say(f"{name} is {'on' if value else 'off'}")


def _once(session: Session, called: Called) -> None:
    if len(called.words) != 1:
        raise UsageError(".once needs one file", hint="Write .once FILE, in quotes where the name holds a blank.")
    session.options.once = Path(called.words[0]).expanduser()


def _head(session: Session, _called: Called) -> None:
    from trailkeep.store import Archive

    output.write_text(str(Archive.open(session.archive).ledger().head or "the ledger has no entry yet"))


def _show(session: Session, _called: Called) -> None:
    options = session.options
    values = {
        "format": options.form.value,
        "limit": str(options.limit or "off"),
        "since": options.since or "off",
        "until": options.until or "off",
        **{name: "on" if getattr(options, name) else "off" for name in ("vertical", "full", "ids", "timing")},
        "once": str(options.once or "off"),
        **{f"${name}": value for name, value in sorted(options.parameters.items())},
    }
    for line in output.columns(list(values.items())):
        output.write_text(line)


def _help(_session: Session, called: Called) -> None:
    if called.words:
        name = "." + called.words[0].lower().removeprefix(".")
        if name not in COMMANDS:
            raise UsageError(f"there is no command {name}", hint=".help lists them.")
        shown = [COMMANDS[name]]
    else:
        shown = list(COMMANDS.values())
    for line in output.columns([(usage_of(command), command.summary) for command in shown]):
        output.write_text(line)
    if not called.words:
        output.write_text(
            "\nA statement ends with ; and may have many lines. Tab completes, Ctrl-C stops a query, Ctrl-D leaves."
        )


def _quit(session: Session, _called: Called) -> None:
    session.over = True


ACTIONS: dict[str, Callable[[Session, Called], None]] = {
    ".tables": _tables,
    ".schema": _schema,
    ".queries": _queries,
    ".run": _run,
    ".since": _time,
    ".until": _time,
    ".param": _param,
    ".format": _format,
    ".limit": _limit,
    ".vertical": _switch,
    ".full": _switch,
    ".ids": _switch,
    ".timing": _switch,
    ".once": _once,
    ".head": _head,
    ".show": _show,
    ".help": _help,
    ".quit": _quit,
    ".exit": _quit,
}
"""By the command's name."""
