"""Progress of a sync on a terminal: a bar for each stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from types import TracebackType


class Bars:
    """A `trailkeep.progress.Progress` that draws on stderr."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[events]:>9,} events", markup=False),
            TextColumn("{task.fields[rate]:>8}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, stream: str, seconds: float) -> None:
        """Draw the stream's bar; its length is the time to be read."""
        self._tasks[stream] = self._progress.add_task(stream.ljust(24), total=seconds, events=0, rate="")

    def advance(self, stream: str, seconds: float, events: int) -> None:
        """Move the stream's bar on."""
        task = self._progress.tasks[self._tasks[stream]]
        total = task.fields["events"] + events
        rate = f"{total / task.elapsed:,.0f}/s" if task.elapsed else ""
        self._progress.update(task.id, advance=seconds, events=total, rate=rate)

    def end(self, stream: str, outcome: str) -> None:
        """Fill the bar of a stream that was read; say otherwise what became of it."""
        task = self._tasks[stream]
        if outcome == "read":
            self._progress.update(task, completed=self._progress.tasks[task].total)
        else:
            self._progress.update(task, description=f"{stream} ({outcome.replace('_', ' ')})".ljust(24))
        self._progress.stop_task(task)
