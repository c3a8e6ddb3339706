"""However a batch is cut into parts, the rows are the same, and no event is held or committed twice."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_world import QuickDisk
from trailkeep.api import Page
from trailkeep.errors import ArchiveDamaged
from trailkeep.events import Raws, identify, to_rows
from trailkeep.schema import API_EVENTS
from trailkeep.store import Archive, Commit, Writer, read_segment, segments
from trailkeep.store.segments import build_segment, held_versions
from trailkeep.store.writer import _with_seq
from trailkeep.streams import Stream
from trailkeep.sync import taken
from trailkeep.sync.batch import Batch
from trailkeep.sync.report import StreamReport
from trailkeep.sync.window import Piece, Window
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.events import Arrival

START = datetime(2026, 1, 31, 23, 50, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SPAN = Span(START, START + 30 * MINUTE)
STREAM = Stream(organization_id="o", kind="api", region="fr-par")
Version = tuple[int, int, int]
"""An id, a minute and a content."""


def arrival(version: Version) -> Arrival:
    identifier, minute, content = version
    at = (START + minute * MINUTE).isoformat().replace("+00:00", "Z")
    raw = json.dumps({"id": f"event-{identifier}", "recorded_at": at, "user_agent": f"é{content}"})
    return identify([raw.encode()])[0][0]


def page_of(arrivals: list[Arrival]) -> Page:
    return Page(
        events=[each.raw for each in arrivals],
        next_token=None,
        status=200,
        bytes=1,
        sha256="0" * 64,
        request_id=None,
        server_date=None,
        received_at=START,
        attempts=1,
    )


def synced(path: Path, commits: list[list[list[Version]]]) -> tuple[dict[str, Any], Counter[str]]:
    """What an archive holds, and the counters, after a run for each commit that was sent these pages."""
    counters: Counter[str] = Counter()
    window = Window(STREAM, SPAN)
    with Writer(path, clock=lambda: START, disk=QuickDisk()) as writer:
        for number, pages in enumerate(commits):
            # Every other commit belongs to the run before, whose window goes back in time.
            batch = Batch(writer.run, writer.next_seq - number % 2)
            report = StreamReport(stream=STREAM)
            for at, page in enumerate(pages):
                arrivals = list(map(arrival, page))
                piece = Piece(
                    window=window,
                    bounds=SPAN,
                    number=at,
                    page=page_of(arrivals),
                    arrivals=arrivals,
                    rejects=[],
                    proven=None,
                )
                batch.add(piece, report)
            covered = [Span(START + 5 * MINUTE, START + 8 * MINUTE)]
            rows = batch.rows(writer.archive, writer.ledger, {STREAM: report}.__getitem__, lambda _s, c=covered: c)
            writer.commit(Commit(operation="sync", started_at=START, added=rows))
            batch.note_committed()
            counters.update(report.counters)
    archive = Archive.open(path)
    held: dict[str, Any] = {}
    for table in ("api_events", "revisions"):
        files = list(archive.ledger().files(table))
        names = ["id", "recorded_at", "raw", "ledger_seq"]
        rows = [row for file in files for row in read_segment(archive.locate(file), names).to_pylist()]
        held[table] = sorted(rows, key=lambda row: (row["ledger_seq"], row["recorded_at"], row["raw"]))
    return held, counters


def expected(commits: list[list[list[Version]]]) -> tuple[set[str], set[str], Counter[str]]:
    """The same by the rule: the raws of events and of revisions, and the counters."""
    known: dict[int, list[str]] = {}
    events: set[str] = set()
    revisions: set[str] = set()
    counters: Counter[str] = Counter()
    for pages in commits:
        sent = [version for page in pages for version in page]
        counters["fetched"] += len(sent)
        fresh = list(dict.fromkeys(sent))
        counters["duplicate"] += len(sent) - len(fresh)
        for version in sorted(fresh, key=lambda each: each[1]):
            raw = arrival(version).raw.decode()
            versions = known.setdefault(version[0], [])
            if raw in versions:
                counters["duplicate"] += 1
                continue
            counters["revised" if versions else "new"] += 1
            counters["late"] += not versions and 5 <= version[1] < 8
            (revisions if versions else events).add(raw)
            versions.append(raw)
    return events, revisions, counters


versions = st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 1))
commits = st.lists(st.lists(st.lists(versions, max_size=6), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(deadline=None)
@given(commits)
def test_what_is_new_revised_and_known_does_not_depend_on_the_parts(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[list[Version]]]
) -> None:
    # An id keeps its time: what the API sends again is the event of then.
    commits = [[[(each, each * 2, content) for each, _at, content in page] for page in pages] for pages in commits]
    found = []
    for most in (1, 4, 1000):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(taken, "PART_EVENTS", most)
            held, counters = synced(tmp_path_factory.mktemp("taken") / "archive", commits)
            found.append((held, counters))
    assert found[0] == found[1] == found[2]
    held, counters = found[0]
    events, revisions, counted = expected(commits)
    assert sorted(row["raw"] for row in held["api_events"]) == sorted(events)
    assert sorted(row["raw"] for row in held["revisions"]) == sorted(revisions)
    assert {name: counters[name] for name in ("fetched", "new", "revised", "late", "duplicate")} == {
        name: counted[name] for name in ("fetched", "new", "revised", "late", "duplicate")
    }


def test_a_version_with_an_earlier_time_is_the_event_whichever_came_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taken, "PART_EVENTS", 1)
    held, counters = synced(tmp_path / "archive", [[[(1, 9, 0), (2, 3, 0)], [(1, 2, 1)]]])
    assert [row["raw"] for row in held["api_events"]] == [arrival(each).raw.decode() for each in ((1, 2, 1), (2, 3, 0))]
    assert [row["raw"] for row in held["revisions"]] == [arrival((1, 9, 0)).raw.decode()]
    assert (counters["new"], counters["revised"], counters["duplicate"]) == (2, 1, 0)


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_raws_are_what_was_put_in(raws: list[bytes]) -> None:
    found = Raws(raws)
    assert (list(found), len(found), [found[at] for at in range(len(raws))]) == (raws, len(raws), raws)
    assert all(raw in found for raw in raws)
    assert b"more than nine bytes" not in found


class TestHeldVersions:
    """Looking for versions of some ids reads the bytes of no other row group than theirs."""

    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(segments, "ROW_GROUP_ROWS", 4)
        arrivals = [arrival((number, number, 0)) for number in range(20)]
        rows = _with_seq(API_EVENTS, to_rows("api", arrivals), 1)
        (tmp_path / "segment.parquet").write_bytes(build_segment(API_EVENTS, rows).content)
        return tmp_path / "segment.parquet"

    @pytest.mark.parametrize(
        ("ids", "first", "last", "groups"),
        [
            ({"event-5", "event-6", "no such"}, 0, 30, [1]),
            ({"event-1", "event-19"}, 0, 30, [0, 4]),
            ({"event-1", "event-19"}, 2, 19, []),
            ({"event-8", "event-7"}, 8, 9, [2]),
            (set(), 0, 30, []),
        ],
    )
    def test_only_row_groups_with_such_an_id_are_read(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, ids: set[str], first: int, last: int, groups: list[int]
    ) -> None:
        read: list[int] = []
        usual = pq.ParquetFile.read_row_group

        def counted(file: Any, number: int, columns: list[str]) -> Any:
            read.extend([number] if "raw" in columns else [])
            return usual(file, number, columns=columns)

        monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
        span = Span(START + first * MINUTE, START + last * MINUTE)
        found = list(held_versions(path, span, ids))
        rows = read_segment(path, ["id", "raw"], span).to_pylist()
        assert found == [(row["id"], row["raw"].encode()) for row in rows if row["id"] in ids]
        assert read == groups

    def test_a_file_that_cannot_be_read_is_named(self, path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(ArchiveDamaged, match=r"segment\.parquet cannot be read"):
            list(held_versions(path, SPAN, {"event-1"}))
