"""What all tests share."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings

EXAMPLES = int(os.environ.get("TRAILKEEP_EXAMPLES", "10"))
"""How many examples a property is tried with; `make soak` tries a thousand."""

# A loaded machine is no reason for a test to fail.
settings.register_profile("steady", deadline=None, max_examples=EXAMPLES)
settings.load_profile("steady")

MEMORY = Path("/dev/shm")
NEEDED_BYTES = 4 << 30
"""Many times what the tests ever hold there at once."""


def in_memory(place: Path) -> bool:
    """Whether temporary files can lie in `place`: the tests make tens of thousands, and sync most of them."""
    try:
        told = os.statvfs(place)
    except OSError:
        return False
    roomy = told.f_bavail * told.f_frsize >= NEEDED_BYTES
    return roomy and not told.f_flag & os.ST_NOEXEC and os.access(place, os.W_OK | os.X_OK)


def lives(process: str) -> bool:
    """Whether there is a process of this number."""
    return Path("/proc", process).exists()


# Whoever says where, is heeded; the workers of a run are told by the process that starts them.
if "TMPDIR" not in os.environ and in_memory(MEMORY):
    for left in MEMORY.glob("tk-*-*"):
        if not lives(left.name.split("-")[1]):
            shutil.rmtree(left, ignore_errors=True)  # of a run that was killed
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix=f"tk-{os.getpid()}-", dir=MEMORY)
    atexit.register(shutil.rmtree, os.environ["TMPDIR"], ignore_errors=True)

# What queries remember belongs to this run alone, and goes with it.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="trailkeep-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def pytest_collection_finish() -> None:
    """What is there when the tests begin stays to the end: no need to look through it for garbage again and again.

    For what comes, the collector looks as seldom as it does in the program.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, *gc.get_threshold()[1:])


def pytest_unconfigure() -> None:
    """At the end all of it goes again: what the engine's bindings find left, they complain of."""
    gc.unfreeze()
