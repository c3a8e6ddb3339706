"""IAM's log is archived like the events, although its pages have numbers that shift and a count that may lie."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import stamina
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sync_world import DAY, HOUR, LOG, MICROSECOND, MINUTE, SECOND, START, OnPage, World
from trailkeep.coverage import GapReason, missing_for, missing_in, missing_logs_in
from trailkeep.demo.emulator import Emulator
from trailkeep.demo.faults import ALWAYS, Faults, When
from trailkeep.errors import PermissionDenied, RemoteError, TrailkeepError
from trailkeep.store import Archive
from trailkeep.timespan import Span, parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from trailkeep.sync import Report

MIXES = int(os.environ.get("TRAILKEEP_FAULT_MIXES", "5"))
"""How many random mixes of faults are tried; more in a soak."""
ONLY_LOGS: dict[str, Any] = {"kinds": ("iam",), "regions": ("fr-par",)}


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture
def world(tmp_path: Path) -> World:
    return log_world(tmp_path / "archive")


def log_world(path: Path) -> World:
    return World(path, in_process=True, streams=(LOG,))


def add(world: World, *moments: Any, **more: Any) -> list[str]:
    return [world.add(at, *LOG, **more) for at in moments]


def fill(world: World, *, count: int = 60) -> None:
    """Records from before the retention up to now, some at one moment."""
    add(world, START - 120 * DAY)
    add(world, *(START - 89 * DAY + number * 88 * DAY / count for number in range(count)))
    add(world, *[START - 40 * DAY] * 5, *[START - 2 * HOUR] * 3, START - MINUTE)


def truth_within(world: World, spans: Iterable[Span]) -> list[bytes]:
    return [raw for raw in world.emulator.truth(*LOG) if any(time_of(raw) in span for span in spans)]


def time_of(raw: bytes) -> Any:
    return parse_moment(json.loads(raw)["created_at"])


def check_claims(world: World) -> None:
    """What is claimed is held, each record once, and everything held was there."""
    if Archive.exists(world.path):
        world.check_whole()
        check_held(world)


def check_held(world: World) -> None:
    """What is covered now is held, each record once."""
    held = [row["raw"].encode() for row in world.rows(*LOG)]
    assert len(set(held)) == len(held)
    stream = world.stream(*LOG)
    covered = [
        Span(parse_moment(claim.start), parse_moment(claim.end))
        for entry in Archive.open(world.path).ledger().entries
        for claim in entry.coverage
        if claim.kind == stream.kind
    ]
    assert not set(truth_within(world, covered)) - set(held)


def sync(world: World, **asked: Any) -> Report | TrailkeepError:
    """A run that may fail; whatever it ends with, it claims nothing that is not so."""
    try:
        outcome: Report | TrailkeepError = world.sync(**ONLY_LOGS | asked)
    except TrailkeepError as error:
        outcome = error
    check_claims(world)
    return outcome


def outcome_of(report: Report | TrailkeepError) -> str:
    return report.streams[-1].outcome if not isinstance(report, TrailkeepError) else type(report).__name__


def pages_asked(world: World) -> list[str]:
    return [each.query["page"] for each in world.emulator.requests]


# One run after the other


def test_the_log_is_read_beside_the_events_and_once_an_organization(world: World) -> None:
    world.fill()
    fill(world)
    report = world.sync(kinds=("api", "authentication", "system", "iam"))
    assert [str(each.stream) for each in report.streams][-2:] == ["system nl-ams", "iam global"]
    assert {each.outcome for each in report.streams} == {"read"}
    covered = world.coverage(*LOG)
    assert covered.gaps == ()
    assert [span.end for span in covered.covered] == [START]
    assert covered.covered[0].start < START - 90 * DAY + 10 * SECOND
    assert sorted(row["raw"].encode() for row in world.rows(*LOG)) == sorted(truth_within(world, covered.covered))
    (partition,) = {tuple(file.partition.items())[:2] for file in Archive.open(world.path).ledger().files("iam_logs")}
    assert partition == (("organization_id", world.emulator.organization_id), ("region", "global"))


def test_the_next_run_reads_the_overlap_what_is_new_and_what_came_late(world: World) -> None:
    fill(world)
    add(world, START - 40 * MINUTE, visible_at=START + MINUTE)
    sync(world)
    held = len(world.rows(*LOG))
    world.emulator.requests.clear()
    world.start += 5 * MINUTE
    add(world, world.start - 2 * MINUTE)
    report = world.sync(**ONLY_LOGS)
    assert (report.total["new"], report.total["late"], report.total["duplicate"]) == (2, 1, 1)
    assert len(world.rows(*LOG)) == held + 2
    after = [parse_moment(each.query["created_after"]) for each in world.emulator.requests[1:]]
    assert min(after) == START - HOUR - SECOND


def test_every_page_is_in_the_acquisition_log(world: World) -> None:
    fill(world)
    world.emulator.faults = Faults(max_page_size=10)
    report = world.sync(**ONLY_LOGS)
    log = world.table("requests")
    assert len(log) == len(world.emulator.requests) == report.total["pages"] + 1
    assert {(row["kind"], row["region"], row["status"]) for row in log} == {("iam", "global", 200)}


def test_changed_records_are_revisions_and_what_is_no_record_is_kept_apart(world: World) -> None:
    (changed,) = add(world, START - 5 * MINUTE)
    world.emulator.add(*LOG, b'{"id":"x","recorded_at":"2026-02-28T00:00:00Z"}', recorded_at=START - MINUTE)
    report = world.sync(**ONLY_LOGS)
    assert report.total["quarantined"] == 1
    assert [row["reason"] for row in world.table("quarantine")] == ["it has no created_at"]
    assert outcome_of(report) == "read"
    at = (START - 5 * MINUTE).isoformat()
    world.emulator.replace(*LOG, changed, {"action": "deleted", "created_at": at, "id": changed})
    world.start += MINUTE
    assert world.sync(**ONLY_LOGS).total["revised"] == 1
    assert [(row["kind"], row["id"]) for row in world.table("revisions")] == [("iam", changed)]


def test_a_stopped_run_goes_on_where_it_was(world: World) -> None:
    fill(world, count=200)
    world.emulator.faults = Faults(max_page_size=10)
    left = iter(range(6))
    report = world.sync(
        **ONLY_LOGS, commit_events=20, progress=OnPage(lambda: next(left, world) is world and world.stop.set())
    )
    assert report.interrupted
    check_claims(world)
    world.stop.clear()
    assert outcome_of(sync(world)) == "read"
    assert world.coverage(*LOG).gaps == ()
    assert len(world.rows(*LOG)) == len(truth_within(world, world.coverage(*LOG).covered))


# How far back the log goes


def test_silence_before_the_first_record_is_no_proof_that_there_was_none(world: World) -> None:
    """A log that begins within the 90 days may have begun there, or have been cut off there."""
    first = START - 30 * DAY
    add(world, first, START - DAY)
    report = world.sync(**ONLY_LOGS)
    assert outcome_of(report) == "read"
    covered = world.coverage(*LOG)
    assert covered.covered == (Span(first, START),)
    assert covered.gaps == ()
    missing = missing_logs_in(Archive.open(world.path).ledger(), Span(START - 60 * DAY, START), START, open_ended=True)
    assert [(each.span, each.reason) for each in missing] == [
        (Span(START - 60 * DAY, first), "before the archive begins")
    ]


def test_a_log_without_a_record_covers_what_it_surely_keeps(world: World) -> None:
    sync(world)
    (span,) = world.coverage(*LOG).covered
    assert (span.end, round(span.length / DAY, 3)) == (START, 7)
    world.start += 6 * DAY
    sync(world)
    assert world.coverage(*LOG).covered == (Span(span.start, world.start),)


def test_what_a_short_log_may_have_dropped_since_the_last_run_is_a_gap(world: World) -> None:
    add(world, *(START - number * DAY for number in range(1, 29)))
    world.emulator.faults = Faults(log_days=30)
    sync(world)
    world.start += 60 * DAY
    add(world, world.start - 20 * DAY)
    sync(world)
    covered = world.coverage(*LOG)
    assert [gap.reason for gap in covered.gaps] == [GapReason.UNREAD]
    assert covered.gaps[0].span == Span(START, world.start - 20 * DAY)


def test_records_older_than_90_days_are_kept_when_asked_for_and_not_claimed(world: World) -> None:
    fill(world)
    report = world.sync(**ONLY_LOGS, since=START - 200 * DAY, until=START - 100 * DAY)
    assert report.total["new"] == 1
    assert not report.streams[0].covered


# Rights


def test_without_the_right_the_events_are_read_and_the_ledger_says_so_once(world: World) -> None:
    world.fill()
    fill(world)
    world.emulator.faults = Faults(denied_permissions=("IAMReadOnly",))
    kinds: Any = ("api", "iam")
    report = world.sync(kinds=kinds)
    log = report.streams[-1]
    assert (log.outcome, log.status, log.error, log.denied_before) == ("denied", 403, None, False)
    assert {each.outcome for each in report.streams[:-1]} == {"read"}
    (record,) = [each for each in Archive.open(world.path).ledger().entries[-1].streams if each.kind == "iam"]
    assert (record.outcome, record.status, record.start) == ("denied", 403, None)
    covered = world.coverage(*LOG)
    assert (covered.covered, covered.gaps, bool(covered.denied_since)) == ((), (), True)
    ledger = Archive.open(world.path).ledger()
    assert missing_in(ledger, None, START, open_ended=True) == []
    (missing,) = missing_logs_in(ledger, None, START, open_ended=True)
    assert missing.reason == "never read, since the key may not"
    world.start += MINUTE
    assert world.sync(kinds=kinds).streams[-1].denied_before
    world.emulator.faults = Faults()
    assert world.sync(kinds=kinds).streams[-1].outcome == "read"
    assert world.coverage(*LOG).denied_since is None


def test_a_right_that_is_taken_away_leaves_a_gap_that_shows(world: World) -> None:
    fill(world)
    world.sync(kinds=("api", "iam"))
    world.start += DAY
    world.emulator.faults = Faults(denied_permissions=("IAMReadOnly",))
    report = world.sync(kinds=("api", "iam"))
    assert report.streams[-1].outcome == "denied"
    covered = world.coverage(*LOG)
    assert [gap.span for gap in covered.gaps] == [Span(START, world.start)]
    assert covered.denied_since


def test_a_log_asked_for_by_name_must_be_readable(world: World) -> None:
    world.fill(kinds=["api"])
    fill(world)
    world.emulator.faults = Faults(denied_permissions=("IAMReadOnly",))
    with pytest.raises(PermissionDenied):
        world.sync(**ONLY_LOGS)
    report = world.sync(kinds=("api", "iam"), named_kinds=frozenset({"api", "iam"}))
    assert [each.outcome for each in report.streams] == ["read", "read", "failed"]
    assert isinstance(report.streams[-1].error, PermissionDenied)
    assert report.fatal is None


@pytest.mark.parametrize("named", [False, True])
def test_an_api_without_the_log(world: World, named: bool) -> None:
    world.fill(kinds=["api"])
    world.emulator.faults = Faults(absent_streams=("logs",))
    kinds: Any = ("api", "iam")
    report = world.sync(kinds=kinds, named_kinds=frozenset(kinds if named else ()))
    assert report.streams[-1].outcome == ("failed" if named else "not_offered")
    assert report.streams[-1].status == 501
    with pytest.raises(RemoteError, match="none of the streams asked for is offered"):
        world.sync(**ONLY_LOGS)


# Questions


def test_a_question_over_the_log_says_what_of_the_log_is_missing_and_one_over_events_does_not(world: World) -> None:
    world.fill(kinds=["api"])
    world.sync(kinds=("api",))
    ledger = Archive.open(world.path).ledger()
    asked = Span(START - DAY, START)
    assert missing_for(frozenset({"events"}), ledger, asked, START, open_ended=True) == []
    for tables in (frozenset({"iam_logs"}), frozenset({"iam_logs", "events"})):
        (missing,) = missing_for(tables, ledger, asked, START, open_ended=True)
        assert str(missing).startswith("iam global: ")
        assert (missing.span, missing.reason) == (asked, "never read")
    fill(world)
    world.sync(kinds=("api", "iam"))
    ledger = Archive.open(world.path).ledger()
    assert missing_for(frozenset({"iam_logs"}), ledger, asked, START, open_ended=True) == []
    assert missing_for(frozenset({"coverage"}), ledger, None, START, open_ended=True) == []


# What moves while it is read


class Moving:
    """The API, with something done to its log before some requests for further pages."""

    def __init__(self, emulator: Emulator, action: Callable[[int], object]) -> None:
        self._emulator = emulator
        self._action = action
        self._asked = 0

    @property
    def still(self) -> Emulator:
        return self._emulator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._emulator, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._emulator, name, value)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self._asked += 1
        self._action(self._asked)
        return self._emulator(environ, start_response)


def let_move(world: World, action: Callable[[int], object]) -> None:
    world.emulator = Moving(world.emulator, action)  # type: ignore[assignment]


@pytest.mark.parametrize("same_moment", [False, True])
@pytest.mark.parametrize("change", ["added", "removed", "both"])
def test_records_that_come_and_go_while_pages_are_read_hide_none(world: World, change: str, same_moment: bool) -> None:
    """With both, the count stays the same and every number of a page is off by one."""
    add(world, START - 100 * DAY)
    moments = [START - 20 * DAY + (timedelta(0) if same_moment else number * HOUR) for number in range(120)]
    ids = add(world, *moments)
    world.visible_at_first = {LOG: world.emulator.truth(*LOG)}
    removed: set[str] = set()

    def move(asked: int) -> None:
        if not 4 <= asked <= 7:
            return
        if change != "added":
            world.emulator.remove(*LOG, ids[asked])
            removed.add(ids[asked])
        if change != "removed":
            add(world, moments[asked], START - 2 * DAY)
        if change == "both":
            world.emulator.remove(*LOG, ids[asked + 20])
            removed.add(ids[asked + 20])

    let_move(world, move)
    world.emulator.faults = Faults(max_page_size=15)
    report = world.sync(**ONLY_LOGS)
    assert outcome_of(report) == "read"
    held = {row["id"] for row in world.rows(*LOG)}
    assert set(ids) - removed <= held
    world.visible_at_first = {}
    world.start += MINUTE
    assert outcome_of(world.sync(**ONLY_LOGS, overlap=90 * DAY)) == "read"
    check_held(world)


def test_a_record_that_goes_and_one_that_comes_between_two_pages_hide_none(world: World) -> None:
    """The count stays the same, and a record slips from a page not read yet into one that was."""
    add(world, START - 100 * DAY)
    ids = add(world, *[START - 20 * DAY] * 60)
    done: list[bool] = []

    def move(_asked: int) -> None:
        if not done and world.emulator.requests and world.emulator.requests[-1].query["page"] == "2":
            done.append(True)
            world.emulator.remove(*LOG, ids[0])
            add(world, START - 20 * DAY)

    let_move(world, move)
    world.emulator.faults = Faults(max_page_size=15)
    assert outcome_of(world.sync(**ONLY_LOGS)) == "read"
    assert done
    assert len({row["id"] for row in world.rows(*LOG)}) == 61


class Leaving:
    """The API, leaving one record out of each of some answers while it counts them all."""

    def __init__(self, emulator: Emulator, left_out: list[str]) -> None:
        self._emulator = emulator
        self._left_out = left_out

    def __getattr__(self, name: str) -> Any:
        return getattr(self._emulator, name)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        heads: list[Any] = []
        answer = json.loads(b"".join(self._emulator(environ, lambda *head: heads.append(head))))  # type: ignore[arg-type]
        ids = [log["id"] for log in answer["logs"]]
        if self._left_out and self._left_out[0] in ids and len(ids) > 1:
            del answer["logs"][ids.index(self._left_out.pop(0))]
        body = json.dumps(answer).encode()
        ((status, headers),) = heads
        start_response(status, [pair for pair in headers if pair[0] != "Content-Length"])
        return [body]


def test_two_records_left_out_so_that_the_counts_fit_are_not_lost(world: World) -> None:
    """One in the middle of a page, and, of the next answer, the record that both have."""
    add(world, START - 100 * DAY)
    ids = add(world, *(START - 20 * DAY + number * HOUR for number in range(60)))
    world.emulator.faults = Faults(max_page_size=15)
    left_out = [ids[5], ids[14]]
    world.emulator = Leaving(world.emulator, left_out)  # type: ignore[assignment]
    assert outcome_of(world.sync(**ONLY_LOGS)) == "read"
    assert left_out == []
    assert set(ids) == {row["id"] for row in world.rows(*LOG)}


def test_a_log_that_never_stands_still_is_never_believed(world: World) -> None:
    add(world, START - 100 * DAY, *[START - 20 * DAY] * 60)
    let_move(world, lambda _asked: add(world, START - 20 * DAY))
    world.emulator.faults = Faults(max_page_size=15)
    report = world.sync(**ONLY_LOGS)
    assert outcome_of(report) == "failed"
    assert "do not add up" in str(report.streams[0].error)
    assert all(span.end <= START - 20 * DAY for span in world.coverage(*LOG).covered)


def test_many_records_at_one_moment_are_read_twice_and_then_believed(world: World) -> None:
    add(world, START - 100 * DAY, START - 30 * DAY, *[START - 20 * DAY] * 250, START - DAY)
    report = world.sync(**ONLY_LOGS)
    assert outcome_of(report) == "read"
    assert len(world.rows(*LOG)) == 252
    check_claims(world)
    assert "3" in pages_asked(world)


def test_events_on_the_edges_of_windows_are_read_once(world: World) -> None:
    since, until = START - 10 * DAY, START - 5 * DAY
    add(world, START - 100 * DAY)
    for edge in (since, until, START):
        add(world, *(edge + nearby for nearby in (-SECOND, -MICROSECOND, timedelta(0), MICROSECOND, SECOND)))
    world.emulator.faults = Faults(after_bound="exclusive", before_bound="inclusive")
    world.sync(**ONLY_LOGS, since=since, until=until)
    assert len(world.rows(*LOG)) == 5
    for _ in range(3):
        world.start += 2 * SECOND
        sync(world)
    assert len(world.rows(*LOG)) == 15


def test_windows_are_split_and_each_record_is_read_once(world: World) -> None:
    add(world, START - 100 * DAY, *(START - 2 * DAY + number * 60 * SECOND for number in range(2500)))
    world.emulator.faults = Faults(latency=ALWAYS, latency_seconds=0.005)
    report = world.sync(**ONLY_LOGS, concurrency=8, commit_events=500)
    assert outcome_of(report) == "read"
    assert len(world.rows(*LOG)) == 2500
    assert max(each.in_flight for each in world.emulator.requests) > 1
    assert len({each.query["created_before"] for each in world.emulator.requests}) > 3
    check_claims(world)


# An API that lies

LIES: dict[str, tuple[Faults, str]] = {
    "the count is of the page": (Faults(log_total="page"), "failed"),
    "the count is of the whole log": (Faults(log_total="all"), "failed"),
    "the count is one too high": (Faults(log_total="more"), "failed"),
    "the count is one too low": (Faults(log_total="fewer"), "failed"),
    "there is no count": (Faults(log_total="absent"), "failed"),
    "the order is the other one": (Faults(ignore_order=True), "read"),
    "there is no order": (Faults(shuffled=ALWAYS), "read"),
    "the bounds change nothing": (Faults(ignore_log_bounds=True), "read"),
    "neither bounds nor order": (Faults(ignore_log_bounds=True, ignore_order=True), "read"),
    "every page is the first": (Faults(ignore_log_page=True), "read"),
    "every page is the first, unordered": (Faults(ignore_log_page=True, ignore_order=True), "failed"),
    "the bounds change nothing, the count is of the page": (Faults(ignore_log_bounds=True, log_total="page"), "failed"),
    "every page is the first, the count is of the page": (Faults(ignore_log_page=True, log_total="page"), "failed"),
    "no page behind the last": (Faults(behind_last_page="refused"), "read"),
    "the last page again": (Faults(behind_last_page="last"), "read"),
    "pages overlap": (Faults(repeated_rows=3), "read"),
    "rows are left out": (Faults(omitted_row=ALWAYS), "failed"),
    "rows are left out now and then": (Faults(omitted_row=When(every=7)), "read"),
    "rows give way to copies": (Faults(doubled_row=ALWAYS), "failed"),
    "further pages are refused": (Faults(refused_token=ALWAYS), "read"),
    "further pages are refused, unordered": (Faults(refused_token=ALWAYS, ignore_order=True), "failed"),
    "pages are short, and one moment has more records": (Faults(short_page=ALWAYS), "failed"),
    "pages are empty now and then": (Faults(empty_page=When(every=4)), "read"),
    "one record a page": (Faults(max_page_size=1), "read"),
    "old bounds are refused": (Faults(refuse_old_bounds=True), "read"),
    "a large page is refused": (Faults(max_page_size=50, oversize="refused"), "failed"),
}


@pytest.mark.parametrize("name", LIES)
def test_whatever_the_api_says_only_what_adds_up_is_claimed(world: World, name: str) -> None:
    faults, expected = LIES[name]
    fill(world, count=40)
    world.emulator.faults = (
        replace(faults, max_page_size=min(faults.max_page_size, 9)) if faults.oversize != "refused" else faults
    )
    report = sync(world)
    assert outcome_of(report) in (expected, "RequestRefused")
    if expected == "read":
        covered = world.coverage(*LOG)
        assert len(truth_within(world, covered.covered)) > 40
        assert covered.covered[-1].end == START
    world.emulator.faults = Faults()
    world.start += MINUTE
    assert outcome_of(sync(world)) == "read"
    covered = world.coverage(*LOG)
    assert covered.gaps == ()
    held = [row["raw"].encode() for row in world.rows(*LOG)]
    assert set(truth_within(world, covered.covered)) <= set(held) <= set(world.emulator.truth(*LOG))
    assert Archive.open(world.path).ledger().entries[-1].streams[-1].outcome == "read"


rates = st.sampled_from([When(rate=0.1), When(rate=0.3), When(first=3), When(every=4), When(requests=[4, 5, 9])])
CHOICES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(
        "rate_limit server_error invalid_json not_a_page no_date refused_token empty_page short_page shuffled"
        " omitted_row doubled_row wrong_total_count".split(),
        rates,
    ),
    "max_page_size": st.sampled_from([1, 2, 3, 7, 20]),
    "after_bound": st.just("exclusive"),
    "before_bound": st.just("inclusive"),
    "refuse_old_bounds": st.just(value=True),
    "ignore_order": st.just(value=True),
    "ignore_log_bounds": st.just(value=True),
    "ignore_log_page": st.just(value=True),
    "repeated_rows": st.integers(1, 5),
    "log_total": st.sampled_from(["all", "page", "more", "fewer", "absent"]),
    "log_days": st.integers(1, 100),
    "behind_last_page": st.sampled_from(["refused", "last"]),
    "clock_skew": st.sampled_from([-5 * MINUTE, 5 * MINUTE]),
    "denied_permissions": st.just(("IAMReadOnly",)),
}
mixes = st.lists(st.sampled_from(sorted(CHOICES)), min_size=1, max_size=5, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: CHOICES[name] for name in names})
)
moves = st.lists(
    st.tuples(st.integers(2, 25), st.sampled_from(["add", "remove", "both", "late"]), st.integers(0, 39)), max_size=6
)


@settings(max_examples=MIXES, derandomize=MIXES <= 8, deadline=None, phases=(Phase.generate,))
@given(mix=mixes, seed=st.integers(0, 1000), moved=moves, one_moment=st.booleans(), commit=st.sampled_from([7, 1000]))
def test_after_any_mix_of_faults_and_changes_what_is_claimed_is_held(
    tmp_path_factory: pytest.TempPathFactory,
    mix: dict[str, Any],
    seed: int,
    moved: list[tuple[int, str, int]],
    one_moment: bool,
    commit: int,
) -> None:
    world = log_world(tmp_path_factory.mktemp("mix") / "archive")
    world.emulator = Emulator(clock=world.now, regions=("fr-par",), seed=seed)
    add(world, START - 100 * DAY)
    ids = add(world, *(START - 30 * DAY + (number // 8 if one_moment else number) * 8 * HOUR for number in range(40)))
    first = world.emulator.truth(*LOG)
    gone: set[str] = set()

    def move(asked: int) -> None:
        for at, what, which in moved:
            if at != asked:
                continue
            if what in ("remove", "both") and ids[which] not in gone:
                world.emulator.remove(*LOG, ids[which])
                gone.add(ids[which])
            if what != "remove":
                add(world, START - 30 * DAY + which * 3 * HOUR if what == "late" else START - DAY + which * MINUTE)

    let_move(world, move)
    faults = Faults(**mix)
    world.emulator.faults = faults
    # What was there all the time must be held wherever it is claimed; what came meanwhile came late.
    oldest = START - timedelta(days=faults.log_days or 1000) + MINUTE
    stayed = [raw for raw in first if time_of(raw) >= oldest]
    with suppress(TrailkeepError):
        world.sync(**ONLY_LOGS, commit_events=commit)
    world.visible_at_first = {LOG: [raw for raw in stayed if json.loads(raw)["id"] not in gone]}
    world.check_whole()
    world.emulator = world.emulator.still
    world.emulator.faults = Faults()
    world.start += 6 * MINUTE
    assert outcome_of(world.sync(**ONLY_LOGS, overlap=90 * DAY)) == "read"
    check_held(world)
    covered = world.coverage(*LOG)
    assert covered.gaps == () or "log_days" in mix
    assert len(truth_within(world, covered.covered)) >= 38 - len(gone)
