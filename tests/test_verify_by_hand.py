"""docs/verify-by-hand.md: its very commands find nothing in a sound archive, and something in every other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealed import entry_path, head_of, overwrite, replace_segment, rewrite, sealed_archive
from trailkeep.signing import sign_archive
from trailkeep.store import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[1] / "docs" / "verify-by-hand.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
CHAIN, STRANGERS, LIVE, HASHES, PRESENT, HEAD, PEM, SIGNATURE = BLOCKS
NEEDED = ("sha256sum", "ssh-keygen", "bash")

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in NEEDED), reason="needs sha256sum and ssh-keygen"
)


class Hand:
    """Somebody with an archive and a shell."""

    def __init__(self, archive: Path, away: Path) -> None:
        self.archive = archive
        self.away = away
        self.list = away / "list"
        self.list.mkdir(parents=True)
        key = away / "id"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True, capture_output=True
        )
        sign_archive(archive, key)
        self.signers = away / "allowed_signers"
        self.signers.write_text(f"alice@example.com {(away / 'id.pub').read_text()}", encoding="utf-8")
        self.variables = {
            "list": str(self.list),
            "head": str(head_of(archive)),
            "signers": str(self.signers),
            "who": "alice@example.com",
        }

    def run(self, block: str, *, after: str = ":", **variables: str) -> tuple[bool, str]:
        """Whether a block, run after another one in the same shell, found nothing, and what it printed."""
        done = subprocess.run(
            ["bash", "-c", f"{{\n{after}\n}} > /dev/null\n{block}"],
            cwd=self.archive,
            env=os.environ | self.variables | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = done.stdout.splitlines()
        return any(line == "ok" or line.startswith("ok:") for line in lines), done.stdout + done.stderr

    def finds(self, names: set[str] | None = None) -> set[str]:
        """Which of the page's checks, or of those named, find something."""
        checks = {
            "chain": CHAIN,
            "strangers": STRANGERS,
            "hashes": HASHES,
            "present": PRESENT,
            "head": HEAD,
            "signature": SIGNATURE,
        }
        return {
            name
            for name, block in checks.items()
            if (names is None or name in names) and not self.run(block, after=LIVE)[0]
        }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "archive"
    sealed_archive(path)
    return path


@pytest.fixture
def hand(tmp_path: Path, built: Path) -> Hand:
    shutil.copytree(built, tmp_path / "archive")
    return Hand(tmp_path / "archive", tmp_path / "away")


def test_a_sound_archive_passes_every_check(hand: Hand) -> None:
    assert hand.finds() == set()
    good, said = hand.run(CHAIN)
    assert good
    assert f"head {head_of(hand.archive)}" in said


def test_a_copy_passes_too(hand: Hand, tmp_path: Path) -> None:
    shutil.copytree(hand.archive, tmp_path / "elsewhere")
    hand.archive = tmp_path / "elsewhere"
    assert hand.finds() == set()


def a_file(path: Path) -> Path:
    return path / min(Archive.open(path).ledger().live)


def change_a_file(path: Path) -> None:
    content = bytearray(a_file(path).read_bytes())
    content[len(content) // 2] ^= 1
    overwrite(a_file(path), bytes(content))


def append_to_a_file(path: Path) -> None:
    overwrite(a_file(path), a_file(path).read_bytes() + b"\0")


def remove_a_file(path: Path) -> None:
    a_file(path).unlink()


def plant_a_file(path: Path) -> None:
    shutil.copy(a_file(path), a_file(path).parent / "planted.parquet")


def link_a_file(path: Path) -> None:
    file = a_file(path)
    file.rename(path.parent / "outside.parquet")
    file.symlink_to(path.parent / "outside.parquet")


def change_an_entry(path: Path) -> None:
    content = entry_path(path, 3).read_bytes()
    overwrite(entry_path(path, 3), content.replace(b'"fetched"', b'"fetchet"').replace(b'"host":"', b'"host":"x'))


def remove_two_entries(path: Path) -> None:
    entry_path(path, 3).unlink()
    entry_path(path, 4).unlink()


def double_an_entry(path: Path) -> None:
    shutil.copy(entry_path(path, 3), entry_path(path, 8))


def plant_an_entry(path: Path) -> None:
    shutil.copy(entry_path(path, 3), path / "ledger" / "3.json")


def cut_the_end(path: Path) -> None:
    for name in list(path.glob("ledger/00000007.json*")):
        name.unlink()


def write_it_anew(path: Path) -> None:
    rewrite(path, 3, host="elsewhere")


def replace_a_file_with_its_entry(path: Path) -> None:
    path_in_ledger = str(a_file(path).relative_to(path))
    replace_segment(path, path_in_ledger, a_file(path).read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("tamper", "found_by"),
    [
        (change_a_file, {"hashes"}),
        (append_to_a_file, {"hashes"}),
        (remove_a_file, {"hashes", "present"}),
        (plant_a_file, {"present"}),
        (link_a_file, {"present"}),
        (change_an_entry, {"chain"}),
        (remove_two_entries, {"chain"}),
        (double_an_entry, {"chain"}),
        (plant_an_entry, {"strangers"}),
        (cut_the_end, {"head", "signature"}),
        (write_it_anew, {"head", "signature"}),
        (replace_a_file_with_its_entry, {"head", "signature"}),
    ],
)
def test_every_tampering_is_found(hand: Hand, tamper: Callable[[Path], None], found_by: set[str]) -> None:
    tamper(hand.archive)
    assert hand.finds(found_by) == found_by


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_key_in_pem_is_checked_by_ssh_keygen_alone(hand: Hand) -> None:
    private, public = hand.away / "key.pem", hand.away / "key.pub.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)], check=True)
    private.chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)], check=True)
    sign_archive(hand.archive, private)
    _good, line = hand.run(PEM, pem=str(public))
    hand.signers.write_text(f"bob {line}", encoding="utf-8")
    good, said = hand.run(SIGNATURE, who="bob")
    assert good, said
    assert 'Good "trailkeep" signature for bob' in said


def test_a_signature_by_a_stranger_is_none(hand: Hand) -> None:
    good, said = hand.run(SIGNATURE, who="mallory")
    assert not good
    assert "INVALID: no signature of mallory" in said
