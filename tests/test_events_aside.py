"""Whether, when and how far a further process reads events changes no row, and it never outlives who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trailkeep.events import Aside, Columns, Raws, aside, columns_of, identities_of
from trailkeep.streams import KINDS, Kind
from trailkeep.sync.taken import Part, Taken

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = b'{"id":"e","recorded_at":"2026-01-31T12:00:00Z","created_at":"2026-01-31T12:00:00Z",'
HOSTILE = [
    HEAD + members + b"}"
    for members in (
        rb'"user_agent":"a\ud800b","request_body":{"k\udc00":1}',
        b'"request_body":{"a":NaN},"user_agent":"u\\u0000\x01"',
        b'"status_code":' + b"9" * 5000,
        b'"user_agent":"a","user_agent":"b","request_body":{"a":1,"a":2}',
        b'"request_body":' + b"[" * 10_000 + b"]" * 10_000 + b',"user_agent":"u"',
        b'"resources":[{"type":"t","t_info":{"a":1}},null,5],"user_agent":"\xc3\xa9"',
        b'"resources":[{"type":"t","t_info":"' + b"x" * 2**20 + b'"}]',
    )
]


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aside]:
    """One that starts its process for the first event."""
    monkeypatch.setattr(aside, "usable_cores", lambda: 2.0)
    made = Aside(start_after=0)
    yield made
    made.close()
    assert made.process_id is None


def started(beside: Aside) -> int:
    """The id of its process, which has answered once."""
    asked = beside.columns("api", HOSTILE)
    while asked._asked is not None and not asked._asked.done():
        time.sleep(0.01)
    assert beside.process_id is not None
    return beside.process_id


def is_running(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def part_of(columns: Columns) -> Part:
    return Part(0, Raws([]), identities_of([], Raws([])), columns)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_read_aside_are_those_read_here(beside: Aside, kind: Kind) -> None:
    started(beside)
    asked = [beside.columns(kind, HOSTILE[start:]) for start in range(len(HOSTILE))]
    time.sleep(0.2)  # so that some are read there; which ones must not matter
    for start, columns in enumerate(asked):
        found, expected = columns.result(), columns_of(kind, HOSTILE[start:])
        assert found.schema.equals(expected.schema)
        assert found.to_pylist() == expected.to_pylist()


def test_the_process_is_one_and_answers_itself(beside: Aside) -> None:
    process_id = started(beside)
    asked = beside.columns("api", HOSTILE)
    while asked._asked is not None and not asked._asked.done():
        time.sleep(0.01)
    assert asked._asked is not None
    answered = asked._asked.result()
    assert answered is not None
    assert answered.to_pylist() == columns_of("api", HOSTILE).to_pylist()
    assert beside.process_id == process_id


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_where_the_process_dies_the_events_are_read_here_and_no_other_is_started(beside: Aside, how: int) -> None:
    process_id = started(beside)
    os.kill(process_id, signal.SIGSTOP)
    asked = [beside.columns("api", HOSTILE) for _ in range(3)]
    os.kill(process_id, how)
    os.kill(process_id, signal.SIGCONT)
    expected = columns_of("api", HOSTILE).to_pylist()
    assert [each.result().to_pylist() for each in asked] == [expected] * 3
    assert beside.columns("api", HOSTILE).result().to_pylist() == expected
    assert beside.process_id == process_id
    assert not is_running(process_id)


def test_a_process_that_hangs_is_given_up(beside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    process_id = started(beside)
    monkeypatch.setattr(aside, "ANSWER_SECONDS", 0.1)
    os.kill(process_id, signal.SIGSTOP)
    asked = beside.columns("api", HOSTILE * 3)
    while asked._asked is not None and not asked._asked.running():
        time.sleep(0.01)
    assert asked.result().to_pylist() == columns_of("api", HOSTILE * 3).to_pylist()
    beside.close()
    assert not is_running(process_id)


def test_a_process_that_does_not_start_or_talks_nonsense_is_done_without(
    beside: Aside, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = columns_of("api", HOSTILE).to_pylist()
    for code in (
        "raise SystemExit(3)",
        "import sys; sys.stdout.write('x' * 100)",
        "import sys; sys.stdin.read(10)",
        # Lengths that no memory has, and that no number in C holds.
        "import sys; sys.stdout.write('x' * 100); sys.stdout.flush(); sys.stdin.buffer.read()",
        "import sys; sys.stdout.buffer.write(b'\\xff' * 100); sys.stdout.flush(); sys.stdin.buffer.read()",
    ):
        monkeypatch.setattr(aside, "_CODE", code)
        broken = Aside(start_after=0)
        assert broken.columns("api", HOSTILE).result().to_pylist() == expected
        broken.close()
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    broken = Aside(start_after=0)
    assert broken.columns("api", HOSTILE).result().to_pylist() == expected
    broken.close()


def test_where_there_is_no_further_thread_the_events_are_read_here(
    beside: Aside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        asked = beside.columns("api", HOSTILE)
    assert asked.result().to_pylist() == columns_of("api", HOSTILE).to_pylist()
    assert beside.columns("api", HOSTILE).result().num_rows == len(HOSTILE)
    assert beside.process_id is None


def test_events_that_were_all_known_do_not_wait_to_be_read(beside: Aside) -> None:
    process_id = started(beside)
    os.kill(process_id, signal.SIGSTOP)
    asked = [beside.columns("api", HOSTILE * 3) for _ in range(3)]
    while asked[0]._asked is not None and not asked[0]._asked.running():
        time.sleep(0.01)
    futures = [each._asked for each in asked]
    Taken(parts=[part_of(each) for each in asked]).let_go()
    os.kill(process_id, signal.SIGCONT)
    assert [future is not None and future.cancelled() for future in futures] == [False, True, True]


@pytest.mark.parametrize(
    ("cores", "executable"), [(1.0, sys.executable), (2.0, "/usr/bin/uwsgi"), (2.0, ""), (2.0, None)]
)
def test_no_process_is_started_where_it_cannot_help(
    monkeypatch: pytest.MonkeyPatch, cores: float, executable: str | None
) -> None:
    monkeypatch.setattr(aside, "usable_cores", lambda: cores)
    monkeypatch.setattr(sys, "executable", executable)
    alone = Aside(start_after=0)
    assert alone.columns("api", HOSTILE).result().num_rows == len(HOSTILE)
    assert alone.process_id is None
    alone.close()


def test_a_short_run_starts_no_process() -> None:
    short = Aside()
    for _ in range(10):
        short.columns("api", HOSTILE).result()
    assert short.process_id is None
    short.close()


@pytest.mark.parametrize(
    ("text", "cores"), [("50000 100000", 0.5), ("max 100000", 64.0), ("300000 100000", 3.0), ("x", 64.0), (None, 64.0)]
)
def test_a_containers_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, cores: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)), raising=False)
    monkeypatch.setattr(aside, "_CPU_QUOTA", tmp_path / "cpu.max")
    if text is not None:
        (tmp_path / "cpu.max").write_text(text)
    assert aside.usable_cores() == cores


def test_the_process_knows_no_secret(beside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCW_SECRET_KEY", "11111111-1111-4111-8111-111111111111")
    process_id = started(beside)
    known = Path(f"/proc/{process_id}/environ").read_bytes() + Path(f"/proc/{process_id}/cmdline").read_bytes()
    assert b"11111111" not in known


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_with_the_one_that_started_it(tmp_path: Path, how: int) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        from trailkeep.events import Aside, aside
        aside.usable_cores = lambda: 2.0
        beside = Aside(start_after=0)
        asked = beside.columns("api", [b"{}"])
        while not asked._asked.done():
            time.sleep(0.01)
        print(beside.process_id, flush=True)
        time.sleep(60)
        """
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        assert starter.stdout is not None
        process_id = int(starter.stdout.readline())
        starter.send_signal(how)
        starter.wait()
        for _ in range(500):
            if not is_running(process_id):
                break
            time.sleep(0.01)
        assert not is_running(process_id)
    finally:
        starter.kill()
        starter.wait()
        if starter.stdout is not None:
            starter.stdout.close()
