"""How a writer looks for damage in the index of values: a part each time, all of it where something is wrong."""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from faulty_disk import UnsyncedDisk
from trailkeep.errors import StoreError
from trailkeep.pivots import keeping
from trailkeep.pivots.file import Description, encode
from trailkeep.pivots.keeping import LEAST_BYTES, SHARES, Segment, mend
from trailkeep.pivots.kinds import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ARCHIVE = "33333333-3333-4333-8333-333333333333"
FILES = 24
BODY = 3 * LEAST_BYTES // 4

_OPENED: list[str] = []
_LISTENING: list[bool] = []


def gone() -> Path:
    raise StoreError("the segment is elsewhere: its index cannot be made anew")


def segment(number: int) -> Segment:
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return Segment(table="api_events", sha256=sha256, rows=number, first=datetime(2026, 1, 1, tzinfo=UTC), locate=gone)


SEGMENTS = [segment(number) for number in range(FILES)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An index for each segment, sound as far as anybody can see without the segments."""
    folder = tmp_path / keeping.FOLDER
    folder.mkdir()
    for each in SEGMENTS:
        told = Description(
            format=FORMAT, archive_id=ARCHIVE, sha256=each.sha256, table=each.table, rows=each.rows, start=0, kinds={}
        )
        place(tmp_path, each).write_bytes(encode(told, bytes(BODY)))
    return tmp_path


def place(cache: Path, segment: Segment) -> Path:
    found = keeping.place_of(cache, segment.sha256)
    assert found is not None
    return found


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def left(cache: Path) -> set[str]:
    return {file.name for file in (cache / keeping.FOLDER).iterdir()}


def opened(cache: Path, work: Callable[[], object]) -> list[str]:
    """What of the index `work` opens."""
    _OPENED[:] = []
    if not _LISTENING:
        sys.addaudithook(lambda event, given: _OPENED.append(str(given[0])) if event == "open" else None)
        _LISTENING.append(True)
    work()
    return [name for name in _OPENED if name.startswith(str(cache)) and name.endswith(".pivots")]


def one_turn(cache: Path, turn: int) -> None:
    mend(UnsyncedDisk(), cache, ARCHIVE, SEGMENTS, turn=turn)


def test_a_sound_index_costs_a_few_files_each_time_however_many_there_are(cache: Path) -> None:
    names = left(cache)
    # A head, and a part of the body of at most three files that follow each other.
    assert max(len(opened(cache, lambda turn=turn: one_turn(cache, turn))) for turn in range(60)) <= 2 * 3
    assert left(cache) == names


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("number", "at"), [(0, 70), (11, BODY // 2), (FILES - 1, BODY)])
def test_damage_is_found_in_time_wherever_it_is(cache: Path, number: int, at: int, stride: int) -> None:
    names = left(cache)
    file = place(cache, SEGMENTS[number])
    flip(file, at)
    turns = 0
    while file.exists():
        one_turn(cache, turns * stride)
        turns += 1
        assert turns <= SHARES
    assert left(cache) == names - {file.name}


def test_who_meets_damage_looks_at_everything(cache: Path) -> None:
    names = left(cache)
    wrong = [place(cache, SEGMENTS[number]) for number in (3, 9, 20)]
    for file in wrong:
        flip(file, 20)
    turn = 0
    while left(cache) == names:
        one_turn(cache, turn)
        turn += 1
    assert left(cache) == names - {file.name for file in wrong}


@pytest.mark.parametrize("make", ["empty", "folder", "link", "of another", "cut"])
def test_what_a_power_cut_or_a_copy_left_is_found_at_once_or_in_time(cache: Path, make: str) -> None:
    file, other = (place(cache, SEGMENTS[number]) for number in (5, 6))
    content = file.read_bytes()
    file.unlink()
    if make == "empty":
        file.touch()
    elif make == "folder":
        file.mkdir()
    elif make == "link":
        file.symlink_to(other)
    else:
        file.write_bytes(other.read_bytes() if make == "of another" else content[:-1])
    for turn in range(SHARES if make in ("of another", "cut") else 1):
        one_turn(cache, turn)
    assert file.is_dir() if make == "folder" else not file.is_symlink() and not file.exists()
    assert len(left(cache)) == FILES - (make != "folder")


def test_strangers_and_drafts_are_dropped_by_their_names_alone(cache: Path) -> None:
    names = left(cache)
    folder = cache / keeping.FOLDER
    (folder / f"{SEGMENTS[0].sha256}.pivots.part").write_bytes(b"half")
    (folder / "notes.txt").write_text("whose?")
    one_turn(cache, 1)
    assert left(cache) == names
