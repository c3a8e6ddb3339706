"""A text that is used and never shown."""

from __future__ import annotations

from typing import Final, NoReturn, final

MASK: Final = "xxxxxxxx-…"
"""What stands for a secret that is set; it is the same for every secret, so it tells nothing but that."""


@final
class Secret:
    """Wraps a secret key, so that printing, logging, formatting or pickling what holds it never shows it.

    Equal to another `Secret` with the same text, and to nothing else.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself, for the one place that sends it."""
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _specification: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__text == other.__text

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled")
