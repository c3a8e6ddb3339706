"""The archive as SQL sees it: a locked, read-only connection with views and macros."""

from trailkeep.catalog.connection import Catalog, Limits, open_catalog

__all__ = ["Catalog", "Limits", "open_catalog"]
