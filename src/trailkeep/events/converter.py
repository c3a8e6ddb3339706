"""The further process that reads the fields of events: started by `trailkeep.events.aside`.

It is asked on its standard input and answers on its standard output, a frame each; it has no network, no secret and no
file of its own, and ends when its input does, however the process that started it came to its end.
"""

from __future__ import annotations

import gc
import os
import struct
import sys
from array import array
from itertools import pairwise
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from trailkeep.events.rows import columns_of
from trailkeep.streams import KINDS

if TYPE_CHECKING:
    from trailkeep.events.arrays import Raws
    from trailkeep.streams import Kind

_ASKED = struct.Struct("<BIQ")
"""The kind's place in `KINDS`, how many events follow, and their bytes in all; then where each begins and the last
one ends, then they."""
_ANSWERED = struct.Struct("<Q")
"""How many bytes of an Arrow stream follow; 0 where the events could not be converted."""
_OFFSET = "i"

COLLECT_EVERY = 100_000
"""Allocations between two looks of the garbage collector: what it would look through are fields, none in a cycle."""


def send_events(sink: IO[bytes], kind: Kind, raws: Raws) -> None:
    """Ask for the columns of these events."""
    sink.write(_ASKED.pack(KINDS.index(kind), len(raws), len(raws.content)) + raws.offsets.tobytes())
    sink.write(raws.content)
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
        offsets = array(_OFFSET, _read(source, (count + 1) * array(_OFFSET).itemsize))
        content = _read(source, size)
        raws = [content[start:end] for start, end in pairwise(offsets)]
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
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    try:
        serve(sys.stdin.buffer, os.fdopen(os.dup(answers.fileno()), "wb"))
    except (EOFError, OSError):
        os._exit(0)
