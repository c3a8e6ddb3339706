"""Signatures of the ledger's head: who can make them, what they look like, and whose count."""

from __future__ import annotations

import base64
import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sealed import NOW, commit, entry_path, head_of, rewrite, sealed_archive
from trailkeep import signatures
from trailkeep.config import load_settings
from trailkeep.errors import ArchiveDamaged, ConfigError
from trailkeep.signatures import PublicKey, Signer, parse_public_key, parse_signature, parse_signers
from trailkeep.signing import (
    checks,
    openssh,
    parse_signature_name,
    read_signers,
    sign_archive,
    sign_head,
    signature_check,
    signature_name,
)
from trailkeep.store import Disk
from trailkeep.verify import Kind, verify_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "archive"
    sealed_archive(path, syncs=1, events_each=1)
    return path


@pytest.fixture
def archive(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "archive")
    return tmp_path / "archive"


def pem_key(folder: Path, name: str = "key", passphrase: str | None = None) -> Path:
    """An Ed25519 key in PEM; its public half lies beside it."""
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        protection = serialization.BestAvailableEncryption(passphrase.encode())
    key, file = Ed25519PrivateKey.generate(), folder / f"{name}.pem"
    file.touch(mode=0o600)
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection))
    (folder / f"{name}.pub.pem").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return file


def ssh_key(folder: Path, kind: str = "ed25519", passphrase: str = "", name: str = "id") -> Path:
    """An OpenSSH key; its public half lies beside it, with .pub."""
    file = folder / name
    size = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", "alice@example.com", "-f", str(file)],
        check=True,
    )
    return file


def without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)


def without_ssh_keygen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssh.shutil, "which", lambda _name: None)


# Signing


@needs_ssh_keygen
def test_a_signature_made_in_python_is_one_that_ssh_keygen_verifies(archive: Path, tmp_path: Path) -> None:
    signed = sign_archive(archive, pem_key(tmp_path))
    (signer,) = read_signers(tmp_path / "key.pub.pem")
    listed = f"alice {signer.key.type} {base64.b64encode(signer.key.blob).decode()}\n"
    (tmp_path / "allowed").write_text(listed)
    who = ["-f", str(tmp_path / "allowed"), "-I", "alice"]
    done = subprocess.run(
        ["ssh-keygen", "-Y", "verify", *who, "-n", "trailkeep", "-s", str(archive / signed.file)],
        input=entry_path(archive, signed.head.seq).read_bytes(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert signed.fingerprint in done.stdout.decode()


@needs_ssh_keygen
def test_the_same_key_makes_the_same_bytes_in_python_and_in_ssh_keygen(archive: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    file = ssh_key(tmp_path)
    key = load_ssh_private_key(file.read_bytes(), None)
    content = entry_path(archive, 1).read_bytes()
    public = signatures.ed25519_key(key.public_key().public_bytes_raw())  # type: ignore[union-attr]
    value = key.sign(signatures.ed25519_message(content))  # type: ignore[union-attr,call-arg]
    assert openssh.sign(file, content, may_ask=False).decode() == signatures.armored(public, value)


@needs_ssh_keygen
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_every_kind_of_openssh_key_signs_and_is_verified(archive: Path, tmp_path: Path, kind: str) -> None:
    signed = sign_archive(archive, ssh_key(tmp_path, kind))
    found = verify_archive(archive, signers=read_signers(tmp_path / "id.pub"))
    assert found.problems == ()
    assert found.signed is not None
    assert (found.signed.signer, found.signed.after) == ("alice@example.com", 0)
    assert found.signed.fingerprint == signed.fingerprint


def test_a_signature_is_private_durable_and_named_after_entry_and_key(archive: Path, tmp_path: Path) -> None:
    class Recorder(Disk):
        def __init__(self) -> None:
            self.calls: list[str] = []

        def write(self, path: Path, content: bytes | memoryview, mode: int) -> None:
            self.calls.append(f"write {path.name}")
            super().write(path, content, mode)

        def rename(self, source: Path, target: Path) -> None:
            self.calls.append(f"rename {target.name}")
            super().rename(source, target)

        def sync_directory(self, path: Path) -> None:
            self.calls.append(f"sync {path.name}")
            super().sync_directory(path)

    disk = Recorder()
    signed = sign_archive(archive, pem_key(tmp_path), disk=disk)
    name = signed.file.removeprefix("ledger/")
    seq = head_of(archive).seq
    assert parse_signature_name(name) == (seq, name.split(".")[2])
    assert disk.calls == [f"write .{name}.draft", f"rename {name}", "sync ledger"]
    assert (archive / signed.file).stat().st_mode & 0o777 == 0o600
    assert verify_archive(archive).problems == ()


def test_a_valid_signature_is_kept_and_a_torn_one_made_anew(archive: Path, tmp_path: Path) -> None:
    key = pem_key(tmp_path)
    first = sign_archive(archive, key)
    file = archive / first.file
    before = file.stat().st_mtime_ns
    assert sign_archive(archive, key).was_there
    assert file.stat().st_mtime_ns == before
    content = file.read_bytes()
    file.write_bytes(content[:50])
    (archive / "ledger" / f".{file.name}.draft").write_bytes(b"torn")
    assert not sign_archive(archive, key).was_there
    assert file.read_bytes() == content
    assert verify_archive(archive).notes == ()


def test_a_draft_that_a_crash_left_is_a_note(archive: Path, tmp_path: Path) -> None:
    signed = sign_archive(archive, pem_key(tmp_path))
    (archive / "ledger" / f".{signed.file.removeprefix('ledger/')}.draft").write_bytes(b"torn")
    found = verify_archive(archive)
    assert found.problems == ()
    assert any("a signing was interrupted" in note for note in found.notes)


def test_several_may_sign_the_same_head(archive: Path, tmp_path: Path) -> None:
    for name in ("alice", "bob"):
        sign_archive(archive, pem_key(tmp_path, name))
    for name in ("alice", "bob"):
        found = verify_archive(archive, signers=read_signers(tmp_path / f"{name}.pub.pem"))
        assert found.problems == ()
        assert found.signed is not None


def test_a_damaged_ledger_is_not_signed(archive: Path, tmp_path: Path) -> None:
    entry_path(archive, 2).unlink()
    with pytest.raises(ArchiveDamaged):
        sign_archive(archive, pem_key(tmp_path))


def test_the_setting_signs_after_a_sync_and_its_absence_does_not(archive: Path, tmp_path: Path) -> None:
    key = pem_key(tmp_path)

    def settings(**environ: str) -> object:
        return load_settings(flags={}, environ={"HOME": str(tmp_path), **environ}, config_file=None, directory=tmp_path)

    assert sign_head(settings(), archive) is None  # type: ignore[arg-type]
    signed = sign_head(settings(TRAILKEEP_SIGN_KEY=str(key)), archive)  # type: ignore[arg-type]
    assert signed is not None
    assert (archive / signed.file).exists()
    (tmp_path / "trailkeep.toml").write_text('sign_key = "key.pem"\n')
    again = sign_head(settings(), archive)  # type: ignore[arg-type]
    assert again is not None
    assert again.was_there


# Keys that cannot sign


def refused(archive: Path, key: Path) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        sign_archive(archive, key)
    assert not list(archive.glob("ledger/*.sig"))
    return error.value


def test_a_protected_pem_key_fails_with_a_hint_and_is_opened_by_whoever_knows(archive: Path, tmp_path: Path) -> None:
    key = pem_key(tmp_path, passphrase=PASSPHRASE)
    error = refused(archive, key)
    assert "protected by a passphrase" in error.message
    assert error.hint
    with pytest.raises(ConfigError, match="may be wrong"):
        sign_archive(archive, key, ask=lambda _prompt: "wrong")
    assert not sign_archive(archive, key, ask=lambda _prompt: PASSPHRASE).was_there


@needs_ssh_keygen
def test_a_protected_openssh_key_fails_with_a_hint_and_asks_nobody(archive: Path, tmp_path: Path) -> None:
    key = ssh_key(tmp_path, passphrase=PASSPHRASE)
    error = refused(archive, key)
    assert "protected by a passphrase" in error.message
    assert "ssh-agent" in (error.hint or "")


@needs_ssh_keygen
def test_the_command_never_prompts_where_stdin_is_no_terminal(archive: Path, tmp_path: Path) -> None:
    """With a controlling terminal at hand, on which ssh-keygen would ask."""
    key = ssh_key(tmp_path, passphrase=PASSPHRASE)
    command = [sys.executable, "-m", "trailkeep", "--archive", str(archive), "sign", "--key", str(key)]
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - another process
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        os.execv(command[0], command)
    said = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 1000):
            said += piece
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2
    assert b"there is no terminal to ask for it" in said
    assert b"Enter passphrase" not in said


@needs_ssh_keygen
def test_a_key_in_the_agent_signs_by_its_public_half(archive: Path, tmp_path: Path) -> None:
    if shutil.which("ssh-agent") is None or shutil.which("ssh-add") is None:
        pytest.skip("needs ssh-agent")
    key = ssh_key(tmp_path)
    environment = os.environ | {"SSH_AUTH_SOCK": str(tmp_path / "agent")}
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL) as agent:
        try:
            for _ in range(100):
                done = subprocess.run(["ssh-add", "-q", str(key)], env=environment, capture_output=True)
                if done.returncode == 0:
                    break
            key.unlink()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
                assert not sign_archive(archive, tmp_path / "id.pub").was_there
        finally:
            agent.terminate()
    assert verify_archive(archive, signers=read_signers(tmp_path / "id.pub")).problems == ()


def test_a_key_that_others_may_read_is_refused(archive: Path, tmp_path: Path) -> None:
    key = pem_key(tmp_path)
    key.chmod(0o640)
    error = refused(archive, key)
    assert "open to other users (mode 0640)" in error.message
    assert error.hint == f"Run chmod 600 {key}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"some notes",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n",
        b"ssh-ed25519 !!!!",
    ],
)
def test_a_file_that_is_no_key_is_refused_and_never_repeated(archive: Path, tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("cryptography")
    file = tmp_path / "nothing"
    file.touch(mode=0o600)
    file.write_bytes(content)
    error = refused(archive, file)
    assert "AAAA" not in error.message
    assert "c2VjcmV0" not in error.message


def test_another_kind_of_key_in_pem_is_refused(archive: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    file = tmp_path / "key.pem"
    file.touch(mode=0o600)
    file.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert "is not an Ed25519 key" in refused(archive, file).message


def test_what_is_not_installed_is_said(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = pem_key(tmp_path)
    with monkeypatch.context() as patch:
        without_cryptography(patch)
        assert "trailkeep[sign]" in (refused(archive, key).hint or "")
    if shutil.which("ssh-keygen"):
        with monkeypatch.context() as patch:
            other = ssh_key(tmp_path)
            without_ssh_keygen(patch)
            assert "ssh-keygen is not installed" in refused(archive, other).message


# Verifying


def test_the_newest_signature_counts_and_what_follows_it_is_said(archive: Path, tmp_path: Path) -> None:
    key = pem_key(tmp_path)
    sign_archive(archive, key)
    newest = head_of(archive)
    commit(archive)
    sign_archive(archive, key)
    commit(archive)
    commit(archive)
    found = verify_archive(archive, signers=read_signers(tmp_path / "key.pub.pem"))
    assert found.problems == ()
    assert found.signed is not None
    assert (found.signed.seq, found.signed.after) == (newest.seq + 1, 2)
    assert f"whether entries after {newest.seq + 1} were rewritten or cut off" in found.not_checked


def test_without_a_signature_by_a_known_signer_it_is_invalid(archive: Path, tmp_path: Path) -> None:
    pem_key(tmp_path, "stranger")
    known = read_signers(tmp_path / "stranger.pub.pem")
    (problem,) = verify_archive(archive, signers=known).problems
    assert problem.kind is Kind.SIGNATURE
    sign_archive(archive, pem_key(tmp_path))
    found = verify_archive(archive, signers=known)
    assert len(found.problems) == 1
    assert any("which is none of the signers that may" in note for note in found.notes)


def test_a_signature_over_another_entry_does_not_count(archive: Path, tmp_path: Path) -> None:
    signed = sign_archive(archive, pem_key(tmp_path))
    commit(archive)
    (archive / signed.file).rename(archive / "ledger" / signature_name(head_of(archive).seq, key_of(tmp_path)))
    reasons = [problem.reason for problem in verify_archive(archive, signers=signers_of(tmp_path)).problems]
    assert any("does not match entry" in reason for reason in reasons)


def key_of(folder: Path) -> PublicKey:
    return signers_of(folder)[0].key


def signers_of(folder: Path) -> list[Signer]:
    return read_signers(folder / "key.pub.pem")


def test_a_signature_under_another_keys_name_or_torn_is_invalid_without_any_signer(
    archive: Path, tmp_path: Path
) -> None:
    signed = sign_archive(archive, pem_key(tmp_path))
    file = archive / signed.file
    content = file.read_bytes()
    other = file.with_name(file.name.replace(key_of(tmp_path).tag, "0" * 16))
    file.rename(other)
    (problem,) = verify_archive(archive).problems
    assert problem.reason.startswith("it holds the signature of another key")
    for torn in (b"", content[:-1], content + b"\n", content.replace(b"SSH", b"SSL", 1), b"\xff" * 10):
        other.write_bytes(torn)
        assert [found.kind for found in verify_archive(archive).problems] == [Kind.SIGNATURE]


def test_every_bit_of_a_signature_counts(archive: Path, tmp_path: Path) -> None:
    signed = sign_archive(archive, pem_key(tmp_path))
    file, known = archive / signed.file, signers_of(tmp_path)
    content = file.read_bytes()
    for place in range(0, len(content), 5):
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(bytes(changed))
        assert verify_archive(archive, signers=known, workers=1).problems, place
    file.write_bytes(content)
    assert verify_archive(archive, signers=known).problems == ()


def test_a_rewritten_entry_makes_its_signature_invalid(archive: Path, tmp_path: Path) -> None:
    sign_archive(archive, pem_key(tmp_path))
    rewrite(archive, head_of(archive).seq, host="elsewhere")
    reasons = [problem.reason for problem in verify_archive(archive, signers=signers_of(tmp_path)).problems]
    assert any("does not match entry" in reason for reason in reasons)


@needs_ssh_keygen
@pytest.mark.parametrize("remove", [without_cryptography, without_ssh_keygen])
def test_either_of_the_two_programs_is_enough(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remove: Callable[[pytest.MonkeyPatch], None]
) -> None:
    signed = sign_archive(archive, pem_key(tmp_path))
    remove(monkeypatch)
    assert verify_archive(archive, signers=signers_of(tmp_path)).problems == ()
    content = bytearray((archive / signed.file).read_bytes())
    content[-45] ^= 2
    (archive / signed.file).write_bytes(content)
    assert verify_archive(archive, signers=signers_of(tmp_path)).problems


def test_with_neither_program_it_is_said_what_to_install(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_archive(archive, pem_key(tmp_path))
    without_cryptography(monkeypatch)
    without_ssh_keygen(monkeypatch)
    assert not checks.has_cryptography()
    with pytest.raises(ConfigError) as error:
        verify_archive(archive, signers=signers_of(tmp_path))
    assert "trailkeep[sign]" in (error.value.hint or "")
    found = verify_archive(archive)
    assert found.problems == ()
    assert "1 signatures (use --signer)" in found.not_checked


@needs_ssh_keygen
def test_a_signature_for_another_purpose_does_not_count(archive: Path, tmp_path: Path) -> None:
    key = ssh_key(tmp_path)
    seq = head_of(archive).seq
    done = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(key)],
        input=entry_path(archive, seq).read_bytes(),
        capture_output=True,
        check=True,
    )
    (signer,) = read_signers(tmp_path / "id.pub")
    (archive / "ledger" / signature_name(seq, signer.key)).write_bytes(done.stdout)
    assert not signature_check()(done.stdout, entry_path(archive, seq).read_bytes())
    assert verify_archive(archive, signers=[signer]).problems


# Who may sign


LINE = "ssh-ed25519 " + base64.b64encode(signatures.ed25519_key(bytes(32)).blob).decode()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f"alice@example.com {LINE}", ["alice@example.com"]),
        (f'"alice@example.com" namespaces="git,trail*" {LINE} comment', ["alice@example.com"]),
        (f"# a comment\n\n{LINE} bob on his laptop\nalice {LINE}\n", ["bob on his laptop", "alice"]),
        (f'a,b valid-after="20260101",valid-before="20270101000000Z" {LINE}', ["a,b"]),
        (f"ca cert-authority {LINE}\nalice {LINE}", ["alice"]),
    ],
)
def test_signers_are_read_as_openssh_reads_them(text: str, names: list[str]) -> None:
    assert [signer.name for signer in parse_signers(text)] == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it names no key"),
        ("# nothing", "it names no key"),
        (f"ca cert-authority {LINE}", "it names no key"),
        ("alice", "line 1: it is neither"),
        (f"{LINE}\nalice bob ssh-ed25519 AAAA", "line 2: its options are not known here: bob"),
        ("alice ssh-ed25519 AAAA", "line 1: it holds no public key"),
        (f"alice {LINE.replace('ssh-ed25519', 'ssh-rsa', 1)}", "it says ssh-rsa, and the key is ssh-ed25519"),
        (f'alice valid-after="soon" {LINE}', "is not a time"),
        (f"alice no-touch-required {LINE}", "its options are not known here"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "it is not an Ed25519 public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "it holds a private key"),
    ],
)
def test_what_names_no_signer_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_signers(text)
    (tmp_path / "signers").write_text(text)
    with pytest.raises(ConfigError) as shown:
        read_signers(tmp_path / "signers")
    assert words in shown.value.message


def test_a_key_counts_only_for_its_namespaces_and_while_it_was_valid() -> None:
    def signer(options: str) -> Signer:
        return parse_signers(f"alice {options} {LINE}".replace("  ", " "))[0]

    at = datetime(2026, 3, 1, tzinfo=UTC)
    assert signer("").may_sign(at)
    assert signer("").may_sign(None)
    assert signer('namespaces="trailkeep"').may_sign(at)
    assert not signer('namespaces="git"').may_sign(at)
    assert not signer('namespaces="*,!trailkeep"').may_sign(at)
    assert signer('valid-before="20260301000001Z"').may_sign(at)
    assert not signer('valid-before="20260301Z"').may_sign(at)
    assert not signer('valid-after="20260302Z"').may_sign(at)
    assert not signer('valid-after="20250302Z"').may_sign(None)


def test_a_key_that_expired_after_it_signed_still_counts(archive: Path, tmp_path: Path) -> None:
    sign_archive(archive, pem_key(tmp_path))
    key = key_of(tmp_path)

    def expiring(at: datetime) -> list[Signer]:
        return [Signer(name="alice", key=key, valid_before=at)]

    assert verify_archive(archive, signers=expiring(NOW + timedelta(seconds=1))).problems == ()
    assert verify_archive(archive, signers=expiring(NOW)).problems


# The format


def test_a_signature_comes_apart_as_it_was_put_together() -> None:
    key, value = signatures.ed25519_key(bytes(range(32))), bytes(64)
    parsed = parse_signature(signatures.armored(key, value).encode())
    assert (parsed.key, parsed.value, parsed.namespace, parsed.algorithm) == (key, value, "trailkeep", "ssh-ed25519")
    assert parsed.signed_bytes(b"x") == signatures.ed25519_message(b"x")
    assert key.ed25519 == bytes(range(32))
    assert parse_public_key(f"{key.type} {base64.b64encode(key.blob).decode()} me") == (key, "me")
    assert parse_public_key("nothing of the kind") is None


@needs_ssh_keygen
def test_fingerprints_are_those_that_ssh_keygen_prints(tmp_path: Path) -> None:
    ssh_key(tmp_path)
    (signer,) = read_signers(tmp_path / "id.pub")
    done = subprocess.run(["ssh-keygen", "-l", "-f", str(tmp_path / "id.pub")], capture_output=True, text=True)
    assert signer.key.fingerprint in done.stdout


def test_only_whole_names_of_signatures_are_signatures() -> None:
    tag = "0123456789abcdef"
    assert parse_signature_name(f"00000012.json.{tag}.sig") == (12, tag)
    for name in ("00000012.json.sig", f"12.json.{tag}.sig", f"00000000.json.{tag}.sig", f"00000012.json.{tag}.sig.bak"):
        assert parse_signature_name(name) is None
