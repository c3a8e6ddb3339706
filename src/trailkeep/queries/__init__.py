"""Saved queries: SQL files with front matter, found by name, with typed parameters."""

from trailkeep.queries.discovery import QueryFile, discover, find, query_folders
from trailkeep.queries.front_matter import SavedQuery, load, parse
from trailkeep.queries.parameters import STANDARD, Parameter, bind, sample, time_span

__all__ = [
    "STANDARD",
    "Parameter",
    "QueryFile",
    "SavedQuery",
    "bind",
    "discover",
    "find",
    "load",
    "parse",
    "query_folders",
    "sample",
    "time_span",
]
