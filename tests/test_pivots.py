"""The pivot index: what it says of a segment, whatever is in it, and that nothing that is odd about it hides a row."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archives import Archives, a_resource, an_id, rows_of
from faulty_disk import UnsyncedDisk
from forked import run_text
from trailkeep import schema
from trailkeep.catalog.conditions import Box, Texts
from trailkeep.pivots import keeping
from trailkeep.pivots.file import IndexFile, Unusable
from trailkeep.pivots.hashing import Hasher
from trailkeep.pivots.kinds import COLUMNS
from trailkeep.pivots.making import make
from trailkeep.pivots.narrowing import joined_to, narrowed
from trailkeep.pivots.seen import seen
from trailkeep.store import Archive, Commit, NewRows, Writer, layout
from trailkeep.store.compaction import compact, plan_compaction
from trailkeep.store.purge import plan_purge, purge
from trailkeep.store.segments import build_segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = "0d3a4f2e-5b1c-4e7a-9a53-6f1f0a3f5a11"
TABLES = {"api_events": schema.API_EVENTS, "authentication_events": schema.AUTHENTICATION_EVENTS}

# Hashes


@given(st.lists(st.one_of(st.uuids().map(str), st.uuids().map(lambda each: str(each).upper()), st.text())))
def test_a_column_is_hashed_as_its_values_are(values: list[str]) -> None:
    hasher = Hasher(ID)
    array = pa.array(values, pa.string())
    assert hasher.of_all(array).to_pylist() == [hasher.of(value) for value in values]
    assert hasher.of_all(array[1:]).to_pylist() == [hasher.of(value) for value in values[1:]]


def test_what_only_looks_like_ids_side_by_side_is_hashed_value_by_value() -> None:
    whole = an_id("a") + an_id("b")
    for values in ([whole[:35], whole[35:]], [whole[:37], whole[37:]], [an_id("a").replace("-", "0"), an_id("b")]):
        assert Hasher(ID).of_all(pa.array(values)).to_pylist() == [Hasher(ID).of(value) for value in values]


def test_hashes_differ_between_values_and_between_archives() -> None:
    values = [*(an_id(str(number)) for number in range(2000)), *(f"192.0.2.{number}" for number in range(2000))]
    hashes = {Hasher(ID).of(value) for value in values}
    assert len(hashes) == len(values)
    assert not hashes & {Hasher(ID[::-1]).of(value) for value in values}
    assert all(0 <= each < 1 << 56 for each in hashes)
    # Ids made from a clock have one half in common: neither half alone is the hash.
    clocks = [f"{number:08x}-1dd2-11b2-8000-0242ac120002" for number in range(2000)]
    assert len({Hasher(ID).of(value) for value in clocks}) == len(clocks)


# What an index says of a segment

_VALUES = st.sampled_from([None, "", "a", "b", "192.0.2.1", an_id("one"), an_id("two"), an_id("one").upper(), "é\x00"])
_RESOURCES = st.one_of(
    st.none(),
    st.lists(
        st.one_of(
            st.none(),
            st.builds(
                lambda value, kind: {"id": value, "type": kind},
                _VALUES,
                st.sampled_from([None, "iam_user", "account_user", "server"]),
            ),
        ),
        max_size=4,
    ),
)


@st.composite
def _segments(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    table = draw(st.sampled_from(sorted(TABLES)))
    rows = []
    for number in range(draw(st.integers(1, 60))):
        row: dict[str, Any] = {
            "id": f"{number:04}",
            "recorded_at": (START + timedelta(seconds=draw(st.integers(0, 200)))).replace(tzinfo=None),
            "resources": draw(_RESOURCES),
            "raw": "{}",
        }
        for column in COLUMNS[table]:
            if column in TABLES[table].arrow_schema.names:
                row[column] = draw(_VALUES)
        rows.append(row)
    return table, rows


def values_by_hand(table: str, row: dict[str, Any]) -> set[tuple[str, str]]:
    """Column and value of all that is indexed of a row."""
    found = {(column, row[column]) for column in COLUMNS[table] if row.get(column) is not None}
    resources = [each for each in row["resources"] or [] if each is not None and each["id"] is not None]
    if "resource_ids" in COLUMNS[table]:
        found |= {("resource_ids", each["id"]) for each in resources}
    users = [each["id"] for each in resources if each["type"] in ("iam_user", "account_user")]
    if "user_id" in COLUMNS[table] and users:
        found.add(("user_id", users[0]))
    return found


def a_file(folder: Path, table: str, rows: list[dict[str, Any]], name: str = "segment") -> Path:
    content = rows_of(TABLES[table], rows)
    content = content.append_column("ledger_seq", pa.array([1] * len(rows), pa.int64()))
    content = pa.table([content[each] for each in TABLES[table].arrow_schema.names], TABLES[table].arrow_schema)
    path = folder / name
    path.write_bytes(build_segment(TABLES[table], content).content)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segment=_segments(), block_rows=st.integers(1, 9))
def test_an_index_tells_of_every_value_when_and_how_often(
    tmp_path: Path, segment: tuple[str, list[dict[str, Any]]], block_rows: int
) -> None:
    table, rows = segment
    path = a_file(tmp_path, table, rows)
    start = keeping.microseconds(START)
    sha256 = "0" * 64
    content = make(path, archive_id=ID, sha256=sha256, table=table, rows=len(rows), start=start, block_rows=block_rows)
    (tmp_path / "index").write_bytes(content)
    index = IndexFile(tmp_path / "index", ID, sha256)
    expected: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        for column, value in values_by_hand(table, row):
            time = keeping.microseconds(row["recorded_at"].replace(tzinfo=UTC))
            expected[COLUMNS[table][column], value].append(time)
    descriptor = index.open()
    try:
        for kind in set(COLUMNS[table].values()):
            for value in ["", "a", "b", "c", "192.0.2.1", an_id("one"), an_id("two"), an_id("one").upper(), "é\x00"]:
                found = index.find(descriptor, kind, Hasher(ID).of(value))
                times = expected.get((kind, value), [])
                assert sum(count for _first, _last, count in found) == len(times)
                assert all(any(first <= time <= last for first, last, _count in found) for time in times)
                assert min((each[0] for each in found), default=None) == min(times, default=None)
                assert max((each[1] for each in found), default=None) == max(times, default=None)
    finally:
        os.close(descriptor)
    index.check()


def test_long_lists_and_numbers_are_found_as_short_ones_are(tmp_path: Path) -> None:
    """More values than a list has without bounds, and one that occurs more often than two bytes can say."""
    count = 70_000
    rows = pa.table(
        {
            "recorded_at": pa.array([START.replace(tzinfo=None)] * count, pa.timestamp("us")),
            **{name: pa.array(["common"] * count) for name in ("source_ip", "user_agent", "method_name")},
            "principal_id": pa.array([an_id(str(row // 20)) for row in range(count)]),
            "request_id": pa.array([an_id(f"request {row}") if row < 3000 else None for row in range(count)]),
            "resources": pa.nulls(count, pa.list_(schema.RESOURCE)),
        }
    )
    pa.parquet.write_table(rows, tmp_path / "segment")
    start = keeping.microseconds(START)
    content = make(tmp_path / "segment", archive_id=ID, sha256="0" * 64, table="api_events", rows=count, start=start)
    (tmp_path / "index").write_bytes(content)
    index = IndexFile(tmp_path / "index", ID, "0" * 64)
    descriptor = index.open()
    hasher = Hasher(ID)
    assert sum(each[2] for each in index.find(descriptor, "address", hasher.of("common"))) == count
    for number in range(0, 3000, 7):
        assert index.find(descriptor, "request", hasher.of(an_id(f"request {number}"))) == [(start, start, 1)]
    for number in range(0, count // 20, 7):
        assert [each[2] for each in index.find(descriptor, "principal", hasher.of(an_id(str(number))))] == [20]
    assert index.find(descriptor, "request", hasher.of(an_id("another"))) == []
    os.close(descriptor)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 20)), min_size=1),
    st.integers(1, 20),
)
def test_fewer_spans_hold_all_that_more_did(pairs: list[tuple[int, int]], most: int) -> None:
    ends: list[tuple[int, int]] = []
    for first, length in sorted(pairs):
        if not ends or first > ends[-1][1] + 1:
            ends.append((first, first + length))
    few = joined_to(ends, most)
    assert len(few) <= most
    assert all(any(low <= first and last <= high for low, high in few) for first, last in ends)
    assert {low for low, _high in few} <= {first for first, _last in ends}


# Damage


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive of three segments, with logins, and an index of all of it."""
    archives = Archives(tmp_path_factory.mktemp("pivots") / "data")
    for day in range(3):
        for number in range(120):
            at = START + timedelta(days=40 * (day // 2) + day, minutes=number)
            archives.api(
                at,
                f"Method{number % 7}",
                source_ip=f"192.0.2.{number % 11}",
                principal_id=an_id(f"principal {number % 5}"),
                request_id=an_id(f"request {day} {number}"),
                resources=[a_resource("server", f"server {number // 3}")],
            )
        archives.login(START + timedelta(days=day, hours=3), "alice", source_ip="203.0.113.9")
        archives.commit()
    return Archive.open(archives.path)


def copy_of(archive: Archive, folder: Path) -> Archive:
    shutil.copytree(archive.path, folder / "copy")
    return Archive.open(folder / "copy")


def indexes(archive: Archive) -> list[Path]:
    return sorted((archive.path / layout.CACHE / keeping.FOLDER).glob("*"))


def told(archive: Archive) -> tuple[int, int, list[Any]]:
    """What the archive says of some values: by the index, by rows, and when they were seen."""
    ledger = archive.ledger()
    files = [(file, partial(archive.locate, file)) for file in ledger.live.values()]
    values = ["192.0.2.3", "203.0.113.9", an_id("request 1 7"), an_id("server 2"), an_id("alice"), "nowhere", "Method3"]
    outcome = seen(archive.path / layout.CACHE, archive.archive_id, files, values)
    return outcome.from_index, outcome.from_rows, outcome.sightings


def test_what_is_seen_is_the_same_by_the_index_and_by_the_rows(indexed: Archive, tmp_path: Path) -> None:
    by_index, by_rows, sightings = told(indexed)
    assert (by_index, by_rows) == (len(indexes(indexed)), 0)
    assert by_index >= 5
    assert {(each.kind, each.events) for each in sightings} >= {("address", 33), ("request", 1), ("principal", 3)}
    copy = copy_of(indexed, tmp_path)
    half = indexes(copy)[::2]
    for file in half:
        file.unlink()
    assert told(copy) == (by_index - len(half), len(half), sightings)
    shutil.rmtree(copy.path / layout.CACHE)
    assert told(copy) == (0, by_index, sightings)


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def test_a_flipped_bit_anywhere_is_noticed_or_read_by_nobody(indexed: Archive, tmp_path: Path) -> None:
    copy = copy_of(indexed, tmp_path)
    *_, sightings = told(copy)
    file = max(indexes(copy), key=lambda each: each.stat().st_size)
    content = file.read_bytes()
    noticed = 0
    for at in range(0, len(content), max(1, len(content) // 150)):
        file.write_bytes(flipped(content, at, at % 8))
        _by_index, by_rows, again = told(copy)
        assert again == sightings
        noticed += by_rows
        with pytest.raises(Unusable):
            IndexFile(file, copy.archive_id, file.stem).check()
    assert noticed > 100


@pytest.mark.parametrize(
    "damage",
    [
        lambda _content: b"",
        lambda content: content[:20],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"\0" * len(content),
        lambda content: content[::-1],
    ],
)
def test_a_file_that_is_no_index_is_not_used_and_made_anew(
    indexed: Archive, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    copy = copy_of(indexed, tmp_path)
    *_, sightings = told(copy)
    sound = {file: file.read_bytes() for file in indexes(copy)}
    for file, content in sound.items():
        file.write_bytes(damage(content))
    assert told(copy) == (0, len(sound), sightings)
    with Writer(copy.path, clock=lambda: NOW):
        pass
    assert {file: file.read_bytes() for file in indexes(copy)} == sound
    assert told(copy) == (len(sound), 0, sightings)


def test_an_index_of_another_segment_or_archive_is_not_used(indexed: Archive, tmp_path: Path) -> None:
    copy = copy_of(indexed, tmp_path)
    *_, sightings = told(copy)
    names = indexes(copy)
    contents = [file.read_bytes() for file in names]
    for file, content in zip(names, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)
    assert told(copy)[:2] == (0, len(names))
    for file, live in zip(names, sorted(copy.ledger().live.values(), key=lambda each: each.record.sha256), strict=True):
        file.write_bytes(
            make(
                copy.locate(live),
                archive_id="another",
                sha256=live.record.sha256,
                table=live.table,
                rows=live.record.rows,
                start=keeping.microseconds(live.first),
            )
        )
    assert told(copy) == (0, len(names), sightings)


def test_links_folders_and_pipes_are_not_followed(indexed: Archive, tmp_path: Path) -> None:
    copy = copy_of(indexed, tmp_path)
    *_, sightings = told(copy)
    linked, folder, pipe = indexes(copy)[:3]
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    folder.unlink()
    folder.mkdir()
    pipe.unlink()
    os.mkfifo(pipe)
    assert told(copy)[1:] == (3, sightings)
    with Writer(copy.path, clock=lambda: NOW):
        pass
    assert not linked.is_symlink()
    assert (tmp_path / "elsewhere").exists()
    assert told(copy)[1:] == (1, sightings)


# Narrowing

_BOXES = st.lists(
    st.builds(
        lambda texts, since, length: Box(
            since=None if since is None else START + timedelta(minutes=since),
            until=None if since is None or length is None else START + timedelta(minutes=since + length),
            texts={name: Texts(among=frozenset(values)) for name, values in texts.items()},
        ),
        st.dictionaries(
            st.sampled_from(["source_ip", "principal_id", "method_name", "request_id", "resource_ids", "id"]),
            st.lists(
                st.sampled_from(
                    [
                        *(f"192.0.2.{number}" for number in range(3)),
                        *(an_id(f"principal {number}") for number in range(2)),
                        *(an_id(f"request 2 {number}") for number in range(4)),
                        *(an_id(f"server {number}") for number in range(4)),
                        "Method1",
                        "no such value",
                    ]
                ),
                max_size=6,
            ),
            max_size=2,
        ),
        st.one_of(st.none(), st.integers(0, 200)),
        st.one_of(st.none(), st.integers(1, 5000)),
    ),
    min_size=1,
    max_size=3,
)


def meets(row: dict[str, Any], box: Box) -> bool:
    at = row["recorded_at"].replace(tzinfo=UTC)
    if (box.since is not None and at < box.since) or (box.until is not None and at >= box.until):
        return False
    values = {name: {row[name]} for name in row if isinstance(row[name], str)}
    values["resource_ids"] = {each["id"] for each in row["resources"] or []}
    return all(texts.among is None or values[name] & texts.among for name, texts in box.texts.items())


@given(boxes=_BOXES)
def test_no_row_of_use_is_outside_of_what_is_left(indexed: Archive, boxes: list[Box]) -> None:
    files = list(indexed.ledger().files("api_events"))
    kept = {
        file.record.path: spans
        for file, spans in narrowed(indexed.path / layout.CACHE, indexed.archive_id, "api_events", boxes, files)
    }
    for file in files:
        for row in pa.parquet.read_table(indexed.locate(file), partitioning=None).to_pylist():
            if any(meets(row, box) for box in boxes):
                spans = kept[file.record.path]
                at = row["recorded_at"].replace(tzinfo=UTC)
                assert spans is None or any(span.start <= at < span.end for span in spans)


def test_a_needle_leaves_one_file_and_its_moment(indexed: Archive) -> None:
    files = list(indexed.ledger().files("api_events"))
    box = Box(texts={"request_id": Texts(among=frozenset([an_id("request 1 7")]))})
    [(file, spans)] = narrowed(indexed.path / layout.CACHE, indexed.archive_id, "api_events", [box], files)
    assert spans is not None
    at = START + timedelta(days=1, minutes=7)
    assert [(span.start, span.end) for span in spans] == [(at, at + timedelta(microseconds=1))]
    assert file.first <= at <= file.last
    nothing = Box(texts={"request_id": Texts(among=frozenset(["no such value"]))})
    assert narrowed(indexed.path / layout.CACHE, indexed.archive_id, "api_events", [nothing], files) == []
    whole = narrowed(indexed.path / layout.CACHE, indexed.archive_id, "api_events", [Box(), nothing], files)
    assert [spans for _file, spans in whole] == [None] * len(files)


# The archive's writer


def assert_indexed(path: Path) -> None:
    """There is an index of each live segment of the tables that have one, and nothing else; all of it is sound."""
    archive = Archive.open(path)
    live = {f"{file.record.sha256}.pivots": file for file in archive.ledger().live.values() if file.table in COLUMNS}
    assert {file.name for file in indexes(archive)} == set(live)
    for file in indexes(archive):
        index = IndexFile(file, archive.archive_id, file.stem)
        index.check()
        index.check_for(live[file.name].table, live[file.name].record.rows)


def test_each_commit_extends_the_index_and_a_compaction_replaces_it(indexed: Archive, tmp_path: Path) -> None:
    copy = copy_of(indexed, tmp_path)
    assert_indexed(copy.path)
    *_, sightings = told(copy)
    with Writer(copy.path, clock=lambda: NOW) as writer:
        before = set(indexes(copy))
        entries = compact(writer, plan_compaction(writer.ledger, NOW, everything=True), started_at=NOW)
        new = {record.sha256 for entry in entries for record in entry.files_added}
        assert {file.stem for file in set(indexes(copy)) - before} == new != set()
    assert_indexed(copy.path)
    assert told(copy)[1:] == (0, sightings)


def test_a_purge_leaves_nothing_of_what_was_purged(indexed: Archive, tmp_path: Path) -> None:
    copy = copy_of(indexed, tmp_path)
    with Writer(copy.path, clock=lambda: NOW) as writer:
        plan = plan_purge(copy, writer.ledger, START + timedelta(days=1, minutes=50))
        before = {file.name: file.stat().st_ino for file in indexes(copy)}
        purge(writer, plan, reason="too old", started_at=NOW)
    assert indexes(copy) == []
    with Writer(copy.path, clock=lambda: NOW):
        pass
    assert_indexed(copy.path)
    assert not before.keys() >= {file.name for file in indexes(copy)}
    purged, kept = an_id("request 0 7"), an_id("request 1 70")
    ledger = copy.ledger()
    files = [(file, partial(copy.locate, file)) for file in ledger.live.values()]
    outcome = seen(copy.path / layout.CACHE, copy.archive_id, files, [purged, kept])
    assert [each.value for each in outcome.sightings] == [kept]
    assert outcome.from_rows == 0


def test_tables_without_pivots_make_no_folder(tmp_path: Path) -> None:
    row = {"kind": "api", "id": "1", "recorded_at": START.replace(tzinfo=None), "raw": "{}"}
    rows = NewRows(table=schema.REVISIONS, partition={"month": "2026-01"}, rows=rows_of(schema.REVISIONS, [row]))
    with Writer(tmp_path / "data", clock=lambda: NOW) as writer:
        writer.commit(Commit(operation="sync", started_at=NOW, added=[rows]))
    assert not (tmp_path / "data" / layout.CACHE / keeping.FOLDER).exists()


class FullDisk(UnsyncedDisk):
    """Has no room in the archive's cache from its operation number `left` there on."""

    def __init__(self, left: int) -> None:
        self.left = left

    def _count(self, path: Path) -> None:
        if layout.CACHE in path.parts:
            self.left -= 1
            if self.left < 0:
                raise OSError(28, "No space left on device")

    def mkdir(self, path: Path) -> None:
        self._count(path)
        super().mkdir(path)

    def create(self, path: Path) -> int:
        self._count(path)
        return super().create(path)

    def append(self, descriptor: int, content: memoryview) -> int:
        if self.left == 0 and b"trailkeep-pivots" in bytes(content[:16]):
            os.write(descriptor, content[:50])
            raise OSError(28, "No space left on device")
        return super().append(descriptor, content)

    def rename(self, source: Path, target: Path) -> None:
        self._count(target)
        super().rename(source, target)


@pytest.mark.parametrize("left", range(8))
def test_a_full_disk_costs_the_index_and_not_the_commit(tmp_path: Path, left: int) -> None:
    archives = Archives(tmp_path / "data")
    archives.api(START, "CreateServer", request_id=an_id("request"))
    archives.commit()
    shutil.rmtree(tmp_path / "data" / layout.CACHE)
    row = {"id": "1", "recorded_at": START.replace(tzinfo=None), "raw": "{}", "source_ip": "192.0.2.77"}
    new = NewRows(
        table=schema.API_EVENTS,
        partition={"organization_id": an_id("o"), "region": "fr-par", "month": "2026-01"},
        rows=rows_of(schema.API_EVENTS, [row]),
    )
    with Writer(tmp_path / "data", clock=lambda: NOW, disk=FullDisk(left)) as writer:
        seq = writer.commit(Commit(operation="sync", started_at=NOW, added=[new])).seq
    archive = Archive.open(tmp_path / "data")
    assert archive.ledger().head.seq == seq  # type: ignore[union-attr]
    assert not any(file.suffix == ".part" for file in indexes(archive))
    files = [(file, partial(archive.locate, file)) for file in archive.ledger().live.values()]
    outcome = seen(archive.path / layout.CACHE, archive.archive_id, files, ["192.0.2.77"])
    assert [each.events for each in outcome.sightings] == [1]
    with Writer(tmp_path / "data", clock=lambda: NOW):
        pass
    assert_indexed(archive.path)


def test_what_a_killed_writer_left_is_mended_by_the_next(indexed: Archive, tmp_path: Path) -> None:
    copy = copy_of(indexed, tmp_path)
    one, other = indexes(copy)[:2]
    (one.parent / f"{one.stem}.part").write_bytes(one.read_bytes()[:100])
    (one.parent / f"{'f' * 64}.pivots").write_bytes(one.read_bytes())
    other.unlink()
    with Writer(copy.path, clock=lambda: NOW):
        pass
    assert_indexed(copy.path)


def test_nothing_is_written_through_a_link_in_the_place_of_the_folder(indexed: Archive, tmp_path: Path) -> None:
    copy = copy_of(indexed, tmp_path)
    *_, sightings = told(copy)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "theirs").write_text("precious")
    shutil.rmtree(copy.path / layout.CACHE / keeping.FOLDER)
    (copy.path / layout.CACHE / keeping.FOLDER).symlink_to(outside)
    archives = Archives(copy.path, count=1000)
    archives.api(START + timedelta(days=9), "CreateServer", principal_id=an_id("bob"))
    archives.commit()
    assert [each.name for each in outside.iterdir()] == ["theirs"]
    assert told(copy)[2] == sightings


# The command


def command(folder: Path, *arguments: str) -> Any:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    return run_text(arguments, cwd=folder, env=environ)


def test_the_command_tells_first_last_and_how_often(indexed: Archive, tmp_path: Path) -> None:
    archive = ("--archive", str(indexed.path))
    done = command(tmp_path, *archive, "seen", "203.0.113.9", an_id("request 1 7"), "\x1b[31mnobody")
    assert (done.returncode, done.stderr) == (0, "never seen: \\x1b[31mnobody\n")
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    times = "first 2026-01-01T03:00:00.000000Z last 2026-01-03T03:00:00.000000Z"
    assert lines["address"] == f"address 203.0.113.9 {times} 3 in authentication_events".split()
    times = "first 2026-01-02T00:07:00.000000Z last 2026-01-02T00:07:00.000000Z"
    assert lines["request"] == f"request {an_id('request 1 7')} {times} 1 in api_events".split()
    assert len(lines) == 2
    told = json.loads(command(tmp_path, *archive, "seen", "203.0.113.9", "--format", "json").stdout)
    assert told["files"] == {"by_index": len(indexes(indexed)), "read": 0}
    [sighting] = told["sightings"]
    assert (sighting["kind"], sighting["events"], sighting["value"]) == ("address", 3, "203.0.113.9")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("seen",), 2), (("seen", ""), 2), (("--archive", "nowhere", "seen", "x"), 4)],
)
def test_the_command_says_what_is_wrong(
    indexed: Archive, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    done = command(tmp_path, *(("--archive", str(indexed.path)) if "nowhere" not in arguments else ()), *arguments)
    assert done.returncode == code
    assert done.stdout == ""
