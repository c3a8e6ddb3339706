"""What the shell does with one statement or dot command, whoever typed it and wherever."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from trailkeep.cli import diagnostics, output
from trailkeep.cli.query import TABLE_ROWS
from trailkeep.cli.results import BINARY, SUFFIXES, ResultFormat
from trailkeep.cli.running import Delivery, deliver, say_blind_spots, say_missing
from trailkeep.cli.shell import actions
from trailkeep.cli.shell.dots import parse_dot
from trailkeep.cli.shell.saved import SavedQueries
from trailkeep.cli.shell.told import Told
from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from trailkeep.analysis import Question
    from trailkeep.catalog import Limits
    from trailkeep.cli.running import Delivered
    from trailkeep.cli.shell.options import Options
    from trailkeep.cli.shell.splitting import Piece


class Session:
    """One shell on one archive; nothing of the archive is kept between two statements, so each sees the newest head."""

    def __init__(
        self,
        *,
        archive: Path,
        queries: SavedQueries,
        options: Options,
        now: Callable[[], datetime],
        limits: Limits | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        self.archive = archive
        self.queries = queries
        self.options = options
        self.now = now
        self.over = False
        """Whether the user has asked to leave."""
        self._limits = limits
        self._timeout_seconds = timeout_seconds
        self._told = Told()

    def execute(self, piece: Piece) -> None:
        """Do what `piece` says. Raises TrailkeepError; Interrupted where a query was stopped."""
        if piece.is_dot:
            called = parse_dot(piece.text)
            actions.ACTIONS[called.command.name](self, called)
        else:
            self._run_sql(piece.text)

    def ask(self, question: Question) -> None:
        """Run `question` and write its result as the options say."""
        from trailkeep.analysis import Stop
        from trailkeep.store import Archive

        options = self.options
        target = options.once
        form = SUFFIXES.get(target.suffix.lower(), options.form) if target else options.form
        if form in BINARY and target is None and output.stdout_is_terminal():
            raise UsageError(f"{BINARY[form]} is not for a terminal", hint="Write .once FILE before the statement.")
        began = time.monotonic()
        delivered = deliver(
            Archive.open(self.archive),
            question,
            self.now(),
            Delivery(
                form=form,
                output_file=target,
                limit=options.limit or (TABLE_ROWS if form is ResultFormat.TABLE else None),
                asked_limit=options.limit is not None,
                vertical=options.vertical,
                full=options.full,
                talk=False,
                names=not options.ids,
                limits=self._limits,
            ),
            stop=Stop(timeout_seconds=self._timeout_seconds),
        )
        if not delivered.whole:
            self.over = True  # nobody reads stdout any more
            return
        options.once = None
        self._say(question, delivered, form, target, time.monotonic() - began)

    def _run_sql(self, sql: str) -> None:
        from trailkeep import guard
        from trailkeep.analysis import Question

        question = Question(sql=sql, since=self.options.since, until=self.options.until)
        if self.options.parameters:
            used = {name.lower() for name in guard.check(sql).parameters}
            given = {name: value for name, value in self.options.parameters.items() if name in used}
            question = replace(question, given=given)
        self.ask(question)

    def _say(
        self, question: Question, delivered: Delivered, form: ResultFormat, target: Path | None, seconds: float
    ) -> None:
        """How many rows there were, what is missing from them, and what an empty answer does not rule out."""
        options = self.options
        rows = f"{delivered.rows:,} row{'' if delivered.rows == 1 else 's'}"
        took = f" in {seconds:.3f} s" if options.timing else ""
        if delivered.cut:
            more = "" if options.limit else ": write .limit N, or .format csv for all of them"
            diagnostics.say(f"cut at {rows}{took}; there are more{more}")
        elif target is not None:
            diagnostics.say(f"wrote {rows} to {target}{took}")
        elif took or form is ResultFormat.TABLE:
            diagnostics.say(rows + took)
        say_missing(self._told.news(delivered.missing))
        say_blind_spots(question, delivered)
