"""From when on a detection has to look: what the ledger and the cache say it has seen, and what came since.

A *claim* says that a detection, as its digest tells it, has seen everything before a moment that the ledger held up to
an entry. The ledger has the claims of runs that found something; the others are in ``.cache`` and may be lost at any
time: then more is looked at again, and nothing twice told.
"""

from __future__ import annotations

import contextlib
import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.store import layout
from trailkeep.store.disk import DIRECTORY_MODE, PRIVATE_MODE
from trailkeep.store.looked import Claim
from trailkeep.timespan import format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from trailkeep.store import Archive, Ledger

FIRST_SPAN = timedelta(days=90)
"""How far back a detection looks that has not looked yet, or not as it is now."""

FOLDER = "detect"
"""Below ``.cache``."""

_FORMAT = 1


class Marks:
    """The claims about an archive's detections, and the moments that its newer entries brought events of."""

    def __init__(self, ledger: Ledger, cached: Iterable[tuple[str, Claim]], now: datetime) -> None:
        self._now = now
        self._seen = ledger.seen
        self._last_seq = ledger.head.seq if ledger.head else 0
        self._claims: dict[str, list[Claim]] = {}
        for name, claims in self._seen.claims.items():
            for claim in claims:
                self._add(name, claim)
        for name, claim in cached:
            self._add(name, claim)

    def _add(self, name: str, claim: Claim) -> None:
        # One of the future is of a clock that was wrong, and one of entries that are not there of another archive.
        if claim.until <= self._now and 0 <= claim.seq <= self._last_seq:
            self._claims.setdefault(name, []).append(claim)

    def start(self, name: str, digest: str) -> datetime:
        """From when on the detection has to look, so that it has seen everything then."""
        starts = [self._start(claim) for claim in self._claims.get(name, ()) if claim.digest == digest]
        return max(starts) if starts else self._now - FIRST_SPAN

    def has_looked(self, name: str) -> bool:
        """Whether any claim about the detection stands, as it is now or as it was."""
        return name in self._claims

    def _start(self, claim: Claim) -> datetime:
        late = self._seen.earliest_since(claim.seq)
        return claim.until if late is None else min(claim.until, late)


class MarkFile:
    """The claims in the archive's cache."""

    def __init__(self, archive: Archive) -> None:
        self._archive_id = archive.archive_id
        self.folder = archive.path / layout.CACHE / FOLDER
        self._file = self.folder / "marks.json"

    def read(self, ledger: Ledger) -> list[tuple[str, Claim]]:
        """The claims that are about this ledger; none where they cannot be read."""
        try:
            content = json.loads(self._file.read_bytes())
            if content["format"] != _FORMAT or content["archive_id"] != self._archive_id:
                return []
            return [
                (str(name), Claim(digest=str(each["digest"]), until=parse_moment(each["until"]), seq=each["seq"]))
                for name, each in content["detections"].items()
                if _hash_of(ledger, each["seq"]) == each["sha256"]
            ]
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError, OverflowError):
            return []

    def write(self, ledger: Ledger, looked: Mapping[str, str], until: datetime, seq: int) -> None:
        """Claim that these detections, by name with their digests, have seen all before `until` up to entry `seq`.

        It is no error where that cannot be written. The others' claims stay; of two that write at once one is lost.
        """
        if not looked:
            return
        claims: dict[str, Any] = {
            name: _as_json(claim, _hash_of(ledger, claim.seq)) for name, claim in self.read(ledger)
        }
        for name, digest in looked.items():
            claims[name] = _as_json(Claim(digest=digest, until=until, seq=seq), _hash_of(ledger, seq))
        content = {"format": _FORMAT, "archive_id": self._archive_id, "detections": claims}
        with contextlib.suppress(OSError):
            make_folder(self.folder)
            draft = self._file.with_suffix(f".{os.getpid()}.part")
            try:
                with open(draft, "w", encoding="utf-8", opener=_private) as file:
                    json.dump(content, file, sort_keys=True)
                draft.replace(self._file)
            finally:
                draft.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder of the cache. Raises OSError, also where a link leads elsewhere."""
    for each in (folder.parent, folder):
        if each.is_symlink():
            raise OSError(f"{each} is a symbolic link")
        each.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, PRIVATE_MODE)


def _as_json(claim: Claim, sha256: str | None) -> dict[str, Any]:
    return {"digest": claim.digest, "until": format_time(claim.until), "seq": claim.seq, "sha256": sha256}


def _hash_of(ledger: Ledger, seq: int) -> str | None:
    """The hash of an entry; None for the beginning, and for one that is not there."""
    if seq == 0:
        return None
    return ledger.sha256_of(seq) or ""
