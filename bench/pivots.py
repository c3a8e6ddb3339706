"""What the pivot index costs and saves: bytes, building, a commit's share, needles, and when values were seen."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from archives import ORGANIZATION, build, story_events
from trailkeep import Archive as Opened
from trailkeep.events import identify, to_rows
from trailkeep.pivots import keeping
from trailkeep.pivots.seen import seen
from trailkeep.schema import API_EVENTS
from trailkeep.store import Archive, Commit, NewRows, Writer, layout
from trailkeep.timespan import month_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLUMNS = {"address": "source_ip", "principal": "principal_id", "request id": "request_id"}
NOW = datetime(2026, 11, 3, tzinfo=UTC)


def cpu() -> float:
    """Seconds of processor time that this process has used."""
    return time.process_time()


@contextlib.contextmanager
def stopwatch(spent: list[float]) -> Iterator[None]:
    began = cpu()
    try:
        yield
    finally:
        spent.append(cpu() - began)


def rarest(connection: duckdb.DuckDBPyConnection, files: list[str]) -> dict[str, str]:
    """A value of each kind that few events have; not the least one, which footers rule out elsewhere."""
    found = {
        kind: connection.execute(
            f"SELECT {column} FROM read_parquet(?) WHERE {column} IS NOT NULL"
            f" GROUP BY 1 ORDER BY count(*), md5({column}) LIMIT 1",
            [files],
        ).fetchone()[0]
        for kind, column in COLUMNS.items()
    }
    found["resource"] = connection.execute(
        "SELECT resources[1].id FROM read_parquet(?) WHERE resources[1].id IS NOT NULL ORDER BY id LIMIT 1", [files[:1]]
    ).fetchone()[0]
    return found


def measured(rounds: int, *asks: Callable[[], list[Any]]) -> list[tuple[float, float]]:
    """The median of milliseconds, and of processor time, of each: in alternation, after rounds that warm up."""
    walls: list[list[float]] = [[] for _ in asks]
    cpus: list[list[float]] = [[] for _ in asks]
    results: list[list[Any]] = [[] for _ in asks]
    for number in range(rounds + 3):
        for which, ask in enumerate(asks):
            began, used = time.perf_counter(), cpu()
            results[which] = ask()
            if number >= 3:
                walls[which].append((time.perf_counter() - began) * 1000)
                cpus[which].append((cpu() - used) * 1000)
    assert all(sorted(map(str, each)) == sorted(map(str, results[0])) for each in results), "answers differ"
    return [(statistics.median(wall), statistics.median(used)) for wall, used in zip(walls, cpus, strict=True)]


def questions(kind: str) -> tuple[str, str]:
    """The needle over the archive, and the same over its files: all columns, but for resources the event's own."""
    if kind == "resource":
        ids = "list_contains(list_transform(resources, lambda r: r.id), $v)"
        named = "id, recorded_at, source_ip, user_agent, raw"
        ours = f"SELECT {named} FROM events WHERE kind = 'api' AND list_contains(resource_ids, $v)"
        return ours, f"SELECT {named} FROM read_parquet($files) WHERE {ids}"
    names = ", ".join(column.name for column in API_EVENTS.columns)
    condition = f"{COLUMNS[kind]} = $v"
    return (
        f"SELECT {names} FROM api_events WHERE {condition}",
        f"SELECT {names} FROM read_parquet($files) WHERE {condition}",
    )


def needles(archive: Archive, rounds: int) -> dict[str, tuple[float, float]]:
    """Print what each needle takes; for each kind its milliseconds, and those of the plain files over them."""
    found: dict[str, tuple[float, float]] = {}
    ledger = archive.ledger()
    paths = sorted(str(archive.locate(file)) for file in ledger.files("api_events"))
    engine = duckdb.connect(config={"memory_limit": "1GiB"})
    values = rarest(engine, paths)
    print(f"needles in {len(paths)} files, with raw; ms (CPU ms), median of {rounds} rounds in alternation")
    with Opened(archive.path) as opened:
        for kind, value in values.items():
            sql, plain_sql = questions(kind)

            def plain(sql: str = plain_sql, value: str = value) -> list[Any]:
                return [row[0] for row in engine.execute(sql, {"files": paths, "v": value}).fetchall()]

            def ours(sql: str = sql, value: str = value) -> list[Any]:
                return [row["id"] for row in opened.sql(sql, {"v": value}).rows()]

            (theirs, theirs_cpu), (needle, needle_cpu) = measured(rounds, plain, ours)
            found[kind] = needle, theirs / needle
            print(
                f"  {kind:10} {needle:7.1f} ({needle_cpu:5.1f})   plain read_parquet {theirs:8.1f} ({theirs_cpu:7.1f})"
                f"   1/{theirs / needle:.1f} (CPU 1/{theirs_cpu / needle_cpu:.1f})"
            )
    files = [(file, partial(archive.locate, file)) for file in ledger.live.values()]
    for kind, value in values.items():

        def look(value: str = value) -> list[Any]:
            return [len(seen(archive.path / layout.CACHE, archive.archive_id, files, [value]).sightings)]

        [(wall, used)] = measured(rounds, look)
        print(f"  first and last of a {kind:10} {wall:7.1f} ({used:.1f}), of {len(files)} files")
    return found


def building(archive: Archive) -> None:
    """Delete the index and have a writer make it anew."""
    shutil.rmtree(archive.path / layout.CACHE / keeping.FOLDER, ignore_errors=True)
    began, used = time.perf_counter(), cpu()
    with Writer(archive.path, clock=lambda: NOW) as writer:
        rows = sum(file.record.rows for file in writer.ledger.live.values())
        held = sum(file.record.bytes for file in writer.ledger.live.values())
    size = sum(file.stat().st_size for file in (archive.path / layout.CACHE / keeping.FOLDER).iterdir())
    print(
        f"{rows:,} events, {held / 1e6:,.0f} MB; index {size / 1e6:,.1f} MB, {size / rows:.1f} bytes an event,"
        f" {size / held:.1%} of the archive"
    )
    print(f"built in {time.perf_counter() - began:.1f} s, {(cpu() - used) / rows * 1e6:.2f} us CPU an event")


def extending(place: Path, events: int) -> None:
    """From bytes of events to commits, and how much of it is the index."""
    spent: list[float] = []
    extend = keeping.extend

    def timed(*given: Any) -> int:
        with stopwatch(spent):
            return extend(*given)

    raws = list(story_events(events))
    keeping.extend = timed
    try:
        began = cpu()
        with Writer(place, clock=lambda: NOW) as writer:
            for start in range(0, len(raws), 50_000):
                arrivals, _rejects = identify(raws[start : start + 50_000])
                months: dict[str, list[Any]] = {}
                for each in arrivals:
                    months.setdefault(month_of(each.recorded_at), []).append(each)
                added = [
                    NewRows(
                        table=API_EVENTS,
                        partition={"organization_id": ORGANIZATION, "region": "fr-par", "month": month},
                        rows=to_rows("api", some),
                    )
                    for month, some in months.items()
                ]
                writer.commit(Commit(operation="sync", started_at=NOW, organization_id=ORGANIZATION, added=added))
        total = cpu() - began
    finally:
        keeping.extend = extend
    print(
        f"extended at commits of 50,000: {sum(spent) / len(raws) * 1e6:.2f} us CPU an event of"
        f" {total / len(raws) * 1e6:.2f} from bytes to commit, {sum(spent) / total:.1%} (a sync reads pages besides)"
    )


def main() -> None:
    """Measure on an archive that is made for it, or on a copy of one that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--archive", type=Path, help="An archive whose .cache may be written to.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--needles", action="store_true", help="Measure needles alone, with the index that is there.")
    parser.add_argument("--keep", type=Path, help="Make the archive here, and leave it.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trailkeep-bench-") as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        archive = (
            Archive.open(given.archive) if given.archive else build(given.keep or Path(folder) / "data", given.events)
        )
        if not given.needles:
            building(archive)
            extending(Path(folder) / "extended", min(given.events, 100_000))
        needles(archive, given.rounds)


if __name__ == "__main__":
    main()
