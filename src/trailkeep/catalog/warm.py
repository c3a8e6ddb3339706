"""Engines that are kept between the questions of one program: opening one takes longer than most needles.

Two kinds are kept. A *planner* has the views of one shape of question over empty stand-ins, and only explains: it tells
which files a statement needs. A *runner* has the same views over empty tables, may open the archive's live files, and
was locked before anybody's SQL was run on it. A question has a cursor of it for itself, and tells that cursor alone
where the rows of the tables are: the next one finds nothing of it. Each is used by one question at a time.

A question is answered here from the second of its shape on, and only where all that it needs is known to work so;
`open` gives None for any other, which is to be opened as if there were nothing here.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep import schema
from trailkeep.catalog import soundness
from trailkeep.catalog.building import Building
from trailkeep.catalog.chosen import EXTRA, LEDGER
from trailkeep.catalog.connection import (
    MANY_FILES,
    Borrowed,
    Catalog,
    Limits,
    close_ways_out,
    configure,
    connect,
    spill_folder,
)
from trailkeep.catalog.sources import Sources
from trailkeep.store import Ledger
from trailkeep.store.readers import Hold

if TYPE_CHECKING:
    import duckdb

    from trailkeep.catalog.chosen import Needs
    from trailkeep.catalog.conditions import Conditions
    from trailkeep.catalog.connection import Asked, Folder, Watching
    from trailkeep.catalog.rehearsing import Rehearsal
    from trailkeep.store import Archive, LiveFile
    from trailkeep.timespan import Span

MOST_PLANNERS = 4
MOST_RUNNERS = 4
_MOST_SHAPES = 256
_MOST_PLANNED = 256

_TELLS_TIME = re.compile(
    r"\b(now|today|age|ago)\b|current|\blocaltime|\bclock|transaction|\bpg_\w+_time\b", re.IGNORECASE
)
"""What a moment may come from that is another one when the statement is run than when it was planned."""


_Statement = tuple["Needs", str, str]
"""A shape, SQL, and the values of its parameters."""


@dataclass(slots=True, eq=False)
class _Planner:
    connection: duckdb.DuckDBPyConnection
    rehearsal: Rehearsal

    def close(self) -> None:
        self.connection.close()


@dataclass(slots=True, eq=False)
class _Runner:
    connection: duckdb.DuckDBPyConnection
    sources: Sources
    needs: Needs
    limits: Limits
    files: frozenset[str]
    """What it may open."""
    spill: Folder

    def close(self) -> None:
        self.connection.close()
        self.spill.cleanup()


class _Answering(Catalog):
    """One question's part of a runner."""

    def __init__(self, engines: Engines, runner: _Runner, files: dict[str, LiveFile], hold: Hold) -> None:
        super().__init__(runner.connection.cursor(), files, Borrowed(), hold)
        self.sources = runner.sources
        self._engines = engines
        self._runner: _Runner | None = runner

    def close(self) -> None:
        """End what is running, and give the runner back without anything that was made on it."""
        import duckdb

        runner, self._runner = self._runner, None
        if runner is None:
            return
        try:
            super().close()
            # One that has failed inside answers nothing any more.
            runner.connection.execute("SELECT 1").fetchall()
        except duckdb.Error:
            runner.close()
            return
        self._engines.give_back(runner)


class Engines:
    """The engines of one program for one archive; several threads may ask at once. Close it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[Needs, None] = {}
        """The shapes that were asked for."""
        self._planned: dict[_Statement, Conditions] = {}
        """What statements ask of the tables, whatever files these have."""
        self._planners: dict[Needs, _Planner] = {}
        self._runners: list[_Runner] = []
        self._closed = False

    def open(
        self,
        archive: Archive,
        ledger: Ledger,
        *,
        span: Span | None,
        limits: Limits | None,
        needs: Needs | None,
        asked: Asked | None,
        watching: Watching,
    ) -> Catalog | None:
        """What `open_catalog` gives for this question, or None where it is to be asked. Raises as that does."""
        import duckdb

        limits = limits or Limits()
        if needs is None or asked is None or not self._suits(needs, asked, limits):
            return None
        building = Building(archive, ledger, needs, span)
        if not building.is_of_events_alone:
            return None
        building.place()
        if needs.tables and building.event_files < MANY_FILES:
            return None
        catalog: Catalog | None = None
        hold = Hold(archive.path)
        try:
            kept = building.narrow(self._conditions(archive, needs, asked, watching) if needs.tables else {})
            soundness.check_files(kept, archive.path.resolve(), archive.archive_id, check_stopped=watching.check)
            catalog = _Answering(self, self._runner(archive, ledger, needs, limits, kept), kept, hold)
            watching.watch(catalog.connection)
            catalog.rows = building.rows(catalog.connection)
        except duckdb.Error:
            # Whatever it is shows again, and is explained, where the question is opened anew.
            watching.watch(None)
            if catalog is not None:
                catalog.close()
            hold.release()
            watching.check()
            return None
        except BaseException:
            watching.watch(None)
            if catalog is not None:
                catalog.close()
            hold.release()
            raise
        return catalog

    def give_back(self, runner: _Runner) -> None:
        """Keep a runner for the next question, or close it where there are enough."""
        with self._lock:
            if not self._closed and len(self._runners) < MOST_RUNNERS:
                self._runners.append(runner)
                return
            if not self._closed:
                self._runners.append(runner)
                runner = self._runners.pop(0)
        runner.close()

    def close(self) -> None:
        """Close what is kept; what is in use is closed when it is given back."""
        with self._lock:
            self._closed = True
            kept: list[_Planner | _Runner] = [*self._planners.values(), *self._runners]
            self._planners.clear()
            self._runners.clear()
        for each in kept:
            each.close()

    def _suits(self, needs: Needs, asked: Asked, limits: Limits) -> bool:
        if (
            self._closed
            or needs.tables & {*EXTRA, LEDGER}
            or any(name.startswith("ip_") for name in needs.functions)
            or limits.sealed
            or limits.mmdb
            or asked.explained
            or (needs.tables and _TELLS_TIME.search(asked.sql))
        ):
            return False
        with self._lock:
            if needs in self._asked:
                return True
            if len(self._asked) >= _MOST_SHAPES:
                self._asked.clear()
            self._asked[needs] = None
        return False

    def _conditions(self, archive: Archive, needs: Needs, asked: Asked, watching: Watching) -> Conditions:
        """What the statement asks of each event table, by a planner of its shape."""
        statement = (needs, asked.sql, repr(sorted(asked.parameters.items())))
        plain = all(isinstance(value, str | int | datetime) for value in asked.parameters.values())
        with self._lock:
            if plain and statement in self._planned:
                return self._planned[statement]
            planner = self._planners.pop(needs, None)
        planner = planner or _new_planner(archive, needs)
        try:
            watching.watch(planner.connection)
            conditions = planner.rehearsal.conditions(asked.sql, asked.parameters)
            planner.connection.execute("ROLLBACK")
            watching.watch(None)
        except BaseException:
            watching.watch(None)
            planner.close()
            raise
        with self._lock:
            if plain:
                if len(self._planned) >= _MOST_PLANNED:
                    self._planned.clear()
                self._planned[statement] = conditions
            planner_out: _Planner | None = planner
            if not self._closed and needs not in self._planners:
                self._planners[needs] = planner
                planner_out = None
                if len(self._planners) > MOST_PLANNERS:
                    planner_out = self._planners.pop(next(iter(self._planners)))
        if planner_out is not None:
            planner_out.close()
        return conditions

    def _runner(
        self, archive: Archive, ledger: Ledger, needs: Needs, limits: Limits, files: dict[str, LiveFile]
    ) -> _Runner:
        """A runner that may open these files."""
        with self._lock:
            fit = [each for each in self._runners if (each.needs, each.limits) == (needs, limits)]
            for each in fit:
                self._runners.remove(each)
        found: _Runner | None = None
        for each in fit:
            # Others were made before files came, or came to another place.
            if found is None and each.files >= files.keys():
                found = each
            elif each.files >= files.keys():
                self.give_back(each)
            else:
                each.close()
        if found is not None:
            return found
        root = archive.path.resolve()
        every = {str(root / path) for path in ledger.live} | files.keys()
        return _new_runner(archive, needs, limits, frozenset(every))


def _new_planner(archive: Archive, needs: Needs) -> _Planner:
    connection = connect()
    try:
        connection.execute("SET threads = 1")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET allow_community_extensions = false")
        connection.execute("SET enable_external_access = false")
        building = Building(archive, Ledger(archive.archive_id), needs, None)
        building.place()
        rehearsal = building.rehearse(connection)
        building.build(connection, {}, None)
    except BaseException:
        connection.close()
        raise
    return _Planner(connection, rehearsal)


def _new_runner(archive: Archive, needs: Needs, limits: Limits, files: frozenset[str]) -> _Runner:
    spill = spill_folder(limits.temporary_directory, kept=False)
    connection = connect()
    try:
        configure(connection, limits, Path(spill.name))
        close_ways_out(connection, sorted(files))
        sources = Sources(schema.EVENT_TABLES.values())
        Building(archive, Ledger(archive.archive_id), needs, None, sources=sources).build(connection, {}, None)
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        spill.cleanup()
        raise
    return _Runner(connection, sources, needs, limits, files, spill)
