"""The saved queries, as the shell asks for them: found anew for each line, read when they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep.errors import TrailkeepError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trailkeep.queries import QueryFile, SavedQuery


class SavedQueries:
    """Every saved query that can be found, each file read once as long as it does not change."""

    def __init__(self, extra: Sequence[Path]) -> None:
        self._extra = tuple(extra)
        self._found: dict[str, QueryFile] | None = None
        self._read: dict[Path, tuple[tuple[int, int], SavedQuery]] = {}

    def look_again(self) -> None:
        """Forget which files there are: somebody may be writing one beside the shell."""
        self._found = None

    def load(self, name: str) -> SavedQuery:
        """The query of a name. Raises UsageError as `queries.find` and `queries.load` do."""
        from trailkeep.queries import find

        return self._loaded(find(name, self._files()))

    def all(self) -> tuple[list[SavedQuery], list[str]]:
        """Every query that can be read, in the order of the names, and what is wrong with the others."""
        queries, problems = [], []
        for found in self._files().values():
            try:
                queries.append(self._loaded(found))
            except TrailkeepError as error:
                problems.append(error.message)
        return queries, problems

    def names(self) -> dict[str, str]:
        """Every full name with its title; for completion, so nothing is raised."""
        try:
            return {saved.name: saved.title for saved in self.all()[0]}
        except (TrailkeepError, OSError):
            return {}

    def parameters(self, name: str) -> dict[str, str]:
        """The parameters of a query with what each wants, its own before since and until; none where it is not read."""
        try:
            declared = self.load(name).parameters.values()
        except (TrailkeepError, OSError):
            return {}
        mine = sorted(declared, key=lambda each: (each.name in ("since", "until"), not each.required))
        return {each.name: each.wanted for each in mine}

    def _files(self) -> dict[str, QueryFile]:
        if self._found is None:
            from trailkeep.queries import discover, query_folders

            self._found = discover(query_folders(self._extra, directory=Path.cwd()))
        return self._found

    def _loaded(self, found: QueryFile) -> SavedQuery:
        from trailkeep.queries import load

        try:
            status = found.path.stat()
        except OSError:
            return load(found.name, found.path)  # which says what is wrong
        stamp = (status.st_mtime_ns, status.st_size)
        cached = self._read.get(found.path)
        if cached is None or cached[0] != stamp:
            cached = stamp, load(found.name, found.path)
            self._read[found.path] = cached
        return cached[1]
