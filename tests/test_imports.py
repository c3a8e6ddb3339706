"""No command loads what it does not need: start-up time and memory are measured by what is imported, not by a clock."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.demo.serve import serve

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"duckdb", "pyarrow", "httpx", "sqlglot", "rich", "msgspec", "stamina", "filelock", "yaml", "scaleway"}

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


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["sync", "--help"]])
def test_help_and_version_load_nothing(tmp_path: Path, arguments: list[str]) -> None:
    assert loaded(tmp_path, *arguments) == set()


def test_a_sync_on_a_pipe_loads_no_database_no_parser_of_sql_and_no_terminal(tmp_path: Path) -> None:
    emulator = Emulator(clock=lambda: datetime.now(UTC))
    with serve(emulator) as served:
        environ = {
            "SCW_API_URL": served.url,
            "SCW_SECRET_KEY": SECRET_KEY,
            "SCW_DEFAULT_ORGANIZATION_ID": emulator.organization_id,
        }
        names = loaded(tmp_path, "sync", **environ)
    assert names == {"pyarrow", "httpx", "msgspec", "stamina", "filelock"}
    assert not loaded(tmp_path, "status") & {"duckdb", "httpx", "sqlglot", "rich", "stamina"}
    assert not loaded(tmp_path, "query", "--sql", "SELECT count(*) FROM events", "--format", "csv") & {
        "httpx",
        "stamina",
        "rich",
        "scaleway",
    }
