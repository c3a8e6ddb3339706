"""Where the cases of a saved query lie: beside it, or among the tests of those that come with Trailkeep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.queries.discovery import built_in_folder

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.queries import QueryFile

SUFFIX = ".yaml"


def case_file_of(query: QueryFile) -> Path:
    """Where a query's case file lies, or would."""
    beside = query.path.with_suffix(SUFFIX)
    built_in = built_in_folder()
    if built_in is None or beside.exists() or not query.path.is_relative_to(built_in):
        return beside
    tests = built_in.parent / "tests" / "queries"
    return tests / f"{query.name}{SUFFIX}" if tests.is_dir() else beside


def case_files_in(folder: Path) -> dict[str, Path]:
    """Every case file in a folder by the name of its query, in the order of the names."""
    found = {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in (*folder.glob(f"*{SUFFIX}"), *folder.glob(f"*/*{SUFFIX}"))
    }
    return dict(sorted((name, path) for name, path in found.items() if not name.startswith(".")))
