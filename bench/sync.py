"""How fast a sync asks: events a second, requests over the fewest possible, connections, and what a limit leaves of it.

Run as ``python bench/sync.py [--events N] [--latency SECONDS] [--concurrency N] [--limit R]``. The emulator runs in
another process, with nine of ten events in one day and most in one region.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

import uneven

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("api", "authentication", "system")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took, itself and its children."""

    seconds: float
    processor_seconds: float
    peak_mb: float
    """The peaks of the process and of its children together, as seen 20 times a second."""
    output: str


class _Peaks(threading.Thread):
    """Looks at the peak of each process of a tree until told to end.

    `ru_maxrss` would count what the process that starts another has itself at that moment.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._ended = threading.Event()
        self._peaks: dict[int, int] = {}

    def run(self) -> None:
        while not self._ended.wait(0.05):
            waiting = [self._root]
            while waiting:
                process = waiting.pop()
                try:
                    status = Path(f"/proc/{process}/status").read_text()
                    waiting += map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
                except OSError:
                    continue
                if found := re.search(r"VmHWM:\s+(\d+) kB", status):
                    self._peaks[process] = int(found[1])

    def end(self) -> float:
        """Stop looking; the sum of the peaks in MB."""
        self._ended.set()
        self.join()
        return sum(self._peaks.values()) / 1024


def measured(command: Sequence[str], environment: dict[str, str]) -> Cost:
    """Run a command to its end. Raises CalledProcessError where that is bad."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=said)
        assert process.stdout is not None
        peaks = _Peaks(process.pid)
        peaks.start()
        output = process.stdout.read().decode()
        _pid, status, _usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        peak = peaks.end()
        if process.returncode:
            said.seek(0)
            raise subprocess.CalledProcessError(process.returncode, command, output, said.read().decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds=seconds, processor_seconds=used, peak_mb=peak, output=output)


def trailkeep(api: uneven.Api, archive: Path, concurrency: int) -> tuple[Cost, dict[str, int]]:
    """A whole `trailkeep sync` of a new archive, as a process; what it took and its counters."""
    command = [sys.executable, "-m", "trailkeep", "--archive", str(archive), "-q", "sync", "--no-directory"]
    command += ["--concurrency", str(concurrency), "--format", "json"]
    for kind in KINDS:
        command += ["--kind", kind]
    environment = {
        "SCW_API_URL": api.url,
        "SCW_ACCESS_KEY": api.access_key,
        "SCW_SECRET_KEY": api.secret_key,
        "SCW_DEFAULT_ORGANIZATION_ID": api.organization_id,
        # The program's own modules are to be compiled once, as those of the installed packages are.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    cost = measured(command, environment)
    return cost, json.loads(cost.output)["total"]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--limit", type=float, help="requests a second that the API takes")
    parser.add_argument("--retry-after", default="seconds", choices=["seconds", "none"])
    options = parser.parse_args()
    faults = [f"requests_per_second={options.limit}", f"retry_after={options.retry_after}"] if options.limit else []
    with tempfile.TemporaryDirectory() as folder, uneven.served(options.events, options.latency, *faults) as api:
        cost, total = trailkeep(api, Path(folder) / "data", options.concurrency)
        asked = uneven.asked(api)
    assert total["new"] == options.events, total
    fewest = -(-options.events // 100)
    print(
        f"{options.events} events in {cost.seconds:.1f} s ({cost.processor_seconds:.1f} s of processor,"
        f" {cost.peak_mb:.0f} MB): {options.events / cost.seconds:.0f} events/s"
    )
    print(
        f"{total['pages']} pages, {total['pages'] / fewest:.2f} of the fewest possible; {asked['connections']}"
        f" connections; {asked['refused']} of {asked['requests']} requests refused"
        f" ({asked['refused'] / asked['requests']:.1%})"
    )
    print(f"{asked['answered'] / asked['seconds']:.1f} requests/s answered between the first and the last", end="")
    print(f", {asked['answered'] / asked['seconds'] / options.limit:.2f} of the limit" if options.limit else "")


if __name__ == "__main__":
    main()
