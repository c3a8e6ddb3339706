"""Detections: which findings are new, from when on a run looks, and that reading rows in common changes nothing."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import NOW, ORGANIZATION, Archives, an_id
from demo_archive import demo_archive
from faulty_disk import FaultyDisk
from own_detections import DELETES, DENIED, HOSTILE
from trailkeep import seal
from trailkeep.analysis import Question
from trailkeep.analysis.question import prepare
from trailkeep.analysis.result import needs_of
from trailkeep.analysis.together import Together, needs_in_common, open_together, prepared_of, was_not_loaded
from trailkeep.catalog import EXTRA, Limits, open_catalog
from trailkeep.catalog.shared import SharedScan, Silent
from trailkeep.catalog.temporary import PREFIX, KeptFolder
from trailkeep.config.detections import Tuning
from trailkeep.coverage import coverage_tables
from trailkeep.detections import run as running
from trailkeep.detections.backtest import backtest
from trailkeep.detections.choosing import Choice, choose, given_to, read_pack
from trailkeep.detections.detecting import Turn, detect, record, vocabulary
from trailkeep.detections.finding import finding_id, finding_of, row_of
from trailkeep.detections.marks import FIRST_SPAN, Claim, MarkFile, Marks
from trailkeep.detections.run import RunStop, _Looking
from trailkeep.detections.wording import MAX_SUMMARY_CHARACTERS, commands, length, shown, summary
from trailkeep.errors import ArchiveLocked, ConfigError, QueryError, StoreError, UsageError
from trailkeep.queries import discover, parse, query_folders
from trailkeep.store import Archive, Head, Ledger, Writer
from trailkeep.store.findings import known_findings, mute_findings, record_delivery, record_findings, unmute_findings
from trailkeep.timespan import Span, format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trailkeep.detections.choosing import Detection, Pack
    from trailkeep.detections.detecting import Detecting

NOBODY = Path("/nonexistent")

BROKEN = DELETES.replace("FROM api_events", "FROM api_events JOIN nowhere USING (id)")


def own(folder: Path, **texts: str) -> Pack:
    """The detections of a folder of the user's own, and no others."""
    (folder / "own").mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / "own" / f"{name}.sql").write_text(text)
    return read_pack(discover([folder]), {})


def all_of(pack: Pack) -> list[Detection]:
    return choose(pack, Choice())[0]


def detecting(archive: Archive, pack: Pack, now: datetime = NOW, **more: Any) -> Detecting | None:
    asked: dict[str, Any] = {"since": None, "until": None, "limits": Limits(), "stop": RunStop(), "listener": Silent()}
    return detect(archive, all_of(pack), pack, now=now, **(asked | more))


def told(found: Detecting | None, archive: Archive) -> list[str]:
    """The summaries of what is new."""
    known = known_findings(archive.ledger().entries)
    return [each.finding.summary for each in found.told(known, all_of_them=False)] if found else []


def put_on_record(archive: Archive, found: Detecting | None, now: datetime = NOW) -> list[seal.FindingRecord]:
    assert found is not None
    return record(archive, found, clock=lambda: now, wait_seconds=0)


def run_and_record(archive: Archive, pack: Pack, now: datetime = NOW) -> list[str]:
    found = detecting(archive, pack, now)
    new = told(found, archive)
    if found is not None:
        put_on_record(archive, found, now)
    return new


@pytest.fixture(scope="module")
def shipped() -> Pack:
    return read_pack(discover(query_folders((), directory=NOBODY)), {})


# The ledger's fold


IDS = [f"{number:016x}" for number in range(4)]


def a_record(finding_id: str, detection: str = "own/deletes") -> seal.FindingRecord:
    moment = format_time(NOW)
    return seal.FindingRecord(
        finding_id=finding_id, detection=detection, severity="high", first_seen=moment, last_seen=moment, summary="s"
    )


def an_entry(seq: int, **fields: Any) -> seal.Entry:
    moment = format_time(NOW + timedelta(minutes=seq))
    return seal.Entry(
        format=1, seq=seq, previous="0" * 64, archive_id="a", run="r", started_at=moment, finished_at=moment, tool={},
        host="h", os_user="u", **({"operation": "detect"} | fields),
    )  # fmt: skip


_steps = st.one_of(
    st.tuples(st.just("found"), st.lists(st.sampled_from(IDS), max_size=3)),
    st.tuples(st.just("mute"), st.tuples(st.sampled_from(IDS), st.none() | st.integers(-3, 3))),
    st.tuples(st.just("unmute"), st.sampled_from(IDS)),
    st.tuples(st.just("told"), st.tuples(st.sampled_from(["hook", "file"]), st.lists(st.sampled_from(IDS)))),
)


@given(steps=st.lists(_steps, max_size=12))
def test_what_the_ledger_knows_of_findings_is_what_its_entries_say_in_their_order(steps: list[Any]) -> None:
    entries, found, muted, heard, begun = [], {}, {}, {"hook": set(), "file": set()}, {}
    for seq, (step, what) in enumerate(steps, start=1):
        if step == "found":
            entries.append(an_entry(seq, findings=[a_record(each) for each in what]))
            for each in what:
                found.setdefault(each, seq)
        elif step == "mute":
            until = None if what[1] is None else NOW + timedelta(days=what[1])
            mute = seal.MuteRecord(finding_id=what[0], muted=True, until=until and format_time(until))
            entries.append(an_entry(seq, mutes=[mute], reason=f"because {seq}"))
            muted[what[0]] = (seq, until)
        elif step == "unmute":
            entries.append(an_entry(seq, mutes=[seal.MuteRecord(finding_id=what, muted=False)]))
            muted.pop(what, None)
        else:
            delivery = seal.DeliveryRecord(target=what[0], finding_ids=what[1], at=format_time(NOW))
            entries.append(an_entry(seq, deliveries=[delivery]))
            heard[what[0]].update(what[1])
            begun.setdefault(what[0], seq)
    known = known_findings(seal.parse_entry(seal.encode_entry(each), each.seq) for each in entries)
    for each in IDS:
        seq, until = muted.get(each, (0, NOW))
        silent = each in muted and (until is None or until > NOW)
        assert known.state(each, NOW) == ("muted" if silent else "known" if each in found else "new")
        mute = known.mute_of(each, NOW)
        assert (mute.reason if mute else None) == (f"because {seq}" if silent else None)
    assert {each: one.seq for each, one in known.by_id.items()} == found
    for target, ids in heard.items():
        # Who is told for the first time is not told of all that was found before.
        later = [each for each, seq in found.items() if seq > begun.get(target, 0) and each not in ids]
        waiting = [each.finding_id for each in known.undelivered(target, NOW)]
        assert waiting == [each for each in later if known.state(each, NOW) != "muted"]


def test_a_finding_is_on_record_once_and_muted_and_told_in_the_archive_itself(tmp_path: Path) -> None:
    archive = Archives(tmp_path / "a").commit()
    looked = seal.DetectRecord(start=format_time(NOW), end=format_time(NOW), head=1)
    with Writer(archive.path, clock=lambda: NOW) as writer:
        both = [a_record(IDS[0]), a_record(IDS[0]), a_record(IDS[1])]
        assert [each.finding_id for each in record_findings(writer, both, looked, started_at=NOW)] == IDS[:2]
        assert record_findings(writer, both, looked, started_at=NOW) == []
        mute_findings(writer, [IDS[0]], reason="a test", until=NOW + timedelta(days=1), started_at=NOW)
        record_delivery(writer, "hook", [IDS[1]], at=NOW, started_at=NOW)
        with pytest.raises(UsageError, match="is not muted"):
            unmute_findings(writer, [IDS[1]], reason=None, started_at=NOW)
        with pytest.raises(UsageError, match="begins the ids of 2"):
            mute_findings(writer, ["0000"], reason="x", until=None, started_at=NOW)
        with pytest.raises(UsageError, match="no recorded finding"):
            mute_findings(writer, ["ffff"], reason="x", until=None, started_at=NOW)
    known = known_findings(Archive.open(archive.path).ledger().entries)
    assert [known.state(each, NOW) for each in IDS[:3]] == ["muted", "known", "new"]
    assert known.state(IDS[0], NOW + timedelta(days=1)) == "known"
    assert known.undelivered("hook", NOW) == []


def test_an_entry_of_findings_with_a_time_that_is_none_is_refused(tmp_path: Path) -> None:
    archive = Archives(tmp_path / "a").commit()
    ledger = archive.ledger()
    head = ledger.head
    assert head is not None
    bad = an_entry(head.seq + 1, mutes=[seal.MuteRecord(finding_id=IDS[0], muted=True, until="soon")])
    content = seal.encode_entry(seal.msgspec.structs.replace(bad, previous=head.sha256, archive_id=ledger.archive_id))
    with pytest.raises(StoreError, match="a time that cannot be"):
        ledger.examine(content)


# From when on a detection looks


def a_ledger(*brought: tuple[str, str, datetime]) -> Ledger:
    """Entries that brought a file each: operation, table, first moment."""
    entries = [
        an_entry(
            seq,
            operation=operation,
            files_added=[
                seal.FileRecord(
                    path=f"{table}/organization_id=o/region=r/month=2026-01/{seq}.parquet", bytes=1, sha256="0", rows=1,
                    first=format_time(first), last=format_time(first),
                )
            ],
        )
        for seq, (operation, table, first) in enumerate(brought, start=1)
    ]  # fmt: skip
    ledger = Ledger("a", head=Head(seq=len(entries), sha256="0"))
    for entry in entries:
        ledger.take(entry)
    return ledger


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("claims", "start"),
    [
        ([], NOW - FIRST_SPAN),
        ([("other", NOW, 3)], NOW - FIRST_SPAN),
        ([("d", NOW - DAY, 3)], NOW - DAY),
        ([("d", NOW - DAY, 2)], NOW - 5 * DAY),
        ([("d", NOW - DAY, 1)], NOW - 5 * DAY),
        ([("d", NOW - DAY, 0)], NOW - 40 * DAY),
        ([("d", NOW - 7 * DAY, 3), ("d", NOW - DAY, 2)], NOW - 5 * DAY),
        ([("d", NOW + DAY, 3)], NOW - FIRST_SPAN),
        ([("d", NOW - DAY, 4)], NOW - FIRST_SPAN),
    ],
)
def test_a_detection_looks_from_where_it_ended_or_the_earliest_event_that_came_since(
    claims: list[Any], start: datetime
) -> None:
    ledger = a_ledger(
        ("sync", "api_events", NOW - 40 * DAY),
        ("purge", "api_events", NOW - 80 * DAY),
        ("sync", "authentication_events", NOW - 5 * DAY),
    )
    cached = [("own/x", Claim(digest=digest, until=until, seq=seq)) for digest, until, seq in claims]
    assert Marks(ledger, cached, NOW).start("own/x", "d") == start


def test_late_events_are_found_and_nothing_is_told_twice_whatever_becomes_of_the_cache(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES, denied=DENIED)
    for minutes in (0, 30, 60):
        made.api(NOW - DAY + timedelta(minutes=minutes), "GetServer", status_code=403)
    archive = made.commit()
    assert run_and_record(archive, pack) == [f"{an_id('alice')} was denied 3 times."]
    assert run_and_record(archive, pack) == []
    # An event of long ago comes late; the burst goes on.
    made.api(NOW - 20 * DAY, "DeleteServer", user_agent="late")
    made.api(NOW - DAY + timedelta(minutes=90), "GetServer", status_code=403)
    archive = made.commit()
    later = NOW + timedelta(minutes=5)
    found = detecting(archive, pack, later)
    assert found is not None
    assert found.run.span.start == NOW - 20 * DAY
    assert len(told(found, archive)) == 1
    assert sum(each.counts["known"] for each in found.run.outcomes) == 1
    put_on_record(archive, found, later)
    for drop in (False, True):
        if drop:
            MarkFile(archive)._file.unlink()
        assert run_and_record(archive, pack, later + timedelta(minutes=1)) == []


def test_a_detection_that_is_new_or_tuned_looks_at_the_first_span_and_the_others_do_not(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES)
    made.api(NOW - 30 * DAY, "DeleteServer")
    archive = made.commit()
    assert len(run_and_record(archive, pack)) == 1
    pack = own(tmp_path / "q", denied=DENIED)
    found = detecting(archive, pack, NOW + DAY)
    assert found is not None
    assert {each.detection.name: each.span.start for each in found.run.outcomes} == {
        "own/deletes": NOW,
        "own/denied": NOW + DAY - FIRST_SPAN,
    }
    files = discover([tmp_path / "q"])
    tuned = read_pack(files, {"deletes": Tuning(name="deletes", parameters={"least": 100})})
    found = detecting(archive, tuned, NOW + DAY)
    assert found is not None
    assert {each.span.start for each in found.run.outcomes} == {NOW + DAY - FIRST_SPAN}
    # What it finds again is known: the id is of the event.
    assert told(found, archive) == []


def test_a_later_span_that_was_asked_for_does_not_count_as_having_looked_before_it(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES)
    made.api(NOW - 3 * DAY, "DeleteServer")
    made.api(NOW - timedelta(hours=1), "DeleteServer")
    archive = made.commit()
    put_on_record(archive, detecting(archive, pack, since=NOW - DAY))
    assert len(run_and_record(archive, pack)) == 1
    assert run_and_record(archive, pack) == []


def test_an_empty_archive_has_no_findings(tmp_path: Path, shipped: Pack) -> None:
    archive = Archives(tmp_path / "a").commit()
    found = detecting(archive, own(tmp_path / "q", deletes=DELETES, denied=DENIED))
    assert found is not None
    assert (found.findings, [each.error for each in found.run.outcomes]) == ((), [None, None])
    assert [str(each) for each in found.run.missing] != []


# One that fails


def test_a_detection_that_fails_hides_nothing_and_has_not_looked(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES, broken=BROKEN)
    made.api(NOW - DAY, "DeleteServer")
    archive = made.commit()
    found = detecting(archive, pack)
    assert found is not None
    errors = {each.detection.name: each.error for each in found.run.outcomes}
    assert errors["own/deletes"] is None
    assert "nowhere" in str(errors["own/broken"])
    assert list(found.looked) == ["own/deletes"]
    put_on_record(archive, found)
    again = detecting(archive, pack, NOW + DAY)
    assert again is not None
    starts = {each.detection.name: each.span.start for each in again.run.outcomes}
    assert starts == {"own/deletes": NOW, "own/broken": NOW + DAY - FIRST_SPAN}


def test_what_is_more_than_a_run_tells_comes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_FINDINGS", 2)
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES)
    for minutes in range(5):
        made.api(NOW - DAY + timedelta(minutes=minutes), "DeleteServer")
    archive = made.commit()
    assert [len(run_and_record(archive, pack)) for _turn in range(4)] == [2, 2, 1, 0]


def test_a_row_that_is_no_finding_is_an_error_of_its_detection_alone(tmp_path: Path) -> None:
    texts = {
        "deletes": DELETES,
        "keyless": DELETES.replace('key = ["id"]', 'key = ["event_id"]'),
        "timeless": DELETES.replace("    recorded_at,", "    CAST(NULL AS TIMESTAMP) AS recorded_at,"),
    }
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", **texts)
    made.api(NOW - DAY, "DeleteServer")
    found = detecting(made.commit(), pack)
    assert found is not None
    errors = {each.detection.name: str(each.error) for each in found.run.outcomes if each.error}
    assert sorted(errors) == ["own/keyless", "own/timeless"]
    assert "no column event_id" in errors["own/keyless"]
    assert "says no time" in errors["own/timeless"]


# On record


def test_nothing_is_lost_where_nothing_can_be_put_on_record(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES)
    made.api(NOW - DAY, "DeleteServer")
    archive = made.commit()
    found = detecting(archive, pack)
    assert found is not None
    with Writer(archive.path, clock=lambda: NOW), pytest.raises(ArchiveLocked):
        put_on_record(archive, found)
    full = FaultyDisk(archive.path)
    full.fail_at, full.fail_with, full.fails_on = 1, errno.ENOSPC, True
    with pytest.raises(StoreError):
        record(archive, found, clock=lambda: NOW, wait_seconds=0, disk=full)
    assert len(run_and_record(archive, pack)) == 1


def test_two_runs_at_once_put_a_finding_on_record_once_and_the_second_knows_it(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES)
    made.api(NOW - DAY, "DeleteServer")
    archive = made.commit()
    one, other = detecting(archive, pack), detecting(archive, pack)
    with Turn(archive, wait_seconds=0):
        assert len(told(one, archive)) == 1
        assert len(put_on_record(archive, one)) == 1
    with Turn(archive, wait_seconds=0):
        assert told(other, archive) == []
        assert put_on_record(archive, other) == []
    assert len(known_findings(archive.ledger().entries).by_id) == 1


def test_a_mark_of_another_archive_or_a_rewritten_ledger_is_not_believed(tmp_path: Path) -> None:
    made = Archives(tmp_path / "a")
    made.api(NOW - DAY, "DeleteServer")
    archive = made.commit()
    ledger = archive.ledger()
    marks = MarkFile(archive)
    marks.write(ledger, {"own/x": "d"}, NOW, 2)
    assert [name for name, _claim in marks.read(ledger)] == ["own/x"]
    other = a_ledger(("sync", "api_events", NOW), ("sync", "api_events", NOW))
    assert marks.read(other) == []
    for content in (b"", b"[]", b"{}", b'{"format": 1}', b"\xff" * 10, b"[" * 100_000):
        marks._file.write_bytes(content)
        assert marks.read(ledger) == []


def test_a_cache_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    archive = Archives(tmp_path / "a").commit()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (archive.path / ".cache").symlink_to(elsewhere)
    MarkFile(archive).write(archive.ledger(), {"own/x": "d"}, NOW, 1)
    with Turn(archive, wait_seconds=0):
        pass
    assert list(elsewhere.iterdir()) == []


# Reading in common

STEP = int(os.environ.get("TRAILKEEP_DETECTION_STEP", "8"))
"""Of so many detections one is read in common here; 1 for all of them."""


def plain_together(archive: Archive, questions: Sequence[Question], now: datetime) -> Together:
    """The same catalog as one that is shared, with no row read before it is asked for."""
    prepared = prepared_of(questions, now)
    needs = needs_in_common(prepared.values())
    ledger = archive.ledger()
    extra = coverage_tables(ledger, now) if needs.tables & EXTRA else {}
    return Together(archive, ledger, open_catalog(archive, ledger, extra=extra, needs=needs), needs, prepared)


def rows_of(together: Together, questions: Sequence[Question], now: datetime) -> list[list[dict[str, Any]]]:
    answers = []
    for place, question in enumerate(questions):
        with together.open(question, place, now=now, limits=Limits(), stop=RunStop().next()) as result:
            answers.append([row for batch in result.batches() for row in batch.to_pylist()])
    return answers


def test_rows_read_in_common_give_what_the_files_give_and_ids_do_not_depend_on_the_span(
    tmp_path_factory: pytest.TempPathFactory, shipped: Pack
) -> None:
    demo = demo_archive(tmp_path_factory)
    archive, incident = Archive.open(demo.path), demo.organization.incident
    assert incident is not None
    detections = all_of(shipped)[::STEP]
    end = incident.began_at + timedelta(hours=3)
    # In the middle of the incident's bursts, and long before them.
    middle = incident.began_at + timedelta(minutes=2)
    found = []
    for since in (end - 20 * DAY, middle):
        questions = [Question.of(each.saved, given=each.given, since=since, until=end) for each in detections]
        with open_together(
            archive, questions, now=end, limits=Limits(memory="512MiB"), span=Span(since - DAY, end), listener=Silent(),
            stop=RunStop().next(),
        ) as shared:  # fmt: skip
            rows = rows_of(shared, questions, end)
        if since == middle:
            with plain_together(archive, questions, end) as plain:
                assert rows == rows_of(plain, questions, end)
        findings = [
            finding_of(detection, row) for detection, own_rows in zip(detections, rows, strict=True) for row in own_rows
        ]
        found.append({(each.detection.name, each.finding_id) for each in findings if each.last_seen >= middle})
    assert len(found[0]) > 20 // STEP
    assert found[0] == found[1]


def test_a_column_that_was_not_loaded_is_an_error_and_the_question_is_asked_alone(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES)
    made.api(NOW - DAY, "DeleteServer", resources=[{"id": "r", "type": "server", "name": "one"}])
    archive = made.commit()
    (detection,) = all_of(pack)
    question = Question.of(detection.saved, since=NOW - 2 * DAY, until=NOW)
    prepared = prepare(question, NOW)
    needs = needs_of(prepared.statement)
    assert needs is not None
    span = Span(NOW - 9 * DAY, NOW)
    scan = SharedScan(span=span, columns={"api_events": frozenset({"id", "method_name", "status_code"})})
    ledger = archive.ledger()
    catalog = open_catalog(archive, ledger, needs=needs, shared=scan)
    with Together(archive, ledger, catalog, needs, {0: prepared}) as together:
        ask = partial(together.open, question, 0, now=NOW, limits=Limits())
        with pytest.raises(QueryError) as raised, ask(stop=RunStop().next()):
            pass
        assert was_not_loaded(raised.value)
        looking = _Looking(detection, span, lambda _finding_id: "new", lambda _state: True)
        outcome = looking.look(ask, RunStop(), may_retry=True)
    assert outcome.error is None
    assert [each.row["user_agent"] for each in outcome.findings] == ["scaleway-cli/2.40.0 (go1.24; linux; amd64)"]


def test_sharing_counts_what_it_reads_over_many_files_and_months(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES, denied=DENIED)
    for day in range(70):
        made.api(NOW - (70 - day) * DAY, "DeleteServer", status_code=403 if day % 2 else 200)
        if day % 7 == 0:
            archive = made.commit()
    archive = made.commit()
    since = NOW - 33 * DAY - timedelta(hours=1)
    runs = [detecting(archive, pack, since=since, until=NOW - 2 * DAY, share=share) for share in (True, False)]
    assert runs[0] is not None
    assert runs[1] is not None
    assert [each.run.shared for each in runs if each] == [True, False]
    assert runs[0].findings == runs[1].findings
    assert len(runs[0].findings) == 31


def test_what_a_killed_run_leaves_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from trailkeep.catalog.temporary import KeptFolder;"
        "kept = KeptFolder(Path(sys.argv[1])); (Path(kept.name) / 'shared.duckdb').write_text('x');"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    held = KeptFolder(tmp_path)
    mine = KeptFolder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([Path(held.name), Path(mine.name)])
    assert Path(mine.name).name.startswith(PREFIX)
    assert Path(mine.name).stat().st_mode & 0o777 == 0o700
    elsewhere = tmp_path / "kept"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    for folder in (held, mine):
        folder.cleanup()
    KeptFolder(tmp_path).cleanup()
    assert elsewhere.is_dir()


# Words


def saved_of(text: str = DELETES) -> Any:
    return parse("own/deletes", Path("deletes.sql"), text)


def test_a_summary_is_one_short_line_in_which_nothing_of_an_event_acts() -> None:
    row = {"principal_id": "p", "resource_names": [HOSTILE] * 9, "source_ip": None, "user_agent": HOSTILE}
    text = summary(saved_of(), row, "p", HOSTILE)
    assert len(text) <= MAX_SUMMARY_CHARACTERS
    assert text.isprintable()
    assert "\\x1b]0;x\\x07\\n{principal}\\u202e" in text
    short = summary(saved_of(), row | {"resource_names": [1, 2, 3, 4, 5, 6], "user_agent": "curl"}, "p", None)
    assert short == "p deleted 1, 2, 3, 4, 5, and 1 more from unknown with curl."


def test_commands_are_quoted_for_a_shell_and_left_out_where_a_value_is_not_there(shipped: Pack) -> None:
    moment = datetime(2026, 3, 10, 10, tzinfo=UTC)
    quoted = commands(saved_of(), {"principal_id": "it's; rm $(x)"}, moment, shipped.queries)
    assert quoted == [
        """trailkeep query scope/principal-timeline --since 2026-03-03 -p 'principal=it'"'"'s; rm $(x)'"""
    ]
    for value in (None, "", "a\nb", "\x1b[2J", "x" * 5000):
        assert commands(saved_of(), {"principal_id": value}, moment, shipped.queries) == []


def test_values_are_shown_as_people_write_them() -> None:
    assert shown(datetime(2026, 1, 2, 3, 4, 5, 678)) == "2026-01-02 03:04:05Z"  # noqa: DTZ001 - as the engine has it
    assert [shown(each) for each in (None, True, [], timedelta(hours=2), 7)] == ["unknown", "yes", "none", "2h", "7"]
    assert [length(timedelta(seconds=each)) for each in (0, 61, 90_000, -60)] == ["0s", "1m 1s", "1d 1h", "-1m"]


def test_an_interval_of_the_engine_is_a_length_of_time() -> None:
    import duckdb

    answer = duckdb.sql("SELECT INTERVAL '1 day 01:00:00.5' AS long, NULL::INTERVAL AS none").to_arrow_table()
    assert row_of(answer.to_pylist()[0]) == {"long": timedelta(days=1, hours=1, milliseconds=500), "none": None}


def test_an_id_is_of_the_detection_the_organization_and_the_key() -> None:
    row = {"id": "e", "organization_id": ORGANIZATION, "recorded_at": NOW, "events": 3}
    same = finding_id("own/x", row | {"events": 4}, ["id"])
    assert finding_id("own/x", row, ["id"]) == same
    assert len(same) == 16
    assert int(same, 16) >= 0
    others = {
        finding_id("own/y", row, ["id"]),
        finding_id("own/x", row | {"id": "f"}, ["id"]),
        finding_id("own/x", row | {"organization_id": None}, ["id"]),
        finding_id("own/x", row, ["id", "events"]),
    }
    assert len(others | {same}) == 5


# Choosing and tuning


def test_detections_are_chosen_by_severity_stage_and_names(tmp_path: Path) -> None:
    pack = own(tmp_path, deletes=DELETES, denied=DENIED, quiet=DELETES.replace('severity = "high"\n', ""))
    asked = {
        "high": Choice(severity="high"),
        "stage": Choice(stages=("own",), exclude=("del*",)),
        "name": Choice(only=("denied",)),
        "pattern": Choice(only=("own/d*",)),
    }
    chosen = {key: [each.name for each in choose(pack, choice)[0]] for key, choice in asked.items()}
    assert chosen == {
        "high": ["own/deletes"],
        "stage": ["own/denied"],
        "name": ["own/denied"],
        "pattern": ["own/deletes", "own/denied"],
    }


@pytest.mark.parametrize(
    ("choice", "message", "hint"),
    [
        (Choice(only=("deltes",)), "no detection 'deltes'", "own/deletes"),
        (Choice(only=("x*",)), "like 'x*'", "detect list"),
        (Choice(only=("quiet",)), "'quiet' is no detection", "query quiet"),
        (Choice(stages=("owm",)), "stage 'owm'", "Did you mean own?"),
        (Choice(exclude=("own/*",)), "no detection is asked for", "detect list"),
    ],
)
def test_names_that_mean_nothing_are_refused(tmp_path: Path, choice: Choice, message: str, hint: str) -> None:
    quiet = DELETES.replace('severity = "high"\n', "").replace(
        DELETES[DELETES.index("[finding]") : DELETES.index("[[next]]")], ""
    )
    pack = own(tmp_path, deletes=DELETES, quiet=quiet)
    with pytest.raises(UsageError) as raised:
        choose(pack, choice)
    assert message in raised.value.message
    assert hint in (raised.value.hint or "")


def test_settings_tune_a_detection_and_errors_say_where(tmp_path: Path) -> None:
    own(tmp_path, deletes=DELETES, denied=DENIED)
    files = discover([tmp_path])

    def tuned(name: str, **parameters: Any) -> Pack:
        places = {key: f"t.toml:{line}" for line, key in enumerate(parameters, start=2)}
        return read_pack(files, {name: Tuning(name=name, parameters=parameters, where="t.toml:1", places=places)})

    assert tuned("deletes", least=400).detections["own/deletes"].parameters == {"least": 400}
    for name, parameters, message in (
        ("deletse", {}, "t.toml:1: there is no detection 'deletse'"),
        ("deletes", {"leats": 1}, "t.toml:2: the detection own/deletes has no parameter 'leats'"),
        ("deletes", {"least": "many"}, "t.toml:2: the parameter least of own/deletes cannot be this"),
        ("deletes", {"least": {"a": 1}}, "t.toml:2: the parameter least"),
        ("deletes", {"since": "1d"}, "t.toml:2: the detection own/deletes has no parameter 'since'"),
    ):
        with pytest.raises(ConfigError) as raised:
            tuned(name, **parameters)
        assert raised.value.message.startswith(message)
        assert "many" not in raised.value.message
    twice = {name: Tuning(name=name, where=f"t.toml:{line}") for line, name in enumerate(("deletes", "own/deletes"))}
    with pytest.raises(ConfigError, match=r"is tuned in t\.toml:0, too"):
        read_pack(files, twice)
    off = read_pack(files, {"deletes": Tuning(name="deletes", enabled=False, severity="low")})
    assert [each.name for each in choose(off, Choice())[0]] == ["own/denied"]
    named = choose(off, Choice(only=("deletes",)))[0]
    assert [(each.name, each.severity) for each in named] == [("own/deletes", "low")]


def test_a_digest_changes_with_the_text_the_parameters_and_the_vocabulary_alone(tmp_path: Path) -> None:
    pack = own(tmp_path, deletes=DELETES, other=DELETES + " ")
    one, words = pack.detections["own/deletes"], vocabulary()
    same = one.digest(words)
    assert one.digest(words) == same
    assert given_to([one], {"least": "0"})[0].digest(words) == same
    assert len({same, given_to([one], {"least": "1"})[0].digest(words), one.digest("x")}) == 3
    assert pack.detections["own/other"].digest(words) != same


def test_a_query_that_cannot_be_read_is_broken_only_where_it_says_a_severity(tmp_path: Path) -> None:
    pack = own(tmp_path, deletes=DELETES, bad=DELETES.replace("title", "titel"), plain="/* ---\nx = 1\n--- */ SELECT 1")
    assert [each.name for each in pack.broken] == ["own/bad"]
    assert [each.name for each in choose(pack, Choice())[1]] == ["own/bad"]
    assert choose(pack, Choice(exclude=("bad",)))[1] == []


# Backtest


def test_a_backtest_counts_by_month_and_principal_and_records_nothing(tmp_path: Path) -> None:
    made, pack = Archives(tmp_path / "a"), own(tmp_path / "q", deletes=DELETES)
    for month, who, times in ((1, "alice", 2), (1, "bob", 3), (2, "alice", 1)):
        for hour in range(times):
            made.api(datetime(2026, month, 5, hour, tzinfo=UTC), "DeleteServer", principal_id=an_id(who))
    archive = made.commit()
    head = archive.ledger().head
    run, (test,), nameless = backtest(
        archive, all_of(pack), datetime(2025, 12, 1, tzinfo=UTC), NOW, now=NOW, limits=Limits(), stop=RunStop(),
        listener=Silent(),
    )  # fmt: skip
    assert nameless is None
    assert run.outcomes[0].findings == ()
    assert [
        (each.month, each.findings, [(one.actor_id, one.findings) for one in each.whom]) for each in test.months
    ] == [
        ("2025-12", 0, []),
        ("2026-01", 5, [(an_id("bob"), 3), (an_id("alice"), 2)]),
        ("2026-02", 1, [(an_id("alice"), 1)]),
        ("2026-03", 0, []),
    ]
    assert archive.ledger().head == head


def test_the_file_that_rows_are_shared_in_is_private(tmp_path: Path) -> None:
    scan = SharedScan(span=Span(NOW - DAY, NOW), columns={})
    umask = os.umask(0)
    try:
        with duckdb.connect() as connection:
            scan.attach(connection, tmp_path)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(umask)
    assert modes == {"shared.duckdb": 0o600}
