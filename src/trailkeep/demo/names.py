"""The names of the incidents that the demo Organization can have, apart from what tells them, which is heavy."""

INCIDENTS = (
    "one-night",
    "leaked-ci-key",
    "stuffing-takeover",
    "insider-deletion",
    "export-and-wipe",
    "mining",
    "kubernetes-acl-token",
    "federation-backdoor",
    "stolen-session",
    "trusted-application",
    "log-tampering-first",
    "responder-lock-out",
    "slow-persistence",
)
"""The one of the tour first."""
NO_INCIDENT = "none"
"""A company at its ordinary work."""
