"""Reading the file that says whose signatures count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.errors import ConfigError
from trailkeep.signatures import parse_signers

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.signatures import Signer

MAX_BYTES = 1 << 20
"""What is read of a file of signers; more than this would be something else."""


def read_signers(path: Path) -> list[Signer]:
    """The signers of an allowed_signers file or a public key's file. Raises ConfigError, naming file and line."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES)
        return parse_signers(content.decode())
    except OSError as error:
        raise ConfigError(f"cannot read the signers in {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path} names no signers: it is not text") from None
    except ValueError as error:
        raise ConfigError(
            f"{path} names no signers: {error}",
            hint="Give an allowed_signers file, an OpenSSH public key (.pub), or an Ed25519 public key in PEM.",
        ) from None
