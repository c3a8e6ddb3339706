"""`trailkeep sign`: sign the ledger's head, and with it everything before."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, state_of
from trailkeep.errors import ConfigError


@app.command()
def sign(
    context: typer.Context,
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The private key: Ed25519 in PEM, or OpenSSH's; a .pub whose private half ssh-agent holds"
            " (default: the setting sign_key).",
        ),
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the result.")
    ] = ReportFormat.TEXT,
) -> None:
    """Sign the newest ledger entry; since each entry names the one before by its hash, that covers them all.

    The signature is an OpenSSH one beside the entry, and `ssh-keygen -Y verify -n trailkeep` checks it.
    """
    from trailkeep.signing import sign_archive

    settings = state_of(context).settings()
    key_file = key or settings.sign_key
    if key_file is None:
        raise ConfigError("there is no key to sign with", hint="Name one with --key, or set sign_key.")
    signed = sign_archive(settings.archive, key_file, ask=getpass if sys.stdin.isatty() else None)
    if signed.was_there:
        diagnostics.say("this head was signed with this key before; that signature was kept")
    if report_format is ReportFormat.JSON:
        output.write_json(
            {
                "head": {"seq": signed.head.seq, "sha256": signed.head.sha256},
                "file": signed.file,
                "fingerprint": signed.fingerprint,
                "was_there": signed.was_there,
            }
        )
    else:
        for line in output.columns(
            [["head", str(signed.head)], ["signed by", signed.fingerprint], ["signature", signed.file]]
        ):
            output.write_text(line)
