"""Settings and credentials, from flags, environment, trailkeep.toml and the scw CLI's config file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.config.declared import SETTINGS, Setting
from trailkeep.config.load import load_settings
from trailkeep.config.secret import Secret
from trailkeep.config.settings import Credentials, Settings

if TYPE_CHECKING:
    from trailkeep.config.receivers import Receiver, ReceiverType, syslog_place

__all__ = [
    "SETTINGS",
    "Credentials",
    "Receiver",
    "ReceiverType",
    "Secret",
    "Setting",
    "Settings",
    "load_settings",
    "syslog_place",
]

_OF_RECEIVERS = frozenset({"Receiver", "ReceiverType", "syslog_place"})
"""What only those ask for who tell of findings: it takes a quarter of the package's time to load."""


def __getattr__(name: str) -> object:
    """Load what there is to know of receivers when it is first asked for."""
    if name not in _OF_RECEIVERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from trailkeep.config import receivers

    value: object = getattr(receivers, name)
    globals()[name] = value
    return value
