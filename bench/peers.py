"""Beside what a user would pick instead: fetching from the same emulator, keeping, and finding a call again.

Fetched by Trailkeep, the official SDK's loop and dlt's REST source; the same events kept and asked in Trailkeep's
archive, dlt's Parquet, NDJSON and daily Parquet by DuckDB, and SQLite with indexes by sqlite-utils.

Run as ``python bench/peers.py [--events N] [--rounds N] [--environment DIR]``. It makes a virtual environment of the
peers from PyPI, where none is in DIR, and prints their versions: none of them is a dependency of Trailkeep.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import sync
import uneven

PEERS = ("scaleway", "dlt[parquet]", "duckdb", "sqlite-utils")
NEEDLES = {
    "address": "source_ip",
    "principal": "principal_id",
    "request": "request_id",
    "resource": "resource_ids",
}
"""What is looked for, and the column of `api_events` that has it."""
ROUNDS_OF_A_NEEDLE = 9
DLT, SDK, OURS = "dlt, REST source to Parquet", "official SDK, loop to NDJSON", "trailkeep sync"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What one way of fetching all events took."""

    name: str
    events: int
    seconds: float
    processor_seconds: float
    peak_mb: float
    disk_bytes: int

    @property
    def rate(self) -> float:
        """Events a second, from the start of the process to its end."""
        return self.events / self.seconds


def environment(folder: Path) -> Path:
    """The interpreter of an environment with the peers, made from PyPI where there is none in `folder`."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


def versions(python: Path) -> dict[str, str]:
    """The version of every peer in an environment."""
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True
    )
    installed = {each["name"].lower(): each["version"] for each in json.loads(listed.stdout)}
    return {name: installed[name] for name in (peer.partition("[")[0] for peer in PEERS)}


def fetch_with_peer(python: Path, peer: str, api: uneven.Api, folder: Path) -> Fetched:
    """Fetch all events with a peer (``sdk`` or ``dlt``) into `folder`."""
    folder.mkdir(parents=True)
    since, until = uneven.NOW - uneven.KEPT, uneven.NOW
    script = Path(__file__).with_name("peer_sync.py")
    command = [str(python), str(script), peer, api.url, api.organization_id, api.access_key, api.secret_key]
    cost = sync.measured([*command, since.isoformat(), until.isoformat(), str(folder)], {})
    events = json.loads(cost.output.splitlines()[-1])["events"]
    kept = folder / ("events.ndjson" if peer == "sdk" else "lake")
    return _fetched({"sdk": SDK, "dlt": DLT}[peer], events, cost, kept)


def fetch_with_trailkeep(api: uneven.Api, folder: Path, concurrency: int) -> Fetched:
    """Fetch all events with `trailkeep sync` into a new archive in `folder`."""
    cost, total = sync.trailkeep(api, folder, concurrency)
    return _fetched(f"{OURS}, {concurrency} connections", total["new"], cost, folder)


def _fetched(name: str, events: int, cost: sync.Cost, kept: Path) -> Fetched:
    files = [kept] if kept.is_file() else [path for path in kept.rglob("*") if path.is_file()]
    return Fetched(
        name=name,
        events=events,
        seconds=cost.seconds,
        processor_seconds=cost.processor_seconds,
        peak_mb=cost.peak_mb,
        disk_bytes=sum(path.stat().st_size for path in files),
    )


def compare_syncs(python: Path, *, events: int, latency_seconds: float, concurrency: int, rounds: int) -> list[Fetched]:
    """The best of some rounds of each way to fetch, by turns, so that a busy machine slows all."""
    best: dict[str, Fetched] = {}
    for number in range(rounds):
        with (
            tempfile.TemporaryDirectory() as scratch,
            uneven.served(events, latency_seconds) as api,
        ):
            folder = Path(scratch) / str(number)
            for fetched in (
                fetch_with_trailkeep(api, folder / "trailkeep", concurrency),
                fetch_with_peer(python, "sdk", api, folder / "sdk"),
                fetch_with_peer(python, "dlt", api, folder / "dlt"),
            ):
                if fetched.events != events:
                    raise SystemExit(f"{fetched.name} fetched {fetched.events} of {events} events")
                if fetched.name not in best or fetched.seconds < best[fetched.name].seconds:
                    best[fetched.name] = fetched
    return list(best.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one way of keeping calls takes, and how quickly it finds some of them."""

    name: str
    build_seconds: float | None
    """None where fetching has already built it."""
    disk_bytes: int
    peak_mb: float
    """While it answers."""
    milliseconds: dict[str, float]
    rows: dict[str, int]


def needles_in(events: list[bytes]) -> dict[str, str]:
    """Values of which there are few: what an investigator looks for is rare."""
    decoded = [json.loads(raw) for raw in events]
    middle = decoded[len(decoded) // 2]
    addresses = Counter(each.get("source_ip") for each in decoded)
    principals = Counter((each.get("principal") or {}).get("id") for each in decoded)
    resources = Counter(each["id"] for one in decoded for each in one.get("resources") or ())
    return {
        "address": _rare(addresses),
        "principal": _rare(principals),
        "request": middle["request_id"],
        "resource": _rare(resources),
    }


def _rare(counted: Counter[str | None]) -> str:
    """The rarest value of which there are some; of equals the first by the alphabet."""
    _count, value = min((count, value) for value, count in counted.items() if value and count > 1)
    return value


def compare_stores(python: Path, *, events: int) -> list[Kept]:
    """Every way of keeping the same calls, asked for the same values; Trailkeep first."""
    calls = [raw for (kind, _region), rows in uneven.events(events).items() if kind == "api" for _at, raw in rows]
    needles = needles_in(calls)
    with tempfile.TemporaryDirectory() as scratch, uneven.served(events, 0.0) as api:
        folder = Path(scratch)
        ndjson = folder / "events.ndjson"
        ndjson.write_bytes(b"".join(raw + b"\n" for raw in calls))
        fetch_with_trailkeep(api, folder / "trailkeep", 16)
        fetch_with_peer(python, "dlt", api, folder / "dlt")
        kept = [_of_trailkeep(folder / "trailkeep", needles)]
        kept.append(_of_peer(python, "dlt", DLT, folder / "dlt" / "lake", needles, None))
        for store, name in (
            ("daily-parquet", "DuckDB over daily Parquet"),
            ("ndjson", "DuckDB over NDJSON"),
            ("sqlite", "sqlite-utils with indexes"),
        ):
            built = _peer_store(python, "build", store, str(ndjson), str(folder / store))
            kept.append(_of_peer(python, store, name, folder / store, needles, built["seconds"]))
    for each in kept[1:]:
        if each.rows != kept[0].rows:
            raise SystemExit(f"{each.name} found {each.rows}, and Trailkeep {kept[0].rows}")
    return kept


def _peer_store(python: Path, *arguments: str) -> dict[str, Any]:
    command = [str(python), str(Path(__file__).with_name("peer_stores.py")), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _of_peer(
    python: Path, store: str, name: str, place: Path, needles: dict[str, str], build_seconds: float | None
) -> Kept:
    told = _peer_store(python, "ask", store, str(place), *(f"{what}={value}" for what, value in needles.items()))
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return Kept(
        name=name,
        build_seconds=build_seconds,
        disk_bytes=sum(path.stat().st_size for path in files),
        peak_mb=told["peak_mib"],
        milliseconds={what: told[what]["milliseconds"] for what in needles},
        rows={what: told[what]["rows"] for what in needles},
    )


def _of_trailkeep(place: Path, needles: dict[str, str]) -> Kept:
    """Asked in a process of its own, so that its memory can be told apart."""
    command = [sys.executable, __file__, "--ask", str(place), json.dumps(needles)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    files = [path for path in place.rglob("*") if path.is_file()]
    return Kept(
        name="Trailkeep, Python API",
        build_seconds=None,
        disk_bytes=sum(path.stat().st_size for path in files),
        peak_mb=told["peak_mb"],
        milliseconds=told["milliseconds"],
        rows=told["rows"],
    )


def ask(place: Path, needles: dict[str, str]) -> None:
    """Ask an archive, and say what it took."""
    from trailkeep import Archive

    milliseconds, rows = {}, {}
    with Archive(place, now=uneven.NOW) as archive:
        for what, value in needles.items():
            column = NEEDLES[what]
            found = "list_contains(resource_ids(resources), $value)" if what == "resource" else f"{column} = $value"
            seconds = []
            for _ in range(ROUNDS_OF_A_NEEDLE):
                began = time.perf_counter()
                rows[what] = archive.sql(f"SELECT * FROM api_events WHERE {found}", {"value": value}).arrow().num_rows
                seconds.append(time.perf_counter() - began)
            milliseconds[what] = 1000 * statistics.median(seconds)
    # `ru_maxrss` would count what the process that started this one had at that moment.
    (peak,) = (int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(json.dumps({"milliseconds": milliseconds, "rows": rows, "peak_mb": peak / 1024}))


def print_stores(kept: list[Kept], events: int) -> None:
    """One line for each way of keeping, in milliseconds a needle."""
    print(
        f"{'':32}"
        + "".join(f"{what + ' ms':>13}" for what in NEEDLES)
        + f"{'bytes/event':>13}{'peak MB':>9}{'built s':>9}"
    )
    for each in kept:
        times = "".join(f"{each.milliseconds[what]:13.1f}" for what in NEEDLES)
        built = "" if each.build_seconds is None else f"{each.build_seconds:.1f}"
        print(f"{each.name:32}{times}{each.disk_bytes / events:13.0f}{each.peak_mb:9.0f}{built:>9}")
    print("rows of each: " + ", ".join(f"{what} {count}" for what, count in kept[0].rows.items()))


def print_syncs(found: list[Fetched]) -> None:
    """One line for each way to fetch, with its time over that of the first."""
    ours = found[0]
    print(f"{'':40} {'events/s':>9} {'times':>6} {'seconds':>8} {'processor':>9} {'peak MB':>8} {'bytes/event':>11}")
    for each in found:
        print(
            f"{each.name:40} {each.rate:9.0f} {ours.rate / each.rate:6.1f} {each.seconds:8.1f}"
            f" {each.processor_seconds:9.1f} {each.peak_mb:8.0f} {each.disk_bytes / each.events:11.0f}"
        )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--environment", type=Path, default=Path(".bench/peers"))
    parser.add_argument("--only", choices=["fetch", "ask"])
    parser.add_argument("--ask", nargs=2, metavar=("ARCHIVE", "NEEDLES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        ask(Path(options.ask[0]), json.loads(options.ask[1]))
        return
    python = environment(options.environment)
    print(", ".join(f"{name} {version}" for name, version in versions(python).items()))
    if options.only != "ask":
        print_syncs(
            compare_syncs(
                python,
                events=options.events,
                latency_seconds=options.latency,
                concurrency=options.concurrency,
                rounds=options.rounds,
            )
        )
    if options.only != "fetch":
        print_stores(compare_stores(python, events=options.events), options.events)


if __name__ == "__main__":
    main()
