"""Settings and credentials, from flags, environment, trailkeep.toml and the scw CLI's config file."""

from __future__ import annotations

from trailkeep.config.declared import SETTINGS, Setting
from trailkeep.config.load import load_settings
from trailkeep.config.receivers import Receiver, ReceiverType, syslog_place
from trailkeep.config.secret import Secret
from trailkeep.config.settings import Credentials, Settings

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
