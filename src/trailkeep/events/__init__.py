"""From an event's bytes to its row: what identifies it, the typed columns, and whether two versions say the same."""

from trailkeep.events.arrays import Raws, moments_to_arrow, raw_to_arrow
from trailkeep.events.aside import Aside, Columns
from trailkeep.events.content import same_content
from trailkeep.events.identity import Arrival, Reject, identify
from trailkeep.events.rows import columns_of, complete, identities_of, to_rows

__all__ = [
    "Arrival",
    "Aside",
    "Columns",
    "Raws",
    "Reject",
    "columns_of",
    "complete",
    "identify",
    "identities_of",
    "moments_to_arrow",
    "raw_to_arrow",
    "same_content",
    "to_rows",
]
