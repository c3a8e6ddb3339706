"""`trailkeep detect` as a user runs it: exit codes, formats, what is new, muted and on record."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from archives import ORGANIZATION, Archives, an_id
from demo_archive import environment, run
from forked import PROGRAM
from own_detections import DELETES, DENIED, HOSTILE
from trailkeep.seal import CoverageRecord
from trailkeep.store import Archive
from trailkeep.store.findings import known_findings
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive and two detections of its own; whoever writes takes a copy."""
    folder = tmp_path_factory.mktemp("detect")
    archives = Archives(folder / "data")
    archives.api(NOW - 2 * DAY, "DeleteServer", user_agent=HOSTILE, resources=[{"id": "r", "type": "t", "name": "web"}])
    archives.api(NOW - DAY, "DeleteServer", source_ip=None, principal_id=None)
    for minutes in (0, 10, 20):
        archives.api(NOW - 3 * DAY + timedelta(minutes=minutes), "GetServer", status_code=403)
    covered = [
        CoverageRecord(
            organization_id=ORGANIZATION, kind=kind, region="fr-par", start=format_time(NOW - 95 * DAY),
            end=format_time(NOW),
        )
        for kind in ("api", "authentication", "system")
    ]  # fmt: skip
    archives.commit(covered)
    (folder / "queries" / "own").mkdir(parents=True)
    (folder / "queries" / "own" / "deletes.sql").write_text(DELETES)
    (folder / "queries" / "own" / "denied.sql").write_text(DENIED)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "copy")


def detect(folder: Path, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
    only = () if arguments[:1] and not arguments[0].startswith("-") else ("--only", "own/*")
    done = run(folder, "detect", *only, *arguments)
    assert done.returncode == code, done.stderr
    return done


def found(folder: Path, *arguments: str, code: int) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(detect(folder, "--format", "json", *arguments, code=code).stdout)
    return loaded


def test_findings_are_told_once_and_put_on_record(folder: Path) -> None:
    first = found(folder, code=10)
    assert first["counts"] == {"new": 3, "known": 0, "muted": 0}
    assert [(each["severity"], each["detection"]) for each in first["findings"]] == [
        ("high", "own/deletes"),
        ("high", "own/deletes"),
        ("medium", "own/denied"),
    ]
    finding = first["findings"][0]
    assert set(finding) >= set(
        "finding_id detection question title severity attack actor_id actor_name source_ips first_seen last_seen count"
        " summary event_ids next state".split()
    )
    assert (finding["title"], finding["attack"], finding["count"], finding["state"]) == (
        "Servers deleted", ["T1485"], 1, "new",
    )  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{16}", finding["finding_id"])
    assert first["findings"][2]["count"] == 3
    assert found(folder, code=0)["counts"]["new"] == 0
    everything = found(folder, "--all", code=0)
    assert [each["state"] for each in everything["findings"]] == ["known"] * 3
    assert [each["finding_id"] for each in everything["findings"]] == [each["finding_id"] for each in first["findings"]]
    recorded = known_findings(Archive.open(folder / "data").ledger().entries)
    assert [*recorded.by_id] == [each["finding_id"] for each in first["findings"]]
    assert run(folder, "verify").returncode == 0


def test_what_is_next_can_be_run(folder: Path) -> None:
    leading = found(folder, "--no-record", code=10)["findings"][0]["next"]
    assert len(leading) == 1
    program, *arguments = shlex.split(leading[0])
    assert program == "trailkeep"
    assert run(folder, *arguments).returncode == 0


def test_nothing_is_written_with_no_record(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    for _turn in range(2):
        assert found(folder, "--no-record", code=10)["counts"]["new"] == 3
    assert sorted(folder.rglob("*")) == before


def test_an_archive_that_cannot_be_written_to_is_searched_and_it_is_said(folder: Path) -> None:
    from filelock import FileLock

    with FileLock(folder / "data" / ".lock"):
        done = detect(folder, "--wait", "0s", code=10)
    assert "not on record, and are new again" in done.stderr
    assert "own/deletes" in done.stdout
    assert found(folder, code=10)["counts"]["new"] == 3


def test_a_muted_finding_is_told_no_more_until_it_is_unmuted(folder: Path) -> None:
    first = found(folder, code=10)["findings"][0]["finding_id"]
    done = run(folder, "detect", "mute", first[:6], "--reason", "planned\x1b[2J", "--until", "30d")
    assert done.returncode == 0, done.stderr
    counts = found(folder, "--all", code=0)
    assert counts["counts"] == {"new": 0, "known": 2, "muted": 1}
    muted = next(each for each in counts["findings"] if each["finding_id"] == first)
    assert (muted["state"], muted["muted"]["reason"]) == ("muted", "planned\x1b[2J")
    table = detect(folder, "--all", code=0).stdout
    assert "muted until" in table
    assert "planned\\x1b[2J" in table
    assert "\x1b" not in table
    listed = json.loads(run(folder, "detect", "findings", "--state", "muted", "--format", "json").stdout)
    assert [each["finding_id"] for each in listed["findings"]] == [first]
    shown = run(folder, "detect", "show", first)
    assert "planned\\x1b[2J" in shown.stdout
    assert run(folder, "detect", "unmute", first).returncode == 0
    assert found(folder, "--all", code=0)["counts"] == {"new": 0, "known": 3, "muted": 0}
    for arguments, message in (
        (("mute", "ffffff", "--reason", "x"), "there is no recorded finding"),
        (("mute", first, "--reason", " "), "needs a --reason"),
        (("mute", first, "--reason", "x", "--until", "2020-01-01"), "not in the future"),
        (("unmute", first), "is not muted"),
    ):
        done = run(folder, "detect", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_ndjson_is_a_finding_a_line_and_a_file_takes_its_format_from_its_name(folder: Path) -> None:
    lines = detect(folder, "--format", "ndjson", "--no-record", code=10).stdout.splitlines()
    assert [json.loads(each)["detection"] for each in lines] == ["own/deletes", "own/deletes", "own/denied"]
    done = detect(folder, "--no-record", "-o", "f.sarif", code=10)
    assert done.stdout == ""
    assert json.loads((folder / "f.sarif").read_text())["version"] == "2.1.0"
    done = detect(folder, "--no-record", "-o", "data/f.json", code=2)
    assert "inside the archive" in done.stderr


def test_the_table_shows_hostile_text_and_never_executes_it(folder: Path) -> None:
    done = detect(folder, "--no-record", code=10)
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "\\x1b]0;x\\x07\\n{principal}\\u202e" in done.stdout
    assert done.stdout.startswith("HIGH (2)\n")
    assert "nobody who is known" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("3 new, 0 known, 0 muted; 2 detections over ")


def check_sarif(document: Any) -> None:
    """What SARIF 2.1.0 demands of the parts that are used here."""
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    assert len(document["runs"]) == 1
    (one,) = document["runs"]
    assert one["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    driver = one["tool"]["driver"]
    assert driver["name"] == "trailkeep"
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["fullDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        assert all(isinstance(tag, str) for tag in rule["properties"]["tags"])
        assert 0 <= float(rule["properties"]["security-severity"]) <= 10
    for invocation in one["invocations"]:
        assert isinstance(invocation["executionSuccessful"], bool)
        assert all(each["message"]["text"] for each in invocation["toolExecutionNotifications"])
    assert one["results"]
    for result in one["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        assert result["baselineState"] in ("new", "unchanged", "updated", "absent")
        assert all(isinstance(each, str) for each in result["partialFingerprints"].values())
        for location in result["locations"]:
            assert {*location} <= {"id", "physicalLocation", "logicalLocations", "message", "properties"}
            assert all(isinstance(each["fullyQualifiedName"], str) for each in location["logicalLocations"])
        for suppression in result.get("suppressions", []):
            assert suppression["kind"] in ("inSource", "external")
            assert suppression["status"] in ("accepted", "underReview", "rejected")


def test_sarif_has_the_shape_that_its_readers_expect(folder: Path) -> None:
    first = found(folder, code=10)["findings"][0]["finding_id"]
    assert run(folder, "detect", "mute", first, "--reason", "planned").returncode == 0
    document = json.loads(detect(folder, "--format", "sarif", "--all", code=0).stdout)
    check_sarif(document)
    results = document["runs"][0]["results"]
    assert [each["baselineState"] for each in results] == ["unchanged"] * 3
    assert [[one["justification"] for one in each.get("suppressions", [])] for each in results] == [["planned"], [], []]
    new = json.loads(detect(folder, "--format", "sarif", "--all", "--no-record", "--since", "1h", code=0).stdout)
    assert new["runs"][0]["results"] == []


def test_a_failed_detection_is_an_error_after_all_the_others_were_told(folder: Path) -> None:
    (folder / "queries" / "own" / "broken.sql").write_text(DELETES.replace("api_events", "nowhere"))
    (folder / "queries" / "own" / "unread.sql").write_text(DELETES.replace("title", "titel"))
    told = found(folder, code=1)
    assert told["counts"]["new"] == 3
    assert [each["detection"] for each in told["failed"]] == ["own/broken", "own/unread"]
    again = detect(folder, code=1)
    assert "own/broken failed" in again.stderr
    assert "2 of 4 detections failed" in again.stderr
    assert again.stdout == ""
    sarif = json.loads(detect(folder, "--format", "sarif", code=1).stdout)["runs"][0]["invocations"][0]
    assert sarif["executionSuccessful"] is False


def test_the_time_limit_is_each_detections_own(folder: Path) -> None:
    slow = DELETES.replace("FROM api_events", "FROM api_events, range(100000000000) AS long(i)")
    (folder / "queries" / "own" / "slow.sql").write_text(slow)
    told = found(folder, "--timeout", "1s", code=1)
    assert [each["detection"] for each in told["failed"]] == ["own/slow"]
    assert "time limit" in told["failed"][0]["error"]
    assert told["counts"]["new"] == 3


def test_strict_is_about_gaps_where_nothing_is_new(folder: Path) -> None:
    assert "not in the archive" in detect(folder, "--since", "100d", "--strict", code=10).stderr
    assert "does not cover" in detect(folder, "--since", "100d", "--strict", code=6).stderr
    detect(folder, "--since", "50d", "--strict", code=0)


def test_settings_tune_and_disable_detections(folder: Path) -> None:
    (folder / "trailkeep.toml").write_text(
        '[detections.denied]\nenabled = false\n\n[detections."own/deletes"]\nseverity = "low"\n'
    )
    done = detect(folder, "--no-record", code=10)
    assert "disabled in ./trailkeep.toml: own/denied" in done.stderr
    assert done.stdout.startswith("LOW (2)\n")
    detect(folder, "--no-record", "--severity", "high", code=2)
    listed = run(folder, "detect", "list").stdout
    assert re.search(r"low +own/deletes +Servers deleted", listed)
    assert re.search(r"medium +own/denied .*\(disabled\)", listed)
    (folder / "trailkeep.toml").write_text('[detections.denied]\n\nwithni = "1h"\n')
    done = detect(folder, code=2)
    assert "./trailkeep.toml:3: the detection own/denied has no parameter 'withni'" in done.stderr
    assert "Did you mean within?" in done.stderr


def test_explain_counts_by_month_with_the_parameters_in_force_and_writes_nothing(folder: Path) -> None:
    (folder / "trailkeep.toml").write_text('[detections.denied]\nwithin = "2h"\n')
    before = sorted(folder.rglob("*"))
    told = json.loads(detect(folder, "--explain", "--since", "60d", "--format", "json", code=0).stdout)
    denied = next(each for each in told["detections"] if each["detection"] == "own/denied")
    assert denied["parameters"] == {"within": {"value": "2h", "from": "trailkeep.toml"}}
    assert denied["findings"] == sum(each["findings"] for each in denied["months"]) == 1
    whom = [one["actor_id"] for each in denied["months"] for one in each["principals"]]
    assert whom == [an_id("alice")]
    tried = detect(folder, "--explain", "--only", "denied", "-p", "within=5m", code=0)
    assert 'within = "5m"  (as given with -p)' in tried.stdout
    assert re.search(r"all +0", tried.stdout)
    assert sorted(folder.rglob("*")) == before
    assert "has a parameter 'withn'" in detect(folder, "--explain", "-p", "withn=5m", code=2).stderr
    assert "--param goes with --explain" in detect(folder, "-p", "within=5m", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "1d", "--until", "2d"), "is not before"),
        (("--since", "yesterday"), "--since"),
        (("--wait", "soon"), "--wait"),
        (("--stage", "nowhere"), "no detection is of a stage"),
        (("--explain", "--format", "sarif"), "--explain writes a table or JSON"),
    ],
)
def test_what_cannot_be_asked_is_refused(made: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in detect(made, *arguments, code=2).stderr


def test_options_of_a_run_do_not_stand_before_another_command(made: Path) -> None:
    done = run(made, "detect", "--all", "findings")
    assert done.returncode == 2
    assert "--all and findings do not go together" in done.stderr


def test_whoever_reads_half_of_it_is_told_again(folder: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "detect", "--only", "own/*"], cwd=folder, env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert "nothing is on record" in said
    assert found(folder, code=10)["counts"]["new"] == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_loses_nothing_and_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    slow = DELETES.replace("FROM api_events", "FROM api_events, range(100000000000) AS long(i)")
    (folder / "queries" / "own" / "slow.sql").write_text(slow)
    (folder / "temporary").mkdir()
    with subprocess.Popen(
        [*PROGRAM, "detect", "--only", "own/*", "--temp-directory", "temporary"], cwd=folder, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        while not list(folder.glob("temporary/*/shared.duckdb")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        stdout, _stderr = process.communicate()
    assert process.returncode == (130 if number is signal.SIGTERM else -signal.SIGKILL)
    assert stdout == b""
    (folder / "queries" / "own" / "slow.sql").unlink()
    assert found(folder, "--temp-directory", "temporary", code=10)["counts"]["new"] == 3
    assert list((folder / "temporary").iterdir()) == []
