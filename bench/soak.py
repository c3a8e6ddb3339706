"""Long forms of the tests of what must survive a crash: thousands of kills, and every pair of crash points."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from killing import Killing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many syncs to kill")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the story and of the moments")
    parser.add_argument("--folder", type=Path, default=None, help="where the archives are made; default: the system's")
    arguments = parser.parse_args()
    folder = Path(mkdtemp(prefix="soak-", dir=arguments.folder))
    print(f"seed {arguments.seed}, in {folder}", flush=True)
    began = time.monotonic()
    # What went wrong stays to be looked at: the folder is removed only when all is well.
    with Killing(folder, seed=arguments.seed) as killing:
        for upto in range(100, arguments.kills + 100, 100):
            tally = killing.kill(min(upto, arguments.kills))
            print(f"{time.monotonic() - began:7.1f} s  {asdict(tally)}", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
