"""Hashes of values: 56 bits, keyed with the archive's id, of one value or of a whole column.

Ids are most of what there is, and a hash function called for each would cost a sync a tenth of its time. A canonical
UUID is 128 bits already, which are mixed down by two multiplications, for a whole column at once; anything else goes
through BLAKE2b. With n values in an index another value has the hash of one of them with a probability of n / 2**56:
for ten million 1.4e-10. Nobody who does not know the archive's id can choose values that collide.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

BITS = 56
_WORD = (1 << 64) - 1
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_UUID_LENGTH = 36
_DASHES = (8, 13, 18, 23)


class Hasher:
    """The hash function of one archive."""

    def __init__(self, archive_id: str) -> None:
        self._key = hashlib.sha256(b"trailkeep pivots\n" + archive_id.encode(errors="surrogatepass")).digest()
        self._one = int.from_bytes(self._key[:8], "little") | 1
        self._other = int.from_bytes(self._key[8:16], "little") | 1

    def of(self, value: str) -> int:
        """The hash of one value."""
        if _UUID.fullmatch(value):
            content = bytes.fromhex(value.replace("-", ""))
            high, low = int.from_bytes(content[:8], "little"), int.from_bytes(content[8:], "little")
            mixed = ((high * self._one & _WORD) ^ low) * self._other & _WORD
            return mixed >> (64 - BITS)
        return self._other_value(value.encode(errors="surrogatepass"))

    def of_all(self, values: pa.Array) -> pa.Array:
        """The hash of each value of an array without nulls."""
        import pyarrow as pa
        import pyarrow.compute as pc

        words = _uuid_words(values)
        if words is not None:
            return self._mixed(words)
        are = pc.match_substring_regex(values, f"^{_UUID.pattern}$")
        words = _uuid_words(values.filter(are))
        if words is None:
            return self._one_by_one(values)
        others = self._one_by_one(values.filter(pc.invert(are)))
        hashes = pc.replace_with_mask(pa.repeat(pa.scalar(0, pa.uint64()), len(values)), are, self._mixed(words))
        every: pa.Array = pc.replace_with_mask(hashes, pc.invert(are), others)
        return every

    def _one_by_one(self, values: pa.Array) -> pa.Array:
        import pyarrow as pa

        return pa.array([self.of(str(text)) for text in values.to_pylist()], pa.uint64())

    def _mixed(self, words: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        both = pa.FixedSizeListArray.from_arrays(words, 2)
        high, low = pc.list_element(both, 0), pc.list_element(both, 1)
        one, other = pa.scalar(self._one, pa.uint64()), pa.scalar(self._other, pa.uint64())
        mixed = pc.multiply(pc.bit_wise_xor(pc.multiply(high, one), low), other)
        return pc.shift_right(mixed, pa.scalar(64 - BITS, pa.uint64()))

    def _other_value(self, content: bytes) -> int:
        digest = hashlib.blake2b(content, digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") >> (64 - BITS)


def _uuid_words(values: pa.Array) -> pa.Array | None:
    """The two words of each value, one after the other, where all are canonical UUIDs; None where one is not."""
    import pyarrow as pa

    count = len(values)
    _validity, offsets, content = values.buffers()
    if not count:
        return pa.array([], pa.uint64())
    if offsets is None or content is None or not _all_are(values, _UUID_LENGTH):
        return None
    start = memoryview(offsets).cast("i")[values.offset]
    text = memoryview(content)[start : start + _UUID_LENGTH * count].tobytes()
    if any(text[at::_UUID_LENGTH] != b"-" * count for at in _DASHES):
        return None
    digits = text.translate(None, b"-")
    try:
        words = binascii.unhexlify(digits)
    except binascii.Error:
        return None
    # There are no other dashes, and no capitals.
    if len(digits) != 32 * count or binascii.hexlify(words) != digits:
        return None
    return pa.Array.from_buffers(pa.uint64(), 2 * count, [None, pa.py_buffer(words)])


def _all_are(values: pa.Array, length: int) -> bool:
    """Whether every value has so many bytes."""
    import pyarrow.compute as pc

    extent = pc.min_max(pc.binary_length(values))  # type: ignore[call-overload]
    return bool(extent["min"].as_py() == extent["max"].as_py() == length)
