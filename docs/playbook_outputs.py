"""Writes what the commands of playbook.md print into it: the demo archive of one moment, asked on a terminal of 120 columns.

``python docs/playbook_outputs.py`` writes, ``--check`` exits with 1 and says what differs; either takes another page's
path. The blocks of commands are run in their order. Where a block of text stands right behind one, it is what those
commands print to stdout, but for what no two archives have in common, which is shown as ``<sha256>`` and the like.
"""

from __future__ import annotations

import atexit
import contextlib
import difflib
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE = Path(__file__).parent / "playbook.md"
NOW = datetime(2026, 7, 15, 8, tzinfo=UTC)
"""The page's now: the demo's story is told up to it, and ages such as 14d are counted back from it."""
COLUMNS = 120
EXPECTED_CODES = (0, 10)
"""Done, and done with new findings."""

LIBRARIES = ("duckdb", "msgspec", "pyarrow.parquet", "rich.table", "sqlglot.optimizer.qualify")
_AS_TRAILKEEP = "--as-trailkeep"
_BLOCK = re.compile(r"^```console\n(?P<commands>.*?)^```\n(?P<output>\n```text\n.*?^```\n)?", re.DOTALL | re.MULTILINE)
_BOLD = re.compile(r"\x1b\[[0-9;]*m")
_OTHER_EVERY_TIME = (
    (re.compile(r"\b(\d+):[0-9a-f]{64}\b"), r"\1:<sha256>"),
    (re.compile(r"\bSHA-256 [0-9a-f]{64}\b"), "SHA-256 <sha256>"),
    (re.compile(r"\bSHA256:[\w+/]{43}(?=\)|$)", re.MULTILINE), "SHA256:<key>"),
    (re.compile(r"^(archive +\S+) \([0-9a-f-]{36}\)$", re.MULTILINE), r"\1 (<id>)"),
    (re.compile(r"^(bytes +)[\d,]+$", re.MULTILINE), r"\1<bytes>"),
    # How often the API was asked, and that is recorded, depends on which answer came first.
    (re.compile(r"^(rows +)[\d,]+(?= by the ledger|$)", re.MULTILINE), r"\1<rows>"),
)


class Desk:
    """A folder to work in, with what was exported there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SCW_", "TRAILKEEP_", "XDG_"))
        }
        self._environment = kept | {
            "COLUMNS": str(COLUMNS),
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / ".cache"),
        }

    def run(self, line: str) -> str:
        """What one command prints to stdout. Raises SystemExit where it fails."""
        words = shlex.split(line)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self._environment[name] = value
            return ""
        if words[:2] == ["trailkeep", "demo"]:
            self._make_archive(words[words.index("--keep") + 1])
            return ""
        if words[0] == "trailkeep":
            return self._printed(line, lambda: _be_trailkeep(words[1:]))
        done = subprocess.run(  # noqa: S603 - what our own page shows
            ["/bin/sh", "-c", line], cwd=self._folder, env=self._environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def _make_archive(self, name: str) -> None:
        """As `trailkeep demo --keep` makes it: a sync with the emulated API."""
        from trailkeep.demo.emulator import ACCESS_KEY, SECRET_KEY, Emulator
        from trailkeep.demo.serve import serve
        from trailkeep.demo.story import demo_organization

        organization = demo_organization(now=NOW)
        with serve(Emulator(organization, clock=lambda: NOW)) as served:
            reaching = {
                "SCW_API_URL": served.url,
                "SCW_ACCESS_KEY": ACCESS_KEY,
                "SCW_SECRET_KEY": SECRET_KEY,
                "SCW_DEFAULT_ORGANIZATION_ID": organization.organization_id,
            }
            # Not forked: the emulator has threads.
            subprocess.run(  # noqa: S603 - our own program
                [sys.executable, __file__, _AS_TRAILKEEP, "--archive", name, "sync"],
                cwd=self._folder,
                env=self._environment | reaching,
                stdout=subprocess.DEVNULL,
                check=True,
            )

    def _printed(self, line: str, program: Callable[[], NoReturn]) -> str:
        """What a fork that becomes the program prints to its terminal."""
        ours, theirs = pty.openpty()
        with tempfile.TemporaryFile() as said:
            with warnings.catch_warnings(action="ignore"):  # of threads: libraries' own, none of which does anything
                pid = os.fork()
            if pid == 0:
                for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), theirs, said.fileno())):
                    os.dup2(descriptor, number)
                os.chdir(self._folder)
                os.environ.clear()
                os.environ.update(self._environment)
                program()
            os.close(theirs)
            read: list[bytes] = []
            listening = Thread(target=_read_to_end, args=(ours, read))
            listening.start()
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            listening.join()
            os.close(ours)
            said.seek(0)
            if code not in EXPECTED_CODES:
                raise SystemExit(f"{line}\nended with {code}: {said.read().decode()}")
        return b"".join(read).decode().replace("\r\n", "\n")


def _read_to_end(descriptor: int, read: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # how Linux says that nobody has the terminal open any more
        while content := os.read(descriptor, 65_536):
            read.append(content)


def _prepare() -> None:
    """Import what the program needs, with the clock of this page."""
    import trailkeep.cli.state

    trailkeep.cli.state.now = lambda: NOW
    from trailkeep.cli import register_commands

    register_commands()
    for name in LIBRARIES:
        import_module(name)


def _be_trailkeep(words: Sequence[str]) -> NoReturn:
    """Be the program to its end, and nothing of this script after it."""
    from trailkeep.cli import main as run

    sys.argv = ["trailkeep", *words]
    code: object = 1
    try:
        run()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001 - told as the interpreter tells it
        sys.excepthook(*sys.exc_info())
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def played(text: str) -> str:
    """The page with what its commands print now."""
    # A TemporaryDirectory would be removed by the first fork that ends.
    folder = Path(tempfile.mkdtemp(prefix="trailkeep-playbook-"))
    desk = Desk(folder)

    def again(block: re.Match[str]) -> str:
        lines = [line.removeprefix("$ ") for line in block["commands"].splitlines()]
        printed = shown("".join([desk.run(line) for line in lines]))
        output = f"\n```text\n{printed}```\n" if block["output"] else ""
        return f"```console\n{block['commands']}```\n{output}"

    try:
        return _BLOCK.sub(again, text)
    finally:
        shutil.rmtree(folder)


def shown(printed: str) -> str:
    """An output as the page shows it."""
    printed = _BOLD.sub("", printed)
    for pattern, instead in _OTHER_EVERY_TIME:
        printed = pattern.sub(instead, printed)
    return "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; returns the exit code."""
    check = "--check" in arguments
    page = next((Path(each) for each in arguments if each != "--check"), PAGE)
    before = page.read_text(encoding="utf-8")
    after = played(before)
    if not check:
        page.write_text(after, encoding="utf-8")
        return 0
    sys.stderr.writelines(
        difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), page.name, "what its commands print"
        )
    )
    return int(before != after)


if __name__ == "__main__":
    _prepare()
    if sys.argv[1:2] == [_AS_TRAILKEEP]:
        _be_trailkeep(sys.argv[2:])
    sys.exit(main(sys.argv[1:]))
