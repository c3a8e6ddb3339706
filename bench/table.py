"""What other benchmarks of this folder say, in one table of ratios: ours beside theirs, in one run, on the same data.

``make bench`` runs it, in some ten minutes; the other files measure each thing alone, at more length, and say why.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

import ingest
import peers
import pivots
import startup
from archives import NOW, build
from trailkeep.store import Archive, Writer
from trailkeep.store.compaction import compact, plan_compaction

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[str, str, str]
"""What was compared, what came out, and the goal."""


def fetching(python: Path, events: int, rounds: int) -> Iterator[Row]:
    """A whole sync beside the ways of peers, with 100 ms a page and nine of ten events in one day."""
    found = {
        each.name: each
        for each in peers.compare_syncs(python, events=events, latency_seconds=0.1, concurrency=16, rounds=rounds)
    }
    ours = next(iter(found.values()))
    yield "sync, events/s over those of the SDK's loop", f"{ours.rate / found[peers.SDK].rate:.1f}", ">= 13"
    yield "sync, events/s over those of dlt", f"{ours.rate / found[peers.DLT].rate:.1f}", ">= 10"


def ingesting(events: int, rounds: int) -> Iterator[Row]:
    """Page bytes to committed segments, beside DuckDB from NDJSON to Parquet."""
    raws = ingest.generate(events)
    walls, cpus = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            mine, mine_cpu = ingest.sync(raws, Path(scratch) / "data")
            theirs, theirs_cpu = ingest.duckdb_copy(raws, Path(scratch))
        walls.append(theirs / mine)
        cpus.append(theirs_cpu / mine_cpu)
    yield "page bytes to segments, events/s over those of DuckDB's COPY", f"{statistics.median(walls):.2f}", ">= 0.9"
    yield "the same, by processor time", f"{statistics.median(cpus):.2f}", ""


def keeping(archive: Archive) -> Iterator[Row]:
    """Bytes of the archive beside those of its events as NDJSON."""
    with Writer(archive.path, clock=lambda: NOW) as writer:
        compact(writer, plan_compaction(writer.ledger, NOW), started_at=NOW)
    files = [file for file in archive.ledger().live.values() if file.table.endswith("_events")]
    ndjson, squeezed, squeezer = 0, 0, zlib.compressobj(6)
    for file in sorted(files, key=lambda each: each.record.first):
        for batch in pq.ParquetFile(archive.locate(file)).iter_batches(columns=["raw"]):
            lines = "\n".join(batch["raw"].to_pylist()).encode() + b"\n"
            ndjson += len(lines)
            squeezed += len(squeezer.compress(lines))
    squeezed += len(squeezer.flush())
    kept = sum(file.record.bytes for file in files)
    index = sum(path.stat().st_size for path in (archive.path / ".cache").rglob("*.pivots"))
    yield "bytes of the NDJSON over those of its archive", f"{ndjson / kept:.1f}", ">= 10"
    yield "bytes of the archive over those of gzip -6", f"{kept / squeezed:.2f}", "<= 0.65"
    yield "bytes of the index of values over those of the archive", f"{index / kept:.1%}", "<= 15 %"


def finding(archive: Archive, rounds: int) -> Iterator[Row]:
    """A rare value in a warm process, beside plain `read_parquet` of the same files."""
    for kind, (milliseconds, times) in pivots.needles(archive, rounds).items():
        yield f"a rare {kind} over plain read_parquet ({milliseconds:.0f} ms)", f"1/{times:.1f}", "<= 1/8"


def starting(archive: Archive, rounds: int) -> Iterator[Row]:
    """`query --sql 'select 1'` beside Python with DuckDB alone."""
    spent: dict[str, list[float]] = {name: [] for name in startup.processes(archive.path)}
    for _ in range(rounds):
        for name, command in startup.processes(archive.path).items():
            spent[name].append(startup.measure(command)[0])
    ratio = statistics.median(spent["query"]) / statistics.median(spent["bare"])
    yield "query 'select 1' over bare DuckDB", f"{ratio:.2f}", f"<= {startup.LIMIT}"


def main() -> None:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="in the archive that is asked")
    parser.add_argument("--fetched", type=int, default=100_000, help="in each way of fetching")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, default=Path(".bench"), help="a folder to build in, and to use again")
    given = parser.parse_args()
    given.keep.mkdir(exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(given.keep.resolve() / "cache")
    place = given.keep / f"archive-{given.events}"
    archive = Archive.open(place) if place.exists() else build(place, given.events)
    rows = [
        *ingesting(200_000, given.rounds),
        *fetching(peers.environment(given.keep / "peers"), given.fetched, 1),
        *keeping(archive),
        *finding(archive, 3 * given.rounds),
        *starting(archive, 5 * given.rounds),
    ]
    width = max(len(what) for what, _found, _goal in rows)
    print(f"{'':{width}}  {'found':>8}  goal")
    for what, found, goal in rows:
        print(f"{what:{width}}  {found:>8}  {goal}")


if __name__ == "__main__":
    main()
