"""`trailkeep sync` and `trailkeep status` as commands: what they print, what they exit with, what they leave."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

import forked
from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.demo.faults import ALWAYS, Faults
from trailkeep.demo.serve import serve
from trailkeep.store import Archive, Writer, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trailkeep.demo.serve import Served

COMMAND = [sys.executable, "-W", "error", "-c", "from trailkeep.cli import main; main()"]
REGIONS = ("fr-par", "nl-ams")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Done:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass
class Shell:
    """An emulated API, and a directory in which commands run against it."""

    directory: Path
    emulator: Emulator
    served: Served
    environ: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    @property
    def archive(self) -> Path:
        return self.directory / "data"

    def environment(self, **more: str | None) -> dict[str, str]:
        settings: dict[str, str | None] = {
            "HOME": str(self.directory),
            "PATH": os.environ["PATH"],
            "SCW_API_URL": self.served.url,
            "SCW_SECRET_KEY": SECRET_KEY,
            "SCW_DEFAULT_ORGANIZATION_ID": self.emulator.organization_id,
            "TRAILKEEP_REGIONS": ",".join(REGIONS),
            "TRAILKEEP_KINDS": "api,authentication,system",
            **more,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def run(self, *arguments: str, **environ: str | None) -> Done:
        done = forked.run_text(arguments, cwd=self.directory, env=self.environment(**environ))
        self.heard(done.stdout, done.stderr)
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
            env=self.environment(),
        )

    def heard(self, *outputs: str) -> None:
        self.outputs += outputs
        for output in outputs:
            assert "Traceback" not in output, output
            assert SECRET_KEY not in output

    def requests_reach(self, number: int, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 30
        while len(self.emulator.requests) < number:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def check_truth(self) -> None:
        archive = Archive.open(self.archive)
        ledger = archive.ledger()
        for kind in ("api", "authentication", "system"):
            for region in REGIONS:
                held = [
                    raw.encode()
                    for file in ledger.files(f"{kind}_events", region=region)
                    for raw in read_segment(archive.locate(file), ["raw"])["raw"].to_pylist()
                ]
                assert sorted(held) == sorted(self.emulator.truth(kind, region))

    def tree(self) -> dict[str, str]:
        """Every file's content by its path; the lock says who holds it, and is no part of the archive."""
        return {
            str(path.relative_to(self.directory)): sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.directory.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    emulator = Emulator(clock=now, regions=REGIONS)
    number = 0
    for region in REGIONS:
        for kind in ("api", "authentication", "system"):
            for hours in (1, 2, 30, 500, 2000):
                number += 1
                event = {
                    "id": f"00000000-0000-4000-8000-{number:012}",
                    "recorded_at": (now() - hours * HOUR).isoformat(),
                }
                emulator.add(kind, region, event)  # type: ignore[arg-type]
    directory = tmp_path / "work"
    directory.mkdir()
    with serve(emulator) as served:
        yield Shell(directory, emulator, served)


# What a run says


@pytest.mark.parametrize("closed", ["0<&-", "2>&-", "0<&- >&- 2>&-"])
def test_a_stream_that_was_closed_before_the_start_is_written_to_nowhere(shell: Shell, closed: str) -> None:
    for arguments in ("sync", "query none"):
        script = f'"$0" -c "from trailkeep.cli import main; main()" {arguments} {closed}'
        done = subprocess.run(
            ["bash", "-c", script, sys.executable],
            check=False,
            capture_output=True,
            text=True,
            cwd=shell.directory,
            env=shell.environment(),
        )
        shell.heard(done.stdout, done.stderr)
        assert done.returncode == (0 if arguments == "sync" else 2)
        if arguments != "sync":
            assert done.stdout == ""
    shell.check_truth()


def test_a_sync_prints_a_summary_and_nothing_else(shell: Shell) -> None:
    done = shell.run("sync")
    assert (done.code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["STREAM", "FETCHED", "NEW", "DUPLICATE", "REVISED", "PAGES", "COVERED"]
    assert [line.split()[:6] for line in lines[1:7]] == [
        [kind, region, "5", "5", "0", "0"] for region in REGIONS for kind in ("api", "authentication", "system")
    ]
    assert lines[7].split()[:3] == ["total", "30", "30"]
    assert re.fullmatch(r"head \d+:[0-9a-f]{64}", lines[8])
    assert len(lines) == 9
    shell.check_truth()


def test_a_sync_tells_the_same_as_json(shell: Shell) -> None:
    done = shell.run("sync", "--format", "json", "--region", "fr-par", "--kind", "api")
    assert (done.code, done.stderr) == (0, "")
    report = done.json
    assert set(report) == {
        "clock_offset_seconds",
        "directory",
        "head",
        "interrupted",
        "quarantine_files",
        "run",
        "streams",
        "total",
    }
    (stream,) = report["streams"]
    assert {name: stream[name] for name in ("kind", "region", "outcome", "fetched", "new", "duplicate")} == {
        "kind": "api",
        "region": "fr-par",
        "outcome": "read",
        "fetched": 5,
        "new": 5,
        "duplicate": 0,
    }
    assert set(stream["covered"][0]) == {"from", "to"}
    assert (stream["error"], stream["status"], stream["unreadable"]) == (None, None, [])
    head = Archive.open(shell.archive).ledger().head
    assert head is not None
    assert report["head"] == {"seq": head.seq, "sha256": head.sha256}


def test_a_second_sync_fetches_no_more_than_the_overlap(shell: Shell) -> None:
    shell.run("sync")
    time.sleep(1.1)
    total = shell.run("sync", "--format", "json", "--overlap", "90m").json["total"]
    assert (total["fetched"], total["new"], total["duplicate"]) == (6, 0, 6)


# IAM's log, which is read unless it is left out


EVERY_KIND: dict[str, Any] = {"TRAILKEEP_KINDS": None}


def test_iam_s_log_is_read_whatever_region_is_named(shell: Shell) -> None:
    for hours in (1, 20, 3000):
        log = {"id": f"log-{hours}", "created_at": (now() - hours * HOUR).isoformat(), "action": "created"}
        shell.emulator.add("iam", "global", log)
    done = shell.run("sync", "--region", "fr-par", **EVERY_KIND)
    assert (done.code, done.stderr) == (0, "")
    assert [line.split()[:4] for line in done.stdout.splitlines()[4:5]] == [["iam", "global", "2", "2"]]
    streams = shell.run("status", "--format", "json").json["streams"]
    (log_stream,) = [each for each in streams if each["kind"] == "iam"]
    assert (log_stream["region"], log_stream["rows"], log_stream["gaps"]) == ("global", 2, [])
    assert shell.run("verify").code == 0
    done = shell.run(
        "query", "--format", "csv", "--sql", "SELECT id, organization_id FROM iam_logs ORDER BY recorded_at"
    )
    assert done.stdout.splitlines()[1:] == [f"log-{hours},{shell.emulator.organization_id}" for hours in (20, 1)]
    assert shell.run(
        "query", "--format", "csv", "--sql", "SELECT count(*) FROM events WHERE id LIKE 'log%'"
    ).stdout == ("count_star()\n0\n")


def test_without_the_right_a_sync_says_so_once_and_ends_well(shell: Shell) -> None:
    shell.emulator.faults = Faults(denied_permissions=("IAMReadOnly",))
    first = shell.run("sync", "--no-directory", **EVERY_KIND)
    assert first.code == 0
    assert first.stderr == (
        "warning: iam global: the key may not read IAM's log; grant IAMReadOnly (`trailkeep config policy` prints"
        " the policy), or leave the kind iam out\n"
    )
    assert "denied: the key lacks IAMReadOnly" in first.stdout
    time.sleep(1.1)
    second = shell.run("sync", "--no-directory", **EVERY_KIND)
    assert (second.code, second.stderr) == (0, "")
    assert "denied: the key lacks IAMReadOnly" in second.stdout
    status = shell.run("status", "--max-age", "1h")
    assert status.code == 0
    assert any(line.split() == ["iam", "global", "denied"] for line in status.stdout.splitlines())
    assert "denied: iam global when it was last asked" in status.stdout
    named = shell.run("sync", "--no-directory", "--kind", "iam")
    assert named.code == 3
    assert "IAMReadOnly" in named.stderr
    both = shell.run("sync", "--kind", "api", "--kind", "iam", "--recheck", "1h", "--no-directory")
    assert both.code == 3
    assert "failed: iam global" in both.stderr


def test_progress_is_drawn_on_a_terminal_and_stdout_stays_data(shell: Shell) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "sync"],
        stdout=subprocess.PIPE,
        stderr=follower,
        cwd=shell.directory,
        env=shell.environment(TERM="xterm", COLUMNS="120"),
    )
    os.close(follower)
    drawn = bytearray()

    def read() -> None:
        while True:
            try:
                drawn.extend(os.read(leader, 4096))
            except OSError:
                return

    reader = threading.Thread(target=read)
    reader.start()
    stdout, _ = process.communicate(timeout=60)
    reader.join(5)
    os.close(leader)
    assert process.returncode == 0
    assert b"api fr-par" in drawn
    assert b"\x1b" not in stdout
    assert stdout.startswith(b"STREAM")


def test_status_tells_what_is_covered(shell: Shell) -> None:
    shell.run("sync")
    text = shell.run("status")
    assert (text.code, text.stderr) == (0, "")
    assert len(text.stdout.splitlines()) == 1 + 6 + 1
    done = shell.run("status", "--format", "json", SCW_SECRET_KEY=None, SCW_DEFAULT_ORGANIZATION_ID=None)
    assert (done.code, done.stderr) == (0, "")
    stream = done.json["streams"][0]
    assert (stream["kind"], stream["region"], stream["rows"], stream["gaps"]) == ("api", "fr-par", 5, [])
    assert 89.9 <= stream["days_left"] <= 90
    assert stream["bytes"] > 0


def test_status_ends_with_6_where_there_are_gaps(shell: Shell) -> None:
    for days in (9, 5):
        since, until = (now() - days * DAY).isoformat(), (now() - (days - 1) * DAY).isoformat()
        assert shell.run("sync", "--since", since, "--until", until).code == 0
    done = shell.run("status")
    assert done.code == 6
    assert done.stdout.count("gap: ") == 6
    assert "unread, " in done.stdout
    assert "has gaps" in done.stderr
    assert shell.run("sync").code == 0
    assert shell.run("status").code == 0


# Bad input


def test_without_credentials_nothing_happens(shell: Shell) -> None:
    done = shell.run("sync", SCW_SECRET_KEY=None, SCW_DEFAULT_ORGANIZATION_ID=None)
    assert (done.code, done.stdout) == (2, "")
    assert "error: there is no secret key and no Organization id" in done.stderr
    assert shell.tree() == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "1h", "--until", "2h"], "is not before --until"),
        (["--since", "2026-01-02", "--until", "2026-01-01"], "is not before --until"),
        (["--since", "2999-01-01"], "is in the future"),
        (["--until", "2999-01-01T00:00:00Z"], "is in the future"),
        (["--since", "yesterday"], "--since: 'yesterday' is not a time"),
        (["--kind", "audit"], "kinds of events"),
        (["--region", "../x"], "names such as fr-par"),
        (["--overlap", "5000d"], "a length of time"),
        (["--concurrency", "0"], "a whole number"),
        (["--format", "xml"], "xml"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_ends_with_2_and_touches_nothing(shell: Shell, arguments: list[str], said: str) -> None:
    done = shell.run("sync", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr
    assert shell.tree() == {}


@pytest.mark.parametrize(
    ("faults", "environ", "said"),
    [
        (Faults(revoked_key=ALWAYS), {}, "Check SCW_SECRET_KEY"),
        (Faults(denied_permissions=("AuditTrailReadOnly",)), {}, "Grant AuditTrailReadOnly at Organization scope"),
        (Faults(), {"SCW_API_URL": "http://127.0.0.1:9"}, "also after"),
        (Faults(redirect=ALWAYS), {}, "which is not followed"),
        (Faults(not_a_page=ALWAYS), {}, "what is not a page of events"),
        (Faults(absent_regions=REGIONS), {}, "none of the streams asked for is offered"),
        (Faults(), {"SCW_SECRET_KEY": "22222222-2222-4222-8222-222222222222"}, "does not accept the secret key"),
        (Faults(), {"SCW_DEFAULT_ORGANIZATION_ID": "22222222-2222-4222-8222-222222222222"}, "may not read"),
    ],
)
def test_a_remote_that_refuses_ends_with_3_and_touches_nothing(
    shell: Shell, faults: Faults, environ: dict[str, str], said: str
) -> None:
    shell.emulator.faults = faults
    done = shell.run("sync", **environ)
    assert (done.code, done.stdout) == (3, "")
    assert said in done.stderr
    assert shell.tree() == {}


def test_an_archive_is_not_touched_by_a_run_that_is_refused(shell: Shell) -> None:
    assert shell.run("sync").code == 0
    before = shell.tree()
    for faults in (Faults(revoked_key=ALWAYS), Faults(redirect=ALWAYS), Faults(absent_regions=REGIONS)):
        shell.emulator.faults = faults
        assert shell.run("sync").code == 3
    assert shell.run("sync", "--since", "2999-01-01").code == 3
    assert shell.tree() == before


def test_a_region_asked_for_by_name_must_be_there(shell: Shell) -> None:
    shell.emulator.faults = Faults(absent_streams=("nl-ams/system-events",))
    done = shell.run("sync", "--region", "nl-ams")
    assert done.code == 3
    assert "failed: system nl-ams" in done.stderr
    done = shell.run("sync")
    assert (done.code, done.stderr) == (0, "")
    assert "lost" not in done.stdout


def test_a_region_that_offers_nothing_is_said_and_no_error(shell: Shell) -> None:
    shell.emulator.faults = Faults(absent_regions=("nl-ams",))
    done = shell.run("sync")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.count("not offered here (404)") == 3
    status = shell.run("status")
    assert (status.code, status.stdout.count("not offered")) == (0, 3)


def test_a_folder_that_is_no_archive_is_left_alone(shell: Shell) -> None:
    (shell.archive).mkdir()
    (shell.archive / "notes.txt").write_text("mine")
    before = shell.tree()
    for command in ("sync", "status"):
        done = shell.run(command)
        assert (done.code, done.stdout) == (4, "")
        assert "notes.txt" in done.stderr or "not an archive" in done.stderr or "no archive" in done.stderr
    assert shell.tree() == before
    assert shell.emulator.requests == []
    assert shell.run("--archive", "data/notes.txt", "sync").code == 4


def test_an_archive_of_a_newer_format_is_left_alone(shell: Shell) -> None:
    shell.run("sync")
    file = shell.archive / "archive.json"
    described = json.loads(file.read_bytes())
    file.chmod(0o600)
    file.write_text(json.dumps(described | {"format": 99}))
    before = shell.tree()
    for command in ("sync", "status"):
        done = shell.run(command)
        assert (done.code, done.stdout) == (4, "")
        assert "has format 99" in done.stderr
    assert shell.tree() == before


def test_a_locked_archive_says_by_whom(shell: Shell) -> None:
    shell.run("sync")
    before = shell.tree()
    with Writer(shell.archive, clock=now):
        done = shell.run("sync")
    assert (done.code, done.stdout) == (4, "")
    assert f"is being written by process {os.getpid()} of " in done.stderr
    assert shell.tree() == before


def test_what_is_no_event_is_kept_and_the_run_ends_with_3(shell: Shell) -> None:
    shell.emulator.add("api", "fr-par", b'{"id":"no time"}', recorded_at=now() - HOUR)
    done = shell.run("sync")
    assert done.code == 3
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("quarantine: ")]
    path = shell.archive / line.removeprefix("quarantine: ")
    assert read_segment(path, ["raw"])["raw"].to_pylist() == [b'{"id":"no time"}']
    assert "they are kept in quarantine/" in done.stderr
    assert shell.run("sync").code == 0


def test_a_clock_that_is_off_is_pointed_out(shell: Shell) -> None:
    shell.emulator.faults = Faults(clock_skew=-HOUR)
    done = shell.run("sync")
    assert done.code == 0
    assert re.search(r"warning: this machine's clock is about 3[56]\d\d s ahead of the API's", done.stderr)
    shell.emulator.faults = Faults(no_date=ALWAYS)
    done = shell.run("sync")
    assert "warning: the API did not tell its time" in done.stderr


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_130_and_a_whole_archive(shell: Shell, number: signal.Signals) -> None:
    for minute in range(300):
        event = {"id": f"00000000-0000-4000-9000-{minute:012}", "recorded_at": (now() - minute * HOUR).isoformat()}
        shell.emulator.add("api", "fr-par", event)
    shell.emulator.faults = Faults(max_page_size=10, latency=ALWAYS, latency_seconds=0.1)
    process = shell.start("sync", "--concurrency", "2")
    shell.requests_reach(12, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    shell.heard(stdout, stderr)
    assert process.returncode == 130
    assert "stopping: " in stderr
    assert "stopped before everything was read" in stderr
    ledger = Archive.open(shell.archive).ledger()
    assert ledger.entries[-1].coverage
    shell.emulator.faults = Faults()
    assert shell.run("sync").code == 0
    shell.check_truth()
    assert shell.run("status").code == 0


def test_a_signal_before_the_first_answer_ends_with_130_and_no_archive(shell: Shell) -> None:
    shell.emulator.faults = Faults(server_error=ALWAYS, server_error_statuses=(500,))
    process = shell.start("sync")
    shell.requests_reach(2, process)
    process.terminate()
    stdout, stderr = process.communicate(timeout=30)
    shell.heard(stdout, stderr)
    assert (process.returncode, stdout) == (130, "")
    assert shell.tree() == {}


# The secret


def test_the_secret_is_in_nothing_that_runs_say_or_write(shell: Shell) -> None:
    assert shell.run("-v", "sync").code == 0
    shell.emulator.faults = Faults(revoked_key=ALWAYS)
    assert shell.run("-v", "sync").code == 3
    shell.emulator.faults = Faults(redirect=ALWAYS, redirect_to=f"{shell.served.url}/elsewhere")
    assert shell.run("-v", "sync").code == 3
    assert shell.run("-v", "sync", SCW_API_URL="http://127.0.0.1:9").code == 3
    key = SECRET_KEY.encode()
    files = [path for path in shell.directory.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert key not in path.read_bytes()
    assert shell.emulator.requests[0].with_key
    assert not any("elsewhere" in each.path for each in shell.emulator.requests)


@pytest.mark.parametrize("key", ["with\nnewline", "clé"])
def test_a_key_that_is_none_is_not_repeated(shell: Shell, key: str) -> None:
    done = shell.run("sync", SCW_SECRET_KEY=key)
    assert (done.code, done.stdout) == (2, "")
    assert key not in done.stderr
    assert shell.emulator.requests == []
