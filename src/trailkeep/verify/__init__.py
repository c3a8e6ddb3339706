"""Whether an archive is what its ledger says: every hash, length and name recomputed, and in depth every row."""

from trailkeep.verify.result import Kind, Problem, Signed, Verification
from trailkeep.verify.run import Listener, open_span, parse_head, verify_archive

__all__ = ["Kind", "Listener", "Problem", "Signed", "Verification", "open_span", "parse_head", "verify_archive"]
