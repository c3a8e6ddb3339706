"""A query whose span the archive does not cover says so on stderr, and with --strict by its exit code."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from archives import ORGANIZATION, Archives
from demo_archive import clock, run
from trailkeep.seal import CoverageRecord, StreamRecord
from trailkeep.store import Commit, Writer
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    import subprocess

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NOW = clock()
COUNT = "SELECT count(*) AS n FROM events WHERE recorded_at >= $since AND recorded_at < $until"
HINT = ("error: the archive does not cover all of the asked span", "hint: ")


def a_span(start: timedelta, end: timedelta) -> dict[str, str]:
    return {"start": format_time(NOW - start), "end": format_time(NOW - end)}


def covered(kind: str, start: timedelta, end: timedelta) -> CoverageRecord:
    return CoverageRecord(organization_id=ORGANIZATION, kind=kind, region="fr-par", **a_span(start, end))


def a_record(kind: str, region: str, outcome: str, span: dict[str, str] | None = None) -> StreamRecord:
    return StreamRecord(organization_id=ORGANIZATION, kind=kind, region=region, outcome=outcome, **span or {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Last read ten minutes ago; from 80 to 40 days back, and from 30 on; never any system events in nl-ams."""
    folder = tmp_path_factory.mktemp("strict")
    rows = Archives(folder / "data")
    rows.api(NOW - 50 * DAY, "CreateServer")
    rows.api(NOW - 3 * DAY, "DeleteServer")
    rows.commit()
    with Writer(folder / "data", clock=lambda: NOW - 10 * MINUTE) as writer:
        writer.commit(
            Commit(
                operation="sync",
                started_at=NOW - 11 * MINUTE,
                organization_id=ORGANIZATION,
                coverage=[covered("api", 80 * DAY, 40 * DAY), covered("api", 30 * DAY, 10 * MINUTE)],
                streams=[a_record("system", "nl-ams", "not_offered")],
            )
        )
    return folder


def ask(folder: Path, *arguments: str, sql: str = COUNT) -> subprocess.CompletedProcess[str]:
    return run(folder, "query", "--sql", sql, "--format", "json", *arguments)


def days_ago(days: float) -> str:
    return format_time(NOW - days * DAY)


def warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


GAP = f"warning: api fr-par: {days_ago(40)} to {days_ago(30)} is not in the archive: it was never read"


class TestWarnings:
    def test_a_span_that_is_covered_says_nothing(self, folder: Path) -> None:
        done = ask(folder, "--since", days_ago(30), "--until", days_ago(1), "--strict")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == [{"n": 1}]

    def test_a_span_over_a_gap_names_it(self, folder: Path) -> None:
        done = ask(folder, "--since", days_ago(60), "--until", days_ago(1))
        assert (done.returncode, warnings(done)) == (0, [GAP])
        assert json.loads(done.stdout) == [{"n": 2}]

    def test_a_span_that_touches_a_gap_names_the_part_that_was_asked(self, folder: Path) -> None:
        done = ask(folder, "--since", days_ago(35), "--until", days_ago(1))
        assert [line.partition("api fr-par: ")[2].partition(" is ")[0] for line in warnings(done)] == [
            f"{days_ago(35)} to {days_ago(30)}"
        ]

    def test_a_span_that_ends_where_the_gap_begins_does_not_touch_it(self, folder: Path) -> None:
        done = ask(folder, "--since", days_ago(60), "--until", days_ago(40), "--strict")
        assert (done.returncode, done.stderr) == (0, "")

    def test_time_before_the_archive_begins(self, folder: Path) -> None:
        (said,) = warnings(ask(folder, "--since", days_ago(400), "--until", days_ago(50)))
        assert said == (
            f"warning: api fr-par: {days_ago(400)} to {days_ago(80)} is not in the archive:"
            " it was before the archive begins"
        )

    def test_a_span_that_lies_before_the_archive_altogether(self, folder: Path) -> None:
        (said,) = warnings(ask(folder, "--since", days_ago(400), "--until", days_ago(300)))
        assert f"{days_ago(400)} to {days_ago(300)}" in said

    def test_an_end_that_was_named_after_the_last_read(self, folder: Path) -> None:
        done = ask(folder, "--since", days_ago(30), "--until", format_time(NOW))
        (said,) = warnings(done)
        assert said.endswith("it was not read yet")
        assert f"{format_time(NOW - 10 * MINUTE)} to {format_time(NOW)}" in said

    def test_the_minutes_since_the_last_sync_are_no_warning_where_no_end_was_named(self, folder: Path) -> None:
        done = ask(folder, "--since", days_ago(30), "--strict")
        assert (done.returncode, done.stderr) == (0, "")

    def test_sql_that_names_no_span_is_about_all_that_is_held(self, folder: Path) -> None:
        assert warnings(ask(folder, sql="SELECT count(*) AS n FROM events")) == [GAP]

    def test_a_saved_query_asks_about_its_own_default(self, folder: Path) -> None:
        done = run(folder, "query", "access/login-failures", "--format", "csv")
        before, gap = warnings(done)
        assert "before the archive begins" in before
        assert gap == GAP

    def test_quiet_does_not_silence_them(self, folder: Path) -> None:
        done = run(folder, "--quiet", "query", "--sql", "SELECT count(*) AS n FROM api_events")
        assert warnings(done) == [GAP]

    def test_sql_that_reads_no_events_lacks_none(self, folder: Path) -> None:
        done = run(folder, "query", "--sql", "SELECT count(*) AS n FROM ledger", "--strict")
        assert (done.returncode, warnings(done)) == (0, [])


class TestStrict:
    def test_the_result_is_written_in_full_and_then_the_code_is_6(self, folder: Path) -> None:
        asked = ("--since", days_ago(60), "--until", days_ago(1))
        sql = "SELECT id, recorded_at FROM events ORDER BY recorded_at"
        lenient, strict = ask(folder, *asked, sql=sql), ask(folder, *asked, "--strict", sql=sql)
        assert (lenient.returncode, strict.returncode) == (0, 6)
        assert len(json.loads(strict.stdout)) == 2
        assert strict.stdout == lenient.stdout
        said = strict.stderr.splitlines()
        assert said[0] == GAP
        assert said[1] == HINT[0]
        assert said[2].startswith(HINT[1])

    def test_a_file_is_whole_too(self, folder: Path, tmp_path: Path) -> None:
        file = tmp_path / "rows.csv"
        done = run(folder, "query", "--sql", "SELECT id FROM events ORDER BY id", "-o", str(file), "--strict")
        assert (done.returncode, done.stdout) == (6, "")
        assert len(file.read_text().splitlines()) == 3
        assert not [*tmp_path.glob(".*.part")]

    def test_a_query_that_fails_keeps_its_own_code(self, folder: Path) -> None:
        done = ask(folder, "--strict", sql="SELECT nothing FROM events")
        assert (done.returncode, done.stdout) == (1, "")

    def test_an_answer_that_is_old_by_more_than_a_day_is_incomplete(self, tmp_path: Path) -> None:
        with Writer(tmp_path / "data", clock=lambda: NOW - 3 * DAY) as writer:
            writer.commit(
                Commit(
                    operation="sync",
                    started_at=NOW - 3 * DAY,
                    organization_id=ORGANIZATION,
                    coverage=[covered("api", 80 * DAY, 3 * DAY)],
                )
            )
        done = ask(tmp_path, "--since", days_ago(30), "--strict")
        assert done.returncode == 6
        (said,) = warnings(done)
        assert said.endswith("it was not read yet")

    def test_a_gap_that_cannot_be_read_any_more_is_said_to_be_lost(self, tmp_path: Path) -> None:
        with Writer(tmp_path / "data", clock=lambda: NOW) as writer:
            writer.commit(
                Commit(
                    operation="sync",
                    started_at=NOW,
                    organization_id=ORGANIZATION,
                    coverage=[covered("api", 300 * DAY, 200 * DAY), covered("api", 150 * DAY, MINUTE)],
                )
            )
        (said,) = warnings(ask(tmp_path, "--since", days_ago(299)))
        assert said == (f"warning: api fr-par: {days_ago(200)} to {days_ago(150)} is not in the archive: it was lost")

    def test_many_gaps_are_not_told_one_by_one(self, tmp_path: Path) -> None:
        with Writer(tmp_path / "data", clock=lambda: NOW) as writer:
            writer.commit(
                Commit(
                    operation="sync",
                    started_at=NOW,
                    organization_id=ORGANIZATION,
                    coverage=[covered("api", days * DAY, days * DAY - HOUR) for days in range(1, 20)],
                )
            )
        done = ask(tmp_path, "--since", days_ago(19), "--until", days_ago(1))
        assert len(warnings(done)) == 6
        assert "and 13 more such spans" in warnings(done)[-1]
