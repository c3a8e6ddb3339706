"""The techniques of MITRE ATT&CK Enterprise, version 19: which ids exist, and what became of others."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VERSION = 19
_FILE = Path(__file__).with_name("attack_v19.tsv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """One id of the list."""

    id: str
    name: str
    moved_to: str | None = None
    """The id that replaced it, where version 19 does not have it any more."""


@cache
def techniques() -> dict[str, Technique]:
    """Every technique of the pinned list, by its id."""
    found = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            key, name, *moved = line.split("\t")
            found[key] = Technique(id=key, name=name, moved_to=moved[0] if moved else None)
    return found


def mistake(technique: str) -> tuple[str, str] | None:
    """What is wrong with an id, and what to write instead; None where the list has it."""
    known = techniques()
    if (found := known.get(technique)) is not None:
        if found.moved_to is None:
            return None
        now = known[found.moved_to]
        return f"ATT&CK v{VERSION} has no {technique} ({found.name}) any more", f"Write {now.id} ({now.name})."
    parent = known.get(technique.partition(".")[0])
    candidates = [key for key, each in known.items() if each.moved_to is None]
    if parent is not None and parent.moved_to is not None:
        near = [key for key in candidates if key.partition(".")[0] == parent.moved_to][:3]
    else:
        near = difflib.get_close_matches(technique, candidates, n=3, cutoff=0.6)
    guess = f"Did you mean {' or '.join(f'{key} ({known[key].name})' for key in near)}? " if near else ""
    return (
        f"ATT&CK v{VERSION} has no {technique}",
        f"{guess}The list is pinned; an id first published in v{VERSION} may be missing from it.",
    )
