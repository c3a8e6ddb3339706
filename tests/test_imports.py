"""No command loads what it does not need: start-up time and memory are measured by what is imported, not by a clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from archives import empty_archive
from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.demo.serve import serve

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {
    "duckdb",
    "numpy",
    "pandas",
    "pyarrow",
    "httpx",
    "sqlglot",
    "rich",
    "msgspec",
    "stamina",
    "filelock",
    "yaml",
    "scaleway",
}

PROGRAM = """
import sys
from trailkeep.cli import main
try:
    main()
except SystemExit as ended:
    code = ended.code
names = {name.partition(".")[0] for name, module in sys.modules.items() if module}
print("LOADED", code, *sorted(names), file=sys.stderr)
"""


def loaded(directory: Path, *arguments: str, **environ: str) -> set[str]:
    """Which heavy packages a command has imported by its end, all output going to pipes."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        cwd=directory,
        env={"HOME": str(directory), "PATH": os.environ["PATH"], **environ},
        timeout=60,
    )
    _, code, *names = done.stderr.splitlines()[-1].split()
    assert code in ("0", "None"), done.stderr
    return HEAVY & set(names)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with an archive in its place."""
    empty_archive(tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["sync", "--help"]])
def test_help_and_version_load_nothing(tmp_path: Path, arguments: list[str]) -> None:
    assert loaded(tmp_path, *arguments) == set()


def test_the_status_loads_neither_arrow_nor_a_database(archive: Path) -> None:
    assert loaded(archive, "status") == {"msgspec"}


def test_a_sync_on_a_pipe_loads_no_database_no_parser_of_sql_and_no_terminal(tmp_path: Path) -> None:
    emulator = Emulator(clock=lambda: datetime.now(UTC))
    with serve(emulator) as served:
        environ = {
            "SCW_API_URL": served.url,
            "SCW_SECRET_KEY": SECRET_KEY,
            "SCW_DEFAULT_ORGANIZATION_ID": emulator.organization_id,
        }
        names = loaded(tmp_path, "sync", **environ)
    # pyarrow would take numpy wherever it is installed.
    assert names == {"pyarrow", "msgspec", "stamina", "filelock"}
    assert not loaded(tmp_path, "status") & {"duckdb", "httpx", "sqlglot", "rich", "stamina"}
    assert not loaded(tmp_path, "query", "--sql", "SELECT count(*) FROM events", "--format", "csv") & {
        "httpx",
        "stamina",
        "rich",
        "scaleway",
    }


SMALL = ["query", "--sql", "SELECT 1 AS a, upper(current_schema()) AS b, NULL::INTEGER AS c"]


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
def test_a_small_question_loads_the_engine_and_what_reads_the_ledger(archive: Path, form: str) -> None:
    assert loaded(archive, *SMALL, "--format", form) == {"duckdb", "msgspec"}
    assert loaded(archive, *SMALL, "--format", "json") == {"duckdb", "msgspec"}


def test_the_second_parser_is_loaded_for_what_it_could_object_to(archive: Path) -> None:
    assert loaded(archive, "query", "--sql", "SELECT 'delete' AS a") == {"duckdb", "msgspec", "sqlglot"}


def test_a_question_about_events_loads_arrow_and_nothing_for_writing(archive: Path) -> None:
    names = loaded(archive, "query", "--sql", "SELECT kind, count(*) FROM events GROUP BY kind", "--format", "csv")
    assert not names & {"sqlglot", "filelock", "httpx", "rich", "stamina", "yaml"}


def test_a_command_that_is_loaded_alone_is_the_one_that_was_named() -> None:
    program = (
        "import sys\nfrom trailkeep.cli import register_commands, ALONE, MODULES\nfrom trailkeep.cli.app import app\n"
        "assert set(ALONE.values()) <= set(MODULES)\n"
        "register_commands(sys.argv[1:])\n"
        "print(*sorted(c.name or c.callback.__name__ for c in app.registered_commands))"
    )

    def registered(*arguments: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert registered("query", "--sql", "SELECT 1") == ["query"]
    assert registered("--archive", "status", "-v", "--config=x", "query") == ["query"]
    for arguments in ([], ["--help"], ["--help", "query"], ["--archive", "query"], ["quer"], ["sync"], ["--", "query"]):
        assert {"query", "sync", "status", "verify"} <= set(registered(*arguments)), arguments


INTERRUPTED = """
import atexit, os, signal, sys
from trailkeep.cli import main

moment, number, sys.argv[1:] = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Interrupting())
if moment == "the end":
    atexit.register(os.kill, os.getpid(), number)
if moment == "ignored":
    signal.signal(number, signal.SIG_IGN)
    moment = "typer"
main()
"""
"""A signal comes when a module is about to be imported, when the command has ended, or where nobody is to hear it."""


def interrupted(directory: Path, moment: str, number: int, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, moment, str(int(number)), *arguments],
        capture_output=True,
        text=True,
        cwd=directory,
        env={"HOME": str(directory), "PATH": os.environ["PATH"]},
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("moment", ["trailkeep.cli.compact", "trailkeep.cli.sync", "typer", "trailkeep.cli.output"])
def test_an_interrupt_while_commands_are_loaded_ends_with_130_and_no_traceback(tmp_path: Path, moment: str) -> None:
    assert interrupted(tmp_path, moment, signal.SIGINT, "--version") == (130, "")
    assert interrupted(tmp_path, moment, signal.SIGTERM, "--version") == (-signal.SIGTERM, "")


def test_an_interrupt_while_a_command_loads_what_it_needs_ends_with_130_and_no_traceback(archive: Path) -> None:
    assert interrupted(archive, "msgspec", signal.SIGINT, "status") == (130, "")


def test_an_interrupt_after_the_command_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    assert interrupted(tmp_path, "the end", signal.SIGINT, "--version") == (130, "")


def test_an_interrupt_that_is_ignored_where_the_program_is_started_stays_ignored(tmp_path: Path) -> None:
    assert interrupted(tmp_path, "ignored", signal.SIGINT, "--version") == (0, "")


def test_hardly_anything_is_imported_before_an_interrupt_is_heard() -> None:
    program = "import sys; before = {*sys.modules}; import trailkeep.cli; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"__future__", "gc", "trailkeep", "trailkeep.cli"}
