"""Telling receivers of findings: a webhook, Slack, a file, syslog; each retried, and said where it failed."""

from trailkeep.notifying.deliver import Delivery, deliver

__all__ = ["Delivery", "deliver"]
