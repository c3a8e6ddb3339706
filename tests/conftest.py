"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# A loaded machine is no reason for a test to fail.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")
