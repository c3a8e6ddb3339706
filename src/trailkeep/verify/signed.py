"""The signatures beside the ledger's entries: whether each can be one, and the newest by somebody who is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.signatures import Signer, parse_signature
from trailkeep.signing import parse_signature_name, signature_check
from trailkeep.store import layout
from trailkeep.timespan import parse_moment
from trailkeep.verify.folder import NotAFile
from trailkeep.verify.result import Findings, Kind, Signed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from trailkeep.signatures import PublicKey
    from trailkeep.verify.chain import Chain
    from trailkeep.verify.folder import Folder


def check_signatures(
    folder: Folder, chain: Chain, signers: Sequence[Signer] | None, findings: Findings
) -> Signed | None:
    """Look at every signature, and find the newest that one of `signers` made.

    Without `signers` (None) only the files' form is checked. That no valid signature is found is a problem where
    signers are given. Raises ConfigError where nothing here can check signatures.
    """
    check = None if signers is None else signature_check()
    newest: Signed | None = None
    for seq in sorted(chain.signatures, reverse=True):
        for name in chain.signatures[seq]:
            path = f"{layout.LEDGER}/{name}"
            content = _read(folder, path, findings)
            key = None if content is None else _key(content, name, path, findings)
            if content is None or key is None or check is None or seq not in chain.hashes or newest is not None:
                continue
            signer = _known(key, signers or (), chain, seq)
            if signer is None:
                findings.note(f"{path}: signed by {key.fingerprint}, which is none of the signers that may")
            elif not check(content, _message(folder, seq)):
                findings.problem(path, Kind.SIGNATURE, f"the signature of {signer.name} does not match entry {seq}")
            else:
                after = (chain.head.seq if chain.head else seq) - seq
                newest = Signed(seq=seq, file=path, signer=signer.name, fingerprint=key.fingerprint, after=after)
    if signers is not None and newest is None:
        findings.problem(layout.LEDGER, Kind.SIGNATURE, "no valid signature by a known signer is there")
    return newest


def _read(folder: Folder, path: str, findings: Findings) -> bytes | None:
    try:
        return folder.read(path)
    except NotAFile as error:
        findings.problem(path, Kind.TYPE, str(error))
    except FileNotFoundError:
        pass  # a signature that was made anew while this ran
    except OSError as error:
        findings.problem(path, Kind.UNREADABLE, f"cannot be read: {error.strerror}")
    return None


def _key(content: bytes, name: str, path: str, findings: Findings) -> PublicKey | None:
    """The key that a signature's file names; None, with a problem, where it is none, or not the name's."""
    try:
        key = parse_signature(content).key
    except ValueError as error:
        findings.problem(path, Kind.SIGNATURE, str(error))
        return None
    named = parse_signature_name(name)
    if named is None or named[1] != key.tag:
        findings.problem(path, Kind.SIGNATURE, f"it holds the signature of another key, {key.fingerprint}")
        return None
    return key


def _known(key: PublicKey, signers: Sequence[Signer], chain: Chain, seq: int) -> Signer | None:
    at = _finished(chain, seq)
    return next((signer for signer in signers if signer.key == key and signer.may_sign(at)), None)


def _finished(chain: Chain, seq: int) -> datetime | None:
    """When an entry was finished, as it says itself: a key that has expired since may have signed it."""
    try:
        return parse_moment(chain.entries[seq].finished_at)
    except (KeyError, ValueError, OverflowError):
        return None


def _message(folder: Folder, seq: int) -> bytes:
    try:
        return folder.read(f"{layout.LEDGER}/{layout.entry_name(seq)}")
    except (NotAFile, OSError):
        return b""
