"""The archive as SQL sees it: a locked, read-only connection with views and macros."""

from trailkeep.catalog.chosen import EXTRA, Needs
from trailkeep.catalog.connection import Asked, Catalog, Limits, connect, open_catalog

__all__ = ["EXTRA", "Asked", "Catalog", "Limits", "Needs", "connect", "open_catalog"]
