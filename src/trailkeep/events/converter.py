"""The further process that reads the fields of events: started by `trailkeep.events.aside`.

It is asked on its standard input and answers on its standard output, a frame each; it has no network, no secret and no
file of its own, and ends when its input does, however the process that started it came to its end.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from itertools import accumulate, pairwise
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from trailkeep.events.rows import columns_of
from trailkeep.streams import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trailkeep.streams import Kind

_ASKED = struct.Struct("<BIQ")
"""The kind's place in `KINDS`, how many events follow, and their bytes in all; then each one's length, then they."""
_ANSWERED = struct.Struct("<Q")
"""How many bytes of an Arrow stream follow; 0 where the events could not be converted."""
_LENGTH = "I"


def send_events(sink: IO[bytes], kind: Kind, raws: Sequence[bytes]) -> None:
    """Ask for the columns of these events."""
    lengths = array(_LENGTH, map(len, raws))
    sink.write(_ASKED.pack(KINDS.index(kind), len(raws), sum(lengths)) + lengths.tobytes())
    sink.write(b"".join(raws))
    sink.flush()


def receive_columns(source: IO[bytes]) -> pa.RecordBatch | None:
    """What was answered; None where the events could not be converted. Raises EOFError and ArrowInvalid."""
    (size,) = _ANSWERED.unpack(_read(source, _ANSWERED.size))
    if not size:
        return None
    with pa.ipc.open_stream(pa.py_buffer(_read(source, size))) as stream:
        return stream.read_next_batch()


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer until nothing more is asked. Raises EOFError where the asking ends, be it in the middle."""
    while True:
        kind, count, size = _ASKED.unpack(_read(source, _ASKED.size))
        lengths = array(_LENGTH, _read(source, count * array(_LENGTH).itemsize))
        content = _read(source, size)
        raws = [content[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]
        del content
        answer = pa.BufferOutputStream()
        try:
            columns = columns_of(KINDS[kind], raws)
            with pa.ipc.new_stream(answer, columns.schema) as stream:
                stream.write_batch(columns)
        except Exception:  # noqa: BLE001 - whatever it is, the asking process meets it when it converts these events itself
            sink.write(_ANSWERED.pack(0))
        else:
            found = answer.getvalue()
            sink.write(_ANSWERED.pack(found.size))
            sink.write(memoryview(found))
        sink.flush()


def _read(source: IO[bytes], size: int) -> bytes:
    content = source.read(size)
    if len(content) != size:
        raise EOFError
    return content


def main() -> None:
    """Serve on the standard streams; whatever else may write to the standard output goes nowhere."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    try:
        serve(sys.stdin.buffer, os.fdopen(os.dup(answers.fileno()), "wb"))
    except (EOFError, OSError):
        os._exit(0)
