"""One segment's index as a file: sorted hashes with times, read by a few small reads and trusted block by block.

A file is its head, then its body. The head says whose index it is, where in the body each list lies, and the digest of
every block of the body; it ends with its own digest. Of each kind of values there are two lists, sorted by the hash: of
values that occur once in a stretch of rows, 12 bytes each, and of stretches with more, 20 bytes each. A list is its
columns, one after the other: of the hash the first byte (in a long list, where each first byte begins), the next four,
the last two; of the first time the last four bytes and the two before; and of stretches the same of the time to the
last, and how many there are. Times are microseconds after the segment's first. All numbers are little-endian.

What is not as it should be raises `Unusable`: a flipped bit, a file that was cut, another archive's or another
segment's. Nothing is read that was not compared with its digest before.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import sys
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import msgspec

from trailkeep.pivots.kinds import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"trailkeep-pivots"
BLOCK = 4096
_DIGEST = 8
_HEAD_DIGEST = 16
_LENGTHS = struct.Struct("<IIQ")
"""Of the description in bytes, of the digests in blocks, of the body in bytes."""
_MOST_DESCRIPTION = 1 << 20
LONG = 1024
"""From so many values on, a list begins with where the values of each first byte begin."""
BOUNDS = 257 * 4
SINGLE = 12
STRETCH = 20
"""Bytes of each value but for the first."""
_GUESS = 8192
"""Most heads are no longer than this, and read at once."""

_NOTHING = memoryview(b"")

Occurrence = tuple[int, int, int]
"""First, last, count; times are microseconds since the epoch."""


class Unusable(Exception):
    """There is no index here that can be trusted for this segment."""


class Lists(msgspec.Struct, frozen=True, array_like=True):
    """Where the lists of one kind lie in the body, and how many values they have."""

    at: int
    singles: int
    stretches: int


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose index a file is, and what it holds."""

    format: int
    archive_id: str
    sha256: str
    table: str
    rows: int
    start: int
    """The segment's first moment, in microseconds since the epoch."""
    kinds: dict[str, Lists]


def encode(description: Description, body: bytes) -> bytes:
    """The content of a file."""
    told = msgspec.json.encode(description, order="sorted")
    digests = b"".join(
        _digest(description.sha256, number, body[at : at + BLOCK])
        for number, at in enumerate(range(0, len(body), BLOCK))
    )
    head = MAGIC + _LENGTHS.pack(len(told), len(digests) // _DIGEST, len(body)) + told + digests
    return head + _head_digest(head) + body


class IndexFile:
    """A file's head, whose body is read where it is needed."""

    def __init__(self, path: Path, archive_id: str, sha256: str) -> None:
        """Read the head. Raises Unusable, and OSError where there is no file that can be read."""
        self._path = path
        descriptor = open_plain(path)
        try:
            self.state = state_of(descriptor)
            head = os.pread(descriptor, _GUESS, 0)
            fixed = len(MAGIC) + _LENGTHS.size
            if sys.byteorder != "little" or len(head) < fixed or not head.startswith(MAGIC):
                raise Unusable("not an index")
            told, blocks, self._size = _LENGTHS.unpack_from(head, len(MAGIC))
            self._body = fixed + told + blocks * _DIGEST + _HEAD_DIGEST
            if (
                told > _MOST_DESCRIPTION
                or blocks != -(-self._size // BLOCK)
                or self.state[0] != self._body + self._size
            ):
                raise Unusable("it has another length")
            if len(head) < self._body:
                head += os.pread(descriptor, self._body - len(head), len(head))
        finally:
            os.close(descriptor)
        head = head[: self._body]
        if len(head) < self._body or _head_digest(head[:-_HEAD_DIGEST]) != head[-_HEAD_DIGEST:]:
            raise Unusable("its head is damaged")
        try:
            self.description = msgspec.json.decode(head[fixed : fixed + told], type=Description)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Unusable("its head is none") from error
        is_ours = (self.description.format, self.description.archive_id, self.description.sha256)
        if is_ours != (FORMAT, archive_id, sha256):
            raise Unusable("it is another's")
        self._digests = head[fixed + told : -_HEAD_DIGEST]
        self._keyed = _keyed(sha256)
        self._bounds: dict[int, memoryview] = {}

    def open(self) -> int:
        """A descriptor of the file that the head was read from. Raises OSError, and Unusable for another file."""
        descriptor = open_plain(self._path)
        if state_of(descriptor) != self.state:
            os.close(descriptor)
            raise Unusable("it was replaced")
        return descriptor

    def check_for(self, table: str, rows: int) -> None:
        """Raise Unusable unless it is of a segment of this table with so many rows."""
        if (self.description.table, self.description.rows) != (table, rows):
            raise Unusable("it is of other rows")

    def check(self, start: int = 0, end: int | None = None) -> None:
        """Compare the body with its digests, or as much of it as lies in the file from `start` to before `end`.

        Raises Unusable, and OSError.
        """
        first = max(0, start - self._body)
        last = self._size if end is None else min(self._size, end - self._body)
        descriptor = self.open()
        try:
            for at in range(first, last, 256 * BLOCK):
                self.read(descriptor, at, min(256 * BLOCK, last - at))
        finally:
            os.close(descriptor)

    def is_content(self, content: bytes) -> bool:
        """Whether the file holds just these bytes; False where it is gone."""
        try:
            descriptor = self.open()
        except (OSError, Unusable):
            return False
        with os.fdopen(descriptor, "rb") as stream:
            return len(content) == self.state[0] and stream.read() == content

    def find(self, descriptor: int, kind: str, value: int) -> list[Occurrence]:
        """Where the value with this hash occurs. Raises Unusable."""
        lists = self.description.kinds.get(kind)
        if lists is None:
            return []
        singles = _List(self, descriptor, lists.at, lists.singles, value)
        stretches = _List(self, descriptor, singles.end + SINGLE * lists.singles, lists.stretches, value)
        start = self.description.start
        found: list[Occurrence] = [(start + time, start + time, 1) for time in singles.numbers(6, 6)]
        for time, length, count in zip(
            stretches.numbers(6, 6), stretches.numbers(12, 6), stretches.numbers(18, 2), strict=True
        ):
            found.append((start + time, start + time + length, count))
        return found

    def bounds(self, descriptor: int, at: int) -> memoryview:
        """Where the values of a long list begin, by the first byte of their hash; kept."""
        if at not in self._bounds:
            self._bounds[at] = self.read(descriptor, at, BOUNDS).cast("I")
        return self._bounds[at]

    def read(self, descriptor: int, at: int, length: int) -> memoryview:
        """A part of the body, compared with its digests. Raises Unusable."""
        if at < 0 or length < 0 or at + length > self._size:
            raise Unusable("its lists are none")
        if not length:
            return _NOTHING
        first, last = at // BLOCK, (at + length - 1) // BLOCK
        begin = first * BLOCK
        content = os.pread(descriptor, min((last + 1) * BLOCK, self._size) - begin, self._body + begin)
        for number in range(first, last + 1):
            block = content if first == last else content[(number - first) * BLOCK : (number - first + 1) * BLOCK]
            digest = self._keyed.copy()
            digest.update(number.to_bytes(8, "little"))
            digest.update(block)
            if digest.digest() != self._digests[number * _DIGEST : (number + 1) * _DIGEST]:
                raise Unusable("it is damaged")
        return memoryview(content)[at - begin : at - begin + length]


class _List:
    """The values of one list that have a hash."""

    def __init__(self, file: IndexFile, descriptor: int, at: int, count: int, value: int) -> None:
        self._file, self._descriptor, self._count = file, descriptor, count
        self.end = at + begin_size(count)
        """Where its columns but for the first begin."""
        low = high = 0
        if count >= LONG:
            bounds = file.bounds(descriptor, at)
            low, high = bounds[value >> 48], bounds[(value >> 48) + 1]
        elif count:
            firsts = file.read(descriptor, at, count)
            low, high = bisect_left(firsts, value >> 48), bisect_right(firsts, value >> 48)
        if not low <= high <= count:
            raise Unusable("its lists are none")
        middle = file.read(descriptor, self.end + low * 4, (high - low) * 4).cast("I")
        wanted = value >> 16 & 0xFFFFFFFF
        self._low = low + bisect_left(middle, wanted)
        self._high = low + bisect_right(middle, wanted)
        if self._low < self._high:
            last = self._column(4, 2, "H")
            self._low, self._high = (
                self._low + each for each in (bisect_left(last, value & 0xFFFF), bisect_right(last, value & 0xFFFF))
            )

    def numbers(self, after: int, width: int) -> list[int]:
        """The numbers of a column that begins after so many bytes of each, of two bytes or six."""
        if self._low == self._high:
            return []
        if width == 2:
            return self._column(after, 2, "H").tolist()
        minor, major = self._column(after, 4, "I"), self._column(after + 4, 2, "H")
        return [low | high << 32 for low, high in zip(minor, major, strict=True)]

    def _column(self, after: int, width: int, code: str) -> memoryview:
        at = self.end + self._count * after + self._low * width
        return self._file.read(self._descriptor, at, (self._high - self._low) * width).cast(code)  # type: ignore[call-overload,no-any-return]


def begin_size(count: int) -> int:
    """The length of the first column of a list with so many values."""
    return BOUNDS if count >= LONG else count


def open_plain(path: Path | str) -> int:
    """A descriptor of a plain file, through no symbolic link. Raises OSError, and Unusable for what is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unusable("not a file")
    return descriptor


def state_of(descriptor: int) -> tuple[int, int, int]:
    """What changes when another file takes the name of an open one."""
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns, found.st_ino


def _keyed(sha256: str) -> hashlib.blake2b:
    """What digests of blocks begin with."""
    return hashlib.blake2b(digest_size=_DIGEST, key=sha256[:64].encode())


def _digest(sha256: str, number: int, block: bytes) -> bytes:
    digest = _keyed(sha256)
    digest.update(number.to_bytes(8, "little") + block)
    return digest.digest()


def _head_digest(head: bytes) -> bytes:
    return hashlib.blake2b(head, digest_size=_HEAD_DIGEST).digest()
