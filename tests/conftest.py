"""What all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

EXAMPLES = int(os.environ.get("TRAILKEEP_EXAMPLES", "15"))
"""How many examples a property is tried with; `make soak` tries a thousand."""

# A loaded machine is no reason for a test to fail.
settings.register_profile("steady", deadline=None, max_examples=EXAMPLES)
settings.load_profile("steady")

# What queries remember belongs to this run alone, and goes with it.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="trailkeep-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
