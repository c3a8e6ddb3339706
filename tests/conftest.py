"""What all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

# A loaded machine is no reason for a test to fail.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

# What queries remember belongs to this run alone, and goes with it.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="trailkeep-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
