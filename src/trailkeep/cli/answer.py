"""A question answered as `trailkeep query` was asked to: with a record of it, or as one says."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from trailkeep.cli import diagnostics, output
from trailkeep.cli.state import limits_of, now, stop_of
from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from trailkeep.analysis import Question
    from trailkeep.cli.running import Delivered, Delivery
    from trailkeep.config import Settings


def answer(
    question: Question,
    moment: datetime,
    delivery: Delivery,
    settings: Settings,
    *,
    record: Path | None,
    file: Path | None,
) -> Delivered:
    """Run the question, write its result, and the record of it when that is durable."""
    from trailkeep.cli.results import target
    from trailkeep.cli.running import deliver
    from trailkeep.store import Archive

    archive = Archive.open(settings.archive)
    stop = stop_of(settings)
    written = {"--output": delivery.output_file, "--record": record, "--file": file}
    for (option, one), (other_option, other) in combinations(written.items(), 2):
        if one is not None and other is not None and target.same_file(one, other):
            raise UsageError(f"{option} and {other_option} name the same file, {one}", hint="Name two files.")
    if record is not None:
        target.check(record, archive.path, "--record")
    delivered = deliver(archive, question, moment, delivery, stop)
    if record is None:
        return delivered
    if not delivered.whole:
        diagnostics.warn(f"{record} was not written: whoever reads stdout did not take the whole result")
        return delivered

    from trailkeep.cli.record import record_of, write_record

    assert delivery.limits is not None
    write_record(
        record,
        record_of(
            question,
            archive,
            delivery,
            delivered,
            limits=delivery.limits,
            timeout_seconds=stop.timeout_seconds,
            started_at=moment,
            finished_at=now(),
        ),
    )
    return delivered


def run_again(file: Path, output_file: Path | None, settings: Settings, *, sealed: bool) -> None:
    """Run a recorded query again, and say whether the result is the same."""
    from trailkeep.cli.record import read_record
    from trailkeep.cli.replay import replay
    from trailkeep.cli.results import target
    from trailkeep.store import Archive

    record = read_record(file)
    if output_file is not None and target.same_file(file, output_file):
        raise UsageError(f"--output names the record itself, {file}", hint="Name another file.")
    replayed = replay(
        Archive.open(settings.archive),
        record,
        output_file,
        limits=limits_of(settings, sealed=sealed or record.limits.sealed),
        stop=stop_of(settings),
    )
    rows = f"{replayed.delivered.rows:,} row{'' if replayed.delivered.rows == 1 else 's'}"
    output.write_text(f"the result is the same: {rows}, SHA-256 {replayed.delivered.sha256}")
    if replayed.head_now != replayed.recorded_head:
        how = (
            "it was read as it was then"
            if replayed.as_of_head
            else "files of that time are gone: it was read as it is now"
        )
        diagnostics.say(
            f"the archive has grown from entry {replayed.recorded_head} to {replayed.head_now} since; {how}"
        )
