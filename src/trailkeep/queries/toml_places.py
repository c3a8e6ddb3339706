"""Where in a TOML text each key and each element of an array stands: the standard library's parser does not say."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\"]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^\\"\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")


def places(toml: str) -> dict[Path, int]:
    """The offset of every key and array element in `toml`, which must be sound TOML.

    Elements of arrays have their index as the last part of their path; a table's own path leads to its heading.
    """
    scanner = _Scanner(toml)
    scanner.document()
    return scanner.found


class _Scanner:
    """Follows sound TOML from one key to the next; it checks nothing."""

    def __init__(self, toml: str) -> None:
        self._toml = toml
        self._at = 0
        self.found: dict[Path, int] = {}

    def document(self) -> None:
        """Every table and every key."""
        table: Path = ()
        counts: dict[Path, int] = {}
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._toml):
                return
            start = self._at
            if self._toml[start] == "[":
                many = self._toml.startswith("[[", start)
                self._at += 2 if many else 1
                table = self._key()
                self._at += 2 if many else 1
                if many:
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                self.found.setdefault(table, start)
            else:
                self._pair(table)

    def _pair(self, table: Path) -> None:
        start = self._at
        key = (*table, *self._key())
        for length in range(len(table) + 1, len(key) + 1):
            self.found.setdefault(key[:length], start)
        self._skip(_SPACE)
        self._at += 1  # =
        self._skip(_SPACE)
        self._value(key)

    def _key(self) -> Path:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            if self._toml[self._at] in "\"'":
                # A quoted key with escapes is only compared with the plain names that are known.
                parts.append(self._skip(_STRING)[1:-1])
            else:
                parts.append(self._skip(_BARE))
            self._skip(_SPACE)
            if self._toml[self._at] != ".":
                return tuple(parts)
            self._at += 1

    def _value(self, path: Path) -> None:
        first = self._toml[self._at : self._at + 1]
        if first == "[":
            self._items(path)
        elif first == "{":
            self._inline(path)
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _items(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._toml[self._at] == "]":
                self._at += 1
                return
            if self._toml[self._at] == ",":
                self._at += 1
                continue
            self.found[*path, index] = self._at
            self._value((*path, index))
            index += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK)
            if self._toml[self._at] == "}":
                self._at += 1
                return
            if self._toml[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._toml, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]
