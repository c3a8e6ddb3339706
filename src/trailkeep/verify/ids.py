"""Whether a stream holds any event twice, across all its files, in memory that does not grow with the stream."""

from __future__ import annotations

from array import array
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailkeep.verify.files import open_live
from trailkeep.verify.folder import NotAFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trailkeep.store import LiveFile
    from trailkeep.verify.folder import Folder

IDS_AT_ONCE = 8_000_000
"""How many ids are compared with each other in one pass over the files, at about 25 bytes each."""

MAX_REPORTED = 100
"""How many repeated ids of a stream are named."""


def repeated_ids(
    folder: Folder, files: Sequence[LiveFile], *, at_once: int = IDS_AT_ONCE
) -> Iterator[tuple[str, list[str]]]:
    """Every id that stands more than once in `files`, with the paths it stands in; `MAX_REPORTED` at most.

    Every pass takes the ids whose hash falls to it. What a hash makes suspicious is compared in full.
    """
    passes = 1 + sum(file.record.rows for file in files) // at_once
    suspects: set[int] = set()
    for number in range(passes):
        hashes = array("q")
        for file in files:
            for ids in _ids(folder, file):
                hashes.extend(value for value in map(hash, ids) if value % passes == number)
        suspects.update(_repeated(hashes, MAX_REPORTED - len(suspects)))
        if len(suspects) >= MAX_REPORTED:
            break
    if not suspects:
        return
    places: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for ids in _ids(folder, file):
            for identifier in ids:
                if hash(identifier) in suspects:
                    places[identifier].append(file.record.path)
    yield from ((identifier, paths) for identifier, paths in sorted(places.items()) if len(paths) > 1)


def _ids(folder: Folder, file: LiveFile) -> Iterator[list[str]]:
    """A file's ids; none of one that is gone by now."""
    try:
        opened = open_live(folder, file)
    except NotAFile:
        return
    if opened is None:
        return
    with opened[1] as stream, pq.ParquetFile(stream, page_checksum_verification=True, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches(columns=["id"], use_threads=False):
            ids: list[Any] = batch.column(0).to_pylist()
            yield ids


def _repeated(hashes: array[int], limit: int) -> list[int]:
    """Hashes that are there more than once, `limit` at most."""
    values = pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(hashes)])
    ordered = values.take(pc.sort_indices(values))
    again = pc.equal(ordered[1:], ordered[:-1])
    found: list[Any] = ordered[1:].filter(again).unique().slice(0, limit).to_pylist()
    return found
