"""The rules of the ledger: what an entry's bytes say, how entries are chained, and what a digest depends on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, ArchiveTooNew

ARCHIVE = "2f6d1b5e-0000-4000-8000-000000000000"

FIRST_RELEASE = {
    "format": 1,
    "seq": 1,
    "previous": None,
    "archive_id": ARCHIVE,
    "operation": "sync",
    "run": "r",
    "started_at": "2026-01-01T00:00:00.000000Z",
    "finished_at": "2026-01-01T00:00:01.000000Z",
    "tool": {"trailkeep": "0.1.0"},
    "host": "h",
    "os_user": "u",
}
"""The fields that no entry can do without; an entry of the first release has these and no reason, hold or purged."""


def entry(**changes: Any) -> seal.Entry:
    return msgspec.convert(FIRST_RELEASE | changes, seal.Entry)


def decode(content: bytes, *, seq: int = 1, previous: str | None = None) -> seal.Entry:
    return seal.decode_entry(content, seq=seq, previous=previous, archive_id=ARCHIVE)


def test_an_entry_is_json_with_sorted_keys_and_one_line_feed() -> None:
    content = seal.encode_entry(entry(counters={"b": 1, "a": 2}))
    assert content.endswith(b"}\n")
    assert content.count(b"\n") == 1
    value = json.loads(content)
    assert json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" == content
    assert seal.entry_hash(content) == hashlib.sha256(content).hexdigest()


def test_what_is_encoded_is_decoded() -> None:
    span = seal.CoverageRecord(organization_id="o", kind="api", region="fr-par", start="a", end="b")
    whole = entry(operation="purge", reason="why", hold="set", files_removed=["a/b"])
    whole = msgspec.structs.replace(whole, purged=[span])
    assert decode(seal.encode_entry(whole)) == whole


def test_an_entry_without_the_newer_fields_still_decodes() -> None:
    old = decode(json.dumps(FIRST_RELEASE).encode())
    assert (old.reason, old.hold, old.purged) == (None, None, [])


def test_fields_of_a_later_version_are_no_error() -> None:
    assert decode(json.dumps(FIRST_RELEASE | {"weather": "fine"}).encode()) == entry()


def test_an_entry_must_stand_in_its_place() -> None:
    content = seal.encode_entry(entry())
    with pytest.raises(ArchiveDamaged, match="says that it is entry 1"):
        decode(content, seq=2)
    with pytest.raises(ArchiveDamaged, match="hash of the previous entry differs"):
        decode(content, previous="0" * 64)
    with pytest.raises(ArchiveDamaged, match="belongs to archive"):
        seal.decode_entry(content, seq=1, previous=None, archive_id="another")


def test_a_later_format_is_refused_before_anything_else_is_looked_at() -> None:
    with pytest.raises(ArchiveTooNew):
        decode(b'{"format": 2, "seq": []}')


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entry_or_damage(content: bytes) -> None:
    with pytest.raises((ArchiveDamaged, ArchiveTooNew)):
        decode(content)


@given(st.sampled_from(sorted(FIRST_RELEASE)), st.none() | st.integers() | st.text() | st.lists(st.integers()))
def test_any_value_in_any_field_is_an_entry_or_damage(field: str, value: object) -> None:
    try:
        decode(json.dumps(FIRST_RELEASE | {field: value}).encode())
    except (ArchiveDamaged, ArchiveTooNew):
        return


@given(st.lists(st.binary(min_size=32, max_size=32)), st.randoms(use_true_random=False))
def test_the_digest_of_events_does_not_depend_on_their_order(digests: list[bytes], random: Any) -> None:
    shuffled = list(digests)
    random.shuffle(shuffled)
    assert seal.events_digest(shuffled) == seal.events_digest(digests)


def test_the_digest_of_events_tells_one_event_from_two_the_same() -> None:
    digest = hashlib.sha256(b"{}").digest()
    assert seal.events_digest([digest]) != seal.events_digest([digest, digest])
    assert seal.events_digest([]) == hashlib.sha256(b"").hexdigest()
