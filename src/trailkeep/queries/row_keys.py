"""What tells the rows of a query apart: the keys of what it reads, followed through selects, groups and joins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailkeep.queries.tree import Node, Source, conjuncts, definition, kind_of, side_of, sources
from trailkeep.queries.tree import where as where_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEYS: dict[str, frozenset[str]] = {
    "events": frozenset({"id"}),
    "event_resources": frozenset({"event_id", "position"}),
    "logins": frozenset({"id"}),
    "grants": frozenset({"id"}),
    "creations": frozenset({"id"}),
    "first_seen": frozenset({"organization_id", "subject_type", "subject_id", "dimension", "value"}),
    "revisions": frozenset({"id", "ledger_seq", "raw"}),
    "coverage": frozenset({"organization_id", "kind", "region", "start_at"}),
    "gaps": frozenset({"organization_id", "kind", "region", "start_at", "reason"}),
    "streams": frozenset({"organization_id", "kind", "region"}),
    "ledger": frozenset({"seq"}),
}
"""Which columns of a table tell its rows apart; of the table of each kind of events it is ``id``."""

_MOST_DEEP = 100

Attribute = tuple[str, str]
"""A source's name and a column's."""


def is_one_row(select: Node) -> bool:
    """Whether a SELECT gives one row whatever it reads: aggregates without groups, or no table at all."""
    if select.args.get("group") is not None or any(map(_multiplies, select.expressions)):
        return False
    return select.args.get("from_") is None or any(map(_aggregates, select.expressions))


def _own(node: Node) -> Iterator[Node]:
    """The nodes of an expression without those of queries inside of it."""
    from sqlglot import exp

    yield from node.walk(prune=lambda each: isinstance(each, exp.Query))


def _multiplies(projection: Node) -> bool:
    from sqlglot import exp

    return any(isinstance(each, exp.UDTF | exp.Explode) for each in _own(projection))


def _aggregates(projection: Node) -> bool:
    from sqlglot import exp

    return any(
        isinstance(each, exp.AggFunc) and not isinstance(each.find_ancestor(exp.Window, exp.Query), exp.Window)
        for each in _own(projection)
    )


def _columns_of_table(name: str) -> list[str] | None:
    from trailkeep.schema.relations import RELATIONS

    relation = RELATIONS.get(name)
    return [column.name for column in relation.columns] if relation else None


@dataclass(slots=True)
class _Known:
    """What is known of a source: its columns (None where not), and the sets of them that tell its rows apart."""

    columns: list[str] | None = None
    keys: list[frozenset[str]] = field(default_factory=list)


class Memory:
    """What was found out about the parts of one query, each looked at once: a query may name a part many times."""

    def __init__(self) -> None:
        self._outputs: dict[int, list[str] | None] = {}
        self._rows: dict[int, Rows] = {}
        self._depth = 0

    def rows(self, select: Node) -> Rows:
        """The rows of a SELECT; of one that lies too deep nothing is known."""
        if id(select) not in self._rows:
            self._depth += 1
            self._rows[id(select)] = Rows(select, self, blind=self._depth > _MOST_DEEP)
            self._depth -= 1
        return self._rows[id(select)]

    def outputs(self, query: Node) -> list[str] | None:
        """The names of a query's columns in lower case, or None where they are not known."""
        if id(query) not in self._outputs:
            self._outputs[id(query)] = self._find_outputs(query)
        return self._outputs[id(query)]

    def _find_outputs(self, query: Node) -> list[str] | None:
        from sqlglot import exp

        while isinstance(query, exp.Subquery | exp.SetOperation):
            query = query.this
        if not isinstance(query, exp.Select):
            return None
        names: list[str] = []
        for projection in query.expressions:
            if projection.is_star:
                columns = self.rows(query).starred(projection)
                if columns is None:
                    return None
                names += [column for _source, column in columns]
            elif name := projection.alias_or_name.lower():
                names.append(name)
            else:
                return None
        return names


class Rows:
    """The rows of one SELECT: where their columns come from, and what tells them apart."""

    def __init__(self, select: Node, memory: Memory, *, blind: bool) -> None:
        self._select = select
        self._memory = memory
        self._keys: list[frozenset[str]] | None = None
        self._sources: list[Source] = []
        self._known: dict[str, _Known] = {}
        if not blind:
            self._sources = [each for each in sources(select) if not each.join or kind_of(each.join) not in _FILTERS]
            self._known = {source.name: self._learn(source) for source in self._sources}
        self._aliases = {
            projection.alias.lower(): projection.this for projection in select.expressions if projection.alias
        }

    def decided_by(self, terms: list[Node]) -> bool:
        """Whether the values of these expressions, terms of an ORDER BY, tell any two rows apart."""
        return self._decided([self._resolved(term) for term in terms])

    def keys(self) -> list[frozenset[str]]:
        """Sets of output columns that tell the rows apart, the smallest that were found."""
        if self._keys is None:
            self._keys = self._find_keys()
        return self._keys

    def _find_keys(self) -> list[frozenset[str]]:
        columns = self._memory.outputs(self._select)
        if columns is None or any(map(_multiplies, self._select.expressions)):
            return []
        if is_one_row(self._select):
            return [frozenset()]
        meant = {name: self._by_output(name) for name in columns}
        found = [self._shrunk(meant)] if self._decided([*meant.values()]) else []
        distinct = self._select.args.get("distinct")
        if not found and distinct is not None and distinct.args.get("on") is None:
            found = [frozenset(columns)]
        return found

    def starred(self, star: Node) -> list[Attribute] | None:
        """The columns that ``*`` or ``source.*`` stands for."""
        from sqlglot import exp

        if not isinstance(star, exp.Star) and not (isinstance(star, exp.Column) and isinstance(star.this, exp.Star)):
            return None
        only = star.table.lower() if isinstance(star, exp.Column) else None
        inner = star.this if isinstance(star, exp.Column) else star
        if inner.args.get("rename") or any(source.join and source.join.args.get("using") for source in self._sources):
            return None
        left_out = {each.name.lower() for each in inner.args.get("except_") or ()}
        left_out |= {each.alias.lower() for each in inner.args.get("replace") or ()}
        found: list[Attribute] = []
        for name, known in self._known.items():
            if only is None or only == name:
                if known.columns is None:
                    return None
                found += [(name, column) for column in known.columns if column not in left_out]
        return found

    def _learn(self, source: Source) -> _Known:
        from sqlglot import exp

        node = source.node
        if node.args.get("joins") or (source.join and kind_of(source.join) == "POSITIONAL"):
            return _Known()
        renamed = [each.name.lower() for each in (node.args.get("alias") and node.args["alias"].columns) or ()]
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            defined = definition(node)
            if defined is None:
                known = _Known(_columns_of_table(node.name.lower()), _keys_of_table(node.name.lower()))
            else:
                renamed = [each.name.lower() for each in defined.args["alias"].columns] or renamed
                known = self._of_query(defined.this, recursive=_is_recursive(defined))
        elif isinstance(node, exp.Subquery):
            known = self._of_query(node.this)
        else:
            return _Known()
        return _Known() if renamed else known

    def _of_query(self, query: Node, *, recursive: bool = False) -> _Known:
        from sqlglot import exp

        while isinstance(query, exp.Subquery):
            query = query.this
        if recursive:
            return _Known()
        columns = self._memory.outputs(query)
        if isinstance(query, exp.SetOperation):
            whole = query.args.get("distinct") and columns is not None and len(set(columns)) == len(columns)
            return _Known(columns, [frozenset(columns)] if whole and columns else [])
        if isinstance(query, exp.Select):
            return _Known(columns, self._memory.rows(query).keys())
        return _Known(columns)

    def _resolved(self, term: Node) -> Node:
        """What a term of ORDER BY or GROUP BY means: a place or a name of the result is its expression."""
        from sqlglot import exp

        if isinstance(term, exp.Literal) and not term.is_string and term.name.isdigit():
            place = int(term.name) - 1
            if place < len(self._select.expressions):
                projection = self._select.expressions[place]
                return projection.this if projection.alias else projection
        if isinstance(term, exp.Column) and not term.table and term.name.lower() in self._aliases:
            return self._aliases[term.name.lower()]
        return term

    def _by_output(self, name: str) -> Node:
        """The expression behind an output column; for one that a star brings, a column of its source."""
        from sqlglot import exp

        if name in self._aliases:
            return self._aliases[name]
        for projection in self._select.expressions:
            if projection.is_star:
                for source, column in self.starred(projection) or ():
                    if column == name:
                        return exp.column(column, table=source)
            elif projection.alias_or_name.lower() == name:
                return projection
        return exp.column(name)

    def _shrunk(self, meant: dict[str, Node]) -> frozenset[str]:
        """The output columns without those that are not needed to tell the rows apart."""
        needed = dict(meant)
        for column in meant:
            rest = {name: node for name, node in needed.items() if name != column}
            if self._decided([*rest.values()]):
                needed = rest
        return frozenset(needed)

    def _decided(self, expressions: list[Node]) -> bool:
        """Whether the values of `expressions` tell any two rows apart."""
        if any(map(_multiplies, self._select.expressions)):
            return False
        given = {attribute for each in expressions for attribute in self._attributes(each)}
        settled = self._settled(given)
        group = self._select.args.get("group")
        if group is None and not any(map(_aggregates, self._select.expressions)):
            return bool(self._sources) and {source.name for source in self._sources} <= settled
        grouped = self._grouped(group)
        if grouped is None:
            return False
        closed = self._closed(given, settled)
        return all(each in expressions or self._follows(each, closed, settled) for each in grouped)

    def _grouped(self, group: Node) -> list[Node] | None:
        """What the rows are grouped by, or None where it is not one plain list."""
        if group is None:
            return []
        if any(group.args.get(key) for key in ("grouping_sets", "cube", "rollup", "totals")):
            return None
        if group.args.get("all"):
            found = [each for each in self._select.expressions if not _aggregates(each)]
            if any(each.is_star for each in found):
                return None
            return [each.this if each.alias else each for each in found]
        if any(type(each).__name__ in {"Rollup", "Cube", "GroupingSets"} for each in group.expressions):
            return None
        if any(self._is_ambiguous(each) for each in group.expressions):
            return None
        return [self._resolved(each) for each in group.expressions]

    def _is_ambiguous(self, term: Node) -> bool:
        """Whether a name to group by is both a column of the result and one of a source."""
        from sqlglot import exp

        name = term.name.lower()
        if not isinstance(term, exp.Column) or term.table or name not in self._aliases:
            return False
        alias = self._aliases[name]
        same = isinstance(alias, exp.Column) and alias.name.lower() == name
        return not same and any(known.columns is None or name in known.columns for known in self._known.values())

    def _follows(self, expression: Node, closed: set[Attribute], settled: set[str]) -> bool:
        """Whether an expression's value follows from what is given: all of its columns do."""
        from sqlglot import exp

        if expression.find(exp.Query) is not None:
            return False
        columns = list(expression.find_all(exp.Column))
        return all(
            bool(found := self._owners(column)) and (found & closed or {source for source, _ in found} & settled)
            for column in columns
        )

    def _attributes(self, expression: Node) -> set[Attribute]:
        from sqlglot import exp

        while isinstance(expression, exp.Paren):
            expression = expression.this
        return self._owners(expression) if isinstance(expression, exp.Column) else set()

    def _owners(self, column: Node) -> set[Attribute]:
        """The column of a source that a name means; none where that is not certain."""
        name, table = column.name.lower(), column.table.lower()
        if table:
            return {(table, name)} if table in self._known else set()
        if len(self._sources) == 1:
            return {(self._sources[0].name, name)}
        using = {
            each.name.lower() for source in self._sources if source.join for each in source.join.args.get("using") or ()
        }
        having = [source for source, known in self._known.items() if known.columns is None or name in known.columns]
        if name in using or len(having) != 1:
            return set()
        return {(having[0], name)}

    def _settled(self, given: set[Attribute]) -> set[str]:
        """The sources whose row follows from the given columns."""
        settled: set[str] = set()
        closed = given | set(self._constants())
        while True:
            before = len(settled), len(closed)
            for name, known in self._known.items():
                if any(all((name, column) in closed for column in key) for key in known.keys):
                    settled.add(name)
            closed = self._closed(closed, settled)
            if (len(settled), len(closed)) == before:
                return settled

    def _closed(self, given: set[Attribute], settled: set[str]) -> set[Attribute]:
        """The given columns, and those that the joins make equal to them or to a settled row's."""
        closed = set(given)
        for left, right, joined in self._equalities():
            for one, other in ((left, right), (right, left)):
                # The columns that a LEFT JOIN brings follow from the left row; not the other way round.
                if (one in closed or one[0] in settled) and (joined is None or other[0] == joined):
                    closed.add(other)
        return closed

    def _equalities(self) -> Iterator[tuple[Attribute, Attribute, str | None]]:
        from sqlglot import exp

        conditions: list[tuple[Iterable[Node], str | None]] = [(where_terms(self._select), None)]
        conditions += [
            (conjuncts(source.join.args.get("on")), source.name if side_of(source.join) else None)
            for source in self._sources
            if source.join and side_of(source.join) in {"", "LEFT"}
        ]
        for terms, joined in conditions:
            for term in terms:
                if isinstance(term, exp.EQ) and isinstance(term.this, exp.Column):
                    for left in self._owners(term.this):
                        if isinstance(term.expression, exp.Column):
                            yield from ((left, right, joined) for right in self._owners(term.expression))

    def _constants(self) -> Iterator[Attribute]:
        """Columns that the WHERE makes equal to one value."""
        from sqlglot import exp

        for term in where_terms(self._select):
            if isinstance(term, exp.EQ):
                for one, other in ((term.this, term.expression), (term.expression, term.this)):
                    if isinstance(one, exp.Column) and isinstance(other, exp.Placeholder | exp.Literal):
                        yield from self._owners(one)


_FILTERS = frozenset({"SEMI", "ANTI"})


def _is_recursive(defined: Node) -> bool:
    from sqlglot import exp

    name = defined.alias.lower()
    return any(table.name.lower() == name and definition(table) is defined for table in defined.find_all(exp.Table))


def _keys_of_table(name: str) -> list[frozenset[str]]:
    from trailkeep.schema import EVENT_TABLES

    if name in {table.name for table in EVENT_TABLES.values()}:
        return [frozenset({"id"})]
    return [KEYS[name]] if name in KEYS else []
