"""`trailkeep demo`: the whole way once, on this machine: emulator, sync, status, queries."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from trailkeep.cli import output
from trailkeep.cli.app import app
from trailkeep.cli.state import now
from trailkeep.demo.names import INCIDENTS, NO_INCIDENT
from trailkeep.errors import ExitCode, UsageError

INCIDENT_HELP = (
    f"What happened there: {', '.join(INCIDENTS)}, or {NO_INCIDENT} for a company at its ordinary work"
    f" (default: {INCIDENTS[0]})."
)

AD_HOC = (
    "SELECT actor_id, source_ip, count(*) AS calls, count(*) FILTER (WHERE outcome = 'denied') AS denied"
    " FROM events GROUP BY ALL HAVING denied > 2 ORDER BY denied DESC, calls DESC, actor_id, source_ip"
)

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Read the 90 days that the API has into an archive.", ("sync",)),
    ("See what is covered.", ("status",)),
    ("Saved query: who was denied again and again within minutes?", ("query", "discovery/denied-bursts")),
    ("Saved query: who made an application, a key for it and a policy?", ("query", "persistence/backdoor-sequence")),
    ("Saved query: who switched off the alarms of the trail?", ("query", "defence/alert-rules-disabled")),
    (
        "SQL of your own: where did the calls of the most denied principals come from?",
        (
            "query",
            "--sql",
            AD_HOC,
        ),
    ),
)


@app.command()
def demo(
    *,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put the archive there, and keep it (default: a temporary one).")
    ] = None,
    incident: Annotated[str, typer.Option(metavar="NAME", help=INCIDENT_HELP, show_default=False)] = INCIDENTS[0],
) -> None:
    """Show Trailkeep at work on a made-up Organization with one incident to find; touches nothing of yours.

    Runs the commands that you would type, against an emulated API on 127.0.0.1, and ends by itself.
    """
    from trailkeep.demo.emulator import ACCESS_KEY, SECRET_KEY, Emulator
    from trailkeep.demo.serve import serve
    from trailkeep.demo.story import demo_organization

    if keep is not None and keep.exists() and not (keep.is_dir() and not any(keep.iterdir())):
        raise UsageError(f"{keep} is not an empty folder", hint="Name a new folder with --keep.")
    name = checked_incident(incident)
    # SIGTERM ends the demo as Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = "no incident" if name == NO_INCIDENT else "one incident"
    output.write_text(f"A demo Organization is born: 90 days of people and machines at work, and {found}.\n")
    organization = demo_organization(now=now(), incident=name)
    with (
        tempfile.TemporaryDirectory(prefix="trailkeep-demo-") as folder,
        serve(Emulator(organization, clock=now)) as served,
    ):
        archive = keep or Path(folder) / "data"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SCW_", "TRAILKEEP_"))},
            "SCW_API_URL": served.url,
            "SCW_ACCESS_KEY": ACCESS_KEY,
            "SCW_SECRET_KEY": SECRET_KEY,
            "SCW_DEFAULT_ORGANIZATION_ID": organization.organization_id,
            # The settings of whoever runs the demo must not reach it.
            "XDG_CONFIG_HOME": folder,
            # And what its commands remember of the archive goes with it.
            "XDG_CACHE_HOME": folder,
            "TRAILKEEP_ARCHIVE": str(archive.absolute()),
        }
        for number, (story, arguments) in enumerate(STEPS, start=1):
            output.write_text(f"[{number}/{len(STEPS)}] {story}\n$ {_typed(('trailkeep', *arguments))}")
            output.flush()
            code = _ended(arguments, environment, folder)
            if code != ExitCode.DONE:
                raise typer.Exit(code)
            output.write_text("")
    told = organization.incident
    for line in _what_next(
        keep,
        f"{told.began_at:%Y-%m-%d}" if told else None,
        name=name,
        address=next(iter(told.attacker_ips), None) if told else None,
    ):
        output.write_text(line)


def _ended(arguments: tuple[str, ...], environment: dict[str, str], folder: str) -> int:
    """The exit code of one command; a command that is running when the demo is stopped is stopped first."""
    with subprocess.Popen(  # noqa: S603 - our own program, with arguments written above
        [sys.executable, "-m", "trailkeep", *arguments], env=environment, cwd=folder
    ) as running:
        try:
            return running.wait()
        except KeyboardInterrupt:
            running.terminate()
            running.wait()
            raise


def checked_incident(name: str) -> str:
    """The name, where there is such an incident; raises UsageError that names the nearest."""
    if name in {NO_INCIDENT, *INCIDENTS}:
        return name
    near = get_close_matches(name, [NO_INCIDENT, *INCIDENTS], n=1)
    raise UsageError(
        f"there is no incident {name!r}",
        hint=f"Did you mean {near[0]}?" if near else f"Known are {', '.join(INCIDENTS)}, and {NO_INCIDENT}.",
    )


def _what_next(
    kept: Path | None, incident_day: str | None, *, name: str = INCIDENTS[0], address: str | None = None
) -> list[str]:
    began = f"The incident began on {incident_day}" if incident_day else "Nothing happened there"
    if kept is not None:
        shown = shlex.quote(str(kept))
        found = [f"  trailkeep --archive {shown} query scope/address-activity -p address={address}"] if address else []
        return [
            f"The archive is in {shown}. {began}; go on with:",
            f"  trailkeep --archive {shown} queries",
            *found,
        ]
    told = "" if name == INCIDENTS[0] else f" --incident {name}"
    return [
        f"{began}. To look at it yourself, keep the archive:",
        f"  trailkeep demo{told} --keep demo-data",
        "  trailkeep --archive demo-data queries",
        "With an account of your own (credentials as the scw CLI has them):",
        "  trailkeep config check",
        "  trailkeep sync",
    ]


def _typed(arguments: tuple[str, ...]) -> str:
    """The command as a person would type it: SQL in double quotes, since it has single ones of its own."""
    return " ".join(f'"{each}"' if "'" in each else shlex.quote(each) for each in arguments)
