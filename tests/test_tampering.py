"""Thousands of random changes to a small archive's entries and files, each of which verification must report."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from sealed import entry_path, head_of, overwrite, replace_segment, rewrite, sealed_archive
from trailkeep.errors import TrailkeepError
from trailkeep.signatures import ed25519_key
from trailkeep.signing import sign_archive
from trailkeep.store import Archive
from trailkeep.verify import Kind, verify_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trailkeep.store import Head

TIMES = int(os.environ.get("TRAILKEEP_TAMPERINGS", "400"))
"""How many changes are tried in all; `TRAILKEEP_TAMPERINGS=1000000` for an afternoon."""
SEEDS = range(4)


class Victim:
    """An archive that is changed, verified, and put right again."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.random = random.Random(seed)
        self.head = head_of(path)
        self.content = {
            str(file.relative_to(path)): file.read_bytes()
            for file in sorted(path.rglob("*"))
            if file.is_file() and not file.name.startswith(".")
        }
        self.entries = [name for name in self.content if name.startswith("ledger/")]
        self.files = [name for name in self.content if name.endswith(".parquet")]
        self.touched: dict[str, bytes | None] = {}
        """What was written in the last change: None where the file was removed."""

    def write(self, name: str, content: bytes) -> None:
        file = self.path / name
        file.unlink(missing_ok=True)
        file.write_bytes(content)
        self.touched[name] = content

    def remove(self, name: str) -> None:
        (self.path / name).unlink()
        self.touched[name] = None

    def heal(self) -> None:
        for name in self.touched:
            if name in self.content:
                self.write(name, self.content[name])
            else:
                (self.path / name).unlink(missing_ok=True)
        self.touched.clear()

    def any(self) -> str:
        """An entry or a file, each sort as often as the other."""
        return self.random.choice(self.random.choice((self.entries, self.files)))


def flip_a_bit(victim: Victim) -> None:
    name = victim.any()
    content = bytearray(victim.content[name])
    content[victim.random.randrange(len(content))] ^= 1 << victim.random.randrange(8)
    victim.write(name, bytes(content))


def flip_bits(victim: Victim) -> None:
    name = victim.any()
    content = bytearray(victim.content[name])
    for place in victim.random.sample(range(len(content)), victim.random.randint(2, 20)):
        content[place] ^= victim.random.randint(1, 255)
    victim.write(name, bytes(content))


def truncate(victim: Victim) -> None:
    name = victim.any()
    content = victim.content[name]
    victim.write(name, content[: victim.random.randrange(len(content))])


def append(victim: Victim) -> None:
    name = victim.any()
    victim.write(name, victim.content[name] + victim.random.randbytes(victim.random.randint(1, 40)))


def delete(victim: Victim) -> None:
    # The newest entry's loss is caught by the expected head.
    victim.remove(victim.any())


def rename(victim: Victim) -> None:
    name = victim.any()
    folder, _, last = name.rpartition("/")
    new = victim.random.choice([f"{folder}/x{last}", f"{folder}/{last}.bak", f"{folder}/{victim.random.randrange(99)}"])
    victim.remove(name)
    victim.write(new, victim.content[name])


def swap(victim: Victim) -> None:
    one, other = victim.random.sample(victim.random.choice((victim.entries, victim.files)), 2)
    victim.write(one, victim.content[other])
    victim.write(other, victim.content[one])


def replace_by_another(victim: Victim) -> None:
    one, other = victim.random.sample(victim.random.choice((victim.entries, victim.files)), 2)
    victim.write(one, victim.content[other])


def duplicate_a_file(victim: Victim) -> None:
    source, beside = victim.random.choice(victim.files), victim.random.choice(victim.files)
    folder = beside.rpartition("/")[0]
    victim.write(f"{folder}/{victim.random.randbytes(4).hex()}.parquet", victim.content[source])


def duplicate_an_entry(victim: Victim) -> None:
    number = victim.random.randint(victim.head.seq + 1, victim.head.seq + 3)
    victim.write(f"ledger/{number:08d}.json", victim.content[victim.random.choice(victim.entries)])


def remove_entries_in_a_row(victim: Victim) -> None:
    count = victim.random.randint(2, 3)
    first = victim.random.randint(1, victim.head.seq - count + 1)
    for seq in range(first, first + count):
        victim.remove(f"ledger/{seq:08d}.json")


def cut_the_tail(victim: Victim) -> None:
    for seq in range(victim.random.randint(2, victim.head.seq), victim.head.seq + 1):
        victim.remove(f"ledger/{seq:08d}.json")


TAMPERINGS: list[Callable[[Victim], None]] = [
    flip_a_bit,
    flip_a_bit,
    flip_a_bit,
    flip_bits,
    truncate,
    append,
    delete,
    rename,
    swap,
    replace_by_another,
    duplicate_a_file,
    duplicate_an_entry,
    remove_entries_in_a_row,
    cut_the_tail,
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "archive"
    sealed_archive(path, syncs=2, events_each=2)
    return path


@pytest.fixture
def archive(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "archive")
    return tmp_path / "archive"


@pytest.mark.parametrize("seed", SEEDS)
def test_every_random_change_is_reported_and_none_in_a_sound_archive(archive: Path, seed: int) -> None:
    victim = Victim(archive, seed)
    unseen: list[str] = []
    for number in range(TIMES // len(SEEDS)):
        tamper = victim.random.choice(TAMPERINGS)
        tamper(victim)
        found = verify_archive(archive, expect_head=victim.head, workers=1)
        if not (found.problems and any(problem.path in named(victim) for problem in found.problems)):
            unseen.append(f"{number} {tamper.__name__} {sorted(victim.touched)}")
        victim.heal()
        if number % 500 == 0:
            assert verify_archive(archive, expect_head=victim.head, workers=1).problems == ()
    assert unseen == []
    assert verify_archive(archive, expect_head=victim.head, deep=True).problems == ()


def named(victim: Victim) -> set[str]:
    """The paths by which a change may be told: the file itself, or the entry after it."""
    paths = set(victim.touched)
    for name in victim.touched:
        if name.startswith("ledger/0"):
            paths.add(f"ledger/{int(name[7:15]) + 1:08d}.json")
    return paths


def test_without_a_head_only_the_newest_entry_can_be_changed_unseen(archive: Path) -> None:
    victim = Victim(archive, 0)
    newest = victim.entries[-1]
    for name in victim.entries:
        for place in range(0, len(victim.content[name]), 17):
            content = bytearray(victim.content[name])
            content[place] ^= 1
            victim.write(name, bytes(content))
            found = verify_archive(archive, workers=1)
            assert found.problems or name == newest, (name, place)
            assert any("use --expect-head" in words for words in found.not_checked)
        victim.heal()


def test_archive_json_cannot_be_changed_but_for_the_digits_of_its_time(archive: Path) -> None:
    victim = Victim(archive, 0)
    content = victim.content["archive.json"]
    start = content.index(b'"created_at":"') + 14
    for place in (place for place in range(len(content)) if not start <= place < start + 27):
        changed = bytearray(content)
        changed[place] ^= 1 << victim.random.randrange(8)
        victim.write("archive.json", bytes(changed))
        assert verify_archive(archive, workers=1).problems, place
    victim.heal()
    assert verify_archive(archive).problems == ()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization

    file: Path = tmp_path_factory.mktemp("key") / "key.pem"
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    file.touch(mode=0o600)
    file.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return file


def signers() -> list[object]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from trailkeep.signatures import Signer

    public = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    return [Signer(name="alice", key=ed25519_key(public))]


def cut(archive: Path, head: Head) -> None:
    """Take the newest entry away with all that it brought and all that names it."""
    ledger = Archive.open(archive).ledger()
    for file in [file for file in ledger.live.values() if file.seq == head.seq]:
        (archive / file.record.path).unlink()
    # What the entry removed would be live again: a thorough forger brings it back.
    for name in archive.glob(f"ledger/{head.seq:08d}*"):
        name.unlink()


@pytest.fixture
def longer(archive: Path) -> Path:
    """An archive whose newest entry brought one file and removed none."""
    from sealed import START, an_event, commit, new_rows, to_bytes

    commit(archive, [new_rows("api", [to_bytes(an_event(500, START))])])
    return archive


def test_a_cut_tail_leaves_a_sound_archive_and_is_caught_by_the_head_alone(longer: Path, key: Path) -> None:
    head = head_of(longer)
    sign_archive(longer, key)
    cut(longer, head)
    without = verify_archive(longer, deep=True)
    assert without.problems == ()
    assert any("cut off" in words for words in without.not_checked)
    with_head = verify_archive(longer, expect_head=head)
    assert [problem.kind for problem in with_head.problems] == [Kind.HEAD]
    with_signer = verify_archive(longer, signers=signers())  # type: ignore[arg-type]
    assert [problem.kind for problem in with_signer.problems] == [Kind.SIGNATURE]


def test_a_cut_tail_whose_signature_was_forgotten_is_reported_without_any_key(longer: Path, key: Path) -> None:
    head = head_of(longer)
    sign_archive(longer, key)
    signature = next(longer.glob("ledger/*.sig"))
    content = signature.read_bytes()
    cut(longer, head)
    signature.write_bytes(content)
    (problem,) = verify_archive(longer).problems
    assert str(problem).endswith(f"it signs entry {head.seq}, which is missing")


def test_a_file_replaced_together_with_its_entry_is_caught_by_head_and_signature(archive: Path, key: Path) -> None:
    head = head_of(archive)
    sign_archive(archive, key)
    first = min(path for path in Archive.open(archive).ledger().live if path.startswith("api"))
    replace_segment(archive, first, (archive / first).read_bytes() + b"PAR1")
    assert verify_archive(archive).problems == ()
    assert {problem.kind for problem in verify_archive(archive, expect_head=head).problems} == {Kind.HEAD}
    found = verify_archive(archive, signers=signers())  # type: ignore[arg-type]
    assert {problem.kind for problem in found.problems} == {Kind.SIGNATURE}


def test_a_rewritten_history_is_caught_by_head_and_signature(archive: Path, key: Path) -> None:
    head = head_of(archive)
    sign_archive(archive, key)
    rewrite(archive, 2, os_user="nobody")
    assert verify_archive(archive, deep=True).problems == ()
    assert verify_archive(archive, expect_head=head).problems
    assert verify_archive(archive, signers=signers()).problems  # type: ignore[arg-type]


def garbage_segments(original: bytes) -> Iterator[bytes]:
    """What an attacker may put where Parquet is expected, bytes of a real file among it."""
    chance = random.Random(1)
    yield from (b"", b"PAR1", b"PAR1PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", chance.randbytes(1000))
    for _ in range(int(os.environ.get("TRAILKEEP_GARBAGE", "60"))):
        content = bytearray(original)
        for place in (chance.randrange(len(content)) for _ in range(chance.randint(1, 6))):
            content[place] = chance.randrange(256)
        yield bytes(content)
    for length in range(0, len(original), max(1, len(original) // 20)):
        yield original[:length]


def test_garbage_that_the_ledger_vouches_for_is_reported_and_never_crashes(archive: Path) -> None:
    first = min(path for path in Archive.open(archive).ledger().live if path.startswith("api"))
    original = (archive / first).read_bytes()
    path = first
    unseen = 0
    for content in garbage_segments(original):
        path = replace_segment(archive, path, content)
        found = verify_archive(archive, deep=True, workers=1)
        assert {problem.path for problem in found.problems} <= {path}
        unseen += not found.problems
    # A byte of the footer that nobody reads, such as a statistic or the writer's name, changes no row.
    assert unseen < 30
    path = replace_segment(archive, path, original)
    assert path == first
    assert verify_archive(archive, deep=True).problems == ()


def test_an_entry_of_garbage_never_stops_the_walk(archive: Path) -> None:
    head = head_of(archive)
    chance = random.Random(2)
    original = entry_path(archive, 3).read_bytes()
    torn = (b"", b"{}", b"[]", b"null", b'"', b"{" * 100_000, b'{"format":1e400}', chance.randbytes(500), b"\xff")
    for content in torn:
        overwrite(entry_path(archive, 3), content)
        try:
            found = verify_archive(archive)
        except TrailkeepError as error:
            pytest.fail(f"{content[:20]!r}: {error}")
        assert found.head == head
        assert "ledger/00000003.json" in {problem.path for problem in found.problems}
        assert "ledger/00000004.json" in {problem.path for problem in found.problems}
    overwrite(entry_path(archive, 3), original)
    assert verify_archive(archive).problems == ()
