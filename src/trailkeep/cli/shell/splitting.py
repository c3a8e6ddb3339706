"""What is typed, as statements and dot commands, and what of it is not complete yet."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trailkeep.cli.shell.scanning import Kind, tokens

_DOT = re.compile(r"\.[^\W\d][^\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One thing to do."""

    text: str
    """A statement without its semicolon, or a dot command without blanks at its end."""
    is_dot: bool
    line: int
    """The line that it begins in, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A text, cut into what can be done and what is still being written."""

    pieces: tuple[Piece, ...]
    rest: str
    """A statement that no semicolon has ended, up to the text's end; empty where only blanks and comments follow."""
    rest_line: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left over."""
        return not self.rest


def split(text: str) -> Split:
    """Cut `text`: a statement ends with its semicolon, a dot command with its line.

    A semicolon in a string, a quoted name or a comment ends nothing. A dot command stands where a statement may begin.
    """
    pieces: list[Piece] = []
    start = at = 0
    said = False  # whether the statement has begun, after blanks and comments
    open_end = False
    while at < len(text):
        if not said and (dot := _DOT.match(text, at)):
            pieces.append(Piece(text=dot[0].rstrip().rstrip(";").rstrip(), is_dot=True, line=_line(text, at)))
            start = at = dot.end()
            continue
        token = next(tokens(text, at))
        at = token.end
        open_end = token.open
        if token.kind is Kind.END:
            if said:
                pieces.append(_statement(text, start, token.start))
            start, said = at, False
        elif not token.silent:
            said = True
    begun = len(text) - len(text[start:].lstrip()) if said or open_end else len(text)
    return Split(pieces=tuple(pieces), rest=text[begun:], rest_line=_line(text, begun))


def _statement(text: str, start: int, end: int) -> Piece:
    whole = text[start:end]
    begun = start + len(whole) - len(whole.lstrip())
    return Piece(text=whole.strip(), is_dot=False, line=_line(text, begun))


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
