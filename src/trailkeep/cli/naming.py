"""The names of principals and Projects for a table that shows their ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trailkeep.cli import diagnostics
from trailkeep.errors import IntegrityViolated, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trailkeep.store import Archive, Head

MAX_NAME_CHARACTERS = 40
"""A longer name is cut: the id beside it says who it is."""

_HEXADECIMAL = "[0-9a-fA-F]"
ID = re.compile(f"{_HEXADECIMAL}{{8}}(?:-{_HEXADECIMAL}{{4}}){{3}}-{_HEXADECIMAL}{{12}}")
_PLAIN = re.compile(r"[\w.@+-]+(?: [\w.@+-]+)*")


class Names:
    """Looks ids up in the directory as it was at one head of the ledger, once for all that are shown together."""

    def __init__(self, archive: Archive, head: Head | None) -> None:
        self._archive = archive
        self._head = head
        self._known: dict[str, str | None] = {}

    def shown(self, texts: Iterable[str]) -> dict[str, str]:
        """Each id of `texts` that has a name as ``name (id)``; what is no id costs nothing."""
        ids = {text for text in texts if len(text) == 36 and ID.fullmatch(text)}  # the length is quicker to look at
        if new := {text.lower() for text in ids} - self._known.keys():
            found = self._look_up(new)
            self._known |= {identifier: found.get(identifier) for identifier in new}
        return {text: f"{safe(name)} ({text})" for text in ids if (name := self._known[text.lower()])}

    def _look_up(self, ids: set[str]) -> dict[str, str]:
        if self._head is None:
            return {}
        archive = self._archive.as_of(self._head.seq)
        ledger = archive.ledger()
        if not any(file.table.startswith("directory/") for file in ledger.live.values()):
            return {}

        from trailkeep.analysis.directory import names_of

        try:
            return names_of(archive, ledger, ids)
        except (StoreError, IntegrityViolated, FileNotFoundError) as error:
            # The answer itself is whole: it is shown without names rather than not at all.
            diagnostics.warn(f"no names are shown: {getattr(error, 'message', error)}")
            return {}


def safe(name: str) -> str:
    """A name that stands before an id and cannot be taken for one, nor for the end of another.

    What is more than words is in quotes, and so is what holds an id itself.
    """
    short = name if len(name) <= MAX_NAME_CHARACTERS else f"{name[: MAX_NAME_CHARACTERS - 1]}…"
    if _PLAIN.fullmatch(short.removesuffix("…")) and not ID.search(name):
        return short
    escaped = short.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
