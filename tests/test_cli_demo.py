"""`trailkeep demo` shows the whole way and leaves nothing behind; `trailkeep emulator` serves until it is stopped."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from demo_archive import environment, run
from forked import PROGRAM, TIMEOUT_SECONDS
from trailkeep.cli.demo import STEPS, _what_next
from trailkeep.cli.emulator import parse_faults
from trailkeep.demo.faults import When
from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = ("--days", "2", "--events-per-day", "40")


@contextmanager
def started(folder: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """The program, in a process group of its own; whatever of that is left is ended."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if group_lives(process):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def group_lives(process: subprocess.Popen[str]) -> bool:
    """Whether a process of its group is left, itself aside where it was waited for."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A demo that ended, in a folder with a folder for temporary files beside its own."""

    folder: Path
    kept: Path
    code: int
    shown: str
    said: str
    group_lives: bool


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("demo")
    work, kept = folder / "work", folder / "a folder" / "kept"
    for each in (work, kept.parent, folder / "temporary"):
        each.mkdir()
    strange = {"SCW_API_URL": "http://127.0.0.1:9", "SCW_PROFILE": "none", "TRAILKEEP_REGIONS": "nowhere"}
    with started(work, "demo", "--keep", str(kept), TMPDIR=str(folder / "temporary"), **strange) as process:
        shown, said = process.communicate(timeout=TIMEOUT_SECONDS)
        lives = group_lives(process)
    return Shown(folder=folder, kept=kept, code=process.returncode, shown=shown, said=said, group_lives=lives)


class TestDemo:
    def test_it_shows_six_steps_ends_with_0_and_leaves_nothing_but_the_archive_behind(self, ended: Shown) -> None:
        assert ended.code == 0, ended.said
        assert not ended.group_lives
        left = [*ended.folder.glob("work/*"), *ended.folder.glob("temporary/*"), *ended.kept.parent.iterdir()]
        assert left == [ended.kept]
        assert re.findall(r"^\[(\d)/6\] (.*)$", ended.shown, re.MULTILINE) == [
            (str(number), story) for number, (story, _arguments) in enumerate(STEPS, start=1)
        ]
        typed = re.findall(r"^\$ (.*)$", ended.shown, re.MULTILINE)
        assert [shlex.split(each)[1:] for each in typed] == [list(arguments) for _story, arguments in STEPS]
        assert "head 3:" in ended.shown
        assert "terraform-sync" in ended.shown, "the incident is found"
        assert "DisableAlertRules" in ended.shown
        assert "Traceback" not in ended.said

    def test_an_archive_that_was_kept_is_sound_and_the_commands_named_work(self, ended: Shown, tmp_path: Path) -> None:
        verified = run(tmp_path, "--archive", str(ended.kept), "verify")
        assert verified.returncode == 0, verified.stderr
        named = re.findall(r"^  trailkeep (.*)$", ended.shown, re.MULTILINE)
        assert len(named) == 2
        for line in named:
            answer = run(tmp_path, *shlex.split(line))
            assert answer.returncode == 0, answer.stderr
            assert answer.stdout
        again = run(tmp_path, "demo", "--keep", str(ended.kept))
        assert (again.returncode, again.stdout) == (2, ""), "nothing is mixed into an archive"
        assert "is not an empty folder" in again.stderr

    def test_without_a_folder_to_keep_it_in_it_says_how_to_look_at_it(self) -> None:
        said = "\n".join(_what_next(None, "2026-01-31"))
        assert "2026-01-31" in said
        assert "trailkeep demo --keep" in said

    def test_a_file_is_no_folder_to_keep_it_in(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("mine")
        done = run(tmp_path, "demo", "--keep", str(file))
        assert (done.returncode, done.stdout) == (2, "")
        assert "is not an empty folder" in done.stderr
        assert file.read_text() == "mine"

    def test_stopped_in_the_middle_it_leaves_nothing_behind_either(self, tmp_path: Path) -> None:
        with started(tmp_path, "demo", TMPDIR=str(tmp_path)) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("$ trailkeep sync"):
                    break
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not [*tmp_path.glob("trailkeep-demo-*/data/ledger")]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGTERM)
            process.stdout.read()
            assert process.wait(timeout=30) == 130
            assert not group_lives(process)
        assert [*tmp_path.iterdir()] == []


@contextmanager
def emulating(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A running emulator, and the settings that it prints."""
    with started(folder, "emulator", *SMALL, *arguments) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        printed = [shlex.split(line) for line in lines]
        assert {words[0] for words in printed} == {"export"}, lines
        yield process, dict(words[1].split("=", 1) for words in printed)


class TestEmulator:
    def test_a_sync_works_with_what_it_prints_and_sigint_ends_it(self, tmp_path: Path) -> None:
        with emulating(tmp_path) as (process, settings):
            assert settings["SCW_API_URL"].startswith("http://127.0.0.1:")
            done = run(tmp_path, "sync", **settings)
            assert done.returncode == 0, done.stderr
            assert "head 3:" in done.stdout
            process.send_signal(signal.SIGINT)
            rest, said = process.communicate(timeout=30)
        assert (process.returncode, rest) == (0, "")
        assert said == (
            "the emulator runs until Ctrl-C; put the lines above into another shell, then `trailkeep sync`\n"
        )

    def test_sigterm_ends_it_with_a_connection_open(self, tmp_path: Path) -> None:
        with emulating(tmp_path, "--fault", "absent_regions=pl-waw,nl-ams") as (process, settings):
            port = int(settings["SCW_API_URL"].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=10):
                began = time.monotonic()
                process.terminate()
                assert process.wait(timeout=30) == 0
                assert time.monotonic() - began < 10

    def test_faults_come_as_asked(self, tmp_path: Path) -> None:
        with emulating(tmp_path, "--fault", "absent_regions=pl-waw", "--fault", "revoked_key=always@nl-ams") as (
            _process,
            settings,
        ):
            absent = run(tmp_path, "sync", "--region", "pl-waw", **settings)
            revoked = run(tmp_path, "sync", "--region", "nl-ams", **settings)
        assert (absent.returncode, revoked.returncode) == (3, 3)
        assert "401" in revoked.stderr or "key" in revoked.stderr

    def test_the_list_of_faults_names_each_with_what_it_takes(self, tmp_path: Path) -> None:
        done = run(tmp_path, "emulator", "--fault", "list")
        assert (done.returncode, done.stderr) == (0, "")
        names = [line.split()[0] for line in done.stdout.splitlines()]
        assert {"rate_limit", "clock_skew", "absent_regions"} <= set(names)

    def test_a_port_that_is_taken_is_said(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = run(tmp_path, "emulator", *SMALL, "--port", str(port))
        assert (done.returncode, done.stdout) == (4, "")
        assert f"cannot listen on port {port}" in done.stderr
        assert "hint: Name another port, or 0 for a free one." in done.stderr

    @pytest.mark.parametrize("port", ["70000", "-1"])
    def test_a_port_that_is_none_is_a_mistake_in_the_command_line(self, tmp_path: Path, port: str) -> None:
        done = run(tmp_path, "emulator", *SMALL, f"--port={port}")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--port" in done.stderr

    def test_a_fault_that_is_none_ends_with_2_before_anything_is_served(self, tmp_path: Path) -> None:
        done = run(tmp_path, "emulator", "--fault", "rate_limits=0.5")
        assert (done.returncode, done.stdout) == (2, "")
        assert "Did you mean rate_limit?" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate_limit", "a probability such as 0.1, every:5"),
        ("rate_limit=", "a probability"),
        ("rate_limit=often", "a probability"),
        ("rate_limit=1.5", "a probability"),
        ("rate_limit=-0.1", "a probability"),
        ("rate_limit=nan", "a probability"),
        ("reset=every:x", "a probability"),
        ("reset=every:0", "a probability"),
        ("reset=first:-3", "a probability"),
        ("reset=last:3", "a probability"),
        ("retry_after=later", "seconds or http-date or none"),
        ("trailing_page=yes", "true or false"),
        ("clock_skew=soon", "a length of time such as 30m or -1h"),
        ("latency_seconds=x", "a number"),
        ("latency_seconds=-1", "a number"),
        ("requests_per_second=0", "a number"),
        ("default_page_size=x", "a whole number"),
        ("server_error_statuses=500,x", "numbers with commas between them"),
        ("nonsense=1", "`trailkeep emulator --fault list` prints all"),
        ("", "`trailkeep emulator --fault list` prints all"),
    ],
)
def test_a_fault_that_cannot_be_read_says_what_it_takes(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_faults([text])
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_faults_are_read_by_their_types() -> None:
    faults = parse_faults(
        [
            "rate_limit=0.25",
            "reset=every:7@/system-events",
            "server_error=first:3",
            "no_date=always",
            "clock_skew=-1h",
            "retry_after=http-date",
            "absent_streams=system-events,nl-ams/events",
            "trailing_page=true",
            "server_error_statuses=502,503",
            "token_pages=4",
            "requests_per_second=2.5",
        ]
    )
    assert faults.rate_limit == When(rate=0.25)
    assert faults.reset == When(every=7, path="/system-events")
    assert faults.server_error == When(first=3)
    assert faults.no_date == When(every=1)
    assert faults.clock_skew.total_seconds() == -3600
    assert faults.retry_after == "http-date"
    assert faults.absent_streams == ("system-events", "nl-ams/events")
    assert faults.trailing_page is True
    assert faults.server_error_statuses == (502, 503)
    assert faults.token_pages == 4
    assert faults.requests_per_second == 2.5
