"""Who the ids are: names as of the event's time, and the views of the directory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from archives import NOW, ORGANIZATION, Archives, a_resource, an_id, empty_archive, rows_of
from trailkeep import schema
from trailkeep.analysis import Question, open_result
from trailkeep.catalog import Limits, Needs, event_names, open_catalog, people
from trailkeep.guard import check
from trailkeep.store import Archive, Commit, NewRows, Writer
from trailkeep.timespan import Span

OTHER = "22222222-2222-4222-8222-222222222222"
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
OLD_ARCHIVE = Path(__file__).parent / "fixtures" / "archives" / "0.1.0"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trailkeep" / "names"


@dataclass
class Directory:
    """Versions of objects, each commit one look."""

    path: Path
    looks: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def add(self, resource: str, identifier: str, change: str, at: datetime, **columns: Any) -> None:
        organization_id = columns.pop("organization_id", ORGANIZATION)
        moment = at.replace(tzinfo=None)
        row = {"id": identifier, "change": change, "valid_from": moment, "observed_at": moment, "raw": "{}", **columns}
        self.looks.append((resource, organization_id, row))

    def commit(self) -> Archive:
        """One entry for each row, so that an object's rows follow each other."""
        with Writer(self.path, clock=lambda: NOW) as writer:
            for resource, organization_id, row in self.looks:
                table = schema.directory_table(resource)
                partition = {"organization_id": organization_id, "month": f"{row['observed_at']:%Y-%m}"}
                added = [NewRows(table=table, partition=partition, rows=rows_of(table, [row]))]
                writer.commit(
                    Commit(operation="directory", started_at=NOW, organization_id=organization_id, added=added)
                )
        self.looks.clear()
        return Archive.open(self.path)


def ask(archive: Archive, sql: str, *, sealed: bool = False, span: Span | None = None) -> list[dict[str, Any]]:
    """The rows as a whole catalog gives them."""
    with open_catalog(archive, archive.ledger(), span=span, limits=Limits(sealed=sealed)) as catalog:
        return catalog.connection.sql(sql).to_arrow_table().to_pylist()  # type: ignore[no-any-return]


def answer(archive: Archive, sql: str) -> list[dict[str, Any]]:
    """The rows as a question gets them: with what it needs alone."""
    with open_result(archive, Question(sql=sql), now=NOW) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


def named(archive: Archive) -> dict[str, tuple[str | None, str | None]]:
    """Name and type of each event's actor, by the event's id."""
    return {
        row["id"]: (row["actor_name"], row["actor_type"])
        for row in answer(archive, "SELECT id, actor_name, actor_type FROM events")
    }


def resource(kind: str, identifier: str, name: str | None, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "type": kind, "name": name, **more}


class TestAsOfTheEventsTime:
    def test_a_rename_counts_from_its_first_microsecond(self, tmp_path: Path) -> None:
        made = Archives(tmp_path / "archive")
        for label, at in {"long before": -90 * DAY, "before": -MICROSECOND, "at": 0 * DAY, "after": DAY}.items():
            made.api(NOW + at, "CreateServer", id=label, principal_id="u", resources=[])
        made.commit()
        directory = Directory(made.path)
        directory.add("users", "u", "first", NOW - 10 * DAY, name="alice")
        directory.add("users", "u", "changed", NOW, name="alice.new")
        assert named(directory.commit()) == {
            "long before": ("alice", "user"),
            "before": ("alice", "user"),
            "at": ("alice.new", "user"),
            "after": ("alice.new", "user"),
        }

    def test_who_was_deleted_keeps_the_name_and_who_came_back_is_there_again(self, tmp_path: Path) -> None:
        made = Archives(tmp_path / "archive")
        for day in range(4):
            made.api(NOW + day * DAY, "CreateServer", id=f"day {day}", principal_id="a", resources=[])
        made.commit()
        directory = Directory(made.path)
        directory.add("applications", "a", "first", NOW, name="ci")
        directory.add("applications", "a", "gone", NOW + DAY, name="ci", last_seen_at=NOW.replace(tzinfo=None))
        directory.add("applications", "a", "back", NOW + 3 * DAY, name="ci2")
        archive = directory.commit()
        assert named(archive) == {
            "day 0": ("ci", "application"),
            "day 1": ("ci", "deleted"),
            "day 2": ("ci", "deleted"),
            "day 3": ("ci2", "application"),
        }
        history = answer(archive, "SELECT name, valid_from, valid_to, gone_at FROM principal_history ORDER BY 2")
        gone = (NOW + DAY).replace(tzinfo=None)
        assert [(row["name"], row["valid_to"], row["gone_at"]) for row in history] == [
            ("ci", gone, gone),
            ("ci2", None, None),
        ]

    def test_two_organizations_never_mix(self, tmp_path: Path) -> None:
        directory = Directory(tmp_path / "archive")
        directory.add("users", "u", "first", NOW, name="ours")
        directory.add("users", "u", "first", NOW, name="theirs", organization_id=OTHER)
        directory.add("users", "only theirs", "first", NOW, name="stranger", organization_id=OTHER)
        directory.commit()
        made = Archives(directory.path)
        made.api(NOW, "CreateServer", id="ours", principal_id="u", resources=[])
        made.api(NOW, "CreateServer", id="not ours", principal_id="only theirs", resources=[])
        archive = made.commit()
        assert named(archive) == {"ours": ("ours", "user"), "not ours": (None, "unknown")}
        found = answer(archive, "SELECT organization_id, id, name FROM principals ORDER BY ALL")
        assert [tuple(row.values()) for row in found] == [
            (ORGANIZATION, "only theirs", None),
            (ORGANIZATION, "u", "ours"),
            (OTHER, "only theirs", "stranger"),
            (OTHER, "u", "theirs"),
        ]

    def test_nobody_has_no_name_and_no_type(self, tmp_path: Path) -> None:
        made = Archives(tmp_path / "archive")
        made.system(NOW, id="system")
        made.api(NOW, "CreateServer", id="stranger", principal_id="x", resources=[])
        assert named(made.commit()) == {"system": (None, None), "stranger": (None, "unknown")}

    def test_a_user_that_only_events_name(self, tmp_path: Path) -> None:
        made = Archives(tmp_path / "archive")
        for day, name in enumerate(("one", "two", "one")):
            made.login(NOW + day * DAY, None, id=f"login {day}", resources=[resource("iam_user", "u", name)])
            made.api(NOW + day * DAY + MICROSECOND, "GetX", id=f"call {day}", principal_id="u", resources=[])
        made.api(NOW - DAY, "GetX", id="earlier", principal_id="u", resources=[])
        made.api(
            NOW, "CreateApplication", id="made", principal_id="u", resources=[resource("iam_application", "a", "x")]
        )
        archive = made.commit()
        found = named(archive)
        assert [found[f"call {day}"][0] for day in range(3)] == ["one", "two", "one"]
        assert found["earlier"] == ("one", "user")
        who = answer(archive, "SELECT id, type, name, source, events FROM principals ORDER BY id")
        assert [tuple(row.values()) for row in who] == [
            ("a", "application", "x", "events", 0),
            ("u", "user", "one", "events", 8),
        ]

    def test_the_directory_counts_where_it_knows_a_name_and_events_before(self, tmp_path: Path) -> None:
        made = Archives(tmp_path / "archive")
        made.login(NOW - 5 * DAY, None, id="old", resources=[resource("iam_user", "u", "maiden")])
        made.login(NOW + DAY, None, id="new", resources=[resource("account_user", "u", "as the event says")])
        made.commit()
        directory = Directory(made.path)
        directory.add("users", "u", "first", NOW, name="married")
        assert named(directory.commit()) == {"old": ("maiden", "user"), "new": ("married", "user")}

    def test_resources_of_events_tell_it_too(self, tmp_path: Path) -> None:
        made = Archives(tmp_path / "archive")
        made.login(NOW, "alice")
        made.api(NOW, "CreateServer", resources=[a_resource("server", "web"), a_resource("server", "db")])
        archive = made.commit()
        found = answer(archive, "SELECT resource_name, actor_name, actor_type FROM event_resources ORDER BY 1")
        assert [tuple(row.values()) for row in found] == [
            ("alice", "alice", "user"),
            ("db", "alice", "user"),
            ("web", "alice", "user"),
        ]

    def test_names_from_before_the_asked_span_count(self, tmp_path: Path) -> None:
        made = Archives(tmp_path / "archive")
        made.login(NOW - 60 * DAY, None, resources=[resource("iam_user", "u", "alice")])
        made.api(NOW, "GetX", principal_id="u", resources=[])
        archive = made.commit()
        asked = ask(archive, "SELECT actor_name FROM events", span=Span(NOW - DAY, NOW + DAY))
        assert asked == [{"actor_name": "alice"}]

    @pytest.mark.parametrize("name", ["'; DROP TABLE x; --", "\x1b[31m\u202e", "line\nfeed", "é😀", "a\x00b"])
    def test_a_hostile_name_is_only_a_name(self, tmp_path: Path, name: str) -> None:
        made = Archives(tmp_path / "archive")
        made.login(NOW, None, id="e", resources=[resource("iam_user", name, name)])
        assert named(made.commit()) == {"e": (name, "user")}


class TestWithoutNames:
    @pytest.fixture
    def archive(self, tmp_path: Path) -> Archive:
        made = Archives(tmp_path / "archive")
        for day in range(40):
            user = resource("iam_user", "u", f"name {day // 7}")
            made.login(NOW - day * DAY, None, id=f"login {day:02}", resources=[user])
            made.api(NOW - day * DAY, "DeleteServer", id=f"call {day:02}", principal_id="u", resources=[user])
        return made.commit()

    @pytest.mark.parametrize("view", ["events", "event_resources"])
    @pytest.mark.parametrize("sealed", [False, True])
    def test_the_join_is_not_even_planned(self, archive: Archive, view: str, *, sealed: bool) -> None:
        def plan(sql: str, *, names: bool) -> str:
            needs = Needs(tables=frozenset({view}), functions=frozenset(), names=names)
            with open_catalog(archive, archive.ledger(), limits=Limits(sealed=sealed), needs=needs) as catalog:
                return str(catalog.connection.sql(f"EXPLAIN {sql} FROM {view}").fetchall()[0][1])

        assert "Join" not in plan("SELECT actor_id, source_ip", names=False)
        assert "Join" in plan("SELECT actor_id, actor_name", names=True)

    def test_a_statement_that_asks_for_no_name_collects_none(self, archive: Archive, cache: Path) -> None:
        answer(archive, "SELECT actor_id, count(*) FROM events GROUP BY 1")
        assert not cache.exists()
        answer(archive, "SELECT actor_name FROM events")
        assert len(list(cache.iterdir())) == 1

    @pytest.mark.parametrize(
        ("sql", "asks"),
        [
            ("SELECT count(*), max(actor_id) FROM events", False),
            ("SELECT e.source_ip FROM main.events AS e JOIN api_events AS a USING (id)", False),
            ("SELECT actor_name FROM events", True),
            ('SELECT e."ACTOR_TYPE" FROM events e', True),
            ("FROM events", True),
            ("TABLE events", True),
            ("SELECT e FROM events AS e", True),
            ("SELECT main.events FROM main.events", True),
            ("SELECT events.* FROM events", True),
            ("SELECT to_json(events) FROM events", True),
            ("SELECT COLUMNS('actor.*') FROM events", True),
            ("SELECT #9 FROM events", True),
            ("SELECT i FROM events AS e(a, b, c, d, e, f, g, h, i)", True),
            ("SELECT a.id FROM events AS a NATURAL JOIN events AS b", True),
            ("SELECT id FROM events JOIN principals USING (actor_name)", True),
            ("SUMMARIZE events", True),
            ("PIVOT events ON kind USING count(*)", True),
        ],
    )
    def test_whether_names_are_asked_for_is_never_missed(self, sql: str, *, asks: bool) -> None:
        assert check(sql).asks_names is asks

    def test_the_cache_changes_nothing(self, archive: Archive, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sql = "SELECT id, actor_name, actor_type FROM events ORDER BY ALL"
        first = answer(archive, sql)
        (file,) = cache.iterdir()
        kept = file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
        assert answer(archive, sql) == first
        for nonsense in (b"", kept[:-1], kept[:60] + b"\x00" + kept[61:], b"x" * 200):
            file.write_bytes(nonsense)
            assert answer(archive, sql) == first
            assert file.read_bytes() == kept
        shutil.rmtree(cache)
        assert answer(archive, sql) == first
        assert file.read_bytes() == kept
        blocked = cache.parents[1] / "blocked"
        blocked.write_text("no folder")
        monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
        assert answer(archive, sql) == first

    def test_new_segments_are_read_alone_and_those_that_went_are_forgotten(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer(archive, "SELECT actor_name FROM events")
        made = Archives(archive.path, count=100)
        made.login(NOW + DAY, None, id="new", resources=[resource("iam_user", "u", "newest")])
        archive = made.commit()
        read: list[int] = []
        spills: list[str] = []
        names_of = event_names._names_of

        def counted(archive: Any, connection: Any, files: Any, check_stopped: Any) -> Any:
            read.append(len(files))
            spills.extend(*connection.execute("SELECT current_setting('temp_directory')").fetchall())
            return names_of(archive, connection, files, check_stopped)

        monkeypatch.setattr(event_names, "_names_of", counted)
        assert named(archive)["new"] == ("newest", "user")
        assert read == [1]
        # Not where the engine would spill by itself: in the folder that the user happens to be in.
        assert [Path(each).name.startswith("trailkeep-") for each in spills] == [True]
        before = archive.as_of(archive.ledger().entries[-1].seq - 1)
        assert answer(before, "SELECT name FROM principals") == [{"name": "name 0"}]

    def test_files_that_names_are_read_from_are_closed_to_sql(self, archive: Archive) -> None:
        (live, *_) = archive.ledger().live.values()
        with open_catalog(archive, archive.ledger(), span=Span(NOW + DAY, NOW + 2 * DAY)) as catalog:
            assert catalog.connection.execute("SELECT count(*) FROM parts.event_names").fetchall() != [(0,)]
            with pytest.raises(duckdb.PermissionException):
                catalog.connection.execute(f"FROM read_parquet('{archive.locate(live).resolve()}')")

    def test_collected_names_are_those_that_a_scan_gives(self, archive: Archive) -> None:
        with open_catalog(archive, archive.ledger()) as catalog:
            scanned = duckdb.connect()
            for table in ("api_events", "authentication_events", "system_events"):
                scanned.register("_rows", catalog.connection.sql(f"FROM {table}").to_arrow_table())
                scanned.execute(f"CREATE TABLE {table} AS FROM _rows")
            scanned.execute("CREATE SCHEMA parts")
            scanned.execute(people.EVENT_NAMES)
            sql = "FROM parts.event_names ORDER BY ALL"
            found = catalog.connection.sql(sql).fetchall()
            assert found == scanned.sql(sql).fetchall()
            assert found

    def test_it_does_not_matter_how_events_lie_in_segments(self, tmp_path: Path, archive: Archive) -> None:
        made = Archives(tmp_path / "other")
        for day in reversed(range(40)):
            user = resource("iam_user", "u", f"name {day // 7}")
            made.login(NOW - day * DAY, None, id=f"login {day:02}", resources=[user])
            made.api(NOW - day * DAY, "DeleteServer", id=f"call {day:02}", principal_id="u", resources=[user])
            if day % 3 == 0:
                other = made.commit()
        assert named(other) == named(archive)


class TestViews:
    VIEWS = (
        "principals",
        "principal_history",
        "resources_seen",
        "directory_history",
        "loggable_methods",
        *schema.relations.CURRENT,
    )

    @pytest.fixture
    def archive(self, tmp_path: Path) -> Archive:
        directory = Directory(tmp_path / "archive")
        directory.add("groups", "g", "first", NOW - 9 * DAY, name="admins", user_ids=["u"])
        directory.add("groups", "g", "changed", NOW - 5 * DAY, name="admins", user_ids=["u", "v"])
        directory.add("api_keys", "SCWX", "first", NOW - 9 * DAY, name="ci", user_id="u")
        seen = (NOW - 4 * DAY).replace(tzinfo=None)
        directory.add("api_keys", "SCWX", "gone", NOW - 3 * DAY, name="ci", user_id="u", last_seen_at=seen)
        directory.add("users", "u", "first", NOW - 9 * DAY, name="alice", email="a@example.org")
        for change, days, methods in (("first", 9, ["A", "B"]), ("changed", 6, ["A", "C"]), ("changed", 2, ["A", "B"])):
            services = [{"name": "Api", "methods": methods}]
            directory.add(
                "products", "fr-par/x", change, NOW - days * DAY, name="x", region="fr-par", services=services
            )
        directory.add(
            "products",
            "fr-par/y",
            "first",
            NOW - DAY,
            name="y",
            region="fr-par",
            services=[{"name": "S", "methods": ["M"]}],
        )
        directory.commit()
        made = Archives(directory.path)
        made.api(NOW, "CreateServer", resources=[a_resource("server", "web")])
        made.api(NOW + DAY, "DeleteServer", resources=[a_resource("server", "web")])
        made.api(NOW, "DeletePrivateNIC", resources=[a_resource("server", "db")])
        made.api(NOW + DAY, "UpdateServer", resources=[resource("server", an_id("db"), "db2")])
        made.api(NOW, "DeleteServer", status_code=403, resources=[a_resource("server", "kept")])
        return made.commit()

    @pytest.mark.parametrize("sealed", [False, True])
    def test_group_changes_and_gone_keys(self, archive: Archive, *, sealed: bool) -> None:
        assert ask(archive, "SELECT name, user_ids, deleted_at FROM groups", sealed=sealed) == [
            {"name": "admins", "user_ids": ["u", "v"], "deleted_at": None}
        ]
        at = (NOW - 3 * DAY).replace(tzinfo=None)
        (key,) = ask(archive, "SELECT id, deleted_at, last_seen_at FROM api_keys", sealed=sealed)
        assert (key["id"], key["deleted_at"], key["last_seen_at"]) == ("SCWX", at, at - DAY)
        history = ask(
            archive, "SELECT id, valid_to, gone_at FROM directory_history WHERE resource = 'api_keys'", sealed=sealed
        )
        assert history == [{"id": "SCWX", "valid_to": at, "gone_at": at}]

    def test_resources_that_events_name(self, archive: Archive) -> None:
        found = {row["name"]: row for row in answer(archive, "FROM resources_seen")}
        moment = (NOW + DAY).replace(tzinfo=None)
        assert {name: row["deleted_at"] for name, row in found.items()} == {"web": moment, "db2": None, "kept": None}
        assert found["db2"]["last_deleted_at"] == NOW.replace(tzinfo=None)
        assert (found["web"]["events"], found["web"]["type"]) == (2, "server")

    def test_since_when_methods_leave_events(self, archive: Archive) -> None:
        found = answer(
            archive, "SELECT method_name, listed_from, listed_to, at_the_latest FROM loggable_methods ORDER BY ALL"
        )
        now = NOW.replace(tzinfo=None)
        assert [tuple(row.values()) for row in found] == [
            ("A", now - 9 * DAY, None, True),
            ("B", now - 9 * DAY, now - 6 * DAY, True),
            ("B", now - 2 * DAY, None, False),
            ("C", now - 6 * DAY, now - 2 * DAY, False),
            ("M", now - DAY, None, False),
        ]

    @pytest.mark.parametrize("view", VIEWS)
    def test_each_is_the_same_alone_among_all_and_sealed(self, archive: Archive, view: str) -> None:
        sql = f"FROM {view} ORDER BY ALL"
        whole = ask(archive, sql)
        assert whole or view in {"projects", "policies", "ssh_keys"}
        assert ask(archive, sql, sealed=True) == whole
        assert answer(archive, sql) == whole
        with open_catalog(archive, archive.ledger(), needs=Needs(tables=frozenset({view}), names=False)) as catalog:
            assert catalog.connection.sql(sql).to_arrow_table().to_pylist() == whole

    @pytest.mark.parametrize("sealed", [False, True])
    def test_an_empty_archive_has_them_all(self, tmp_path: Path, *, sealed: bool) -> None:
        archive = empty_archive(tmp_path / "empty")
        for view in (*self.VIEWS, "events"):
            assert ask(archive, f"FROM {view}", sealed=sealed) == []

    def test_an_archive_of_before_the_directory(self, tmp_path: Path) -> None:
        place = tmp_path / "old"
        shutil.copytree(OLD_ARCHIVE, place)
        archive = Archive.open(place)
        for view in self.VIEWS:
            answer(archive, f"FROM {view}")
        kinds = answer(archive, "SELECT DISTINCT actor_type FROM events WHERE actor_id IS NOT NULL")
        assert {row["actor_type"] for row in kinds} <= {"user", "application", "unknown"}
