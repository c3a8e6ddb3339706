"""Reading the fields of events in a further process, so that the interpreter's lock does not hold a long sync back.

The same function does it there and here, so whether, when and how far the other process helps changes no row: where it
is not worth starting, does not start, dies or hangs, this process reads the events itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from trailkeep.events.arrays import Raws
from trailkeep.events.converter import receive_columns, send_events
from trailkeep.events.rows import columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from trailkeep.streams import Kind

START_AFTER_EVENTS = 20_000
"""A further process is started once a run has so many events: it takes as long as converting that many."""

ANSWER_SECONDS = 60.0
"""How long a part may take there before it is read here; it takes some hundredths of a second."""

_PIPE_BYTES = 1024 * 1024
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""What the process may know of the environment: no secret is among it."""
_CODE = """import sys
sys.path[:] = sys.argv[1:]
sys.modules.update(numpy=None, pandas=None)
from trailkeep.events.arrays import Raws
from trailkeep.events.converter import main
main()"""
"""It finds its modules where this process does, or it might read events by the rules of another version.

Arrow would load numpy and pandas where they are installed: half a second and 60 MB for nothing.
"""
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Columns:
    """The columns of some events, which are being read, or will be once they are needed."""

    def __init__(
        self,
        kind: Kind,
        raws: Sequence[bytes] | Raws,
        asked: Future[pa.RecordBatch | None] | None = None,
        give_up: Callable[[], None] | None = None,
    ) -> None:
        """`asked`: what has been asked of the other process; `give_up` ends that process, which does not answer."""
        self._give_up = give_up
        self._kind: Kind = kind
        self._raws = raws if isinstance(raws, Raws) else Raws(raws)
        self._asked = asked
        self._found: pa.RecordBatch | None = None

    def forget(self) -> None:
        """They are not needed after all."""
        if self._asked is not None:
            self._asked.cancel()

    def read_here(self) -> bool:
        """Read them now, unless the other process has begun to; whether it had not."""
        if self._asked is not None and not self._asked.cancel():
            return False
        self._asked = None
        self._found = self._found or columns_of(self._kind, list(self._raws))
        return True

    def result(self) -> pa.RecordBatch:
        """The columns, as `columns_of` says."""
        if not self.read_here() and self._asked is not None:
            try:
                self._found = self._asked.result(ANSWER_SECONDS)
            except NotInTime:
                if self._give_up is not None:
                    self._give_up()
            self._asked = None
        if self._found is None:
            self._found = columns_of(self._kind, list(self._raws))
        return self._found


class Aside:
    """At most one further process, which ends with `close`, or with this process."""

    def __init__(self, start_after: int = START_AFTER_EVENTS) -> None:
        self._left = start_after
        self._threads: ThreadPoolExecutor | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._useful = _runs_python(sys.executable) and usable_cores() > 1
        """Whether a further process may help; False for good once it did not."""

    @property
    def process_id(self) -> int | None:
        """The id of the further process, while there is one."""
        return self._process.pid if self._process is not None else None

    def columns(self, kind: Kind, raws: Sequence[bytes] | Raws) -> Columns:
        """Have these events' columns read, aside if that helps; the caller keeps them few and small."""
        raws = raws if isinstance(raws, Raws) else Raws(raws)
        self._left -= len(raws)
        if self._left > 0 or not self._useful:
            return Columns(kind, raws)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside")
        try:
            asked = self._threads.submit(self._ask, kind, raws)
        except RuntimeError:  # the system gives this process no further thread
            self.give_up()
            return Columns(kind, raws)
        return Columns(kind, raws, asked, self.give_up)

    def give_up(self) -> None:
        """End the further process, and start none again."""
        self._useful = False
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the further process."""
        self.give_up()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in _pipes(process):
                with contextlib.suppress(OSError):
                    pipe.close()
            process.wait()

    def _ask(self, kind: Kind, raws: Raws) -> pa.RecordBatch | None:
        """Have the further process read these events; None where it does not."""
        if not self._useful:
            return None
        try:
            if self._process is None:
                self._process = _start()
                if not self._useful:  # it was given up while it started
                    self._process.kill()
            asking, answering = _pipes(self._process)
            send_events(asking, kind, raws)
            columns = receive_columns(answering)
        except Exception:  # noqa: BLE001 - whatever it is: the next answer might be to what is asked now
            self.give_up()
            return None
        if columns is not None and columns.num_rows != len(raws):
            self.give_up()
            return None
        return columns


def _start() -> subprocess.Popen[bytes]:
    # A session of its own: what is typed to end this process must not end that one in the middle of an answer.
    process = subprocess.Popen(  # noqa: S603 - this very interpreter
        [sys.executable, "-I", "-c", _CODE, *filter(None, sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        start_new_session=True,
    )
    for pipe in _pipes(process):
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Where the process is asked, and where it answers."""
    return cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)


def _runs_python(executable: str | None) -> bool:
    """Whether that is an interpreter, not a program with one inside."""
    return Path(executable or "").name.startswith("python") and not getattr(sys, "frozen", False)


def usable_cores() -> float:
    """How many processors this process may keep busy, by its affinity and its container's limit."""
    try:
        cores = float(len(os.sched_getaffinity(0)))
    except (AttributeError, OSError):
        cores = float(os.cpu_count() or 1)
    with contextlib.suppress(OSError, ValueError):
        quota, period = _CPU_QUOTA.read_text().split()
        cores = min(cores, int(quota) / int(period))
    return cores
