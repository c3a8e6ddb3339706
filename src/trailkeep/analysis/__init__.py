"""One query, run on an archive, as a stream of Arrow record batches."""

from trailkeep.analysis.question import Question
from trailkeep.analysis.result import Result, open_result
from trailkeep.analysis.stop import Stop

__all__ = ["Question", "Result", "Stop", "open_result"]
