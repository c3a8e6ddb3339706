"""Errors and hints in the shell's own words: they were written for the options of a command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trailkeep.errors import TrailkeepError

_WORDS = (
    (re.compile(r"^Add -p (\w+)=VALUE\."), r"Write .param \1=VALUE first."),
    (re.compile(r"^Add -p (\w+)=VALUE:"), r"Add \1=VALUE to .run:"),
    (re.compile(r"-p (\w+)="), r"\1="),
    (re.compile(r"--(since|until|limit|format|full|vertical|ids)\b"), r".\1"),
    (re.compile(r"--output\b"), ".once"),
    (re.compile(r"allow more time: --timeout"), "start the shell with --timeout"),
    (re.compile(r"`trailkeep queries`"), "`.queries`"),
    (re.compile(r"`trailkeep schema`"), "`.schema`"),
)


def in_the_shell(error: TrailkeepError) -> TrailkeepError:
    """The same error, naming dot commands where it named options; its class and exit code stay."""
    if error.hint:
        for pattern, words in _WORDS:
            error.hint = pattern.sub(words, error.hint)
    return error
