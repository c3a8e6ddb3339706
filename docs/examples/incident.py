"""An investigation, cell by cell: who guessed a password, what they did with it, and what is left of them.

Opens as a notebook in VS Code and PyCharm, and in Jupyter with jupytext. It is run by the tests on the archive that
`make demo` makes; with your own archive the steps are the same and the answers, it is to be hoped, fewer.
"""

# %%
from datetime import timedelta

import pandas as pd

from trailkeep import Archive

archive = Archive("data")

# %% [markdown]
# ## What can be relied on
#
# Is the archive what its ledger says, and does it cover the time in question?

# %%
checked = archive.verify()
spans = archive.coverage().to_pandas()
gaps = spans[spans["state"] != "covered"]
print(
    f"the archive is {'what its ledger says' if checked.is_valid else 'NOT what its ledger says'}, head {archive.head.seq}"
)
print(f"{len(spans)} spans, {len(gaps)} of them not covered")

# %% [markdown]
# ## Who got in
#
# A login that succeeded after failures from the same address.

# %%
broken_in = archive.query("access/failed-then-success", since=timedelta(days=60)).df()
entry = broken_in.sort_values("failures", ascending=False).iloc[0]
address, user, began = entry["source_ip"], entry["user_id"], entry["first_failure_at"]
print(
    f"{address} guessed for {entry['failures']} tries and was in at {entry['recorded_at']:%Y-%m-%d %H:%M} UTC as {user}"
)

# %% [markdown]
# ## How far the guessing went
#
# Attempts by minute, with how many users they were for.

# %%
logins = archive.sql(
    """
    SELECT date_trunc('minute', recorded_at) AS minute, outcome, count(*) AS logins, count(DISTINCT actor_id) AS users
    FROM events
    WHERE kind = 'authentication' AND source_ip = $address
    GROUP BY ALL
    ORDER BY minute, outcome
    """,
    {"address": address},
)
print(logins.df().to_string(index=False))

# %% [markdown]
# ## What followed
#
# From that minute on: all that the address, and whoever acted from it, did. Denied calls count: they show what was tried.

# %%
activity = archive.sql(
    """
    SELECT recorded_at, actor_id, source_ip, user_agent_family(user_agent) AS client, product_name, action, outcome
    FROM events
    WHERE actor_id IN (SELECT actor_id FROM events WHERE source_ip = $address AND outcome = 'success')
    ORDER BY recorded_at, id
    """,
    {"address": address},
    since=began.to_pydatetime(),
    until=began.to_pydatetime() + timedelta(hours=12),
).pl()
print(
    activity.group_by("source_ip", "outcome").len().sort("len", "source_ip", "outcome", descending=[True, False, False])
)

# %% [markdown]
# ## What they left behind
#
# An application, keys and a policy made within minutes: the way back in.

# %%
backdoors = archive.query("persistence/backdoor-sequence", since=began.to_pydatetime()).pl()
for backdoor in backdoors.iter_rows(named=True):
    print(f"{backdoor['application_name']!r} ({backdoor['application_id']}) made from {backdoor['source_ip']!r}")

# %%
left = [backdoor["application_id"] for backdoor in backdoors.iter_rows(named=True)]
used = archive.sql(
    """
    SELECT actor_id, source_ip, min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        count(*) AS calls, count(*) FILTER (outcome = 'denied') AS denied
    FROM events
    WHERE list_contains($applications, actor_id)
    GROUP BY actor_id, source_ip
    ORDER BY first_at, source_ip
    """,
    {"applications": left},
).df()
print(used.to_string(index=False))

# %% [markdown]
# ## The damage
#
# A timeline by quarter of an hour of what went through, for the report.

# %%
damage = archive.sql(
    """
    SELECT recorded_at, product_name, verb(action) AS verb
    FROM events
    WHERE list_contains($applications, actor_id) AND outcome = 'success'
    ORDER BY recorded_at, id
    """,
    {"applications": left},
).df()
timeline = pd.crosstab(damage["recorded_at"].dt.floor("15min"), damage["verb"])
print(timeline.to_string())
print(damage.value_counts(["product_name", "verb"]).to_string())

# %%
archive.close()
