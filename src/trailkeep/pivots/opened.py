"""A segment's index, opened to look something up: a question looks into hundreds, so that each is to cost little."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trailkeep.pivots.file import IndexFile, Unusable, open_plain, state_of
from trailkeep.pivots.keeping import FOLDER, SUFFIX

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)

_KNOWN: dict[str, IndexFile] = {}
"""Heads that were read, by their place."""

_MOST_KNOWN = 4096


def opened(cache: str, archive_id: str, table: str, sha256: str, rows: int) -> tuple[IndexFile, int]:
    """The index of a segment, with a descriptor that is to be closed. Raises Unusable, and OSError without one.

    A head is believed as long as the file that has its name is the one that it was read from.
    """
    if not _SHA256.fullmatch(sha256):
        raise Unusable("no name for it")
    place = f"{cache}/{FOLDER}/{sha256}{SUFFIX}"
    descriptor = open_plain(place)
    try:
        known = _known(place, state_of(descriptor), archive_id, sha256)
        known.check_for(table, rows)
    except BaseException:
        os.close(descriptor)
        raise
    return known, descriptor


def _known(place: str, state: tuple[int, int, int], archive_id: str, sha256: str) -> IndexFile:
    known = _KNOWN.get(place)
    if known is None or known.state != state or known.description.archive_id != archive_id:
        known = IndexFile(Path(place), archive_id, sha256)
        if known.state != state:
            raise Unusable("it was replaced")
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[place] = known
    return known
