"""What tests of the whole program share: one archive of the demo Organization, and the program as a user runs it."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

import forked
from trailkeep.demo.emulator import ACCESS_KEY, SECRET_KEY, Emulator
from trailkeep.demo.serve import serve
from trailkeep.demo.story import Organization, demo_organization

if TYPE_CHECKING:
    import subprocess

    import pytest

    from trailkeep.demo.serve import Served

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class DemoArchive:
    """The archive that a first sync made; for reading only, whoever writes takes a copy."""

    path: Path
    organization: Organization


def clock() -> datetime:
    return datetime.now(UTC)


def environment(**more: str) -> dict[str, str]:
    """An environment without anybody's settings, where a warning is an error."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SCW_", "TRAILKEEP_", "XDG_"))}
    fixed = {"HOME": "/nonexistent", "PYTHONWARNINGS": "error", "COLUMNS": "100"}
    return kept | fixed | {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]} | more


def reaching(served: Served, organization_id: str) -> dict[str, str]:
    """The settings that reach an emulator."""
    return {
        "SCW_API_URL": served.url,
        "SCW_ACCESS_KEY": ACCESS_KEY,
        "SCW_SECRET_KEY": SECRET_KEY,
        "SCW_DEFAULT_ORGANIZATION_ID": organization_id,
    }


def run(folder: Path, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """The program, ended, in `folder`."""
    return forked.run_text(arguments, cwd=folder, env=environment(**more), stdin=stdin)


def demo_archive(factory: pytest.TempPathFactory) -> DemoArchive:
    """The archive of the demo Organization, made once for all processes of a test run."""
    folder = factory.getbasetemp()
    return _made(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@cache
def _made(folder: Path) -> DemoArchive:
    story, archive = folder / "story.pickle", folder / "demo-archive"
    with FileLock(folder / "demo-archive.lock"):
        if not story.exists():
            organization = demo_organization(now=clock())
            with serve(Emulator(organization, clock=clock)) as served:
                settings = reaching(served, organization.organization_id)
                done = run(folder, "--archive", str(archive), "sync", **settings)
            assert done.returncode == 0, done.stderr
            story.write_bytes(pickle.dumps(organization))
    return DemoArchive(path=archive, organization=pickle.loads(story.read_bytes()))
