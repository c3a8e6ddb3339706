"""Whether the index of values says of each segment what its rows say: queries leave files out by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.pivots import keeping
from trailkeep.pivots.file import IndexFile, Unusable
from trailkeep.pivots.making import make
from trailkeep.store import layout
from trailkeep.verify.result import Kind

if TYPE_CHECKING:
    from trailkeep.store import LiveFile
    from trailkeep.verify.folder import Folder
    from trailkeep.verify.result import Findings


def check_index(folder: Folder, archive_id: str, file: LiveFile, found_at: str, findings: Findings) -> None:
    """Compare the index of `file`, whose bytes lie at `found_at` and are what the ledger says, with a new one.

    An index that readers do not take, since it is damaged or of something else, is none: the next writer makes it anew.
    """
    from pyarrow import ArrowException

    cache = folder.root / layout.CACHE
    place = keeping.place_of(cache, file.record.sha256)
    if place is None or not keeping.is_indexed(file.table):
        return
    try:
        held = IndexFile(place, archive_id, file.record.sha256)
        held.check_for(file.table, file.record.rows)
        held.check()
    except (Unusable, OSError):
        return
    try:
        made = make(
            folder.root / found_at,
            archive_id=archive_id,
            sha256=file.record.sha256,
            table=file.table,
            rows=file.record.rows,
            start=keeping.microseconds(file.first),
        )
    except Unusable:
        made = b""
    except (OSError, ArrowException, ValueError, OverflowError):
        return  # the rows cannot be read, which is said of them
    if not held.is_content(made):
        path = f"{layout.CACHE}/{keeping.FOLDER}/{place.name}"
        words = "it is not what the rows of its segment make, and queries rely on it: delete .cache, it is made anew"
        findings.problem(path, Kind.CONTENT, words)
