"""SQL text as tokens, the way the engine's own parser cuts it, and as far as it is written yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(Enum):
    """What a token is."""

    BLANK = "blank"
    COMMENT = "comment"
    STRING = "string"
    NAME = "name"
    """In double quotes."""
    WORD = "word"
    """A name or a keyword."""
    NUMBER = "number"
    PARAMETER = "parameter"
    END = "end"
    """The semicolon."""
    MARK = "mark"
    """Any other character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of the text; all tokens together are the whole text."""

    kind: Kind
    text: str
    start: int
    open: bool = False
    """Whether a string, a quoted name or a comment has not ended yet, so that it takes in whatever follows."""

    @property
    def end(self) -> int:
        """The offset after its last character."""
        return self.start + len(self.text)

    @property
    def silent(self) -> bool:
        """Whether it says nothing to the engine."""
        return self.kind in (Kind.BLANK, Kind.COMMENT)


# Strings: a doubled quote stands for one; only E'...' knows the backslash. $tag$...$tag$ knows neither.
_TOKEN = re.compile(
    r"""
      (?P<blank>\s++)
    | (?P<line>--[^\r\n]*+)
    | (?P<block>/\*)
    | (?P<escaped>[eE]'(?:[^'\\]++|\\.|'')*+(?P<escaped_end>'?))
    | (?P<string>'(?:[^']++|'')*+(?P<string_end>'?))
    | (?P<name>"(?:[^"]++|"")*+(?P<name_end>"?))
    | (?P<dollar>\$(?:[^\W\d]\w*+)?\$)
    | (?P<parameter>\$\w++)
    | (?P<number>\d[\w.]*+)
    | (?P<word>[^\W\d][\w$]*+)
    | (?P<end>;)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_KINDS = {
    "blank": Kind.BLANK,
    "line": Kind.COMMENT,
    "parameter": Kind.PARAMETER,
    "number": Kind.NUMBER,
    "word": Kind.WORD,
    "end": Kind.END,
    "mark": Kind.MARK,
}
_QUOTED = {"escaped": Kind.STRING, "string": Kind.STRING, "name": Kind.NAME}


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """The tokens of `text` from the offset `start` on, one after the other."""
    while start < len(text):
        match = _TOKEN.match(text, start)
        assert match is not None
        token = _token(text, match)
        yield token
        start = token.end


def _token(text: str, match: re.Match[str]) -> Token:
    group = match.lastgroup or ""
    # The group of a closing quote stands inside that of its string, and is the last one to begin.
    if match["escaped"] is not None or match["string"] is not None or match["name"] is not None:
        group = next(name for name in _QUOTED if match[name] is not None)
        return Token(kind=_QUOTED[group], text=match[0], start=match.start(), open=not match[f"{group}_end"])
    if group == "block":
        end = _end_of_comment(text, match.end())
        return _ending(text, match.start(), end, Kind.COMMENT)
    if group == "dollar":
        found = text.find(match[0], match.end())
        return _ending(text, match.start(), found + len(match[0]) if found >= 0 else None, Kind.STRING)
    return Token(kind=_KINDS[group], text=match[0], start=match.start())


def _ending(text: str, start: int, end: int | None, kind: Kind) -> Token:
    return Token(kind=kind, text=text[start:end], start=start, open=end is None)


def _end_of_comment(text: str, start: int) -> int | None:
    """The offset after the comment whose inside begins at `start`; comments nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return None
