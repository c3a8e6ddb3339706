"""Trailkeep keeps a Scaleway Organization's Audit Trail for years and answers forensic questions over it."""

from __future__ import annotations

# Importing typing would take longer than all else before the command line hears Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from trailkeep.catalog import Limits
    from trailkeep.errors import TrailkeepError
    from trailkeep.reading import Answer, Archive, CoverageWarning

__all__ = ["Answer", "Archive", "CoverageWarning", "Limits", "TrailkeepError", "__version__"]

__version__ = "0.1.0"

_PLACES = {
    "Answer": "trailkeep.reading",
    "Archive": "trailkeep.reading",
    "CoverageWarning": "trailkeep.reading",
    "Limits": "trailkeep.catalog",
    "TrailkeepError": "trailkeep.errors",
}
"""Where each public name is defined: `import trailkeep` alone loads none of them, nor what they need."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
