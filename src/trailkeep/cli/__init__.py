"""The command line: one module per command group, and one place each for stdout, stderr and exit codes."""

from __future__ import annotations

from trailkeep.cli.app import main

__all__ = ["main"]
