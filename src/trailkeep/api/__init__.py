"""Scaleway's API: pages of events with their bytes untouched, other resources as JSON, every failure by its name."""

from trailkeep.api.client import PAGE_SIZE, Client, Page
from trailkeep.api.listing import Listing
from trailkeep.api.pacer import Pacer, Stopped

__all__ = ["PAGE_SIZE", "Client", "Listing", "Pacer", "Page", "Stopped"]
