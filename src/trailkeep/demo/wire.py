"""What an application asks of the server that cannot be said in WSGI: resets, cut bodies, slow bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WIRE = "trailkeep.demo.wire"
"""The environ key under which `serve` offers a `Wire` to the application."""


@dataclass(slots=True)
class Wire:
    """How the bytes of one answer leave; the application fills it in before it returns its body."""

    reset_after_bytes: int | None = None
    """Reset the connection after this many bytes of the body; 0 sends not even the headers."""
    cut: Literal["length", "chunked"] | None = None
    """Close in the middle of the body: short of its Content-Length, or without the last chunk."""
    slow_seconds: float = 0.0
    """Spread the body over this long."""


class WireFault(ConnectionResetError):
    """A reset or a cut body where no `Wire` is offered: plain WSGI can only fail as a whole."""
