"""The command line: one module per command group, and one place each for stdout, stderr and exit codes."""

from __future__ import annotations

# Each module registers its commands on `app.app`; none of them imports anything heavy before a command runs.
from trailkeep.cli import config as _config  # noqa: F401
from trailkeep.cli import demo as _demo  # noqa: F401
from trailkeep.cli import emulator as _emulator  # noqa: F401
from trailkeep.cli import products as _products  # noqa: F401
from trailkeep.cli import purge as _purge  # noqa: F401
from trailkeep.cli import queries as _queries  # noqa: F401
from trailkeep.cli import query as _query  # noqa: F401
from trailkeep.cli import repair as _repair  # noqa: F401
from trailkeep.cli import sign as _sign  # noqa: F401
from trailkeep.cli import status as _status  # noqa: F401
from trailkeep.cli import sync as _sync  # noqa: F401
from trailkeep.cli import verify as _verify  # noqa: F401
from trailkeep.cli.app import main

__all__ = ["main"]
