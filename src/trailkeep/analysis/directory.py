"""The directory of an archive, read from files whose bytes are those that the ledger has the hashes of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trailkeep.directory.history import History
    from trailkeep.store import Archive, Ledger

NAMED = ("users", "applications", "projects")
"""The lists whose objects a table shows by name."""


def directory_of(archive: Archive, ledger: Ledger, resources: Sequence[str]) -> History:
    """Every version in these lists. Raises ArchiveDamaged and IntegrityViolated with the name of a file."""
    from trailkeep.directory.history import read_history

    _check(archive, ledger, resources)
    return read_history(archive, ledger, resources)


def names_of(archive: Archive, ledger: Ledger, wanted: Iterable[str]) -> dict[str, str]:
    """What the principals and Projects of these ids were called last, by id.

    An id that bears different names in two Organizations is left out. Raises as `directory_of` does.
    """
    from trailkeep.schema import DIRECTORY
    from trailkeep.store import read_segment

    ids = frozenset(wanted)
    _check(archive, ledger, NAMED)
    newest: dict[tuple[str, str], tuple[int, str | None]] = {}
    for resource in NAMED:
        for file in ledger.files(f"{DIRECTORY}/{resource}"):
            organization_id = file.partition["organization_id"]
            rows = read_segment(archive.locate(file), ["id", "name", "ledger_seq"]).to_pydict()
            for identifier, name, seq in zip(rows["id"], rows["name"], rows["ledger_seq"], strict=True):
                key = (organization_id, identifier)
                if identifier in ids and (key not in newest or newest[key][0] <= seq):
                    newest[key] = (seq, name)
    names: dict[str, set[str]] = {}
    for (_organization, identifier), (_seq, name) in newest.items():
        names.setdefault(identifier, set()).add(name or "")
    return {identifier: one for identifier, (one, *others) in names.items() if one and not others}


def _check(archive: Archive, ledger: Ledger, resources: Sequence[str]) -> None:
    from trailkeep.catalog.soundness import check_files
    from trailkeep.schema import DIRECTORY

    tables = {f"{DIRECTORY}/{resource}" for resource in resources}
    files = {str(archive.locate(file)): file for table in sorted(tables) for file in ledger.files(table)}
    check_files(files, archive.path.resolve(), archive.archive_id, check_stopped=lambda: None)
