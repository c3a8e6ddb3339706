"""`trailkeep emulator`: Scaleway's API on this machine, with a demo Organization, and with faults on request."""

from __future__ import annotations

import math
import re
import shlex
import signal
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.demo import INCIDENT_HELP, checked_incident
from trailkeep.cli.state import now
from trailkeep.demo.names import INCIDENTS
from trailkeep.errors import StoreError, UsageError
from trailkeep.timespan import parse_age

if TYPE_CHECKING:
    from trailkeep.demo.faults import Faults, When

STOPPING = (signal.SIGINT, signal.SIGTERM)


@app.command()
def emulator(
    *,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65_535, help="The port to listen on; 0 takes a free one.")
    ] = 0,
    days: Annotated[int, typer.Option(metavar="N", min=1, help="How many days the demo Organization lived.")] = 90,
    events_per_day: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How busy it is (default: about 280).")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed tells another story.")] = 1,
    incident: Annotated[str, typer.Option(metavar="NAME", help=INCIDENT_HELP, show_default=False)] = INCIDENTS[0],
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Misbehave, such as rate_limit=0.05, reset=every:7, server_error=first:3,"
            " absent_regions=pl-waw; repeatable. `list` prints all.",
        ),
    ] = None,
) -> None:
    """Serve an emulated Audit Trail API on 127.0.0.1 until stopped, and print the settings that reach it.

    For trying Trailkeep and for tests; it shares no code with what it tests.
    """
    from trailkeep.demo.emulator import ACCESS_KEY, SECRET_KEY, Emulator
    from trailkeep.demo.faults import Faults
    from trailkeep.demo.serve import serve
    from trailkeep.demo.story import demo_organization

    if fault == ["list"]:
        for line in output.columns([[each.name, str(each.type), _shown(each.default)] for each in fields(Faults)]):
            output.write_text(line)
        return
    faults = parse_faults(fault or [])
    organization = demo_organization(
        now=now(), days=days, seed=seed, events_per_day=events_per_day, incident=checked_incident(incident)
    )
    # Blocked, the signals wait for `sigwait`, whenever they come; a handler could be called too early to end a wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        served = serve(Emulator(organization, clock=now, faults=faults, seed=seed), port=port)
    except OSError as error:
        raise StoreError(
            f"cannot listen on port {port}: {error}", hint="Name another port, or 0 for a free one."
        ) from None
    with served:
        for name, value in (
            ("SCW_API_URL", served.url),
            ("SCW_ACCESS_KEY", ACCESS_KEY),
            ("SCW_SECRET_KEY", SECRET_KEY),
            ("SCW_DEFAULT_ORGANIZATION_ID", organization.organization_id),
        ):
            output.write_text(f"export {name}={shlex.quote(value)}")
        output.flush()
        diagnostics.say("the emulator runs until Ctrl-C; put the lines above into another shell, then `trailkeep sync`")
        signal.sigwait(STOPPING)


def parse_faults(texts: list[str]) -> Faults:
    """Faults from ``name=value`` texts. Raises UsageError that says what a fault takes."""
    from trailkeep.demo.faults import Faults

    types = {each.name: str(each.type) for each in fields(Faults)}
    values: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in types:
            near = get_close_matches(name, types, n=1)
            raise UsageError(
                f"there is no fault {name!r}",
                hint=f"Did you mean {near[0]}?" if near else "`trailkeep emulator --fault list` prints all.",
            )
        try:
            values[name] = _parse(types[name], value)
        except (ValueError, SyntaxError):
            raise UsageError(f"--fault {name}: {value!r} is not what it takes: {_takes(types[name])}") from None
    return Faults(**values)


def _parse(kind: str, value: str) -> Any:
    """The value of a fault's field, by the field's declared type."""
    if kind == "When":
        return _parse_when(value)
    if kind == "timedelta":
        return -parse_age(value[1:]) if value.startswith("-") else parse_age(value)
    if kind.startswith("Literal"):
        if value not in _choices(kind):
            raise ValueError(value)
        return value
    if kind.startswith("Collection"):
        return tuple(filter(None, value.split(",")))
    if kind == "bool":
        return ("false", "true").index(value) == 1
    if kind.startswith("tuple"):
        return tuple(int(each) for each in value.split(","))
    if kind.startswith("int"):
        return _positive(int(value))
    return _positive(float(value)) if kind.startswith("float") else value


def _positive(number: float) -> float:
    """The number, where it can be a limit, a size or a time."""
    if not 0 < number < math.inf:
        raise ValueError(number)
    return number


def _choices(kind: str) -> list[str]:
    """The texts that a ``Literal[...]`` names."""
    return re.findall(r"""['"](.*?)['"]""", kind)


def _parse_when(value: str) -> When:
    from trailkeep.demo.faults import ALWAYS, When

    condition, _, path = value.partition("@")
    name, _, number = condition.rpartition(":")
    if condition == "always":
        return When(every=ALWAYS.every, path=path)
    if name == "every" and int(number) > 0:
        return When(every=int(number), path=path)
    if name == "first" and int(number) > 0:
        return When(first=int(number), path=path)
    rate = float(condition)
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    return When(rate=rate, path=path)


def _takes(kind: str) -> str:
    if kind == "When":
        return "a probability such as 0.1, every:5, first:3 or always, with @nl-ams for some paths only"
    if kind == "timedelta":
        return "a length of time such as 30m or -1h"
    if kind == "bool":
        return "true or false"
    if kind.startswith("Literal"):
        return " or ".join(_choices(kind))
    if kind.startswith(("Collection", "tuple")):
        return "numbers with commas between them" if "int" in kind else "names with commas between them"
    return "a whole number" if kind.startswith("int") else "a number" if kind.startswith("float") else "a text"


def _shown(default: object) -> str:
    if isinstance(default, timedelta):
        return "0s"
    return "never" if type(default).__name__ == "When" else str(default)
