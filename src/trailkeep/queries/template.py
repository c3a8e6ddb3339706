"""A new saved query: its name, its folder, and the text to begin with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
_NAME = re.compile(rf"({_WORDS}/)?{_WORDS}")
_LONGEST_NAME = 100

_TEXT = '''/* ---
title = "{title}"
description = """
What a row means, and what to do about it.
"""
# question = 3                  # the investigator's question that it answers, 1 to 66
# attack = ["T1078.004"]        # MITRE ATT&CK v19
# severity = "medium"           # info, low, medium, high or critical: only where a row is a finding
# false_positives = ["What looks like it and is none."]
blind_spots = ["What an empty answer does not rule out."]
[params.product]
type = "text"
default = "iam"
description = "The product, as events name it."
--- */
SELECT
    recorded_at, kind, actor_id, action, outcome, status_code, source_ip, user_agent, resource_ids, id
FROM events
WHERE recorded_at >= $since AND recorded_at < $until
    AND product_name = $product
ORDER BY recorded_at, kind, id
'''


def new_query(name: str, folder: Path) -> Path:
    """Write the template of a query called `name` into `folder`, and say where; never over a file that is there.

    Raises UsageError for a name that is not made of lower-case words with dashes, and where the file cannot be made.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"a query cannot be called {name!r}",
            hint="Write lower-case words with dashes, as in my-query, or with a stage before it: access/my-query.",
        )
    path = folder / f"{name}.sql"
    title = name.rpartition("/")[2].replace("-", " ").capitalize()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(_TEXT.format(title=title))
    except FileExistsError as error:
        reason = "there already" if path.parent.is_dir() else "not possible: a file stands where its folder belongs"
        raise UsageError(
            f"{path} is {reason}", hint="Choose another name, or another folder with --queries."
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    return path
