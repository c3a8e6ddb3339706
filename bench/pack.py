"""What the forensic pack costs beside the same SQL over native tables of the engine's own, with the same rows.

Every saved query is asked with its defaults, which mostly look at the last 90 days of the archive, in turns: of
Trailkeep by its Python way, with engines that are kept, and of a DuckDB database that is open already, with the same
views over its own tables and the same limits. Either side gives its rows as Python values. The two run in processes of
their own, so that their memory can be told apart, and must give the same rows.

The whole pack over ten million events takes long: with `--seconds` it ends after that time, and with the same `--keep`
goes on from there the next time. The table at the end has all that was asked so far.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from archives import NOW, build
from trailkeep import schema
from trailkeep.analysis import Question, open_result
from trailkeep.analysis.question import prepare
from trailkeep.analysis.resolving import resolve
from trailkeep.analysis.result import BATCH_ROWS, needs_of
from trailkeep.catalog import EXTRA, Limits, Needs, connect, views
from trailkeep.catalog.addresses import create_functions
from trailkeep.catalog.building import Building
from trailkeep.catalog.event_names import event_names
from trailkeep.catalog.memory import leave_room
from trailkeep.catalog.warm import Engines
from trailkeep.coverage import coverage_tables
from trailkeep.queries import discover, load, query_folders
from trailkeep.store import Archive

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from trailkeep.analysis.question import Prepared

TURNS = 3
LONG_SECONDS = 3.0
"""A question that takes one side longer than that is asked only once more."""
GOALS = {"mean": 1.2, "highest": 2.0}
TABLES = (schema.API_EVENTS, schema.AUTHENTICATION_EVENTS, schema.SYSTEM_EVENTS)
Answer = tuple[float, float, int, str, int]
"""Wall seconds, CPU seconds, rows, a digest of them, and MiB at the peak."""


def questions(archive: Archive, days: int | None = None) -> dict[str, Question]:
    """Every saved query with what it must be given; those with a span about the last so many days, where given."""
    files = [str(archive.locate(file)) for file in archive.ledger().files("api_events")][-1:]
    row = duckdb.execute(
        "SELECT mode(principal_id), mode(source_ip), mode(resources[1].id) FROM read_parquet($files)", {"files": files}
    ).fetchone()
    principal, address, resource = row or ("", "", "")
    indicators = Path(tempfile.gettempdir()) / f"trailkeep-pack-{os.getpid()}.txt"
    indicators.write_text(f"{address}\n198.51.100.0/24\n{resource}\nsqlmap\n")
    given = {"principal": principal, "address": address, "resource": resource, "indicators": str(indicators)}
    found = {}
    for name, file in discover(query_folders((), directory=Path("/nonexistent"))).items():
        saved = load(name, file.path)
        needed = {key: given[key] for key, each in saved.parameters.items() if each.required}
        if days is not None and "since" in saved.parameters:
            needed["since"] = f"{days}d"
        found[name] = Question.of(saved, given=needed)
    return found


def native_tables(archive: Archive, place: Path) -> None:
    """A database with the rows of the event tables, in the same order."""
    live = archive.ledger()
    with duckdb.connect(str(place)) as connection:
        connection.execute("SET memory_limit = '4GiB'; SET enable_progress_bar = false")
        for table in TABLES:
            files = sorted(live.files(table.name), key=lambda file: file.first)
            parts = views.parquet_parts(table, in_place=[archive.locate(file) for file in files], apart=[])
            connection.execute(f"CREATE TABLE {table.name} AS {views.selection_of(table, parts)}")


class Native(Building):
    """The archive's views over tables of the engine's own."""

    def _parts(self, table: schema.Table, placed: Any) -> list[str]:
        if table in TABLES:
            return [f"SELECT * FROM native.main.{table.name}"]
        return super()._parts(table, placed)


class NativeTables:
    """The native tables, asked on one connection that has all views, or opened anew for each question as ours are."""

    def __init__(self, archive: Archive, place: Path, limits: Limits, *, anew: bool) -> None:
        self._archive, self._place, self._limits = archive, place, limits
        self._ledger = archive.ledger()
        with connect() as connection:
            self._names = event_names(archive, self._ledger, connection)
        self._open = None if anew else self._opened(None)

    def rows(self, prepared: Prepared) -> list[Any]:
        """The answer."""
        statement = prepared.statement
        connection = self._open or self._opened(needs_of(statement))
        reader = connection.sql(statement.sql, params=prepared.parameters or None).to_arrow_reader(BATCH_ROWS)
        rows = [row for batch in reader for row in rows_of(batch)]
        if self._open is None:
            connection.close()
        return rows

    def _opened(self, needs: Needs | None) -> duckdb.DuckDBPyConnection:
        connection = connect()
        connection.execute(
            f"SET TimeZone = 'UTC'; SET memory_limit = '{self._limits.memory}'; SET enable_progress_bar = false;"
            f"SET temp_directory = '{self._place}.tmp'"
        )
        leave_room(connection)
        connection.execute(f"ATTACH '{self._place}' AS native (READ_ONLY)")
        native = Native(self._archive, self._ledger, needs, None)
        native.place()
        extra = coverage_tables(self._ledger, NOW) if needs is None or needs.tables & EXTRA else {}
        native.build(connection, extra, self._names)
        if needs is None or any(name.startswith("ip_") for name in needs.functions):
            create_functions(connection, None if needs is None else needs.functions, ())
        return connection


def worker(pipe: Connection, place: Path, native: Path | None, memory: str, anew: bool, days: int | None) -> None:
    """Answer questions by name until there is none."""
    archive = Archive.open(place)
    limits = Limits(memory=memory)
    asked = questions(archive, days)
    engines = Engines()
    natively = NativeTables(archive, native, limits, anew=anew) if native else None
    for name in iter(pipe.recv, None):
        question = asked[name]
        Path("/proc/self/clear_refs").write_text("5")
        if natively is not None:
            prepared, _ = resolve(archive, archive.ledger(), prepare(question, NOW))
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            if natively is not None:
                rows = natively.rows(prepared)
            else:
                with open_result(archive, question, now=NOW, limits=limits, plain=True, engines=engines) as result:
                    rows = [row for batch in result.batches() for row in rows_of(batch)]
            failed = ""
        except Exception as error:  # noqa: BLE001 - told in the table
            rows, failed = [], f"failed: {error}"
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        digest = failed or hashlib.sha256(repr(sorted(map(repr, map(plainly, rows)))).encode()).hexdigest()
        pipe.send((wall, cpu, len(rows), digest, peak_mib()))


def rows_of(batch: Any) -> list[Any]:
    """The rows of a batch as tuples."""
    return batch.rows if hasattr(batch, "rows") else list(zip(*(c.to_pylist() for c in batch.columns), strict=True))


def plainly(value: Any) -> Any:
    """A value as it can be compared, from Arrow or from the engine."""
    if isinstance(value, dict):
        return [plainly(each) for each in value.values()]
    return [plainly(each) for each in value] if isinstance(value, list | tuple) else str(value)


def peak_mib() -> int:
    """The most memory that this process has had since that was reset, in MiB; Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), 0)


class Worker:
    """A process that answers."""

    def __init__(
        self, place: Path, native: Path | None, memory: str, *, anew: bool = False, days: int | None = None
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=worker, args=(other, place, native, memory, anew, days), daemon=True)
        self._process.start()
        other.close()

    def ask(self, name: str) -> Answer:
        """One answer."""
        self._pipe.send(name)
        return self._pipe.recv()  # type: ignore[no-any-return]

    def end(self) -> None:
        """Let it go."""
        self._pipe.send(None)
        self._process.join()


def geometric(values: list[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def main() -> None:
    """Build, ask in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--archive", type=Path, help="one that is there already")
    parser.add_argument("--keep", type=Path, help="a folder to build in, and to use again")
    parser.add_argument("--against", type=Path, help="another archive instead of native tables, such as a shorter one")
    parser.add_argument("--days", type=int, help="ask about so many days, whatever a query's own default is")
    parser.add_argument("--anew", action="store_true", help="open the native tables anew for each question, too")
    parser.add_argument("--memory", default="1GiB")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--seconds", type=float, default=math.inf, help="ask nothing more after so long")
    parser.add_argument("--only", action="append", default=[], help="only the queries whose name holds this")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="trailkeep-pack-"))
    folder.mkdir(exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    try:
        place = given.archive or folder / "archive"
        archive = Archive.open(place) if place.exists() else build(place, given.events, given.months)
        native = folder / "native.duckdb"
        if given.against is None and not native.exists():
            native_tables(archive, native)
        held = Held(folder / f"pack-{'native' if given.against is None else 'other'}-{given.days or 'default'}.ndjson")
        names = [n for n in questions(archive) if not given.only or any(part in n for part in given.only)]
        ours = Worker(place, None, given.memory, days=given.days)
        theirs = Worker(
            given.against or place,
            None if given.against else native,
            given.memory,
            anew=given.anew,
            days=given.days,
        )
        until = time.monotonic() + given.seconds
        for name in names:
            if name not in held.rows and time.monotonic() < until:
                held.add(compared(name, ours, theirs, given.turns, same=given.against is None))
        ours.end()
        theirs.end()
        print_table([held.rows[name] for name in names if name in held.rows], len(names))
    finally:
        if given.keep is None:
            shutil.rmtree(folder)


class Held:
    """What was measured so far, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.rows: dict[str, dict[str, Any]] = {row["query"]: row for row in map(json.loads, lines)}

    def add(self, row: dict[str, Any]) -> None:
        """Keep one more."""
        self.rows[row["query"]] = row
        with self._file.open("a") as file:
            print(json.dumps(row), file=file)


def compared(name: str, ours: Worker, theirs: Worker, turns: int, *, same: bool) -> dict[str, Any]:
    """One query asked of both in turns, the first of which warms them: the least of each."""
    first = ours.ask(name), theirs.ask(name)
    if max(first[0][0], first[1][0]) > LONG_SECONDS:
        turns = 1
    pairs = []
    for turn in range(turns):
        if turn % 2:
            other = theirs.ask(name)
            pairs.append((ours.ask(name), other))
        else:
            pairs.append((ours.ask(name), theirs.ask(name)))
    mine, other = ([min(side[at] for side in sides) for at in (0, 1)] for sides in zip(*pairs, strict=True))
    differs = {one[3] for one in first} if same and first[0][3] != first[1][3] else set()
    return {
        "query": name,
        "wall": [mine[0], other[0]],
        "cpu": [mine[1], other[1]],
        "mib": [max(pair[side][4] for pair in [first, *pairs]) for side in (0, 1)],
        "rows": first[0][2],
        "note": " OTHER ROWS " + " | ".join(each[:80] for each in sorted(differs)) if differs else "",
    }


def print_table(rows: list[dict[str, Any]], of: int) -> None:
    """All that was measured, the dearest last, and what it comes to."""
    print(f"{'query':48} {'CPU ms':>9} {'other':>9} {'ratio':>6} {'wall':>6} {'MiB':>5} {'other':>5} {'rows':>7}")
    for row in sorted(rows, key=lambda row: row["cpu"][0] / row["cpu"][1]):
        (mine, other), (wall, other_wall), (mib, other_mib) = row["cpu"], row["wall"], row["mib"]
        print(
            f"{row['query']:48} {mine * 1e3:9.1f} {other * 1e3:9.1f} {mine / other:6.2f} {wall / other_wall:6.2f}"
            f" {mib:5} {other_mib:5} {row['rows']:7}{row['note']}"
        )
    if not rows:
        return
    for kind, label in (("cpu", "CPU"), ("wall", "wall")):
        ratios = [row[kind][0] / row[kind][1] for row in rows]
        above = sum(ratio > GOALS["highest"] for ratio in ratios)
        print(
            f"{label}: geometric mean {geometric(ratios):.2f} (goal {GOALS['mean']}), highest {max(ratios):.2f},"
            f" {above} of {len(rows)} above {GOALS['highest']}, all together"
            f" {sum(row[kind][0] for row in rows) / sum(row[kind][1] for row in rows):.2f}"
        )
    print(
        f"most memory {max(row['mib'][0] for row in rows)} MiB, of the other {max(row['mib'][1] for row in rows)} MiB"
    )
    print(f"{len(rows)} of {of} queries asked" + ("" if len(rows) == of else "; run it again for the others"))


if __name__ == "__main__":
    main()
