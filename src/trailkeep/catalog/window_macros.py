"""The macros that are used as window functions are, as SQL text: what slides over the events of somebody.

Rows without a value to partition by form a group of their own. Two events as far apart as a width or a gap belong
together; one microsecond more, and they do not.
"""

from __future__ import annotations

SESSION_GAP = "INTERVAL 30 MINUTE"
"""How long somebody must have been silent for the next event to begin another session."""

WINDOW_MACROS = (
    """
    CREATE MACRO events_within(who, moment, width) AS
    count(*) OVER (PARTITION BY who ORDER BY moment RANGE BETWEEN width PRECEDING AND CURRENT ROW)
    """,
    """
    CREATE MACRO begins_burst(who, moment, id, gap) AS
    coalesce(moment - lag(moment) OVER (PARTITION BY who ORDER BY moment, id) > gap, true)
    """,
    """
    CREATE MACRO burst_number(who, moment, id, begins) AS
    count(CASE WHEN begins THEN 1 END) OVER (PARTITION BY who ORDER BY moment, id ROWS UNBOUNDED PRECEDING)
    """,
    f"""
    CREATE MACRO begins_session(actor, address, agent, moment, id) AS
    coalesce(
        moment - lag(moment) OVER (PARTITION BY actor, address, agent ORDER BY moment, id) > {SESSION_GAP}, true
    )
    """,
)
"""The statements; none uses another."""
