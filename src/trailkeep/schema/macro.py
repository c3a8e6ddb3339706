"""What a macro of every connection is described by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    """One macro, with examples that tests run."""

    name: str
    arguments: tuple[tuple[str, str], ...]
    """Name and type of each, in order."""
    returns: str
    description: str
    examples: tuple[tuple[str, str], ...]
    """A call, and its result as an SQL literal."""

    @property
    def signature(self) -> str:
        """How it is called, with types."""
        return f"{self.name}({', '.join(f'{name} {kind}' for name, kind in self.arguments)}) -> {self.returns}"
