"""Whether a SQL text may run: one SELECT that reads the archive's tables, and nothing else.

The layers, each able to refuse on its own:

1. The engine's parser says how many statements there are and of what type.
2. The engine's own syntax tree is walked. It is needed: ``WITH x AS (COPY t TO 'f') SELECT 1`` has the type SELECT
   (DuckDB 2.0), and only the tree shows what is inside. Whatever kind of query node is not known is refused.
3. sqlglot parses the text a second time, and may only tighten. It is asked wherever it could have an objection: a
   text without any of the words and signs that one begins with is not parsed again, since loading sqlglot takes as long
   as many a query.

What passes is run on a locked connection (`trailkeep.catalog`), which is the fourth layer.
"""

from trailkeep.guard.allowed import allows_function
from trailkeep.guard.checking import Statement, check, names_actors
from trailkeep.guard.parsing import MAX_BRACKET_DEPTH, MAX_SQL_CHARACTERS
from trailkeep.guard.places import located, place_of
from trailkeep.guard.second import may_be_objected_to

__all__ = [
    "MAX_BRACKET_DEPTH",
    "MAX_SQL_CHARACTERS",
    "Statement",
    "allows_function",
    "check",
    "located",
    "may_be_objected_to",
    "names_actors",
    "place_of",
]
