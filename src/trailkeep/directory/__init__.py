"""Who and what the ids in events are, kept over time: objects, their versions, and what the archive holds of them."""

from trailkeep.directory.held import Look, Version, last_looks, read_versions
from trailkeep.directory.objects import RESOURCES, Seen, read_object, rows_of_objects, same_version
from trailkeep.directory.versions import Change, Observation, changes, rows_of_changes

__all__ = [
    "RESOURCES",
    "Change",
    "Look",
    "Observation",
    "Seen",
    "Version",
    "changes",
    "last_looks",
    "read_object",
    "read_versions",
    "rows_of_changes",
    "rows_of_objects",
    "same_version",
]
