"""What all detections cost over ten million events: time and peak memory, rows read once and a scan for each."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from names import NOW, build
from trailkeep.catalog import Limits
from trailkeep.detections.choosing import Choice, choose, read_pack
from trailkeep.detections.detecting import detect
from trailkeep.detections.run import RunStop
from trailkeep.queries import discover, query_folders
from trailkeep.store import Archive

SPANS = {"a day": timedelta(days=1), "90 days": timedelta(days=90), "everything": timedelta(days=366)}


class Steps:
    """Notes when each step begins."""

    def __init__(self) -> None:
        self.began: list[tuple[str, float]] = []

    def begin(self, step: str, total: int) -> None:
        self.began.append((step, time.perf_counter()))

    def advance(self, count: int) -> None:
        pass


def peak_mib() -> int:
    """The most memory that this process has had, in MiB; Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


def one(place: Path, span: str, *, share: bool, memory: str, only: list[str]) -> None:
    """One run, told on stdout."""
    archive = Archive.open(place)
    pack = read_pack(discover(query_folders((), directory=Path("/nonexistent"))), {})
    chosen, _broken = choose(pack, Choice(only=tuple(only)))
    steps = Steps()
    began = time.perf_counter()
    # The newest event is shortly before January.
    until = datetime(2025, 10, 27, tzinfo=UTC)
    found = detect(
        archive,
        chosen,
        pack,
        since=until - SPANS[span],
        until=until,
        now=NOW,
        limits=Limits(memory=memory),
        stop=RunStop(),
        listener=steps,
        share=share,
    )
    ended = time.perf_counter()
    assert found is not None
    marks = [*steps.began, ("", ended)]
    told = ", ".join(f"{step} {after - at:.1f} s" for (step, at), (_next, after) in pairwise(marks))
    how = "read once " if share else "a scan each"
    failed = [f"{each.detection.name}: {each.error.message[:200]}" for each in found.run.outcomes if each.error]
    print(
        f"{span:11} {how}: {ended - began:7.1f} s ({told}), peak {peak_mib()} MiB,"
        f" {sum(sum(each.counts.values()) for each in found.run.outcomes)} findings of {len(chosen)} detections"
    )
    for line in failed:
        print(f"  failed: {line}")


def main() -> None:
    """Build, then run each way in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--actors", type=int, default=500)
    parser.add_argument("--memory", default="1GiB")
    parser.add_argument("--only", action="append", default=[], help="only these detections")
    parser.add_argument("--span", action="append", choices=SPANS, help="only these spans")
    parser.add_argument("--shared-only", action="store_true", help="not a scan each")
    parser.add_argument("--keep", type=Path, help="a folder to build in, and to use again")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        one(given.keep, given.run[0], share=given.run[1] == "shared", memory=given.memory, only=given.only)
        return
    folder = given.keep or Path(tempfile.mkdtemp(prefix="trailkeep-detections-"))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    try:
        place = folder / "archive"
        if not place.exists():
            build(place, given.events, given.actors)
        print(f"{given.events} events, {given.actors} actors, memory limit {given.memory}", flush=True)
        for span in given.span or SPANS:
            for how in ["shared"] if given.shared_only else ["shared", "alone"]:
                more = [each for name in given.only for each in ("--only", name)]
                command = [sys.executable, __file__, "--keep", str(place), "--memory", given.memory]
                subprocess.run([*command, "--run", span, how, *more], check=True)
    finally:
        if given.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
