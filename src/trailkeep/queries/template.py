"""A new saved query: its name, its folder, and the texts to begin with, its cases among them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
_NAME = re.compile(rf"({_WORDS}/)?{_WORDS}")
_LONGEST_NAME = 100

_QUERY = '''/* ---
title = "{title}"
description = """
What a row means, and how to read it.
"""
# question = 3                  # the question of docs/queries.md that it answers
# answer = "partly"             # yes, partly or no; where the trail cannot tell, the rows say why
# attack = ["T1078.004"]        # MITRE ATT&CK v19
blind_spots = ["What an empty answer does not rule out."]
[params.product]
type = "text"
default = "iam"
description = "The product, as events name it."
[columns]                       # every column of the result, in its order
recorded_at = "When it was recorded."
kind = "Whether it is a call, a login or something that Scaleway did."
actor_id = "Who acted: a user or an application; empty for Scaleway itself."
action = "What was done."
outcome = "success, denied or failure."
status_code = "The HTTP status that was answered."
source_ip = "From where; empty where the event does not say it."
user_agent = "With what, as it calls itself."
resource_ids = "What it was done to."
id = "The event."
[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = {{ principal = "actor_id" }}
--- */
SELECT
    recorded_at, kind, actor_id, action, outcome, status_code, source_ip, user_agent, resource_ids, id
FROM events
WHERE recorded_at >= $since AND recorded_at < $until
    AND product_name = $product
ORDER BY recorded_at, kind, id
'''

_QUERY_CASES = """cases:
- name: what the product did is shown, denied calls among it
  events:
  - {{id: done, api: CreateUser, at: "10:00", by: alice}}
  - {{id: denied, api: DeleteUser, at: "10:01", by: alice, status: 403, ip: null}}
  rows:
  - {{recorded_at: "10:00", actor_id: alice, action: CreateUser, outcome: success, id: done}}
  - {{outcome: denied, source_ip: null, id: denied}}
- name: another product, and what lies outside of the asked time, is not
  events:
  - {{id: other, api: CreateServer, at: "10:00", product: instance}}
  - {{id: before, api: CreateUser, at: "2026-02-28T23:59:59.999999Z"}}
  - {{id: after, api: CreateUser, at: "2026-04-01"}}
  rows: []
"""

_DETECTION = '''/* ---
title = "{title}"
description = """
What a row means, and how to read it.
"""
# question = 28                 # the question of docs/queries.md that it answers
attack = ["T1136.003"]          # MITRE ATT&CK v19
severity = "medium"             # info, low, medium (look today), high (likely an attack) or critical
false_positives = ["What looks like it and is none."]
blind_spots = ["What an empty answer does not rule out."]
[params.method]
type = "text"
default = "CreateUser"
description = "The call that is looked for."
[columns]                       # every column of the result, in its order
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application."
method_name = "What was called."
outcome = "success, denied or failure: who is denied tries something else next."
source_ip = "From where; empty where the event does not say it."
user_agent = "With what, as it calls itself."
resource_ids = "What it was done to."
id = "The event."
[finding]
summary = "{{principal}} called {{method_name}} from {{source_ip}} ({{outcome}})."
key = ["id"]                    # the columns that tell one finding from another, whatever span was asked
[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = {{ principal = "principal_id" }}
--- */
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome, source_ip, user_agent,
    resource_ids(resources) AS resource_ids, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND method_name = $method
ORDER BY recorded_at, id
'''

_DETECTION_CASES = """cases:
- name: the call is found, and so is an attempt that was denied, from wherever
  events:
  - {{id: done, api: CreateUser, at: "10:00", by: alice, resources: [{{type: iam_user, id: bob}}]}}
  - {{id: denied, api: CreateUser, at: "10:01", by: null, status: 403, ip: null, agent: null}}
  rows:
  - {{recorded_at: "10:00", principal_id: alice, outcome: success, resource_ids: [bob], id: done}}
  - {{principal_id: null, outcome: denied, source_ip: null, id: denied}}
- name: another call, and what lies outside of the asked time, is not
  events:
  - {{id: other, api: UpdateUser, at: "10:00"}}
  - {{id: before, api: CreateUser, at: "2026-02-28T23:59:59.999999Z"}}
  - {{id: after, api: CreateUser, at: "2026-04-01"}}
  rows: []
"""


def new_query(name: str, folder: Path, *, detection: bool = False) -> list[Path]:
    """Write the template of a query called `name` and of its cases into `folder`, and say where: never over a file.

    Raises UsageError for a name that is not made of lower-case words with dashes, and where a file cannot be made.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"a query cannot be called {name!r}",
            hint="Write lower-case words with dashes, as in my-query, or with a stage before it: access/my-query.",
        )
    title = name.rpartition("/")[2].replace("-", " ").capitalize()
    query, cases = (_DETECTION, _DETECTION_CASES) if detection else (_QUERY, _QUERY_CASES)
    texts = {folder / f"{name}.sql": query.format(title=title), folder / f"{name}.yaml": cases.format()}
    for path in texts:
        if path.is_symlink() or path.exists():
            raise UsageError(f"{path} is there already", hint="Choose another name, or another folder with --queries.")
    for path, text in texts.items():
        _write(path, text)
    return list(texts)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        reason = "there already" if path.parent.is_dir() else "not possible: a file stands where its folder belongs"
        raise UsageError(
            f"{path} is {reason}", hint="Choose another name, or another folder with --queries."
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
