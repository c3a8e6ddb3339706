"""Saved queries: SQL files with front matter, found by name, with typed parameters."""

from trailkeep.config.detections import SEVERITIES
from trailkeep.queries.discovery import QueryFile, discover, find, query_folders
from trailkeep.queries.front_matter import SavedQuery, load, parse
from trailkeep.queries.meaning import FindingForm, Next
from trailkeep.queries.parameters import STANDARD, Parameter, bind, sample, time_span
from trailkeep.queries.questions import InvestigatorsQuestion, questions

__all__ = [
    "SEVERITIES",
    "STANDARD",
    "FindingForm",
    "InvestigatorsQuestion",
    "Next",
    "Parameter",
    "QueryFile",
    "SavedQuery",
    "bind",
    "discover",
    "find",
    "load",
    "parse",
    "query_folders",
    "questions",
    "sample",
    "time_span",
]
