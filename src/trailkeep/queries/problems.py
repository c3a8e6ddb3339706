"""What is wrong with a saved query, and where in its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to correct in a query's file."""

    path: Path
    line: int
    """From 1; 0 where the file cannot be read at all."""
    column: int
    """Characters from 1, a tab being one."""
    message: str
    hint: str | None = None

    @property
    def text(self) -> str:
        """FILE:LINE:COLUMN and the message."""
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.path}{place}: {self.message}"

    def as_error(self) -> UsageError:
        """The same as an error."""
        return UsageError(self.text, hint=self.hint)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """The place of a character, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
