"""Statements from a pipe or a file: run one by one as they come, up to the first error."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from trailkeep.cli import diagnostics
from trailkeep.cli.shell.splitting import split
from trailkeep.cli.shell.wording import in_the_shell
from trailkeep.errors import TrailkeepError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.cli.shell.session import Session
    from trailkeep.cli.shell.splitting import Piece

LONGEST_CHARACTERS = 2_000_000
"""More than this without a statement's end is not SQL."""


def run_script(session: Session, stdin: BinaryIO) -> None:
    """Execute what `stdin` holds, each statement as soon as it is complete; the last needs no semicolon.

    Raises the first TrailkeepError, after which nothing is executed; the line where its statement begins is said.
    """
    for piece, line in _pieces(stdin):
        try:
            session.execute(piece)
        except TrailkeepError as error:
            diagnostics.problems([f"stdin: stopped at the statement in line {line}"])
            raise in_the_shell(error) from error
        if session.over:
            return


def _pieces(stdin: BinaryIO) -> Iterator[tuple[Piece, int]]:
    """What there is to do, each with its line in the whole script."""
    waiting: list[str] = []
    first = 1
    length = 0
    for number, content in enumerate(stdin, start=1):
        text = _decoded(content, number)
        waiting.append(text)
        length += len(text)
        if length > LONGEST_CHARACTERS:
            raise UsageError(f"stdin: the statement in line {first} does not end", hint="End each with a semicolon.")
        # Only these can complete anything; a long statement is not cut anew for each of its lines.
        if ";" not in text and not text.lstrip().startswith("."):
            continue
        whole = "".join(waiting)
        found = split(whole)
        for piece in found.pieces:
            yield piece, first + piece.line - 1
        if found.pieces:
            first += found.rest_line - 1 if found.rest else whole.count("\n")
            waiting, length = ([found.rest], len(found.rest)) if found.rest else ([], 0)
    found = split("".join(waiting))
    for piece in found.pieces:
        yield piece, first + piece.line - 1
    if found.rest:
        from trailkeep.cli.shell.splitting import Piece

        yield Piece(text=found.rest, is_dot=False, line=found.rest_line), first + found.rest_line - 1


def _decoded(content: bytes, number: int) -> str:
    try:
        return content.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"stdin: line {number} is not UTF-8: byte {error.start}", hint="Save it as UTF-8.") from None
