"""Running detections over an archive, together, so that one that fails hides nothing that the others find."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from trailkeep.analysis import Question, Stop
from trailkeep.analysis.together import Together, open_together, was_not_loaded
from trailkeep.coverage import missing_for
from trailkeep.detections.finding import Finding, check_columns, finding_of
from trailkeep.errors import ArchiveDamaged, Interrupted, StoreError, TrailkeepError
from trailkeep.timespan import Span, month_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from trailkeep.analysis import Result
    from trailkeep.catalog import Limits
    from trailkeep.catalog.shared import Listener
    from trailkeep.coverage import Missing
    from trailkeep.detections.choosing import Detection
    from trailkeep.store import Archive, Head
    from trailkeep.store.findings import FindingState

MAX_FINDINGS = 10_000
"""How many findings of one detection are told in one run; the others are found again by the next."""

LOOK_BACK = timedelta(days=7)
"""How long before the span the rows are read in common: most detections look no further back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one detection."""

    detection: Detection
    span: Span
    findings: tuple[Finding, ...] = ()
    """Those that were to be kept, at most `MAX_FINDINGS`."""
    counts: Mapping[FindingState, int] = field(default_factory=dict)
    """All that there were."""
    by_month: Mapping[tuple[str, str | None], int] = field(default_factory=dict)
    """All that there were, by the month in which they ended and by who acted."""
    cut: bool = False
    """Whether there were more to be kept."""
    error: TrailkeepError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything in the span was looked at and is told."""
        return self.error is None and not self.cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of all."""

    span: Span
    """From the earliest moment that one of them looked at."""
    outcomes: tuple[Outcome, ...]
    head: Head | None
    """The newest ledger entry that was read."""
    missing: tuple[Missing, ...]
    """Where the archive does not cover the span."""
    shared: bool
    """Whether rows were read in common."""
    problem: TrailkeepError | None = None
    """Why they were not, where they were to be."""

    @property
    def findings(self) -> list[Finding]:
        """All that were kept."""
        return [each for outcome in self.outcomes for each in outcome.findings]


class RunStop:
    """Ends a run from another thread; each detection has a time limit of its own."""

    def __init__(self, timeout_seconds: float | None = None) -> None:
        self.stopped = False
        self._timeout_seconds = timeout_seconds
        self._current = Stop()

    def __call__(self) -> None:
        """Stop what runs now, and all that would follow."""
        self.stopped = True
        self._current()

    def overdue(self) -> bool:
        """Whether it was stopped so long ago that nobody need wait any longer."""
        return self._current.overdue()

    def error(self) -> TrailkeepError:
        """Why it ended."""
        return Interrupted("the detections were stopped")

    def check(self) -> None:
        """Raise Interrupted where it was stopped."""
        if self.stopped:
            raise self.error()

    def next(self, *, limited: bool = True) -> Stop:
        """What ends the next step."""
        self._current = Stop(timeout_seconds=self._timeout_seconds if limited else None)
        if self.stopped:
            self._current()
        self.check()
        return self._current


def run_detections(
    archive: Archive,
    detections: Sequence[tuple[Detection, datetime]],
    until: datetime,
    *,
    now: datetime,
    limits: Limits,
    stop: RunStop,
    listener: Listener,
    state_of: Callable[[str], FindingState],
    keep: Callable[[FindingState], bool] = lambda _state: True,
    share: bool = True,
    open_ended: bool = False,
) -> Run:
    """Run each detection over the time from the moment beside it until `until`.

    Of the findings those are kept whose state `keep` takes. With `share` the rows are read
    in common where there are several detections; the result is the same without. Raises what keeps all of them from
    running: StoreError, ArchiveDamaged, IntegrityViolated and Interrupted.
    """
    questions = [_question(detection, start, until) for detection, start in detections]
    span = Span(min(start for _detection, start in detections), until)
    with _opened(archive, questions, span, now, limits, stop, listener, share=share) as together:
        listener.begin("detections", len(detections))
        outcomes = []
        for place, (detection, start) in enumerate(detections):
            ask = partial(together.open, questions[place], place, now=now, limits=limits)
            looking = _Looking(detection, Span(start, until), state_of, keep)
            outcomes.append(looking.look(ask, stop, may_retry=together.shares))
            listener.advance(1)
        missing = missing_for(together.tables(), together.ledger, span, now, open_ended=open_ended)
        return Run(
            span=span,
            outcomes=tuple(outcomes),
            head=together.ledger.head,
            missing=tuple(missing),
            shared=together.shares,
            problem=together.problem,
        )


class _Looking:
    """One detection while it runs."""

    def __init__(
        self,
        detection: Detection,
        span: Span,
        state_of: Callable[[str], FindingState],
        keep: Callable[[FindingState], bool],
    ) -> None:
        self._detection = detection
        self._span = span
        self._state_of = state_of
        self._keep = keep

    def look(self, ask: Callable[..., Result], stop: RunStop, *, may_retry: bool) -> Outcome:
        """Run it; `ask` opens its result, shared, or alone where it is told so."""
        try:
            return self._outcome(ask, stop, alone=False)
        except Interrupted:
            raise
        except TrailkeepError as error:
            # A file may have been replaced meanwhile; alone it is looked for again, by the ledger as it is then.
            if may_retry and (was_not_loaded(error) or isinstance(error, ArchiveDamaged)):
                return self._alone(ask, stop)
            return self._failed(error)

    def _alone(self, ask: Callable[..., Result], stop: RunStop) -> Outcome:
        try:
            return self._outcome(ask, stop, alone=True)
        except Interrupted:
            raise
        except TrailkeepError as error:
            return self._failed(error)

    def _failed(self, error: TrailkeepError) -> Outcome:
        return Outcome(detection=self._detection, span=self._span, error=error)

    def _outcome(self, ask: Callable[..., Result], stop: RunStop, *, alone: bool) -> Outcome:
        found: dict[str, Finding | None] = {}
        counts: Counter[FindingState] = Counter()
        by_month: Counter[tuple[str, str | None]] = Counter()
        kept = 0
        with ask(stop=stop.next(), alone=alone) as result:
            check_columns(self._detection.saved, result.schema.names)
            for batch in result.batches():
                for row in batch.to_pylist():
                    finding = finding_of(self._detection, row)
                    if finding.finding_id in found:
                        continue
                    state = self._state_of(finding.finding_id)
                    counts[state] += 1
                    wanted = self._keep(state)
                    kept += wanted
                    found[finding.finding_id] = finding if wanted and kept <= MAX_FINDINGS else None
                    by_month[month_of(finding.last_seen), finding.actor_id] += 1
        return Outcome(
            detection=self._detection,
            span=self._span,
            findings=tuple(each for each in found.values() if each is not None),
            counts=counts,
            by_month=by_month,
            cut=kept > MAX_FINDINGS,
        )


def _question(detection: Detection, start: datetime, until: datetime) -> Question:
    return Question.of(detection.saved, given=detection.given, since=start, until=until)


def _opened(
    archive: Archive,
    questions: Sequence[Question],
    span: Span,
    now: datetime,
    limits: Limits,
    stop: RunStop,
    listener: Listener,
    *,
    share: bool,
) -> Together:
    problem = None
    if share and len(questions) > 1:
        try:
            return open_together(
                archive,
                questions,
                now=now,
                limits=limits,
                span=Span(_back(span.start), span.end),
                listener=listener,
                stop=stop.next(limited=False),
            )
        except ArchiveDamaged:
            raise
        except StoreError as error:
            # The disk for temporary files is full, mostly: without it all of it takes longer.
            stop.check()
            problem = error
    alone = Together.alone(archive, questions, now=now)
    alone.problem = problem
    return alone


def _back(start: datetime) -> datetime:
    try:
        return start - LOOK_BACK
    except OverflowError:
        return start
