"""Reading streams into the archive: what to read, windows read side by side, and commits of what is proven."""

from trailkeep.sync.plan import Request, StreamPlan, plan_stream
from trailkeep.sync.report import Report, StreamReport
from trailkeep.sync.run import Run, run_sync

__all__ = ["Report", "Request", "Run", "StreamPlan", "StreamReport", "plan_stream", "run_sync"]
