"""What most tests run is forked from a process that has imported everything: it is the program all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer.main

import forked
from archives import NOW, Archives
from demo_archive import environment
from trailkeep.cli import register_commands
from trailkeep.cli.app import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    rows = Archives(folder / "data")
    rows.api(NOW, "CreateServer", id="new", user_agent="\x1b[31m\r\n é")
    rows.commit()
    return folder


ASKED = [
    ("--help",),
    ("config", "show"),
    ("connect", "duckdb"),
    ("directory", "list", "users"),
    ("directory", "who", "nobody"),
    ("demo", "--keep", "data"),
    ("emulator", "--days", "x"),
    ("products",),
    ("purge", "--before", "2020-01-01", "--reason", "old", "--dry-run"),
    ("queries", "list"),
    ("query", "--sql", "SELECT id, user_agent FROM api_events", "--since", "2000-01-01", "--until", "2100-01-01"),
    ("query", "--sql", "SELECT nothing FROM api_events"),
    ("repair",),
    ("schema", "events"),
    ("shell",),
    ("sign",),
    ("status", "--nonsense"),
    ("sync",),
    ("verify", "--deep"),
]
register_commands()
OTHERS = sorted(set(typer.main.get_command(app).commands) - {words[0] for words in ASKED})  # type: ignore[attr-defined]
STEP = min(3, int(os.environ.get("TRAILKEEP_DETERMINISM_STEP", "9")))
"""Of so many further commands one is asked for its help; 1 for all of them."""
SOME_COMMANDS = [*ASKED, *((name, "--help") for name in OTHERS[::STEP])]


@pytest.mark.parametrize("arguments", SOME_COMMANDS, ids=" ".join)
def test_a_command_says_what_it_says_when_it_begins_with_nothing(folder: Path, arguments: tuple[str, ...]) -> None:
    begun = subprocess.run(
        [*forked.PROGRAM, *arguments],
        cwd=folder,
        env=environment(),
        input=b"SELECT 1 AS a;",
        capture_output=True,
        timeout=forked.TIMEOUT_SECONDS,
    )
    done = forked.run(arguments, cwd=folder, env=environment(), stdin=b"SELECT 1 AS a;")
    assert (done.returncode, done.stdout, done.stderr) == (begun.returncode, begun.stdout, begun.stderr)


def test_what_is_long_is_heard_whole_and_read_whole(folder: Path) -> None:
    sql = f"SELECT repeat('x', 300000) AS a {'-- ' + 'y' * 300_000}"
    done = forked.run(("query", "-", "--format", "ndjson"), cwd=folder, env=environment(), stdin=sql.encode())
    assert (done.returncode, len(done.stdout)) == (0, 300_000 + len('{"a":""}\n')), done.stderr


def test_several_run_at_once(folder: Path) -> None:
    found: list[bytes] = []

    def ask(number: int) -> None:
        asked = ("query", "--sql", f"SELECT {number} AS n", "--format", "ndjson")
        found.append(forked.run(asked, cwd=folder, env=environment()).stdout)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [b'{"n":%d}\n' % number for number in range(4)]


def test_what_takes_too_long_is_ended(folder: Path) -> None:
    endless = ("query", "--sql", "SELECT sum(i % 7) FROM range(1000000000000) t(i)")
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run(endless, cwd=folder, env=environment(), timeout_seconds=0.5)


def test_what_the_interpreter_reads_at_its_start_is_read(folder: Path) -> None:
    done = forked.run(("--version",), cwd=folder, env=environment(PYTHONVERBOSE="1"))
    assert done.returncode == 0
    assert b"import 'site'" in done.stderr


def test_the_process_that_forks_ends_with_those_who_ask_it() -> None:
    """Also where they are killed."""
    program = (
        "import forked, os, pathlib, signal\n"
        "forked.run(('--version',), cwd=pathlib.Path('/'), env={})\n"
        "print(forked._forker()._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    here = str(Path(__file__).parent)
    # Whoever holds the other end of the pipe is heard until the last of them ends: the one that forks has it as stderr.
    asked = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": here}, capture_output=True, timeout=60
    )
    assert asked.returncode == -signal.SIGKILL
    assert int(asked.stdout) > 0
