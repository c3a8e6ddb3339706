"""Delivering findings to one receiver, in batches, until all are taken or it is given up for now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.config import ReceiverType
from trailkeep.errors import RemoteError
from trailkeep.notifying import bodies
from trailkeep.notifying.files import add_lines
from trailkeep.notifying.syslog import send_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from trailkeep.config import Receiver
    from trailkeep.notifying.bodies import Finding

_BATCH = {ReceiverType.WEBHOOK: 100, ReceiverType.SLACK: 10, ReceiverType.FILE: 1000, ReceiverType.SYSLOG: 50}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What came of one receiver."""

    receiver: str
    delivered: tuple[str, ...]
    """The ids of the findings that it took."""
    waiting: tuple[str, ...]
    """Those that it did not: they are for the next time."""
    problem: str | None = None
    """Why not, without anything secret; None where nothing waits."""


def deliver(
    receiver: Receiver,
    findings: Sequence[Finding],
    *,
    archive_id: str,
    environ: Mapping[str, str],
    clock: Callable[[], datetime],
    taken: Callable[[list[str]], None],
    sleep: Callable[[float], None],
) -> Delivery:
    """Send `findings`, oldest first, and call `taken` with the ids of each batch as soon as it is taken.

    Between a receiver's answer and the end of `taken` a crash leaves the batch to be sent again: a webhook can tell
    by the header ``Idempotency-Key``, and a file is looked through first. Raises ConfigError for a URL or a token that
    is not there; everything that goes wrong outside is in the answer.
    """
    size = _BATCH[receiver.type]
    batches = [findings[start : start + size] for start in range(0, len(findings), size)]
    send = _sender(receiver, archive_id, environ, clock, sleep)
    delivered: list[str] = []
    for index, batch in enumerate(batches):
        try:
            send(batch)
        except (OSError, RemoteError) as error:
            reason = error.message if isinstance(error, RemoteError) else error.strerror or type(error).__name__
            waiting = [finding["finding_id"] for later in batches[index:] for finding in later]
            return Delivery(
                receiver=receiver.name, delivered=tuple(delivered), waiting=tuple(waiting), problem=str(reason)
            )
        ids = [finding["finding_id"] for finding in batch]
        taken(ids)
        delivered += ids
    return Delivery(receiver=receiver.name, delivered=tuple(delivered), waiting=())


def _sender(
    receiver: Receiver,
    archive_id: str,
    environ: Mapping[str, str],
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Callable[[Sequence[Finding]], None]:
    if receiver.type is ReceiverType.FILE and receiver.path is not None:
        path = receiver.path
        return lambda batch: add_lines(path, batch)
    if receiver.type is ReceiverType.SYSLOG and receiver.address is not None:
        address = receiver.address
        return lambda batch: send_messages(address, batch, clock())
    from trailkeep.notifying.webhook import post

    url, token = receiver.secret_url(environ), receiver.token(environ)

    def send(batch: Sequence[Finding]) -> None:
        body = bodies.slack(batch) if receiver.type is ReceiverType.SLACK else bodies.webhook(archive_id, batch)
        post(url, body, key=bodies.idempotency_key(batch), token=token, clock=clock, sleep=sleep)

    return send
