"""Scaleway's API: pages of events with their bytes untouched, other resources as JSON, every failure by its name."""

from trailkeep.api.client import Client, Page
from trailkeep.api.pacer import Pacer, Stopped

__all__ = ["Client", "Pacer", "Page", "Stopped"]
