"""Which tables a statement names, under which aliases, and which of them the cursor's place can see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailkeep.cli.shell.scanning import Kind, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_DEPTH = 30
"""Brackets nested deeper than this are taken as if they stood beside each other."""

_SET_OPERATIONS = frozenset({"union", "intersect", "except"})
_CLAUSES = frozenset(
    "select from where group having order limit offset qualify window on using with values set sample".split()
)
_JOINING = frozenset("join inner left right full outer cross natural asof positional semi anti lateral".split())
_NO_ALIAS = (
    _CLAUSES | _JOINING | _SET_OPERATIONS | frozenset("as pivot unpivot tablesample by and or not returning at".split())
)


@dataclass(slots=True)
class Group:
    """What stands between two brackets, or the whole statement."""

    start: int
    end: int
    items: list[Token | Group] = field(default_factory=list)

    def holds(self, offset: int) -> bool:
        """Whether the offset is inside the brackets."""
        return self.start <= offset <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One table of a FROM: as it is called here, and its columns."""

    name: str
    columns: tuple[str, ...]
    table: str | None
    """The table's own name; None for a subquery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the cursor's place can see."""

    sources: tuple[Source, ...]
    """The innermost first."""
    common: tuple[Source, ...]
    """The common table expressions."""
    clause: str
    """The keyword that the clause began with, in lower case; empty before the first."""
    previous: Token | None
    """The token before the one at the cursor; None for a bracket that is closed, and at the beginning."""
    after_group: bool
    """Whether a closed bracket stands right before the cursor."""


def scope_at(tokens: Iterable[Token], offset: int, columns_of: Callable[[str], Sequence[str]]) -> Scope:
    """The scope at `offset`, before which the cursor's own word begins; `columns_of` knows the archive's tables."""
    whole = _grouped(tokens)
    chain = [whole]
    while inner := next((item for item in chain[-1].items if isinstance(item, Group) and item.holds(offset)), None):
        chain.append(inner)
    resolver = _Resolver(columns_of)
    common: list[Source] = []
    sources: list[Source] = []
    for group in chain:
        named, _rest = resolver.common_of(group.items, common)
        common = [*named, *common]
    for group in reversed(chain):
        sources += resolver.sources_of(_segment_at(group.items, offset), common)
    before = [item for item in _segment_at(chain[-1].items, offset) if item.end <= offset]
    clause = next(
        (_word(item) for item in reversed(before) if _word(item) in _CLAUSES | {"join", "describe", "summarize"}), ""
    )
    last = before[-1] if before else None
    return Scope(
        sources=tuple(sources),
        common=tuple(common),
        clause=clause,
        previous=last if isinstance(last, Token) else None,
        after_group=isinstance(last, Group),
    )


def identifier(token: Token) -> str:
    """The name that a word or a quoted name stands for."""
    if token.kind is not Kind.NAME:
        return token.text
    return token.text[1:].removesuffix('"').replace('""', '"')


def _grouped(tokens: Iterable[Token]) -> Group:
    stack = [Group(start=-1, end=2**62)]
    for token in tokens:
        if token.silent:
            continue
        if token.text == "(" and len(stack) < MAX_DEPTH:
            group = Group(start=token.end, end=2**62)
            stack[-1].items.append(group)
            stack.append(group)
        elif token.text == ")":
            if len(stack) > 1:
                stack.pop().end = token.start
        elif token.text != "(":
            stack[-1].items.append(token)
    return stack[0]


def _word(item: Token | Group | None) -> str:
    """The word in lower case; empty for anything else."""
    return item.text.lower() if isinstance(item, Token) and item.kind is Kind.WORD else ""


def _mark(item: Token | Group | None, mark: str) -> bool:
    return isinstance(item, Token) and item.kind is Kind.MARK and item.text == mark


def _is_name(item: Token | Group | None) -> bool:
    return isinstance(item, Token) and item.kind in (Kind.WORD, Kind.NAME)


def _segments(items: Sequence[Token | Group]) -> list[list[Token | Group]]:
    """The parts between UNION, INTERSECT and EXCEPT: each sees its own tables."""
    parts: list[list[Token | Group]] = [[]]
    for item in items:
        if _word(item) in _SET_OPERATIONS:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _segment_at(items: Sequence[Token | Group], offset: int) -> list[Token | Group]:
    """The part that the offset stands in."""
    begun = [part for part in _segments(items) if not part or part[0].start <= offset]
    return begun[-1] if begun else []


class _Resolver:
    """Reads sources out of grouped tokens; it gives up on what is nested too deeply, and raises nothing."""

    def __init__(self, columns_of: Callable[[str], Sequence[str]]) -> None:
        self._columns_of = columns_of
        self._depth = 0

    def common_of(
        self, items: Sequence[Token | Group], known: Sequence[Source]
    ) -> tuple[list[Source], Sequence[Token | Group]]:
        """The common table expressions that `items` begin with, and the items after them."""
        if not items or _word(items[0]) != "with":
            return [], items
        found: list[Source] = []
        at = 2 if len(items) > 1 and _word(items[1]) == "recursive" else 1
        while at < len(items) and _is_name(items[at]):
            name = items[at]
            assert isinstance(name, Token)
            at += 1
            listed: list[str] = []
            if at < len(items) and isinstance(group := items[at], Group):
                listed = [identifier(each) for each in group.items if isinstance(each, Token) and _is_name(each)]
                at += 1
            while at < len(items) and _word(items[at]) in ("as", "not", "materialized", "using", "key"):
                at += 1
            columns: Sequence[str] = listed
            if at < len(items) and isinstance(body := items[at], Group):
                columns = listed or self._outputs(body.items, [*found, *known])
                at += 1
            found.append(Source(name=identifier(name), columns=tuple(columns), table=None))
            if at < len(items) and _mark(items[at], ","):
                at += 1
            else:
                break
        return found, items[at:]

    def sources_of(self, items: Sequence[Token | Group], common: Sequence[Source]) -> list[Source]:
        """The tables that the FROM of one SELECT names."""
        found: list[Source] = []
        at, expecting, listing = 0, False, False
        while at < len(items):
            item = items[at]
            word = _word(item)
            if word in ("from", "join", "describe", "summarize"):
                expecting = listing = True
            elif word in _CLAUSES:
                expecting, listing = False, word in ("on", "using") and listing
            elif _mark(item, ",") and listing:
                expecting = True
            elif expecting and word != "lateral":
                source, at = self._source(items, at, common)
                if source is not None:
                    found.append(source)
                expecting = False
                continue
            at += 1
        return found

    def _source(self, items: Sequence[Token | Group], at: int, common: Sequence[Source]) -> tuple[Source | None, int]:
        """The source that begins at `at`, and where what follows it begins."""
        item = items[at]
        name: str | None = None
        columns: Sequence[str] = ()
        if isinstance(item, Group):
            columns = self._outputs(item.items, common)
            at += 1
        elif _is_name(item):
            name = identifier(item)
            at += 1
            while at + 1 < len(items) and _mark(items[at], ".") and _is_name(following := items[at + 1]):
                assert isinstance(following, Token)
                name = identifier(following)
                at += 2
            if at < len(items) and isinstance(items[at], Group):  # a table function
                at += 1
            else:
                mine = next((each.columns for each in common if each.name.lower() == name.lower()), None)
                columns = self._columns_of(name.lower()) if mine is None else mine
        else:
            return None, at + 1
        alias = name
        if at < len(items) and _word(items[at]) == "as":
            at += 1
        if at < len(items) and _is_name(following := items[at]) and _word(following) not in _NO_ALIAS:
            assert isinstance(following, Token)
            alias = identifier(following)
            at += 1
            if at < len(items) and isinstance(group := items[at], Group):
                columns = [identifier(each) for each in group.items if isinstance(each, Token) and _is_name(each)]
                at += 1
        if alias is None:
            return (Source(name="", columns=tuple(columns), table=None) if columns else None), at
        return Source(name=alias, columns=tuple(columns), table=name), at

    def _outputs(self, items: Sequence[Token | Group], known: Sequence[Source]) -> list[str]:
        """The columns that a query gives, as far as their names stand in it."""
        if self._depth >= MAX_DEPTH:
            return []
        self._depth += 1
        try:
            named, rest = self.common_of(items, known)
            common = [*named, *known]
            first = _segments(rest)[0]
            sources = self.sources_of(first, common)
            selected = next((at for at, item in enumerate(first) if _word(item) == "select"), None)
            if selected is None:
                return [column for source in sources for column in source.columns]
            outputs: list[str] = []
            for part in _list_after(first, selected + 1):
                outputs += _output(part, sources)
            return list(dict.fromkeys(outputs))
        finally:
            self._depth -= 1


def _list_after(items: Sequence[Token | Group], at: int) -> list[list[Token | Group]]:
    """The parts of a SELECT's list, between its commas."""
    parts: list[list[Token | Group]] = [[]]
    for item in items[at:]:
        if _word(item) in _CLAUSES - {"on"}:
            break
        if _mark(item, ","):
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _output(part: Sequence[Token | Group], sources: Sequence[Source]) -> list[str]:
    """The columns that one part of a SELECT's list gives; none where its name is not written."""
    words = [item for item in part if _word(item) not in ("distinct", "all")]
    if any(_mark(item, "*") and (at == 0 or _mark(words[at - 1], ".")) for at, item in enumerate(words)):
        only = _word(words[0]) if not _mark(words[0], "*") else None
        return [column for source in sources if only in (None, source.name.lower()) for column in source.columns]
    last = words[-1] if words else None
    if isinstance(last, Token) and _is_name(last):
        before = words[-2] if len(words) > 1 else None
        operator = isinstance(before, Token) and before.kind is Kind.MARK and before.text not in ".]"
        if not operator and _word(last) not in ("end", "null", "true", "false"):
            return [identifier(last)]
    return []
