"""Whether an archive is what its ledger says: every hash, length and name recomputed, and in depth every row."""

from trailkeep.verify.result import Kind, Problem, Signed, Verification
from trailkeep.verify.run import ExpectedHead, Listener, verify_archive

__all__ = ["ExpectedHead", "Kind", "Listener", "Problem", "Signed", "Verification", "verify_archive"]
