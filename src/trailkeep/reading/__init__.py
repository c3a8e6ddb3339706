"""The Python API: an archive as an analyst's program or notebook reads it."""

from trailkeep.reading.answer import Answer
from trailkeep.reading.archive import Archive
from trailkeep.reading.warned import CoverageWarning

__all__ = ["Answer", "Archive", "CoverageWarning"]
