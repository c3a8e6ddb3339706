"""A terminal for tests: the program runs on a real pseudo-terminal, whose screen is read and whose keys are typed."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_SECONDS = 60

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>78]|\x1b\][^\x07]*\x07")
_START = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
fcntl.ioctl(0, termios.TIOCSWINSZ, b"\\x1e\\0\\x64\\0\\0\\0\\0\\0")
os.execv(sys.executable, [sys.executable, "-m", "trailkeep", *sys.argv[1:]])
"""


class Terminal:
    """One program on its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.raw = ""
        """All that was written, escape sequences included."""
        self._seen = 0

    @property
    def text(self) -> str:
        """All that was written, as far as it is text."""
        return _ESCAPE.sub("", self.raw)

    def type(self, keys: str) -> None:
        """Type keys: `\\r` is Enter, `\\x03` Ctrl-C, `\\x04` Ctrl-D."""
        os.write(self._descriptor, keys.encode())

    def expect(self, text: str) -> str:
        """Wait until `text` is written after what was expected before; return what came up to its end."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (found := self.text.find(text, self._seen)) < 0:
            assert self._read(deadline), f"{text!r} did not come: {self.text[self._seen :]!r}"
        begun, self._seen = self._seen, found + len(text)
        return self.text[begun : self._seen]

    def press_until(self, key: str, text: str) -> None:
        """Press a key now and again until `text` is written: nobody sees when a query has really begun."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (found := self.text.find(text, self._seen)) < 0:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.text[self._seen :]!r}"
            self.type(key)
            again = time.monotonic() + 1
            while text not in self.text[self._seen :] and self._read(again):
                pass
        self._seen = found + len(text)

    def ended(self) -> int:
        """Wait until the program ends; its exit code."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self._read(deadline):
            pass
        return self._process.wait(TIMEOUT_SECONDS)

    def _read(self, deadline: float) -> bool:
        """Take in what was written; False at the end, or when the time is over."""
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            content = os.read(self._descriptor, 65_536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.raw += content.decode(errors="replace")
        if b"\x1b[6n" in content:
            self.type("\x1b[25;1R")  # where the cursor is, for programs that ask
        return bool(content)


@contextlib.contextmanager
def terminal(folder: Path, environment: dict[str, str], *arguments: str) -> Iterator[Terminal]:
    """The program in `folder`, on a terminal of 100 columns and 30 lines; it is ended with the block."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _START, *arguments],
        cwd=folder,
        env={"TERM": "xterm-256color", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            os.close(ours)
