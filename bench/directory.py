"""Memory and time of a first and of an unchanged snapshot of a large directory: 5,000 principals and 20,000 keys."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from datetime import UTC, datetime

from demo_archive import reaching
from directories import api_key, record, user
from trailkeep.demo.emulator import Emulator
from trailkeep.demo.serve import serve


def measured(folder: Path, *arguments: str, **settings: str) -> tuple[float, float]:
    """Seconds and MB at the peak of one command, as a process of its own."""
    code = (
        "import resource, sys\n"
        "from trailkeep.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=settings, capture_output=True, text=True, check=True
    )
    peak = int(done.stderr.rsplit("PEAK", 1)[1].split()[0]) / 1024
    print(json.dumps(json.loads(done.stdout)["total"]))
    return time.monotonic() - began, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--applications", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--policies", type=int, default=300)
    arguments = parser.parse_args()
    emulator = Emulator(clock=lambda: datetime.now(UTC))
    directory = emulator.directory
    directory.users = [user(f"user-{number}") for number in range(arguments.users)]
    directory.applications = [record(f"app-{number}", nb_api_keys=4) for number in range(arguments.applications)]
    directory.api_keys = [api_key(number, f"user-{number % 4000}") for number in range(arguments.keys)]
    directory.policies = [record(f"policy-{number}", nb_rules=1) for number in range(arguments.policies)]
    directory.rules = {
        each["id"]: [{"id": each["id"], "permission_set_names": ["A", "B"]}] for each in directory.policies
    }
    with TemporaryDirectory() as folder, serve(emulator) as served:
        settings = reaching(served, emulator.organization_id) | {"HOME": folder}
        for name in ("first", "unchanged"):
            seconds, peak = measured(Path(folder), "directory", "sync", "--format", "json", **settings)
            print(f"{name}: {seconds:.1f} s, {peak:.0f} MB at the peak")
        directory.users = [each | {"mfa": False} for each in directory.users]
        directory.api_keys = directory.api_keys[1:]
        seconds, peak = measured(Path(folder), "directory", "sync", "--format", "json", **settings)
        print(f"all users changed, one key gone: {seconds:.1f} s, {peak:.0f} MB at the peak")
    print(f"(the emulator and this script: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB)")


if __name__ == "__main__":
    main()
