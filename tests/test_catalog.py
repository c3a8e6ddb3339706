"""The catalog: views and macros over exactly the live files."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import shutil
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from archives import NOW, ORGANIZATION, Archives, a_resource, an_id, empty_archive, rows_of
from trailkeep import schema
from trailkeep.catalog import EXTRA, Catalog, Limits, Needs, open_catalog, soundness
from trailkeep.catalog.building import table_names
from trailkeep.catalog.views import type_of
from trailkeep.coverage import coverage_tables
from trailkeep.errors import ArchiveDamaged, ExitCode, IntegrityViolated, StoreError
from trailkeep.store import Archive, Commit, Disk, NewRows, Writer
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = timedelta(days=1)


def rows(catalog: Catalog, sql: str) -> list[dict[str, Any]]:
    return catalog.connection.sql(sql).to_arrow_table().to_pylist()  # type: ignore[no-any-return,union-attr]


def value(catalog: Catalog, sql: str) -> Any:
    (row,) = rows(catalog, sql)
    (only,) = row.values()
    return only


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    waiting = Archives(tmp_path / "archive")
    waiting.api(
        NOW,
        "CreateServer",
        id="created",
        resources=[a_resource("instance_server", "web", {"zone": "fr-par-1"}), a_resource("instance_volume", "disk")],
    )
    waiting.api(NOW - 40 * DAY, "DeleteServer", region="pl-waw", id="denied", status_code=403, resources=[])
    waiting.api(NOW - DAY, "UpdateServer", id="failed", status_code=500, source_ip=None)
    waiting.api(NOW - DAY, "UpdateServer", id="unsaid", status_code=None)
    waiting.login(NOW - DAY, "alice", id="in")
    waiting.login(NOW - DAY, "alice", "failure", id="out")
    waiting.login(NOW - DAY, None, "pending", id="strange", method=None)
    waiting.system(NOW - DAY, id="rotated")
    return waiting.commit()


class TestViews:
    def test_an_empty_archive_has_them_all_with_their_types(self, tmp_path: Path) -> None:
        archive = empty_archive(tmp_path / "archive")
        waiting = Archives(tmp_path / "other")
        waiting.api(NOW, "CreateServer", resources=[a_resource("instance_server", "web")])
        waiting.login(NOW, "alice")
        waiting.system(NOW)
        full = waiting.commit()
        described = "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY ALL"
        with open_catalog(archive, archive.ledger()) as empty, open_catalog(full, full.ledger()) as other:
            assert rows(empty, described) == rows(other, described)
            for table in empty.tables():
                expected = 1 if table == "ledger" else 0
                assert value(empty, f"SELECT count(*) FROM {table}") == expected, table

    def test_every_column_of_the_schema_is_there_with_its_type(self, archive: Archive) -> None:
        with open_catalog(archive, archive.ledger()) as catalog:
            for table in schema.TABLES.values():
                described = {row["column_name"]: row["column_type"] for row in rows(catalog, f"DESCRIBE {table.name}")}
                for column in table.columns:
                    assert described.pop(column.name).replace('"', "") == type_of(column.type).replace('"', "")
                if table is schema.REVISIONS:
                    # Beside each version stand the first one, and where the two differ.
                    assert described.pop("first_ledger_seq") == "BIGINT"
                    assert described.pop("first_raw") == "VARCHAR"
                    assert described.pop("differing_paths") == "VARCHAR[]"
                assert set(described.values()) <= {"VARCHAR"}
                assert set(described) <= set(table.partitions)

    def test_partition_values_are_columns(self, archive: Archive) -> None:
        with open_catalog(archive, archive.ledger()) as catalog:
            sql = "SELECT organization_id, region, month FROM api_events WHERE id = 'denied'"
            assert rows(catalog, sql) == [
                {"organization_id": ORGANIZATION, "region": "pl-waw", "month": "2026-01"},
            ]

    def test_all_kinds_share_one_shape(self, archive: Archive) -> None:
        with open_catalog(archive, archive.ledger()) as catalog:
            names = [row["column_name"] for row in rows(catalog, "DESCRIBE events")]
            found = {row["id"]: row for row in rows(catalog, "FROM events")}
        assert names == [
            *("kind", "id", "recorded_at", "organization_id", "region", "locality", "project_id", "actor_id"),
            *(
                "actor_name",
                "actor_type",
                "source_ip",
                "user_agent",
                "product_name",
                "service_name",
                "action",
                "outcome",
            ),
            *("status_code", "resource_ids", "raw"),
        ]
        assert {name: row["outcome"] for name, row in found.items()} == {
            "created": "success",
            "denied": "denied",
            "failed": "failure",
            "unsaid": None,
            "in": "success",
            "out": "denied",
            "strange": "failure",
            "rotated": None,
        }
        assert found["created"]["actor_id"] == an_id("alice")
        assert found["created"]["resource_ids"] == [an_id("web"), an_id("disk")]
        assert found["in"]["actor_id"] == an_id("alice")
        assert found["in"]["action"] == "Login/password"
        assert found["strange"]["action"] == "Login"
        assert found["strange"]["actor_id"] is None
        assert found["rotated"]["action"] == "cron/rotation"
        assert found["failed"]["source_ip"] is None
        assert found["strange"]["actor_name"] is None
        assert found["created"]["actor_name"] == "alice"

    def test_one_row_for_every_event_and_resource(self, archive: Archive) -> None:
        with open_catalog(archive, archive.ledger()) as catalog:
            found = rows(catalog, "FROM event_resources WHERE event_id = 'created' ORDER BY position")
            assert [(row["position"], row["resource_name"], row["resource_info"]) for row in found] == [
                (1, "web", '{"zone": "fr-par-1"}'),
                (2, "disk", None),
            ]
            assert value(catalog, "SELECT count(*) FROM event_resources WHERE event_id IN ('denied', 'failed')") == 0

    def test_the_ledger_is_a_table(self, archive: Archive) -> None:
        ledger = archive.ledger()
        assert ledger.head is not None
        with open_catalog(archive, ledger) as catalog:
            found = rows(catalog, "FROM ledger ORDER BY seq")
        assert [row["operation"] for row in found] == ["init", "sync"]
        assert found[-1]["sha256"] == ledger.head.sha256
        assert found[0]["sha256"] == ledger.entries[1].previous
        assert found[-1]["rows_added"] == 8
        assert json.loads(found[-1]["counters"])["new"] == 8

    def test_extra_tables_are_there_by_name(self, archive: Archive) -> None:
        extra = {"coverage": pa.table({"region": ["fr-par"]})}
        with open_catalog(archive, archive.ledger(), extra=extra) as catalog:
            assert value(catalog, "SELECT region FROM coverage") == "fr-par"

    def test_revisions_quarantine_and_requests_are_tables(self, tmp_path: Path) -> None:
        partition = {"organization_id": ORGANIZATION, "region": "fr-par", "month": "2026-03"}
        at = NOW.replace(tzinfo=None)
        revision = {"kind": "api", "id": "x", "recorded_at": at, "raw": "{}"}
        strange = {"kind": "api", "received_at": at, "reason": "no id", "sha256": "00", "raw": b"\xff\x00"}
        with Writer(tmp_path / "archive", clock=lambda: NOW) as writer:
            added = [
                NewRows(table=table, partition=partition, rows=rows_of(table, [row]))
                for table, row in ((schema.REVISIONS, revision), (schema.QUARANTINE, strange))
            ]
            writer.commit(Commit(operation="sync", started_at=NOW, added=added))
        archive = Archive.open(tmp_path / "archive")
        with open_catalog(archive, archive.ledger()) as catalog:
            assert rows(catalog, "SELECT id, ledger_seq, region FROM revisions") == [
                {"id": "x", "ledger_seq": 2, "region": "fr-par"}
            ]
            assert value(catalog, "SELECT raw FROM quarantine") == b"\xff\x00"


class TestSpan:
    def test_event_views_hold_only_the_span_half_open(self, archive: Archive) -> None:
        span = Span(NOW - DAY, NOW)
        with open_catalog(archive, archive.ledger(), span=span) as catalog:
            assert value(catalog, "SELECT list(id ORDER BY id) FROM events") == [
                *("failed", "in", "out", "rotated", "strange", "unsaid")
            ]
            assert value(catalog, "SELECT count(*) FROM ledger") == 2

    def test_files_outside_the_span_are_not_even_located(self, archive: Archive) -> None:
        next(archive.path.rglob("month=2026-01/*.parquet")).unlink()
        needs = Needs(tables=frozenset({"api_events"}))
        with open_catalog(archive, archive.ledger(), span=Span(NOW - DAY, NOW + DAY), needs=needs) as catalog:
            assert value(catalog, "SELECT count(*) FROM api_events") == 3
        with pytest.raises(ArchiveDamaged, match="month=2026-01"):
            open_catalog(archive, archive.ledger())


class TestHostileEvents:
    def test_json_that_the_engine_refuses_breaks_no_view(self, tmp_path: Path) -> None:
        waiting = Archives(tmp_path / "archive")
        for number, raw in enumerate((r'{"a": "\ud800"}', '{"a": "\x00\x1b\n"}', '{"a": ' + "[" * 5000, "not json")):
            waiting.api(NOW, "CreateServer", id=f"e{number}", raw=raw, user_agent="\x1b[31m\u202e'; DROP VIEW x; --")
        archive = waiting.commit()
        with open_catalog(archive, archive.ledger()) as catalog:
            for table in catalog.tables():
                rows(catalog, f"SUMMARIZE {table}")
                assert rows(catalog, f"FROM {table}") is not None
            assert value(catalog, "SELECT count(*) FROM events WHERE TRY(raw->>'$.a') IS NULL") == 4


class TestFiles:
    def test_a_missing_file_fails_with_its_name(self, archive: Archive) -> None:
        gone = next(archive.path.rglob("month=2026-01/*.parquet"))
        gone.unlink()
        with pytest.raises(ArchiveDamaged, match=gone.name):
            open_catalog(archive, archive.ledger())

    @pytest.mark.parametrize("length", [0, 100, -1])
    def test_a_file_that_lost_its_end_fails_with_its_name(self, archive: Archive, length: int) -> None:
        torn = next(archive.path.rglob("month=2026-01/*.parquet"))
        content = torn.read_bytes()
        torn.chmod(0o600)
        torn.write_bytes(content[:length])
        with pytest.raises(ArchiveDamaged, match=torn.name):
            open_catalog(archive, archive.ledger())

    @pytest.mark.parametrize("sealed", [False, True])
    @pytest.mark.parametrize("at", [0.02, 0.5, 0.99])
    def test_a_flipped_bit_anywhere_fails_the_opening(self, archive: Archive, at: float, *, sealed: bool) -> None:
        spoilt = next(archive.path.rglob("month=2026-01/*.parquet"))
        content = bytearray(spoilt.read_bytes())
        content[int(len(content) * at)] ^= 1
        spoilt.chmod(0o600)
        spoilt.write_bytes(content)
        with pytest.raises(IntegrityViolated, match=spoilt.name) as caught:
            open_catalog(archive, archive.ledger(), limits=Limits(sealed=sealed))
        assert caught.value.exit_code == ExitCode.INTEGRITY

    def test_a_file_that_cannot_be_read_is_named(self, archive: Archive) -> None:
        gone = next(archive.path.rglob("month=2026-01/*.parquet"))
        gone.unlink()
        gone.mkdir()
        with pytest.raises(ArchiveDamaged, match=gone.name):
            open_catalog(archive, archive.ledger())

    def test_what_was_compared_is_not_read_again_until_it_changes(
        self, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(soundness, "_FRESH_NS", -(10**12))
        read: list[str] = []
        cached = sorted((archive.path / ".cache").rglob("*"))
        check_file = soundness.check_file

        def counted(path: str, *rest: Any, **named: Any) -> None:
            read.append(path)
            check_file(path, *rest, **named)

        monkeypatch.setattr(soundness, "check_file", counted)
        open_catalog(archive, archive.ledger()).close()
        first = len(read)
        assert first == len(archive.ledger().live)
        open_catalog(archive, archive.ledger()).close()
        assert len(read) == first
        touched = next(archive.path.rglob("month=2026-01/*.parquet"))
        os.utime(touched, ns=(1, 1))
        open_catalog(archive, archive.ledger()).close()
        assert read[first:] == [str(touched.resolve())]
        (memory,) = (tmp_path / "cache" / "trailkeep" / "compared").iterdir()
        for nonsense in (b"", b"[]", b'{"format": 1, "files": 3}', b"\xff", b'{"format": 9, "files": {}}'):
            memory.write_bytes(nonsense)
            open_catalog(archive, archive.ledger()).close()
        assert sorted((archive.path / ".cache").rglob("*")) == cached

    def test_without_a_place_for_the_memory_every_file_is_read(
        self, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocked = tmp_path / "blocked"
        blocked.write_text("no folder")
        monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
        with open_catalog(archive, archive.ledger()) as catalog:
            assert value(catalog, "SELECT count(*) FROM api_events") == 4

    def test_a_memory_that_is_no_file_is_left_alone(
        self, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(soundness, "_FRESH_NS", -(10**12))
        open_catalog(archive, archive.ledger()).close()
        (memory,) = (tmp_path / "cache" / "trailkeep" / "compared").iterdir()
        memory.unlink()
        os.mkfifo(memory)  # whoever opens it waits for somebody to write into it
        open_catalog(archive, archive.ledger()).close()

    @pytest.mark.parametrize("home", ["", "/", "relative"])
    def test_a_home_that_is_none_has_no_memory(self, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv("HOME", home)
        assert soundness.cache_folder("compared") is None

    def test_strangers_in_the_folders_are_not_read(self, archive: Archive) -> None:
        live = next(archive.path.rglob("month=2026-01/*.parquet"))
        shutil.copy(live, live.with_name("copy.parquet"))
        (archive.path / "api_events" / "stray.parquet").write_text("no parquet")
        with open_catalog(archive, archive.ledger()) as catalog:
            assert value(catalog, "SELECT count(*) FROM api_events") == 4

    def test_a_commit_that_is_not_finished_is_read_from_its_staging_folder(self, tmp_path: Path) -> None:
        waiting = Archives(tmp_path / "archive")
        waiting.api(NOW, "CreateServer", id="first")
        waiting.commit()
        partition = {"organization_id": ORGANIZATION, "region": "nl-ams", "month": "2026-03"}
        row = {"id": "second", "recorded_at": NOW.replace(tzinfo=None), "raw": "{}"}
        new = NewRows(table=schema.API_EVENTS, partition=partition, rows=rows_of(schema.API_EVENTS, [row]))
        with pytest.raises(StoreError), Writer(tmp_path / "archive", clock=lambda: NOW, disk=_NoRename()) as writer:
            writer.commit(Commit(operation="sync", started_at=NOW, added=[new]))
        archive = Archive.open(tmp_path / "archive")
        assert list(archive.path.rglob(".staging/**/*.parquet"))
        with open_catalog(archive, archive.ledger()) as catalog:
            assert rows(catalog, "SELECT id, region, month FROM api_events ORDER BY id") == [
                {"id": "first", "region": "fr-par", "month": "2026-03"},
                {"id": "second", "region": "nl-ams", "month": "2026-03"},
            ]

    def test_an_archive_below_a_folder_that_looks_like_a_partition(self, tmp_path: Path) -> None:
        place = tmp_path / "month=1999-01" / "x=1 y'z"
        waiting = Archives(place)
        waiting.api(NOW, "CreateServer")
        archive = waiting.commit()
        with open_catalog(archive, archive.ledger()) as catalog:
            assert value(catalog, "SELECT month FROM api_events") == "2026-03"

    def test_a_path_that_the_engine_would_read_as_a_pattern_is_refused(self, tmp_path: Path) -> None:
        archive = empty_archive(tmp_path / "a[b]")
        with pytest.raises(StoreError, match="pattern"):
            open_catalog(archive, archive.ledger())

    def test_a_path_that_is_no_unicode_is_refused(self, tmp_path: Path) -> None:
        archive = empty_archive(tmp_path / "a\udcff")
        with pytest.raises(StoreError, match="not valid Unicode"):
            open_catalog(archive, archive.ledger())

    def test_a_symbolic_link_to_the_archive_is_as_good(self, archive: Archive, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(archive.path)
        linked = Archive.open(link)
        with open_catalog(linked, linked.ledger()) as catalog:
            assert value(catalog, "SELECT count(*) FROM events") == 8


class _NoRename(Disk):
    """A disk that fails after the commit point."""

    def rename(self, source: Path, target: Path) -> None:
        raise OSError(5, "Input/output error", str(source))


class TestSealed:
    QUESTIONS = (
        "FROM events ORDER BY ALL",
        "FROM event_resources ORDER BY ALL",
        "FROM api_events ORDER BY ALL",
        "FROM authentication_events ORDER BY ALL",
        "FROM system_events ORDER BY ALL",
        "FROM revisions ORDER BY ALL",
        "FROM requests ORDER BY ALL",
        "FROM ledger ORDER BY ALL",
        "SELECT region, month, count(*) FROM events JOIN api_events USING (id, region) GROUP BY ALL ORDER BY ALL",
        "SELECT id FROM api_events WHERE recorded_at >= TIMESTAMP '2026-02-01' AND source_ip IS NULL ORDER BY id",
        "SELECT count(*) FROM api_events WHERE region = 'nl-ams' AND method_name LIKE 'Create%'",
        "DESCRIBE events",
        "SHOW TABLES",
    )

    @pytest.mark.parametrize("span", [None, Span(NOW - DAY, NOW + DAY)])
    def test_it_gives_the_same_as_reading_directly(self, archive: Archive, span: Span | None) -> None:
        ledger = archive.ledger()
        with (
            open_catalog(archive, ledger, span=span) as plain,
            open_catalog(archive, ledger, span=span, limits=Limits(sealed=True)) as sealed,
        ):
            for question in self.QUESTIONS:
                one, other = (each.connection.sql(question).to_arrow_table() for each in (plain, sealed))
                assert one.schema == other.schema, question
                assert one.to_pylist() == other.to_pylist(), question
            assert sealed.tables() == plain.tables()

    def test_another_cursor_sees_the_same(self, archive: Archive) -> None:
        with open_catalog(archive, archive.ledger(), limits=Limits(sealed=True)) as catalog:
            assert catalog.connection.cursor().execute("SELECT count(*) FROM api_events").fetchall() == [(4,)]

    def test_not_even_a_live_file_can_be_opened(self, archive: Archive) -> None:
        live = next(archive.path.rglob("*.parquet")).resolve()
        with open_catalog(archive, archive.ledger(), limits=Limits(sealed=True)) as catalog:
            for reach in (f"FROM read_parquet('{live}')", f"FROM read_text('{live}')", f"COPY ledger TO '{live}'"):
                with pytest.raises(duckdb.PermissionException):
                    catalog.connection.execute(reach)


class TestNeeds:
    def test_only_what_is_needed_is_made_and_its_files_alone_are_opened(self, archive: Archive) -> None:
        with open_catalog(archive, archive.ledger(), needs=Needs(tables=frozenset({"system_events"}))) as catalog:
            assert list(catalog.tables()) == ["system_events"]
            assert all("system_events" in path for path in catalog.files)
        with open_catalog(archive, archive.ledger(), needs=Needs(functions=frozenset({"ip_in_cidr"}))) as catalog:
            assert value(catalog, "SELECT ip_in_cidr('192.0.2.1', '192.0.2.0/24')") is True
            assert catalog.tables() == {}

    def test_each_table_alone_is_what_it_is_among_all(self, archive: Archive) -> None:
        extra = coverage_tables(archive.ledger(), NOW)
        assert extra.keys() == EXTRA
        with open_catalog(archive, archive.ledger(), extra=extra) as whole:
            assert whole.tables().keys() == table_names()
            for name in sorted(table_names()):
                needs = Needs(tables=frozenset({name}))
                with open_catalog(archive, archive.ledger(), extra=extra, needs=needs) as catalog:
                    question = f"FROM {name} ORDER BY ALL"
                    assert rows(catalog, question) == rows(whole, question), name


class TestLimits:
    def test_the_configuration_is_locked_and_utc(self, archive: Archive) -> None:
        limits = Limits(memory="300MiB", threads=1, temporary_disk="1GiB")
        with open_catalog(archive, archive.ledger(), limits=limits) as catalog:
            settings = {row["name"]: row["value"] for row in rows(catalog, "SELECT name, value FROM duckdb_settings()")}
        assert settings["TimeZone"] == "UTC"
        assert settings["enable_external_access"] == "false"
        assert settings["lock_configuration"] == "true"
        assert settings["python_enable_replacements"] == "false"
        assert settings["memory_limit"] == "300.0 MiB"
        assert settings["max_temp_directory_size"] == "1.0 GiB"
        assert settings["threads"] == "1"

    def test_a_sort_beyond_memory_spills_and_leaves_nothing(self, archive: Archive, tmp_path: Path) -> None:
        spill = tmp_path / "spill"
        spill.mkdir()
        limits = Limits(memory="100MiB", threads=1, temporary_directory=spill)
        with open_catalog(archive, archive.ledger(), limits=limits) as catalog:
            words = "SELECT repeat('x', 100) || (i * 7919 % 1000003) AS s FROM range(1000000) t(i) ORDER BY s"
            assert value(catalog, f"SELECT count(*) FROM ({words})") == 1_000_000
        assert list(spill.iterdir()) == []


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """That of an archive which holds nothing, for the macros alone."""
    archive = empty_archive(tmp_path_factory.mktemp("macros") / "archive")
    with open_catalog(archive, archive.ledger()) as catalog:
        yield catalog


class TestMacros:
    def test_ip_in_cidr_agrees_with_python(self, catalog: Catalog) -> None:
        drawn = random.Random(7)
        sparse = [drawn.getrandbits(128) & drawn.getrandbits(128) & drawn.getrandbits(128) for _ in range(60)]
        addresses = [
            *(str(ipaddress.IPv6Address(number)) for number in sparse),
            *(str(ipaddress.IPv4Address(drawn.getrandbits(32))) for _ in range(60)),
            *("0.0.0.0", "255.255.255.255", "::", "::1", "2001:DB8::1", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8"),
            *("1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:192.0.2.1", "64:ff9b::192.0.2.1"),
            *("", "x", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", " 1.2.3.4", "1.2.3.4\n", "1.2.3.4/32", "1::2::3"),
            *(":::", "12345::", "g::", "1:2:3:4:5:6:7:8:9", "1:", ":1", "fe80::1%eth0", "1:2:3:4:5:6:7:192.0.2.1"),
        ]
        networks = [
            *(f"{address}/{drawn.choice((0, 1, 9, 16, 31, 32, 64, 127, 128))}" for address in addresses[:120:4]),
            *("192.0.2.0/24", "192.0.2.1", "0.0.0.0/0", "::/0", "2001:db8::/32", "::ffff:192.0.2.0/120", "::1"),
            *("", "/", "x", "192.0.2.0/", "192.0.2.0/33", "::/129", "192.0.2.0/-1", "192.0.2.0/24/1", "/24"),
        ]
        table = pa.table(
            {"ip": [a for a in addresses for _ in networks], "cidr": [n for _ in addresses for n in networks]}
        )
        catalog.connection.register("pairs", table)
        for row in rows(catalog, "SELECT *, ip_in_cidr(ip, cidr) AS inside FROM pairs"):
            assert row["inside"] is _inside(row["ip"], row["cidr"]), row

    def test_null_in_null_out(self, catalog: Catalog) -> None:
        sql = "SELECT [ip_in_cidr(NULL, '192.0.2.0/24'), ip_in_cidr('192.0.2.1', NULL), is_success(NULL)]"
        assert value(catalog, sql) == [None, None, None]
        assert value(catalog, "SELECT [verb(NULL), verb(''), user_agent_family(NULL)]") == [None, None, None]

    def test_success_is_2xx(self, catalog: Catalog) -> None:
        sql = "SELECT list(is_success(c) ORDER BY c) FROM unnest([199, 200, 202, 299, 300, 403]) t(c)"
        assert value(catalog, sql) == [False, True, True, True, False, False]

    @pytest.mark.parametrize(
        ("method", "verb"),
        [
            ("CreateServer", "Create"),
            ("SetACL", "Set"),
            ("RebootServer", "Reboot"),
            ("Login/password", "Login"),
            ("1", None),
        ],
    )
    def test_the_verb_is_the_first_word(self, catalog: Catalog, method: str, verb: str | None) -> None:
        assert value(catalog, f"SELECT verb('{method}')") == verb

    @pytest.mark.parametrize(
        ("agent", "family"),
        [
            ("scaleway-sdk-go/v1.0.0-beta.7+dev (go1.25.3) terraform-provider/develop terraform/1.9", "terraform"),
            ("scaleway-sdk-go/v1.0.0-beta.7 (go1.25.3; linux; amd64)", "scaleway-sdk-go"),
            ("scaleway-cli/2.40.0 (go1.24; linux; amd64)", "scaleway-cli"),
            ("python-requests/2.32.3", "python"),
            ("curl/8.5.0", "curl"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "browser"),
            ("", "other"),
        ],
    )
    def test_user_agents_have_families(self, catalog: Catalog, agent: str, family: str) -> None:
        assert value(catalog, f"SELECT user_agent_family('{agent}')") == family


def _number(text: str) -> int:
    """An address as 128 bits, IPv4 in its mapped form; raises ValueError."""
    if "%" in text:
        raise ValueError(text)
    address = ipaddress.ip_address(text)
    return int(address) + (0xFFFF << 32 if address.version == 4 else 0)


def _inside(ip: str, cidr: str) -> bool | None:
    try:
        number, (base, slash, length) = _number(ip), cidr.partition("/")
        network, longest = _number(base), 128 if ":" in base else 32
        bits = int(length) if slash and length.isdigit() else longest
        if bits > longest or (slash and not length.isdigit()):
            return None
    except ValueError:
        return None
    shift = longest - bits
    return number >> shift == network >> shift


def test_a_closed_catalog_leaves_no_temporary_folder(tmp_path: Path) -> None:
    archive = empty_archive(tmp_path / "archive")
    (tmp_path / "spill").mkdir()
    open_catalog(archive, archive.ledger(), limits=Limits(temporary_directory=tmp_path / "spill")).close()
    assert list((tmp_path / "spill").iterdir()) == []


def test_times_have_no_zone_and_no_shift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    waiting = Archives(tmp_path / "archive")
    waiting.api(NOW, "CreateServer")
    archive = waiting.commit()
    with open_catalog(archive, archive.ledger()) as catalog:
        assert value(catalog, "SELECT recorded_at FROM events") == datetime(2026, 3, 1, 12)  # noqa: DTZ001
