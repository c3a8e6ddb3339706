"""The fold of the ledger that the cache holds: readers that take it know what readers of every entry know."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_world import HOUR, MINUTE, World
from sync_world import START as SYNC_START
from trailkeep import seal
from trailkeep.coverage import stream_coverage
from trailkeep.errors import ArchiveDamaged
from trailkeep.schema import EVENT_TABLES, STORED_TABLES
from trailkeep.store import Archive, Commit, Disk, Ledger, Writer, layout, remembered
from trailkeep.store.archive import LISTED, describe_archive
from trailkeep.store.ledger import Head
from trailkeep.streams import TABLE_NAMES
from trailkeep.timespan import Span, add_span, format_time, union
from trailkeep.verify import verify_archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from trailkeep.store.looked import ListLooks

ARCHIVE = "33333333-3333-4333-8333-333333333333"
ORGANIZATION = "11111111-1111-4111-8111-111111111111"
START = datetime(2021, 1, 1, tzinfo=UTC)
KINDS = ("api", "authentication", "iam")


class NoSync(Disk):
    """A disk that need not survive a power cut."""

    def sync_file(self, descriptor: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


def hour(number: int) -> str:
    return format_time(START + timedelta(hours=number))


def span_of(begin: int, length: int, *, region: str = "fr-par", kind: str = "api") -> seal.CoverageRecord:
    return seal.CoverageRecord(
        organization_id=ORGANIZATION, kind=kind, region=region, start=hour(begin), end=hour(begin + length)
    )


@dataclass
class History:
    """A ledger whose entries were made by nobody, and bring files that are on no disk."""

    path: Path
    ledger: Ledger = field(default_factory=lambda: Ledger(ARCHIVE))
    contents: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.path / layout.LEDGER).mkdir(parents=True)
        (self.path / layout.ARCHIVE_FILE).write_bytes(describe_archive(ARCHIVE, hour(0)))

    def add(self, operation: str, **said: Any) -> seal.Entry:
        seq = self.ledger.head.seq + 1 if self.ledger.head else 1
        fields = {"run": f"run{seq}", "organization_id": ORGANIZATION} | said
        entry = seal.Entry(
            format=1,
            seq=seq,
            previous=self.ledger.head.sha256 if self.ledger.head else None,
            archive_id=ARCHIVE,
            operation=operation,
            started_at=hour(seq),
            finished_at=hour(seq + 1),
            tool={},
            host="host",
            os_user="user",
            **fields,
        )
        content = seal.encode_entry(entry)
        self.ledger.append(content)
        self.contents.append(content)
        (self.path / layout.LEDGER / layout.entry_name(seq)).write_bytes(content)
        return entry

    def a_file(self, table: str, first: int) -> seal.FileRecord:
        partition = f"organization_id={ORGANIZATION}/region=fr-par/month={hour(first)[:7]}"
        number = len(self.contents)
        return seal.FileRecord(
            path=f"{table}/{partition}/{number}_{first}.parquet",
            bytes=9000 + number,
            sha256="0" * 64,
            rows=3,
            first=hour(first),
            last=hour(first + 1),
            events_digest="1" * 64,
        )

    def remember(self) -> None:
        assert remembered.remember(NoSync(), self.path, self.archive.ledger())

    @property
    def archive(self) -> Archive:
        return Archive(self.path, ARCHIVE)

    @property
    def cache(self) -> Path:
        return self.path / layout.CACHE / remembered.NAME

    def folded_from(self) -> int:
        """After which entry a reader begins to read."""
        return self.archive.ledger().remembered


def a_history(path: Path, syncs: int) -> History:
    history = History(path)
    history.add("init")
    for number in range(syncs):
        history.add(
            "sync",
            coverage=[span_of(number, 1)],
            streams=[
                seal.StreamRecord(
                    organization_id=ORGANIZATION,
                    kind="api",
                    region="fr-par",
                    outcome="read",
                    start=hour(number),
                    end=hour(number + 1),
                )
            ],
            files_added=[history.a_file("api_events", number)],
        )
    return history


def known(ledger: Ledger) -> dict[str, Any]:
    """All that a ledger tells without its entries."""
    names = [name for name in Ledger.__dataclass_fields__ if name not in _OWN]
    told: dict[str, Any] = {name: getattr(ledger, name) for name in names}
    told |= {"findings": ledger.findings, "seen": ledger.seen, "order": [*ledger.live], "looks": looks_of(ledger)}
    told["coverage"] = stream_coverage(ledger, START + timedelta(days=40))
    return told


_OWN = {"folder", "remembered", "later_findings", "later_seen", "_entries", "looks"}


def looks_of(ledger: Ledger) -> dict[Any, ListLooks]:
    return ledger.looks


# Any history


@st.composite
def steps(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """What an entry says, but for the files that it moves or removes."""
    begin = draw(st.integers(0, 900))
    region, kind = draw(st.sampled_from(("fr-par", "nl-ams"))), draw(st.sampled_from(KINDS))
    run = draw(st.sampled_from(("a", "b", "c")))
    spans = st.lists(st.builds(span_of, st.integers(0, 900), st.integers(1, 50), kind=st.just(kind)), max_size=3)
    operation = draw(st.sampled_from(("sync", "compact", "purge", "repair", "detect", "note", "directory")))
    if operation == "sync":
        outcome = draw(st.sampled_from(("read", "partial", "failed", "not_offered", "denied")))
        bounds = {"start": hour(begin), "end": hour(begin + 9)} if draw(st.booleans()) else {}
        stream = seal.StreamRecord(organization_id=ORGANIZATION, kind=kind, region=region, outcome=outcome, **bounds)
        return operation, {
            "run": run,
            "coverage": draw(spans),
            "unreadable": draw(spans),
            "streams": [stream],
            "files": draw(
                st.lists(st.tuples(st.sampled_from(sorted(STORED_TABLES)), st.integers(0, 9000)), max_size=3)
            ),
        }
    if operation == "purge":
        return operation, {"purged": draw(spans), "reason": "a reason"}
    if operation == "note":
        return operation, {"hold": draw(st.sampled_from(("set", "released"))), "reason": draw(st.text(max_size=5))}
    if operation == "directory":
        look = seal.DirectoryRecord(
            organization_id=ORGANIZATION,
            resource=draw(st.sampled_from(("users", "products"))),
            region=draw(st.sampled_from((None, "fr-par"))),
            outcome=draw(st.sampled_from(("read", "partial", "denied"))),
            began_at=hour(begin),
            at=hour(begin + 1),
            objects=begin,
        )
        return operation, {"directory": [look], "files": [("directory/users", begin)]}
    if operation == "detect":
        return operation, draw(detect_entries(begin))
    return operation, {}


@st.composite
def detect_entries(draw: st.DrawFn, begin: int) -> dict[str, Any]:
    ids = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3))
    finding = {"detection": "d", "severity": "low", "first_seen": hour(begin), "last_seen": hour(begin), "summary": "s"}
    until = draw(st.sampled_from((None, hour(begin + 5))))
    return {
        "findings": [seal.FindingRecord(finding_id=each, **finding) for each in ids],
        "mutes": [seal.MuteRecord(finding_id=ids[0], muted=draw(st.booleans()), until=until)],
        "deliveries": [seal.DeliveryRecord(target="pager", finding_ids=ids, at=hour(begin))],
        "detect": seal.DetectRecord(
            start=hour(begin), end=hour(begin + 9), head=draw(st.integers(0, 30)), looked=dict.fromkeys(ids, "x")
        ),
    }


def play(history: History, said: list[tuple[str, dict[str, Any]]], numbers: list[int]) -> None:
    """Add the entries; those that move or remove files take some that are live."""
    history.add("init")
    for (operation, others), number in zip(said, numbers, strict=True):
        fields = dict(others)
        files = [history.a_file(table, first) for table, first in fields.pop("files", ())]
        gone: list[str] = []
        if operation in ("compact", "purge", "repair") and history.ledger.live:
            live = [*history.ledger.live.values()]
            taken = live[number % len(live) :: 2]
            gone = [file.record.path for file in taken]
            if operation == "compact":
                files = [history.a_file(taken[0].table, number % 9000)]
        history.add(
            operation, files_added=[*{each.path: each for each in files}.values()], files_removed=gone, **fields
        )


@settings(max_examples=4 * settings().max_examples, deadline=None)
@given(said=st.lists(steps(), max_size=25), seed=st.integers(0, 10**9), data=st.data())
def test_a_reader_with_the_cache_knows_what_one_without_knows(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, dict[str, Any]]], seed: int, data: st.DataObject
) -> None:
    history = History(tmp_path_factory.mktemp("history") / "data")
    play(history, said, [seed // (number + 1) for number in range(len(said))])
    plain = history.archive.ledger()
    assert plain.remembered == 0
    assert known(plain) == known(history.ledger)
    assert plain.entries == history.ledger.entries
    written_at = data.draw(st.integers(1, len(history.contents)))
    assert remembered.remember(NoSync(), history.path, history.archive.as_of(written_at).ledger())
    cached = history.archive.ledger()
    assert cached.remembered == written_at
    assert known(cached) == known(plain)
    assert cached.entries == plain.entries
    # A fold upon a fold is the same again, to the byte.
    assert remembered.encode(history.archive.ledger()) == remembered.encode(plain)
    asked = data.draw(st.integers(1, len(history.contents)))
    past = Ledger(ARCHIVE)
    for content in history.contents[:asked]:
        past.append(content)
    assert known(history.archive.as_of(asked).ledger()) == known(past)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=20))
def test_spans_taken_in_one_by_one_are_their_union(pairs: list[tuple[int, int]]) -> None:
    moments = [Span(START + timedelta(hours=begin), START + timedelta(hours=begin + length)) for begin, length in pairs]
    spans: list[Span] = []
    for span in moments:
        add_span(spans, span)
    assert spans == union(moments)
    hours = [(span.start - START, span.end - START) for span in spans]
    held = {hour for begin, length in pairs for hour in range(begin, begin + length)}
    assert {hour for hour in range(70) if any(a <= timedelta(hours=hour) < b for a, b in hours)} == held
    assert all(one.end < other.start for one, other in pairwise(spans))


def test_verify_compares_the_cache_with_the_entries(tmp_path: Path) -> None:
    history = History(tmp_path / "data")
    history.add("init")
    history.add("sync", coverage=[span_of(0, 1)])
    history.add("sync", coverage=[span_of(2, 1)])
    history.remember()
    assert verify_archive(history.path).problems == ()
    rewritten(history, {"streams": [STREAM | {"covered": [[hour(0), hour(3)]]}]})
    assert history.folded_from() == 3
    (problem,) = verify_archive(history.path).problems
    assert problem.path == ".cache/ledger.json"


# Damage, accidents and attacks


@settings(max_examples=10 * settings().max_examples, deadline=None)
@given(data=st.data())
def test_a_damaged_cache_changes_no_answer(shared: History, data: st.DataObject) -> None:
    content = bytearray(remembered.encode(shared.archive.as_of(30).ledger()))
    kind = data.draw(st.sampled_from(("flip", "cut", "longer", "noise")))
    at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 300))
    if kind == "flip":
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del content[at:]
    elif kind == "longer":
        content += data.draw(st.binary(min_size=1, max_size=9))
    else:
        content[at:] = data.draw(st.binary(max_size=40))
    shared.cache.parent.mkdir(exist_ok=True)
    shared.cache.write_bytes(content)
    read = shared.archive.ledger()
    assert read.remembered == 0
    assert known(read) == known(shared.ledger)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> History:
    return a_history(tmp_path_factory.mktemp("shared") / "data", 40)


def rewritten(history: History, body: dict[str, Any], **header: Any) -> None:
    """A file that says of itself that it is sound."""
    line, _, old = remembered.encode(history.archive.ledger()).partition(b"\n")
    content = json.dumps(json.loads(old) | body).encode()
    said = json.loads(line) | {"sha256": hashlib.sha256(content).hexdigest()} | header
    history.cache.parent.mkdir(exist_ok=True)
    history.cache.write_bytes(json.dumps(said).encode() + b"\n" + content)


def file_row(**changes: Any) -> list[Any]:
    record = {"path": "api_events/x.parquet", "bytes": 1, "sha256": "0", "rows": 1, "first": hour(1), "last": hour(2)}
    place = {"seq": 1, "run": "r", "index": 0, "operation": "sync", "at": hour(1)}
    said = record | place | changes
    return [{name: said[name] for name in record}, *(said[name] for name in place)]


STREAM = {
    "organization_id": "o", "kind": "api", "region": "r", "covered": [], "asked": [], "purged": [], "unreadable": [],
    "run": None, "run_asked": None, "known_from": None, "not_offered_since": None, "denied_since": None,
    "last_read_at": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {"files": [file_row(path="../../etc/passwd")]},
        {"files": [file_row(path="/etc/passwd")]},
        {"files": [file_row(path="ledger/00000001.json")]},
        {"files": [file_row(run="../..")]},
        {"files": [file_row(seq=99)]},
        {"files": [file_row(index=-1)]},
        {"files": [file_row(bytes=-1)]},
        {"files": [file_row(first="yesterday")]},
        {"files": [file_row(at="")]},
        {"files": [file_row(first=hour(3))]},
        {"files": {}},
        {"streams": [STREAM | {"covered": [[hour(2), hour(1)]]}]},
        {"streams": [STREAM | {"covered": [[hour(1), hour(2)], [hour(2), hour(3)]]}]},
        {"streams": [STREAM | {"last_read_at": "\x1b[2J"}]},
        {"streams": [STREAM | {"known_from": "0000-00-00T00:00:00Z"}]},
        {"hold": {"hold": "set"}},
        {"looks": [{"last": 1}]},
        {"findings": "x" * 10, "files": 1},
    ],
)
def test_a_cache_that_somebody_made_up_is_not_read(tmp_path: Path, body: dict[str, Any]) -> None:
    history = a_history(tmp_path / "data", 3)
    rewritten(history, {})
    assert history.folded_from() == 4
    rewritten(history, body)
    assert history.folded_from() == 0


@pytest.mark.parametrize("name", ["findings", "seen"])
def test_a_part_that_is_read_later_and_is_no_fold_is_made_from_the_entries(tmp_path: Path, name: str) -> None:
    history = a_history(tmp_path / "data", 3)
    rewritten(history, {name: {"found": 1, "claims": [], "steps": [[1, "x"]]}})
    read = history.archive.ledger()
    assert read.remembered == 4
    assert known(read) == known(history.ledger)


@pytest.mark.parametrize(
    "header",
    [
        {"format": 2},
        {"format": "1"},
        {"version": "0.0.1"},
        {"archive_id": ORGANIZATION},
        {"seq": 3},
        {"seq": 5},
        {"seq": 0},
        {"seq": -1},
        {"seq": 10**30},
        {"entry": "0" * 64},
    ],
)
def test_the_cache_of_another_ledger_or_version_is_not_read(tmp_path: Path, header: dict[str, Any]) -> None:
    history = a_history(tmp_path / "data", 3)
    rewritten(history, {}, **header)
    assert history.folded_from() == 0
    assert known(history.archive.ledger()) == known(history.ledger)


def test_a_ledger_shorter_than_its_cache_is_read_as_it_is(tmp_path: Path) -> None:
    history = a_history(tmp_path / "data", 5)
    history.remember()
    (history.path / layout.LEDGER / layout.entry_name(6)).unlink()
    ledger = history.archive.ledger()
    assert (ledger.remembered, ledger.head and ledger.head.seq) == (0, 5)


def test_an_entry_altered_after_the_fold_was_written_is_met_where_it_is_read(tmp_path: Path) -> None:
    history = a_history(tmp_path / "data", 8)
    history.remember()
    for seq in (9, 8):
        entry = history.path / layout.LEDGER / layout.entry_name(seq)
        entry.write_bytes(entry.read_bytes().replace(b'"host":"host"', b'"host":"evil"'))
        if seq == 9:  # the newest, which nothing follows: as without the cache
            assert history.folded_from() == 0
            continue
        with pytest.raises(ArchiveDamaged, match="does not follow entry 8"):
            history.archive.ledger()


def test_an_entry_in_the_middle_is_missed_by_what_reads_every_entry(tmp_path: Path) -> None:
    history = a_history(tmp_path / "data", 8)
    history.remember()
    (history.path / layout.LEDGER / layout.entry_name(3)).unlink()
    ledger = history.archive.ledger()
    assert known(ledger) == known(history.ledger)
    with pytest.raises(ArchiveDamaged, match="entry 3 is missing"):
        _ = ledger.entries


@pytest.mark.parametrize("entries", [40, LISTED + 20])
def test_an_entry_missing_among_the_newest_is_an_error(tmp_path: Path, entries: int) -> None:
    history = a_history(tmp_path / "data", entries - 1)
    assert remembered.remember(NoSync(), history.path, history.archive.as_of(entries - 10).ledger())
    (history.path / layout.LEDGER / layout.entry_name(entries - 5)).unlink()
    with pytest.raises(ArchiveDamaged, match=f"entry {entries - 5} is missing from .* goes on to {entries}"):
        history.archive.ledger()


@pytest.mark.parametrize("make", ["folder", "link", "fifo", "cache link", "cache file"])
def test_what_is_no_file_in_the_cache_is_neither_followed_nor_waited_for(tmp_path: Path, make: str) -> None:
    history = a_history(tmp_path / "data", 3)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if make == "cache link":
        history.cache.parent.symlink_to(elsewhere)
    elif make == "cache file":
        history.cache.parent.write_text("")
    else:
        history.cache.parent.mkdir()
    if make == "folder":
        history.cache.mkdir()
    elif make == "link":
        (elsewhere / "ledger.json").write_bytes(remembered.encode(history.archive.ledger()))
        history.cache.symlink_to(elsewhere / "ledger.json")
    elif make == "fifo":
        os.mkfifo(history.cache)
    assert history.folded_from() == 0
    ledger = history.archive.ledger()
    written = remembered.remember(NoSync(), history.path, ledger)
    assert written == (make in ("link", "fifo"))
    assert history.folded_from() == (4 if written else 0)
    if make == "cache link":
        assert not list(elsewhere.iterdir())


def test_an_archive_copied_without_its_cache_is_read(tmp_path: Path) -> None:
    history = a_history(tmp_path / "data", 5)
    history.remember()
    shutil.copytree(history.path, tmp_path / "copy", ignore=shutil.ignore_patterns(layout.CACHE))
    assert known(Archive(tmp_path / "copy", ARCHIVE).ledger()) == known(history.ledger)


def test_the_cache_removed_while_it_is_used_costs_nothing(tmp_path: Path) -> None:
    history = a_history(tmp_path / "data", 5)
    history.remember()
    ledger = history.archive.ledger()
    shutil.rmtree(history.cache.parent)
    assert known(ledger) == known(history.ledger)
    assert ledger.head == Head(seq=6, sha256=seal.entry_hash(history.contents[-1]))


# Writers


class Counting(NoSync):
    """Remembers what happened, and can fail or end the process at an operation on the cache."""

    def __init__(self, at: int = 0, error: BaseException | None = None) -> None:
        self.at = at
        self.error = error
        self.steps = 0

    def _step(self, path: object) -> None:
        if layout.CACHE in str(path):
            self.steps += 1
            if self.error is not None and self.steps == self.at:
                raise self.error

    def mkdir(self, path: Path) -> None:
        self._step(path)
        super().mkdir(path)

    def create(self, path: Path) -> int:
        self._step(path)
        return super().create(path)

    def append(self, descriptor: int, content: memoryview) -> int:
        self._step(Path(f"/proc/self/fd/{descriptor}").readlink())
        return super().append(descriptor, content[: max(1, len(content) // 2)])

    def rename(self, source: Path, target: Path) -> None:
        self._step(target)
        super().rename(source, target)


class Killed(BaseException):
    """The process ends here."""


def note(writer: Writer) -> None:
    writer.commit(Commit(operation="note", started_at=START, reason="a note"))


def written(path: Path, notes: int, disk: Disk | None = None, every: int = 4) -> Archive:
    with Writer(path, clock=lambda: START, disk=disk or NoSync(), remember_every=every) as writer:
        for _ in range(notes):
            note(writer)
    return Archive.open(path)


def test_a_writer_remembers_every_so_many_entries(tmp_path: Path) -> None:
    path = tmp_path / "data"
    assert written(path, 2).ledger().remembered == 0
    archive = written(path, 1)
    assert archive.ledger().remembered == 4
    before = (path / layout.CACHE / remembered.NAME).read_bytes()
    assert written(path, 3).ledger().remembered == 4
    assert (path / layout.CACHE / remembered.NAME).read_bytes() == before
    assert written(path, 6).ledger().remembered == 12


def test_a_writer_makes_anew_what_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "data"
    written(path, 9)
    shutil.rmtree(path / layout.CACHE)
    assert written(path, 0).ledger().remembered == 10


@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Killed()], ids=["full", "killed"])
def test_a_fold_that_cannot_be_written_fails_no_commit(tmp_path: Path, step: int, error: BaseException) -> None:
    path = tmp_path / "data"
    disk = Counting(step, error)
    if isinstance(error, Killed):
        with pytest.raises(Killed):
            written(path, 12, disk)
    else:
        written(path, 12, disk)
    assert disk.steps >= step
    ledger = Archive.open(path).ledger()
    plain = Ledger(ledger.archive_id)
    for seq in range(1, (ledger.head.seq if ledger.head else 0) + 1):
        plain.append((path / layout.LEDGER / layout.entry_name(seq)).read_bytes())
    assert ledger.head is not None
    assert ledger.head.seq >= 4
    assert known(ledger) == known(plain)
    assert written(path, 8).ledger().remembered > ledger.remembered
    assert [each.name for each in (path / layout.CACHE).iterdir() if each.name.endswith(".part")] == []


def test_a_purge_leaves_no_older_fold(tmp_path: Path) -> None:
    path = tmp_path / "data"
    written(path, 9)
    with Writer(path, clock=lambda: START, disk=NoSync(), remember_every=4) as writer:
        writer.drop_cache()
        assert Archive.open(path).ledger().remembered == 0
    assert Archive.open(path).ledger().remembered == 10


def test_readers_write_nothing(tmp_path: Path) -> None:
    history = a_history(tmp_path / "data", 50)
    before = sorted(history.path.rglob("*"))
    known(history.archive.ledger())
    assert sorted(history.path.rglob("*")) == before


# What it saves


def opened_in(folder: Path, read: Callable[[], object]) -> list[str]:
    """The names of the files below `folder` that `read` opens from Python."""
    _OPENED[:] = []
    if not _LISTENING:
        sys.addaudithook(lambda event, given: _OPENED.append(str(given[0])) if event == "open" else None)
        _LISTENING.append(True)
    read()
    return [name for name in _OPENED if name.startswith(str(folder))]


_OPENED: list[str] = []
_LISTENING: list[bool] = []


@pytest.mark.parametrize("syncs", [100, 300])
def test_a_reader_opens_so_many_files_however_long_the_ledger_is(tmp_path: Path, syncs: int) -> None:
    path = tmp_path / "data"
    written(path, syncs, every=remembered.EVERY)
    archive = Archive.open(path)
    assert len(opened_in(path, archive.ledger)) <= remembered.EVERY + 2
    assert len(opened_in(path, lambda: archive.ledger().entries)) > syncs


def test_a_writer_reads_no_more_of_the_ledger_than_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "data"
    written(path, 300, every=remembered.EVERY)
    entries = opened_in(path / layout.LEDGER, lambda: written(path, 1, every=remembered.EVERY))
    assert len(entries) <= remembered.EVERY + 4


def test_a_sync_needs_no_segment_outside_its_span(tmp_path: Path) -> None:
    world = World(tmp_path / "data", start=SYNC_START, in_process=True)
    world.fill()
    world.sync()
    ledger = Archive.open(world.path).ledger()
    near = Span(SYNC_START - 2 * HOUR, SYNC_START + HOUR)
    far = [file for file in ledger.live.values() if not file.touches(near)]
    assert len(far) > 5
    for file in far:
        place = world.path / file.record.path
        place.chmod(0o600)
        place.write_bytes(b"\0" * file.record.bytes)
    world.start += HOUR
    world.add(world.start - MINUTE)
    assert world.sync().total["new"] == 1


def test_each_kind_has_the_table_that_the_schema_says() -> None:
    assert {kind: table.name for kind, table in EVENT_TABLES.items()} == TABLE_NAMES
