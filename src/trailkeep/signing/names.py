"""The names of signatures' files, beside the entries that they sign: ``ledger/<entry>.json.<key>.sig``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trailkeep.store import layout

if TYPE_CHECKING:
    from trailkeep.signatures import PublicKey

_NAME = re.compile(r"([0-9]{8,}\.json)\.([0-9a-f]{16})\.sig")


def signature_name(seq: int, key: PublicKey) -> str:
    """The file that holds a key's signature of an entry; every key has one of its own."""
    return f"{layout.entry_name(seq)}.{key.tag}.sig"


def parse_signature_name(name: str) -> tuple[int, str] | None:
    """The entry's number and the key's tag that a signature's file name says, or None for another name."""
    match = _NAME.fullmatch(name)
    seq = layout.entry_seq(match[1]) if match else None
    return (seq, match[2]) if match and seq else None


def draft_name(name: str) -> str:
    """What a signature's file is called until it is durable."""
    return f".{name}.draft"


def is_draft(name: str) -> bool:
    """Whether a file was left by a signing that was interrupted."""
    return name.startswith(".") and name.endswith(".draft") and parse_signature_name(name[1:-6]) is not None
