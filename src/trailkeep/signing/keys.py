"""Private keys: what a key's file holds, and the signature that it makes."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.errors import ConfigError
from trailkeep.signatures import (
    PublicKey,
    armored,
    ed25519_key,
    ed25519_message,
    parse_public_key,
    private_key_header,
)
from trailkeep.signing import openssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    Ask = Callable[[str], str]
    """Asks for a passphrase, with this prompt."""

MAX_BYTES = 1 << 16
"""A key's file longer than this is refused: it is something else."""

_OPENSSH = re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END OPENSSH PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SigningKey:
    """A key that can sign."""

    public: PublicKey
    sign: Callable[[bytes], bytes]
    """The signature's file over a message."""


def read_key(path: Path, ask: Ask | None) -> SigningKey:
    """The key in a file: Ed25519 in PEM, an OpenSSH private key, or a public key whose other half the agent holds.

    `ask` is None where nobody can be asked for a passphrase. Raises ConfigError, and never repeats what the file
    holds.
    """
    text = _read(path)
    if found := _OPENSSH.search(text):
        public, is_protected = _openssh_header(path, found[1])
        if is_protected and ask is None:
            raise _protected(path, "load it into ssh-agent with ssh-add, and give the file of its public key as --key")
        return SigningKey(public=public, sign=lambda message: openssh.sign(path, message, may_ask=ask is not None))
    if "PRIVATE KEY-----" in text:
        return _pem_key(path, text.encode(), ask)
    try:
        listed = parse_public_key(text.strip())
    except ValueError:
        listed = None
    if listed:
        return SigningKey(public=listed[0], sign=lambda message: openssh.sign(path, message, may_ask=ask is not None))
    raise ConfigError(
        f"{path} holds no key",
        hint="Give an Ed25519 private key in PEM, or an OpenSSH private key: `ssh-keygen -t ed25519` makes one.",
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            text = stream.read(MAX_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise ConfigError(f"cannot read the key {path}: {error.strerror}") from error
    if "PRIVATE KEY-----" in text and mode & 0o077:
        raise ConfigError(
            f"the private key {path} is open to other users (mode {mode:04o})", hint=f"Run chmod 600 {path}"
        )
    return text


def _openssh_header(path: Path, body: str) -> tuple[PublicKey, bool]:
    try:
        return private_key_header(base64.b64decode("".join(body.split()), validate=True))
    except (binascii.Error, ValueError):
        raise ConfigError(f"{path} is not a whole OpenSSH private key") from None


def _pem_key(path: Path, content: bytes, ask: Ask | None) -> SigningKey:
    """An Ed25519 key in PEM."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise ConfigError(
            f"{path} is a key in PEM, and the Python package cryptography is not installed",
            hint="Install `trailkeep[sign]`, or sign with an OpenSSH key: `ssh-keygen -t ed25519` makes one.",
        ) from None
    password: bytes | None = None
    if b"ENCRYPTED" in content:
        if ask is None:
            raise _protected(path, "run the command on a terminal, or sign with a key in ssh-agent")
        password = ask(f"Passphrase of {path}: ").encode()
    try:
        key = serialization.load_pem_private_key(content, password=password)
    except Exception:  # noqa: BLE001 - many kinds, and none of them may show what the file holds
        raise ConfigError(
            f"the key {path} cannot be read" + ("" if password is None else ": the passphrase may be wrong")
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"the key {path} is not an Ed25519 key",
            hint="`openssl genpkey -algorithm ed25519` makes one in PEM, `ssh-keygen -t ed25519` an OpenSSH one.",
        )
    return _ed25519(key)


def _ed25519(key: Ed25519PrivateKey) -> SigningKey:
    public = ed25519_key(key.public_key().public_bytes_raw())
    return SigningKey(
        public=public, sign=lambda message: armored(public, key.sign(ed25519_message(message))).encode("ascii")
    )


def _protected(path: Path, instead: str) -> ConfigError:
    return ConfigError(
        f"the key {path} is protected by a passphrase, and there is no terminal to ask for it",
        hint=f"Use a key without one that only this user can read, or {instead}.",
    )
