"""Findings as syslog messages (RFC 5424), over a socket of this machine, UDP or TCP."""

from __future__ import annotations

import errno
import json
import os
import socket
from typing import TYPE_CHECKING

from trailkeep.config import syslog_place
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from trailkeep.notifying.bodies import Finding

_TIMEOUT_SECONDS = 10.0
_FACILITY = 10
"""authpriv: messages about security."""
_LEVELS = {"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}
_FACTS = (
    "finding_id", "detection", "severity", "title", "summary", "actor_id", "actor_name", "first_seen", "last_seen",
    "count", "source_ips", "attack",
)  # fmt: skip
_LONGEST = 8000
"""Bytes of one message: receivers take 2,048 at least and mostly 8,192."""


def send_messages(address: str, findings: Sequence[Finding], now: datetime) -> None:
    """Send one message for each finding. Raises OSError.

    Over UDP and a datagram socket nobody says whether a message arrived; over TCP the operating system took it.
    """
    messages = [message(finding, now) for finding in findings]
    if address.startswith("/"):
        _send_here(address, messages)
        return
    host, port = syslog_place(address)
    if address.startswith("tcp:"):
        with socket.create_connection((host, port), _TIMEOUT_SECONDS) as sender:
            # RFC 6587: each message behind its length, since one may hold line feeds.
            sender.sendall(b"".join(b"%d %s" % (len(each), each) for each in messages))
        return
    family, kind, protocol, _name, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as sender:
        sender.settimeout(_TIMEOUT_SECONDS)
        for each in messages:
            sender.sendto(each, place)


def _send_here(address: str, messages: Sequence[bytes]) -> None:
    """Over a socket of this machine, which takes datagrams nearly everywhere, and else a stream."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(_TIMEOUT_SECONDS)
        try:
            sender.connect(address)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
        else:
            for each in messages:
                sender.send(each)
            return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(_TIMEOUT_SECONDS)
        stream.connect(address)
        stream.sendall(b"".join(each + b"\n" for each in messages))


def message(finding: Finding, now: datetime) -> bytes:
    """One message; its text is JSON with the finding's facts, all of ASCII."""
    level = _LEVELS.get(str(finding.get("severity")), 6)
    facts = {name: finding[name] for name in _FACTS if finding.get(name) is not None}
    while len(text := json.dumps(facts).encode()) > _LONGEST:
        # The longest goes: the finding itself is in the archive, under its id.
        del facts[max(facts.keys() - {"finding_id"}, key=lambda name: len(json.dumps(facts[name])))]
    host = socket.gethostname().encode("ascii", "replace").replace(b" ", b"-")[:255] or b"-"
    head = b"<%d>1 %s %s trailkeep %d finding - " % (
        _FACILITY * 8 + level,
        format_time(now).encode(),
        host,
        os.getpid(),
    )
    return head + text
