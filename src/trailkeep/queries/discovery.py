"""Where saved queries lie, and which file a name means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFile:
    """A saved query that was found but not read."""

    name: str
    """``stage/name``, or ``name`` for a file that lies directly in its folder."""
    path: Path


def built_in_folder() -> Path | None:
    """The queries that come with Trailkeep: in the wheel beside the package, in a checkout at its top."""
    for folder in (_PACKAGE / "_queries", _PACKAGE.parents[1] / "queries"):
        if folder.is_dir():
            return folder
    return None


def query_folders(extra: Sequence[Path], *, directory: Path) -> list[Path]:
    """Every folder that is searched, the one that wins first.

    `extra` are the user's own, which must exist; then ``queries`` in the working `directory`, then the built-in ones.
    Raises UsageError for an extra folder that is none.
    """
    folders: list[Path] = []
    for folder in extra:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder of saved queries", hint="Correct --queries or the settings.")
        folders.append(folder)
    local = directory / "queries"
    if local.is_dir():
        folders.append(local)
    if built_in := built_in_folder():
        folders.append(built_in)
    unique: dict[Path, Path] = {}
    for folder in folders:
        unique.setdefault(folder.resolve(), folder)
    return list(unique.values())


def discover(folders: Sequence[Path]) -> dict[str, QueryFile]:
    """Every saved query by its full name, in the order of the names; an earlier folder's file hides a later one's."""
    found: dict[str, QueryFile] = {}
    for folder in folders:
        for path in sorted([*folder.glob("*.sql"), *folder.glob("*/*.sql")]):
            name = path.relative_to(folder).with_suffix("").as_posix()
            if not name.startswith("."):
                found.setdefault(name, QueryFile(name=name, path=path))
    return dict(sorted(found.items()))


def find(name: str, queries: dict[str, QueryFile]) -> QueryFile:
    """The query called `name`: its full name, or its last part where only one has it.

    Raises UsageError with the candidates, or with the nearest names.
    """
    if name in queries:
        return queries[name]
    matches = [full for full in queries if full.rpartition("/")[2] == name]
    if len(matches) == 1:
        return queries[matches[0]]
    if matches:
        raise UsageError(f"{name!r} is the name of several queries", hint=f"Write one of: {', '.join(matches)}.")
    short = {full.rpartition("/")[2]: full for full in queries}
    near = dict.fromkeys(
        short.get(each, each) for each in difflib.get_close_matches(name, [*queries, *short], n=4, cutoff=0.5)
    )
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"there is no saved query {name!r}", hint=f"{hint}`trailkeep queries` lists them.")
