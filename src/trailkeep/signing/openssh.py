"""OpenSSH's ``ssh-keygen``: signing with the keys that it reads, and checking signatures of every kind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from trailkeep.errors import ConfigError
from trailkeep.signatures import NAMESPACE

TIMEOUT_SECONDS = 120
"""How long ssh-keygen may take; a security key waits for a touch."""


def ssh_keygen() -> str | None:
    """Where ssh-keygen is, or None where it is not installed."""
    return shutil.which("ssh-keygen")


def sign(key: Path, message: bytes, *, may_ask: bool) -> bytes:
    """The signature's file that ``ssh-keygen -Y sign`` makes with a key.

    Without `may_ask` it has no terminal to ask for a passphrase on. Raises ConfigError with what ssh-keygen says.
    """
    program = ssh_keygen()
    if program is None:
        raise ConfigError(
            f"{key} is an OpenSSH key, and ssh-keygen is not installed",
            hint="Install OpenSSH's client programs, or sign with an Ed25519 key in PEM.",
        )
    environment = os.environ | {"LC_ALL": "C"}
    if not may_ask:
        environment |= {"SSH_ASKPASS_REQUIRE": "never"}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, and no shell
            [program, "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key.absolute())],
            input=message,
            capture_output=True,
            env=environment,
            start_new_session=not may_ask,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"ssh-keygen did not sign with {key} within {TIMEOUT_SECONDS} seconds") from None
    if done.returncode != 0:
        raise ConfigError(f"ssh-keygen did not sign with {key}: {_last_line(done.stderr)}")
    return done.stdout


def check(signature: bytes, message: bytes) -> bool:
    """Whether a signature's file is that of the key which it names, over `message`; ssh-keygen must be installed."""
    program = ssh_keygen()
    if program is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        done = subprocess.run(  # noqa: S603 - a fixed program, and no shell
            [program, "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(file)],
            input=message,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    return done.returncode == 0


def _last_line(text: bytes) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it gives no reason"
