"""A million rows to every format: peak memory of the whole process, and rows per second beside DuckDB's own COPY.

Each result is written by a process of its own, so that its peak is its own; the figure includes Python and all
libraries. Narrow rows are generated, wide ones carry a kilobyte of JSON as `raw` does, and one row holds 64 MB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

FORMATS = ("ndjson", "parquet", "arrow", "csv", "json", "markdown")
LIMIT_MIB = 300
LIMITED = {("narrow", "ndjson"), ("narrow", "parquet"), ("wide", "ndjson"), ("wide", "parquet")}

NARROW = (
    "SELECT i AS number, TIMESTAMP '2026-01-01' + INTERVAL (i) SECOND AS recorded_at, md5(i::VARCHAR) AS id,"
    " 'CreateServer' AS action, nullif(i % 7, 0) AS code, [i, NULL] AS list FROM range({rows}) t(i)"
)
WIDE = (
    'SELECT i AS number, md5(i::VARCHAR) AS id, \'{{"id": "\' || md5(i::VARCHAR) || \'", "user_agent": "\' ||'
    " repeat('agent ' || i || ' ', 80) || '\"}}' AS raw FROM range({rows}) t(i)"
)
HUGE = "SELECT repeat('0123456789abcdef', 4194304) AS raw"

CHILD = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
sys.exit(code)
"""
"""Starts from a small process: a child's peak begins at that of the one it was forked from."""

COPY = """
import duckdb, sys
connection = duckdb.connect(config={"memory_limit": "1GiB"})
connection.execute("SET TimeZone = 'UTC'")
connection.execute(f"COPY ({sys.argv[1]}) TO '{sys.argv[2]}' ({sys.argv[3]})")
"""
COPY_FORMATS = {
    "ndjson": "FORMAT json",
    "json": "FORMAT json, ARRAY true",
    "csv": "FORMAT csv, HEADER",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}


def measured(command: list[str]) -> tuple[float, int]:
    """Seconds and peak memory in MiB of a command."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CHILD, *command], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    return seconds, int(done.stderr.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", default=",".join(FORMATS), help="with commas between")
    parser.add_argument("--results", default="narrow,wide,huge", help="with commas between")
    arguments = parser.parse_args()
    results = {"narrow": (NARROW, arguments.rows), "wide": (WIDE, arguments.rows), "huge": (HUGE, 1)}
    too_much = []
    with tempfile.TemporaryDirectory() as folder:
        empty_archive(Path(folder) / "data")
        print(f"{'result':8} {'format':9} {'MB':>6} {'rows/s':>9} {'peak MiB':>9}   {'COPY rows/s':>11} {'MiB':>9}")
        for result in arguments.results.split(","):
            sql, rows = results[result][0].format(rows=results[result][1]), results[result][1]
            for form in arguments.formats.split(","):
                target = Path(folder) / f"out.{form}"
                program = [sys.executable, "-m", "trailkeep", "--archive", f"{folder}/data", "-q", "query"]
                seconds, peak = measured([*program, "--sql", sql, "--format", form, "--output", str(target)])
                line = f"{result:8} {form:9} {target.stat().st_size / 1e6:6.0f} {rows / seconds:9,.0f} {peak:9,}"
                target.unlink()
                if form in COPY_FORMATS:
                    copied = [sys.executable, "-c", COPY, sql, str(target), COPY_FORMATS[form]]
                    copy_seconds, copy_peak = measured(copied)
                    line += f"   {rows / copy_seconds:11,.0f} {copy_peak:9,}"
                    target.unlink()
                print(line, flush=True)
                if (result, form) in LIMITED and peak >= LIMIT_MIB:
                    too_much.append(f"{result} {form}: {peak} MiB")
    if too_much:
        raise SystemExit(f"more than {LIMIT_MIB} MiB: {', '.join(too_much)}")


def empty_archive(path: Path) -> None:
    """An archive that holds nothing: the results are generated."""
    from trailkeep.store import Writer

    with Writer(path, clock=lambda: datetime.now(UTC)):
        pass


if __name__ == "__main__":
    main()
