"""`trailkeep status` says when the archive is not being fed: to cron by its exit code, to monitoring as metrics."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from archives import ORGANIZATION, Archives
from demo_archive import clock, run
from trailkeep.seal import CoverageRecord, StreamRecord
from trailkeep.store import Archive, Commit, Writer
from trailkeep.timespan import format_time, parse_moment

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OK, MISSING, INCOMPLETE = 0, 4, 6


@dataclass
class Fed:
    """An archive in ``data``, fed at moments of the past; every age counts back from when the test began."""

    folder: Path
    now: datetime = field(default_factory=clock)

    @property
    def path(self) -> Path:
        return self.folder / "data"

    def covered(self, start: timedelta, end: timedelta, *, kind: str = "api", region: str = "fr-par") -> CoverageRecord:
        return CoverageRecord(
            organization_id=ORGANIZATION,
            kind=kind,
            region=region,
            start=format_time(self.now - start),
            end=format_time(self.now - end),
        )

    def asked(self, outcome: str, start: timedelta | None = None, end: timedelta | None = None) -> StreamRecord:
        return StreamRecord(
            organization_id=ORGANIZATION,
            kind="system",
            region="pl-waw",
            outcome=outcome,
            start=None if start is None else format_time(self.now - start),
            end=None if end is None else format_time(self.now - end),
        )

    def sync(self, age: timedelta, *covered: CoverageRecord, streams: tuple[StreamRecord, ...] = ()) -> None:
        """An entry that a sync made `age` ago."""
        at = self.now - age
        with Writer(self.path, clock=lambda: at) as writer:
            writer.commit(
                Commit(
                    operation="sync",
                    started_at=at,
                    organization_id=ORGANIZATION,
                    coverage=list(covered),
                    streams=list(streams),
                )
            )

    def status(self, *arguments: str) -> Any:
        return run(self.folder, "status", *arguments)

    def alarms(self, *arguments: str) -> tuple[int, list[str]]:
        """The exit code, and the alarms that JSON and stderr agree on."""
        done = self.status("--format", "json", *arguments)
        alarms: list[str] = json.loads(done.stdout)["alarms"]
        assert [line for line in done.stderr.splitlines() if line.startswith("alarm: ")] == [
            f"alarm: {alarm}" for alarm in alarms
        ]
        return done.returncode, alarms


@pytest.fixture
def fed(tmp_path: Path) -> Fed:
    return Fed(tmp_path)


class TestMaxAge:
    def test_a_fresh_archive_is_no_alarm(self, fed: Fed) -> None:
        fed.sync(HOUR, fed.covered(80 * DAY, HOUR), fed.covered(80 * DAY, HOUR, kind="system"))
        assert fed.alarms("--max-age", "24h") == (OK, [])

    def test_a_stale_archive_has_a_line_for_each_stale_stream(self, fed: Fed) -> None:
        fed.sync(30 * HOUR, fed.covered(80 * DAY, 30 * HOUR), fed.covered(80 * DAY, 30 * HOUR, region="nl-ams"))
        fed.sync(HOUR, fed.covered(80 * DAY, HOUR, kind="authentication"))
        code, alarms = fed.alarms("--max-age", "24h")
        at = format_time(fed.now - 30 * HOUR)
        assert code == INCOMPLETE
        assert alarms == [
            f"api {region} of {ORGANIZATION}: the last successful read was {at}" for region in ("fr-par", "nl-ams")
        ]

    def test_the_same_archive_is_fresh_enough_for_who_allows_more(self, fed: Fed) -> None:
        fed.sync(30 * HOUR, fed.covered(80 * DAY, 30 * HOUR))
        assert fed.alarms("--max-age", "2d") == (OK, [])

    def test_without_the_option_age_is_no_alarm(self, fed: Fed) -> None:
        fed.sync(50 * DAY, fed.covered(80 * DAY, 50 * DAY))
        assert fed.alarms() == (OK, [])

    def test_unread_time_past_60_days_is_an_alarm_however_fresh_the_last_sync(self, fed: Fed) -> None:
        fed.sync(HOUR, fed.covered(85 * DAY, 65 * DAY))
        code, (alarm,) = fed.alarms("--max-age", "24h")
        assert code == INCOMPLETE
        since = format_time(fed.now - 65 * DAY)
        assert alarm == f"api fr-par of {ORGANIZATION}: unread since {since}, 25.0 days before it is lost"

    def test_unread_time_of_59_days_is_none_yet(self, fed: Fed) -> None:
        fed.sync(HOUR, fed.covered(85 * DAY, 59 * DAY))
        assert fed.alarms("--max-age", "24h") == (OK, [])

    def test_an_old_gap_is_an_alarm_besides_being_a_gap(self, fed: Fed) -> None:
        fed.sync(HOUR, fed.covered(85 * DAY, 70 * DAY), fed.covered(69 * DAY, HOUR))
        code, (alarm,) = fed.alarms("--max-age", "24h")
        assert code == INCOMPLETE
        assert f"unread since {format_time(fed.now - 70 * DAY)}, 20.0 days" in alarm

    def test_a_young_gap_is_no_alarm_but_a_gap(self, fed: Fed) -> None:
        fed.sync(HOUR, fed.covered(85 * DAY, 5 * DAY), fed.covered(4 * DAY, HOUR))
        assert fed.alarms("--max-age", "24h") == (INCOMPLETE, [])

    def test_a_gap_that_is_lost_for_good_is_no_alarm_for_ever(self, fed: Fed) -> None:
        fed.sync(HOUR, fed.covered(200 * DAY, 150 * DAY), fed.covered(120 * DAY, HOUR))
        assert fed.alarms("--max-age", "24h") == (INCOMPLETE, [])

    def test_an_archive_that_nothing_was_ever_read_into(self, fed: Fed) -> None:
        with Writer(fed.path, clock=clock):
            pass
        assert fed.alarms("--max-age", "24h") == (INCOMPLETE, ["nothing was ever read"])

    def test_a_stream_that_was_tried_and_never_read(self, fed: Fed) -> None:
        fed.sync(HOUR, fed.covered(80 * DAY, HOUR), streams=(fed.asked("failed", 5 * DAY, HOUR),))
        code, alarms = fed.alarms("--max-age", "24h")
        assert code == INCOMPLETE
        assert alarms == [f"system pl-waw of {ORGANIZATION}: the last successful read was never"]

    def test_a_stream_that_is_not_offered_is_no_alarm(self, fed: Fed) -> None:
        fed.sync(HOUR, fed.covered(80 * DAY, HOUR), streams=(fed.asked("not_offered"),))
        assert fed.alarms("--max-age", "24h") == (OK, [])

    def test_only_streams_that_are_not_offered_is_nothing_read(self, fed: Fed) -> None:
        fed.sync(HOUR, streams=(fed.asked("not_offered"),))
        assert fed.alarms("--max-age", "24h") == (INCOMPLETE, ["nothing was ever read"])

    def test_entries_that_read_nothing_do_not_count_as_reads(self, fed: Fed) -> None:
        fed.sync(30 * HOUR, fed.covered(80 * DAY, 30 * HOUR))
        fed.sync(HOUR)
        code, alarms = fed.alarms("--max-age", "24h")
        assert (code, len(alarms)) == (INCOMPLETE, 1)

    def test_alarms_are_on_stderr_with_what_to_do_and_stdout_is_the_status(self, fed: Fed) -> None:
        fed.sync(30 * HOUR, fed.covered(80 * DAY, 30 * HOUR))
        plain, asked = fed.status(), fed.status("--max-age", "24h")
        assert plain.stdout == asked.stdout
        assert (plain.returncode, plain.stderr) == (OK, "")
        assert [line.partition(":")[0] for line in asked.stderr.splitlines()] == ["alarm", "error", "hint"]

    def test_no_archive_is_no_silence(self, tmp_path: Path) -> None:
        assert run(tmp_path, "status", "--max-age", "24h").returncode == MISSING

    @pytest.mark.parametrize("age", ["", "24", "a day", "-1h", "2026-01-01"])
    def test_what_is_no_age_is_refused_with_what_is_accepted(self, fed: Fed, age: str) -> None:
        fed.sync(HOUR, fed.covered(80 * DAY, HOUR))
        done = fed.status(f"--max-age={age}")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--max-age" in done.stderr
        assert "90d, 12h or 30m" in done.stderr


# Metrics

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (-?[0-9]+(?:\.[0-9]+)?)")
Labels = frozenset[tuple[str, str]]


def parse_exposition(text: str) -> dict[str, dict[Labels, float]]:
    """The families of the text exposition format 0.0.4, and of nothing laxer: a gauge each, HELP and TYPE first."""
    assert text.endswith("\n")
    families: dict[str, dict[Labels, float]] = {}
    lines = iter(text[:-1].split("\n"))
    current = ""
    for line in lines:
        if line.startswith("# HELP "):
            match = re.fullmatch(rf"# HELP ({_NAME}) (\S.*\S)", line)
            assert match, line
            current = match[1]
            assert current not in families, f"{current} comes twice"
            families[current] = {}
            assert next(lines) == f"# TYPE {current} gauge"
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match.groups()
        assert name == current, f"{line} stands in the family {current}"
        pairs, at = [], 0
        while at < len(labels or ""):
            pair = _LABEL.match(labels, at)
            assert pair, line
            pairs.append((pair[1], re.sub(r"\\(.)", lambda each: {"n": "\n"}.get(each[1], each[1]), pair[2])))
            at = pair.end()
        assert len(dict(pairs)) == len(pairs), f"a label comes twice: {line}"
        key = frozenset(pairs)
        assert key not in families[name], f"a sample comes twice: {line}"
        families[name][key] = float(value)
    return families


def labels(kind: str, region: str, **more: str) -> Labels:
    return frozenset({"organization_id": ORGANIZATION, "kind": kind, "region": region, **more}.items())


@pytest.mark.parametrize(
    "text",
    [
        "# HELP a b\n# TYPE a gauge\na 1",
        "a 1\n",
        "# HELP a b c\n# TYPE a gauge\na{x=1} 1\n",
        '# HELP a b c\n# TYPE a gauge\na{x="1"} 1\na{x="1"} 2\n',
        '# HELP a b c\n# TYPE a gauge\na{x="a"b"} 1\n',
        "# HELP a b c\na 1\n",
    ],
)
def test_the_parser_of_these_tests_is_strict(text: str) -> None:
    with pytest.raises(AssertionError):
        parse_exposition(text)


class TestPrometheus:
    def test_every_figure_with_its_labels(self, fed: Fed) -> None:
        rows = Archives(fed.path)
        for hours in (50, 40, 30):
            rows.api(fed.now - hours * HOUR, "CreateServer")
        rows.commit()
        fed.sync(
            30 * HOUR,
            fed.covered(100 * DAY, 95 * DAY),
            fed.covered(80 * DAY, 10 * DAY),
            fed.covered(9 * DAY, 30 * HOUR),
        )
        fed.sync(2 * HOUR, fed.covered(80 * DAY, 2 * HOUR, kind="system", region="nl-ams"))
        done = fed.status("--format", "prometheus")
        assert done.returncode == INCOMPLETE
        families = parse_exposition(done.stdout)
        api, system = labels("api", "fr-par"), labels("system", "nl-ams")
        late = (clock() - fed.now).total_seconds() + 1

        def seconds(name: str, key: Labels) -> float:
            """The figure, without the time that the test took."""
            hours, rest = divmod(families[f"trailkeep_{name}"][key], 3600)
            assert rest <= late
            return hours * 3600

        assert seconds("last_read_age_seconds", api) == (30 * HOUR).total_seconds()
        assert seconds("last_read_age_seconds", system) == (2 * HOUR).total_seconds()
        assert seconds("covered_until_age_seconds", api) == (30 * HOUR).total_seconds()
        assert seconds("newest_event_age_seconds", api) == (30 * HOUR).total_seconds()
        # What is left of the gap begins at the retention's edge.
        oldest = families["trailkeep_oldest_unread_age_seconds"][api]
        assert (90 * DAY).total_seconds() - 1 <= oldest <= (90 * DAY).total_seconds()
        assert seconds("oldest_unread_age_seconds", system) == (2 * HOUR).total_seconds()
        assert families["trailkeep_gaps"] == {
            labels("api", "fr-par", reason="unread"): 2,
            labels("api", "fr-par", reason="unreadable"): 1,
            labels("system", "nl-ams", reason="unread"): 0,
            labels("system", "nl-ams", reason="unreadable"): 0,
        }
        files = [*Archive.open(fed.path).ledger().files("api_events")]
        assert families["trailkeep_events"] == {api: 3, system: 0}
        assert families["trailkeep_files"] == {api: len(files), system: 0}
        assert families["trailkeep_bytes"] == {api: sum(file.record.bytes for file in files), system: 0}
        assert set(families["trailkeep_newest_event_age_seconds"]) == {api}

    def test_the_figures_are_those_of_the_json(self, fed: Fed) -> None:
        fed.sync(30 * HOUR, fed.covered(80 * DAY, 30 * HOUR))
        families = parse_exposition(fed.status("--format", "prometheus").stdout)
        described = json.loads(fed.status("--format", "json").stdout)
        (stream,) = described["streams"]
        until = parse_moment(stream["covered"][-1]["to"])
        (age,) = families["trailkeep_covered_until_age_seconds"].values()
        assert abs((parse_moment(described["as_of"]) - until).total_seconds() - age) < 30

    def test_alarms_end_with_6_and_the_metrics_are_whole(self, fed: Fed) -> None:
        fed.sync(30 * HOUR, fed.covered(80 * DAY, 30 * HOUR))
        done = fed.status("--format", "prometheus", "--max-age", "24h")
        assert done.returncode == INCOMPLETE
        assert parse_exposition(done.stdout)
        assert "alarm: " in done.stderr

    def test_an_archive_without_a_stream_has_families_without_samples(self, fed: Fed) -> None:
        with Writer(fed.path, clock=clock):
            pass
        families = parse_exposition(fed.status("--format", "prometheus").stdout)
        assert families
        assert not any(families.values())

    def test_a_name_from_the_ledger_cannot_break_out_of_its_label(self, fed: Fed) -> None:
        region = 'fr"} 1\\\nup'
        fed.sync(HOUR, fed.covered(80 * DAY, HOUR, region=region))
        families = parse_exposition(fed.status("--format", "prometheus").stdout)
        assert set(families["trailkeep_events"]) == {labels("api", region)}
