"""Reading a small settings file whose content must not show up in an error."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 20
"""A settings file longer than this is refused: it is something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A settings file as it was read. Its text may hold a secret and is left out of its repr."""

    shown: str
    """The file's name as messages give it."""
    lines: tuple[str, ...]
    mode: int | None
    """Its permission bits, or None where it is not a regular file."""

    def __repr__(self) -> str:
        return f"Content({self.shown})"

    @property
    def text(self) -> str:
        """The whole file."""
        return "\n".join(self.lines)

    @property
    def open_to_others(self) -> bool:
        """Whether the file's group or everyone may read, write or execute it."""
        return self.mode is not None and bool(self.mode & 0o077)

    def malformed(self, kind: str, line: int | None = None, column: int | None = None) -> ConfigError:
        """The error that the file is not `kind`, with the place (from 1) and nothing of its content."""
        place = "".join(f":{number}" for number in (line, column) if number is not None)
        return ConfigError(f"{self.shown}{place} is not {kind}")


def read(path: Path, shown: str) -> Content | None:
    """The file, or None where there is none. Raises ConfigError where it cannot be read or is not UTF-8."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{shown} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{shown} is longer than {MAX_BYTES} bytes: this is not a settings file")
    text, bad_line = _decoded(content)
    if bad_line is not None:
        # Raised here and not while the codec's error is handled: that one carries the whole file with it.
        raise ConfigError(f"{shown}:{bad_line} is not UTF-8")
    mode = stat.S_IMODE(status.st_mode) if stat.S_ISREG(status.st_mode) else None
    return Content(shown=shown, lines=tuple(text.replace("\r\n", "\n").split("\n")), mode=mode)


def _decoded(content: bytes) -> tuple[str, int | None]:
    """The text, or the line (from 1) of the first byte that is not UTF-8."""
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        return "", content.count(b"\n", 0, error.start) + 1


def shown_path(path: Path, *, directory: Path, home: Path | None) -> str:
    """A path as messages give it: ``./name`` in `directory`, ``~/...`` under the home, else as it is."""
    if path.is_absolute():
        if path.parent == directory:
            return f"./{path.name}"
        if home is not None and path.is_relative_to(home):
            return f"~/{path.relative_to(home)}"
    return str(path)
