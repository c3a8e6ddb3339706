"""The rules of signatures, without I/O: OpenSSH's SSHSIG format, public keys, and who may sign.

A signature is over the exact bytes of one ledger entry, which names the hash of the entry before it: it covers the
whole ledger up to there. The format is that of ``ssh-keygen -Y sign``, so that ``ssh-keygen -Y verify`` checks it.
Sources: OpenSSH's PROTOCOL.sshsig, and ALLOWED SIGNERS in ssh-keygen(1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "trailkeep"
"""What a signature is for: one made for anything else is never taken for a ledger's."""

ED25519 = "ssh-ed25519"

_MAGIC = b"SSHSIG"
_VERSION = 1
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_ARMOR_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_ARMOR_END = "-----END SSH SIGNATURE-----"
_ARMOR_WIDTH = 70
_ED25519_DER = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of the key in a PEM file (RFC 8410)."""
_PEM_PUBLIC = re.compile(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)
_WORD = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')
_OPTION = re.compile(r'([A-Za-z-]+)(?:="((?:[^"\\]|\\.)*)")?(?:,|$)')
_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+")
_MOMENT = re.compile(r"\d{8}(\d{4}(\d{2})?)?Z?")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key as OpenSSH encodes it."""

    blob: bytes

    @property
    def type(self) -> str:
        """Its algorithm, such as ``ssh-ed25519``."""
        return _Reader(self.blob).text()

    @property
    def fingerprint(self) -> str:
        """Its SHA-256, as ``ssh-keygen -l`` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def tag(self) -> str:
        """The first 16 hexadecimal digits of the same SHA-256: what file names carry."""
        return hashlib.sha256(self.blob).hexdigest()[:16]

    @property
    def ed25519(self) -> bytes:
        """The 32 bytes of an Ed25519 key. Raises ValueError for another."""
        reader = _Reader(self.blob)
        kind, content = reader.text(), reader.string()
        if kind != ED25519 or len(content) != 32:
            raise ValueError("it is not an Ed25519 key")
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One SSHSIG signature, taken apart."""

    key: PublicKey
    namespace: str
    hash_algorithm: str
    algorithm: str
    value: bytes
    """What the algorithm made; 64 bytes for Ed25519."""

    def signed_bytes(self, message: bytes) -> bytes:
        """What the key has signed, if it signed `message`."""
        return _signed_bytes(message, self.namespace, self.hash_algorithm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key that may sign, and under which name and conditions."""

    name: str
    key: PublicKey
    namespaces: tuple[str, ...] = ()
    """Patterns of the namespaces that it may sign for; any where there is none."""
    valid_after: datetime | None = None
    valid_before: datetime | None = None

    def may_sign(self, at: datetime | None) -> bool:
        """Whether it may sign a ledger's entry that was finished `at` this moment."""
        if self.namespaces and not _listed(NAMESPACE, self.namespaces):
            return False
        if at is None:
            return self.valid_after is None and self.valid_before is None
        return (self.valid_after is None or at >= self.valid_after) and (
            self.valid_before is None or at < self.valid_before
        )


def ed25519_key(content: bytes) -> PublicKey:
    """The public key with these 32 bytes."""
    return PublicKey(_string(ED25519.encode()) + _string(content))


def ed25519_message(message: bytes) -> bytes:
    """The bytes that an Ed25519 key is to sign for `message`; `armored` makes a file of the result."""
    return _signed_bytes(message, NAMESPACE, "sha512")


def armored(key: PublicKey, value: bytes) -> str:
    """The file of an Ed25519 key's signature `value` over `ed25519_message`, byte for byte as ssh-keygen writes it."""
    blob = (
        _MAGIC
        + _VERSION.to_bytes(4, "big")
        + _string(key.blob)
        + _string(NAMESPACE.encode())
        + _string(b"")
        + _string(b"sha512")
        + _string(_string(ED25519.encode()) + _string(value))
    )
    text = base64.b64encode(blob).decode()
    lines = [text[start : start + _ARMOR_WIDTH] for start in range(0, len(text), _ARMOR_WIDTH)]
    return "\n".join([_ARMOR_BEGIN, *lines, _ARMOR_END, ""])


def parse_signature(content: bytes) -> Signature:
    """Take a signature's file apart. Raises ValueError, saying what is wrong with it.

    Only the form that ssh-keygen writes is taken, so that no byte of the file can be changed unseen.
    """
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("it is not an SSH signature") from None
    lines = text.split("\n")
    if len(lines) < 4 or lines[0] != _ARMOR_BEGIN or lines[-2:] != [_ARMOR_END, ""]:
        raise ValueError("it is not an SSH signature")
    joined = "".join(lines[1:-2])
    try:
        blob = base64.b64decode(joined, validate=True)
    except binascii.Error:
        raise ValueError("it is not base64") from None
    if base64.b64encode(blob).decode() != joined:
        raise ValueError("it is not base64 in its one form")
    reader = _Reader(blob)
    if reader.take(len(_MAGIC)) != _MAGIC or int.from_bytes(reader.take(4), "big") != _VERSION:
        raise ValueError("it is not an SSH signature of version 1")
    key, namespace, reserved = PublicKey(reader.string()), reader.text(), reader.string()
    hash_algorithm, inner = reader.text(), _Reader(reader.string())
    algorithm, value = inner.text(), inner.string()
    if hash_algorithm not in _HASHES or reserved or reader.left:
        raise ValueError("it is not in a form that is known here")
    if key.type == ED25519 and (algorithm != ED25519 or len(value) != 64 or inner.left):
        raise ValueError("it is not the signature of an Ed25519 key")
    return Signature(key=key, namespace=namespace, hash_algorithm=hash_algorithm, algorithm=algorithm, value=value)


def parse_public_key(line: str) -> tuple[PublicKey, str] | None:
    """The key and the comment of a line such as ``ssh-ed25519 AAAA... alice``; None for anything else."""
    words = line.split(maxsplit=2)
    if len(words) < 2 or not _KEY_TYPE.fullmatch(words[0]):
        return None
    return _key(words[0], words[1]), words[2].strip() if len(words) == 3 else ""


def parse_signers(text: str) -> list[Signer]:
    """The signers of an allowed_signers file, of a public key's file (OpenSSH), or of a PEM file (Ed25519).

    Raises ValueError, saying the line, for what is none of these or names no key.
    """
    if "PRIVATE KEY-----" in text:
        raise ValueError("it holds a private key: give the public one")
    if pem := _PEM_PUBLIC.search(text):
        key = _pem_key(pem[1])
        return [Signer(name=key.fingerprint, key=key)]
    signers: list[Signer] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            signers += _signer(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    if not signers:
        raise ValueError("it names no key")
    return signers


def private_key_header(blob: bytes) -> tuple[PublicKey, bool]:
    """The public half of an OpenSSH private key, and whether a passphrase protects it.

    `blob` is what stands, as base64, between the file's first and last line. Raises ValueError.
    """
    reader = _Reader(blob)
    magic = b"openssh-key-v1\0"
    if reader.take(len(magic)) != magic:
        raise ValueError("it is not an OpenSSH private key")
    cipher, _kdf, _options = reader.text(), reader.string(), reader.string()
    if int.from_bytes(reader.take(4), "big") != 1:
        raise ValueError("it does not hold one key")
    return PublicKey(reader.string()), cipher != "none"


class _Reader:
    """Reads SSH's strings, each behind its length in four bytes."""

    def __init__(self, content: bytes) -> None:
        self.left = content

    def take(self, length: int) -> bytes:
        if len(self.left) < length:
            raise ValueError("it is cut off")
        taken, self.left = self.left[:length], self.left[length:]
        return taken

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))

    def text(self) -> str:
        try:
            return self.string().decode("ascii")
        except UnicodeDecodeError:
            raise ValueError("a name in it is not ASCII") from None


def _string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _signed_bytes(message: bytes, namespace: str, hash_algorithm: str) -> bytes:
    digest = _HASHES[hash_algorithm](message).digest()
    return _MAGIC + _string(namespace.encode()) + _string(b"") + _string(hash_algorithm.encode()) + _string(digest)


def _key(kind: str, text: str) -> PublicKey:
    try:
        key = PublicKey(base64.b64decode(text, validate=True))
        known = key.type
    except (binascii.Error, ValueError):
        raise ValueError("it holds no public key") from None
    if known != kind:
        raise ValueError(f"it says {kind}, and the key is {known}")
    return key


def _pem_key(body: str) -> PublicKey:
    try:
        der = base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        raise ValueError("it is not PEM") from None
    if not der.startswith(_ED25519_DER) or len(der) != len(_ED25519_DER) + 32:
        raise ValueError("it is not an Ed25519 public key")
    return ed25519_key(der[len(_ED25519_DER) :])


def _signer(line: str) -> Iterator[Signer]:
    """The signer that a line names; none for a certificate authority, which Trailkeep does not use."""
    if found := parse_public_key(line):
        key, comment = found
        yield Signer(name=comment or key.fingerprint, key=key)
        return
    words = _WORD.findall(line)
    if len(words) < 3:
        raise ValueError("it is neither a public key nor a line of allowed signers")
    name, options, rest = words[0].strip('"'), "", words[1:]
    if not _KEY_TYPE.fullmatch(rest[0]):
        options, rest = rest[0], rest[1:]
    if len(rest) < 2:
        raise ValueError("it holds no public key")
    given = {match[1].lower(): match[2] or "" for match in _OPTION.finditer(options)}
    unknown = sorted(given.keys() - {"cert-authority", "namespaces", "valid-after", "valid-before"})
    if unknown or (options and not given):
        raise ValueError(f"its options are not known here: {options}")
    if "cert-authority" in given:
        return
    yield Signer(
        name=name,
        key=_key(rest[0], rest[1]),
        namespaces=tuple(pattern for pattern in given.get("namespaces", "").split(",") if pattern),
        valid_after=_moment(given.get("valid-after")),
        valid_before=_moment(given.get("valid-before")),
    )


def _moment(text: str | None) -> datetime | None:
    """A time as allowed_signers files write it: local, unless a Z ends it."""
    if text is None:
        return None
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"{text!r} is not a time such as 20260131 or 20260131120000Z")
    digits = text.rstrip("Z").ljust(14, "0")
    moment = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return moment if text.endswith("Z") else moment.replace(tzinfo=None).astimezone(UTC)


def _listed(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether OpenSSH's patterns, with ``*``, ``?`` and a leading ``!`` that forbids, take `text`."""
    taken = [pattern for pattern in patterns if _matches(pattern.removeprefix("!"), text)]
    return bool(taken) and not any(pattern.startswith("!") for pattern in taken)


def _matches(pattern: str, text: str) -> bool:
    translated = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(translated, text) is not None
