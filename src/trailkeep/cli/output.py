"""Everything that is written to stdout: text, JSON, and the bytes of results."""

from __future__ import annotations

import json
import os
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, BinaryIO

from trailkeep.cli.diagnostics import visible

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence


def write_text(text: str) -> None:
    """Write text and a line feed; control characters are shown, never executed."""
    _write(visible(text) + "\n")


def write_verbatim(text: str) -> None:
    """Write text as it is, without adding anything: for files of the user's own that are printed back."""
    _write(text)


def write_json(value: Any, *, one_line: bool = False) -> None:
    """Write one JSON document with sorted keys, so that the same value is the same bytes."""
    _write(json.dumps(value, indent=None if one_line else 2, sort_keys=True, ensure_ascii=True) + "\n")


def binary_stdout() -> BinaryIO:
    """Stdout for results, which are written as bytes."""
    flush()
    return sys.stdout.buffer


def flush() -> None:
    """Hand what was written to whoever reads stdout: before waiting for something else, and at the end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard()


def discard() -> None:
    """Write no more: whoever read our output has seen enough. What is still buffered must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        discard()


def stdout_is_terminal() -> bool:
    """Whether a person sees stdout directly."""
    return sys.stdout.isatty()


def columns(rows: Sequence[Sequence[str]], *, right_aligned: Container[int] = ()) -> Iterator[str]:
    """Lines of a plain table: columns as wide as their longest value, two spaces between them."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        cells = (
            cell.rjust(width) if index in right_aligned else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=False))
        )
        yield "  ".join(cells).rstrip()
