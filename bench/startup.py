"""What a small query costs beside a bare Python process with the engine, and what the guard costs a statement.

Run as ``python bench/startup.py [ROUNDS]``: both kinds of process start by turns, so that a busy machine slows both.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

BARE = "import duckdb; print(duckdb.connect().execute('select 1').fetchall())"
LIMIT = 1.6
GUARD_LIMIT_MS = 5.0


def processes(archive: Path) -> dict[str, list[str]]:
    """The commands that are compared."""
    return {
        "bare": [sys.executable, "-c", BARE],
        "query": [sys.executable, "-m", "trailkeep", "--archive", str(archive), "query", "--sql", "select 1"],
    }


def measure(command: list[str]) -> tuple[float, float]:
    """Wall and processor time of one process, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    # The program's own modules are to be compiled once, as those of the installed packages are.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, used * 1000


def guard_ms() -> tuple[float, float]:
    """The median and the slowest of checking the corpus's ordinary statements, in milliseconds."""
    from corpus import cases
    from trailkeep.guard import check

    texts = [case.sql(archive="/srv/a", live="/srv/a.parquet", outside="/srv/x.csv") for case in cases() if case.accept]
    check("SELECT 'a' AS b FROM (SELECT 1) GROUP BY 'x'")
    for text in texts:
        check(text)
    times = []
    for text in texts:
        each = []
        for _ in range(5):
            start = time.process_time()
            check(text)
            each.append((time.process_time() - start) * 1000)
        times.append(min(each))
    return statistics.median(times), max(times)


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    from archives import empty_archive

    with tempfile.TemporaryDirectory() as folder:
        commands = processes(empty_archive(Path(folder) / "data").path)
        for command in commands.values():
            measure(command)
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                runs[name].append(measure(command))
    for at, what in enumerate(("wall", "processor")):
        for how, of in (("median", statistics.median), ("least", min)):
            bare, query = (of([run[at] for run in runs[name]]) for name in ("bare", "query"))
            print(
                f"{what:9} {how:6}  bare {bare:6.0f} ms   query {query:6.0f} ms   "
                f"ratio {query / bare:.2f} (at most {LIMIT})"
            )
    median, slowest = guard_ms()
    print(f"guard a statement: median {median:.2f} ms, slowest {slowest:.2f} ms (at most {GUARD_LIMIT_MS})")


if __name__ == "__main__":
    main()
