"""What can follow the cursor: a pure function of the text, the cursor and the vocabulary."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trailkeep.cli.diagnostics import visible
from trailkeep.cli.shell import dots
from trailkeep.cli.shell.scanning import Kind, Token, tokens
from trailkeep.cli.shell.scope import Source, identifier, scope_at
from trailkeep.cli.shell.splitting import split
from trailkeep.cli.shell.vocabulary import KEYWORDS, Named, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trailkeep.cli.shell.scope import Scope

MAX_CHARACTERS = 50_000
"""Longer texts are not completed: whoever pastes them is not typing."""

_FUNCTIONS_AS_TABLES = (Named(name="range"), Named(name="generate_series"), Named(name="unnest"))
_TABLE_CLAUSES = frozenset({"from", "join", "describe", "summarize"})
_BARE = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)
_RESERVED = frozenset(word.lower() for keyword in KEYWORDS for word in keyword.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One text that can stand at the cursor."""

    text: str
    start: int
    """Where the word begins that the text takes the place of."""
    shown: str
    note: str = ""
    rank: int = 0


class Queries(Protocol):
    """The saved queries, as completion asks for them."""

    def names(self) -> Mapping[str, str]:
        """Every full name with its title, or nothing where the titles are not known."""

    def parameters(self, name: str) -> Mapping[str, str]:
        """The parameters of a query with what each wants; none where there is no such query."""


def complete(text: str, cursor: int, vocabulary: Vocabulary, queries: Queries, *, asked: bool) -> list[Candidate]:
    """What can stand at `cursor` of `text`, the likeliest first; `asked` when the user wants to see all of it.

    Without `asked`, nothing is offered before the first letter but after a dot and where a table belongs.
    """
    if len(text) > MAX_CHARACTERS:
        return []
    cursor = max(0, min(cursor, len(text)))
    if (line := _dot_line(text[:cursor])) is not None:
        found = _complete_dot(line, cursor, vocabulary, queries)
    else:
        found = _complete_sql(text, cursor, vocabulary, asked=asked)
    unique = {candidate.text: candidate for candidate in reversed(found)}
    order = {id(candidate): place for place, candidate in enumerate(found)}
    return sorted(unique.values(), key=lambda candidate: (candidate.rank, order[id(candidate)]))


def _dot_line(before: str) -> str | None:
    """The dot command that the cursor stands in; None where it stands in SQL."""
    begins = max(before.rfind("\n"), before.rfind("\r")) + 1
    line = before[begins:].lstrip()
    return line if line.startswith(".") and split(before[:begins]).complete else None


def _complete_dot(line: str, cursor: int, vocabulary: Vocabulary, queries: Queries) -> list[Candidate]:
    command, blank, rest = line.partition(" ")
    if not blank:
        return list(
            _matching(command, cursor, (Named(name=dot.name, note=dot.summary) for dot in dots.COMMANDS.values()))
        )
    found = dots.COMMANDS.get(command.lower())
    words = rest.split(" ")
    if found is None or (len(words) > 1 and found.takes is not dots.Takes.QUERY):
        return []
    named: Iterable[Named]
    match found.takes:
        case dots.Takes.TABLE:
            named = (Named(name=name, note=note) for name, note in vocabulary.table_notes.items())
        case dots.Takes.QUERY if len(words) == 1:
            named = (Named(name=shlex.quote(name), note=title) for name, title in queries.names().items())
        case dots.Takes.QUERY:
            given = {word.partition("=")[0] for word in words[1:-1]}
            named = (
                Named(name=f"{name}=", note=wanted)
                for name, wanted in queries.parameters(words[0]).items()
                if name not in given
            )
        case dots.Takes.COMMAND:
            named = (Named(name=dot.name, note=dot.summary) for dot in dots.COMMANDS.values())
        case _:
            named = (Named(name=choice) for choice in found.choices)
    return list(_matching(words[-1], cursor, named))


def _matching(prefix: str, cursor: int, named: Iterable[Named], rank: int = 0) -> Iterator[Candidate]:
    """Those that begin with the prefix; then those of which a later part does."""
    small = prefix.lower()
    for each in named:
        name = each.name.lower()
        if name.startswith(small):
            worse = 0
        elif small and (f"_{small}" in name or f"/{small}" in name):
            worse = 10
        else:
            continue
        if each.name == visible(each.name):
            note = visible(each.note).replace("\n", " ").replace("\t", " ")
            yield Candidate(text=each.name, start=cursor - len(prefix), shown=each.name, note=note, rank=rank + worse)


def _complete_sql(text: str, cursor: int, vocabulary: Vocabulary, *, asked: bool) -> list[Candidate]:
    statement = _statement_at(text, cursor)
    current = next((token for token in statement if token.start < cursor <= token.end), None)
    if current is not None and (current.kind is Kind.PARAMETER or current.text == "$"):
        return _parameters(text[current.start : cursor], cursor)
    prefix = _word_before(current, cursor)
    if prefix is None:
        return []
    begins = cursor - len(prefix)
    around = [token for token in statement if token is not current or not prefix]
    scope = scope_at(around, begins, vocabulary.columns_of)
    if scope.previous is not None and scope.previous.text == ".":
        return _of_qualifier(statement, begins, prefix, cursor, scope, vocabulary)
    previous = scope.previous.text.lower() if scope.previous is not None else ""
    wants_table = scope.clause in _TABLE_CLAUSES and previous in (*_TABLE_CLAUSES, ",")
    if previous == "as" or not (prefix or asked or wants_table):
        return []
    found: list[Candidate] = []
    if wants_table:
        found += _matching(prefix, cursor, (Named(name=_written(each.name)) for each in scope.common))
        found += _matching(
            prefix,
            cursor,
            (Named(name=name, note=vocabulary.table_notes.get(name, "")) for name in vocabulary.tables),
            1,
        )
        found += _calls(_matching(prefix, cursor, _FUNCTIONS_AS_TABLES, 2), text, cursor)
        return found
    if scope.clause not in _TABLE_CLAUSES:
        found += _matching(prefix, cursor, _columns(scope.sources, vocabulary))
        found += _matching(
            prefix, cursor, (Named(name=_written(each.name), note="table") for each in scope.sources if each.name), 1
        )
        found += _calls(_matching(prefix, cursor, vocabulary.macros, 2), text, cursor)
    found += _keywords(prefix, cursor)
    if scope.clause not in _TABLE_CLAUSES and prefix:
        found += _calls(_matching(prefix, cursor, vocabulary.functions, 4), text, cursor)
    return found


def _word_before(current: Token | None, cursor: int) -> str | None:
    """The part of a word that stands before the cursor, which may be nothing; None where nothing can be completed."""
    if current is None or current.kind is Kind.BLANK or current.kind is Kind.MARK:
        return ""
    if current.kind is Kind.WORD:
        return current.text[: cursor - current.start]
    ended = current.kind is Kind.COMMENT and cursor == current.end and current.text.startswith("/*")
    return "" if ended and not current.open else None


def _statement_at(text: str, cursor: int) -> list[Token]:
    """The tokens of the statement that the cursor stands in, those after the cursor too."""
    statement: list[Token] = []
    for token in tokens(text):
        if token.kind is Kind.END:
            if token.start >= cursor:
                break
            statement = []
        else:
            statement.append(token)
    return statement


def _of_qualifier(
    statement: list[Token], begins: int, prefix: str, cursor: int, scope: Scope, vocabulary: Vocabulary
) -> list[Candidate]:
    """The columns of the table, or alias, before the dot; the tables of a schema."""
    before = [token for token in statement if token.end <= begins and not token.silent]
    owner = before[-2] if len(before) > 1 else None
    if owner is None or owner.kind not in (Kind.WORD, Kind.NAME):
        return []
    name = identifier(owner).lower()
    source = next((each for each in (*scope.sources, *scope.common) if each.name.lower() == name), None)
    if source is not None and source.columns:
        return list(_matching(prefix, cursor, _columns([source], vocabulary)))
    if name == "main":
        return list(_matching(prefix, cursor, (Named(name=table) for table in vocabulary.tables)))
    columns = vocabulary.tables.get(name, ())
    return list(_matching(prefix, cursor, columns))


def _columns(sources: Iterable[Source], vocabulary: Vocabulary) -> Iterator[Named]:
    """The columns of these sources; of all tables where a statement names none yet."""
    named = False
    for source in sources:
        named = True
        notes = {column.name: column.note for column in vocabulary.tables.get((source.table or "").lower(), ())}
        for column in source.columns:
            yield Named(name=_written(column), note=notes.get(column, ""))
    if not named:
        for columns in vocabulary.tables.values():
            yield from columns


def _written(name: str) -> str:
    """A name as SQL writes it: in quotes where it would not be read as one."""
    if _BARE.fullmatch(name) and name.lower() not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def _keywords(prefix: str, cursor: int) -> Iterator[Candidate]:
    small = prefix.islower()
    words = (Named(name=keyword.lower() if small else keyword) for keyword in KEYWORDS)
    return (each for each in _matching(prefix, cursor, words, 3) if each.rank < 10)


def _calls(found: Iterable[Candidate], text: str, cursor: int) -> Iterator[Candidate]:
    """Functions, with the bracket that opens their call."""
    bracket = "" if text[cursor : cursor + 1] == "(" else "("
    for each in found:
        yield Candidate(
            text=each.text + bracket, start=each.start, shown=each.shown, note=each.note or "function", rank=each.rank
        )


def _parameters(prefix: str, cursor: int) -> list[Candidate]:
    return list(
        _matching(
            prefix,
            cursor,
            (
                Named(name="$since", note="from .since, or 90 days ago"),
                Named(name="$until", note="from .until, or now"),
            ),
        )
    )
