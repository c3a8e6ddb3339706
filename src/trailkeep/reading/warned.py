"""What an error or an incomplete answer says to somebody who reads it in Python."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

from trailkeep.errors import CoverageIncomplete, TrailkeepError
from trailkeep.hostile import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trailkeep.coverage import Missing

SPANS_SHOWN = 3
"""How many uncovered spans a warning names."""


class CoverageWarning(UserWarning):
    """An answer may be incomplete: the archive does not cover all of the span that was asked for."""


@contextlib.contextmanager
def hinted() -> Iterator[None]:
    """Errors that leave this block show their hint below the traceback."""
    try:
        yield
    except TrailkeepError as error:
        if error.hint and error.hint not in getattr(error, "__notes__", ()):
            error.add_note(visible(error.hint))
        raise


def tell_missing(missing: Sequence[Missing], *, strict: bool, stacklevel: int) -> None:
    """Warn of spans that the archive does not cover; with `strict`, raise CoverageIncomplete."""
    if not missing:
        return
    named = "; ".join(visible(str(each)) for each in missing[:SPANS_SHOWN])
    more = f"; and {len(missing) - SPANS_SHOWN} more" if len(missing) > SPANS_SHOWN else ""
    message = f"the archive does not cover all of the asked span: {named}{more}"
    if strict:
        raise CoverageIncomplete(message, hint="Ask for a span that is covered; archive.coverage() shows which is.")
    warnings.warn(message, CoverageWarning, stacklevel=stacklevel + 1)
