"""Whether a signature is that of the key which it names; whose key that is, `trailkeep.signatures` knows."""

from __future__ import annotations

from typing import Protocol

from trailkeep.errors import ConfigError
from trailkeep.signatures import ED25519, NAMESPACE, parse_signature
from trailkeep.signing import openssh


class SignatureCheck(Protocol):
    """Checks signatures."""

    def __call__(self, content: bytes, message: bytes) -> bool:
        """Whether a signature's file is that of the key which it names, over `message`."""


def signature_check() -> SignatureCheck:
    """What can check signatures here. Raises ConfigError where nothing can."""
    native = has_cryptography()
    if not native and openssh.ssh_keygen() is None:
        raise ConfigError(
            "signatures cannot be checked: neither the Python package cryptography nor ssh-keygen is installed",
            hint="Install `trailkeep[sign]`, or OpenSSH's client programs.",
        )

    def check(content: bytes, message: bytes) -> bool:
        signature = parse_signature(content)
        if signature.namespace != NAMESPACE:
            return False
        if native and signature.key.type == ED25519:
            return _ed25519_is_valid(signature.key.ed25519, signature.value, signature.signed_bytes(message))
        if openssh.ssh_keygen() is None:
            raise ConfigError(
                f"a signature by a key of type {signature.key.type} can only be checked by ssh-keygen,"
                " which is not installed",
                hint="Install OpenSSH's client programs.",
            )
        return openssh.check(content, message)

    return check


def has_cryptography() -> bool:
    """Whether the Python package that signs and checks Ed25519 can be imported."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError:
        return False
    return True


def _ed25519_is_valid(key: bytes, value: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(value, message)
    except (InvalidSignature, ValueError):
        return False
    return True
