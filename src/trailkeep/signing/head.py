"""Signing the newest entry of an archive's ledger, and with it all that the chain holds."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.errors import ArchiveDamaged, ConfigError
from trailkeep.seal import entry_hash
from trailkeep.signatures import parse_signature
from trailkeep.signing.checks import has_cryptography, signature_check
from trailkeep.signing.keys import read_key
from trailkeep.signing.names import draft_name, signature_name
from trailkeep.signing.openssh import ssh_keygen
from trailkeep.store import Archive, Disk, Head, layout
from trailkeep.store.disk import PRIVATE_MODE, store_errors

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.config import Settings
    from trailkeep.signatures import PublicKey
    from trailkeep.signing.keys import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """A head that is signed."""

    head: Head
    file: str
    """The signature's file, relative to the archive."""
    fingerprint: str
    """The signing key's, as ``ssh-keygen -l`` prints it."""
    was_there: bool
    """Whether the key had signed this head before; then that signature was kept."""


def sign_head(settings: Settings, archive_path: Path) -> SignedHead | None:
    """Sign the head with the key that the setting ``sign_key`` names; None where it names none.

    Never asks for a passphrase. Raises ConfigError for a key that cannot sign, and StoreError.
    """
    if settings.sign_key is None:
        return None
    return sign_archive(archive_path, settings.sign_key)


def sign_archive(archive_path: Path, key_file: Path, *, ask: Ask | None = None, disk: Disk | None = None) -> SignedHead:
    """Sign the head of the archive in `archive_path` and keep the signature beside the entry.

    The chain is checked first: what does not hold together is not signed. Takes no lock, since no other file is
    touched. Raises ConfigError for a key that cannot sign, and StoreError.
    """
    key = read_key(key_file, ask)
    archive = Archive.open(archive_path)
    head = archive.ledger().head
    if head is None:
        raise ArchiveDamaged(f"the ledger of {archive_path} has no entry to sign")
    folder = archive_path / layout.LEDGER
    with store_errors("cannot sign the ledger's head"):
        message = (folder / layout.entry_name(head.seq)).read_bytes()
        if entry_hash(message) != head.sha256:
            raise ArchiveDamaged(f"ledger entry {head.seq} changed while it was being signed")
        name = signature_name(head.seq, key.public)
        was_there = _is_signed(folder / name, key.public, message)
        if not was_there:
            content = key.sign(message)
            _check_made(content, key.public, message, key_file)
            _keep(disk or Disk(), folder, name, content)
    return SignedHead(
        head=head, file=f"{layout.LEDGER}/{name}", fingerprint=key.public.fingerprint, was_there=was_there
    )


def _is_signed(file: Path, key: PublicKey, message: bytes) -> bool:
    """Whether the file holds a valid signature of this key; one that was torn or altered is made anew."""
    try:
        content = file.read_bytes()
        return parse_signature(content).key == key and signature_check()(content, message)
    except (FileNotFoundError, ValueError):
        return False


def _check_made(content: bytes, key: PublicKey, message: bytes, key_file: Path) -> None:
    """Refuse to keep a signature that nobody could check."""
    try:
        is_ours = parse_signature(content).key == key
    except ValueError:
        is_ours = False
    can_check = has_cryptography() or ssh_keygen() is not None
    if not is_ours or (can_check and not signature_check()(content, message)):
        raise ConfigError(f"the key {key_file} made no signature that can be checked")


def _keep(disk: Disk, folder: Path, name: str, content: bytes) -> None:
    """Write a signature so that under its name it is whole or absent."""
    draft = folder / draft_name(name)
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(draft)
    disk.write(draft, content, PRIVATE_MODE)
    disk.rename(draft, folder / name)
    disk.sync_directory(folder)
