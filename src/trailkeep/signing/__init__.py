"""Signing the ledger's head, and checking signatures: with a key in PEM, or with OpenSSH's own programs."""

from trailkeep.signing.checks import SignatureCheck, signature_check
from trailkeep.signing.head import SignedHead, sign_archive, sign_head
from trailkeep.signing.names import is_draft, parse_signature_name, signature_name
from trailkeep.signing.signers import read_signers

__all__ = [
    "SignatureCheck",
    "SignedHead",
    "is_draft",
    "parse_signature_name",
    "read_signers",
    "sign_archive",
    "sign_head",
    "signature_check",
    "signature_name",
]
