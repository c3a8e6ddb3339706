"""The incidents that can be told, by name: each a chain of labelled steps, other every time with another seed."""

from trailkeep.demo.story.incidents import credentials, defences, destruction, patience, resources, trust
from trailkeep.demo.story.incidents.defences import SILENCED

__all__ = ["PLOTS", "SILENCED"]

PLOTS = {
    **credentials.PLOTS,
    **destruction.PLOTS,
    **resources.PLOTS,
    **trust.PLOTS,
    **defences.PLOTS,
    **patience.PLOTS,
}
